//! Insula's kinds, identities, conditions and the one error type rendered to a Kubernetes `Status`.
//!
//! This crate does no I/O and knows no runtime. Everything else depends on it.

pub mod cloud;
pub mod condition;
pub mod error;
pub mod identity;
pub mod labels;
pub mod meta;
pub mod oam;
pub mod tenancy;

pub use error::{ApiError, Cause, CauseReason, Reason};
pub use identity::{GroupResource, GroupVersion, ObjectName, Resource, ResourceKey, Revision, TenantId};
pub use meta::{Meta, Owner};
