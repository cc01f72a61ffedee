//! Small types for tests, written as JSON.

use crate::graph::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A graph with its root.
pub(crate) struct Types {
    pub graph: TypeGraph,
    pub root: TypeId,
}

impl Types {
    pub fn root(&self) -> TypeRef<'_> {
        TypeRef { graph: &self.graph, id: self.root }
    }

    /// Reads a type: `"string"`, `"int"`, `"number"`, `"bool"`, `"any"`, `"quantity"`, `"time"`; `{"map": T}`,
    /// `{"list": T}`, `{"set": T}`, `{"listmap": T, "keys": […]}`, `{"fields": {"name": T or {"of": T, "default": …,
    /// "required": true, "always": true, "strategy": "…", "key": "…"}}}`; `"atomic": true` and `"preserve": true` beside them. A
    /// type `{"ref": "name"}` refers to a type with `"name": "name"` that was read before it or contains it.
    pub fn of(description: Value) -> Types {
        let mut types = Vec::new();
        let root = add(&mut types, &description);
        Types { graph: TypeGraph::new(types), root }
    }
}

fn add(types: &mut Vec<TypeNode>, t: &Value) -> TypeId {
    if let Some(name) = t["ref"].as_str() {
        let at = types.iter().position(|n| n.name == name).unwrap();
        return TypeId(at as u32);
    }
    let id = TypeId(types.len() as u32);
    types.push(TypeNode {
        name: t["name"].as_str().unwrap_or("").into(),
        shape: Shape::Any,
        atomic: t["atomic"] == true,
        preserve_unknown: t["preserve"] == true,
        ..TypeNode::default()
    });
    let shape = match t {
        Value::String(s) => match s.as_str() {
            "any" => Shape::Any,
            "int" => Shape::Scalar(Scalar::Int64),
            "number" => Shape::Scalar(Scalar::Number),
            "bool" => Shape::Scalar(Scalar::Boolean),
            "quantity" => Shape::Scalar(Scalar::Quantity),
            "time" => Shape::Scalar(Scalar::Time),
            _ => Shape::Scalar(Scalar::String),
        },
        _ if !t["map"].is_null() => Shape::Map(add(types, &t["map"])),
        _ if !t["list"].is_null() => Shape::List(add(types, &t["list"]), ListKind::Atomic),
        _ if !t["set"].is_null() => Shape::List(add(types, &t["set"]), ListKind::Set),
        _ if !t["listmap"].is_null() => {
            let keys = t["keys"].as_array().unwrap().iter().map(|k| k.as_str().unwrap().into()).collect();
            Shape::List(add(types, &t["listmap"]), ListKind::Map(keys))
        }
        _ => {
            let empty = Map::new();
            let mut fields: Vec<Field> = t["fields"]
                .as_object()
                .unwrap_or(&empty)
                .iter()
                .map(|(name, f)| {
                    let of = if f["of"].is_null() { f } else { &f["of"] };
                    Field {
                        name: name.as_str().into(),
                        of: add(types, of),
                        presence: if f["always"] == true { Presence::Always } else { Presence::Set },
                        required: f["required"] == true,
                        default: f.get("default").cloned(),
                        patch_strategy: f["strategy"].as_str().unwrap_or("").into(),
                        patch_merge_key: f["key"].as_str().unwrap_or("").into(),
                        ..Field::default()
                    }
                })
                .collect();
            fields.sort_by(|a, b| a.name.cmp(&b.name));
            Shape::Object(fields)
        }
    };
    types[id.0 as usize].shape = shape;
    id
}

/// A small kind with metadata, merged lists, sets and maps, much like a pod.
pub(crate) fn pod() -> Types {
    let meta = json!({"name": "ObjectMeta", "fields": {
        "name": "string", "namespace": "string", "uid": "string", "resourceVersion": "string",
        "generation": "int", "creationTimestamp": "time",
        "labels": {"map": "string"}, "annotations": {"map": "string"},
        "finalizers": {"of": {"set": "string"}, "strategy": "merge"},
        "ownerReferences": {"of": {"listmap": {"atomic": true, "fields": {"uid": "string", "name": "string"}},
            "keys": ["uid"]}, "strategy": "merge", "key": "uid"},
        "managedFields": {"list": "any"},
    }});
    let container = json!({"fields": {
        "name": {"of": "string", "required": true, "always": true}, "image": "string",
        "args": {"list": "string"},
        "env": {"of": {"listmap": {"fields": {"name": "string", "value": "string"}}, "keys": ["name"]},
            "strategy": "merge", "key": "name"},
        "ports": {"of": {"listmap": {"fields": {"containerPort": "int",
            "protocol": {"of": "string", "default": "TCP"}, "name": "string"}},
            "keys": ["containerPort", "protocol"]}, "strategy": "merge", "key": "containerPort"},
        "resources": {"of": {"fields": {"limits": {"map": "quantity"}}}, "always": true},
    }});
    Types::of(json!({"name": "Pod", "fields": {
        "apiVersion": "string", "kind": "string",
        "metadata": {"of": meta, "always": true},
        "spec": {"of": {"fields": {
            "containers": {"of": {"listmap": container, "keys": ["name"]}, "required": true, "always": true,
                "strategy": "merge", "key": "name"},
            "nodeSelector": {"atomic": true, "map": "string"},
            "selector": {"atomic": true, "fields": {"matchLabels": {"map": "string"}}},
            "replicas": "int",
            "volumes": {"of": {"listmap": {"fields": {"name": "string", "emptyDir": {"fields": {"medium": "string"}},
                "hostPath": {"fields": {"path": "string"}}}}, "keys": ["name"]},
                "strategy": "merge,retainKeys", "key": "name"},
            "strategyOf": {"of": {"fields": {"type": "string", "rolling": {"fields": {"max": "int"}}}},
                "strategy": "retainKeys"},
            "whole": {"of": {"fields": {"a": "int", "b": "int"}}, "strategy": "replace"},
            "extra": "any",
        }}, "always": true},
        "status": {"of": {"fields": {"phase": "string",
            "conditions": {"of": {"listmap": {"fields": {"type": "string", "status": "string"}}, "keys": ["type"]},
                "strategy": "merge", "key": "type"}}}, "always": true},
        "data": {"map": "string"},
    }}))
}

/// Any JSON value, up to a few levels deep, with names that the test types know often enough.
pub(crate) fn arbitrary_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("metadata".to_owned()),
        Just("labels".to_owned()),
        Just("finalizers".to_owned()),
        Just("managedFields".to_owned()),
        Just("spec".to_owned()),
        Just("status".to_owned()),
        Just("conditions".to_owned()),
        Just("containers".to_owned()),
        Just("volumes".to_owned()),
        Just("name".to_owned()),
        Just("ports".to_owned()),
        Just("containerPort".to_owned()),
        Just("env".to_owned()),
        Just("type".to_owned()),
        Just("$patch".to_owned()),
        Just("$retainKeys".to_owned()),
        Just("$setElementOrder/containers".to_owned()),
        Just("$deleteFromPrimitiveList/finalizers".to_owned()),
        "[a-c]{0,2}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        (-1.5f64..1.5).prop_map(Value::from),
        "delete|replace|merge|[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// A value that mostly fits [`pod`].
pub(crate) fn podlike() -> impl Strategy<Value = Value> {
    let text = || "[a-c]{1}".prop_map(Value::from);
    let labels = || prop::collection::btree_map("[a-d]", text(), 0..4).prop_map(object);
    let port = (1i64..4, prop::option::of("TCP|UDP")).prop_map(|(port, protocol)| {
        let mut p = json!({"containerPort": port});
        if let Some(protocol) = protocol {
            p["protocol"] = protocol.into();
        }
        p
    });
    let container = ("[a-d]", prop::option::of(text()), prop::collection::vec(port, 0..3)).prop_map(
        |(name, image, ports)| {
            let mut c = json!({"name": name});
            if let Some(image) = image {
                c["image"] = image;
            }
            if !ports.is_empty() {
                c["ports"] = ports.into();
            }
            c
        },
    );
    (
        prop::option::of(labels()),
        prop::collection::vec("[a-c]", 0..3),
        prop::collection::vec(container, 0..4),
        prop::option::of(labels()),
        prop::option::of(0i64..3),
        prop::option::of(text()),
    )
        .prop_map(|(labels, finalizers, containers, selector, replicas, phase)| {
            let mut p = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                "spec": {"containers": containers}});
            if let Some(labels) = labels {
                p["metadata"]["labels"] = labels;
            }
            if !finalizers.is_empty() {
                p["metadata"]["finalizers"] = finalizers.into();
            }
            if let Some(selector) = selector {
                p["spec"]["nodeSelector"] = selector;
            }
            if let Some(replicas) = replicas {
                p["spec"]["replicas"] = replicas.into();
            }
            if let Some(phase) = phase {
                p["status"] = json!({"phase": phase});
            }
            p
        })
}

/// The same, with every element of a list told apart by its merge key.
pub(crate) fn podlike_unique() -> impl Strategy<Value = Value> {
    podlike().prop_map(|mut pod| {
        for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
            unique(&mut container["ports"], |port| port["containerPort"].to_string());
        }
        unique(&mut pod["spec"]["containers"], |container| container["name"].to_string());
        unique(&mut pod["metadata"]["finalizers"], Value::to_string);
        pod
    })
}

fn unique(list: &mut Value, key: fn(&Value) -> String) {
    let mut seen = std::collections::HashSet::new();
    match list {
        Value::Array(items) => items.retain(|item| seen.insert(key(item))),
        other => *other = json!([]),
    }
}

fn object(map: std::collections::BTreeMap<String, Value>) -> Value {
    Value::Object(map.into_iter().collect())
}
