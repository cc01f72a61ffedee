//! Custom resources: the rows that a plane's CustomResourceDefinitions make.
//!
//! Equal definitions of many planes are compiled once and shared, by the hash of what they say; what no plane has any
//! more is freed.

use crate::planes::Plane;
use crate::server::Server;
use api_resources::crd;
use api_resources::{Catalog, ResourceRow};
use api_types::{Cause, GroupResource};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

/// The resource of definitions.
pub static DEFINITIONS: LazyLock<GroupResource> =
    LazyLock::new(|| GroupResource::new(crd::GROUP, "customresourcedefinitions"));

/// The group of what a plane stores for the server itself: keys, addresses.
const INTERNAL: &str = "insula.internal";

/// True for the groups that nobody defines resources in: those of the platform, whose controllers follow their
/// resources over all planes, and that of the server's own keys, which no request may reach.
pub fn is_reserved(group: &str) -> bool {
    [INTERNAL, "insula.dev"].iter().any(|reserved| {
        group.strip_suffix(reserved).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

type Hash = [u8; 32];

/// Compiled definitions, once for all planes that have the same.
#[derive(Default)]
pub struct Schemas {
    compiler: crd::Compiler,
    rows: Mutex<HashMap<Hash, Weak<ResourceRow>>>,
}

fn hash(value: &Value) -> Hash {
    Sha256::digest(value.to_string()).into()
}

impl Schemas {
    /// How many different definitions and how many different schemas are in use, over all planes.
    pub fn in_use(&self) -> (usize, usize) {
        let rows = self.rows.lock().values().filter(|row| row.strong_count() > 0).count();
        (rows, self.compiler.in_use())
    }

    /// The row of a definition.
    pub fn row(&self, definition: &Value) -> Result<Arc<ResourceRow>, Vec<Cause>> {
        let hash = hash(&json!([definition["spec"], definition["status"]["acceptedNames"]]));
        if let Some(found) = self.rows.lock().get(&hash).and_then(Weak::upgrade) {
            return Ok(found);
        }
        // Made outside the lock: two planes may do it at once, and the later one is kept.
        let made = Arc::new(crd::row_of(definition, &self.compiler)?);
        let mut rows = self.rows.lock();
        rows.retain(|_, row| row.strong_count() > 0);
        rows.insert(hash, Arc::downgrade(&made));
        Ok(made)
    }
}

/// Makes the plane's rows anew from its definitions.
pub fn refresh(server: &Server, plane: &Plane) {
    let mut rows = Vec::new();
    for record in server.cache.collection(plane.id, &DEFINITIONS).list("") {
        let Ok(definition) = record.value() else { continue };
        if !crd::is_established(&definition)
            || is_reserved(definition["spec"]["group"].as_str().unwrap_or(""))
        {
            continue;
        }
        match server.crds.row(&definition) {
            Ok(row) => rows.push(row),
            Err(causes) => {
                let causes: Vec<String> = causes.iter().map(Cause::to_string).collect();
                tracing::error!(plane = %plane.id, definition = %record.name, ?causes, "a stored definition cannot be served");
            }
        }
    }
    plane.catalog.store(Arc::new(Catalog::of(plane.kind).with_custom(&rows)));
    plane.catalog_changed.notify_waiters();
}
