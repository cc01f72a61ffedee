//! Custom resources: the rows that a plane's CustomResourceDefinitions make.

use crate::planes::Plane;
use crate::server::Server;
use api_types::GroupResource;
use std::sync::LazyLock;

/// The resource of definitions.
pub static DEFINITIONS: LazyLock<GroupResource> =
    LazyLock::new(|| GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions"));

/// Compiled definitions, once for all planes that have the same.
#[derive(Default)]
pub struct Schemas {}

/// Makes the plane's rows anew from its definitions.
pub fn refresh(_server: &Server, _plane: &Plane) {}
