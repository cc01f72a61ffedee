use super::*;
use serde_json::json;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

/// What an API server writes where a behavior says nothing.
fn default_behavior() -> Value {
    json!({
        "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]},
        "scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
    })
}

#[test]
fn bounds() {
    let behaviors = [Value::Null, default_behavior()];
    for (current, desired, least, most, without, with, limited) in [
        (3, 3, 1, 10, 3, 3, "DesiredWithinRange"),
        (3, 5, 1, 10, 5, 5, "DesiredWithinRange"),
        (3, 9, 1, 5, 5, 5, "TooManyReplicas"),
        (3, 9, 1, 10, 6, 7, "ScaleUpLimit"),
        (1, 9, 1, 10, 4, 5, "ScaleUpLimit"),
        (10, 50, 1, 100, 20, 20, "ScaleUpLimit"),
        (5, 1, 2, 10, 2, 2, "TooFewReplicas"),
        (5, 2, 2, 10, 2, 2, "DesiredWithinRange"),
    ] {
        for (behavior, expected) in behaviors.iter().zip([without, with]) {
            let given = History::default().limit(Asked { current, desired, least, most }, behavior, at(0));
            let told = (given.replicas, given.limited.1.0, given.able.0);
            assert_eq!(told, (expected, limited, "ReadyForNewScale"), "{current} {desired} {behavior}");
            assert_eq!(given.limited.0, expected != desired);
        }
    }
}

#[test]
fn scaling_down_waits_for_the_highest_of_five_minutes() {
    for behavior in [Value::Null, default_behavior()] {
        let mut history = History::default();
        let mut given = |second, current, desired| {
            let given = history.limit(Asked { current, desired, least: 1, most: 20 }, &behavior, at(second));
            (given.replicas, given.able.0)
        };
        assert_eq!(given(0, 8, 8), (8, "ReadyForNewScale"));
        assert_eq!(given(60, 8, 2), (8, "ScaleDownStabilized"));
        assert_eq!(given(120, 8, 5), (8, "ScaleDownStabilized"));
        assert_eq!(given(301, 8, 2), (5, "ScaleDownStabilized"));
        assert_eq!(given(430, 5, 2), (2, "ReadyForNewScale"));
    }
}

#[test]
fn scaling_up_waits_for_the_lowest_of_its_window() {
    let mut behavior = default_behavior();
    behavior["scaleUp"]["stabilizationWindowSeconds"] = json!(60);
    let mut history = History::default();
    let mut given = |second, desired| {
        let given = history.limit(Asked { current: 4, desired, least: 1, most: 20 }, &behavior, at(second));
        (given.replicas, given.able.0)
    };
    assert_eq!(given(0, 4), (4, "ReadyForNewScale"));
    assert_eq!(given(30, 7), (4, "ScaleUpStabilized"));
    assert_eq!(given(70, 8), (7, "ScaleUpStabilized"));
    assert_eq!(given(140, 8), (8, "ReadyForNewScale"));
}

#[test]
fn policies_count_what_was_changed_in_their_period() {
    let policies = json!([{"type": "Pods", "value": 3, "periodSeconds": 60}, {"type": "Percent", "value": 50, "periodSeconds": 60}]);
    for (select, desired, up, down) in [("Max", 40, 15, 5), ("Min", 40, 13, 7), ("Disabled", 40, 10, 10)] {
        let rules = json!({"stabilizationWindowSeconds": 0, "selectPolicy": select, "policies": policies});
        let behavior = json!({"scaleUp": rules, "scaleDown": rules});
        let mut history = History::default();
        let mut replicas = |second, current, desired| {
            history.limit(Asked { current, desired, least: 1, most: 100 }, &behavior, at(second)).replicas
        };
        assert_eq!((replicas(0, 10, desired), replicas(1, 10, 1)), (up, down), "{select}");
    }
    let rules = json!({"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 3, "periodSeconds": 60}]});
    let behavior = json!({"scaleUp": rules, "scaleDown": rules});
    let mut history = History::default();
    history.scaled(10, 12, at(0));
    let mut replicas = |second, current, desired| {
        history.limit(Asked { current, desired, least: 1, most: 100 }, &behavior, at(second)).replicas
    };
    assert_eq!(replicas(30, 12, 40), 13, "two of three were added before");
    assert_eq!(replicas(59, 12, 1), 7, "and may be taken back");
    assert_eq!(replicas(60, 12, 40), 15, "a period later all three are free");
}
