//! What a pod's spec says when its author left it out, for pods and for the templates of workloads.

use super::place::{each_mut, map_at, object_at, set_default, set_default_number, set_default_text};
use serde_json::{Map, Value, json};

/// The file mode of projected files: 0644.
const FILE_MODE: i64 = 0o644;

/// The defaults of a pod, beside those of its spec: requests from limits, service links, host ports.
pub fn pod(object: &mut Value) {
    if let Some(status) = map_at(object, "status") {
        same_addresses(status);
    }
    let Some(spec) = map_at(object, "spec") else { return };
    pod_spec(spec);
    // A pod is told to stop before it is killed; its template may still say otherwise.
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        spec["terminationGracePeriodSeconds"] = Value::from(1);
    }
    for list in ["containers", "initContainers"] {
        each_mut(spec, list).for_each(requests_from_limits);
    }
    super::pods_resources::default(spec);
    set_default(spec, "enableServiceLinks", true);
    if spec["hostNetwork"].as_bool() == Some(true) {
        for list in ["containers", "initContainers"] {
            each_mut(spec, list).flat_map(|c| each_mut(c, "ports")).for_each(|port| {
                if let Some(number) = port["containerPort"].as_i64() {
                    set_default_number(port, "hostPort", number);
                }
            });
        }
    }
}

/// `podIP` is the address of the first of `podIPs`; where they differ, the older field wins, and stands alone.
fn same_addresses(status: &mut Value) {
    let Some(map) = status.as_object_mut() else { return };
    let said = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let one = map.get("podIP").filter(|value| said(value)).cloned();
    let first = map.get("podIPs").map(|list| list[0]["ip"].clone()).filter(said);
    match (one, first) {
        (Some(one), first) if first.as_ref() != Some(&one) => {
            map.insert("podIPs".to_owned(), json!([{ "ip": one }]));
        }
        (None, Some(first)) => {
            map.insert("podIP".to_owned(), first);
        }
        _ => {}
    }
}

/// The defaults of a template at `owner.template`.
pub fn template(owner: &mut Value) {
    let Some(template) = map_at(owner, "template") else { return };
    set_default(template, "metadata", json!({}));
    if let Some(spec) = map_at(template, "spec") {
        pod_spec(spec);
    }
}

/// The defaults of a pod's spec wherever it is.
pub fn pod_spec(spec: &mut Value) {
    super::pods_disabled::drop(spec);
    each_mut(spec, "volumes").for_each(volume);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each_mut(spec, list).for_each(container);
    }
    set_default_text(spec, "restartPolicy", "Always");
    set_default(spec, "terminationGracePeriodSeconds", 30);
    set_default_text(spec, "dnsPolicy", "ClusterFirst");
    set_default_text(spec, "schedulerName", "default-scheduler");
    set_default(spec, "securityContext", json!({}));
    same_service_account(spec);
}

/// `serviceAccount` is the old name of `serviceAccountName`: both are always written, the new one wins.
pub fn same_service_account(spec: &mut Value) {
    let Some(map) = spec.as_object_mut() else { return };
    let name = ["serviceAccountName", "serviceAccount"]
        .iter()
        .find_map(|field| map.get(*field).and_then(Value::as_str).filter(|s| !s.is_empty()))
        .map(str::to_owned);
    match name {
        Some(name) => {
            map.insert("serviceAccountName".to_owned(), Value::from(name.clone()));
            map.insert("serviceAccount".to_owned(), Value::from(name));
        }
        None => {
            map.remove("serviceAccountName");
            map.remove("serviceAccount");
        }
    }
}

fn container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or("");
    let policy = pull_policy(image);
    set_default_text(container, "imagePullPolicy", policy);
    set_default_text(container, "terminationMessagePath", "/dev/termination-log");
    set_default_text(container, "terminationMessagePolicy", "File");
    set_default(container, "resources", json!({}));
    each_mut(container, "ports").for_each(|port| set_default_text(port, "protocol", "TCP"));
    for variable in each_mut(container, "env") {
        if let Some(from) = variable.get_mut("valueFrom") {
            field_ref(from);
            resource_field_ref(from);
            if let Some(key) = from.get_mut("fileKeyRef") {
                set_default(key, "optional", false);
            }
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = object_at(container, name) {
            set_default_number(probe, "timeoutSeconds", 1);
            set_default_number(probe, "periodSeconds", 10);
            set_default_number(probe, "successThreshold", 1);
            set_default_number(probe, "failureThreshold", 3);
            http_get(probe);
            if let Some(grpc) = object_at(probe, "grpc") {
                set_default(grpc, "service", "");
            }
        }
    }
    if let Some(lifecycle) = container.get_mut("lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(handler) = lifecycle.get_mut(name) {
                http_get(handler);
            }
        }
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = object_at(handler, "httpGet") {
        set_default_text(get, "path", "/");
        set_default_text(get, "scheme", "HTTP");
    }
}

fn field_ref(from: &mut Value) {
    if let Some(reference) = object_at(from, "fieldRef") {
        set_default_text(reference, "apiVersion", "v1");
    }
}

/// An absent divisor is written as zero, as Kubernetes does.
fn resource_field_ref(from: &mut Value) {
    if let Some(reference) = object_at(from, "resourceFieldRef") {
        set_default(reference, "divisor", "0");
    }
}

/// `Always` for the tag `latest`, said or unsaid; `IfNotPresent` for other tags, digests, and what is no image.
pub fn pull_policy(image: &str) -> &'static str {
    if image_tag(image) == Some("latest") { "Always" } else { "IfNotPresent" }
}

/// The tag of an image; `latest` when it has neither tag nor digest, `None` with a digest only or when the text
/// names no image.
fn image_tag(image: &str) -> Option<&str> {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let last_slash = name.rfind('/').map_or(0, |i| i + 1);
    let (repository, tag) = match name[last_slash..].find(':') {
        Some(colon) => (&name[..last_slash + colon], Some(&name[last_slash + colon + 1..])),
        None => (name, None),
    };
    // 64 hexadecimal digits are the identifier of an image, not its name.
    let is_id = image.len() == 64 && image.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_id || !is_repository(repository) || tag.is_some_and(|t| !is_tag(t)) {
        return None;
    }
    match (tag, digest) {
        (Some(tag), _) => Some(tag),
        (None, Some(_)) => None,
        (None, None) => Some("latest"),
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    matches!(tag.as_bytes(), [first, rest @ ..]
        if word(*first) && rest.len() < 128 && rest.iter().all(|b| word(*b) || matches!(b, b'.' | b'-')))
}

/// The longest path of an image's repository.
const MAX_PATH: usize = 255;

/// A domain or an address in brackets, perhaps with a port.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let label = |label: &str| {
        let bytes = label.as_bytes();
        edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
        && match address {
            Some(address) => address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
            None => name.split('.').all(label),
        }
}

/// `[host[:port]/]path/…` with a path in lower case.
fn is_repository(name: &str) -> bool {
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
        Some((host, path)) if host.bytes().any(|b| b.is_ascii_uppercase()) => (Some(host), path),
        _ => (None, name),
    };
    let path_char = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    // A name without a host or a folder is one of `library/`.
    let library = if host.is_none() && !path.contains('/') { "library/".len() } else { 0 };
    host.is_none_or(is_host)
        && path.len() + library <= MAX_PATH
        && path.split('/').all(|part| {
            let bytes = part.as_bytes();
            edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| path_char(*b))
        })
}

/// Requests that are not given are the limits.
fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container["resources"]["limits"].as_object().cloned() else { return };
    let Some(requests) = container.get_mut("resources").and_then(|r| map_at(r, "requests")) else { return };
    for (name, limit) in limits {
        if requests.get(&name).is_none() {
            requests[&name] = limit;
        }
    }
}

fn volume(volume: &mut Value) {
    let Some(map) = volume.as_object_mut() else { return };
    map.retain(|_, source| !source.is_null());
    if map.keys().all(|k| k == "name") {
        map.insert("emptyDir".to_owned(), json!({}));
    }
    volume_source(volume);
}

/// The defaults of a volume's source, of pods and of persistent volumes.
pub fn volume_source(volume: &mut Value) {
    for (source, defaults) in SOURCE_DEFAULTS {
        if let Some(source) = volume.get_mut(source).filter(|s| s.is_object()) {
            for (name, value) in *defaults {
                set_default(source, name, value.clone());
            }
        }
    }
    if let Some(source) = volume.get_mut("downwardAPI") {
        downward_items(source);
    }
    if let Some(projected) = volume.get_mut("projected") {
        for source in each_mut(projected, "sources") {
            if let Some(token) = object_at(source, "serviceAccountToken") {
                set_default(token, "expirationSeconds", 3600);
            }
            if let Some(downward) = source.get_mut("downwardAPI") {
                downward_items(downward);
            }
        }
    }
    if let Some(image) = object_at(volume, "image") {
        let policy = pull_policy(image["reference"].as_str().unwrap_or(""));
        set_default_text(image, "pullPolicy", policy);
    }
    if let Some(claim) = volume.get_mut("ephemeral").and_then(|e| e.get_mut("volumeClaimTemplate")) {
        set_default(claim, "metadata", Value::Object(Map::new()));
        if let Some(spec) = map_at(claim, "spec") {
            super::persistentvolumeclaims::claim_spec(spec);
        }
    }
}

fn downward_items(source: &mut Value) {
    each_mut(source, "items").for_each(|item| {
        field_ref(item);
        resource_field_ref(item);
    });
}

/// Source, and its fields with their defaults.
const SOURCE_DEFAULTS: &[(&str, &[(&str, Default)])] = &[
    ("secret", &[("defaultMode", Default::Number(FILE_MODE))]),
    ("configMap", &[("defaultMode", Default::Number(FILE_MODE))]),
    ("downwardAPI", &[("defaultMode", Default::Number(FILE_MODE))]),
    ("projected", &[("defaultMode", Default::Number(FILE_MODE))]),
    ("hostPath", &[("type", Default::Text(""))]),
    ("iscsi", &[("iscsiInterface", Default::Text("default"))]),
    (
        "rbd",
        &[
            ("pool", Default::Text("rbd")),
            ("user", Default::Text("admin")),
            ("keyring", Default::Text("/etc/ceph/keyring")),
        ],
    ),
    (
        "azureDisk",
        &[
            ("cachingMode", Default::Text("ReadWrite")),
            ("kind", Default::Text("Shared")),
            ("fsType", Default::Text("ext4")),
            ("readOnly", Default::Flag(false)),
        ],
    ),
    ("scaleIO", &[("storageMode", Default::Text("ThinProvisioned")), ("fsType", Default::Text("xfs"))]),
];

/// A default in a constant table.
#[derive(Clone)]
enum Default {
    Number(i64),
    Text(&'static str),
    Flag(bool),
}

impl From<Default> for Value {
    fn from(default: Default) -> Self {
        match default {
            Default::Number(n) => Value::from(n),
            Default::Text(t) => Value::from(t),
            Default::Flag(f) => Value::from(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policy_follows_the_tag() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("localhost:5000/a/b", "Always"),
            ("localhost:5000/a/b:2", "IfNotPresent"),
            ("a@sha256:0123", "IfNotPresent"),
            ("a:latest@sha256:0123", "Always"),
            ("registry.example/Upper", "IfNotPresent"),
            ("", "IfNotPresent"),
            ("a:", "IfNotPresent"),
            ("[::1]:5000/a", "Always"),
            ("../up", "IfNotPresent"),
            ("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn a_pod_gets_its_defaults_once() {
        let mut object = json!({"spec": {"hostNetwork": true, "volumes": [{"name": "e"},
            {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {"name": "s", "secret": {"secretName": "x"}}],
            "containers": [{"name": "c", "image": "a:1", "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
                "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5}}],
            "serviceAccount": "old"}});
        pod(&mut object);
        let spec = &object["spec"];
        assert_eq!(spec["volumes"][0]["emptyDir"], json!({}));
        assert_eq!(
            spec["volumes"][1]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"],
            3600
        );
        assert_eq!(spec["volumes"][2]["secret"]["defaultMode"], 420);
        let container = &spec["containers"][0];
        assert_eq!(container["resources"]["requests"], json!({"cpu": "500m", "memory": "1Gi"}));
        assert_eq!(container["ports"][0], json!({"containerPort": 80, "hostPort": 80, "protocol": "TCP"}));
        assert_eq!(
            container["livenessProbe"],
            json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "periodSeconds": 5,
                "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3})
        );
        assert_eq!(spec["serviceAccountName"], "old");
        let once = object.clone();
        pod(&mut object);
        assert_eq!(object, once);
    }
}
