//! Empty values: which are left out, and what stands in for what is not set.
//!
//! Kubernetes' own types leave out most fields that are empty, keep those that are set by a pointer, and write some
//! always (`resources: {}`, `status: {}`, `divisor: "0"`). Custom resources are kept as they were sent.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::graph::{Presence, Scalar, Shape, TypeRef};

/// The value of a type that is not set, as it is written: null for lists, maps, times and any JSON.
pub fn unset(of: TypeRef<'_>) -> Value {
    match of.shape() {
        Shape::Object(_) => {
            let mut value = Value::Object(Map::new());
            fill(of, &mut value);
            value
        }
        Shape::Map(_) | Shape::List(..) | Shape::Any => Value::Null,
        Shape::Scalar(scalar) => match scalar {
            Scalar::String => Value::String(String::new()),
            Scalar::Quantity | Scalar::Duration => Value::String("0".to_owned()),
            Scalar::Int32 | Scalar::Int64 | Scalar::Number | Scalar::IntOrString => Value::from(0),
            Scalar::Boolean => Value::Bool(false),
            Scalar::Bytes | Scalar::Time | Scalar::MicroTime => Value::Null,
        },
    }
}

/// What null means as an element of a list or a value of a map.
pub(crate) fn element(of: TypeRef<'_>) -> Value {
    match of.shape() {
        Shape::Object(_) => Value::Object(Map::new()),
        Shape::Scalar(Scalar::Bytes) => Value::String(String::new()),
        _ => unset(of),
    }
}

/// True when a field with this value is not written. Null is nothing but for any JSON.
pub fn is_left_out(of: TypeRef<'_>, presence: Presence, value: &Value) -> bool {
    match value {
        Value::Null => true,
        _ if presence != Presence::NonZero => false,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty() && matches!(of.shape(), Shape::Map(_)),
    }
}

/// True for a value with something in it that walks lead to.
pub(crate) fn is_collection(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

fn is_empty_collection(of: TypeRef<'_>, value: &Value) -> bool {
    match (of.shape(), value) {
        (Shape::List(..), Value::Array(list)) => list.is_empty(),
        (Shape::Map(_), Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

/// Brings a value into the form in which Kubernetes would write it: drops what is left out when empty, and
/// [fills](fill) in what is always written. To be called after defaulting, before a value is stored.
pub fn normalize(of: TypeRef<'_>, value: &mut Value) {
    trim(of, value);
    fill(of, value);
}

/// Drops what is left out when it is empty.
pub fn trim(of: TypeRef<'_>, value: &mut Value) {
    match (of.shape(), value) {
        // By what is there, of which there is less than of what could be.
        (Shape::Object(_), Value::Object(object)) => object.retain(|name, inner| {
            let Some(field) = of.field(name) else { return true };
            let member = of.at(field.of);
            trim(member, inner);
            if is_left_out(member, field.presence, inner) {
                return false;
            }
            if field.presence == Presence::Always && is_empty_collection(member, inner) {
                // Storage does not tell an empty list from none.
                *inner = Value::Null;
            }
            true
        }),
        (Shape::Map(member), Value::Object(object)) => {
            object.values_mut().for_each(|value| trim(of.at(*member), value));
        }
        (Shape::List(element, _), Value::Array(list)) => {
            list.iter_mut().for_each(|value| trim(of.at(*element), value));
        }
        _ => {}
    }
}

/// An empty list or map, and where it is in an object: a JSON pointer.
pub type Empty = (String, Value);

/// The empty lists and maps of a value, which [normalize] drops. They are not nothing to those who judge what a client
/// sent.
pub fn empties(of: TypeRef<'_>, value: &Value) -> Vec<Empty> {
    let mut out = Vec::new();
    find_empties(of, value, &mut String::new(), &mut out);
    out
}

fn find_empties(of: TypeRef<'_>, value: &Value, path: &mut String, out: &mut Vec<Empty>) {
    let length = path.len();
    match (of.shape(), value) {
        _ if is_empty_collection(of, value) => out.push((path.clone(), value.clone())),
        (Shape::Object(_) | Shape::Map(_), Value::Object(object)) => {
            for (name, value) in object.iter().filter(|(_, value)| is_collection(value)) {
                let Some(member) = of.member(name) else { continue };
                path.push('/');
                match name.contains(['~', '/']) {
                    true => path.push_str(&name.replace('~', "~0").replace('/', "~1")),
                    false => path.push_str(name),
                }
                find_empties(member, value, path, out);
                path.truncate(length);
            }
        }
        (Shape::List(element, _), Value::Array(list)) => {
            for (index, value) in list.iter().enumerate() {
                // Writing to a string cannot fail.
                let _ = write!(path, "/{index}");
                find_empties(of.at(*element), value, path, out);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// Puts back what [normalize] dropped, where nothing else is by now.
pub fn put_back(empties: &[Empty], value: &mut Value) {
    for (pointer, empty) in empties {
        if let Some((parent, name)) = pointer.rsplit_once('/')
            && let Some(Value::Object(fields)) = value.pointer_mut(parent)
        {
            let now = fields.entry(name.replace("~1", "/").replace("~0", "~")).or_insert(Value::Null);
            if now.is_null() {
                *now = empty.clone();
            }
        }
    }
}

/// Writes in what is always written, at all depths.
pub fn fill(of: TypeRef<'_>, value: &mut Value) {
    match (of.shape(), value) {
        _ if !of.is_filled() => {}
        (Shape::Object(fields), Value::Object(object)) => {
            for (name, inner) in object.iter_mut().filter(|(_, inner)| is_collection(inner)) {
                if let Some(member) = of.member(name) {
                    fill(member, inner);
                }
            }
            for field in fields {
                let unset = match field.presence {
                    Presence::Set | Presence::NonZero => continue,
                    _ if object.contains_key(field.name.as_str()) => continue,
                    Presence::Always => unset(of.at(field.of)),
                    Presence::OrNull => Value::Null,
                };
                object.insert(field.name.to_string(), unset);
            }
        }
        (Shape::Map(member), Value::Object(object)) => {
            object.values_mut().for_each(|value| fill(of.at(*member), value));
        }
        (Shape::List(element, _), Value::Array(list)) => {
            list.iter_mut().for_each(|value| fill(of.at(*element), value));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::builtin;

    fn normalized(group: &str, kind: &str, mut value: Value) -> Value {
        let of = builtin::graph().at(builtin::kind(group, "v1", kind).unwrap());
        normalize(of, &mut value);
        value
    }

    #[test]
    fn what_is_always_written_is_filled_in() {
        assert_eq!(
            normalized("", "Pod", json!({"spec": {"containers": [{"name": "c"}], "hostNetwork": false}})),
            json!({"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {}}]}, "status": {}})
        );
        assert_eq!(
            normalized("", "Service", json!({"spec": {"ports": [{"port": 80}], "selector": {}}})),
            json!({"metadata": {}, "spec": {"ports": [{"port": 80, "targetPort": 0}]},
                "status": {"loadBalancer": {}}})
        );
        assert_eq!(
            normalized("apps", "Deployment", json!({"spec": {"replicas": 0}})),
            json!({"metadata": {}, "status": {}, "spec": {"replicas": 0, "selector": null, "strategy": {},
                "template": {"metadata": {}, "spec": {"containers": null}}}})
        );
    }

    #[test]
    fn events_have_empty_times() {
        let event = normalized("", "Event", json!({"metadata": {}}));
        assert_eq!(event["eventTime"], Value::Null);
        assert!(event.as_object().unwrap().contains_key("lastTimestamp"));
        assert_eq!(event["reportingComponent"], "");
    }

    #[test]
    fn what_is_empty_can_be_put_back() {
        let sent = json!({"metadata": {"finalizers": []}, "spec": {"nodeSelector": {}, "volumes": [],
            "containers": [{"name": "c", "args": [], "tty": false, "securityContext": {}}]}, "status": {}});
        let of = builtin::graph().at(builtin::kind("", "v1", "Pod").unwrap());
        let empty = empties(of, &sent);
        let paths: Vec<&str> = empty.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            ["/metadata/finalizers", "/spec/containers/0/args", "/spec/nodeSelector", "/spec/volumes"]
        );
        let mut object = normalized("", "Pod", sent);
        object["spec"]["volumes"] = json!([{"name": "v"}]);
        object["metadata"] = Value::Null;
        put_back(&empty, &mut object);
        assert_eq!(
            object,
            json!({"metadata": null, "spec": {"nodeSelector": {}, "volumes": [{"name": "v"}], "containers":
                [{"name": "c", "args": [], "resources": {}, "securityContext": {}}]}, "status": {}})
        );
    }

    #[test]
    fn normalizing_twice_is_normalizing_once() {
        let pod = json!({"spec": {"containers": [{"name": "c", "env": [], "tty": false}], "volumes": [{"name": "v",
            "downwardAPI": {"items": [{"path": "p", "resourceFieldRef": {"resource": "limits.cpu"}}]}}]}});
        let once = normalized("", "Pod", pod);
        let reference = &once["spec"]["volumes"][0]["downwardAPI"]["items"][0]["resourceFieldRef"];
        assert_eq!(reference, &json!({"resource": "limits.cpu", "divisor": "0"}));
        assert_eq!(normalized("", "Pod", once.clone()), once);
    }
}
