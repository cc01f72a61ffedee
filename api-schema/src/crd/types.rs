//! The types of a custom resource as a graph.

use super::schema::{Additional, Schema};
use crate::builtin;
use crate::graph::{Field, ListKind, Scalar, Shape, TypeGraph, TypeId, TypeNode, TypeRef};
use compact_str::CompactString;
use std::collections::HashMap;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The graph of a schema, and the type of the resource in it.
pub(super) fn graph(schema: &Schema, preserve_unknown_fields: bool) -> (TypeGraph, TypeId) {
    let mut types = Types { open: preserve_unknown_fields, ..Types::default() };
    types.nodes.push(TypeNode::default());
    let mut node = types.node(schema, true);
    node.preserve_unknown |= preserve_unknown_fields;
    types.nodes[0] = node;
    (TypeGraph::new(types.nodes), TypeId(0))
}

#[derive(Default)]
struct Types {
    /// A schema above keeps unknown fields.
    open: bool,
    nodes: Vec<TypeNode>,
    /// Where types of the built-in graph were copied to.
    copied: HashMap<TypeId, TypeId>,
    scalars: HashMap<&'static str, TypeId>,
}

impl Types {
    fn push(&mut self, node: TypeNode) -> TypeId {
        self.nodes.push(node);
        TypeId(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX))
    }

    fn add(&mut self, schema: &Schema) -> TypeId {
        let node = self.node(schema, false);
        self.push(node)
    }

    fn node(&mut self, schema: &Schema, root: bool) -> TypeNode {
        let above = self.open;
        self.open |= schema.preserves();
        let node = TypeNode {
            shape: self.shape(schema, root),
            atomic: schema.map_type.as_deref() == Some("atomic"),
            preserve_unknown: schema.preserves(),
            open: self.open,
            embedded: schema.embedded,
            ..TypeNode::default()
        };
        self.open = above;
        node
    }

    fn shape(&mut self, schema: &Schema, root: bool) -> Shape {
        if schema.int_or_string {
            return Shape::Any;
        }
        match schema.kind.as_str() {
            "array" => {
                let kind = match schema.list_type.as_deref() {
                    Some("set") => ListKind::Set,
                    Some("map") => ListKind::Map(schema.list_keys.iter().map(CompactString::from).collect()),
                    _ => ListKind::Atomic,
                };
                let element = match &schema.items {
                    Some(items) => self.add(items),
                    None => self.any(false),
                };
                Shape::List(element, kind)
            }
            // Owners of what has a format are told of no value that does not fit it.
            "string" if !matches!(schema.format.as_str(), "" | "byte") => Shape::Scalar(Scalar::IntOrString),
            "string" => Shape::Scalar(Scalar::String),
            "integer" if schema.format == "int32" => Shape::Scalar(Scalar::Int32),
            "integer" => Shape::Scalar(Scalar::Int64),
            "number" => Shape::Scalar(Scalar::Number),
            "boolean" => Shape::Scalar(Scalar::Boolean),
            _ if root || schema.embedded || schema.kind == "object" => self.object(schema, root),
            _ => Shape::Any,
        }
    }

    fn object(&mut self, schema: &Schema, root: bool) -> Shape {
        match &schema.additional {
            Some(Additional::Of(values)) => return Shape::Map(self.add(values)),
            Some(Additional::Any(true)) if schema.properties.is_empty() => {
                return Shape::Map(self.push(TypeNode { open: true, ..TypeNode::default() }));
            }
            _ => {}
        }
        let mut fields: Vec<Field> = Vec::with_capacity(schema.properties.len() + 3);
        for (name, property) in &schema.properties {
            if (root || schema.embedded) && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                continue;
            }
            fields.push(Field {
                name: name.as_str().into(),
                of: self.add(property),
                required: schema.required.contains(name),
                default: property.default.clone(),
                ..Field::default()
            });
        }
        if root || schema.embedded {
            let text = self.text();
            fields.push(Field { name: "apiVersion".into(), of: text, ..Field::default() });
            fields.push(Field { name: "kind".into(), of: text, ..Field::default() });
            fields.push(Field { name: "metadata".into(), of: self.object_meta(), ..Field::default() });
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Shape::Object(fields)
    }

    fn text(&mut self) -> TypeId {
        if let Some(id) = self.scalars.get("string") {
            return *id;
        }
        let id = self.push(TypeNode { shape: Shape::Scalar(Scalar::String), ..TypeNode::default() });
        self.scalars.insert("string", id);
        id
    }

    fn any(&mut self, preserve_unknown: bool) -> TypeId {
        self.push(TypeNode { preserve_unknown, ..TypeNode::default() })
    }

    fn object_meta(&mut self) -> TypeId {
        let builtin = builtin::graph();
        match builtin.named(OBJECT_META) {
            Some(id) => self.copy(builtin.at(id)),
            None => self.any(true),
        }
    }

    /// Copies a built-in type with all that it refers to.
    fn copy(&mut self, from: TypeRef<'_>) -> TypeId {
        if let Some(id) = self.copied.get(&from.id) {
            return *id;
        }
        // Its place is taken first: a type may refer to itself.
        let id = self.push(TypeNode::default());
        self.copied.insert(from.id, id);
        let shape = match from.shape() {
            Shape::Object(fields) => Shape::Object(
                fields
                    .iter()
                    .map(|f| Field {
                        name: f.name.clone(),
                        of: self.copy(from.at(f.of)),
                        presence: f.presence,
                        required: f.required,
                        default: f.default.clone(),
                        number: f.number,
                        within: f.within.clone(),
                        patch_strategy: f.patch_strategy.clone(),
                        patch_merge_key: f.patch_merge_key.clone(),
                        granular: f.granular,
                    })
                    .collect(),
            ),
            Shape::Map(value) => Shape::Map(self.copy(from.at(*value))),
            Shape::List(element, kind) => Shape::List(self.copy(from.at(*element)), kind.clone()),
            Shape::Scalar(scalar) => Shape::Scalar(*scalar),
            Shape::Any => Shape::Any,
        };
        let node = from.node();
        self.nodes[id.0 as usize] = TypeNode {
            name: node.name.clone(),
            shape,
            atomic: node.atomic,
            preserve_unknown: node.preserve_unknown,
            open: node.open,
            embedded: node.embedded,
            alias: node.alias.clone(),
            values: node.values.clone(),
            wrapped: node.wrapped,
        };
        id
    }
}
