//! Lists of conditions as the built-in kinds have them: `{type, status, reason, message, lastTransitionTime}`.

use api_types::condition::whole_seconds;
use jiff::Timestamp;
use serde_json::{Value, json};

/// One condition to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: String,
}

/// The condition of a type.
pub(crate) fn find<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// True when the condition of a type is there with status `True`.
pub(crate) fn holds(conditions: &[Value], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition["status"] == "True")
}

/// Puts a condition in place of the one of its type; the transition time is kept while the status stays. True
/// when something changed. `extra` are further fields, compared too.
pub(crate) fn set(
    conditions: &mut Vec<Value>,
    new: &Condition<'_>,
    extra: &[(&str, Value)],
    now: Timestamp,
) -> bool {
    let mut condition = json!({
        "type": new.kind, "status": new.status, "lastTransitionTime": whole_seconds(now),
    });
    for (field, value) in [("reason", new.reason), ("message", new.message.as_str())] {
        if !value.is_empty() {
            condition[field] = value.into();
        }
    }
    for (field, value) in extra {
        condition[*field] = value.clone();
    }
    let Some(old) = conditions.iter_mut().find(|condition| condition["type"] == new.kind) else {
        conditions.push(condition);
        return true;
    };
    if old["status"] == new.status {
        condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
    }
    if says_the_same(old, &condition) {
        return false;
    }
    *old = condition;
    true
}

/// Equal but for nulls, which the server writes where a type has the field.
fn says_the_same(a: &Value, b: &Value) -> bool {
    let said = |value: &Value| {
        let mut fields = value.as_object().cloned().unwrap_or_default();
        fields.retain(|_, value| !value.is_null());
        fields
    };
    said(a) == said(b)
}

/// Removes the condition of a type; true when it was there.
pub(crate) fn remove(conditions: &mut Vec<Value>, kind: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition["type"] != kind);
    conditions.len() != before
}

/// A time of an object (`metav1.Time`).
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_are_timed_by_status() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let condition = |status, reason| Condition { kind: "Ready", status, reason, message: String::new() };
        let mut list = vec![];
        assert!(set(&mut list, &condition("False", "A"), &[], at(1)));
        list[0]["lastProbeTime"] = Value::Null;
        assert!(!set(&mut list, &condition("False", "A"), &[], at(2)), "a null says nothing");
        assert!(set(&mut list, &condition("False", "B"), &[], at(3)));
        assert_eq!(list[0]["lastTransitionTime"], "1970-01-01T00:00:01Z");
        assert!(set(&mut list, &condition("True", "C"), &[], at(4)));
        assert_eq!((list.len(), time(&list[0]["lastTransitionTime"])), (1, Some(at(4))));
        assert!(holds(&list, "Ready") && remove(&mut list, "Ready") && !holds(&list, "Ready"));
    }
}
