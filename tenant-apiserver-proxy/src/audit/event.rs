//! What an event says.

use crate::authentication::User;
use crate::planes::{Plane, PlaneKind};
use crate::reply::{Content, PROTOBUF};
use crate::request_info::RequestInfo;
use crate::stages::Call;
use api_resources::audit::{API_VERSION, Decision, Level, Stage};
use api_schema::decode;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// The most bytes of the name of a program that are written.
const MAX_AGENT: usize = 1_024;
/// The most addresses that are written of a request: a head can name thousands.
const MAX_SOURCES: usize = 32;
/// The annotation with the tenant's name.
pub const TENANT: &str = "insula.dev/tenant";
/// The annotation with the `SuperCluster` that a stream leads into.
pub const SUPER_CLUSTER: &str = "insula.dev/super-cluster";
/// The annotation with the user as whom the platform acts there.
pub const SUPER_ACTOR: &str = "insula.dev/super-actor";
/// Annotations that are the platform's business.
const INTERNAL: &[&str] = &[SUPER_CLUSTER, SUPER_ACTOR];

/// What is known of a request so far.
pub struct Event {
    /// Who made it.
    pub user: User,
    /// As whom.
    pub impersonated: Option<User>,
    /// The verb that allowed it, when that was constrained.
    pub constraint: Option<&'static str>,
    /// How it ended; zero: nobody knows.
    pub code: u16,
    /// What is said of how it ended.
    pub status: Option<Value>,
    plane: Arc<Plane>,
    id: HeaderValue,
    received: Timestamp,
    uri: String,
    verb: String,
    agent: String,
    sources: Vec<String>,
    object: Map<String, Value>,
    annotations: Map<String, Value>,
    /// Those that no tenant is told.
    internal: Map<String, Value>,
    sent: Option<Value>,
}

impl Event {
    /// What is known before it is known who asks.
    pub fn of(call: &Call, id: &HeaderValue, source: IpAddr) -> Self {
        let (verb, object) = match &call.info {
            RequestInfo::Path { verb, .. } => (verb.clone(), Map::new()),
            RequestInfo::Resource(of) => {
                let mut object = Map::new();
                for (field, value) in [
                    ("resource", &of.resource),
                    ("namespace", &of.namespace),
                    ("name", &of.name),
                    ("apiGroup", &of.group),
                    ("apiVersion", &of.version),
                    ("subresource", &of.subresource),
                ] {
                    put(&mut object, field, value);
                }
                (of.verb.to_string(), object)
            }
        };
        let mut annotations = Map::new();
        if call.plane.kind == PlaneKind::Tenant {
            put(&mut annotations, TENANT, &call.plane.name);
        }
        let agent = call.header("user-agent");
        let cut = (0..=MAX_AGENT.min(agent.len())).rev().find(|at| agent.is_char_boundary(*at)).unwrap_or(0);
        Event {
            user: User::default(),
            impersonated: None,
            constraint: None,
            code: 0,
            status: None,
            plane: call.plane.clone(),
            id: id.clone(),
            received: Timestamp::now(),
            uri: format!("{}{}", call.plane.path(), without_token(&call.target)),
            verb,
            agent: agent[..cut].to_owned(),
            sources: sources(&call.headers, source),
            object,
            annotations,
            internal: Map::new(),
            sent: None,
        }
    }

    /// True when what is sent tells the object's name, and the path does not.
    pub fn needs_name(&self) -> bool {
        self.verb == "create" && !self.object.contains_key("name")
    }

    /// Says something more about it, once.
    pub fn annotate(&mut self, key: &str, value: &str) {
        let of_tenants = !INTERNAL.contains(&key);
        let annotations = if of_tenants { &mut self.annotations } else { &mut self.internal };
        annotations.entry(key).or_insert_with(|| value.into());
    }

    /// Takes note of what was sent.
    pub fn sent(&mut self, body: &Bytes, content_type: &str) {
        let Some(value) = read(&self.plane, body, content_type) else { return };
        let metadata = value.get("metadata");
        if self.verb != "patch" && !self.object.is_empty() {
            for (field, of) in [
                ("namespace", "namespace"),
                ("name", "name"),
                ("uid", "uid"),
                ("resourceVersion", "resourceVersion"),
            ] {
                if !self.object.contains_key(field)
                    && let Some(text) = metadata.and_then(|metadata| metadata.get(of)).and_then(Value::as_str)
                {
                    put(&mut self.object, field, text);
                }
            }
        }
        self.sent = Some(value);
    }

    /// Reads an answer as far as a level needs it.
    pub fn answered(&self, content: &Content, level: Level) -> Answered {
        let object = |object: Option<Value>| Answered { object, ..Answered::default() };
        match content {
            Content::Status(status) => {
                let mut short = json!({"metadata": {}});
                for field in ["status", "message", "reason", "details", "code"] {
                    if let Some(value) = status.get(field) {
                        short[field] = value.clone();
                    }
                }
                let object = (level >= Level::RequestResponse).then(|| status.clone());
                Answered { status: Some(short), object }
            }
            Content::Json(bytes) if level >= Level::RequestResponse => {
                object(serde_json::from_slice(bytes).ok())
            }
            Content::Joined(list) if level >= Level::RequestResponse => {
                object(serde_json::from_slice(&list.clone().whole()).ok())
            }
            Content::Raw(PROTOBUF, bytes) if level >= Level::RequestResponse => {
                object(from_protobuf(&self.plane, bytes))
            }
            _ => Answered::default(),
        }
    }

    /// The event of a stage, as one line of JSON.
    ///
    /// `internally`: the platform reads it, and not a tenant.
    pub fn render(
        &self,
        stage: Stage,
        decision: &Decision,
        answer: Option<&Value>,
        internally: bool,
    ) -> Bytes {
        let mut event = json!({
            "kind": "Event", "apiVersion": API_VERSION, "level": decision.level.name(), "stage": stage.name(),
            "auditID": self.id.to_str().unwrap_or(""), "requestURI": self.uri, "verb": self.verb,
            "user": user(&self.user), "sourceIPs": self.sources,
            "requestReceivedTimestamp": time(self.received), "stageTimestamp": time(Timestamp::now()),
        });
        if !self.agent.is_empty() {
            event["userAgent"] = self.agent.as_str().into();
        }
        if let Some(impersonated) = &self.impersonated {
            event["impersonatedUser"] = user(impersonated);
        }
        if let Some(constraint) = self.constraint {
            event["authenticationMetadata"] = json!({"impersonationConstraint": constraint});
        }
        if !self.object.is_empty() {
            event["objectRef"] = self.object.clone().into();
        }
        let mut annotations = self.annotations.clone();
        if internally {
            annotations.extend(self.internal.clone());
        }
        if !annotations.is_empty() {
            event["annotations"] = annotations.into();
        }
        let without = |value: &Value| {
            let mut value = value.clone();
            if decision.omit_managed_fields {
                drop_managed_fields(&mut value);
            }
            value
        };
        if decision.level >= Level::Request
            && let Some(sent) = &self.sent
        {
            event["requestObject"] = without(sent);
        }
        if stage != Stage::RequestReceived && self.code != 0 {
            let plain = || json!({"metadata": {}, "code": self.code});
            event["responseStatus"] = self.status.clone().unwrap_or_else(plain);
        }
        if decision.level >= Level::RequestResponse
            && let Some(answer) = answer
        {
            event["responseObject"] = without(answer);
        }
        Bytes::from(event.to_string())
    }
}

fn put(to: &mut Map<String, Value>, field: &str, value: &str) {
    if !value.is_empty() {
        to.insert(field.to_owned(), value.into());
    }
}

fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

fn user(user: &User) -> Value {
    let mut out = Map::new();
    put(&mut out, "username", &user.name);
    put(&mut out, "uid", &user.uid);
    if !user.groups.is_empty() {
        out.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        out.insert("extra".to_owned(), json!(user.extra));
    }
    out.into()
}

/// Where a request says that it comes from, the first of it, and where it does.
fn sources(headers: &HeaderMap, peer: IpAddr) -> Vec<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let said = text("x-forwarded-for").split(',').chain([text("x-real-ip")]);
    let mut out: Vec<String> = Vec::new();
    let known = said.filter_map(|said| said.trim().parse::<IpAddr>().ok()).take(MAX_SOURCES);
    for address in known.chain([peer]).map(|address| address.to_canonical().to_string()) {
        if !out.contains(&address) {
            out.push(address);
        }
    }
    out
}

/// A body as JSON. `None`: it is none that can be shown so.
fn read(plane: &Plane, body: &Bytes, content_type: &str) -> Option<Value> {
    if content_type.contains("yaml") {
        return decode::decode_any(body, decode::Format::Yaml).ok();
    }
    if content_type.starts_with(PROTOBUF) {
        return from_protobuf(plane, body);
    }
    serde_json::from_slice(body).ok()
}

fn from_protobuf(plane: &Plane, body: &[u8]) -> Option<Value> {
    let envelope = api_schema::protobuf::envelope(body).ok()?;
    let (group, version) = envelope.api_version.rsplit_once('/').unwrap_or(("", &envelope.api_version));
    let catalog = plane.catalog.load_full();
    let row = catalog.rows().find(|row| row.group == group && row.kind == envelope.kind)?;
    let version = row.version(version)?;
    let mut value = api_schema::protobuf::decode(body, version.graph.at(version.root)).ok()?;
    value["kind"] = envelope.kind.as_str().into();
    value["apiVersion"] = envelope.api_version.as_str().into();
    Some(value)
}

/// What is written of an answer.
#[derive(Default)]
pub struct Answered {
    /// The `Status`, without its details' type.
    pub status: Option<Value>,
    /// The object.
    pub object: Option<Value>,
}

fn drop_managed_fields(value: &mut Value) {
    let of = |value: &mut Value| {
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    };
    of(value);
    let items = value.get_mut("items").and_then(Value::as_array_mut);
    items.into_iter().flatten().for_each(of);
    let rows = value.get_mut("rows").and_then(Value::as_array_mut);
    rows.into_iter().flatten().filter_map(|row| row.get_mut("object")).for_each(of);
}

/// A path with its query, without the value of a token (RFC 6750, 2.3), which nobody is asked to send so.
fn without_token(target: &str) -> Cow<'_, str> {
    const NAME: &str = "access_token";
    let Some((path, query)) = target.split_once('?').filter(|(_, query)| query.contains(NAME)) else {
        return Cow::Borrowed(target);
    };
    let hidden = |pair: &str| match pair.split_once('=') {
        Some((NAME, _)) => format!("{NAME}=hidden"),
        _ => pair.to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(hidden).collect();
    Cow::Owned(format!("{path}?{}", pairs.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_of_the_addresses_of_a_head_are_written() {
        let mut headers = HeaderMap::new();
        let said: Vec<String> = (0..20_000u32).map(|n| std::net::Ipv4Addr::from(n).to_string()).collect();
        headers.insert("x-forwarded-for", HeaderValue::from_str(&said.join(", ")).unwrap());
        headers.insert("x-real-ip", HeaderValue::from_static("192.0.2.1"));
        let peer: IpAddr = "192.0.2.2".parse().unwrap();
        let written = sources(&headers, peer);
        assert_eq!(written.len(), MAX_SOURCES + 1);
        assert_eq!((written[1].as_str(), written[MAX_SOURCES].as_str()), ("0.0.0.1", "192.0.2.2"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("nonsense, 192.0.2.2, ::ffff:192.0.2.1"));
        assert_eq!(sources(&headers, peer), ["192.0.2.2", "192.0.2.1"]);
    }
}
