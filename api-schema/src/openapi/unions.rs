//! What Kubernetes says of a few of its types beside their shape: which fields exclude each other, and where its marks of
//! lists and maps differ from what server-side apply does.

use serde_json::{Map, Value, json};

/// The type, the field that says which other one is meant, and the others with its values for them.
type Union = (&'static str, Option<&'static str>, &'static [(&'static str, &'static str)]);

const UNIONS: &[Union] = &[
    ("io.k8s.api.core.v1.AppArmorProfile", Some("type"), &[("localhostProfile", "LocalhostProfile")]),
    ("io.k8s.api.core.v1.PodSchedulingGroup", None, &[("podGroupName", "PodGroupName")]),
    ("io.k8s.api.core.v1.SeccompProfile", Some("type"), &[("localhostProfile", "LocalhostProfile")]),
    ("io.k8s.api.flowcontrol.v1.LimitResponse", Some("type"), &[("queuing", "Queuing")]),
    (
        "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec",
        Some("type"),
        &[("exempt", "Exempt"), ("limited", "Limited")],
    ),
    (
        "io.k8s.api.flowcontrol.v1.Subject",
        Some("kind"),
        &[("group", "Group"), ("serviceAccount", "ServiceAccount"), ("user", "User")],
    ),
];

/// The mark of a type whose fields exclude each other.
pub(super) fn of(name: &str) -> Option<Value> {
    let (_, discriminator, fields) = UNIONS.iter().find(|(known, ..)| *known == name)?;
    let fields: Map<String, Value> =
        fields.iter().map(|(field, value)| ((*field).to_owned(), json!(value))).collect();
    let mut union = json!({ "fields-to-discriminateBy": fields });
    if let Some(discriminator) = discriminator {
        union["discriminator"] = json!(discriminator);
    }
    Some(json!([union]))
}

/// Lists that are not said to be what every list is: the type and the field, or the map that they are in.
const UNMARKED: &[(&str, &str)] = &[
    ("io.k8s.api.authentication.v1.UserInfo", "extra"),
    ("io.k8s.api.authorization.v1.SubjectAccessReviewSpec", "extra"),
    ("io.k8s.api.certificates.v1.CertificateSigningRequestSpec", "extra"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.APIResource", "verbs"),
];

/// Fields that have no words of their own, because their type has all of them.
const WORDLESS: &[(&str, &str)] =
    &[("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps", "items")];

/// Brings the marks of a field into the form that Kubernetes gives them.
pub(super) fn mend(of: &str, field: &str, schema: &mut Map<String, Value>) {
    let is = |list: &[(&str, &str)]| list.contains(&(of, field));
    if is(UNMARKED) {
        let inside = schema.get_mut("additionalProperties").and_then(Value::as_object_mut);
        inside.map(|inside| inside.remove("x-kubernetes-list-type"));
        schema.remove("x-kubernetes-list-type");
    }
    if is(WORDLESS) {
        schema.remove("description");
        // A reference that says no more stands alone.
        if let Some(Value::Array(all)) = schema.remove("allOf")
            && let Some(Value::Object(only)) = all.into_iter().next()
        {
            schema.extend(only);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_names_its_fields() {
        let limit = of("io.k8s.api.flowcontrol.v1.LimitResponse").unwrap();
        let expected = json!([{"discriminator": "type", "fields-to-discriminateBy": {"queuing": "Queuing"}}]);
        assert_eq!(limit, expected);
        assert_eq!(of("io.k8s.api.core.v1.PodSpec"), None);
    }

    #[test]
    fn every_name_is_one_of_the_table() {
        let graph = crate::builtin::graph();
        let known = |of: &str, field: &str| {
            let id = graph.named(of).unwrap();
            assert!(graph.at(id).field(field).is_some(), "{of} {field}");
        };
        for (of, discriminator, fields) in UNIONS {
            fields.iter().map(|(field, _)| field).chain(discriminator).for_each(|field| known(of, field));
        }
        UNMARKED.iter().chain(WORDLESS).for_each(|(of, field)| known(of, field));
    }
}
