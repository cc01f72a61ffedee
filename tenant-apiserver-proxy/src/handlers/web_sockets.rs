//! Answers over WebSocket (RFC 6455), which browsers can open: watches with a message for each event, and whatever else is
//! sent and not heard, as Kubernetes sends them.

use crate::negotiation::Format;
use crate::reply::{self, Content, Reply};
use crate::stages::Call;
use bytes::Bytes;
use futures::{SinkExt, Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

/// The version of the protocol that is spoken.
const VERSION: &str = "13";
/// What a client says is not listened to; more than this at a time ends the connection.
const MAX_HEARD: usize = 64 << 10;
/// How long a client may take to read a message.
const SENDING: Duration = Duration::from_secs(60);
/// A token among the subprotocols of a client that can set no other header.
const TOKEN: &str = "base64url.bearer.authorization.k8s.io.";

/// True for a request that asks to go on over WebSocket.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    let says = |name: HeaderName, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    says(header::UPGRADE, "websocket") && says(header::CONNECTION, "upgrade")
}

/// Takes the bearer token out of a client's subprotocols, so that nobody is sent it. `None`: there is none, or nothing
/// beside it that could be answered.
pub fn take_token(headers: &mut HeaderMap) -> Option<String> {
    use base64::Engine;
    let asked = protocols(headers);
    if !is_asked_for(headers) {
        // Of a client that errs nobody is sent it either.
        if asked.iter().any(|protocol| protocol.starts_with(TOKEN)) {
            headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        }
        return None;
    }
    let (tokens, others): (Vec<String>, Vec<String>) =
        asked.into_iter().partition(|protocol| protocol.starts_with(TOKEN));
    let [token] = tokens.as_slice() else {
        if !tokens.is_empty() {
            headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        }
        return None;
    };
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    let rest = HeaderValue::from_str(&others.join(", ")).ok().filter(|_| !others.is_empty())?;
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, rest);
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.strip_prefix(TOKEN)?).ok()?;
    String::from_utf8(bytes).ok()
}

/// Takes whatever looks like a token out of the subprotocols.
pub fn forget_tokens(headers: &mut HeaderMap) {
    let asked = protocols(headers);
    if asked.iter().any(|protocol| protocol.starts_with(TOKEN)) {
        let others: Vec<String> = asked.into_iter().filter(|protocol| !protocol.starts_with(TOKEN)).collect();
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        if let Some(rest) = HeaderValue::from_str(&others.join(", ")).ok().filter(|_| !others.is_empty()) {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, rest);
        }
    }
}

fn protocols(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let texts = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    texts.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// Which subprotocols may be spoken.
#[derive(Clone, Copy)]
pub enum Protocols {
    /// Whichever one a client names, if it says where its page is from; what it says is not looked at.
    Any,
    /// These or none: the first of them that a client names.
    Of(&'static [&'static str]),
}

/// Answers a watch with these frames: shakes hands, and sends its events as messages.
pub fn answer(
    call: &Call,
    client: OnUpgrade,
    format: Format,
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> Reply {
    let events = frames.flat_map(move |frame| stream::iter(messages(format, frame)));
    match shake(&call.headers, Protocols::Any) {
        Ok((reply, _)) => go_on(reply, client, events),
        Err(refused) => *refused,
    }
}

/// Goes on after a handshake: sends messages until there are no more, or the client is gone.
pub fn go_on(
    mut reply: Reply,
    client: OnUpgrade,
    messages: impl Stream<Item = Message> + Send + 'static,
) -> Reply {
    let trail = reply.goes_on();
    // Ends with either side; who goes away first is nobody's error.
    tokio::spawn(async move {
        if let Ok(connection) = client.await {
            serve(connection, messages).await;
        }
        drop(trail.await);
    });
    reply
}

/// The head of the answer and the subprotocol that is spoken, or why there is no handshake.
pub fn shake(headers: &HeaderMap, speaks: Protocols) -> Result<(Reply, Option<String>), Box<Reply>> {
    let refuse = |code, why: &'static str| {
        Box::new(Reply::with(
            code,
            Content::Raw("text/plain; charset=utf-8", Bytes::from_static(why.as_bytes())),
        ))
    };
    let said = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    if said(&header::SEC_WEBSOCKET_VERSION) != VERSION {
        let mut refused = refuse(StatusCode::BAD_REQUEST, "missing or bad WebSocket Version");
        refused.headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        return Err(refused);
    }
    let key = said(&header::SEC_WEBSOCKET_KEY);
    if key.is_empty() {
        return Err(refuse(StatusCode::BAD_REQUEST, "mismatch challenge/response"));
    }
    let mut asked = protocols(headers);
    let chosen = match speaks {
        Protocols::Any if said(&header::ORIGIN).is_empty() => return Err(refuse(StatusCode::FORBIDDEN, "")),
        Protocols::Any if asked.len() > 1 => return Err(refuse(StatusCode::BAD_REQUEST, "")),
        Protocols::Any => asked.pop(),
        Protocols::Of(_) if asked.is_empty() => None,
        Protocols::Of(known) => match asked.into_iter().find(|one| known.contains(&one.as_str())) {
            Some(one) => Some(one),
            None => return Err(refuse(StatusCode::FORBIDDEN, "")),
        },
    };
    let mut reply = Reply::with(StatusCode::SWITCHING_PROTOCOLS, Content::Foreign(reply::full(Bytes::new())));
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let bad_key = |_| refuse(StatusCode::BAD_REQUEST, "mismatch challenge/response");
    reply.headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.map_err(bad_key)?);
    reply.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    reply.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(one) = &chosen {
        let one = HeaderValue::from_str(one).map_err(|_| refuse(StatusCode::BAD_REQUEST, ""))?;
        reply.headers.insert(header::SEC_WEBSOCKET_PROTOCOL, one);
    }
    Ok((reply, chosen))
}

async fn serve(connection: hyper::upgrade::Upgraded, messages: impl Stream<Item = Message> + Send) {
    let config = WebSocketConfig::default().max_message_size(Some(MAX_HEARD)).max_frame_size(Some(MAX_HEARD));
    let stream = WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(config)).await;
    let (mut to_client, mut from_client) = stream.split();
    tokio::pin!(messages);
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            // Reading answers pings too. What else it says is nobody's business.
            heard = from_client.next() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
        };
        let Some(message) = message else { break };
        if !matches!(timeout(SENDING, to_client.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    // All is sent; a client that is gone does not need to hear of it.
    let _ = timeout(SENDING, to_client.send(Message::Close(Some(normal)))).await;
}

/// The events of a frame: lines of JSON, or protobuf with the length of each in front.
fn messages(format: Format, mut frame: Bytes) -> Vec<Message> {
    let mut found = Vec::new();
    while !frame.is_empty() {
        let message = match format {
            Format::Protobuf => {
                let Some(length) = frame.first_chunk().map(|length| u32::from_be_bytes(*length)) else {
                    break;
                };
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if frame.len() - 4 < length {
                    break;
                }
                Message::Binary(frame.split_to(4 + length).slice(4..))
            }
            Format::Json | Format::Yaml => {
                let end = frame.iter().position(|byte| *byte == b'\n').map_or(frame.len(), |at| at + 1);
                match frame.split_to(end).try_into() {
                    Ok(text) => Message::Text(text),
                    Err(_) => break,
                }
            }
        };
        found.push(message);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_is_taken_out_of_the_subprotocols() {
        const ASKS: [(&str, &str); 2] = [("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")];
        let token = format!("{TOKEN}YS5iLWM");
        let table = [
            (format!("{token}, v1"), Some("a.b-c"), Some("v1")),
            (format!("v1, {token} ,v2"), Some("a.b-c"), Some("v1, v2")),
            // Nothing that could be answered is left.
            (token.clone(), None, None),
            (format!("{token}, {token}, v1"), None, None),
            (format!("{TOKEN}=, v1"), None, Some("v1")),
            ("v1".to_owned(), None, Some("v1")),
        ];
        for (given, found, left) in table {
            let mut all = headers(&[ASKS[0], ASKS[1], ("sec-websocket-protocol", &given)]);
            assert_eq!(take_token(&mut all).as_deref(), found, "{given}");
            let rest = all.get(header::SEC_WEBSOCKET_PROTOCOL).map(|value| value.to_str().unwrap());
            assert_eq!(rest, left, "{given}");
        }
        let mut plain = headers(&[("sec-websocket-protocol", &format!("{token}, v1"))]);
        assert_eq!(take_token(&mut plain), None);
        assert!(!plain.contains_key(header::SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn handshakes_are_refused_as_in_kubernetes() {
        const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        const PAGE: (&str, &str) = ("origin", "https://page");
        const OF: (&str, &str) = ("sec-websocket-version", VERSION);
        const LOGS: Protocols = Protocols::Of(&["v2", "v1"]);
        let speaks = |names| ("sec-websocket-protocol", names);
        for (given, rule, told) in [
            (vec![KEY, PAGE, OF], Protocols::Any, "101 "),
            (vec![KEY, PAGE, OF, speaks("v1")], Protocols::Any, "101 v1"),
            (vec![KEY, PAGE, OF, speaks("v1, v2")], Protocols::Any, "400"),
            (vec![KEY, PAGE, ("sec-websocket-version", "8")], Protocols::Any, "400"),
            (vec![PAGE, OF], Protocols::Any, "400"),
            (vec![KEY, OF], Protocols::Any, "403"),
            (vec![KEY, OF], LOGS, "101 "),
            (vec![KEY, OF, speaks("v3, v1,v2")], LOGS, "101 v1"),
            (vec![KEY, OF, speaks("v3")], LOGS, "403"),
            (vec![OF, speaks("v1")], LOGS, "400"),
        ] {
            let answered = match shake(&headers(&given), rule) {
                Ok((reply, chosen)) => format!("{} {}", reply.code.as_u16(), chosen.unwrap_or_default()),
                Err(refused) => refused.code.as_u16().to_string(),
            };
            assert_eq!(answered, told, "{given:?}");
        }
        let (reply, _) =
            shake(&headers(&[KEY, PAGE, OF]), Protocols::Any).map_err(|refused| refused.code).unwrap();
        // The example of RFC 6455.
        assert_eq!(reply.headers[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn each_event_is_a_message() {
        let lines = messages(Format::Json, Bytes::from_static(b"{\"a\":1}\n{}\n"));
        assert_eq!(lines, [Message::text("{\"a\":1}\n"), Message::text("{}\n")]);
        let framed = messages(Format::Protobuf, Bytes::from_static(b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c"));
        assert_eq!(framed, [Message::binary("ab"), Message::binary(""), Message::binary("c")]);
        assert_eq!(messages(Format::Protobuf, Bytes::from_static(b"\0\0\0\x09ab")), []);
    }
}
