//! The table of resources: names, verbs, strategies, validation, columns, selectors, bootstrap objects.

pub mod addresses;
pub mod aggregation;
pub mod amounts;
pub mod audit;
pub mod bootstrap;
pub mod catalog;
pub mod columns;
pub mod convert;
pub mod crd;
pub mod cron;
pub mod discovery;
pub mod internal;
pub mod json_path;
pub mod kinds;
pub mod kinds_insula;
pub mod limit_ranges;
pub mod metadata;
pub mod names;
pub mod pod_security;
pub mod quota;
pub mod rbac;
pub mod resource;
pub mod selectors;
pub mod table;

pub use catalog::{Catalog, PlaneKind, serves};
pub use resource::{Column, ResourceRow, Strategy, Subresource, Verb, Version};
