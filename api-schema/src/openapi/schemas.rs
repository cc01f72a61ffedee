//! Types as the schemas of a document.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::descriptions::Descriptions;
use super::operations::{Body, Media, Path};
use super::{ApiResource, ApiSchema, GroupVersionApi, unions};
use crate::builtin;
use crate::graph::{Field, GroupVersionKind, ListKind, Presence, Scalar, Shape, TypeGraph, TypeId, TypeRef};

/// The two versions of OpenAPI, where schemas differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    V2,
    V3,
}

impl Dialect {
    /// A reference to a definition.
    pub(super) fn reference(self, name: &str) -> Value {
        match self {
            Dialect::V2 => json!({ "$ref": format!("#/definitions/{name}") }),
            Dialect::V3 => json!({ "$ref": format!("#/components/schemas/{name}") }),
        }
    }
}

/// Definitions that refer to each other, collected as they are needed.
pub(super) struct Schemas<'d> {
    pub(super) dialect: Dialect,
    descriptions: &'d Descriptions,
    /// The groups and versions of kinds that every group has.
    everywhere: Vec<(String, String)>,
    pub(super) definitions: Map<String, Value>,
    /// What operations carry, by the names of definitions.
    needed: Vec<String>,
}

pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The name of a resource's definition.
pub(super) fn definition_name(schema: &ApiSchema, group: &str, version: &str, kind: &str) -> String {
    if let ApiSchema::Types(graph, id) = schema {
        let name = &graph.at(*id).node().name;
        if !name.is_empty() {
            return name.to_string();
        }
    }
    let mut parts: Vec<&str> = group.rsplit('.').collect();
    parts.extend([version, kind]);
    parts.join(".")
}

impl<'d> Schemas<'d> {
    pub(super) fn new(dialect: Dialect, descriptions: &'d Descriptions) -> Schemas<'d> {
        Schemas { dialect, descriptions, everywhere: Vec::new(), definitions: Map::new(), needed: Vec::new() }
    }

    /// Adds all that a group and version needs.
    pub(super) fn add_api(&mut self, api: &GroupVersionApi, paths: &[Path]) {
        self.everywhere.push((api.group.clone(), api.version.clone()));
        for resource in &api.resources {
            self.add_resource(api, resource);
        }
        for operation in paths.iter().flat_map(|path| &path.operations) {
            self.needed.extend(operation.request.iter().map(|(name, _)| name.clone()));
            match &operation.response {
                Body::Object(name) => self.needed.push(name.clone()),
                Body::List(name) => {
                    self.needed.push(name.clone());
                    if operation.media != Media::Custom {
                        self.needed.push(format!("{META}.WatchEvent"));
                    }
                }
                Body::Events | Body::Text | Body::None => {}
            }
        }
    }

    /// Adds the type of what `/version` tells, which is no kind: texts alone.
    pub(super) fn add_version(&mut self) {
        const REQUIRED: &[&str] = &[
            "major",
            "minor",
            "gitVersion",
            "gitCommit",
            "gitTreeState",
            "buildDate",
            "goVersion",
            "compiler",
            "platform",
        ];
        const OPTIONAL: &[&str] =
            &["emulationMajor", "emulationMinor", "minCompatibilityMajor", "minCompatibilityMinor"];
        let name = super::discovery::VERSION_INFO;
        let mut properties = Map::new();
        for field in REQUIRED.iter().chain(OPTIONAL) {
            let mut schema = json!({ "type": "string" });
            if self.dialect == Dialect::V3 && REQUIRED.contains(field) {
                schema["default"] = json!("");
            }
            if let Some(words) = self.descriptions.of_field(name, field) {
                schema["description"] = json!(words);
            }
            properties.insert((*field).to_owned(), schema);
        }
        let mut schema = json!({ "type": "object", "required": REQUIRED, "properties": properties });
        if let Some(words) = self.descriptions.of_type(name) {
            schema["description"] = json!(words);
        }
        self.definitions.insert(name.to_owned(), schema);
    }

    /// Adds a type of the machinery, by its short name.
    pub(super) fn add_meta(&mut self, name: &str) {
        self.needed.push(format!("{META}.{name}"));
    }

    /// The definitions: kinds that every group has name all groups of the document.
    pub(super) fn finish(mut self) -> Map<String, Value> {
        let mut needed = std::mem::take(&mut self.needed);
        needed.sort();
        needed.dedup();
        for name in needed {
            self.add_builtin(&name);
        }
        self.definitions
    }

    fn add_builtin(&mut self, name: &str) {
        let graph: &'static TypeGraph = builtin::graph();
        if let Some(id) = graph.named(name) {
            self.add(graph.at(id), &kinds_of(graph));
        }
    }

    fn add_resource(&mut self, api: &GroupVersionApi, resource: &ApiResource) {
        let name = definition_name(&resource.schema, &api.group, &api.version, &resource.kind);
        match &resource.schema {
            ApiSchema::Types(graph, id) if !graph.at(*id).node().name.is_empty() => {
                let kinds = kinds_of(graph);
                self.add(graph.at(*id), &kinds);
                if let Some(list) = graph.named(&format!("{name}List")) {
                    self.add(graph.at(list), &kinds);
                }
            }
            ApiSchema::Types(graph, id) => {
                let kinds = kinds_of(graph);
                let schema = self.object(graph.at(*id), &kinds);
                self.add_custom(api, resource, &name, schema);
            }
            ApiSchema::Custom(schema) => {
                let schema = self.custom(schema);
                self.add_custom(api, resource, &name, schema);
            }
        }
        for sub in &resource.subresources {
            if let Some(id) = builtin::kind(&sub.group, &sub.version, &sub.kind) {
                let graph: &'static TypeGraph = builtin::graph();
                self.add(graph.at(id), &kinds_of(graph));
            }
        }
    }

    /// The words that a field has in every kind, as those of a kind say them.
    pub(super) fn usual(&self, field: &str, else_words: &str) -> String {
        let of = if field == "items" { "" } else { "io.k8s.api.core.v1.ConfigMap" };
        self.descriptions.of_field(of, field).unwrap_or(else_words).to_owned()
    }

    /// Adds a named type and what it refers to.
    fn add(&mut self, of: TypeRef<'_>, kinds: &Kinds<'_>) {
        let name = of.node().name.as_str();
        if self.definitions.contains_key(name) {
            return;
        }
        // It may refer to itself.
        self.definitions.insert(name.to_owned(), Value::Null);
        let mut schema = match self.special(name) {
            Some(schema) => schema,
            None => self.object(of, kinds),
        };
        if let Value::Object(map) = &mut schema {
            if let Some(text) = self.descriptions.of_type(name) {
                map.insert("description".to_owned(), json!(text));
            } else if let Some(kind) = name.strip_suffix("List").filter(|_| kinds.contains_key(&of.id)) {
                let kind = kind.rsplit('.').next().unwrap_or(kind);
                map.insert(
                    "description".to_owned(),
                    json!(format!("{kind}List is a list of {kind} objects.")),
                );
            }
            if let Some(list) = kinds.get(&of.id) {
                map.insert("x-kubernetes-group-version-kind".to_owned(), self.kinds(list));
            }
        }
        self.definitions.insert(name.to_owned(), schema);
    }

    fn kinds(&self, list: &[&GroupVersionKind]) -> Value {
        let mut all = Vec::new();
        for kind in list {
            if kind.group == "*" {
                all.push((String::new(), "v1".to_owned(), &kind.kind));
                all.extend(
                    self.everywhere
                        .iter()
                        .map(|(group, version)| (group.clone(), version.clone(), &kind.kind)),
                );
            } else {
                all.push((kind.group.to_string(), kind.version.to_string(), &kind.kind));
            }
        }
        all.sort();
        all.dedup();
        all.iter()
            .map(
                |(group, version, kind)| json!({ "group": group, "version": version, "kind": kind.as_str() }),
            )
            .collect()
    }

    /// Definitions that are no objects with fields.
    fn special(&self, name: &str) -> Option<Value> {
        let last = name.rsplit('.').next().unwrap_or(name);
        let schema = match (last, self.dialect) {
            ("Time" | "MicroTime", _) => json!({ "type": "string", "format": "date-time" }),
            ("Quantity", Dialect::V2) => json!({ "type": "string" }),
            ("Quantity", Dialect::V3) => json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] }),
            ("IntOrString", Dialect::V2) => json!({ "type": "string", "format": "int-or-string" }),
            ("IntOrString", Dialect::V3) => {
                json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] })
            }
            ("FieldsV1" | "Patch" | "RawExtension", _) => json!({ "type": "object" }),
            (
                "JSON" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray",
                _,
            ) => {
                json!({})
            }
            _ => return None,
        };
        name.starts_with("io.k8s.api").then_some(schema)
    }

    fn object(&mut self, of: TypeRef<'_>, kinds: &Kinds<'_>) -> Value {
        let mut map = Map::new();
        map.insert("type".to_owned(), json!("object"));
        if let Shape::Object(fields) = of.shape() {
            let mut properties = Map::new();
            for field in fields {
                let value = of.at(field.of).node();
                let text = self.descriptions.with_values(of.node().name.as_str(), field.name.as_str(), value);
                let schema = self.property(of, field, text, kinds);
                properties.insert(field.name.to_string(), schema);
            }
            // As they are declared, which is about the order of their numbers.
            let mut required: Vec<&Field> = fields.iter().filter(|field| field.required).collect();
            required.sort_by_key(|field| field.number);
            let required: Vec<&str> = required.iter().map(|field| field.name.as_str()).collect();
            if !required.is_empty() {
                map.insert("required".to_owned(), json!(required));
            }
            if !properties.is_empty() {
                map.insert("properties".to_owned(), Value::Object(properties));
            }
        }
        self.marks(of, &mut map);
        Value::Object(map)
    }

    /// The extensions that a type itself has.
    fn marks(&self, of: TypeRef<'_>, map: &mut Map<String, Value>) {
        let node = of.node();
        if node.atomic {
            map.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
        }
        if node.preserve_unknown {
            map.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
        }
        if let Some(unions) = unions::of(node.name.as_str()) {
            map.insert("x-kubernetes-unions".to_owned(), unions);
        }
        if node.embedded {
            map.insert("x-kubernetes-embedded-resource".to_owned(), json!(true));
        }
    }

    fn property(&mut self, of: TypeRef<'_>, field: &Field, text: Option<String>, kinds: &Kinds<'_>) -> Value {
        let member = of.at(field.of);
        let named = !member.node().name.is_empty();
        let mut map = if named {
            let always = field.presence == Presence::Always && matches!(member.shape(), Shape::Object(_));
            self.add(member, kinds);
            match self.described(member.node().name.as_str(), text.as_deref().unwrap_or_default(), always) {
                Value::Object(map) => map,
                _ => Map::new(),
            }
        } else {
            let mut map = match self.value(member, kinds) {
                Value::Object(map) => map,
                _ => Map::new(),
            };
            if let Some(text) = text {
                map.insert("description".to_owned(), json!(text));
            }
            map
        };
        if self.dialect == Dialect::V3
            && let Some(default) = default_of(field, member)
        {
            map.insert("default".to_owned(), default);
        }
        if field.granular {
            map.insert("x-kubernetes-map-type".to_owned(), json!("granular"));
        }
        unions::mend(of.node().name.as_str(), field.name.as_str(), &mut map);
        // The items of a list of objects are no list of which parts are owned.
        if field.name == "items" && of.field("metadata").is_some_and(|meta| is_list_meta(of.at(meta.of))) {
            map.remove("x-kubernetes-list-type");
        }
        if !field.patch_strategy.is_empty() {
            map.insert("x-kubernetes-patch-strategy".to_owned(), json!(field.patch_strategy.as_str()));
        }
        if !field.patch_merge_key.is_empty() {
            map.insert("x-kubernetes-patch-merge-key".to_owned(), json!(field.patch_merge_key.as_str()));
        }
        Value::Object(map)
    }

    /// A reference with words of its own.
    pub(super) fn described(&self, name: &str, text: &str, always: bool) -> Value {
        let reference = self.dialect.reference(name);
        let mut map = match self.dialect {
            Dialect::V2 => match reference {
                Value::Object(map) => map,
                _ => Map::new(),
            },
            // A reference that says no more stands alone.
            Dialect::V3 if text.is_empty() && !always => return reference,
            Dialect::V3 => Map::from_iter([("allOf".to_owned(), json!([reference]))]),
        };
        if self.dialect == Dialect::V3 && always {
            map.insert("default".to_owned(), json!({}));
        }
        if !text.is_empty() {
            map.insert("description".to_owned(), json!(text));
        }
        Value::Object(map)
    }

    /// The schema of a value: a reference, or all of it.
    fn value(&mut self, of: TypeRef<'_>, kinds: &Kinds<'_>) -> Value {
        let node = of.node();
        if !node.name.is_empty() {
            self.add(of, kinds);
            return self.dialect.reference(node.name.as_str());
        }
        let mut map = Map::new();
        match &node.shape {
            Shape::Object(_) => return self.object(of, kinds),
            Shape::Any => {
                if node.embedded || node.preserve_unknown {
                    map.insert("type".to_owned(), json!("object"));
                }
            }
            Shape::Map(member) => {
                map.insert("type".to_owned(), json!("object"));
                let member = self.value(of.at(*member), kinds);
                map.insert("additionalProperties".to_owned(), member);
            }
            Shape::List(element, kind) => {
                map.insert("type".to_owned(), json!("array"));
                let element = self.value(of.at(*element), kinds);
                map.insert("items".to_owned(), element);
                let word = match kind {
                    ListKind::Atomic => "atomic",
                    ListKind::Set => "set",
                    ListKind::Map(keys) => {
                        let keys: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
                        map.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
                        "map"
                    }
                };
                map.insert("x-kubernetes-list-type".to_owned(), json!(word));
            }
            Shape::Scalar(scalar) => {
                let (of, format) = scalar_words(*scalar, self.dialect);
                if !of.is_empty() {
                    map.insert("type".to_owned(), json!(of));
                }
                if !format.is_empty() {
                    map.insert("format".to_owned(), json!(format));
                }
                if *scalar == Scalar::IntOrString || *scalar == Scalar::Quantity {
                    map.insert("x-kubernetes-int-or-string".to_owned(), json!(true));
                }
                if !node.values.is_empty() {
                    let values: Vec<&str> = node.values.iter().map(|value| value.as_str()).collect();
                    map.insert("enum".to_owned(), json!(values));
                }
            }
        }
        self.marks(of, &mut map);
        Value::Object(map)
    }
}

fn is_list_meta(of: TypeRef<'_>) -> bool {
    of.node().name.strip_prefix(META) == Some(".ListMeta")
}

/// Which kinds types are.
type Kinds<'g> = HashMap<TypeId, Vec<&'g GroupVersionKind>>;

fn kinds_of(graph: &TypeGraph) -> Kinds<'_> {
    let mut kinds: Kinds<'_> = HashMap::new();
    for (kind, id) in graph.kinds() {
        kinds.entry(id).or_default().push(kind);
    }
    kinds
}

/// Declared defaults, and the empty values of what is always written.
fn default_of(field: &Field, member: TypeRef<'_>) -> Option<Value> {
    if field.default.is_some() {
        return field.default.clone();
    }
    if field.presence != Presence::Always || !member.node().name.is_empty() {
        return None;
    }
    match member.shape() {
        Shape::Scalar(Scalar::String) => Some(json!("")),
        Shape::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Number) => Some(json!(0)),
        Shape::Scalar(Scalar::Boolean) => Some(json!(false)),
        _ => None,
    }
}

fn scalar_words(scalar: Scalar, dialect: Dialect) -> (&'static str, &'static str) {
    match scalar {
        Scalar::String | Scalar::Duration => ("string", ""),
        Scalar::Bytes => ("string", "byte"),
        Scalar::Time | Scalar::MicroTime => ("string", "date-time"),
        Scalar::Quantity | Scalar::IntOrString if dialect == Dialect::V3 => ("", ""),
        Scalar::Quantity => ("string", ""),
        Scalar::IntOrString => ("string", "int-or-string"),
        Scalar::Int32 => ("integer", "int32"),
        Scalar::Int64 => ("integer", "int64"),
        Scalar::Number => ("number", "double"),
        Scalar::Boolean => ("boolean", ""),
    }
}
