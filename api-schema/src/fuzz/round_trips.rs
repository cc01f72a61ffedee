//! Every built-in kind survives every encoding.

use proptest::prelude::*;

use super::{cases, sample};
use crate::decode::{FieldValidation, Format, decode};
use crate::graph::TypeRef;
use crate::{protobuf, zero};

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn fuzz_every_kind_survives_every_encoding(seed: u64, budget in 0usize..200) {
        for (kind, of) in sample::kinds() {
            let stored = sample::object(&kind, of, seed, budget);
            let version = stored["apiVersion"].as_str().unwrap_or_default();

            let text = serde_json::to_vec(&stored).unwrap();
            let mut again = decode(&text, Format::Json, of, FieldValidation::Strict).unwrap().value;
            zero::normalize(of, &mut again);
            prop_assert_eq!(&again, &stored, "JSON of {:?}", kind);

            let text = crate::encode::yaml(&stored).unwrap();
            let mut again = decode(&text, Format::Yaml, of, FieldValidation::Strict).unwrap().value;
            zero::normalize(of, &mut again);
            prop_assert_eq!(&again, &stored, "YAML of {:?}: {}", kind, String::from_utf8_lossy(&text));

            if protobuf::is_supported(of) {
                let bytes = protobuf::encode(&stored, of, version, &kind.kind).unwrap();
                let mut again = protobuf::decode(&bytes, of).unwrap();
                zero::normalize(of, &mut again);
                let mut stored = stored.clone();
                for value in [&mut again, &mut stored] {
                    sample::without_type_meta(of, value);
                }
                prop_assert_eq!(&again, &stored, "protobuf of {:?}", kind);
                prop_assert_eq!(&protobuf::encode(&again, of, version, &kind.kind).unwrap(), &bytes);

                let has_history = |metadata: TypeRef<'_>| metadata.field("managedFields").is_some();
                if of.member("metadata").is_some_and(has_history) {
                    let raw = protobuf::envelope(&bytes).unwrap().raw;
                    let mut item = protobuf::item_without_history(raw, of).unwrap();
                    if let Some(metadata) = stored["metadata"].as_object_mut() {
                        metadata.remove("managedFields");
                    }
                    for value in [&mut item, &mut stored] {
                        sample::without_type_meta(of, value);
                    }
                    zero::normalize(of, &mut stored);
                    prop_assert_eq!(item, stored, "protobuf of {:?} in a list", kind);
                }
            }
        }
    }
}
