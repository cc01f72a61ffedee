//! JSON of a super cluster as it is read: all but `metadata.managedFields`, which nobody here looks at, and which is a third
//! of most objects.

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads an object, a list of objects, or an event of a watch.
pub fn read(text: &str) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Part { is_metadata: false }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// A value within the object; of its metadata, the history is left out.
#[derive(Clone, Copy)]
struct Part {
    is_metadata: bool,
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Part { is_metadata: false })? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if self.is_metadata && name == "managedFields" {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = fields.next_value_seed(Part { is_metadata: name == "metadata" })?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_history_of_an_object_is_left_out_and_nothing_else() {
        let history = json!([{"manager": "m", "fieldsV1": {"f:spec": {"f:a": {}}}}]);
        let object = |metadata: Value| json!({"metadata": metadata, "data": {"managedFields": "x"}, "list": [1, -2, 1.5, null, true, "ä\u{1}"]});
        let with =
            object(json!({"name": "a", "managedFields": history, "annotations": {"managedFields": "y"}}));
        let without = object(json!({"name": "a", "annotations": {"managedFields": "y"}}));
        for (given, expected) in [
            (with.clone(), without.clone()),
            (json!({"type": "ADDED", "object": with}), json!({"type": "ADDED", "object": without})),
            (json!({"items": [with, {}]}), json!({"items": [without, {}]})),
            (json!({"metadata": null}), json!({"metadata": null})),
            (json!({"metadata": [{"managedFields": 1}]}), json!({"metadata": [{"managedFields": 1}]})),
        ] {
            assert_eq!(read(&given.to_string()).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_no_json_is_none_here_either(text in "[{}\\[\\]\",:a0-9 .e+-]{0,12}") {
            let known = serde_json::from_str::<Value>(&text);
            match read(&text) {
                Ok(value) => prop_assert_eq!(value, known.unwrap()),
                Err(_) => prop_assert!(known.is_err()),
            }
        }
    }
}
