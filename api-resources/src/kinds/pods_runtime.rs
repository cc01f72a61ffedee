//! What a runtime class adds to pods that name it (KEP-585, KEP-688): its overhead, and where they may run.

use super::place::{lookup, map_at, object_at};
use super::sameness::same;
use serde_json::Value;

/// Adds to a new pod what its runtime class says.
///
/// # Errors
/// A text for 403 when the pod itself says something else.
pub fn runtime_class_admission(pod: &mut Value, class: &Value) -> Result<(), String> {
    let Some(spec) = object_at(pod, "spec") else { return Ok(()) };
    if let Some(overhead) = class.get("overhead").filter(|overhead| !overhead.is_null()) {
        let fixed = lookup(overhead, "podFixed");
        let own = lookup(spec, "overhead").as_object().is_some_and(|own| !own.is_empty());
        if own && !same(fixed, lookup(spec, "overhead")) {
            return Err(MISMATCH.to_owned());
        }
        spec["overhead"] = fixed.clone();
    }
    let selector = lookup(class, "scheduling.nodeSelector").as_object();
    for (key, value) in selector.into_iter().flatten() {
        let Some(own) = map_at(spec, "nodeSelector").and_then(Value::as_object_mut) else { break };
        match own.get(key) {
            Some(said) if said != value => {
                let (value, said) = (value.as_str().unwrap_or(""), said.as_str().unwrap_or(""));
                return Err(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {said}"
                ));
            }
            _ => own.insert(key.clone(), value.clone()),
        };
    }
    if class.get("scheduling").is_some_and(|scheduling| !scheduling.is_null()) {
        let list = |tolerations: &Value| tolerations.as_array().cloned().unwrap_or_default();
        let mut all = list(lookup(spec, "tolerations"));
        all.extend(list(lookup(class, "scheduling.tolerations")));
        spec["tolerations"] = merged(&all).into();
    }
    Ok(())
}

const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

/// A new pod costs more only by what its runtime class says.
///
/// # Errors
/// A text for 403.
pub fn overhead_is_of_class(pod: &Value, class: Option<&Value>) -> Result<(), String> {
    let own = lookup(pod, "spec.overhead");
    match class.and_then(|class| class.get("overhead")).filter(|overhead| !overhead.is_null()) {
        Some(overhead) if !same(own, lookup(overhead, "podFixed")) => Err(MISMATCH.to_owned()),
        None if !own.is_null() => {
            Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
                .to_owned())
        }
        _ => Ok(()),
    }
}

/// Tolerations without those that others include. Of equal ones the first stays.
fn merged(all: &[Value]) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for (at, toleration) in all.iter().enumerate() {
        let kept = out.iter().any(|other| includes(other, toleration));
        let later = all[at + 1..].iter().any(|other| !same(other, toleration) && includes(other, toleration));
        if !kept && !later {
            out.push(toleration.clone());
        }
    }
    out
}

/// True when the first tolerates all that the second does.
fn includes(wide: &Value, narrow: &Value) -> bool {
    if same(wide, narrow) {
        return true;
    }
    let text = |toleration: &'_ Value, field: &str| toleration[field].as_str().unwrap_or("").to_owned();
    let exists = text(wide, "operator") == "Exists";
    let (key, effect) = (text(wide, "key"), text(wide, "effect"));
    if (key != text(narrow, "key") && !(key.is_empty() && exists))
        || (effect != text(narrow, "effect") && !effect.is_empty())
    {
        return false;
    }
    if effect == "NoExecute"
        && let Some(seconds) = wide["tolerationSeconds"].as_i64()
        && narrow["tolerationSeconds"].as_i64().is_none_or(|narrow| narrow > seconds)
    {
        return false;
    }
    match text(wide, "operator").as_str() {
        "Equal" | "" => text(narrow, "operator") == "Equal" && text(wide, "value") == text(narrow, "value"),
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn admitted(spec: Value, class: Value) -> Result<Value, String> {
        let mut pod = json!({"spec": spec});
        runtime_class_admission(&mut pod, &class)?;
        overhead_is_of_class(&pod, Some(&class))?;
        Ok(pod["spec"].take())
    }

    #[test]
    fn a_class_adds_its_overhead_and_where_pods_may_run() {
        let class = json!({"overhead": {"podFixed": {"cpu": "250m"}}, "scheduling": {
            "nodeSelector": {"runtime": "kata"},
            "tolerations": [{"key": "kata", "operator": "Exists"}, {"key": "a", "operator": "Equal", "value": "b"}]}});
        let added = json!({"overhead": {"cpu": "250m"}, "nodeSelector": {"runtime": "kata"},
            "tolerations": [{"key": "kata", "operator": "Exists"}, {"key": "a", "operator": "Equal", "value": "b"}]});
        assert_eq!(admitted(json!({}), class.clone()), Ok(added.clone()));
        assert_eq!(admitted(added.clone(), class.clone()), Ok(added));
        let narrow = json!([{"key": "kata", "operator": "Equal", "value": "x", "effect": "NoSchedule"}]);
        let spec =
            admitted(json!({"nodeSelector": {"disk": "ssd"}, "tolerations": narrow}), class.clone()).unwrap();
        assert_eq!(spec["nodeSelector"], json!({"disk": "ssd", "runtime": "kata"}));
        assert_eq!(spec["tolerations"], class["scheduling"]["tolerations"]);
    }

    #[test]
    fn what_a_pod_says_otherwise_is_refused() {
        let class =
            json!({"overhead": {"podFixed": {"cpu": "250m"}}, "scheduling": {"nodeSelector": {"a": "b"}}});
        for (spec, class, told) in [
            (json!({"overhead": {"cpu": "1"}}), class.clone(), MISMATCH),
            (
                json!({"nodeSelector": {"a": "c"}}),
                class,
                "conflict: runtimeClass.scheduling.nodeSelector[a] = b; pod.spec.nodeSelector[a] = c",
            ),
            (
                json!({"overhead": {"cpu": "1"}}),
                json!({}),
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            ),
        ] {
            assert_eq!(admitted(spec, class), Err(told.to_owned()));
        }
    }

    #[test]
    fn wider_tolerations_stand_for_narrower_ones() {
        let table = [
            (json!([{"operator": "Exists"}, {"key": "a", "operator": "Equal", "value": "b"}]), vec![0]),
            (
                json!([{"key": "a", "operator": "Equal", "value": "b"}, {"key": "a", "operator": "Exists"}]),
                vec![1],
            ),
            (json!([{"key": "a", "operator": "Equal"}, {"key": "b", "operator": "Equal"}]), vec![0, 1]),
            (
                json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5},
                    {"key": "a", "operator": "Exists", "effect": "NoExecute"}]),
                vec![1],
            ),
            (json!([{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]), vec![0]),
        ];
        for (all, kept) in table {
            let all = all.as_array().unwrap();
            let kept: Vec<Value> = kept.into_iter().map(|at: usize| all[at].clone()).collect();
            assert_eq!(merged(all), kept, "{all:?}");
        }
    }
}
