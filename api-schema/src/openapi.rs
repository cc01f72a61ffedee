//! OpenAPI documents, made from the types and the table of resources.
//!
//! Version 3 has one document for each group and version and an index of them; version 2 has one document, in JSON
//! and in the protobuf form that client-go asks for. Descriptions come from `k8s-openapi`, not from our tables.

mod custom;
mod descriptions;
mod discovery;
mod items;
mod messages;
mod operations;
mod parameters;
mod schemas;
mod unions;
pub mod v2;
mod v2_protobuf;
pub mod v3;
mod v3_protobuf;
mod values;

use std::sync::Arc;

use serde_json::Value;

use crate::graph::{TypeGraph, TypeId};
pub use descriptions::Descriptions;

/// A group and version with its resources.
#[derive(Clone, Debug)]
pub struct GroupVersionApi {
    /// The group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The resources.
    pub resources: Vec<ApiResource>,
}

impl GroupVersionApi {
    /// `api/v1` or `apis/GROUP/VERSION`: what the index of version 3 calls the document.
    pub fn path(&self) -> String {
        if self.group.is_empty() {
            format!("api/{}", self.version)
        } else {
            format!("apis/{}/{}", self.group, self.version)
        }
    }
}

/// A resource in one version.
#[derive(Clone, Debug)]
pub struct ApiResource {
    /// `deployments`.
    pub plural: String,
    /// `Deployment`.
    pub kind: String,
    /// False for cluster-scoped resources.
    pub namespaced: bool,
    /// What can be done with it, as in discovery: `create`, `deletecollection`, …
    pub verbs: Vec<String>,
    /// What its objects look like.
    pub schema: ApiSchema,
    /// The paths below an object.
    pub subresources: Vec<ApiSubresource>,
    /// Its objects have a protobuf form.
    pub protobuf: bool,
    /// A deletion answers with the object, not with a `Status`.
    pub returns_deleted: bool,
}

/// A path below an object.
#[derive(Clone, Debug)]
pub struct ApiSubresource {
    /// `status`, `scale`, `log`, …
    pub name: String,
    /// The group of its body; empty also for the resource's own kind.
    pub group: String,
    /// The version of its body; empty for the resource's own.
    pub version: String,
    /// The kind of its body.
    pub kind: String,
    /// What can be done with it.
    pub verbs: Vec<String>,
}

/// What the objects of a resource look like.
#[derive(Clone, Debug)]
pub enum ApiSchema {
    /// A type.
    Types(Arc<TypeGraph>, TypeId),
    /// A CRD's `openAPIV3Schema`, as it was sent.
    Custom(Arc<Value>),
}

/// The index of version 3, the document at `/openapi/v3`: `(path, hash)` of each document. The URLs have no prefix,
/// since clients put that of their server in front.
pub fn index(documents: &[(String, String)]) -> Value {
    let paths = documents.iter().map(|(path, hash)| {
        (path.clone(), serde_json::json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}") }))
    });
    serde_json::json!({ "paths": paths.collect::<serde_json::Map<String, Value>>() })
}

#[cfg(test)]
mod tests;
