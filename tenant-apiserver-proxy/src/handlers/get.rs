//! GET of one object.

use crate::cache::record::Record;
use crate::conversion::{self, Caller};
use crate::gateway::Place;
use crate::negotiation::{self, Accept, Format, MetaVersion, Offer, View};
use crate::reply::{Content, PROTOBUF, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::columns::{IncludeObject, TableOptions};
use api_types::ApiError;
use api_types::print::quoted;
use bytes::Bytes;
use compact_str::CompactString;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Answers with the object as it is stored, when the version agrees.
pub async fn get(server: &Server, auth: &Authorized, place: &Place) -> Result<Reply, ApiError> {
    check_options(auth)?;
    // As lists do: at least this version is shown, or it is too large.
    if let Some(version) = auth.call().query.get("resourceVersion") {
        super::list::wait_for(server, super::list_options::parse_version(version)?).await?;
    }
    let found = server.cache.get(auth.plane().id, &place.resource(), &place.object());
    let record = found.ok_or_else(|| ApiError::not_found(&place.asked(), &place.name))?;
    let record = conversion::shown_one(&Caller::of(server, auth), place, record).await?;
    show(auth, place, &record, StatusCode::OK)
}

/// What cannot be asked for with one object.
pub fn check_options(auth: &Authorized) -> Result<(), ApiError> {
    let query = &auth.call().query;
    if query
        .get("export")
        .is_some_and(|export| !matches!(export, "0" | "f" | "F" | "false" | "FALSE" | "False"))
    {
        let why = "the export parameter, deprecated since v1.14, is no longer supported";
        return Err(ApiError::bad_request(why));
    }
    match query.get("resourceVersion") {
        Some(version) if version.parse::<u64>().is_err() => {
            let why =
                format!("Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: invalid syntax");
            Err(ApiError::new(api_types::Reason::Unknown, format!("resourceVersion: {why}")))
        }
        _ => Ok(()),
    }
}

/// In which form a client gets objects.
#[derive(Clone)]
pub struct Form {
    /// Encoding and view.
    pub accept: Accept,
    /// What a table has of each object.
    pub include: CompactString,
}

impl Form {
    /// Reads it from a request for objects of the place's kind; 406 when they cannot be had so.
    pub fn of(auth: &Authorized, place: &Place) -> Result<Self, ApiError> {
        let call = auth.call();
        let accept = call.wish().accept(Offer::Objects { protobuf: place.has_protobuf() })?;
        let include = call.query.get("includeObject").unwrap_or("Metadata").into();
        Ok(Form { accept, include })
    }
}

/// Shows an object as the client asks for it. What only a webhook can convert comes converted.
pub fn show(auth: &Authorized, place: &Place, record: &Record, code: StatusCode) -> Result<Reply, ApiError> {
    let Form { accept, include } = Form::of(auth, place)?;
    let format = accept.rendering.format;
    let content = match accept.view {
        View::Object if format == Format::Protobuf => {
            protobuf(place.root(), &place.api_version(), &place.row.kind, &converted(place, record)?)?
        }
        View::Object => Content::Json(bytes_in_version(place, record)?),
        View::Metadata(version) => meta_content(
            format,
            version,
            "PartialObjectMetadata",
            &metadata_only(&shown_value(place, record)?, version),
        )?,
        View::MetadataList(_) => {
            let is = format!("not a list (*{})", go_type(place, &place.row.kind));
            return Err(negotiation::misfit("PartialObjectMetadataList", &is));
        }
        View::Table(version) => {
            let value = shown_value(place, record)?;
            let options = table_options(&include, false)?;
            let mut table =
                api_resources::columns::table(&place.row, &place.version, [&value].into_iter(), options);
            table["metadata"] = json!({"resourceVersion": record.revision.to_string()});
            Content::Json(Bytes::from(in_version(table, version).to_string()))
        }
    };
    Ok(Reply::with(code, content).rendered(accept.rendering))
}

/// A document of `meta.k8s.io` in a format.
pub fn meta_content(
    format: Format,
    version: MetaVersion,
    kind: &str,
    value: &Value,
) -> Result<Content, ApiError> {
    if format != Format::Protobuf {
        return Ok(Content::Json(Bytes::from(value.to_string())));
    }
    let root = api_schema::builtin::kind("meta.k8s.io", "v1", kind)
        .ok_or_else(|| ApiError::internal(format_args!("{kind} has no protobuf form")))?;
    protobuf(api_schema::builtin::graph().at(root), version.api_version(), kind, value)
}

/// What Kubernetes' messages call the type of a kind.
pub fn go_type(place: &Place, kind: &str) -> String {
    if place.row.is_custom() {
        let list = if kind.ends_with("List") { "List" } else { "" };
        return format!("unstructured.Unstructured{list}");
    }
    let group = match place.row.stored_group() {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    };
    format!("{group}.{kind}")
}

/// A table, and the metadata in its rows, in a version of `meta.k8s.io`.
pub fn in_version(mut table: Value, version: MetaVersion) -> Value {
    table["apiVersion"] = version.api_version().into();
    for row in table["rows"].as_array_mut().into_iter().flatten() {
        if row["object"]["kind"] == "PartialObjectMetadata" {
            row["object"]["apiVersion"] = version.api_version().into();
        }
    }
    table
}

/// Decodes a stored object; one that cannot be is an error with its name.
pub fn value(record: &Record) -> Result<Value, ApiError> {
    record.value().map_err(ApiError::internal)
}

/// An object for a table or for its metadata: built-in kinds are shown as they are stored.
pub fn shown_value(place: &Place, record: &Record) -> Result<Value, ApiError> {
    if place.row.is_custom() { converted(place, record) } else { value(record) }
}

/// The object in the version of the request.
pub fn converted(place: &Place, record: &Record) -> Result<Value, ApiError> {
    conversion::in_version(place, record)
}

/// The bytes of the object in the version of the request: those that are stored, when the versions agree.
pub fn bytes_in_version(place: &Place, record: &Record) -> Result<Bytes, ApiError> {
    if conversion::is_in_form(place, record) {
        return Ok(record.bytes.clone());
    }
    Ok(Bytes::from(converted(place, record)?.to_string()))
}

/// `PartialObjectMetadata` of an object.
pub fn metadata_only(object: &Value, version: MetaVersion) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": version.api_version(), "metadata": object["metadata"]})
}

/// An object in protobuf.
pub fn protobuf(
    root: api_schema::TypeRef<'_>,
    api_version: &str,
    kind: &str,
    object: &Value,
) -> Result<Content, ApiError> {
    let bytes = api_schema::protobuf::encode(object, root, api_version, kind).map_err(ApiError::internal)?;
    Ok(Content::Raw(PROTOBUF, Bytes::from(bytes)))
}

/// How a table is to be made.
pub fn table_options(include: &str, no_headers: bool) -> Result<TableOptions, ApiError> {
    let include_object = match include {
        "None" => IncludeObject::None,
        "" | "Metadata" => IncludeObject::Metadata,
        "Object" => IncludeObject::Object,
        other => {
            return Err(ApiError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', 'Object', \
                 'None', or empty",
                quoted(other)
            )));
        }
    };
    Ok(TableOptions { include_object, no_headers, now: Timestamp::now() })
}
