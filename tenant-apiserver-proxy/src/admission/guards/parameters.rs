//! The parameters that a binding gives a policy.

use super::asked::Asked;
use super::compiled::{Binding, Policy};
use crate::conversion::{self, Caller};
use crate::gateway::Place;
use api_resources::selectors::LabelSelector;
use api_types::ObjectName;
use serde_json::Value;

/// Which objects are parameters.
pub struct ParamRef {
    name: String,
    namespace: String,
    selector: Option<LabelSelector>,
    /// Without any, the request is denied.
    deny: bool,
}

impl ParamRef {
    /// Reads a `paramRef`.
    pub fn of(reference: &Value) -> ParamRef {
        let text = |field: &str| reference[field].as_str().unwrap_or("").to_owned();
        ParamRef {
            name: text("name"),
            namespace: text("namespace"),
            // Validation lets only selectors pass that can be read.
            selector: reference["selector"].is_object().then(|| {
                LabelSelector::from_json(&reference["selector"]).unwrap_or_else(|_| LabelSelector::nothing())
            }),
            deny: reference["parameterNotFoundAction"] == "Deny",
        }
    }
}

/// The plane has the kind of a policy's parameters.
///
/// Errors: it has not, in Kubernetes' words.
pub fn known(asked: &Asked<'_>, policy: &Policy) -> Result<(), String> {
    let Some((version, kind)) = &policy.param_kind else { return Ok(()) };
    let found = asked.auth.plane().catalog.load().by_kind(&version.group, &version.version, kind);
    let shown = if version.group.is_empty() { format!("/{}", version.version) } else { version.to_string() };
    let missing = || format!("failed to find resource referenced by paramKind: '{shown}, Kind={kind}'");
    found.map(drop).ok_or_else(missing)
}

/// The parameters of a binding for a request: one evaluation for each. Null stands for none where none is asked for.
///
/// Errors: why they cannot be had, in Kubernetes' words.
pub async fn collect(asked: &Asked<'_>, policy: &Policy, binding: &Binding) -> Result<Vec<Value>, String> {
    let (Some((version, kind)), Some(reference)) = (&policy.param_kind, &binding.params) else {
        return Ok(vec![Value::Null]);
    };
    let plane = asked.auth.plane();
    let catalog = plane.catalog.load_full();
    let row = catalog.by_kind(&version.group, &version.version, kind);
    let row = row.ok_or_else(|| format!("paramKind kind `{version}, Kind={kind}` not known"))?;
    let found = row.version(&version.version).cloned().ok_or("the version of the paramKind is not served")?;
    let namespace = match (row.namespaced, reference.namespace.as_str()) {
        (false, "") => "",
        (false, _) => {
            return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
        }
        (true, "") if asked.namespace().is_empty() => {
            let why =
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources";
            return Err(why.to_owned());
        }
        (true, "") => asked.namespace(),
        (true, given) => given,
    };
    let collection = asked.server.cache.collection(plane.id, &row.stored_resource());
    let records = match &reference.selector {
        None => collection.get(&ObjectName::new(namespace, &reference.name)).into_iter().collect(),
        Some(selector) => {
            let mut all = collection.list(namespace);
            all.retain(|record| selector.matches(&record.meta.labels));
            all
        }
    };
    if records.is_empty() && reference.deny {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    let place = Place { row, version: found, name: "".into(), subresource: "".into(), ..asked.place.clone() };
    let caller = Caller::of(asked.server, asked.auth);
    let mut out = Vec::with_capacity(records.len());
    for record in records {
        let record = conversion::shown_one(&caller, &place, record).await;
        let value = record.and_then(|record| conversion::in_version(&place, &record));
        out.push(value.map_err(|error| error.message().to_owned())?);
    }
    Ok(out)
}
