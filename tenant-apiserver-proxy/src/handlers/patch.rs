//! PATCH of objects and their status: JSON patch, merge patch, strategic merge patch, server-side apply.

use super::{Incoming, write};
use crate::bodies;
use crate::decoding::{self, Media, Payload};
use crate::gateway::update::Wanted;
use crate::gateway::{self, Place, WriteOptions, Written};
use crate::ownership;
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use api_schema::decode::{self, DecodeError, Decoded, FieldValidation, Format};
use api_schema::patch::PatchError;
use api_schema::strategic::go_format;
use api_types::{ApiError, Cause};
use jiff::Timestamp;
use serde_json::Value;

/// The kinds of patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchType {
    /// Reads a `Content-Type`; custom resources have no strategic merge.
    pub fn parse(content_type: &str, custom: bool) -> Result<Self, ApiError> {
        match content_type.split(';').next().unwrap_or("").trim() {
            "application/json-patch+json" => Ok(PatchType::Json),
            "application/merge-patch+json" => Ok(PatchType::Merge),
            "application/strategic-merge-patch+json" if !custom => Ok(PatchType::Strategic),
            "application/apply-patch+yaml" => Ok(PatchType::Apply),
            _ if custom => Err(decoding::unsupported(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            _ => {
                let error =
                    ApiError::new(api_types::Reason::UnsupportedMediaType, "415: Unsupported Media Type");
                Err(error.with_causes(Vec::new()))
            }
        }
    }
}

/// PATCH.
pub async fn patch(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let call = auth.call();
    let of = PatchType::parse(&body.content_type, place.row.is_custom())?;
    if of == PatchType::Apply {
        return apply(server, auth, place, body).await;
    }
    let forced = call.query.first("force").is_some();
    let causes = forced.then(|| Cause::forbidden("force", "may not be specified for non-apply patch"));
    let options = write::checked_options(call, causes.into_iter().collect())?;
    let mode = decoding::field_validation(call, place)?;
    // What is not there is told before what is wrong with its patch.
    if gateway::live(server, auth, place).is_none() {
        return Err(ApiError::not_found(&place.asked(), &place.name));
    }
    let patch = read(of, &body.bytes, mode)?;
    let mut warnings = Vec::new();
    let written = gateway::update::update(server, auth, place, &options, must_name_version(place), |old| {
        let patched = patched(place, of, old, &patch.value)?;
        let mut decoded = redecode(place, of, &patched, &patch, mode)?;
        warnings = decoded.warnings;
        gateway::metadata::set_namespace(&mut decoded.value, place)?;
        Ok(Wanted { object: decoded.value, owned: false })
    })
    .await;
    write::finish(auth, place, written, warnings)
}

/// A patched object has the version of the old one, unless the patch takes it away.
fn must_name_version(place: &Place) -> bool {
    !place.row.strategy.unconditional_update
}

/// Reads the body of a patch. The words are those of Kubernetes, which differ by how strict it is.
pub fn read(of: PatchType, body: &[u8], mode: FieldValidation) -> Result<Decoded, ApiError> {
    let lax = mode == FieldValidation::Ignore;
    let preamble = if lax || of == PatchType::Strategic { "" } else { "error decoding patch: " };
    let refused = |why: String| match of {
        PatchType::Merge if lax => ApiError::bad_request("Invalid JSON Patch"),
        _ => ApiError::bad_request(format!("{preamble}{why}")),
    };
    let wrong =
        |word: &str, of: &str| refused(format!("json: cannot unmarshal {word} into Go value of type {of}"));
    // A strict patch is refused with its result, where all that is unknown is told at once.
    let lenient = if lax { mode } else { FieldValidation::Warn };
    let mut decoded =
        decode::decode_untyped(body, Format::Json, lenient).map_err(|error| refused(error.to_string()))?;
    match (&decoded.value, of) {
        (Value::Array(operations), PatchType::Json) => {
            let mut unknown = check_operations(operations, lax).map_err(refused)?;
            decoded.warnings.append(&mut unknown);
        }
        (Value::Null, PatchType::Json | PatchType::Strategic) => {}
        (value, PatchType::Json) => {
            let list = if lax { "jsonpatch.Patch" } else { "[]handlers.jsonPatchOp" };
            return Err(wrong(word_unless_object(value).unwrap_or("object"), list));
        }
        (Value::Object(_), _) => {}
        (Value::Null, _) => return Err(ApiError::bad_request("Invalid JSON Patch")),
        (value, _) => {
            return Err(wrong(word_unless_object(value).unwrap_or("object"), "map[string]interface {}"));
        }
    }
    if of == PatchType::Json {
        for warning in &mut decoded.warnings {
            warning.insert_str(0, "json patch ");
        }
    }
    Ok(decoded)
}

/// The form of the operations of a JSON patch; gives the fields that operations do not have.
fn check_operations(operations: &[Value], lax: bool) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    for (at, operation) in operations.iter().enumerate() {
        let of = if lax { "jsonpatch.Operation" } else { "handlers.jsonPatchOp" };
        if let Some(word) = word_unless_object(operation) {
            return Err(format!("json: cannot unmarshal {word} into Go value of type {of}"));
        }
        for (name, value) in operation.as_object().into_iter().flatten().filter(|_| !lax) {
            let word = match value {
                Value::String(_) => None,
                Value::Object(_) => Some("object"),
                other => word_unless_object(other),
            };
            match (name.as_str(), word) {
                ("op" | "path" | "from", Some(word)) => {
                    let field = format!("jsonPatchOp.{name} of type string");
                    return Err(format!("json: cannot unmarshal {word} into Go struct field {field}"));
                }
                ("op" | "path" | "from" | "value", _) => {}
                _ => unknown.push(format!("unknown field \"[{at}].{name}\"")),
            }
        }
    }
    Ok(unknown)
}

/// What messages call a value that is neither an object nor null.
fn word_unless_object(value: &Value) -> Option<&'static str> {
    match value {
        Value::Object(_) | Value::Null => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("bool"),
    }
}

/// The old object with the `apiVersion` of the request: one that needs no more than that comes as it is stored.
fn versioned(place: &Place, old: &Value) -> Value {
    let mut old = old.clone();
    old["apiVersion"] = place.api_version().into();
    old
}

/// The old object with a patch.
pub fn patched(place: &Place, of: PatchType, old: &Value, patch: &Value) -> Result<Value, ApiError> {
    apply_patch(of, place.root(), &versioned(place, old), patch).map_err(|error| error.to_api_error())
}

/// A value of a type with a patch.
pub fn apply_patch(
    of: PatchType,
    root: api_schema::TypeRef<'_>,
    old: &Value,
    patch: &Value,
) -> Result<Value, PatchError> {
    match of {
        PatchType::Json => api_schema::patch::json_patch(old, patch),
        PatchType::Merge => api_schema::patch::merge_patch(old, patch),
        PatchType::Strategic => api_schema::strategic::strategic_merge(root, old, patch),
        PatchType::Apply => Err(PatchError::Malformed("apply is no patch of this form".into())),
    }
}

/// A patch may have put in anything: the result is decoded, a strategic one in the way of its own. What is unknown in
/// the patch itself is told too.
fn redecode(
    place: &Place,
    of: PatchType,
    patched: &Value,
    patch: &Decoded,
    mode: FieldValidation,
) -> Result<Decoded, ApiError> {
    let lenient = if mode == FieldValidation::Ignore { mode } else { FieldValidation::Warn };
    // A strategic patch cannot change what the object is.
    if of != PatchType::Strategic && patched["apiVersion"].as_str().is_none_or(str::is_empty) {
        // Without a version nothing of it is read, not even its name.
        gateway::metadata::check_name(&Value::Null, place)?;
    }
    let decoded = match of {
        PatchType::Strategic => {
            let restored = decode::restore(patched, place.root(), lenient);
            restored.map_err(|error| unfit(&go_format(&patch.value), &error.to_string()))
        }
        _ => {
            let decoded = decode_text(place, patched, lenient);
            decoded.map_err(|error| {
                let preamble = format!("cannot be handled as a {}: ", place.row.kind);
                let text = error.message();
                let why = text.split_once(preamble.as_str()).map_or(text, |(_, why)| why);
                unfit(&patched.to_string(), why)
            })
        }
    };
    let mut decoded = decoded?;
    decoded.warnings.splice(0..0, patch.warnings.iter().cloned());
    if mode == FieldValidation::Strict && !decoded.warnings.is_empty() {
        let shown = if of == PatchType::Strategic { go_format(&patch.value) } else { patched.to_string() };
        return Err(unfit(&shown, &DecodeError::Strict(decoded.warnings).to_string()));
    }
    Ok(decoded)
}

/// 422 for a patch whose result is no object of the kind.
pub fn unfit(shown: &str, why: &str) -> ApiError {
    if shown.len() > bodies::MAX_BODY {
        return bodies::too_large();
    }
    ApiError::invalid("", "", "", vec![Cause::invalid("patch", &Value::from(shown), why)])
}

fn decode_text(place: &Place, value: &Value, mode: FieldValidation) -> Result<Decoded, ApiError> {
    decoding::object(place, &as_json(value)?, mode)
}

fn as_json(value: &Value) -> Result<Payload, ApiError> {
    let bytes = serde_json::to_vec(value).map_err(ApiError::internal)?;
    Ok(Payload { bytes: bytes.into(), media: Media::Json })
}

/// The manager and `force` of an apply.
pub fn apply_options(auth: &Authorized) -> Result<(WriteOptions, bool), ApiError> {
    let call = auth.call();
    let unnamed = call.query.get("fieldManager").is_none();
    let causes = unnamed.then(|| Cause::required("fieldManager", "is required for apply patch"));
    let options = write::checked_options(call, causes.into_iter().collect())?;
    Ok((options, call.query.is_true("force")))
}

/// Reads an applied configuration. It is not brought into the form of its kind: an empty map is applied too.
pub fn read_config(body: &Incoming, mode: FieldValidation) -> Result<Decoded, ApiError> {
    let decoded = decode::decode_untyped(&body.bytes, Format::Yaml, mode);
    let decoded = decoded.map_err(|error| match error {
        DecodeError::Strict(notes) => ApiError::bad_request(format!(
            "error strict decoding YAML: error converting YAML to JSON: {}",
            notes.join(", ")
        )),
        DecodeError::Syntax(why) => {
            ApiError::bad_request(format!("error decoding YAML: error converting YAML to JSON: {why}"))
        }
        error => ApiError::bad_request(format!("error decoding YAML: {error}")),
    })?;
    if let Some(word) = word_unless_object(&decoded.value) {
        return Err(ApiError::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {word} into Go \
             value of type map[string]interface {{}}"
        )));
    }
    Ok(decoded)
}

async fn apply(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let (options, force) = apply_options(auth)?;
    let mode = decoding::field_validation(auth.call(), place)?;
    let config = match read_config(body, mode) {
        Err(refused) if mode == FieldValidation::Strict => {
            // A conflict is told before what is written twice.
            let lenient = read_config(body, FieldValidation::Warn)?;
            if let Some(live) = gateway::live(server, auth, place) {
                let live = versioned(place, &live.value().map_err(ApiError::internal)?);
                let now = Timestamp::now();
                ownership::apply(place, Some(&live), &lenient.value, &options.manager, force, now)?;
            }
            return Err(refused);
        }
        config => config?,
    };
    let written = apply_object(server, auth, place, &config.value, force, &options).await;
    write::finish(auth, place, written, config.warnings)
}

/// Server-side apply of a configuration.
pub async fn apply_object(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    config: &Value,
    force: bool,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    let merged = |live: Option<&Value>| -> Result<Value, ApiError> {
        let now = Timestamp::now();
        let merged = ownership::apply(place, live, config, &options.manager, force, now)?;
        let mut object = restore(place, &merged, config)?;
        gateway::metadata::set_namespace(&mut object, place)?;
        Ok(object)
    };
    if gateway::live(server, auth, place).is_none() {
        if !place.subresource.is_empty() {
            return Err(ApiError::not_found(&place.asked(), &place.name));
        }
        write::check_create(server, auth)?;
        let mut new = merged(None)?;
        // Of which version it is to be is no question for an object that is not there.
        gateway::metadata::of(&mut new).remove("resourceVersion");
        if let Some(uid) = new["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(ApiError::conflict(&place.asked(), &place.name, &why));
        }
        gateway::metadata::check_name(&new, place)?;
        match gateway::create::create_owned(server, auth, place, new, options).await {
            Err(error) if error.is_already_exists() => {}
            other => return other,
        }
    }
    gateway::update::update(server, auth, place, options, must_name_version(place), |old| {
        let mut object = merged(Some(&versioned(place, old)))?;
        gateway::metadata::set_namespace(&mut object, place)?;
        Ok(Wanted { object, owned: true })
    })
    .await
}

/// The merged object in the form of its kind.
fn restore(place: &Place, merged: &Value, config: &Value) -> Result<Value, ApiError> {
    if place.row.is_custom() {
        return Ok(decoding::merged(place, &as_json(merged)?, FieldValidation::Ignore)?.value);
    }
    let restored = decode::restore(merged, place.root(), FieldValidation::Ignore);
    restored.map(|decoded| decoded.value).map_err(|error| {
        let of = api_schema::managed_fields::kind_of(config);
        let name = api_schema::managed_fields::name_of(config);
        ApiError::new(
            api_types::Reason::Unknown,
            format!(
                "failed to convert new object ({name}; {of}) to proper version: unable to convert unstructured \
                 object to {of}: {error}"
            ),
        )
    })
}
