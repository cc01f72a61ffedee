//! From the body of a request to an object of the resource's kind.

use crate::gateway::Place;
use crate::stages::Call;
use api_schema::decode::{self, DecodeError, Decoded, FieldValidation, Format};
use api_types::{ApiError, GroupVersion, Reason};
use serde_json::Value;

/// The media type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

impl Media {
    /// How text is read; `None` for protobuf.
    pub fn format(self) -> Option<Format> {
        match self {
            Media::Json => Some(Format::Json),
            Media::Yaml => Some(Format::Yaml),
            Media::Protobuf => None,
        }
    }
}

/// `apiVersion` and kind of a body, empty where it does not say them; else why it cannot be read.
pub fn said_kind(payload: &Payload) -> Result<(String, String), String> {
    let Some(format) = payload.media.format() else {
        let envelope = api_schema::protobuf::envelope(&payload.bytes).map_err(|error| error.to_string())?;
        return Ok((envelope.api_version, envelope.kind));
    };
    decode::group_version_kind(&payload.bytes, format).map_err(|error| error.to_string())
}

/// A body and its media type.
pub struct Payload {
    /// The bytes.
    pub bytes: bytes::Bytes,
    /// The media type.
    pub media: Media,
}

/// Reads a `Content-Type` header; an empty one is JSON.
pub fn media_type(content_type: &str) -> Result<Media, ApiError> {
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or("").to_ascii_lowercase();
    let readable = parts.all(|part| part.is_empty() || part.contains('='));
    match media.as_str() {
        "" if content_type.is_empty() => Ok(Media::Json),
        "application/json" if readable => Ok(Media::Json),
        "application/yaml" if readable => Ok(Media::Yaml),
        "application/vnd.kubernetes.protobuf" if readable => Ok(Media::Protobuf),
        _ => Err(unsupported("application/json, application/yaml, application/vnd.kubernetes.protobuf")),
    }
}

/// 415 with the types that would do.
pub fn unsupported(accepted: &str) -> ApiError {
    ApiError::new(
        Reason::UnsupportedMediaType,
        format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        ),
    )
}

/// What is to be done about unknown and duplicate fields. Our own kinds refuse them unless told otherwise.
pub fn field_validation(call: &Call, place: &Place) -> Result<FieldValidation, ApiError> {
    match call.query.get("fieldValidation") {
        None if api_resources::table::insula::is_ours(&place.row.group) => Ok(FieldValidation::Strict),
        None | Some("Warn") => Ok(FieldValidation::Warn),
        Some("Ignore") => Ok(FieldValidation::Ignore),
        Some("Strict") => Ok(FieldValidation::Strict),
        Some(_) => {
            let kind = crate::handlers::write::options_kind(call);
            let causes = field_validation_defect(call).into_iter().collect();
            Err(ApiError::invalid("meta.k8s.io", kind, "", causes))
        }
    }
}

/// What is wrong with `fieldValidation`.
pub fn field_validation_defect(call: &Call) -> Option<api_types::Cause> {
    let supported = ["", "Ignore", "Strict", "Warn"];
    let said = call.query.get("fieldValidation").filter(|said| !supported.contains(said))?;
    Some(api_types::Cause::not_supported("fieldValidation", &Value::from(said), &supported))
}

/// Decodes an object of the place's kind. Nulls that say nothing are left out.
pub fn object(place: &Place, payload: &Payload, mode: FieldValidation) -> Result<Decoded, ApiError> {
    let mut decoded = custom(place, payload, mode, decode::decode_structural)?;
    if let Some(schema) = &place.version.schema {
        schema.drop_nulls(&mut decoded.value);
    }
    Ok(decoded)
}

/// The same for what server-side apply has merged: what a custom resource says by null is kept.
pub fn merged(place: &Place, payload: &Payload, mode: FieldValidation) -> Result<Decoded, ApiError> {
    custom(place, payload, mode, decode::decode_merged)
}

fn custom(
    place: &Place,
    payload: &Payload,
    mode: FieldValidation,
    decode: Decode,
) -> Result<Decoded, ApiError> {
    let (kind, api_version) = (&place.row.kind, place.api_version());
    if !place.row.is_custom() {
        return decode_with(kind, &api_version, place.root(), payload, mode, decode::decode);
    }
    if let Some(format) = payload.media.format()
        && let Ok((version, sent)) = decode::group_version_kind(&payload.bytes, format)
    {
        let version = version.strip_prefix('/').unwrap_or(&version);
        if !sent.is_empty() && version != api_version && (sent != kind.as_str() || !version.is_empty()) {
            return Err(other_version(version, &api_version));
        }
        if sent != kind.as_str() {
            return Err(other_kind(place, payload, format, mode, &sent));
        }
    }
    let mut decoded = decode_with(kind, &api_version, place.root(), payload, mode, decode)?;
    // An empty list of managers is a wish of writers of built-in kinds only.
    if let Some(metadata) = decoded.value.get_mut("metadata").and_then(Value::as_object_mut)
        && metadata.get("managedFields").and_then(Value::as_array).is_some_and(Vec::is_empty)
    {
        metadata.remove("managedFields");
    }
    Ok(decoded)
}

/// A custom resource of another kind, or of none, which Kubernetes cannot tell from anything else.
fn other_kind(
    place: &Place,
    payload: &Payload,
    format: Format,
    mode: FieldValidation,
    sent: &str,
) -> ApiError {
    let kind = &place.row.kind;
    if sent.is_empty() {
        let text = String::from_utf8_lossy(&payload.bytes);
        let why = format!("Object 'Kind' is missing in '{text}'");
        let version = place.version.name.as_str();
        let known = (mode == FieldValidation::Ignore).then_some((version, kind.as_str()));
        return ApiError::bad_request(decode::refusal(&why, kind, known, &payload.bytes));
    }
    let body = decode::decode_any(&payload.bytes, format).unwrap_or_default();
    let name = body["metadata"]["name"].as_str().unwrap_or("");
    let cause = api_types::Cause::invalid("kind", &Value::from(sent), &format!("must be {kind}"));
    ApiError::invalid(&place.row.group, sent, name, vec![cause])
}

/// Decodes an object of a kind.
pub fn of_kind(
    kind: &str,
    api_version: &str,
    root: api_schema::TypeRef<'_>,
    payload: &Payload,
    mode: FieldValidation,
) -> Result<Decoded, ApiError> {
    decode_with(kind, api_version, root, payload, mode, decode::decode)
}

type Decode = fn(&[u8], Format, api_schema::TypeRef<'_>, FieldValidation) -> Result<Decoded, DecodeError>;

fn decode_with(
    kind: &str,
    api_version: &str,
    root: api_schema::TypeRef<'_>,
    payload: &Payload,
    mode: FieldValidation,
    decode: Decode,
) -> Result<Decoded, ApiError> {
    let refused = |error: &dyn std::fmt::Display, sent: Option<(&str, &str)>| {
        ApiError::bad_request(decode::refusal(&error, kind, sent, &payload.bytes))
    };
    if payload.media == Media::Protobuf && !api_schema::protobuf::is_supported(root) {
        return Err(unsupported("application/json, application/yaml"));
    }
    // Mostly it is what it has to be, and is read once. What it is and why not is looked at before it is told.
    if payload.media == Media::Json
        && let Ok(decoded) = decode(&payload.bytes, Format::Json, root, mode)
        && decoded.value["kind"] == kind
        && decoded.value["apiVersion"] == api_version
    {
        return Ok(decoded);
    }
    let (sent_version, sent_kind) = said_kind(payload).map_err(|error| refused(&error, None))?;
    // What is not said is as the path says it.
    let named = if sent_version.is_empty() { api_version } else { sent_version.as_str() };
    let (group, version) = named.split_once('/').unwrap_or(("", named));
    let sent_kind = if sent_kind.is_empty() { kind } else { sent_kind.as_str() };
    let sent = (version, sent_kind);
    if version.is_empty() {
        let text = String::from_utf8_lossy(&payload.bytes);
        return Err(refused(&format!("Object 'apiVersion' is missing in '{text}'"), Some(sent)));
    }
    let own_group = api_version.split_once('/').map_or("", |(group, _)| group);
    let is_own = named == api_version && sent_kind == kind;
    if !is_own && !is_registered(group, version, sent_kind, own_group) {
        let of = GroupVersion::new(group, version);
        let scheme = scheme(own_group);
        let why = format!("no kind {sent_kind:?} is registered for version \"{of}\" in scheme {scheme:?}");
        return Err(refused(&why, Some(sent)));
    }
    if sent_kind != kind {
        let why = format!(
            "converting ({version}.{sent_kind}) to ({}.{kind}): unknown conversion",
            internal(api_version)
        );
        return Err(refused(&why, Some(sent)));
    }
    let mut decoded = match payload.media.format() {
        Some(format) => {
            decode(&payload.bytes, format, root, mode).map_err(|error| refused(&error, Some(sent)))?
        }
        None => {
            let value = api_schema::protobuf::decode(&payload.bytes, root);
            Decoded { value: value.map_err(|error| refused(&error, None))?, warnings: Vec::new() }
        }
    };
    let value = &mut decoded.value;
    let sent_version = value["apiVersion"].as_str().unwrap_or("");
    let sent_version = sent_version.strip_prefix('/').unwrap_or(sent_version);
    if !sent_version.is_empty() && sent_version != api_version {
        return Err(other_version(sent_version, api_version));
    }
    value["kind"] = kind.into();
    value["apiVersion"] = api_version.into();
    Ok(decoded)
}

fn other_version(sent: &str, expected: &str) -> ApiError {
    ApiError::bad_request(format!(
        "the API version in the data ({sent}) does not match the expected API version ({expected})"
    ))
}

/// Groups whose kinds are known to a server of their own only, as messages name it.
const SCHEMES: &[(&str, &str)] =
    &[(EXTENSIONS, "k8s.io/apiextensions-apiserver/pkg/apiserver/apiserver.go:55")];
const EXTENSIONS: &str = "apiextensions.k8s.io";

/// What messages of Kubernetes call the list of kinds in which it looks for those of a group.
fn scheme(group: &str) -> &'static str {
    let own = SCHEMES.iter().find(|(known, _)| *known == group);
    own.map_or("pkg/api/legacyscheme/scheme.go:30", |(_, scheme)| scheme)
}

/// True for the kinds that Kubernetes' server of a group knows: what there is of them, and versions of before.
fn is_registered(group: &str, version: &str, kind: &str, own_group: &str) -> bool {
    // Those of every group.
    if version == "v1" && api_schema::builtin::kind("*", "*", kind).is_some() {
        return true;
    }
    if (group == EXTENSIONS) != (own_group == EXTENSIONS) {
        return false;
    }
    let before = version.contains("alpha") || version.contains("beta");
    let item = kind.strip_suffix("List").unwrap_or(kind);
    let known =
        |version| [kind, item].iter().any(|kind| api_schema::builtin::kind(group, version, kind).is_some());
    known(version)
        || (before && (group == "extensions" || known("v1")))
        || api_resources::table::insula::is_ours(group)
        || (group, version, kind) == ("", "v1", "List")
}

/// What messages of Kubernetes call its own, unversioned form of a group.
fn internal(api_version: &str) -> &str {
    api_version.split_once('/').map_or("core", |(group, _)| group.split('.').next().unwrap_or(group))
}
