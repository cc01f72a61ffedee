//! Health: `/healthz`, `/livez`, `/readyz`, and each of their checks by its name.
//!
//! A check that is excluded is told as such; one that is not there to be excluded is told too.

use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use http::StatusCode;
use object_store::ObjectStore;

/// The roots, and the checks of each. All are answered by the process itself but for the store.
const ROOTS: &[(&str, &[&str])] = &[
    ("healthz", &["ping", "log", STORE, ROLES, CLASSES, DEFINITIONS]),
    ("livez", &["ping", "log", STORE, ROLES, CLASSES, DEFINITIONS]),
    (
        "readyz",
        &["ping", "log", STORE, "etcd-readiness", "informer-sync", ROLES, CLASSES, DEFINITIONS, "shutdown"],
    ),
];
/// What is done before anything is answered: the bootstrap roles and classes are there, definitions are established.
const ROLES: &str = "poststarthook/rbac/bootstrap-roles";
const CLASSES: &str = "poststarthook/scheduling/bootstrap-system-priority-classes";
const DEFINITIONS: &str = "poststarthook/crd-informer-synced";
/// What Kubernetes' monitors call the store.
const STORE: &str = "etcd";

/// All paths that answer.
pub fn paths() -> impl Iterator<Item = String> {
    ROOTS.iter().flat_map(|(root, checks)| {
        let own = std::iter::once(format!("/{root}"));
        own.chain(checks.iter().map(move |check| format!("/{root}/{check}")))
    })
}

/// Answers a path of health; `None` for another.
pub async fn answer(server: &Server, auth: &Authorized, path: &str) -> Option<Reply> {
    let mut segments = path.strip_prefix('/')?.splitn(2, '/');
    let (root, check) = (segments.next()?, segments.next());
    let (_, checks) = ROOTS.iter().find(|(known, _)| *known == root)?;
    if let Some(check) = check {
        let known = checks.iter().find(|known| **known == check)?;
        return Some(match fails(server, known).await {
            None => Reply::text("ok"),
            Some(why) => {
                Reply::text(format!("internal server error: {why}\n")).code(StatusCode::INTERNAL_SERVER_ERROR)
            }
        });
    }
    let query = &auth.call().query;
    let excluded: Vec<&str> = query.all("exclude").collect();
    let mut failed = Vec::new();
    let mut lines = String::new();
    for check in *checks {
        if excluded.contains(check) {
            lines.push_str(&format!("[+]{check} excluded: ok\n"));
        } else if let Some(why) = fails(server, check).await {
            lines.push_str(&format!("[-]{check} failed: reason withheld\n"));
            failed.push((*check, why));
        } else {
            lines.push_str(&format!("[+]{check} ok\n"));
        }
    }
    let unknown: Vec<String> =
        excluded.iter().filter(|name| !checks.contains(name)).map(|name| format!("{name:?}")).collect();
    if !unknown.is_empty() {
        let names = unknown.join(",");
        lines.push_str(&format!("warn: some health checks cannot be excluded: no matches for {names}\n"));
    }
    if !failed.is_empty() {
        tracing::warn!(root, ?failed, "a health check failed");
        lines.push_str(&format!("{root} check failed\n"));
        return Some(Reply::text(lines).code(StatusCode::INTERNAL_SERVER_ERROR).as_it_is());
    }
    let verbose = query.first("verbose").is_some();
    let text = if verbose { format!("{lines}{root} check passed\n") } else { "ok".to_owned() };
    Some(Reply::text(text).as_it_is())
}

/// Each check of each root, and whether it passes.
pub async fn all(server: &Server) -> Vec<(&'static str, &'static str, bool)> {
    let mut found = Vec::new();
    for (root, checks) in ROOTS {
        for check in *checks {
            found.push((*root, *check, fails(server, check).await.is_none()));
        }
    }
    found
}

/// Why a check fails; `None`: it does not.
async fn fails(server: &Server, check: &str) -> Option<String> {
    match check {
        STORE | "etcd-readiness" => server.store.writable().await.err().map(|error| error.to_string()),
        "shutdown" if server.shutdown.is_requested() => Some("the process is shutting down".to_owned()),
        _ => None,
    }
}
