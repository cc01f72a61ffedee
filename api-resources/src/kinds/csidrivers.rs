//! CSI drivers, and the nodes that have them.

use super::generic::plain;
use super::place::{
    Causes, Place, immutable, invalid_all, lookup, map_at, not_changed, not_negative, one_of, require,
    set_default,
};
use super::pods_volumes::driver_name;
use crate::resource::Strategy;
use crate::{internal, names};
use api_types::Cause;
use serde_json::{Value, json};

const MIN_UPDATE_PERIOD: i64 = 10;
const NODE_ID_MAX: usize = 256;
/// Off by default in Kubernetes 1.36: dropped from what is written.
const PLACEMENT: &str = "preventPodSchedulingIfMissing";

/// How CSI drivers are written.
pub fn csi_driver() -> Strategy {
    Strategy {
        default: |object| {
            let Some(spec) = map_at(object, "spec") else { return };
            set_default(spec, "attachRequired", true);
            for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
                set_default(spec, field, false);
            }
            set_default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
            if lookup(spec, "volumeLifecycleModes").as_array().is_none_or(Vec::is_empty) {
                spec["volumeLifecycleModes"] = json!(["Persistent"]);
            }
        },
        validate_create: validate_driver,
        validate_update: |new, old| {
            let mut out = validate_driver(new);
            // Kubernetes calls the field so.
            let attach = |object| lookup(object, "spec.attachRequired");
            not_changed(&mut out, "spec.attachedRequired", attach(new), attach(old));
            immutable(&mut out, new, old, "spec.volumeLifecycleModes");
            out
        },
        prepare_create: |object| {
            drop_placement(object);
            // The first change is the first generation.
            if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                meta.remove("generation");
            }
        },
        prepare_update: |new, old| {
            if lookup(old, "spec").get(PLACEMENT).is_none() {
                drop_placement(new);
            }
        },
        warnings: |object| tokens_in_attributes(object).collect(),
        update_warnings: Some(|new, old| {
            let tokens = |object| lookup(object, "spec.tokenRequests");
            tokens_in_attributes(new).filter(|_| tokens(new) != tokens(old)).collect()
        }),
        generation: true,
        unconditional_update: false,
        ..plain()
    }
}

fn drop_placement(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove(PLACEMENT);
    }
}

/// The warning of a driver that gets tokens where attributes of volumes are logged.
fn tokens_in_attributes(object: &Value) -> impl Iterator<Item = String> {
    let spec = Place::root(object).field("spec");
    let warns = !spec.lacks("tokenRequests") && !spec.has("serviceAccountTokenInSecrets");
    let warning = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";
    warns.then(|| warning.to_owned()).into_iter()
}

/// How CSI nodes are written.
pub fn csi_node() -> Strategy {
    Strategy {
        default: |object| {
            if let Some(spec) = map_at(object, "spec") {
                set_default(spec, "drivers", Value::Null);
            }
        },
        validate_create: validate_node,
        validate_update: |new, old| {
            let mut out = validate_node(new);
            drivers_stay(&mut out, new, old);
            out
        },
        unconditional_update: false,
        ..plain()
    }
}

fn validate_driver(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    one_of(&mut out, &spec, "fsGroupPolicy", &["File", "None", "ReadWriteOnceWithFSType"]);
    let mut audiences: Vec<&str> = Vec::new();
    for request in spec.list("tokenRequests") {
        let audience = request.text("audience");
        if audiences.contains(&audience) {
            out.push(Cause::duplicate(request.of("audience"), &Value::from(audience)));
        }
        audiences.push(audience);
        if let Some(seconds) = request.int("expirationSeconds").filter(|s| !(600..=1 << 32).contains(s)) {
            let message = if seconds < 600 {
                "may not specify a duration less than 10 minutes"
            } else {
                "may not specify a duration larger than 2^32 seconds"
            };
            out.push(Cause::invalid(request.of("expirationSeconds"), &Value::from(seconds), message));
        }
    }
    for mode in spec.list("volumeLifecycleModes") {
        if !matches!(mode.as_text(), "Ephemeral" | "Persistent") {
            let supported = ["Persistent", "Ephemeral"];
            out.push(Cause::not_supported(spec.of("volumeLifecycleModes"), mode.value, &supported));
        }
    }
    if let Some(period) = spec.int("nodeAllocatableUpdatePeriodSeconds").filter(|p| *p < MIN_UPDATE_PERIOD) {
        let path = spec.of("nodeAllocatableUpdatePeriodSeconds");
        out.push(Cause::invalid(path, &period.into(), "must be greater than or equal to 10 seconds"));
    }
    if let Some(in_secrets) =
        spec.present("serviceAccountTokenInSecrets").filter(|_| spec.lacks("tokenRequests"))
    {
        let message = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        out.push(Cause::invalid(in_secrets.path, in_secrets.value, message));
    }
    out
}

fn validate_node(object: &Value) -> Causes {
    let mut out = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for driver in Place::root(object).field("spec").list("drivers") {
        driver_name(&mut out, &driver, "name");
        node_id(&mut out, &driver);
        not_negative(&mut out, &driver.field("allocatable"), "count");
        if seen.contains(&driver.text("name")) {
            out.push(Cause::duplicate(driver.of("name"), &Value::from(driver.text("name"))));
        }
        seen.push(driver.text("name"));
        let mut keys: Vec<&str> = Vec::new();
        for key in driver.list("topologyKeys") {
            if key.as_text().is_empty() {
                out.push(Cause::required(&driver.path, ""));
            }
            if keys.contains(&key.as_text()) {
                out.push(Cause::duplicate(&driver.path, key.value));
            }
            keys.push(key.as_text());
            invalid_all(&mut out, &driver.path, key.as_text(), names::qualified_name(key.as_text()));
        }
    }
    out
}

fn node_id(out: &mut Causes, driver: &Place<'_>) {
    if require(out, driver, "nodeID") && driver.text("nodeID").len() > NODE_ID_MAX {
        let id = driver.field("nodeID");
        out.push(Cause::invalid(id.path, id.value, &format!("must be {NODE_ID_MAX} characters or less")));
    }
}

/// Of a driver that was there before only the limits of volumes change.
fn drivers_stay(out: &mut Causes, new: &Value, old: &Value) {
    let drivers = |object| Place::new("spec.drivers", lookup(object, "spec.drivers"));
    let fixed = |driver: &Value| {
        let mut driver = driver.clone();
        if let Some(fields) = driver.as_object_mut() {
            fields.remove("allocatable");
        }
        driver
    };
    for before in drivers(old).elements() {
        for now in drivers(new).elements().filter(|now| now.text("name") == before.text("name")) {
            let mut changed = Vec::new();
            not_changed(&mut changed, "spec.drivers", &fixed(now.value), &fixed(before.value));
            out.extend(changed.into_iter().map(|cause| internal::told_as("storage.v1.CSINodeDriver", cause)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(causes: &[Cause]) -> Vec<String> {
        causes.iter().map(Cause::to_string).collect()
    }

    #[test]
    fn drivers_have_rules() {
        for (spec, wrong) in [
            (json!({"fsGroupPolicy": "File", "volumeLifecycleModes": ["Ephemeral"]}), vec![]),
            (
                json!({"nodeAllocatableUpdatePeriodSeconds": 9}),
                vec![
                    "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
                ],
            ),
            (
                json!({"serviceAccountTokenInSecrets": true}),
                vec![
                    "spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests are specified",
                ],
            ),
            (
                json!({"volumeLifecycleModes": ["Odd"]}),
                vec![
                    "spec.volumeLifecycleModes: Unsupported value: \"Odd\": supported values: \"Persistent\", \"Ephemeral\"",
                ],
            ),
        ] {
            assert_eq!(told(&validate_driver(&json!({"spec": spec}))), wrong, "{spec}");
        }
    }

    #[test]
    fn tokens_in_attributes_are_warned_of() {
        let rules = csi_driver();
        let (bare, tokens) = (json!({"spec": {}}), json!({"spec": {"tokenRequests": [{"audience": "a"}]}}));
        let safe =
            json!({"spec": {"tokenRequests": [{"audience": "a"}], "serviceAccountTokenInSecrets": false}});
        let on_update = rules.update_warnings.unwrap();
        assert_eq!((rules.warnings)(&tokens).len(), 1);
        assert_eq!((rules.warnings)(&bare).len() + (rules.warnings)(&safe).len(), 0);
        assert_eq!((on_update(&tokens, &bare).len(), on_update(&tokens, &tokens).len()), (1, 0));
    }

    #[test]
    fn of_a_nodes_driver_only_the_limits_change() {
        let node = |id: &str, count: i64, keys: &[&str]| {
            json!({"spec": {"drivers": [{"name": "a.b", "nodeID": id, "topologyKeys": keys,
                "allocatable": {"count": count}}]}})
        };
        let (old, rules) = (node("n", 5, &["a/b"]), csi_node());
        assert!((rules.validate_update)(&node("n", 6, &["a/b"]), &old).is_empty());
        let other = told(&(rules.validate_update)(&node("m", 5, &["a/b"]), &old));
        assert!(
            other[0].starts_with("spec.drivers: Invalid value: ") && other[0].ends_with("field is immutable")
        );
        assert_eq!(
            told(&(rules.validate_create)(&node("n", -1, &["a/b", "a/b"]))),
            [
                "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
                "spec.drivers[0]: Duplicate value: \"a/b\"",
            ]
        );
    }
}
