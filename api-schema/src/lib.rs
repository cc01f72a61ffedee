//! The table of type facts and what is driven by it.
//!
//! A [`TypeGraph`] describes types: the built-in one comes from the text table in `tables/`, and each version of
//! a CRD makes one from its schema. Everything else here is a pure function over a type and a JSON value.

pub mod cel;
pub mod crd;
pub mod graph;

pub mod table;

pub mod builtin;

pub mod quantity;

pub mod zero;

pub mod decode;

pub mod encode;

pub mod default;

pub mod protobuf;

pub mod openapi;

#[cfg(test)]
mod fuzz;
pub mod managed_fields;
pub mod patch;
pub mod strategic;
#[cfg(test)]
mod test_types;

pub use graph::{
    Field, GroupVersionKind, ListKind, Presence, Scalar, Shape, TypeGraph, TypeId, TypeNode, TypeRef,
};
