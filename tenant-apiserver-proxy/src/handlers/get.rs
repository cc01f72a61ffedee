//! GET of one object.

use crate::cache::record::Record;
use crate::gateway::Place;
use crate::reply::{self, Content, Format, Reply, View};
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::columns::{IncludeObject, TableOptions};
use api_types::ApiError;
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Answers with the object as it is stored, when the version agrees.
pub fn get(server: &Server, auth: &Authorized, place: &Place) -> Result<Reply, ApiError> {
    let found = server.cache.get(auth.plane().id, &place.resource(), &place.object());
    let record = found.ok_or_else(|| ApiError::not_found(&place.resource(), &place.name))?;
    show(auth, place, &record, StatusCode::OK)
}

/// Shows an object as the client asks for it.
pub fn show(auth: &Authorized, place: &Place, record: &Record, code: StatusCode) -> Result<Reply, ApiError> {
    let accept = reply::accept(auth.call().header("accept"), place.has_protobuf())?;
    let content = match (accept.view, accept.format) {
        (View::Object, Format::Protobuf) => {
            protobuf(place.root(), &place.api_version(), &place.row.kind, &converted(place, record)?)?
        }
        (View::Object, _) => Content::Json(bytes_in_version(place, record)?),
        (View::Metadata, _) => Content::Json(Bytes::from(metadata_only(&value(record)?).to_string())),
        (View::Table, _) => {
            let value = value(record)?;
            let include = auth.call().query.get("includeObject").unwrap_or("Metadata");
            let options = table_options(include, false)?;
            let (row, version) = (&place.row, &place.version);
            let mut table = api_resources::columns::table(row, version, [&value].into_iter(), options);
            table["metadata"] = json!({"resourceVersion": record.revision.to_string()});
            Content::Json(Bytes::from(table.to_string()))
        }
    };
    Ok(Reply::with(code, content))
}

/// Decodes a stored object; one that cannot be is an error with its name.
pub fn value(record: &Record) -> Result<Value, ApiError> {
    record.value().map_err(ApiError::internal)
}

/// The object in the version of the request.
pub fn converted(place: &Place, record: &Record) -> Result<Value, ApiError> {
    Ok(place.from_stored(value(record)?))
}

/// The bytes of the object in the version of the request: those that are stored, when the versions agree.
pub fn bytes_in_version(place: &Place, record: &Record) -> Result<Bytes, ApiError> {
    if record.api_version == place.api_version() {
        return Ok(record.bytes.clone());
    }
    Ok(Bytes::from(converted(place, record)?.to_string()))
}

/// `PartialObjectMetadata` of an object.
pub fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// The media type of protobuf bodies.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

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
        other => return Err(ApiError::bad_request(format!("unrecognized includeObject value: {other:?}"))),
    };
    Ok(TableOptions { include_object, no_headers, now: Timestamp::now() })
}
