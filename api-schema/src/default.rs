//! Defaults that types declare.
//!
//! Only those of the table or of a CRD's schema: defaults that depend on other fields are rules of their resources.

use serde_json::Value;

use crate::graph::{Shape, TypeRef};
use crate::zero::is_collection;

/// Sets the defaults of fields that are absent, in every object that is there, and in those that a default makes.
/// A null is absent unless the field's type is any JSON.
pub fn apply_defaults(of: TypeRef<'_>, value: &mut Value) {
    match (of.shape(), value) {
        _ if !of.has_defaults() => {}
        (Shape::Object(fields), Value::Object(object)) => {
            for field in fields {
                let Some(default) = &field.default else { continue };
                let is_any = || matches!(of.at(field.of).shape(), Shape::Any);
                if object.get(field.name.as_str()).is_none_or(|v| v.is_null() && !is_any()) {
                    object.insert(field.name.to_string(), default.clone());
                }
            }
            // By what is there, of which there is less than of what could be.
            for (name, inner) in object.iter_mut().filter(|(_, inner)| is_collection(inner)) {
                if let Some(member) = of.member(name) {
                    apply_defaults(member, inner);
                }
            }
        }
        (Shape::Map(member), Value::Object(object)) => {
            object.values_mut().for_each(|value| apply_defaults(of.at(*member), value));
        }
        (Shape::List(element, _), Value::Array(list)) => {
            list.iter_mut().for_each(|value| apply_defaults(of.at(*element), value));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::builtin;

    #[test]
    fn absent_fields_get_their_defaults() {
        let pod = builtin::graph().at(builtin::kind("", "v1", "Pod").unwrap());
        let mut value = json!({"spec": {
            "containers": [{"ports": [{"containerPort": 1}, {"containerPort": 2, "protocol": "UDP"}]}],
            "volumes": [{"iscsi": {}}],
        }});
        apply_defaults(pod, &mut value);
        assert_eq!(
            value,
            json!({"spec": {
                "containers": [{"ports": [{"containerPort": 1, "protocol": "TCP"},
                    {"containerPort": 2, "protocol": "UDP"}]}],
                "volumes": [{"iscsi": {"iscsiInterface": "default"}}],
            }})
        );
    }
}
