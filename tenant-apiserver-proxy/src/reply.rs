//! What goes back: status, headers, body; and the formats that a client accepts.

use api_types::ApiError;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::convert::Infallible;

/// The body of every response.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Responses from this size on are compressed when the client accepts it, as kube-apiserver does.
const COMPRESS_FROM: usize = 128 << 10;

/// A response before it is encoded.
pub struct Reply {
    /// The status code.
    pub code: StatusCode,
    /// What it says.
    pub content: Content,
    /// Texts of `Warning` headers.
    pub warnings: Vec<String>,
    /// More headers.
    pub headers: HeaderMap,
}

/// What a response says.
pub enum Content {
    /// JSON as it is.
    Json(Bytes),
    /// Another type as it is.
    Raw(&'static str, Bytes),
    /// Another type, encoded already as the headers say.
    Encoded(&'static str, Bytes),
    /// A stream of another type.
    Stream(HeaderValue, Body),
}

impl Reply {
    /// 200 with JSON bytes.
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self::with(StatusCode::OK, Content::Json(bytes.into()))
    }

    /// 200 with a JSON value.
    pub fn value(value: &Value) -> Self {
        Self::json(value.to_string())
    }

    /// 200 with text.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::with(StatusCode::OK, Content::Raw("text/plain; charset=utf-8", text.into()))
    }

    /// Any.
    pub fn with(code: StatusCode, content: Content) -> Self {
        Reply { code, content, warnings: Vec::new(), headers: HeaderMap::new() }
    }

    /// The same with another code.
    #[must_use]
    pub fn code(mut self, code: StatusCode) -> Self {
        self.code = code;
        self
    }

    /// The same with warnings.
    #[must_use]
    pub fn warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    /// Encodes it for a client. YAML is made from JSON; protobuf is made where the content was.
    pub fn into_response(self, format: Format, accepts_gzip: bool) -> Response<Body> {
        let mut headers = self.headers;
        let (content_type, body) = match self.content {
            Content::Json(bytes) if format == Format::Yaml => (
                HeaderValue::from_static("application/yaml"),
                compress(yaml(&bytes), accepts_gzip, &mut headers),
            ),
            Content::Json(bytes) => {
                (HeaderValue::from_static("application/json"), compress(bytes, accepts_gzip, &mut headers))
            }
            Content::Raw(of, bytes) => {
                (HeaderValue::from_static(of), compress(bytes, accepts_gzip, &mut headers))
            }
            Content::Encoded(of, bytes) => (HeaderValue::from_static(of), full(bytes)),
            Content::Stream(of, body) => (of, body),
        };
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        for warning in self.warnings {
            let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
                headers.append(header::WARNING, value);
            }
        }
        let mut response = Response::new(body);
        *response.status_mut() = self.code;
        *response.headers_mut() = headers;
        response
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = Reply::value(&error.to_status()).code(code).warnings(error.warnings().to_vec());
        if let Some(seconds) = error.retry_after_seconds() {
            reply.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }
}

/// A body that is there as a whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

fn yaml(json: &[u8]) -> Bytes {
    let value: Option<Value> = serde_json::from_slice(json).ok();
    value.and_then(|value| serde_yaml_ng::to_string(&value).ok()).map_or_else(Bytes::new, Bytes::from)
}

fn compress(bytes: Bytes, accepted: bool, headers: &mut HeaderMap) -> Body {
    use std::io::Write;
    if !accepted || bytes.len() < COMPRESS_FROM {
        return full(bytes);
    }
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 8), flate2::Compression::fast());
    match encoder.write_all(&bytes).and_then(|()| encoder.finish()) {
        Ok(compressed) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            full(compressed)
        }
        Err(_) => full(bytes),
    }
}

/// The encodings of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// How objects are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As they are.
    Object,
    /// Rows and columns.
    Table,
    /// Their metadata only.
    Metadata,
}

/// What a client accepts, the first that this server can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The encoding.
    pub format: Format,
    /// The view.
    pub view: View,
    /// `g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList` was asked for.
    pub aggregated_discovery: bool,
}

/// Reads an `Accept` header. `protobuf`: the answer can be given in protobuf.
pub fn accept(header: &str, protobuf: bool) -> Result<Accept, ApiError> {
    let default = Accept { format: Format::Json, view: View::Object, aggregated_discovery: false };
    if header.is_empty() {
        return Ok(default);
    }
    for offer in header.split(',') {
        let mut parts = offer.split(';').map(str::trim);
        let media = parts.next().unwrap_or("");
        let (mut kind, mut group, mut version) = ("", "", "");
        for part in parts {
            match part.split_once('=') {
                Some(("as", value)) => kind = value,
                Some(("g", value)) => group = value,
                Some(("v", value)) => version = value,
                _ => {}
            }
        }
        let format = match media {
            "application/json" | "*/*" | "application/*" => Format::Json,
            "application/yaml" => Format::Yaml,
            "application/vnd.kubernetes.protobuf" if protobuf => Format::Protobuf,
            _ => continue,
        };
        let view = match (kind, group, version) {
            ("", ..) => View::Object,
            ("Table", "meta.k8s.io", "v1") => View::Table,
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => View::Metadata,
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => {
                return Ok(Accept { format, aggregated_discovery: true, ..default });
            }
            _ => continue,
        };
        if view != View::Object && format == Format::Protobuf {
            continue;
        }
        return Ok(Accept { format, view, ..default });
    }
    let accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
    Err(ApiError::new(
        api_types::Reason::NotAcceptable,
        format!("only the following media types are accepted: {accepted}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_acceptable_offer_wins() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        assert_eq!(accept(table, false).unwrap().view, View::Table);
        let old = "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(accept(old, false).unwrap().view, View::Object);
        let proto = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(accept(proto, false).unwrap().format, Format::Json);
        assert_eq!(accept(proto, true).unwrap().format, Format::Protobuf);
        let discovery =
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        assert!(accept(discovery, false).unwrap().aggregated_discovery);
        assert_eq!(accept("application/cbor", true).unwrap_err().code(), 406);
        assert_eq!(accept("", true).unwrap().format, Format::Json);
    }
}
