//! Parameter values set in a component's workload.

use crate::field_path::FieldPath;
use crate::problem::{Cause, Problem};
use api_types::oam::{ComponentParameter, ParameterValue};
use serde_json::Value;
use std::collections::BTreeMap;

/// Sets the values in the workload. Every defect is told, not only the first.
pub fn set_parameters(
    workload: &mut Value,
    declared: &[ComponentParameter],
    values: &[ParameterValue],
) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut by_name: BTreeMap<&str, &ComponentParameter> = BTreeMap::new();
    for parameter in declared {
        if by_name.insert(&parameter.name, parameter).is_some() {
            problems.push(Problem::new(
                Cause::DuplicateParameter,
                format!("the component declares parameter {:?} twice", parameter.name),
            ));
        }
    }
    let mut given: BTreeMap<&str, &Value> = BTreeMap::new();
    for ParameterValue { name, value } in values {
        if !by_name.contains_key(name.as_str()) {
            let known: Vec<&str> = by_name.keys().copied().collect();
            problems.push(Problem::new(
                Cause::UnknownParameter,
                format!("the component has no parameter {name:?}; it has {known:?}"),
            ));
        } else if given.insert(name, value).is_some() {
            problems
                .push(Problem::new(Cause::DuplicateParameter, format!("parameter {name:?} has two values")));
        } else if !(value.is_string() || value.is_number() || value.is_boolean()) {
            problems.push(Problem::new(
                Cause::InvalidParameter,
                format!("the value of parameter {name:?} must be a string, a number or a boolean"),
            ));
        }
    }
    let mut paths: BTreeMap<String, &str> = BTreeMap::new();
    for parameter in declared {
        let Some(value) = given.get(parameter.name.as_str()) else {
            if parameter.required.unwrap_or(false) {
                problems.push(Problem::new(
                    Cause::MissingParameter,
                    format!("parameter {:?} is required and has no value", parameter.name),
                ));
            }
            continue;
        };
        for text in &parameter.field_paths {
            let set = FieldPath::parse(text).and_then(|path| {
                path.set(workload, (*value).clone())?;
                Ok(path)
            });
            match set {
                Ok(path) => {
                    if let Some(other) = paths.insert(path.to_string(), &parameter.name)
                        && other != parameter.name
                    {
                        problems.push(Problem::new(
                            Cause::DuplicateParameter,
                            format!("parameters {other:?} and {:?} both set {text:?}", parameter.name),
                        ));
                    }
                }
                Err(error) => problems.push(Problem::new(
                    Cause::InvalidParameter,
                    format!("parameter {:?}: {error}", parameter.name),
                )),
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn declared() -> Vec<ComponentParameter> {
        serde_json::from_value(json!([
            {"name": "image", "fieldPaths": ["spec.containers[0].image"], "required": true},
            {"name": "tier", "fieldPaths": ["metadata.labels.tier", "metadata.annotations[example.com/tier]"]},
            {"name": "port", "fieldPaths": ["spec.containers[0].ports[0].containerPort"]},
        ]))
        .unwrap()
    }

    fn values(json: Value) -> Vec<ParameterValue> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn values_keep_their_type_and_reach_every_path() {
        let mut workload = json!({"spec": {"containers": [{"name": "web", "image": "old"}]}});
        let values =
            values(json!([{"name": "image", "value": "nginx:1"}, {"name": "tier", "value": "front"},
            {"name": "port", "value": 8080}]));
        set_parameters(&mut workload, &declared(), &values).unwrap();
        assert_eq!(
            workload,
            json!({"metadata": {"labels": {"tier": "front"}, "annotations": {"example.com/tier": "front"}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1", "ports": [{"containerPort": 8080}]}]}})
        );
    }

    #[test]
    fn every_defect_is_told() {
        for (given, expected) in [
            (json!([]), vec![Cause::MissingParameter]),
            (
                json!([{"name": "image", "value": "a"}, {"name": "image", "value": "b"}]),
                vec![Cause::DuplicateParameter],
            ),
            (
                json!([{"name": "image", "value": "a"}, {"name": "nope", "value": "b"}]),
                vec![Cause::UnknownParameter],
            ),
            (json!([{"name": "image", "value": ["a"]}]), vec![Cause::InvalidParameter]),
            (json!([{"name": "nope", "value": 1}]), vec![Cause::UnknownParameter, Cause::MissingParameter]),
        ] {
            let mut workload = json!({"spec": {"containers": [{}]}});
            let problems = set_parameters(&mut workload, &declared(), &values(given.clone())).unwrap_err();
            assert_eq!(problems.iter().map(|p| p.cause).collect::<Vec<_>>(), expected, "{given}");
        }
    }

    #[test]
    fn declarations_that_clash_are_refused() {
        let twice: Vec<ComponentParameter> = serde_json::from_value(
            json!([{"name": "a", "fieldPaths": ["spec.x"]}, {"name": "a", "fieldPaths": []}]),
        )
        .unwrap();
        let problems = set_parameters(&mut json!({}), &twice, &[]).unwrap_err();
        assert_eq!(problems[0].cause, Cause::DuplicateParameter);
        let same: Vec<ComponentParameter> = serde_json::from_value(
            json!([{"name": "a", "fieldPaths": ["spec.x"]}, {"name": "b", "fieldPaths": ["spec.x"]}]),
        )
        .unwrap();
        let given = values(json!([{"name": "a", "value": 1}, {"name": "b", "value": 2}]));
        assert_eq!(
            set_parameters(&mut json!({}), &same, &given).unwrap_err()[0].cause,
            Cause::DuplicateParameter
        );
        let given = values(json!([{"name": "a", "value": 1}]));
        assert_eq!(
            set_parameters(&mut json!({"spec": 3}), &same, &given).unwrap_err()[0].cause,
            Cause::InvalidParameter
        );
    }
}
