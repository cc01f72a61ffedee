//! Whether an object is still as it was written. Pure.
//!
//! A write is spared when the object has the mark of what would be written, and still says all of it. The mark notices
//! what was said before and is not said any more; the comparison notices what others changed.

use crate::names::digest;
use serde_json::Value;

/// Annotation: the mark of what was written.
pub const APPLIED: &str = "insula.dev/applied";

/// Puts the mark into an object that is to be written.
pub fn mark(desired: &mut Value) {
    let mark = digest(&[&desired.to_string()], 16);
    desired["metadata"]["annotations"][APPLIED] = mark.into();
}

/// True when the live object has the mark of the desired one and says all that it says.
pub fn is_as_written(desired: &Value, live: &Value) -> bool {
    says(desired, live)
}

/// True when everything in `desired` is in `live`. Lists are compared element by element when they are of one length;
/// in a longer live list (owner references, ports of others) each desired element must be somewhere.
fn says(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            desired.iter().all(|(key, value)| match live.get(key) {
                Some(found) => says(value, found),
                None => is_empty(value),
            })
        }
        (Value::Array(desired), Value::Array(live)) if desired.len() == live.len() => {
            desired.iter().zip(live).all(|(d, l)| says(d, l))
        }
        (Value::Array(desired), Value::Array(live)) => {
            desired.len() < live.len() && desired.iter().all(|d| live.iter().any(|l| says(d, l)))
        }
        (Value::Null, _) => true,
        (desired, live) => desired == live,
    }
}

/// The server may drop what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn drift_is_noticed_and_defaults_are_not() {
        let mut desired = json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 1}], "empty": {}}});
        mark(&mut desired);
        let mut live = desired.clone();
        live["spec"]["ports"][0]["protocol"] = "TCP".into();
        live["spec"]["replicas"] = 1.into();
        live["spec"].as_object_mut().unwrap().remove("empty");
        assert!(is_as_written(&desired, &live));
        let mut changed = live.clone();
        changed["spec"]["ports"][0]["port"] = 2.into();
        assert!(!is_as_written(&desired, &changed));

        // A field that is not said any more changes the mark.
        let mut fewer = json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 1}]}});
        mark(&mut fewer);
        assert!(!is_as_written(&fewer, &live));
    }
}
