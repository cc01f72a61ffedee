//! The table of resources: names, verbs, strategies, validation, columns, selectors, bootstrap objects.

pub mod kinds;
pub mod metadata;
pub mod names;
pub mod resource;

pub use resource::{Column, ResourceRow, Strategy, Subresource, Verb, Version};
