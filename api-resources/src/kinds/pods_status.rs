//! The status of a pod, which nodes write: what they leave out, and its rules.

use super::place::{Causes, Place, each_mut, invalid_all, lookup, map_at, require, require_with};
use super::pods_update::annotations;
use super::services_validation::known_or_ip;
use crate::names;
use api_types::{Cause, CauseReason};
use serde_json::Value;
use std::net::IpAddr;

/// The conditions whose names need not be looked at.
const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];
/// The lists of containers' statuses, and where the containers are.
const LISTS: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

/// What older nodes leave out stays: the class of service, and which generations they have seen.
pub(super) fn prepare(new: &mut Value, old: &Value) {
    let old = lookup(old, "status");
    let Some(status) = map_at(new, "status") else { return };
    let empty = |value: &Value| value.is_null() || value.as_i64() == Some(0) || value.as_str() == Some("");
    for field in ["qosClass", "observedGeneration"] {
        if empty(lookup(status, field)) && !empty(lookup(old, field)) {
            status[field] = lookup(old, field).clone();
        }
    }
    let mut known: Vec<&Value> = lookup(old, "conditions").as_array().into_iter().flatten().collect();
    for condition in each_mut(status, "conditions") {
        let Some(at) = known.iter().position(|old| old["type"] == condition["type"]) else { continue };
        let seen = &known.remove(at)["observedGeneration"];
        if empty(&condition["observedGeneration"]) && !empty(seen) {
            condition["observedGeneration"] = seen.clone();
        }
    }
}

/// The rules of a status.
pub(super) fn validate(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    annotations(&mut out, new, old);
    let (status, old_status) = (Place::root(new).field("status"), Place::root(old).field("status"));
    for condition in status.list("conditions") {
        seen(&mut out, &condition);
        let kind = condition.text("type");
        if !SYSTEM_CONDITIONS.contains(&kind) {
            // Kubernetes spells the path with a capital letter.
            invalid_all(&mut out, &condition.of("Type"), kind, names::qualified_name(kind));
        }
    }
    let node = status.text("nominatedNodeName");
    if !node.is_empty() && node != old_status.text("nominatedNodeName") {
        invalid_all(&mut out, &status.of("nominatedNodeName"), node, names::dns_subdomain(node));
        if !lookup(old, "spec.nodeName").as_str().unwrap_or("").is_empty() {
            out.push(Cause::forbidden(
                status.of("nominatedNodeName"),
                "may not be set on pods that are already bound to a node",
            ));
        }
    }
    seen(&mut out, &status);
    let class = status.text("qosClass");
    if class != old_status.text("qosClass") {
        out.push(Cause::invalid(status.of("qosClass"), &Value::from(class), "field is immutable"));
    }
    not_restarted(&mut out, new, &status, &old_status);
    let spec = Place::root(new).field("spec");
    claims(&mut out, &status, &spec);
    extended_claim(&mut out, &status, &spec);
    ips(&mut out, &status, &old_status, "podIPs");
    ips(&mut out, &status, &old_status, "hostIPs");
    for (list, _) in LISTS {
        status.list(list).for_each(|container| user(&mut out, &container, &spec));
    }
    for (list, of) in LISTS {
        status.list(list).for_each(|container| allocated(&mut out, &container, &spec, of));
    }
    out
}

/// Which generation something was seen at.
fn seen(out: &mut Causes, at: &Place<'_>) {
    if at.int("observedGeneration").is_some_and(|generation| generation < 0) {
        let generation = at.field("observedGeneration");
        out.push(Cause::invalid(generation.path, generation.value, "must be a non-negative integer"));
    }
}

/// A container that ended and may not restart stays ended.
fn not_restarted(out: &mut Causes, pod: &Value, status: &Place<'_>, old: &Place<'_>) {
    let policy = lookup(pod, "spec.restartPolicy").as_str().unwrap_or("Always");
    let lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    for (list, of) in lists.iter().zip(["containers", "initContainers", ""]) {
        for (i, before) in old.list(list).enumerate() {
            let terminated = before.field("state").field("terminated");
            if terminated.value.is_null() {
                continue;
            }
            let own = lookup(pod, "spec").get(of).and_then(Value::as_array).into_iter().flatten();
            let container = own.clone().find(|c| c["name"] == before.text("name"));
            let policy = container.and_then(|c| c["restartPolicy"].as_str()).unwrap_or(policy);
            let has_rules = container.is_some_and(|c| !c["restartPolicyRules"].is_null());
            let failed = terminated.int("exitCode").unwrap_or(0) != 0;
            let may =
                !of.is_empty() && (policy == "Always" || has_rules || (policy == "OnFailure" && failed));
            let now = status.list(list).find(|s| s.text("name") == before.text("name"));
            if !may && now.is_some_and(|s| s.field("state").field("terminated").value.is_null()) {
                out.push(Cause::forbidden(
                    format!("status.{list}[{i}].state"),
                    "may not be transitioned to non-terminated state",
                ));
            }
        }
    }
}

/// The claims that were made for the pod's own.
fn claims(out: &mut Causes, status: &Place<'_>, spec: &Place<'_>) {
    let known: Vec<&str> = spec.list("resourceClaims").map(|claim| claim.text("name")).collect();
    let mut told: Vec<&str> = Vec::new();
    for claim in status.list("resourceClaimStatuses") {
        let (path, name) = (claim.of("name"), claim.text("name"));
        if !known.contains(&name) {
            let message = "must match the name of an entry in `spec.resourceClaims`";
            out.push(Cause::invalid(&path, &Value::from(name), message));
        }
        if told.contains(&name) {
            out.push(Cause::duplicate(path, &Value::from(name)));
        }
        told.push(name);
        if let Some(made) = claim.present("resourceClaimName") {
            invalid_all(out, &made.path, made.as_text(), names::dns_subdomain(made.as_text()));
        }
    }
}

/// The claim that was made for extended resources (KEP-5004).
fn extended_claim(out: &mut Causes, status: &Place<'_>, spec: &Place<'_>) {
    let Some(at) = status.present("extendedResourceClaimStatus") else { return };
    require_with(out, &at, "requestMappings", "at least one request mapping is required");
    let containers = || ["initContainers", "containers"].into_iter().flat_map(|list| spec.list(list));
    let mut told = Vec::new();
    for mapping in at.list("requestMappings") {
        let fields = ["containerName", "resourceName", "requestName"];
        let [container, resource, request] = fields.map(|field| mapping.text(field));
        match containers().find(|c| c.text("name") == container) {
            Some(found) if !found.field("resources").field("requests").has(resource) => {
                let message = "must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests";
                out.push(Cause::invalid(mapping.of("resourceName"), &Value::from(resource), message));
            }
            Some(_) => {}
            None => {
                let message =
                    "must match the name of an entry in spec.initContainers.name or spec.containers.name";
                out.push(Cause::invalid(mapping.of("containerName"), &Value::from(container), message));
            }
        }
        invalid_all(out, &at.of("requestName"), request, names::dns_label(request));
        if told.contains(&(container, resource, request)) {
            out.extend(fields.map(|f| Cause::duplicate(mapping.of(f), &Value::from(mapping.text(f)))));
        }
        told.push((container, resource, request));
    }
    if require(out, &at, "resourceClaimName") {
        let name = at.text("resourceClaimName");
        invalid_all(out, &at.of("resourceClaimName"), name, names::dns_subdomain(name));
    }
}

/// As whom a container runs.
fn user(out: &mut Causes, container: &Place<'_>, spec: &Place<'_>) {
    let Some(linux) = container.field("user").present("linux") else { return };
    if spec.field("os").text("name") == "windows" {
        out.push(Cause::forbidden(linux.path, "cannot be set for a windows pod"));
        return;
    }
    let ids = ["uid", "gid"].map(|field| linux.field(field));
    for id in ids.into_iter().chain(linux.list("supplementalGroups")) {
        for message in names::user_id(id.value.as_i64().unwrap_or(0)) {
            out.push(Cause::invalid(&id.path, id.value, &message));
        }
    }
}

/// How the devices of a container are: of what it asked for.
fn allocated(out: &mut Causes, status: &Place<'_>, spec: &Place<'_>, list: &str) {
    let container = spec.list(list).find(|c| c.text("name") == status.text("name"));
    for resource in status.list("allocatedResourcesStatus") {
        let name = resource.text("name");
        if let Some(container) = &container {
            let resources = container.field("resources");
            let (known, message) = match name.strip_prefix("claim:") {
                Some(claim) => (
                    resources.list("claims").any(|own| match own.text("request") {
                        "" => own.text("name") == claim,
                        request => claim == format!("{}/{request}", own.text("name")),
                    }),
                    "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty",
                ),
                None => (
                    resources.field("requests").has(name),
                    "must match one of the container's resource requests",
                ),
            };
            if !known {
                out.push(Cause::invalid(resource.of("name"), &Value::from(name), message));
            }
        }
        let mut ids = Vec::new();
        for device in resource.list("resources") {
            let (health, id) = (device.text("health"), device.text("resourceID"));
            let supported = ["Healthy", "Unhealthy", "Unknown"];
            if !supported.contains(&health) {
                out.push(Cause::not_supported(device.of("health"), &Value::from(health), &supported));
            }
            if ids.contains(&id) {
                out.push(Cause::duplicate(device.of("resourceID"), &Value::from(id)));
            }
            ids.push(id);
        }
    }
}

/// One address, or one of each family.
fn ips(out: &mut Causes, status: &Place<'_>, old: &Place<'_>, list: &str) {
    let known: Vec<&str> = old.list(list).map(|i| i.text("ip")).collect();
    let all: Vec<&str> = status.list(list).map(|i| i.text("ip")).collect();
    if list == "hostIPs" && all.first().is_some_and(|ip| *ip != status.text("hostIP")) {
        let at = format!("status.{list}[0].ip");
        out.push(Cause::invalid(at, &Value::from(all[0]), "must be equal to `hostIP`"));
    }
    for ip in status.list(list) {
        known_or_ip(out, &Place::new(ip.path.clone(), ip.field("ip").value), &known);
    }
    if all.len() < 2 {
        return;
    }
    let at = status.field(list);
    let parsed: Vec<Option<IpAddr>> = all.iter().map(|ip| ip.parse().ok()).collect();
    if let Some(wrong) = parsed.iter().position(Option::is_none) {
        let why = format!("failed to check for dual stack with error:invalid IP[{wrong}]: {}", all[wrong]);
        out.push(Cause::new(CauseReason::InternalError, &at.path, format!("Internal error: {why}")));
    }
    let six = parsed.iter().flatten().filter(|ip| ip.is_ipv6()).count();
    if all.len() != 2 || six != 1 || parsed.contains(&None) {
        out.push(Cause::invalid(at.path, at.value, "may specify no more than one IP for each IP family"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(status: Value) -> Vec<String> {
        let old = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}],
            "resourceClaims": [{"name": "r"}]}});
        let mut new = old.clone();
        new["status"] = status;
        validate(&new, &old).iter().map(Cause::to_string).collect()
    }

    #[test]
    fn what_a_node_leaves_out_stays() {
        let old = json!({"status": {"qosClass": "Burstable", "observedGeneration": 2,
            "conditions": [{"type": "Ready", "observedGeneration": 2}]}});
        let mut new =
            json!({"status": {"conditions": [{"type": "Ready"}, {"type": "Ready"}, {"type": "a"}]}});
        prepare(&mut new, &old);
        assert_eq!(
            new["status"],
            json!({"qosClass": "Burstable", "observedGeneration": 2, "conditions": [
                {"type": "Ready", "observedGeneration": 2}, {"type": "Ready"}, {"type": "a"}]})
        );
        let mut gone = json!({});
        prepare(&mut gone, &old);
        assert_eq!(gone["status"]["qosClass"], "Burstable");
    }

    #[test]
    fn each_rule_refuses() {
        let container = |more: Value| {
            let mut status = json!({"name": "c"});
            status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"containerStatuses": [status]})
        };
        for (status, expected) in [
            (json!({"conditions": [{"type": "Ready"}, {"type": "Ready"}]}), vec![]),
            (
                json!({"observedGeneration": -1}),
                vec!["status.observedGeneration: Invalid value: -1: must be a non-negative integer"],
            ),
            (json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}), vec![]),
            (
                json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}),
                vec![
                    "status.podIPs: Invalid value: [{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.2\"}]: may specify no more than one IP for each IP family",
                ],
            ),
            (
                container(json!({"user": {"linux": {"uid": -1, "gid": 0}}})),
                vec![
                    "status.containerStatuses[0].user.linux.uid: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                ],
            ),
            (
                container(
                    json!({"allocatedResourcesStatus": [{"name": "cpu"}, {"name": "gpu"}, {"name": "claim:x"}]}),
                ),
                vec![
                    "status.containerStatuses[0].allocatedResourcesStatus[1].name: Invalid value: \"gpu\": must match one of the container's resource requests",
                    "status.containerStatuses[0].allocatedResourcesStatus[2].name: Invalid value: \"claim:x\": must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty",
                ],
            ),
            (
                json!({"resourceClaimStatuses": [{"name": "r"}, {"name": "x"}]}),
                vec![
                    "status.resourceClaimStatuses[1].name: Invalid value: \"x\": must match the name of an entry in `spec.resourceClaims`",
                ],
            ),
            (
                json!({"extendedResourceClaimStatus": {"requestMappings": [
                    {"containerName": "x", "resourceName": "a", "requestName": "q"}], "resourceClaimName": "n"}}),
                vec![
                    "status.extendedResourceClaimStatus.requestMappings[0].containerName: Invalid value: \"x\": must match the name of an entry in spec.initContainers.name or spec.containers.name",
                ],
            ),
        ] {
            assert_eq!(told(status.clone()), expected, "{status}");
        }
    }
}
