//! Decoders read any bytes: they say what is wrong, or give a value that they read again unchanged.

use proptest::prelude::*;
use serde_json::Value;

use super::sample::Random;
use super::{cases, damage, sample};
use crate::decode::{FieldValidation, Format, decode, decode_any, decode_structural, group_version_kind};
use crate::graph::TypeRef;
use crate::managed_fields::FieldSet;
use crate::{protobuf, zero};

/// A random object of a random kind.
fn start(random: &mut Random, budget: usize) -> (TypeRef<'static>, Value) {
    let kinds = sample::kinds();
    let (kind, of) = random.pick(&kinds);
    (*of, sample::object(kind, *of, random.next(), budget))
}

/// Reads a text in all ways; what comes out has to be stable.
fn read(text: &[u8], format: Format, of: TypeRef<'_>) -> Result<(), TestCaseError> {
    let _ = group_version_kind(text, format);
    let _ = decode_any(text, format);
    let _ = decode(text, format, of, FieldValidation::Strict);
    if let Ok(decoded) = decode_structural(text, format, of, FieldValidation::Warn) {
        let written = serde_json::to_vec(&decoded.value).unwrap();
        let again = decode_structural(&written, Format::Json, of, FieldValidation::Strict).unwrap();
        prop_assert_eq!(again.value, decoded.value);
    }
    if let Ok(decoded) = decode(text, format, of, FieldValidation::Warn) {
        let written = serde_json::to_vec(&decoded.value).unwrap();
        let again = decode(&written, Format::Json, of, FieldValidation::Strict).unwrap();
        prop_assert_eq!(&again.value, &decoded.value);
        // What a client may send may be stored and sent as protobuf.
        let mut stored = decoded.value;
        zero::normalize(of, &mut stored);
        if protobuf::is_supported(of) && stored.is_object() {
            let bytes = protobuf::encode(&stored, of, "v1", "X").unwrap();
            let mut again = protobuf::decode(&bytes, of).unwrap();
            zero::normalize(of, &mut again);
            for value in [&mut stored, &mut again] {
                sample::without_type_meta(of, value);
            }
            prop_assert_eq!(again, stored);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn fuzz_json(seed: u64, budget in 0usize..60) {
        let mut random = Random::new(seed);
        let (of, object) = start(&mut random, budget);
        read(&damage::bytes(object.to_string().as_bytes(), &mut random), Format::Json, of)?;
    }

    #[test]
    fn fuzz_json_values(seed: u64, budget in 0usize..60) {
        let mut random = Random::new(seed);
        let (of, mut object) = start(&mut random, budget);
        damage::value(&mut object, &["metadata", "name", "spec", "items", "status", "bogus", ""], &mut random);
        read(object.to_string().as_bytes(), Format::Json, of)?;
    }

    #[test]
    fn fuzz_yaml(seed: u64, budget in 0usize..60) {
        let mut random = Random::new(seed);
        let (of, object) = start(&mut random, budget);
        let text = serde_yaml_ng::to_string(&object).unwrap();
        read(&damage::bytes(text.as_bytes(), &mut random), Format::Yaml, of)?;
    }

    #[test]
    fn fuzz_protobuf(seed: u64, budget in 0usize..60) {
        let mut random = Random::new(seed);
        let (of, object) = start(&mut random, budget);
        let Ok(bytes) = protobuf::encode(&object, of, "v1", "X") else { return Ok(()) };
        if let Ok(mut value) = protobuf::decode(&damage::bytes(&bytes, &mut random), of) {
            zero::normalize(of, &mut value);
            let written = protobuf::encode(&value, of, "v1", "X").unwrap();
            let mut again = protobuf::decode(&written, of).unwrap();
            zero::normalize(of, &mut again);
            for value in [&mut value, &mut again] {
                sample::without_type_meta(of, value);
            }
            prop_assert_eq!(again, value);
        }
    }

    #[test]
    fn fuzz_bytes(text in prop::collection::vec(any::<u8>(), 0..64), pick: u64) {
        let (of, _) = start(&mut Random::new(pick), 0);
        read(&text, Format::Json, of)?;
        read(&text, Format::Yaml, of)?;
        let _ = protobuf::decode(&[protobuf::PREFIX.as_slice(), &text].concat(), of);
        let _ = protobuf::envelope(&text);
        let _ = protobuf::list(&[protobuf::PREFIX.as_slice(), &text].concat());
        let _ = protobuf::item_without_history(&text, of);
    }

    #[test]
    fn fuzz_field_sets(seed: u64) {
        let mut random = Random::new(seed);
        let mut set = serde_json::json!({"f:metadata": {".": {}, "f:labels": {"f:a": {}}},
            "f:spec": {"f:list": {"k:{\"port\":1,\"protocol\":\"TCP\"}": {".": {}, "f:x": {}}, "v:\"a\"": {}, "i:3": {}}}});
        damage::value(&mut set, &[".", "f:", "f:a", "k:{}", "k:{", "k:[1]", "k:{\"a\":{}}", "v:1.50", "v:{", "i:-1",
            "i:99999999999999999999", "x:", "é"], &mut random);
        if let Ok(read) = FieldSet::from_value(&set) {
            let text = read.to_json();
            let again = FieldSet::from_value(&serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert_eq!(again.to_json(), text);
        }
    }
}

#[test]
fn nothing_is_too_deep_for_the_stack() {
    let (of, _) = start(&mut Random::new(1), 0);
    for (open, close) in
        [("[", "]"), ("{\"a\":", "}"), ("- ", ""), ("? ", ""), ("[{a: ", "}]"), ("!!x ", ""), ("&a ", "")]
    {
        let text = format!("{}1{}", open.repeat(50_000), close.repeat(50_000));
        assert!(decode_any(text.as_bytes(), Format::Json).is_err());
        let _ = decode(text.as_bytes(), Format::Yaml, of, FieldValidation::Warn);
    }
    let indented: String = (0..1000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    assert!(decode_any(indented.as_bytes(), Format::Yaml).is_err());
    let mut message = Vec::new();
    for _ in 0..5_000 {
        let mut outer = vec![0x1a];
        let mut length = message.len();
        while length >= 0x80 {
            outer.push(length as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.append(&mut message);
        message = outer;
    }
    for (_, of) in sample::kinds() {
        let _ = protobuf::decode(&[protobuf::PREFIX.as_slice(), &message].concat(), of);
    }
}

#[test]
fn aliases_do_not_explode() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    assert!(decode_any(text.as_bytes(), Format::Yaml).is_err());
    assert!(decode_any(b"a: &a [*a]", Format::Yaml).is_err());
}
