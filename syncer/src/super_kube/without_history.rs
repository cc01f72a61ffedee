//! JSON of a super cluster as it is read: all but `metadata.managedFields`, which nobody here looks at, and which is a third
//! of most objects.

use plane_client::Keep;

const METADATA: Keep = Keep::But(&[("managedFields", Keep::Nothing)]);
const OBJECT: Keep = Keep::But(&[("metadata", METADATA)]);

/// Of an answer: an object or a list of objects.
pub const ANSWER: Keep = Keep::But(&[("metadata", METADATA), ("items", OBJECT)]);
/// Of an event of a watch.
pub const EVENT: Keep = Keep::But(&[("object", OBJECT)]);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn the_history_of_an_object_is_left_out_and_nothing_else() {
        let history = json!([{"manager": "m", "fieldsV1": {"f:spec": {"f:a": {}}}}]);
        let object = |metadata: Value| json!({"metadata": metadata, "data": {"managedFields": "x"}, "list": [1, -2, 1.5, null, true, "ä\u{1}"]});
        let with =
            object(json!({"name": "a", "managedFields": history, "annotations": {"managedFields": "y"}}));
        let without = object(json!({"name": "a", "annotations": {"managedFields": "y"}}));
        for (keep, given, expected) in [
            (&ANSWER, with.clone(), without.clone()),
            (&EVENT, json!({"type": "ADDED", "object": with}), json!({"type": "ADDED", "object": without})),
            (&ANSWER, json!({"items": [with, {}]}), json!({"items": [without, {}]})),
            (&ANSWER, json!({"metadata": null, "items": null}), json!({"metadata": null, "items": null})),
        ] {
            assert_eq!(keep.read(given.to_string().as_bytes()).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_no_json_is_none_here_either(text in "[{}\\[\\]\",:a0-9 .e+-]{0,12}") {
            let known = serde_json::from_str::<Value>(&text);
            match ANSWER.read(text.as_bytes()) {
                Ok(value) => prop_assert_eq!(value, known.unwrap()),
                Err(_) => prop_assert!(known.is_err()),
            }
        }
    }
}
