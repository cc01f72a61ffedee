//! What goes back: status, headers, body.

use crate::audit::Trail;
use crate::heavy;
use crate::joined::Joined;
use crate::negotiation::{Format, Offer, Rendering, Wish};
use api_types::ApiError;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::sync::oneshot;

/// The body of every response.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Responses over this size are compressed when the client accepts it, as kube-apiserver does.
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
    /// How JSON is written, where it is chosen already; else as for any document.
    pub rendering: Option<Rendering>,
    /// Who takes over what is written down of the request, when its connection goes on after the answer.
    pub(crate) goes_on: Option<oneshot::Sender<Trail>>,
}

/// What a response says.
pub enum Content {
    /// JSON, which may be sent as YAML too.
    Json(Bytes),
    /// A list in JSON.
    Joined(Joined),
    /// A `Status`, which may be sent in each format.
    Status(Value),
    /// Another type as it is.
    Raw(&'static str, Bytes),
    /// Another type, encoded already as the headers say.
    Encoded(&'static str, Bytes),
    /// A stream of another type.
    Stream(&'static str, Body),
    /// The answer of another server, which is all that the headers say.
    Foreign(Body),
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

    /// The same for browsers not to guess its type from what it says.
    #[must_use]
    pub fn as_it_is(mut self) -> Self {
        self.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self
    }

    /// Any.
    pub fn with(code: StatusCode, content: Content) -> Self {
        Reply {
            code,
            content,
            warnings: Vec::new(),
            headers: HeaderMap::new(),
            rendering: None,
            goes_on: None,
        }
    }

    /// 200 with a `Status`.
    pub fn status(status: Value) -> Self {
        Self::with(StatusCode::OK, Content::Status(status))
    }

    /// What is written down of the request, for whoever carries its connection on after the answer: dropped when that has
    /// ended. An error: nothing is written down.
    pub fn goes_on(&mut self) -> oneshot::Receiver<Trail> {
        let (goes_on, trail) = oneshot::channel();
        self.goes_on = Some(goes_on);
        trail
    }

    /// The same with another rendering.
    #[must_use]
    pub fn rendered(mut self, rendering: Rendering) -> Self {
        self.rendering = Some(rendering);
        self
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

    /// How it is written for a client. Who accepts nothing that is there gets errors as people like to read them.
    fn rendering(&self, wish: &Wish) -> Rendering {
        let chosen = self.rendering.or_else(|| wish.choose(Offer::Document).map(|accept| accept.rendering));
        chosen.unwrap_or(Rendering { format: Format::Json, pretty: true })
    }

    /// True when [`Reply::into_response`] takes long.
    pub fn is_long(&self, wish: &Wish, accepts_gzip: bool) -> bool {
        match &self.content {
            Content::Json(bytes) => self.is_changed(wish, accepts_gzip, bytes.len()),
            Content::Joined(list) => self.is_changed(wish, accepts_gzip, list.size()),
            Content::Raw(_, bytes) => accepts_gzip && bytes.len() > COMPRESS_FROM,
            Content::Status(_) | Content::Encoded(..) | Content::Stream(..) | Content::Foreign(_) => false,
        }
    }

    /// True when so many bytes of JSON are so many that writing them otherwise takes long.
    fn is_changed(&self, wish: &Wish, accepts_gzip: bool, bytes: usize) -> bool {
        let rendering = self.rendering(wish);
        let changed = rendering.format == Format::Yaml || rendering.pretty;
        (changed && bytes > heavy::YAML_BYTES) || (accepts_gzip && bytes > COMPRESS_FROM)
    }

    /// Encodes it for a client. YAML is made from JSON; objects in protobuf are made where the content was.
    pub fn into_response(self, wish: &Wish, accepts_gzip: bool) -> Response<Body> {
        let rendering = self.rendering(wish);
        let mut headers = self.headers;
        let (of, bytes) = match self.content {
            Content::Json(bytes) => render(bytes, rendering),
            Content::Joined(list) => {
                let compressed = accepts_gzip && list.size() >= COMPRESS_FROM;
                if rendering.format != Format::Yaml && !rendering.pretty && !compressed {
                    return respond("application/json", parts(list), self.code, headers, &self.warnings);
                }
                render(list.whole(), rendering)
            }
            Content::Status(status) => render_status(&status, rendering),
            Content::Raw(of, bytes) => (of, bytes),
            Content::Encoded(of, bytes) => {
                return respond(of, full(bytes), self.code, headers, &self.warnings);
            }
            Content::Stream(of, body) => return respond(of, body, self.code, headers, &self.warnings),
            Content::Foreign(body) => return with_head(body, self.code, headers, &self.warnings),
        };
        let body = compress(bytes, accepts_gzip, &mut headers);
        respond(of, body, self.code, headers, &self.warnings)
    }
}

fn respond(
    of: &'static str,
    body: Body,
    code: StatusCode,
    mut headers: HeaderMap,
    warnings: &[String],
) -> Response<Body> {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(of));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    with_head(body, code, headers, warnings)
}

fn with_head(body: Body, code: StatusCode, mut headers: HeaderMap, warnings: &[String]) -> Response<Body> {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            headers.append(header::WARNING, value);
        }
    }
    let mut response = Response::new(body);
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    response
}

/// The media type of protobuf bodies.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// The media type of watches in protobuf.
pub const PROTOBUF_STREAM: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// JSON as it is to be written. What has no form but JSON stays JSON.
fn render(json: Bytes, rendering: Rendering) -> (&'static str, Bytes) {
    match rendering {
        Rendering { format: Format::Yaml, .. } => ("application/yaml", yaml(&json)),
        Rendering { pretty: true, .. } => ("application/json", pretty(json)),
        Rendering { .. } => ("application/json", line(json)),
    }
}

fn render_status(status: &Value, rendering: Rendering) -> (&'static str, Bytes) {
    if rendering.format == Format::Protobuf
        && let Some(bytes) = protobuf_status(status)
    {
        return (PROTOBUF, bytes);
    }
    render(Bytes::from(status.to_string()), rendering)
}

/// A `Status` in protobuf.
pub fn protobuf_status(status: &Value) -> Option<Bytes> {
    let graph = api_schema::builtin::graph();
    let root = graph.named("io.k8s.apimachinery.pkg.apis.meta.v1.Status")?;
    api_schema::protobuf::encode(status, graph.at(root), "v1", "Status").ok().map(Bytes::from)
}

/// JSON with the end of its line, as Kubernetes writes it. Copies nothing that nobody else holds, and the rest once.
fn line(json: Bytes) -> Bytes {
    let mut line = json.try_into_mut().unwrap_or_else(|shared| {
        let mut copy = BytesMut::with_capacity(shared.len() + 1);
        copy.extend_from_slice(&shared);
        copy
    });
    line.put_u8(b'\n');
    line.freeze()
}

fn pretty(json: Bytes) -> Bytes {
    let value: Option<Value> = serde_json::from_slice(&json).ok();
    value.and_then(|value| serde_json::to_vec_pretty(&value).ok()).map_or(json, Bytes::from)
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = Reply::status(error.to_status()).code(code).warnings(error.warnings().to_vec());
        if let Some(seconds) = error.retry_after_seconds() {
            reply.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }
}

/// A list that is put together while it is sent.
fn parts(list: Joined) -> Body {
    list.parts().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is there as a whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn yaml(json: &[u8]) -> Bytes {
    let value: Option<Value> = serde_json::from_slice(json).ok();
    value.and_then(|value| api_schema::encode::yaml(&value)).map_or_else(Bytes::new, Bytes::from)
}

fn compress(bytes: Bytes, accepted: bool, headers: &mut HeaderMap) -> Body {
    use std::io::Write;
    if !accepted || bytes.len() <= COMPRESS_FROM {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::Query;

    fn wish(accept: &str) -> Wish {
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
        Wish::of(&headers, &Query::default())
    }

    async fn sent(reply: Reply, accept: &str) -> (String, Bytes) {
        let response = reply.into_response(&wish(accept), true);
        let of = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        (of, response.into_body().collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn errors_come_in_the_clients_format_or_as_people_read_them() {
        let error = || Reply::from(ApiError::unauthorized());
        assert_eq!(sent(error(), "application/yaml").await.0, "application/yaml");
        let (of, bytes) = sent(error(), PROTOBUF).await;
        assert!(of == PROTOBUF && bytes.starts_with(api_schema::protobuf::PREFIX));
        let (_, bytes) = sent(error(), "application/*").await;
        assert_eq!(bytes.iter().position(|byte| *byte == b'\n'), Some(bytes.len() - 1));
        let (of, bytes) = sent(error(), "text/html").await;
        assert!(of == "application/json" && bytes.contains(&b'\n'));
    }

    #[test]
    fn what_is_long_is_known_before_it_is_done() {
        let reply = |size: usize| Reply::json(Bytes::from(vec![b' '; size]));
        assert!(!reply(COMPRESS_FROM).is_long(&wish("application/json"), true));
        assert!(reply(COMPRESS_FROM + 1).is_long(&wish("application/json"), true));
        assert!(!reply(COMPRESS_FROM + 1).is_long(&wish("application/json"), false));
        assert!(reply(COMPRESS_FROM).is_long(&wish("application/yaml"), false));
        assert!(!reply(100).is_long(&wish("application/yaml"), true));
    }
}
