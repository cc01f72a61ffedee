//! Values as Kubernetes shows them in messages: the JSON of the types that its server works with, which are called
//! internal. They have no names for JSON but those of their Go fields (`DNSPolicy`), write every field, set or not, and
//! are laid out in their own order. What they share with the types of the API comes from the table of types;
//! [`layout`] has what differs. Types of `apimachinery` are not internal: they look the same everywhere.

mod layout;
mod paths;
mod unified;

use api_schema::{Field, Presence, Shape, TypeRef, builtin, zero};
use api_types::{Cause, print};
use serde_json::Value;

pub use paths::show_values;

/// JSON whose fields have an order.
enum Shown {
    /// Already written.
    Plain(String),
    List(Vec<Shown>),
    Object(Vec<(String, Shown)>),
}

/// The unified diff of two values of a type of the API (`core.v1.PodSpec`), as Kubernetes' messages end with it;
/// empty when they are shown the same.
pub fn difference(type_name: &str, old: &Value, new: &Value) -> String {
    difference_in(type_name, &|_| true, old, new)
}

/// [`difference`] of some of the fields: those that `wanted` names.
pub fn difference_in(type_name: &str, wanted: &dyn Fn(&str) -> bool, old: &Value, new: &Value) -> String {
    let graph = builtin::graph();
    let Some(of) = graph.named(&format!("io.k8s.api.{type_name}")).map(|id| graph.at(id)) else {
        return String::new();
    };
    let dump = |value: &Value| {
        let mut text = String::new();
        indented(&of_fields(of, wanted, value), 0, &mut text);
        text
    };
    unified::difference(&dump(old), &dump(new))
}

/// The unified diff of two lists of a type of the API.
pub fn difference_of_lists(element: &str, old: &[&Value], new: &[&Value]) -> String {
    let graph = builtin::graph();
    let Some(of) = graph.named(&format!("io.k8s.api.{element}")).map(|id| graph.at(id)) else {
        return String::new();
    };
    let dump = |values: &[&Value]| {
        let mut text = String::new();
        indented(&Shown::List(values.iter().map(|value| shown(of, value)).collect()), 0, &mut text);
        text
    };
    unified::difference(&dump(old), &dump(new))
}

/// A cause whose value is not that of the field at its path, but one of a type of the API.
pub fn told_as(type_name: &str, mut cause: Cause) -> Cause {
    let graph = builtin::graph();
    if let Some(id) = graph.named(&format!("io.k8s.api.{type_name}"))
        && let Some(value) = &cause.value
    {
        let text = line(graph.at(id), value);
        cause.show_value(&text);
    }
    cause
}

/// A value of a type in one line.
fn line(of: TypeRef<'_>, value: &Value) -> String {
    let mut text = String::new();
    compact(&shown(of, value), &mut text);
    text
}

fn shown(of: TypeRef<'_>, value: &Value) -> Shown {
    match (of.shape(), value) {
        (Shape::Object(_), _) => of_fields(of, &|_| true, value),
        (Shape::List(element, _), Value::Array(list)) => {
            Shown::List(list.iter().map(|value| shown(of.at(*element), value)).collect())
        }
        (Shape::Map(element), Value::Object(map)) => Shown::Object(
            map.iter().map(|(key, value)| (key.clone(), shown(of.at(*element), value))).collect(),
        ),
        (Shape::Scalar(_), Value::Null) => Shown::Plain(print::json(&zero::unset(of))),
        _ => Shown::Plain(print::json(value)),
    }
}

fn of_fields(of: TypeRef<'_>, wanted: &dyn Fn(&str) -> bool, value: &Value) -> Shown {
    let Shape::Object(fields) = of.shape() else { return Shown::Plain(print::json(value)) };
    let name = of.node().name.as_str();
    let internal = layout::is_internal(name);
    let mut out = Vec::new();
    for field in layout::ordered(name, fields).into_iter().filter(|field| wanted(&field.name)) {
        let (of, value) = (of.at(field.of), value.get(field.name.as_str()).unwrap_or(&Value::Null));
        if !internal {
            if !zero::is_left_out(of, field.presence, value) || field.presence == Presence::Always {
                out.push((field.name.to_string(), shown(of, value)));
            }
        } else if field.name == "metadata" {
            if let Shown::Object(metadata) = shown(of, value) {
                out.extend(metadata);
            }
        } else {
            out.push((layout::go_name(name, &field.name), field_value(of, field, value)));
        }
    }
    if internal && wanted("securityContext") {
        layout::host_fields_inside(name, &mut out);
    }
    Shown::Object(out)
}

/// A field of an internal type: null when it is a pointer, a list or a map that is not set.
fn field_value(of: TypeRef<'_>, field: &Field, value: &Value) -> Shown {
    let pointer = matches!(field.presence, Presence::Set | Presence::OrNull);
    let unset = value.is_null() && (pointer || !matches!(of.shape(), Shape::Object(_) | Shape::Scalar(_)));
    if unset { Shown::Plain("null".to_owned()) } else { shown(of, value) }
}

fn compact(shown: &Shown, out: &mut String) {
    match shown {
        Shown::Plain(text) => out.push_str(text),
        Shown::List(list) => {
            out.push('[');
            for (i, element) in list.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                compact(element, out);
            }
            out.push(']');
        }
        Shown::Object(fields) => {
            out.push('{');
            for (i, (name, value)) in fields.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                out.push_str(&print::json(&Value::from(name.as_str())));
                out.push(':');
                compact(value, out);
            }
            out.push('}');
        }
    }
}

/// One space for each level; what is empty stays in its line.
fn indented(shown: &Shown, level: usize, out: &mut String) {
    let line = |out: &mut String, i: usize, level: usize| {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        out.extend(std::iter::repeat_n(' ', level));
    };
    match shown {
        Shown::List(list) if !list.is_empty() => {
            out.push('[');
            for (i, element) in list.iter().enumerate() {
                line(out, i, level + 1);
                indented(element, level + 1, out);
            }
            line(out, 0, level);
            out.push(']');
        }
        Shown::Object(fields) if !fields.is_empty() => {
            out.push('{');
            for (i, (name, value)) in fields.iter().enumerate() {
                line(out, i, level + 1);
                out.push_str(&print::json(&Value::from(name.as_str())));
                out.push_str(": ");
                indented(value, level + 1, out);
            }
            line(out, 0, level);
            out.push('}');
        }
        other => compact(other, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(type_name: &str, value: &Value) -> String {
        let graph = builtin::graph();
        line(graph.at(graph.named(&format!("io.k8s.api.{type_name}")).unwrap()), value)
    }

    #[test]
    fn internal_types_write_every_field_by_its_own_name() {
        let table = [
            ("core.v1.HostAlias", json!({}), r#"{"IP":"","Hostnames":null}"#),
            (
                "core.v1.HostAlias",
                json!({"ip": "a<b", "hostnames": []}),
                r#"{"IP":"a\u003cb","Hostnames":[]}"#,
            ),
            ("core.v1.EmptyDirVolumeSource", json!({}), r#"{"Medium":"","SizeLimit":null}"#),
            (
                "core.v1.ISCSIVolumeSource",
                json!({"targetPortal": "p", "iqn": "q", "lun": 0, "chapAuthSession": true}),
                r#"{"TargetPortal":"p","IQN":"q","Lun":0,"ISCSIInterface":"","FSType":"","ReadOnly":false,"Portals":null,"DiscoveryCHAPAuth":false,"SessionCHAPAuth":true,"SecretRef":null,"InitiatorName":null}"#,
            ),
            (
                "core.v1.GlusterfsVolumeSource",
                json!({"endpoints": "e", "path": "p"}),
                r#"{"EndpointsName":"e","Path":"p","ReadOnly":false}"#,
            ),
            (
                "core.v1.ClusterTrustBundleProjection",
                json!({"path": "p", "labelSelector": {"matchLabels": {"b": "1", "a": "2"}}}),
                r#"{"Name":null,"SignerName":null,"LabelSelector":{"matchLabels":{"a":"2","b":"1"}},"Optional":null,"Path":"p"}"#,
            ),
        ];
        for (name, value, expected) in table {
            assert_eq!(lines(name, &value), expected);
        }
    }

    #[test]
    fn fields_of_the_host_are_those_of_the_security_context() {
        let spec = json!({"hostPID": true, "securityContext": {"runAsUser": 1}, "serviceAccount": "x"});
        let text = lines("core.v1.PodSpec", &spec);
        assert!(text.contains(
            r#""SecurityContext":{"HostNetwork":false,"HostPID":true,"HostIPC":false,"ShareProcessNamespace":null,"HostUsers":null,"SELinuxOptions":null,"WindowsOptions":null,"RunAsUser":1,"#
        ));
        assert!(!text.contains("ServiceAccount\":\"x\""), "{text}");
        assert_eq!(text.matches("HostNetwork").count(), 1);
    }

    #[test]
    fn metadata_stands_among_the_fields_of_a_template() {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {}});
        assert!(
            lines("core.v1.PodTemplateSpec", &template)
                .starts_with(r#"{"labels":{"a":"b"},"Spec":{"Volumes""#)
        );
    }

    #[test]
    fn a_difference_has_three_lines_around_it() {
        let (old, new) = (json!({"securityContext": {}}), json!({"securityContext": {}, "nodeName": "n1"}));
        let expected = [
            "@@ -10,7 +10,7 @@",
            "  \"NodeSelector\": null,",
            "  \"ServiceAccountName\": \"\",",
            "  \"AutomountServiceAccountToken\": null,",
            "- \"NodeName\": \"\",",
            "+ \"NodeName\": \"n1\",",
            "  \"SecurityContext\": {",
            "   \"HostNetwork\": false,",
            "   \"HostPID\": false,",
            "",
        ];
        assert_eq!(difference("core.v1.PodSpec", &old, &new), expected.join("\n"));
    }
}
