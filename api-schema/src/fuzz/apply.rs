//! Server-side apply of anything by several managers.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

use super::sample::Random;
use super::{cases, damage, sample};
use crate::managed_fields::{Writer, apply, apply_unowned, keep_times, update};
use crate::zero;

const NAMES: &[&str] =
    &["metadata", "labels", "managedFields", "spec", "status", "name", "type", "key", "port", "a", ""];

fn drop_managers(object: &mut Value) {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    metadata.into_iter().for_each(|metadata| drop(metadata.remove("managedFields")));
    if object.get("metadata").and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
        object.as_object_mut().into_iter().for_each(|object| drop(object.remove("metadata")));
    }
}

/// Drops what is null or empty. Nobody owns an empty list, so that it goes the first time with what its manager gives up
/// beside it, and stays the second time; and a null that is applied leaves an empty object of one that had fields, and
/// stays null the second time. Both as in Kubernetes.
fn drop_empties(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_empties),
        Value::Object(fields) => {
            fields.values_mut().for_each(drop_empties);
            fields.retain(|_, value| match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(fields) => !fields.is_empty(),
                _ => true,
            });
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn fuzz_managers_write_in_turn(seed: u64, budget in 0usize..80) {
        let mut random = Random::new(seed);
        let kinds = sample::kinds();
        let (kind, of) = random.pick(&kinds);
        let sampled = |random: &mut Random| {
            let mut object = sample::object(kind, *of, random.next(), budget);
            if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
                metadata.remove("managedFields");
                metadata.insert("name".into(), "x".into());
                metadata.insert("uid".into(), "u".into());
            }
            object
        };
        let first = sampled(&mut random);
        let version = first["apiVersion"].as_str().unwrap_or_default().to_owned();
        let mut live = None;
        for turn in 0..6 {
            let subresource = random.pick::<&str>(&["", "", "status"]);
            let writer = Writer {
                manager: random.pick::<&str>(&["a", "b", "kubectl"]),
                api_version: &version,
                kind: &kind.kind,
                subresource,
                reset: if subresource.is_empty() { &[&["status"]] } else { &[] },
                now: Timestamp::from_second(turn).unwrap(),
                versions: None,
            };
            let mut config = if random.one_in(2) { sampled(&mut random) } else { first.clone() };
            if random.one_in(2) {
                damage::value(&mut config, NAMES, &mut random);
            }
            let Value::Object(top) = &mut config else { continue };
            if subresource.is_empty() {
                // A server puts back what this door does not change.
                top.remove("status");
            }
            if random.one_in(3) {
                update(*of, live.as_ref(), &mut config, &writer);
                if let Some(live) = &live {
                    keep_times(live, &mut config);
                }
                live = Some(config);
                continue;
            }
            let force = !random.one_in(3);
            if let Ok(applied) = apply(*of, live.as_ref(), &config, &writer, force) {
                // What was applied is there to stay: once more is no change. An object that nobody owns anything of is
                // an exception: what was there before the first apply is found once more.
                let mut again = apply(*of, Some(&applied), &config, &writer, false).unwrap();
                let mut applied = applied;
                zero::normalize(*of, &mut applied);
                zero::normalize(*of, &mut again);
                keep_times(&applied, &mut again);
                if applied.pointer("/metadata/managedFields").is_none() {
                    [&mut again, &mut applied].into_iter().for_each(drop_managers);
                }
                let mut once = applied.clone();
                [&mut again, &mut once].into_iter().for_each(drop_empties);
                prop_assert_eq!(&again, &once, "applied again: {}", config);
                live = Some(applied);
            }
        }
    }

    #[test]
    fn fuzz_unowned_configurations(seed: u64, budget in 0usize..60, config in crate::test_types::arbitrary_json()) {
        let mut random = Random::new(seed);
        let kinds = sample::kinds();
        let (kind, of) = random.pick(&kinds);
        let object = sample::object(kind, *of, random.next(), budget);
        let mut damaged = sample::object(kind, *of, random.next(), budget);
        damage::value(&mut damaged, NAMES, &mut random);
        for config in [config, damaged, object.clone()] {
            if let Ok(merged) = apply_unowned(*of, &object, &config) {
                prop_assert_eq!(apply_unowned(*of, &merged, &config), Ok(merged));
            }
        }
    }
}
