//! From the body of a request to an object of the resource's kind.

use crate::gateway::Place;
use crate::stages::Call;
use api_schema::decode::{self, DecodeError, Decoded, FieldValidation, Format};
use api_types::{ApiError, Reason};
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
        Some(other) => {
            let cause = api_types::Cause::not_supported(
                "fieldValidation",
                &Value::from(other),
                &["", "Ignore", "Strict", "Warn"],
            );
            let kind = crate::handlers::write::options_kind(call);
            Err(ApiError::invalid("meta.k8s.io", kind, "", vec![cause]))
        }
    }
}

/// Decodes an object of the place's kind. Nulls that say nothing are left out.
pub fn object(place: &Place, payload: &Payload, mode: FieldValidation) -> Result<Decoded, ApiError> {
    let mut decoded = with_nulls(place, payload, mode)?;
    if let Some(schema) = &place.version.schema {
        schema.drop_nulls(&mut decoded.value);
    }
    Ok(decoded)
}

/// The same; what a custom resource says by null is kept.
pub fn with_nulls(place: &Place, payload: &Payload, mode: FieldValidation) -> Result<Decoded, ApiError> {
    let (kind, api_version) = (&place.row.kind, place.api_version());
    if !place.row.is_custom() {
        return decode_with(kind, &api_version, place.root(), payload, mode, decode::decode);
    }
    let format = if payload.media == Media::Yaml { Format::Yaml } else { Format::Json };
    if let Ok((_, sent)) = decode::group_version_kind(&payload.bytes, format)
        && sent != kind.as_str()
    {
        return Err(other_kind(place, payload, format, mode, &sent));
    }
    let mut decoded =
        decode_with(kind, &api_version, place.root(), payload, mode, decode::decode_structural)?;
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
    let mut decoded = if payload.media == Media::Protobuf {
        let value =
            api_schema::protobuf::decode(&payload.bytes, root).map_err(|error| refused(&error, None))?;
        Decoded { value, warnings: Vec::new() }
    } else {
        let format = if payload.media == Media::Yaml { Format::Yaml } else { Format::Json };
        let (sent_version, sent_kind) =
            decode::group_version_kind(&payload.bytes, format).map_err(|error| refused(&error, None))?;
        let version = sent_version.rsplit('/').next().unwrap_or("").to_owned();
        let own_version = api_version.rsplit('/').next().unwrap_or("");
        let sent =
            if sent_kind.is_empty() { (own_version, kind) } else { (version.as_str(), sent_kind.as_str()) };
        if !sent_kind.is_empty() && sent_kind != kind {
            let why = format!(
                "converting ({version}.{sent_kind}) to ({}.{kind}): unknown conversion",
                internal(api_version)
            );
            return Err(refused(&why, Some(sent)));
        }
        decode(&payload.bytes, format, root, mode).map_err(|error| refused(&error, Some(sent)))?
    };
    let value = &mut decoded.value;
    let sent_version = value["apiVersion"].as_str().unwrap_or("");
    if !sent_version.is_empty() && sent_version != api_version {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({sent_version}) does not match the expected API version ({api_version})"
        )));
    }
    value["kind"] = kind.into();
    value["apiVersion"] = api_version.into();
    Ok(decoded)
}

/// What messages of Kubernetes call its own, unversioned form of a group.
fn internal(api_version: &str) -> &str {
    api_version.split_once('/').map_or("core", |(group, _)| group.split('.').next().unwrap_or(group))
}
