//! JSON decoded without what nobody asks for: that is passed over, and never made into values.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// What is kept of a value.
#[derive(Debug)]
pub enum Keep {
    /// All of it.
    All,
    /// Nothing.
    Nothing,
    /// Of a map, these fields; of a list, these fields of each element.
    Only(&'static [(&'static str, Keep)]),
    /// Of a list, the elements that are wanted, and of these what is said.
    Where(fn(&Value) -> bool, &'static Keep),
    /// Of a map, all fields, but of these what is said; of a list, the same of each element.
    But(&'static [(&'static str, Keep)]),
}

impl Keep {
    /// Decodes what is kept of a text.
    pub fn read(&'static self, text: &[u8]) -> Result<Value, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = self.deserialize(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    /// What is kept of a field of a map.
    fn field(&self, name: &str) -> &'static Keep {
        let find = |fields: &'static [(&'static str, Keep)]| {
            fields.iter().find(|(known, _)| *known == name).map(|(_, keep)| keep)
        };
        match self {
            Keep::Only(fields) => find(fields).unwrap_or(&Keep::Nothing),
            Keep::But(fields) => find(fields).unwrap_or(&Keep::All),
            Keep::Where(_, keep) => keep.field(name),
            Keep::All => &Keep::All,
            Keep::Nothing => &Keep::Nothing,
        }
    }
}

impl<'de> DeserializeSeed<'de> for &'static Keep {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Keep::All => serde::Deserialize::deserialize(deserializer),
            Keep::Nothing => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Value::Null),
            Keep::Only(_) | Keep::Where(..) | Keep::But(_) => deserializer.deserialize_any(Parts(self)),
        }
    }
}

struct Parts(&'static Keep);

impl<'de> Visitor<'de> for Parts {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = fields.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.0.field(&name) {
                Keep::Nothing => drop(fields.next_value::<IgnoredAny>()?),
                keep => drop(kept.insert(name.into_owned(), fields.next_value_seed(keep)?)),
            }
        }
        Ok(kept.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        let (wanted, keep) = match self.0 {
            Keep::Where(wanted, keep) => (Some(wanted), *keep),
            keep => (None, keep),
        };
        while let Some(element) = elements.next_element_seed(keep)? {
            if wanted.is_none_or(|wanted| wanted(&element)) {
                kept.push(element);
            }
        }
        Ok(kept.into())
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
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}
