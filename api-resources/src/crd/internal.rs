//! The form in which Kubernetes validates a definition, and of which its messages give the paths: what all versions
//! say alike stands once, above them (`spec.validation`, `spec.subresources`, …).

use api_schema::crd::Part;
use serde_json::{Value, json};

/// What moves when it is the same in all versions: the field of a version, the field of the spec, what it is.
const SHARED: [(&str, &str, Part); 4] = [
    ("subresources", "subresources", Part::Subresources),
    ("schema", "validation", Part::Validation),
    ("additionalPrinterColumns", "additionalPrinterColumns", Part::Columns),
    ("selectableFields", "selectableFields", Part::SelectableFields),
];

/// A definition of `v1` in the internal form.
pub(super) fn of(crd: &Value) -> Value {
    let mut crd = crd.clone();
    let Some(spec) = crd.get_mut("spec").filter(|spec| spec.is_object()) else { return crd };
    if let Some(conversion) = spec.get_mut("conversion").and_then(Value::as_object_mut)
        && let Some(webhook) = conversion.remove("webhook")
    {
        for (from, to) in [
            ("clientConfig", "webhookClientConfig"),
            ("conversionReviewVersions", "conversionReviewVersions"),
        ] {
            if let Some(value) = webhook.get(from).filter(|value| !value.is_null()) {
                conversion.insert(to.to_owned(), value.clone());
            }
        }
    }
    let mut versions = spec["versions"].as_array().cloned().unwrap_or_default();
    for version in versions.iter_mut().filter(|version| version.is_null()) {
        *version = json!({});
    }
    let Some(first) = versions.first().cloned() else { return crd };
    spec["version"] = first["name"].clone();
    for (of_version, of_spec, part) in SHARED {
        if versions.iter().all(|version| part.same(&version[of_version], &first[of_version])) {
            spec[of_spec] = first[of_version].clone();
            for version in &mut versions {
                version[of_version] = Value::Null;
            }
        }
    }
    spec["versions"] = Value::Array(versions);
    crd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_versions_say_stands_once() {
        let schema = |kind: &str| json!({"openAPIV3Schema": {"type": kind}});
        let crd = json!({"spec": {"conversion": {"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}},
            "versions": [
                {"name": "v1", "schema": schema("object"), "subresources": {"status": {}}},
                {"name": "v2", "schema": schema("string"), "subresources": {"status": {}},
                    "additionalPrinterColumns": []}]}});
        let spec = of(&crd)["spec"].clone();
        assert_eq!(spec["version"], "v1");
        assert_eq!(spec["subresources"], json!({"status": {}}));
        assert_eq!(spec["validation"], Value::Null);
        assert_eq!(spec["versions"][1]["schema"], schema("string"));
        assert_eq!(spec["versions"][1]["subresources"], Value::Null);
        assert_eq!(spec["conversion"], json!({"strategy": "None", "conversionReviewVersions": ["v1"]}));
    }

    #[test]
    fn a_definition_without_versions_stays() {
        for crd in [json!({}), json!({"spec": {}}), json!({"spec": {"versions": []}})] {
            assert_eq!(of(&crd), crd);
        }
    }
}
