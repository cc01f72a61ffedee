//! Printer columns: the definitions and cells of `Table` (`meta.k8s.io/v1`) as Kubernetes prints each kind.

pub mod about;
mod access;
mod admission;
pub mod age;
mod aggregation;
mod cluster;
mod core;
mod flow;
mod insula;
mod metrics;
mod network;
mod pods;
mod scale;
mod storage;
mod table;
mod workloads;

pub use age::human_duration;
pub use scale::scale_table;
pub use table::{IncludeObject, TableOptions, render_cell, table};

use crate::resource::{Cell, Column, ColumnText};
use about::About;
use serde_json::Value;

/// A column as the tables of this module write it.
#[derive(Clone, Copy)]
struct Col {
    name: &'static str,
    of: &'static str,
    wide: bool,
    about: About,
    cell: CellFn,
}

/// Reads one cell: `(object, now)`.
type CellFn = fn(&Value, jiff::Timestamp) -> Value;

const fn text(name: &'static str, about: About, cell: CellFn) -> Col {
    Col { name, of: "string", wide: false, about, cell }
}

const fn int(name: &'static str, about: About, cell: CellFn) -> Col {
    Col { name, of: "integer", wide: false, about, cell }
}

const fn boolean(name: &'static str, about: About, cell: CellFn) -> Col {
    Col { name, of: "boolean", wide: false, about, cell }
}

const fn wide(name: &'static str, about: About, cell: CellFn) -> Col {
    Col { name, of: "string", wide: true, about, cell }
}

const AGE: Col = text("Age", about::CREATED, |o, now| age::since(&o["metadata"]["creationTimestamp"], now));

/// For kinds that say no more than their age.
const ONLY_AGE: &[Col] = &[AGE];

/// Group, resource, columns.
type Kind = (&'static str, &'static str, &'static [Col]);

/// The columns of a built-in or platform resource. What has no table of its own shows its age; reviews, which are
/// never listed, have none.
pub(crate) fn of(group: &str, plural: &str) -> Vec<Column> {
    kinds()
        .find(|(g, p, _)| *g == group && *p == plural)
        .map_or(ONLY_AGE, |(_, _, columns)| columns)
        .iter()
        .map(|col| Column {
            name: col.name.into(),
            of: col.of.into(),
            format: FORMATS
                .iter()
                .find(|(name, _)| *name == col.name)
                .map_or("", |(_, format)| format)
                .into(),
            description: ColumnText::About(col.about),
            priority: i32::from(col.wide),
            cell: Cell::Code(col.cell),
        })
        .collect()
}

/// All kinds that have a table of their own.
fn kinds() -> impl Iterator<Item = &'static Kind> {
    [
        core::KINDS,
        pods::KINDS,
        workloads::KINDS,
        network::KINDS,
        storage::KINDS,
        cluster::KINDS,
        flow::KINDS,
        access::KINDS,
        admission::KINDS,
        aggregation::KINDS,
        insula::KINDS,
        metrics::KINDS,
    ]
    .into_iter()
    .flatten()
}

/// What columns of a name are said to have.
const FORMATS: &[(&str, &str)] = &[
    ("Name", "name"),
    ("Attacher", "name"),
    ("cpu", "quantity"),
    ("memory", "quantity"),
    ("Window", "duration"),
];

/// A text as it is, empty when absent.
fn string(value: &Value) -> Value {
    Value::from(value.as_str().unwrap_or(""))
}

/// A text, or `otherwise` when absent or empty.
fn string_or(value: &Value, otherwise: &str) -> Value {
    Value::from(value.as_str().filter(|s| !s.is_empty()).unwrap_or(otherwise))
}

/// A whole number, 0 when absent.
fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// The elements of a list, none when absent.
fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What a list's elements give, joined by commas.
fn joined<'a>(values: impl Iterator<Item = &'a str>) -> String {
    values.collect::<Vec<_>>().join(",")
}

/// The number of entries of a map.
fn count(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

/// A map of labels as `a=1,b=2`, or `<none>`.
fn labels(value: &Value) -> String {
    let mut pairs: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or("")))
        .collect();
    pairs.sort();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// A `metav1.LabelSelector` as Kubernetes prints it: `<none>` when empty or absent, `<error>` when it is none.
fn selector(value: &Value) -> String {
    match crate::selectors::LabelSelector::from_json(value) {
        Ok(selector) if selector.requirements().is_empty() => "<none>".to_owned(),
        Ok(selector) => selector.to_string(),
        Err(_) => "<error>".to_owned(),
    }
}
