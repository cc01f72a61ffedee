//! Autoscalers: stored as `autoscaling/v2`. `v1` has one metric, the use of the processor; what else there is travels
//! in annotations, so that nothing is lost by who reads and writes through `v1`.

use super::metrics::{self, of_spec, of_status};
use crate::kinds::place::lookup;
use crate::resource::Converter;
use serde_json::{Map, Value, json};

pub(super) const V1: Converter = Converter { to_stored, from_stored };

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const SCALE_DOWN_TOLERANCE: &str = "autoscaling.alpha.kubernetes.io/scale-down-tolerance";
const SCALE_UP_TOLERANCE: &str = "autoscaling.alpha.kubernetes.io/scale-up-tolerance";
const ALL: &[&str] =
    &[METRICS, CURRENT_METRICS, BEHAVIOR, CONDITIONS, SCALE_DOWN_TOLERANCE, SCALE_UP_TOLERANCE];

/// What is wanted of the processor when nothing else is said.
const DEFAULT_PERCENT: i64 = 80;

fn processor(percent: i64) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": percent}}})
}

/// The use of the processor that a metric asks for, which `v1` has a field for.
fn percent(metric: &Value) -> Option<&Value> {
    let resource = &metric["resource"];
    let percent = &resource["target"]["averageUtilization"];
    (metric["type"] == "Resource" && resource["name"] == "cpu" && percent.is_number()).then_some(percent)
}

fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    lookup(object, path).as_array().map(Vec::as_slice).unwrap_or_default()
}

fn from_stored(object: &mut Value) {
    let mut texts: Vec<(&str, String)> = Vec::new();
    let wanted = list(object, "spec.metrics");
    let others: Vec<&Value> = wanted.iter().filter(|metric| percent(metric).is_none()).collect();
    if !others.is_empty() {
        texts.push((METRICS, metrics::write(of_spec(), &others)));
    }
    let current: Vec<&Value> = list(object, "status.currentMetrics").iter().collect();
    if !current.is_empty() {
        texts.push((CURRENT_METRICS, metrics::write(of_status(), &current)));
    }
    let behavior = lookup(object, "spec.behavior");
    if behavior.is_object() {
        texts.push((BEHAVIOR, metrics::write_behavior(behavior)));
    }
    let conditions = list(object, "status.conditions");
    if !conditions.is_empty() {
        texts.push((CONDITIONS, metrics::write_conditions(conditions)));
    }
    let percent_wanted = wanted.iter().find_map(percent).cloned();
    let percent_now = current
        .iter()
        .filter(|metric| metric["type"] == "Resource" && metric["resource"]["name"] == "cpu")
        .map(|metric| &metric["resource"]["current"]["averageUtilization"])
        .rfind(|percent| percent.is_number())
        .cloned();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("metrics");
        spec.remove("behavior");
        spec.extend(percent_wanted.map(|percent| ("targetCPUUtilizationPercentage".to_owned(), percent)));
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentMetrics");
        status.remove("conditions");
        status.extend(percent_now.map(|percent| ("currentCPUUtilizationPercentage".to_owned(), percent)));
    }
    drop_annotations(object);
    if !texts.is_empty() && object["metadata"].is_object() {
        for (name, text) in texts {
            object["metadata"]["annotations"][name] = text.into();
        }
    }
}

fn to_stored(object: &mut Value) {
    let text = |name: &str| object["metadata"]["annotations"].get(name).and_then(Value::as_str);
    let parsed = |name: &str| text(name).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let others = parsed(METRICS).and_then(|list| metrics::read(of_spec(), &list));
    let current = parsed(CURRENT_METRICS).and_then(|list| metrics::read(of_status(), &list));
    let behavior = parsed(BEHAVIOR).and_then(|behavior| metrics::read_behavior(&behavior));
    let conditions = parsed(CONDITIONS).filter(metrics::are_conditions);
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let own = spec.remove("targetCPUUtilizationPercentage").and_then(|percent| percent.as_i64());
        let mut all = others.unwrap_or_default();
        all.extend(own.map(processor));
        if all.is_empty() {
            all.push(processor(DEFAULT_PERCENT));
        }
        spec.insert("metrics".into(), all.into());
        spec.extend(behavior.map(|behavior| ("behavior".to_owned(), behavior)));
    }
    let status = object.get_mut("status").and_then(Value::as_object_mut);
    if status.is_some() || current.is_some() || conditions.is_some() {
        let mut status: Map<String, Value> = status.map(std::mem::take).unwrap_or_default();
        let own = status.remove("currentCPUUtilizationPercentage").and_then(|percent| percent.as_i64());
        let now = current.or_else(|| {
            own.map(|percent| {
                vec![json!({"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageUtilization": percent}}})]
            })
        });
        status.extend(now.map(|now| ("currentMetrics".to_owned(), now.into())));
        status.extend(conditions.map(|conditions| ("conditions".to_owned(), conditions)));
        object["status"] = status.into();
    }
    drop_annotations(object);
}

fn drop_annotations(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    let before = annotations.len();
    annotations.retain(|name, _| !ALL.contains(&name.as_str()));
    if annotations.is_empty() && before > 0 {
        metadata.remove("annotations");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both_ways(v2: &Value) -> Value {
        let mut object = v2.clone();
        from_stored(&mut object);
        to_stored(&mut object);
        object
    }

    #[test]
    fn the_processor_has_a_field_and_other_metrics_an_annotation() {
        let mut object = json!({"metadata": {"name": "a", "annotations": {"mine": "x"}}, "spec": {
            "maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "metrics": [processor(60), {"type": "Resource", "resource": {"name": "memory",
                "target": {"type": "AverageValue", "averageValue": "1Gi"}}}]}});
        let v2 = object.clone();
        from_stored(&mut object);
        assert_eq!(
            object["spec"],
            json!({"maxReplicas": 5, "targetCPUUtilizationPercentage": 60,
            "scaleTargetRef": {"kind": "Deployment", "name": "web"}})
        );
        assert_eq!(
            object["metadata"]["annotations"],
            json!({"mine": "x",
            METRICS: r#"[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}}]"#})
        );
        // What other metrics there are comes first on the way back.
        to_stored(&mut object);
        assert_eq!(object["spec"]["metrics"], json!([v2["spec"]["metrics"][1], v2["spec"]["metrics"][0]]));
        assert_eq!(object["metadata"], v2["metadata"]);
    }

    #[test]
    fn nothing_wanted_is_80_percent() {
        let mut object = json!({"metadata": {"name": "a"}, "spec": {"maxReplicas": 2}});
        to_stored(&mut object);
        assert_eq!(object["spec"]["metrics"], json!([processor(80)]));
    }

    #[test]
    fn what_cannot_be_read_in_an_annotation_is_left_out() {
        for odd in ["{", "7", "[7]", r#"[{"type":"Pods","pods":{"metricName":7}}]"#, r#"[{"type":7}]"#] {
            let mut object = json!({"metadata": {"annotations": {METRICS: odd}}, "spec": {"maxReplicas": 2}});
            to_stored(&mut object);
            assert_eq!(
                object,
                json!({"metadata": {}, "spec": {"maxReplicas": 2, "metrics": [processor(80)]}})
            );
        }
    }

    #[test]
    fn every_metric_behavior_and_condition_survives_both_ways() {
        let selector = json!({"matchLabels": {"a": "b"}});
        let about = json!({"apiVersion": "v1", "kind": "Service", "name": "s"});
        let object = json!({"metadata": {"name": "a"}, "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 9,
            "metrics": [
                {"type": "Object", "object": {"describedObject": about, "target": {"type": "Value", "value": "3"},
                    "metric": {"name": "m", "selector": selector}}},
                {"type": "Object", "object": {"describedObject": about, "metric": {"name": "m"},
                    "target": {"type": "AverageValue", "averageValue": "4"}}},
                {"type": "Pods", "pods": {"metric": {"name": "p"}, "target": {"type": "AverageValue",
                    "averageValue": "5"}}},
                {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                    "target": {"type": "Utilization", "averageUtilization": 7}}},
                {"type": "External", "external": {"metric": {"name": "e", "selector": selector},
                    "target": {"type": "Value", "value": "8"}}},
                {"type": "External", "external": {"metric": {"name": "e"},
                    "target": {"type": "AverageValue", "averageValue": "9"}}},
                processor(50)],
            "behavior": {"scaleUp": {"stabilizationWindowSeconds": 3, "selectPolicy": "Min", "tolerance": "50m",
                "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}}},
            "status": {"currentReplicas": 1, "desiredReplicas": 2, "observedGeneration": 3,
                "conditions": [{"type": "AbleToScale", "status": "True", "reason": "r", "message": "m",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "currentMetrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 40,
                        "averageValue": "400m"}}},
                    {"type": "Pods", "pods": {"metric": {"name": "p"}, "current": {"averageValue": "6"}}}]}});
        assert_eq!(both_ways(&object), object);
        let mut v1 = object.clone();
        from_stored(&mut v1);
        assert_eq!(v1["status"]["currentCPUUtilizationPercentage"], 40);
        assert_eq!(
            v1["metadata"]["annotations"][BEHAVIOR],
            r#"{"ScaleUp":{"StabilizationWindowSeconds":3,"SelectPolicy":"Min","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}],"Tolerance":"50m"},"ScaleDown":null}"#
        );
    }
}
