//! The rules of flow schemas and priority levels.

use crate::{created, refused_new, with};
use serde_json::{Value, json};

const FLOW: &str = "flowcontrol.apiserver.k8s.io";

fn schema() -> Value {
    json!({"metadata": {"name": "mine"}, "spec": {"priorityLevelConfiguration": {"name": "global-default"},
        "rules": [{"subjects": [{"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "n"}}],
            "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/", "/healthz", "/x/*"]}]}]}})
}

fn level() -> Value {
    json!({"metadata": {"name": "mine"}, "spec": {"type": "Limited", "limited": {
        "limitResponse": {"type": "Queue", "queuing": {}}}}})
}

#[test]
fn what_is_not_said_is_set() {
    assert_eq!(created(FLOW, "FlowSchema", schema())["spec"]["matchingPrecedence"], 1000);
    assert_eq!(
        created(FLOW, "PriorityLevelConfiguration", level())["spec"]["limited"],
        json!({"nominalConcurrencyShares": 30, "lendablePercent": 0, "limitResponse": {"type": "Queue",
            "queuing": {"handSize": 8, "queues": 64, "queueLengthLimit": 50}}})
    );
}

#[test]
fn schemas_are_checked() {
    let none: [&str; 0] = [];
    for (changes, defects) in [
        (vec![], &none[..]),
        (
            vec![("/spec/matchingPrecedence", json!(1))],
            &[
                "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
            ],
        ),
        (
            vec![("/spec/matchingPrecedence", json!(10_001))],
            &["spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"],
        ),
        (
            vec![("/spec/priorityLevelConfiguration", json!({}))],
            &["spec.priorityLevelConfiguration.name: Required value: must reference a priority level"],
        ),
        (
            vec![(
                "/spec/rules/0/subjects",
                json!([{"kind": "User", "group": {"name": "g"}}, {"kind": "Robot"}]),
            )],
            &[
                "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
                "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
                "spec.rules[0].subjects[1].kind: Unsupported value: \"Robot\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
            ],
        ),
        (
            vec![("/spec/rules/0", json!({}))],
            &[
                "spec.rules[0].subjects: Required value: subjects must contain at least one value",
                "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
            ],
        ),
        (
            vec![
                ("/spec/rules/0/resourceRules/0/verbs", json!(["*", "get"])),
                ("/spec/rules/0/resourceRules/0/namespaces", json!([])),
                ("/spec/rules/0/nonResourceRules/0/nonResourceURLs", json!(["x", "/a//b", "/a*"])),
            ],
            &[
                "spec.rules[0].resourceRules[0].verbs: Invalid value: [\"*\",\"get\"]: if '*' is present, must not specify other verbs",
                "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"x\": must start with slash",
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: \"/a//b\": must not contain double slash",
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[2]: Invalid value: \"/a*\": wildcard can only do suffix matching",
            ],
        ),
    ] {
        assert_eq!(refused_new(FLOW, "FlowSchema", with(&schema(), &changes)), defects);
    }
}

#[test]
fn levels_are_checked() {
    let none: [&str; 0] = [];
    for (changes, defects) in [
        (vec![], &none[..]),
        (
            vec![("/metadata/name", json!("exempt"))],
            &["spec.type: Invalid value: \"Limited\": must be 'Exempt' if and only if `name` is 'exempt'"],
        ),
        (
            vec![("/spec", json!({"type": "Limited"}))],
            &["spec.limited: Required value: must not be empty when type is Limited"],
        ),
        (
            vec![("/spec/limited/limitResponse/queuing", json!({"queues": 4, "handSize": 5}))],
            &[
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater than queues (4)",
            ],
        ),
        (
            vec![("/spec/limited/limitResponse/queuing", json!({"queues": 1_000_000, "handSize": 4}))],
            &[
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 4: required entropy bits of deckSize 1000000 and handSize 4 should not be greater than 60",
            ],
        ),
        (
            vec![
                ("/spec/limited/lendablePercent", json!(101)),
                ("/spec/limited/borrowingLimitPercent", json!(-1)),
            ],
            &[
                "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
                "spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer",
            ],
        ),
    ] {
        assert_eq!(refused_new(FLOW, "PriorityLevelConfiguration", with(&level(), &changes)), defects);
    }
}
