//! Storage classes and classes of volume attributes.

use super::generic::{add_finalizer, plain};
use super::place::{
    Causes, Place, immutable, invalid_all, lookup, one_of, require, require_with, set_default,
};
use super::sameness::same;
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const PARAMETERS_MAX: usize = 256 * 1024;
const PARAMETERS_MAX_COUNT: usize = 512;
const BINDING_MODES: &[&str] = &["Immediate", "WaitForFirstConsumer"];

/// How storage classes are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            set_default(object, "reclaimPolicy", "Delete");
            set_default(object, "volumeBindingMode", "Immediate");
        },
        validate_create: validate,
        validate_update: |new, old| {
            let mut out = validate(new);
            for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
                if !same(lookup(new, field), lookup(old, field)) {
                    immutable(&mut out, new, old, field);
                }
            }
            out
        },
        ..plain()
    }
}

/// How classes of volume attributes are written.
pub fn volume_attributes_class() -> Strategy {
    Strategy {
        prepare_create: |object| add_finalizer(object, "kubernetes.io/vac-protection"),
        validate_create: validate_attributes,
        validate_update: |new, old| {
            let changed = ["driverName", "parameters"]
                .into_iter()
                .filter(|field| !same(lookup(new, field), lookup(old, field)))
                .map(|field| Cause::forbidden(field, &format!("updates to {field} are forbidden.")));
            changed.chain(validate_attributes(new)).collect()
        },
        ..plain()
    }
}

fn validate_attributes(object: &Value) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    provisioner(&mut out, &root, "driverName");
    parameters(&mut out, &root);
    require_with(&mut out, &root, "parameters", "must contain at least one key/value pair");
    out
}

fn validate(object: &Value) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    provisioner(&mut out, &root, "provisioner");
    parameters(&mut out, &root);
    if !root.lacks("reclaimPolicy") {
        one_of(&mut out, &root, "reclaimPolicy", &["Delete", "Retain"]);
    }
    if root.has("volumeBindingMode") {
        one_of(&mut out, &root, "volumeBindingMode", BINDING_MODES);
    } else {
        out.push(Cause::required("volumeBindingMode", ""));
    }
    topologies(&mut out, &root);
    out
}

/// Where volumes may be: no key, no value and no whole term twice. Terms count as their keys and sets of values; one
/// without any is told as if it was there once for each term.
fn topologies(out: &mut Causes, root: &Place<'_>) {
    let terms: Vec<Place<'_>> = root.list("allowedTopologies").collect();
    let mut seen: Vec<BTreeMap<&str, BTreeSet<&str>>> = vec![BTreeMap::new(); terms.len()];
    for term in terms {
        let mut requirements = BTreeMap::new();
        for expression in term.list("matchLabelExpressions") {
            let key = expression.text("key");
            let values = topology_values(out, &expression);
            invalid_all(out, &expression.of("key"), key, names::qualified_name(key));
            if requirements.insert(key, values).is_some() {
                out.push(Cause::duplicate(expression.of("key"), &Value::from(key)));
            }
        }
        for _ in seen.iter().filter(|other| **other == requirements) {
            out.push(Cause::duplicate(term.of("matchLabelExpressions"), &Value::from("")));
        }
        seen.push(requirements);
    }
}

fn topology_values<'a>(out: &mut Causes, expression: &Place<'a>) -> BTreeSet<&'a str> {
    let mut values = BTreeSet::new();
    require(out, expression, "values");
    for value in expression.list("values") {
        if !values.insert(value.as_text()) {
            out.push(Cause::duplicate(&value.path, value.value));
        }
    }
    values
}

fn provisioner(out: &mut Causes, root: &Place<'_>, field: &str) {
    if require(out, root, field) {
        let name = root.text(field).to_lowercase();
        invalid_all(out, &root.of(field), &name, names::qualified_name(&name));
    }
}

fn parameters(out: &mut Causes, root: &Place<'_>) {
    let all = || root.map("parameters");
    if all().count() > PARAMETERS_MAX_COUNT {
        out.push(Cause::too_long("parameters", PARAMETERS_MAX_COUNT));
        return;
    }
    if all().any(|(key, _)| key.is_empty()) {
        out.push(Cause::invalid("parameters", &Value::from(""), "field can not be empty."));
    }
    let size: usize = all().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > PARAMETERS_MAX {
        out.push(Cause::too_long("parameters", PARAMETERS_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(object: &Value) -> Vec<String> {
        validate(object).iter().map(Cause::to_string).collect()
    }

    #[test]
    fn topologies_say_nothing_twice() {
        let term = |key: &str, values: &[&str]| json!({"key": key, "values": values});
        for (terms, wrong) in [
            (json!([{"matchLabelExpressions": [term("a", &["x", "y"])]}]), vec![]),
            (
                json!([{"matchLabelExpressions": [term("a", &["x", "x"])]}]),
                vec!["allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"x\""],
            ),
            (
                json!([{"matchLabelExpressions": [term("a", &["x"]), term("a", &["y"])]}]),
                vec!["allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"a\""],
            ),
            (
                json!([{"matchLabelExpressions": [term("a", &["x", "y"])]},
                    {"matchLabelExpressions": [term("a", &["y", "x"])]}]),
                vec!["allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\""],
            ),
            (json!([{}]), vec!["allowedTopologies[0].matchLabelExpressions: Duplicate value: \"\""]),
        ] {
            let class = json!({"provisioner": "a.b/c", "volumeBindingMode": "Immediate",
                "allowedTopologies": terms});
            assert_eq!(told(&class), wrong, "{terms}");
        }
    }

    #[test]
    fn attributes_never_change() {
        let old = json!({"driverName": "a.b", "parameters": {"a": "b"}});
        let rules = volume_attributes_class();
        assert!((rules.validate_update)(&old, &old).is_empty());
        let causes = (rules.validate_update)(&json!({"driverName": "c.d"}), &old);
        assert_eq!(
            causes.iter().map(Cause::to_string).collect::<Vec<_>>(),
            [
                "driverName: Forbidden: updates to driverName are forbidden.",
                "parameters: Forbidden: updates to parameters are forbidden.",
                "parameters: Required value: must contain at least one key/value pair",
            ]
        );
    }
}
