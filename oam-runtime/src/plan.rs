//! What an application comes to: the objects that should be there, or why they cannot be.

use crate::problem::Problem;
use api_types::oam::TypedReference;
use api_types::{ObjectName, Resource};
use serde_json::Value;

/// The whole of an application, component by component, in its own order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The components.
    pub components: Vec<PlannedComponent>,
}

/// One component.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedComponent {
    /// Its name; the revision's when the component of a pinned revision is not known.
    pub name: String,
    /// Its revision; empty when it is not known.
    pub revision: String,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// What becomes of a component.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It can be written.
    Rendered(Rendered),
    /// It cannot, as things stand; what is there of it stays.
    Held(Vec<Problem>),
}

/// A component that can be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The workload.
    pub workload: PlannedObject,
    /// Its traits, in the application's order.
    pub traits: Vec<PlannedObject>,
}

impl Rendered {
    /// The workload, then the traits.
    pub fn objects(&self) -> impl Iterator<Item = &PlannedObject> {
        std::iter::once(&self.workload).chain(&self.traits)
    }
}

/// One object that should be there.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedObject {
    /// Its resource.
    pub resource: Resource,
    /// Its namespace and name.
    pub name: ObjectName,
    /// All that the application says of it.
    pub value: Value,
}

impl PlannedObject {
    /// A reference to it; `uid` as far as it is known.
    pub fn reference(&self, uid: &str) -> TypedReference {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        TypedReference {
            api_version: text(&self.value["apiVersion"]),
            kind: text(&self.value["kind"]),
            name: self.name.name.to_string(),
            uid: uid.to_owned(),
        }
    }
}
