//! Damage to documents.

use serde_json::{Map, Value, json};

use super::sample::Random;

/// Parts of JSON, YAML and protobuf that parsers trip over.
const PARTS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"-",
    b"0",
    b"1e999",
    b"-1e-999",
    b"1e",
    b"18446744073709551616",
    b"0.1e-5000",
    b"\\u",
    b"\\ud800",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\0",
    b"\n",
    b"  ",
    b"\t",
    b"- ",
    b"? ",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!binary ",
    b"!!float ",
    b"| \n",
    b"> \n",
    b"--- ",
    b"...",
    b"#",
    b"%YAML 1.1\n",
    b"{{{{{{{{",
    b"[[[[[[[[",
    b"k8s\0",
    b"\x0a",
    b"\x12\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x0b",
    b"metadata",
    b"apiVersion",
    b"kind",
    b"$patch",
];

/// Changes a few bytes: overwrites, inserts, removes and repeats.
pub(super) fn bytes(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(text.len() + 1);
        let end = at + random.below(24).min(text.len() - at);
        match random.below(5) {
            0 if at < text.len() => text[at] = random.next() as u8,
            1 => drop(text.drain(at..end)),
            2 => {
                let part = text[at..end].to_vec();
                let to = random.below(text.len() + 1);
                text.splice(to..to, part);
            }
            3 => text.truncate(at.max(1)),
            _ => {
                let part = random.pick(PARTS);
                text.splice(at..at, part.iter().copied());
            }
        }
    }
    text
}

/// Changes a few values inside: other values, other names, none, one more. `names` are used as keys of objects.
pub(super) fn value(value: &mut Value, names: &[&str], random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        once(value, names, random);
    }
}

fn once(value: &mut Value, names: &[&str], random: &mut Random) {
    let down = !random.one_in(5);
    match value {
        Value::Object(object) if down && !object.is_empty() => {
            let at = random.below(object.len());
            let Some(name) = object.keys().nth(at).cloned() else { return };
            match random.below(12) {
                0 => drop(object.remove(&name)),
                1 => {
                    let taken = object.remove(&name).unwrap_or_default();
                    object.insert((*random.pick(names)).to_owned(), taken);
                }
                2 => drop(object.insert((*random.pick(names)).to_owned(), odd(names, random))),
                _ => object.values_mut().skip(at).take(1).for_each(|inner| once(inner, names, random)),
            }
        }
        Value::Array(list) if down && !list.is_empty() => {
            let at = random.below(list.len());
            match random.below(8) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                2 => list.push(odd(names, random)),
                _ => once(&mut list[at], names, random),
            }
        }
        other => *other = odd(names, random),
    }
}

/// A value that is likely not to fit.
fn odd(names: &[&str], random: &mut Random) -> Value {
    let name = *random.pick(names);
    match random.below(12) {
        0 => Value::Null,
        1 => json!(i64::MIN),
        2 => json!(u64::MAX),
        3 => json!(1e300),
        4 => json!(""),
        5 => json!(name),
        6 => json!([name, null, [name]]),
        7 => json!([{"name": name}, {name: 1}]),
        8 => json!({name: {"name": null}}),
        9 => json!({"name": name}),
        10 => Value::Object(Map::new()),
        _ => Value::Bool(random.one_in(2)),
    }
}
