//! Requests that somebody makes who looks for what others have.

use crate::filling::{Own, Resource};
use http::Method;
use serde_json::{Value, json};
use tests::dice::Dice;

/// A request.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Value>,
}

/// Ways that lead, or might lead, to a plane: of `ours` or of `theirs`.
const WAYS: &[&str] = &[
    "",
    "/tenants/THEIRS",
    "/tenants/THEIRS/",
    "/supers/local",
    "/tenants/OURS/../THEIRS",
    "/tenants/OURS/%2e%2e/THEIRS",
    "/tenants/OURS/%2E%2E%2FTHEIRS",
    "/tenants/OURS%2f..%2fTHEIRS",
    "/tenants/./THEIRS",
    "/tenants//THEIRS",
    "//tenants/THEIRS",
    "/tenants/THEIRS%00OURS",
    "/tenants/THEIRS;OURS",
    "/tenants/OURS,THEIRS",
    "/TENANTS/THEIRS",
    "/tenants/OURS/tenants/THEIRS",
    "/supers/local/../../tenants/THEIRS",
    "/tenants/OURS/supers/local",
    "/tenants/OURS/api/v1/../../../THEIRS",
    "/tenants/OURS/api/v1/namespaces/..%2f..%2f..%2f..%2fTHEIRS",
    "/tenants/OURS?x=/tenants/THEIRS&",
];

/// Pages besides the API.
const PAGES: &[&str] = &[
    "/",
    "/api",
    "/apis",
    "/version",
    "/healthz?verbose",
    "/livez?verbose",
    "/readyz?verbose",
    "/metrics",
    "/metrics/slis",
    "/openapi/v2",
    "/openapi/v3",
    "/openid/v1/jwks",
    "/.well-known/openid-configuration",
    "/statusz",
    "/flagz",
    "/configz",
    "/debug/pprof/heap",
    "/logs",
    "/insula/store",
    "/insula/store/check",
    "/insula/store/backup",
    "/insula/store/compact",
    "/insula/certs",
    "/insula/sealing",
    "/proxy",
    "/tenants",
    "/supers",
    "/apis/tenancy.insula.dev/v1alpha1/tenants",
    "/apis/tenancy.insula.dev/v1alpha1/tenants/THEIRS",
    "/apis/tenancy.insula.dev/v1alpha1/superclusters",
    "/api/v1/namespaces/insula-system/secrets",
    "/apis/metrics.k8s.io/v1beta1/pods",
];

const ACCEPTS: &[&str] = &[
    "application/json",
    "application/json",
    "application/json",
    "*/*",
    "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    "application/yaml",
    "application/cbor",
    "*/*",
];

const SUBRESOURCES: &[&str] = &[
    "status",
    "scale",
    "log",
    "exec?command=id",
    "attach",
    "portforward?ports=80",
    "proxy/",
    "token",
    "eviction",
    "binding",
    "finalize",
    "ephemeralcontainers",
    "approval",
    "resize",
    "log?previous=true",
    "%2e%2e",
    "../..",
];

const KINDS_OF_PATCH: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// A request with `ours` credentials that looks for `theirs`.
pub fn attempt(dice: &mut Dice, ours: &Own, theirs: &Own) -> Attempt {
    let way = if dice.below(5) < 3 { "/tenants/OURS" } else { dice.of(WAYS) };
    let method = match dice.below(20) {
        0..12 => Method::GET,
        12 | 13 => Method::POST,
        14 => Method::PUT,
        15 | 16 => Method::PATCH,
        17 => Method::DELETE,
        18 => Method::OPTIONS,
        _ => Method::HEAD,
    };
    let rest = if dice.below(5) == 0 {
        (*dice.of(PAGES)).to_owned()
    } else {
        resource_path(dice, ours, theirs, &method)
    };
    let path = format!("{way}{rest}").replace("OURS", ours.tenant).replace("THEIRS", theirs.tenant);
    let mut headers = vec![("accept", (*dice.of(ACCEPTS)).to_owned())];
    match dice.below(30) {
        0 => headers.push(("impersonate-user", format!("system:serviceaccount:ns-{}:default", theirs.word))),
        1 => headers.extend([
            ("impersonate-user", "admin".to_owned()),
            ("impersonate-group", "system:masters".to_owned()),
        ]),
        2 => headers
            .extend([("x-remote-user", "admin".to_owned()), ("x-remote-group", "system:masters".to_owned())]),
        3 => headers.push(("host", format!("{}.example.com", theirs.tenant))),
        4 => headers.push(("x-forwarded-uri", format!("/tenants/{}/api/v1/secrets", theirs.tenant))),
        5 => headers.push(("if-none-match", "*".to_owned())),
        _ => {}
    }
    let body = match method {
        Method::POST | Method::PUT => Some(body(dice, theirs)),
        Method::PATCH => {
            headers.push(("content-type", (*dice.of(KINDS_OF_PATCH)).to_owned()));
            Some(body(dice, theirs))
        }
        Method::DELETE => Some(json!({"preconditions": {"uid": theirs.known}})),
        _ => None,
    };
    if body.is_some() && method != Method::PATCH {
        headers.push(("content-type", "application/json".to_owned()));
    }
    Attempt { method, path, headers, body }
}

fn resource_path(dice: &mut Dice, ours: &Own, theirs: &Own, method: &Method) -> String {
    let resource: &Resource = {
        let whose = if dice.below(8) == 0 { theirs } else { ours };
        let whole: Vec<&Resource> = whose.resources.iter().filter(|one| !one.plural.contains('/')).collect();
        whole[dice.below(whole.len() as u64) as usize]
    };
    let namespace = match dice.below(10) {
        0 | 6..10 => String::new(),
        1 | 2 => format!("ns-{}", theirs.word),
        3 => format!("ns-{}", ours.word),
        4 => "kube-system".to_owned(),
        _ => "default".to_owned(),
    };
    let mut path = resource.path(&namespace);
    // A deletion of everything of ours would end the test before it begins.
    let named = *method != Method::GET && *method != Method::POST || dice.below(4) == 0;
    if named {
        path = format!("{path}/{}", dice.of(&theirs.names));
        if dice.below(3) == 0 {
            path = format!("{path}/{}", dice.of(SUBRESOURCES));
        }
    }
    let mut query: Vec<String> = Vec::new();
    for _ in 0..dice.below(3) {
        query.push(match dice.below(12) {
            0 => format!("labelSelector=l%3D{}", ours.secret),
            1 => "labelSelector=l,%21x".to_owned(),
            2 => format!("fieldSelector=metadata.name%3D{}", dice.of(&theirs.names)),
            3 => format!("fieldSelector=metadata.namespace%3Dns-{}", theirs.word),
            4 => format!("fieldSelector=involvedObject.uid%3D{}", theirs.known),
            5 => format!("limit={}", dice.below(3)),
            6 => format!("limit=5&continue={}", dice.of(&theirs.tokens)),
            7 => "watch=true&timeoutSeconds=1&allowWatchBookmarks=true".to_owned(),
            8 => format!("watch=true&timeoutSeconds=1&resourceVersion={}", dice.below(300)),
            9 => format!("resourceVersion={}&resourceVersionMatch=Exact", dice.below(300)),
            10 => "resourceVersion=0".to_owned(),
            _ => "dryRun=All&fieldManager=f&force=true".to_owned(),
        });
    }
    let mark = if path.contains('?') { '&' } else { '?' };
    if query.is_empty() { path } else { format!("{path}{mark}{}", query.join("&")) }
}

fn body(dice: &mut Dice, theirs: &Own) -> Value {
    let name = dice.of(&theirs.names).clone();
    let namespace = format!("ns-{}", theirs.word);
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": theirs.word, "uid": theirs.known}]);
    match dice.below(7) {
        0 => json!({"metadata": {"name": name, "namespace": namespace, "ownerReferences": owner}}),
        1 => {
            json!({"metadata": {"name": name, "uid": theirs.known, "resourceVersion": dice.below(300).to_string()}})
        }
        2 => {
            json!({"spec": {"user": "x", "groups": ["system:masters"], "resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": namespace, "name": name}}})
        }
        3 => json!({"spec": {"token": theirs.tokens.first()}}),
        4 => json!([{"op": "copy", "from": "/metadata/uid", "path": "/metadata/annotations/a"}]),
        5 => json!({"kind": "List", "items": []}),
        _ => {
            json!({"metadata": {"generateName": "x-"}, "spec": {"claimRef": {"name": name, "namespace": namespace, "uid": theirs.known}}})
        }
    }
}
