//! APIServices.

use crate::{created, refused_new, refused_status, with};
use api_resources::kinds::strategy;
use serde_json::{Value, json};

const KIND: (&str, &str) = ("apiregistration.k8s.io", "APIService");

fn remote() -> Value {
    json!({"metadata": {"name": "v1.ext.example.com"}, "spec": {"group": "ext.example.com", "version": "v1",
        "groupPriorityMinimum": 100, "versionPriority": 10, "service": {"namespace": "default", "name": "ext"}}})
}

#[test]
fn a_local_one_is_available_at_once_and_a_remote_one_when_it_was_asked() {
    let sent =
        with(&remote(), &[("/status", json!({"conditions": [{"type": "Available", "status": "True"}]}))]);
    let made = created(KIND.0, KIND.1, sent);
    assert_eq!(made["spec"]["service"]["port"], 443);
    assert!(made.get("status").is_none(), "{made}");
    let local = created(KIND.0, KIND.1, with(&remote(), &[("/spec/service", Value::Null)]));
    let condition = &local["status"]["conditions"][0];
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("True"), &json!("Local")));
    assert!(condition["lastTransitionTime"].is_string());
}

/// Changes of a good one, and what is told.
type Case<'a> = (&'a [(&'a str, Value)], &'a [&'a str]);

#[test]
fn defects_are_told_in_the_words_of_kubernetes() {
    assert_eq!(refused_new(KIND.0, KIND.1, remote()), Vec::<String>::new());
    let core = json!({"metadata": {"name": "v1."}, "spec": {"version": "v1", "groupPriorityMinimum": 1,
        "versionPriority": 1}});
    assert_eq!(refused_new(KIND.0, KIND.1, core), Vec::<String>::new());
    let table: [Case<'_>; 6] = [
        (
            &[("/metadata/generateName", json!("x"))],
            &[
                "metadata.generateName: Invalid value: \"x\": must be `spec.version+\".\"+spec.group`: \"v1.ext.example.com\"",
            ],
        ),
        (
            &[("/metadata/name", json!("wrong"))],
            &[
                "metadata.name: Invalid value: \"wrong\": must be `spec.version+\".\"+spec.group`: \"v1.ext.example.com\"",
            ],
        ),
        (
            &[("/metadata/name", json!("v2.")), ("/spec/group", json!("")), ("/spec/version", json!("v2"))],
            &["spec.group: Required value: only v1 may have an empty group and it better be legacy kube"],
        ),
        (
            &[("/spec/groupPriorityMinimum", json!(0)), ("/spec/versionPriority", json!(1001))],
            &[
                "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
                "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
            ],
        ),
        (
            &[
                ("/spec/service", json!({"port": 70000})),
                ("/spec/caBundle", json!("aGVsbG8=")),
                ("/spec/insecureSkipTLSVerify", json!(true)),
            ],
            &[
                "spec.service.namespace: Required value",
                "spec.service.name: Required value",
                "spec.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive",
                "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
            ],
        ),
        (
            &[
                ("/spec/service", Value::Null),
                ("/spec/caBundle", json!("aGVsbG8=")),
                ("/spec/insecureSkipTLSVerify", json!(true)),
            ],
            &[
                "spec.caBundle: Invalid value: \"5 bytes\": local APIServices may not have a caBundle",
                "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
            ],
        ),
    ];
    for (changes, expected) in table {
        assert_eq!(refused_new(KIND.0, KIND.1, with(&remote(), changes)), expected, "{changes:?}");
    }
    assert_eq!((strategy(KIND.0, KIND.1).validate_name)("a/b"), ["may not contain '/'"]);
}

#[test]
fn the_status_of_a_condition_is_one_of_three() {
    let status =
        with(&remote(), &[("/status", json!({"conditions": [{"type": "Available", "status": "Maybe"}]}))]);
    assert_eq!(
        refused_status(KIND.0, KIND.1, &status, &remote()),
        [
            "status.conditions[0].status: Unsupported value: \"Maybe\": supported values: \"True\", \"False\", \"Unknown\""
        ]
    );
}
