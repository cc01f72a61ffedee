//! Random values of types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::builtin;
use crate::graph::{GroupVersionKind, ListKind, Presence, Scalar, Shape, TypeRef};
use crate::quantity::Quantity;
use crate::zero;

/// Numbers that look random, the same for the same seed (splitmix64).
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

const TEXTS: &[&str] = &[
    "a",
    "b",
    "web",
    "yes",
    "on",
    "null",
    "~",
    "1",
    "-0.5",
    "0x1f",
    "0o17",
    "1e3",
    "true",
    "2001-01-01",
    " a ",
    "é",
    "\u{1f600}",
    "line\nbreak",
    "tab\t",
    "quote\"s'",
    "{}",
    "- x",
    "# no",
    "a: b",
    "%",
    "\\",
    "\u{7f}",
    "<&>",
    ".inf",
];

/// All built-in kinds, in order.
pub(super) fn kinds() -> Vec<(GroupVersionKind, TypeRef<'static>)> {
    let graph = builtin::graph();
    let mut kinds: Vec<_> = graph.kinds().map(|(kind, id)| (kind.clone(), graph.at(id))).collect();
    kinds.sort_by(|a, b| a.0.cmp(&b.0));
    kinds
}

/// A random object of a kind in the form in which it is stored. `budget` bounds how much is in it.
pub(super) fn object(kind: &GroupVersionKind, of: TypeRef<'_>, seed: u64, budget: usize) -> Value {
    let mut left = budget;
    let mut value = value(of, &mut Random::new(seed), &mut left, 0);
    zero::normalize(of, &mut value);
    let version = match (kind.group.as_str(), kind.version.as_str()) {
        ("" | "*", version) => version.to_owned(),
        (group, version) => format!("{group}/{version}"),
    };
    if let (Value::Object(object), Some(_)) = (&mut value, of.field("kind")) {
        object.insert("apiVersion".into(), version.into());
        object.insert("kind".into(), kind.kind.as_str().into());
    }
    value
}

/// Removes what protobuf does not carry: `apiVersion` and `kind`, but for those of special types.
pub(super) fn without_type_meta(of: TypeRef<'_>, value: &mut Value) {
    match (of.shape(), value) {
        (Shape::Object(fields), Value::Object(object)) => {
            for field in fields {
                if field.number == 0 {
                    object.remove(field.name.as_str());
                } else if let Some(inner) = object.get_mut(field.name.as_str()) {
                    without_type_meta(of.at(field.of), inner);
                }
            }
            // The envelope's, which every decoded object has.
            let carried = |name: &str| of.field(name).is_some_and(|field| field.number > 0);
            object.retain(|name, _| !matches!(name.as_str(), "apiVersion" | "kind") || carried(name));
        }
        (Shape::Map(member), Value::Object(object)) => {
            object.values_mut().for_each(|inner| without_type_meta(of.at(*member), inner));
        }
        (Shape::List(element, _), Value::Array(list)) => {
            list.iter_mut().for_each(|inner| without_type_meta(of.at(*element), inner));
        }
        _ => {}
    }
}

/// A random value of a type; never null.
pub(super) fn value(of: TypeRef<'_>, random: &mut Random, left: &mut usize, depth: usize) -> Value {
    *left = left.saturating_sub(1);
    match of.shape() {
        Shape::Object(fields) => {
            let mut object = Map::new();
            // The more is left, the more fields; deep down, few.
            let one_in = if depth < 3 { 2 } else { 2 + depth };
            for field in fields {
                let wanted = *left > 0 && random.one_in(one_in);
                let duration = matches!(of.at(field.of).shape(), Shape::Scalar(Scalar::Duration));
                if (wanted || field.presence == Presence::Always) && !duration {
                    object.insert(field.name.to_string(), value(of.at(field.of), random, left, depth + 1));
                }
            }
            Value::Object(object)
        }
        Shape::Map(member) => {
            let length = if *left > 0 { random.below(3) } else { 0 };
            let entries = (0..length).map(|_| {
                let name = (*random.pick(TEXTS)).to_owned();
                (name, value(of.at(*member), random, left, depth + 1))
            });
            Value::Object(entries.collect())
        }
        Shape::List(element, kind) => {
            let length = if *left > 0 { random.below(3) } else { 0 };
            let mut list: Vec<Value> =
                (0..length).map(|_| value(of.at(*element), random, left, depth + 1)).collect();
            if let ListKind::Set = kind {
                list.dedup();
            }
            list.into()
        }
        Shape::Any => any(of.node().name.as_str(), of.node().embedded, random),
        Shape::Scalar(scalar) => single(*scalar, random),
    }
}

fn any(name: &str, embedded: bool, random: &mut Random) -> Value {
    let text = (*random.pick(TEXTS)).to_owned();
    let name = name.rsplit('.').next().unwrap_or_default();
    match name {
        "FieldsV1" => json!({"f:spec": {".": {}, "f:a": {}, "k:{\"name\":\"x\"}": {"f:b": {}}}}),
        "JSONSchemaPropsOrArray" if random.one_in(2) => {
            json!([schema(random), schema(random)])
        }
        "JSONSchemaPropsOrStringArray" if random.one_in(2) => json!([text, "b"]),
        "JSONSchemaPropsOrBool" if random.one_in(2) => Value::Bool(random.one_in(2)),
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray" | "JSONSchemaPropsOrBool" => schema(random),
        "JSON" if random.one_in(2) => {
            random.pick(&[json!(1), json!(0.5), json!("x"), json!([]), json!(false)]).clone()
        }
        _ if embedded => {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"k": text}})
        }
        _ => json!({"k": text, "n": [1, 0.5, null, true, {"": -7}]}),
    }
}

fn schema(random: &mut Random) -> Value {
    json!({"type": *random.pick(&["object", "string"]), "maximum": random.below(9)})
}

fn single(scalar: Scalar, random: &mut Random) -> Value {
    let second = random.below(4_000_000_000) as i64;
    let at = jiff::Timestamp::from_second(second).unwrap();
    match scalar {
        Scalar::String | Scalar::Duration => (*random.pick(TEXTS)).into(),
        Scalar::Bytes => {
            let length = random.below(5);
            let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            STANDARD.encode(bytes).into()
        }
        Scalar::Time => at.to_string().into(),
        Scalar::MicroTime => {
            format!("{}.{:06}Z", at.to_string().trim_end_matches('Z'), random.below(1_000_000)).into()
        }
        Scalar::Quantity => {
            let suffix = random.pick(&["", "m", "k", "Mi", "Gi", "e3", "n"]);
            Quantity::normalize(&format!("{}{suffix}", random.below(3000))).unwrap().into()
        }
        Scalar::IntOrString if random.one_in(2) => (*random.pick(&["http", "50%"])).into(),
        Scalar::Int32 | Scalar::IntOrString => {
            (*random.pick(&[0, 1, -1, 80, i32::MAX, i32::MIN, second as i32])).into()
        }
        Scalar::Int64 => (*random.pick(&[0, 1, -1, i64::MAX, i64::MIN, second])).into(),
        Scalar::Number => {
            random.pick(&[json!(0), json!(0.5), json!(-12_500_000_000_i64), json!(1e300), json!(7)]).clone()
        }
        Scalar::Boolean => random.one_in(2).into(),
    }
}
