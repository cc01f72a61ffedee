//! CustomResourceDefinitions (`apiextensions.k8s.io/v1`): defaulting, validation and status of the definition
//! itself, and the row of the table that it makes.
//!
//! All are pure functions. The server computes the status ([`accept`]) before the write returns, so that a definition
//! is established when its creation returns; Kubernetes does it a moment later in a controller.

mod compiler;
mod conversion;
mod internal;
mod row;
mod scale;
mod selectable;
mod status;
mod validate;
mod versions;

pub use compiler::Compiler;
pub use row::{CompiledSchema, SchemaCompiler, row_of};
pub use scale::validate_scale;
pub use status::{accept, is_established, set_condition};
pub use validate::{validate_create, validate_update};

use crate::kinds::place::{set_default, set_default_text};
use crate::names;
use crate::resource::Strategy;
use serde_json::{Value, json};

/// The API group of definitions.
pub const GROUP: &str = "apiextensions.k8s.io";
/// The finalizer that holds a definition until its objects are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The strategy of `customresourcedefinitions`.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |crd| {
            let status = json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null,
                "storedVersions": storage_version(crd).into_iter().collect::<Vec<_>>()});
            if let Some(map) = crd.as_object_mut() {
                map.insert("status".into(), status);
            }
        },
        prepare_update: |crd, old| {
            let storage = storage_version(crd).map(str::to_owned);
            let mut status = old["status"].clone();
            if let (Some(storage), Some(stored)) =
                (storage, status.get_mut("storedVersions").and_then(Value::as_array_mut))
                && !stored.iter().any(|version| *version == storage)
            {
                stored.push(storage.into());
            }
            if let Some(map) = crd.as_object_mut() {
                map.insert("status".into(), status);
            }
        },
        validate_create: validate::validate_create,
        validate_update: validate::validate_update,
        validate_status: |_, _| Vec::new(),
        validate_name: names::dns_subdomain,
        warnings,
        generation: true,
        unconditional_update: false,
        ..crate::kinds::strategy("", "")
    }
}

/// Sets what follows from other fields: `singular`, `listKind`, `conversion.strategy`.
fn default(crd: &mut Value) {
    let Some(spec) = crd.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    let kind = spec["names"]["kind"].as_str().unwrap_or("").to_owned();
    if let Some(names) = spec.get_mut("names").filter(|names| names.is_object())
        && !kind.is_empty()
    {
        set_default_text(names, "singular", &kind.to_lowercase());
        set_default_text(names, "listKind", &format!("{kind}List"));
    }
    set_default(spec, "conversion", json!({"strategy": "None"}));
    if let Some(service) = spec.pointer_mut("/conversion/webhook/clientConfig/service") {
        set_default(service, "port", json!(443));
    }
}

/// Warnings of formats that are not known.
fn warnings(crd: &Value) -> Vec<String> {
    let internal = internal::of(crd);
    let shared = std::iter::once(&internal["spec"]["validation"]);
    let schemas = shared.chain(versions(&internal).iter().map(|version| &version["schema"]));
    let found = schemas.flat_map(|schema| api_schema::crd::unknown_formats(&schema["openAPIV3Schema"]));
    found.map(|format| format!("unrecognized format {format:?}")).collect()
}

/// `spec.versions`.
fn versions(crd: &Value) -> &[Value] {
    crd["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn storage_version(crd: &Value) -> Option<&str> {
    versions(crd).iter().find(|version| version["storage"] == true)?["name"].as_str()
}

#[cfg(test)]
mod tests;
