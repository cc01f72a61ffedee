//! The row that a definition makes.

use super::{conversion, versions};
use crate::catalog::PlaneKind;
use crate::columns::about;
use crate::discovery::version_priority;
use crate::json_path::JsonPath;
use crate::kinds;
use crate::names;
use crate::resource::{
    Cell, Column, ColumnText, CustomSchema, Read, ResourceRow, ScalePaths, SelectableField, Strategy, Verb,
    Version,
};
use crate::table::subresource;
use api_schema::{GroupVersionKind, TypeGraph, TypeId};
use api_types::Cause;
use compact_str::CompactString;
use serde_json::Value;
use std::cmp::Reverse;
use std::sync::Arc;

/// A schema that has been understood.
#[derive(Clone)]
pub struct CompiledSchema {
    /// Its types.
    pub graph: Arc<TypeGraph>,
    /// The type of the object.
    pub root: TypeId,
    /// What it demands beside types.
    pub rules: Arc<dyn CustomSchema>,
    /// Tells it apart from other schemas.
    pub hash: u64,
}

/// Compiles schemas; see [`Compiler`](super::Compiler).
pub trait SchemaCompiler {
    /// Compiles `schema.openAPIV3Schema` of one version of a kind.
    ///
    /// # Errors
    /// Defects of the schema, with fields that begin with `openAPIV3Schema`.
    fn compile(&self, kind: &GroupVersionKind, schema: &Value) -> Result<CompiledSchema, Vec<Cause>>;
}

/// The order in which discovery lists the verbs of custom resources.
const VERBS: &[Verb] = &[
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Create,
    Verb::Update,
    Verb::Watch,
];

const EVERYWHERE: &[PlaneKind] = &[PlaneKind::Host, PlaneKind::Tenant, PlaneKind::Super];

/// The row of a definition that has been defaulted and has passed its own validation. Its names are those that were
/// accepted; columns, selectable fields and subresources are those of the preferred served version, and those of the others are told by
/// [`ResourceRow::of_version`].
///
/// # Errors
/// Defects of the schemas, with their full paths in the definition: a definition with any is refused.
pub fn row_of(crd: &Value, compiler: &dyn SchemaCompiler) -> Result<ResourceRow, Vec<Cause>> {
    let text = |value: &Value| CompactString::from(value.as_str().unwrap_or(""));
    let list =
        |value: &Value| -> Vec<CompactString> { value.as_array().into_iter().flatten().map(text).collect() };
    let spec = &crd["spec"];
    let accepted = &crd["status"]["acceptedNames"];
    let names =
        if accepted["plural"].as_str().is_some_and(|s| !s.is_empty()) { accepted } else { &spec["names"] };
    let group = text(&spec["group"]);
    let kind = text(&spec["names"]["kind"]);
    let mut all: Vec<(usize, &Value)> = versions(crd).iter().enumerate().collect();
    all.sort_by_key(|(_, version)| Reverse(version_priority(version["name"].as_str().unwrap_or(""))));
    let (mut compiled, mut unserved, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for (index, version) in &all {
        let name = text(&version["name"]);
        let of = GroupVersionKind { group: group.clone(), version: name.clone(), kind: kind.clone() };
        let list = if version["served"] == true { &mut compiled } else { &mut unserved };
        match compiler.compile(&of, &version["schema"]["openAPIV3Schema"]) {
            Ok(schema) => list.push(Version {
                name,
                graph: schema.graph,
                root: schema.root,
                schema: Some(schema.rules),
                schema_hash: schema.hash,
                converter: None,
                scale: scale_paths(&version["subresources"]["scale"]),
                columns: Some(columns(version)),
                deprecation: deprecation(crd, version),
            }),
            Err(causes) => wrong.extend(causes.into_iter().map(|cause| below_schema(cause, *index))),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let storage = versions(crd).iter().find(|version| version["storage"] == true);
    let conversion = conversion::read(&spec["conversion"]).map(Arc::new);
    let mut kept_fields: Vec<SelectableField> = Vec::new();
    for field in versions(crd).iter().flat_map(selectable_fields) {
        if kept_fields.iter().all(|kept| kept.path != field.path) {
            kept_fields.push(field);
        }
    }
    let row = |version: &Value| {
        let subresources: Vec<_> = offered(version).filter_map(|name| subresource(name, &kind)).collect();
        ResourceRow {
            list_kind: text(&names["listKind"]),
            plural: text(&names["plural"]),
            singular: text(&names["singular"]),
            short_names: list(&names["shortNames"]),
            categories: list(&names["categories"]),
            namespaced: spec["scope"] == "Namespaced",
            versions: compiled.clone(),
            unserved: unserved.clone(),
            conversion: conversion.clone(),
            storage_version: text(storage.map_or(&Value::Null, |version| &version["name"])),
            alias_of: None,
            verbs: VERBS.to_vec(),
            strategy: strategy(subresources.iter().any(|s| s.name == "status")),
            subresources,
            selectable_fields: selectable_fields(version),
            kept_fields: kept_fields.clone(),
            through: Vec::new(),
            columns: columns(version),
            planes: EVERYWHERE,
            group: group.clone(),
            kind: kind.clone(),
        }
    };
    let preferred = all.iter().find(|(_, version)| version["served"] == true);
    let preferred = preferred.map_or(&Value::Null, |(_, version)| *version);
    let differs = |version: &Value| {
        offered(version).ne(offered(preferred))
            || version["selectableFields"] != preferred["selectableFields"]
    };
    let others = all.iter().map(|(_, version)| *version).filter(|version| differs(version));
    let through = others.map(|version| (text(&version["name"]), Arc::new(row(version)))).collect();
    Ok(ResourceRow { through, ..row(preferred) })
}

/// The subresources that a version offers.
fn offered(version: &Value) -> impl Iterator<Item = &'static str> {
    ["status", "scale"].into_iter().filter(|name| version["subresources"][*name].is_object())
}

fn below_schema(cause: Cause, version: usize) -> Cause {
    Cause { field: format!("spec.versions[{version}].schema.{}", cause.field), ..cause }
}

/// With a status subresource the status is cleared at creation and kept by updates; without, it is a field like
/// others. PUT needs a resource version.
fn strategy(has_status: bool) -> Strategy {
    let plain = kinds::strategy("", "");
    let strategy = Strategy {
        generation: true,
        unconditional_update: false,
        create_on_update: false,
        validate_name: names::dns_subdomain,
        create_warnings: |object| finalizer_warnings(object, None),
        update_warnings: Some(|new, old| finalizer_warnings(new, Some(old))),
        ..plain
    };
    match has_status {
        true => strategy,
        false => Strategy {
            prepare_create: |_| {},
            prepare_update: |_, _| {},
            counted: kinds::counted_whole,
            ..strategy
        },
    }
}

/// Finalizers that need no domain.
const STANDARD: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];

/// What is odd about finalizers that have come.
fn finalizer_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let of = |object: &Value| -> std::collections::BTreeSet<String> {
        let list = object["metadata"]["finalizers"].as_array().into_iter().flatten();
        list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let known = old.map(of).unwrap_or_default();
    let mut out = Vec::new();
    for name in of(new).difference(&known) {
        let mut warn = |why: &str| out.push(format!("metadata.finalizers: {name:?}: {why}"));
        names::qualified_name(name).iter().for_each(|why| warn(why));
        let why = match (name.contains('/'), name.contains('.')) {
            (false, path) if !STANDARD.contains(&name.as_str()) => path,
            _ => continue,
        };
        let path = if why { " including a path (/)" } else { "" };
        warn(&format!(
            "prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
        ));
    }
    out
}

/// What clients of a deprecated version are warned of: what its author wrote, or which version is better.
fn deprecation(crd: &Value, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    if let Some(text) = version["deprecationWarning"].as_str() {
        return Some(text.to_owned());
    }
    let spec = &crd["spec"];
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let (group, kind) = (text(&spec["group"]), text(&spec["names"]["kind"]));
    let name = text(&version["name"]);
    let better = versions(crd)
        .iter()
        .filter(|other| other["served"] == true && other["deprecated"] != true)
        .map(|other| text(&other["name"]))
        .filter(|other| version_priority(other) > version_priority(&name))
        .max_by_key(|other| version_priority(other));
    let instead = better.map(|better| format!("; use {group}/{better} {kind}")).unwrap_or_default();
    Some(format!("{group}/{name} {kind} is deprecated{instead}"))
}

fn scale_paths(scale: &Value) -> Option<ScalePaths> {
    let path = |name: &str| CompactString::from(scale[name].as_str().unwrap_or(""));
    scale.is_object().then(|| ScalePaths {
        spec_replicas_path: path("specReplicasPath"),
        status_replicas_path: path("statusReplicasPath"),
        label_selector_path: path("labelSelectorPath"),
    })
}

fn selectable_fields(version: &Value) -> Vec<SelectableField> {
    let fields = version["selectableFields"].as_array().into_iter().flatten();
    fields
        .filter_map(|field| field["jsonPath"].as_str())
        .map(|path| SelectableField {
            path: path.strip_prefix('.').unwrap_or(path).into(),
            read: Read::Path(path.into()),
        })
        .collect()
}

fn columns(version: &Value) -> Vec<Column> {
    let text = |value: &Value| CompactString::from(value.as_str().unwrap_or(""));
    let given = version["additionalPrinterColumns"].as_array().map(Vec::as_slice).unwrap_or_default();
    if given.is_empty() {
        return vec![Column {
            name: "Age".into(),
            of: "date".into(),
            format: CompactString::default(),
            description: ColumnText::About(about::CREATED),
            priority: 0,
            cell: Cell::Path(JsonPath::parse(".metadata.creationTimestamp").ok()),
        }];
    }
    let of = |column: &Value| {
        let path = text(&column["jsonPath"]);
        let read = JsonPath::parse(&path).ok()?;
        let described = text(&column["description"]);
        Some(Column {
            name: text(&column["name"]),
            of: text(&column["type"]),
            format: text(&column["format"]),
            description: ColumnText::Own(match described.is_empty() {
                true => format!("Custom resource definition column (in JSONPath format): {path}").into(),
                false => described,
            }),
            priority: column["priority"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
            cell: Cell::Path(Some(read)),
        })
    };
    // After one that is not understood Kubernetes shows no more.
    given.iter().map_while(of).collect()
}
