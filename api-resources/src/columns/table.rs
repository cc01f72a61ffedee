//! Rendering objects as a `Table`.

use super::{about, age};
use crate::json_path::JsonPath;
use crate::resource::{Cell, Column, ResourceRow, Version};
use api_types::{go_float, print};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What each row carries of its object (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// The metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl IncludeObject {
    /// Reads the query parameter; absent or empty is `Metadata`. `None` for what is none of the three.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "None" => Some(IncludeObject::None),
            "" | "Metadata" => Some(IncludeObject::Metadata),
            "Object" => Some(IncludeObject::Object),
            _ => None,
        }
    }
}

/// How a table is rendered.
#[derive(Clone, Copy, Debug)]
pub struct TableOptions {
    /// What each row carries of its object.
    pub include_object: IncludeObject,
    /// Leaves out the column definitions (the later events of a watch).
    pub no_headers: bool,
    /// What ages are counted to.
    pub now: Timestamp,
}

/// Objects of a resource as a `meta.k8s.io/v1` `Table`. The objects are in their stored version, with
/// `resourceVersion` filled; those that the rows carry are in `version`. The caller adds the list's `metadata`.
pub fn table<'a>(
    row: &ResourceRow,
    version: &Version,
    objects: impl Iterator<Item = &'a Value>,
    options: TableOptions,
) -> Value {
    let named = columns_of(row, version).iter().any(|column| column.name == "Name");
    let rows: Vec<Value> = objects.map(|object| table_row(row, version, named, object, options)).collect();
    let mut out = Map::new();
    out.insert("kind".into(), "Table".into());
    out.insert("apiVersion".into(), "meta.k8s.io/v1".into());
    out.insert("metadata".into(), json!({}));
    let definitions = match options.no_headers {
        true => Value::Null,
        false => {
            let name = (!named).then(|| definition("Name", "string", "name", about::NAME.text(), 0));
            let others = columns_of(row, version)
                .iter()
                .map(|c| definition(&c.name, &c.of, &c.format, c.description.text(), c.priority));
            name.into_iter().chain(others).collect()
        }
    };
    out.insert("columnDefinitions".into(), definitions);
    out.insert("rows".into(), Value::Array(rows));
    Value::Object(out)
}

fn columns_of<'a>(row: &'a ResourceRow, version: &'a Version) -> &'a [Column] {
    version.columns.as_deref().unwrap_or(&row.columns)
}

pub(super) fn definition(name: &str, of: &str, format: &str, description: &str, priority: i32) -> Value {
    json!({"name": name, "type": of, "format": format, "description": description, "priority": priority})
}

/// What a row carries of its object.
pub(super) fn of_object(object: &Value, include: IncludeObject) -> Value {
    match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => {
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"]})
        }
        IncludeObject::Object => object.clone(),
    }
}

fn table_row(
    row: &ResourceRow,
    version: &Version,
    named: bool,
    object: &Value,
    options: TableOptions,
) -> Value {
    let name = (!named).then(|| object["metadata"]["name"].clone());
    let cells = columns_of(row, version).iter().map(|column| render_cell(column, object, options.now));
    let mut out = Map::new();
    out.insert("cells".into(), name.into_iter().chain(cells).collect());
    if let Some(condition) = completed(row, object) {
        out.insert("conditions".into(), json!([condition]));
    }
    let carried = match options.include_object {
        IncludeObject::None | IncludeObject::Metadata => of_object(object, options.include_object),
        IncludeObject::Object => {
            let mut object = object.clone();
            if version.converter.is_some() {
                crate::convert::from_stored(row, version, &mut object);
            }
            object
        }
    };
    out.insert("object".into(), carried);
    Value::Object(out)
}

/// Pods that have ended say so, so that clients can hide them.
fn completed(row: &ResourceRow, object: &Value) -> Option<Value> {
    if !(row.group.is_empty() && row.plural == "pods") {
        return None;
    }
    let (reason, message) = match object["status"]["phase"].as_str()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

/// One cell of an object.
pub fn render_cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    match &column.cell {
        Cell::Code(code) => code(object, now),
        Cell::Path(path) => path.as_ref().map_or(Value::Null, |path| by_path(path, &column.of, object, now)),
    }
}

/// A CRD's cell: of the type of its column, null when there is nothing of that type.
fn by_path(path: &JsonPath, of: &str, object: &Value, now: Timestamp) -> Value {
    let Some(first) = path.first(object) else { return Value::Null };
    let first = &*first;
    match of {
        "integer" => {
            first.as_i64().or_else(|| first.as_f64().map(|n| n as i64)).map_or(Value::Null, Value::from)
        }
        "number" => number(first),
        "boolean" => first.as_bool().map_or(Value::Null, Value::from),
        "date" => match first.as_str() {
            Some("") => Value::from("<unknown>"),
            Some(_) if age::moment(first).is_none() => Value::from("<invalid>"),
            Some(_) => age::since(first, now),
            None => Value::Null,
        },
        "string" => match first {
            // As Go prints what is nothing.
            Value::Null => "<no value>".into(),
            Value::String(text) => text.as_str().into(),
            Value::Number(number) if number.is_f64() => {
                number.as_f64().map_or(Value::Null, |number| go_float::printed(number).into())
            }
            other => print::json(other).into(),
        },
        _ => Value::Null,
    }
}

/// A number, a whole one without a fraction.
fn number(value: &Value) -> Value {
    let mut cell = value.as_f64().map_or(Value::Null, Value::from);
    api_schema::decode::plain_numbers(&mut cell);
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, PlaneKind};

    fn options(include_object: IncludeObject) -> TableOptions {
        TableOptions { include_object, no_headers: false, now: "2026-01-01T00:01:00Z".parse().unwrap() }
    }

    #[test]
    fn namespaces_render_as_a_table() {
        let row = Catalog::of(PlaneKind::Host).resource("", "namespaces").unwrap();
        let object = json!({"metadata": {"name": "default", "creationTimestamp": "2026-01-01T00:00:19Z"},
            "status": {"phase": "Active"}});
        let table = table(
            &row,
            row.stored_version().unwrap(),
            [&object].into_iter(),
            options(IncludeObject::Metadata),
        );
        let names: Vec<_> =
            table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
        assert_eq!(names, ["Name", "Status", "Age"]);
        assert_eq!(table["columnDefinitions"][0]["format"], "name");
        let says =
            |column: usize| table["columnDefinitions"][column]["description"].as_str().unwrap().to_owned();
        assert!(says(0).starts_with("Name must be unique within a namespace."));
        assert_eq!(says(1), "The status of the namespace");
        assert!(says(2).contains("server time when this object was created"));
        assert_eq!(
            table["rows"],
            json!([{"cells": ["default", "Active", "41s"], "object":
            {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]}}])
        );
    }

    #[test]
    fn rows_carry_what_was_asked_for() {
        let row = Catalog::of(PlaneKind::Host).resource("", "configmaps").unwrap();
        let object = json!({"metadata": {"name": "c"}, "data": {"a": "1"}});
        let render = |include| {
            table(&row, row.stored_version().unwrap(), [&object].into_iter(), options(include))["rows"][0]["object"].clone()
        };
        assert_eq!(render(IncludeObject::None), Value::Null);
        assert_eq!(render(IncludeObject::Object), object);
        let quiet = TableOptions { no_headers: true, ..options(IncludeObject::None) };
        assert_eq!(
            table(&row, row.stored_version().unwrap(), [&object].into_iter(), quiet)["columnDefinitions"],
            Value::Null
        );
        for (text, include) in
            [("", Some(IncludeObject::Metadata)), ("None", Some(IncludeObject::None)), ("x", None)]
        {
            assert_eq!(IncludeObject::parse(text), include);
        }
    }

    #[test]
    fn cells_of_custom_resources_have_their_columns_type() {
        let object = json!({"spec": {"size": 3, "ratio": 0.5, "on": true, "name": "x", "list": ["a", "b"],
            "at": "2026-01-01T00:00:00Z", "map": {"k": 1}, "html": {"k": "<"}, "null": null, "large": 1e30}});
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        for (path, of, cell) in [
            (".spec.size", "integer", json!(3)),
            (".spec.name", "integer", Value::Null),
            (".spec.ratio", "number", json!(0.5)),
            (".spec.size", "number", json!(3)),
            (".spec.on", "boolean", json!(true)),
            (".spec.name", "string", json!("x")),
            (".spec.size", "string", json!("3")),
            (".spec.map", "string", json!("{\"k\":1}")),
            (".spec.at", "date", json!("60s")),
            (".spec.name", "date", json!("<invalid>")),
            (".spec.none", "string", Value::Null),
            (".spec.ratio", "string", json!("0.5")),
            (".spec.large", "string", json!("1e+30")),
            (".spec.null", "string", json!("<no value>")),
            (".spec.null", "integer", Value::Null),
            (".spec.html", "string", json!("{\"k\":\"\\u003c\"}")),
            (".spec.list[*]", "string", json!("a")),
            ("..k", "string", json!("<")),
            (".spec.list[5]", "string", Value::Null),
        ] {
            let path = &JsonPath::parse(path).unwrap();
            assert_eq!(by_path(path, of, &object, now), cell, "{path:?} {of}");
        }
    }
}
