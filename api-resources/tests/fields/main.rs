//! What becomes of every field of our own kinds: nothing that a user writes is silently ignored.
//!
//! The fields come from the table of types, the verdicts from the tables here. A field without a verdict fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // what tests are made of

mod cloud;
mod leaves;
mod oam;
mod refusals;
mod tenancy;
mod verdict;

use api_resources::table::insula;
use api_schema::openapi::Descriptions;
use leaves::{Leaf, leaves};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use verdict::{KindFields, Verdict};

/// Every kind with its verdicts.
fn kinds() -> impl Iterator<Item = &'static KindFields> {
    [tenancy::KINDS, cloud::KINDS, oam::KINDS].into_iter().flatten()
}

/// The verdict about each field of a kind, with the row that has it: the row of the field itself, else the one of
/// the nearest field above it.
fn verdicts(kind: &KindFields) -> Vec<(Leaf, &'static str, &'static Verdict)> {
    let of = |leaf: Leaf| {
        let path = leaf.path.as_str();
        let row =
            kind.rows.iter().filter(|(row, _)| verdict::covers(row, path)).max_by_key(|(row, _)| row.len());
        let (row, verdict) =
            row.unwrap_or_else(|| panic!("{} {path} has no verdict: what becomes of it?", kind.kind));
        (leaf, *row, verdict)
    };
    leaves(kind.group, kind.kind).into_iter().map(of).collect()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn every_field_of_every_kind_has_a_verdict_and_every_verdict_a_field() {
    let of_ours: BTreeSet<&str> = insula::rows().iter().map(|row| row.kind.as_str()).collect();
    let told: BTreeSet<&str> = kinds().map(|kind| kind.kind).collect();
    assert_eq!(told, of_ours);
    for kind in kinds() {
        let used: BTreeSet<&str> = verdicts(kind).into_iter().map(|(_, row, _)| row).collect();
        let rows: BTreeSet<&str> = kind.rows.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows.len(), kind.rows.len(), "{} has two verdicts about one field", kind.kind);
        assert_eq!(used, rows, "{} has verdicts about fields that are not there", kind.kind);
    }
}

#[test]
fn what_is_said_to_be_used_is_named_in_the_file_that_uses_it() {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for kind in kinds() {
        for (leaf, _, verdict) in verdicts(kind) {
            let Some(file) = verdict.file() else { continue };
            let text = files.entry(file).or_insert_with(|| {
                let path = workspace().join(file);
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            });
            let names = [leaf.name().to_owned(), verdict::snake_case(leaf.name())];
            let named = names.iter().any(|name| verdict::has_word(text, name));
            assert!(named, "{} {}: {file} has none of {names:?}", kind.kind, leaf.path);
        }
    }
}

#[test]
fn what_is_refused_is_refused_by_its_field_with_what_to_do() {
    for kind in kinds() {
        let good = refusals::told(kind, &serde_json::json!({}));
        let expected: &[&str] = if kind.kind == "SyncRule" { &["spec"] } else { &[] };
        assert_eq!(
            good.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(),
            expected,
            "{}",
            kind.kind
        );
        for (leaf, _, verdict) in verdicts(kind) {
            for refusal in verdict.refusals(&leaf) {
                refusals::assert_refused(kind, &leaf, &refusal);
            }
        }
    }
}

#[test]
fn kubectl_explain_says_what_is_refused_and_what_nobody_reads() {
    let descriptions = Descriptions::collect();
    for kind in kinds() {
        for (leaf, _, verdict) in verdicts(kind) {
            let told: Vec<&str> =
                leaf.holders.iter().filter_map(|(of, field)| descriptions.of_field(of, field)).collect();
            assert_eq!(told.len(), leaf.holders.len(), "{} {} is not described", kind.kind, leaf.path);
            let says = |words: &str| told.iter().any(|text| text.to_lowercase().contains(words));
            if let Some(words) = verdict.explained() {
                assert!(says(words), "{} {}: no {words:?} in {told:?}", kind.kind, leaf.path);
            } else if matches!(verdict, Verdict::Enforced(_)) {
                let own = told.last().unwrap().to_lowercase();
                assert!(!own.contains("not in this release"), "{} {}: {own}", kind.kind, leaf.path);
            }
        }
    }
}

#[test]
fn the_pages_for_readers_name_every_field_of_a_spec() {
    let mut missing = Vec::new();
    for kind in kinds() {
        let page = std::fs::read_to_string(workspace().join("docs").join(kind.page)).unwrap();
        for (leaf, row, verdict) in verdicts(kind) {
            // What is refused as a whole is told as a whole.
            let path = if matches!(verdict, Verdict::Refused(_)) { row } else { leaf.path.as_str() };
            let name = path.rsplit('.').next().unwrap();
            if path.starts_with("spec.") && !verdict::has_word(&page, name) {
                missing.push(format!("docs/{}: {} {path}", kind.page, kind.kind));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
