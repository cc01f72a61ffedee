//! What the process says of itself: `/metrics`, `/metrics/slis`, `/statusz`, `/flagz` (KEP-4827, KEP-4828).
//!
//! A plane's metrics are its own; what the process takes and how it was started is told in the host plane only.

use super::{health, paths};
use crate::metrics::text::{self, Text};
use crate::negotiation::Page;
use crate::planes::PlaneKind;
use crate::reply::{Content, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_types::ApiError;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// The paths that answer.
pub const PATHS: &[&str] = &["/flagz", "/metrics", "/metrics/slis", "/statusz"];

/// What the pages are called after.
const COMPONENT: &str = "apiserver";

/// Answers a path; `None` for another.
pub async fn answer(server: &Server, auth: &Authorized, path: &str) -> Option<Result<Reply, ApiError>> {
    match path {
        "/metrics" => {
            let text = text::of(server, auth.plane(), &paths::version());
            Some(Ok(Reply::with(StatusCode::OK, Content::Raw(text::TYPE, text.into()))))
        }
        "/metrics/slis" => {
            let text = slis(server).await;
            Some(Ok(Reply::with(StatusCode::OK, Content::Raw(text::TYPE, text.into()))))
        }
        "/statusz" => Some(page(auth, "Statusz", status(server))),
        "/flagz" => Some(page(auth, "Flagz", json!({"flags": flags(server, auth)}))),
        _ => None,
    }
}

/// Whether each check of health passes.
async fn slis(server: &Server) -> String {
    const CHECKS: &str = "kubernetes_healthcheck";
    let mut text = Text::default();
    text.family(CHECKS, "gauge", "1 for a check of health that passes, else 0.");
    for (root, check, passes) in health::all(server).await {
        text.line(CHECKS, &[("name", check), ("type", root)], if passes { 1.0 } else { 0.0 });
    }
    text.end()
}

fn status(server: &Server) -> Value {
    let up = jiff::Timestamp::now().duration_since(server.started).as_secs().max(0);
    let version = paths::minor_version();
    json!({"startTime": server.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "uptimeSeconds": up, "goVersion": "",
        "binaryVersion": version, "emulationVersion": version,
        "paths": ["/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version"]})
}

/// How the process was started.
fn flags(server: &Server, auth: &Authorized) -> Map<String, Value> {
    if auth.plane().kind != PlaneKind::Host {
        return Map::new();
    }
    let options = &server.options;
    let flags = [
        ("audit", server.audit().is_some().to_string()),
        ("embedded-super-cluster", options.embedded_super.to_string()),
        ("external-address", options.base_url.clone()),
        ("serving-names", options.names.join(",")),
    ];
    flags.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn page(auth: &Authorized, kind: &str, content: Value) -> Result<Reply, ApiError> {
    let name = kind.to_lowercase();
    match auth.call().wish().page(kind)? {
        Page::Text => Ok(Reply::text(for_people(&name, &content))),
        Page::Structured { rendering, alpha } => {
            let version = if alpha { "v1alpha1" } else { "v1beta1" };
            let mut document = json!({"kind": kind, "apiVersion": format!("config.k8s.io/{version}"),
                "metadata": {"name": COMPONENT}});
            if let (Some(document), Value::Object(content)) = (document.as_object_mut(), content) {
                document.extend(content);
            }
            let mut reply = Reply::value(&document).rendered(rendering);
            if alpha {
                let why =
                    format!("This version of the {name} endpoint is deprecated. Please use a newer version.");
                reply.warnings.push(why);
            }
            Ok(reply)
        }
    }
}

fn for_people(name: &str, content: &Value) -> String {
    let mut text = format!(
        "\n{COMPONENT} {name}\nWarning: This endpoint is not meant to be machine parseable, has no formatting \
         compatibility guarantees and is for debugging purposes only.\n"
    );
    if let Some(flags) = content["flags"].as_object() {
        for (flag, value) in flags {
            text.push_str(&format!("{flag} {}\n", value.as_str().unwrap_or("")));
        }
        return text;
    }
    let up = content["uptimeSeconds"].as_i64().unwrap_or(0);
    let (hours, minutes, seconds) = (up / 3600, up / 60 % 60, up % 60);
    let said = |key: &str| content[key].as_str().unwrap_or("").to_owned();
    let listed: Vec<&str> =
        content["paths"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (about, value) in [
        ("Started", said("startTime")),
        ("Up", format!("{hours} hr {minutes:02} min {seconds:02} sec")),
        ("Binary version", said("binaryVersion")),
        ("Emulation version", said("emulationVersion")),
        ("Paths", listed.join(" ")),
    ] {
        text.push_str(&format!("\n{about}: {value}"));
    }
    text.push('\n');
    text
}
