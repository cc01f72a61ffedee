//! Insula's kinds, identities, conditions and the one error type rendered to a Kubernetes `Status`.
//!
//! This crate does no I/O and knows no runtime. Everything else depends on it.

pub mod aggregation;
pub mod cause;
pub mod cloud;
pub mod condition;
pub mod error;
pub mod go_float;
pub mod identity;
pub mod labels;
pub mod meta;
pub mod oam;
pub mod print;
pub mod tenancy;

pub use cause::{Cause, CauseReason};
pub use error::{ApiError, Reason};
pub use identity::{GroupResource, GroupVersion, ObjectName, Resource, ResourceKey, Revision, TenantId};
pub use meta::{Meta, Owner};
