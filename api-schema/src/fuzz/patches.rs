//! Patches of any form to objects of any kind.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::sample::Random;
use super::{cases, damage, sample};
use crate::patch::{json_patch, merge_patch};
use crate::strategic::strategic_merge;

const NAMES: &[&str] = &[
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$setElementOrder/ports",
    "$setElementOrder/finalizers",
    "$deleteFromPrimitiveList/finalizers",
    "$deleteFromPrimitiveList/",
    "$setElementOrder/",
    "metadata",
    "spec",
    "containers",
    "ports",
    "finalizers",
    "name",
    "delete",
    "replace",
    "merge",
];

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn fuzz_strategic_merge(seed: u64, budget in 0usize..80) {
        let mut random = Random::new(seed);
        let kinds = sample::kinds();
        let (kind, of) = random.pick(&kinds);
        let target = sample::object(kind, *of, random.next(), budget);
        let mut patch = if random.one_in(3) { target.clone() } else { sample::object(kind, *of, random.next(), budget) };
        // Without a directive or a null, a patch of a list told apart by keys may still lack one.
        let _ = strategic_merge(*of, &target, &patch);
        damage::value(&mut patch, NAMES, &mut random);
        if let Ok(patched) = strategic_merge(*of, &target, &patch) {
            prop_assert!(patched.is_object());
        }
    }

    #[test]
    fn fuzz_merge_patch(seed: u64, budget in 0usize..80) {
        let mut random = Random::new(seed);
        let kinds = sample::kinds();
        let (kind, of) = random.pick(&kinds);
        let target = sample::object(kind, *of, random.next(), budget);
        let mut patch = sample::object(kind, *of, random.next(), budget);
        damage::value(&mut patch, NAMES, &mut random);
        if let Ok(patched) = merge_patch(&target, &patch) {
            // A list that takes the place of an object keeps its nulls, and loses them when it meets itself.
            let again = merge_patch(&patched, &patch).unwrap();
            prop_assert_eq!(merge_patch(&again, &patch).unwrap(), again);
        }
    }

    #[test]
    fn fuzz_json_patch(seed: u64, budget in 0usize..80) {
        let mut random = Random::new(seed);
        let kinds = sample::kinds();
        let (kind, of) = random.pick(&kinds);
        let target = sample::object(kind, *of, random.next(), budget);
        let operations: Vec<Value> = (0..1 + random.below(6))
            .map(|_| {
                let mut operation = json!({"op": random.pick(&["add", "remove", "replace", "move", "copy", "test", "x"]),
                    "path": path(&target, &mut random), "from": path(&target, &mut random), "value": {"name": 1}});
                if random.one_in(8) {
                    damage::value(&mut operation, &["op", "path", "from", "value", "/", "/-", "/~2", "/00", "/-1"], &mut random);
                }
                operation
            })
            .collect();
        let _ = json_patch(&target, &Value::Array(operations));
    }
}

/// A pointer into a value, or next to it.
fn path(inside: &Value, random: &mut Random) -> String {
    let mut at = inside;
    let mut text = String::new();
    while !random.one_in(4) {
        match at {
            Value::Object(object) if !object.is_empty() => {
                let Some((name, inner)) = object.iter().nth(random.below(object.len())) else { break };
                text.push('/');
                text.push_str(&name.replace('~', "~0").replace('/', "~1"));
                at = inner;
            }
            Value::Array(list) if !list.is_empty() => {
                let index = random.below(list.len());
                text.push_str(&format!("/{index}"));
                at = &list[index];
            }
            _ => {
                text.push_str(random.pick::<&str>(&[
                    "/x",
                    "/-",
                    "/0",
                    "/01",
                    "/-1",
                    "/",
                    "~",
                    "/18446744073709551616",
                ]));
                break;
            }
        }
    }
    text
}
