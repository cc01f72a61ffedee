//! Errors as statuses.

use super::*;

#[test]
fn a_missing_pod_reads_as_on_kubernetes() {
    let status = ApiError::not_found(&GroupResource::new("", "pods"), "nope").to_status();
    assert_eq!(
        status,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "pods \"nope\" not found", "reason": "NotFound",
            "details": {"name": "nope", "kind": "pods"}, "code": 404})
    );
}

#[test]
fn invalid_names_each_cause() {
    let error = ApiError::invalid(
        "apps",
        "Deployment",
        "web",
        vec![
            Cause::required("spec.selector", ""),
            Cause::invalid("spec.replicas", &json!(-1), "must be greater than or equal to 0"),
        ],
    );
    assert_eq!(
        error.message(),
        "Deployment.apps \"web\" is invalid: [spec.selector: Required value, \
         spec.replicas: Invalid value: -1: must be greater than or equal to 0]"
    );
    assert_eq!(error.to_status()["details"]["causes"][1]["field"], "spec.replicas");
}

#[test]
fn every_reason_has_a_row_and_survives_the_wire() {
    for (reason, code, ..) in REASONS {
        let error = ApiError::new(*reason, "m");
        assert_eq!((error.reason(), error.code()), (*reason, *code));
        assert_eq!(ApiError::from_status(&error.to_status()).reason(), *reason);
    }
}

#[test]
fn what_others_have_given_goes_out_as_it_is() {
    let details = json!({"name": "a"});
    let error = ApiError::given(418, Some("Teapot"), "no", &details);
    let status = error.to_status();
    assert_eq!((error.code(), &status["code"]), (418, &json!(418)));
    assert_eq!((&status["reason"], &status["details"]), (&json!("Teapot"), &details));
    let plain = ApiError::given(403, None, "no", &Value::Null).to_status();
    assert!(plain.get("reason").is_none() && plain.get("details").is_none());
    assert!(ApiError::given(409, Some("Conflict"), "no", &Value::Null).is_conflict());
}
