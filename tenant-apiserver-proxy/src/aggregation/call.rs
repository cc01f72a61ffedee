//! One question to an extension server, asked by this server for itself or for a user.

use super::extensions::Extension;
use super::identity::{self, Identity};
use crate::authentication::User;
use crate::dialer::{Answer, DialError, Exchange, Peer, Trust};
use crate::planes::Plane;
use crate::server::Server;
use crate::stages::PLATFORM;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;
use std::time::Duration;

/// As whom this server asks for itself.
const AGGREGATOR: (&str, &str) = ("system:kube-aggregator", "system:masters");
/// What an extension server reads of who asks; nobody else sends it.
pub const REMOTE: &str = "x-remote-";

/// How to speak to an extension server as an identity.
pub type PeerCell = ArcSwapOption<(Arc<Identity>, Peer)>;

/// How to speak to an extension server.
pub async fn peer(
    server: &Server,
    plane: &Plane,
    extension: &Extension,
) -> Result<Arc<(Arc<Identity>, Peer)>, DialError> {
    let identity = identity::of(server, plane).await.map_err(|error| DialError::Tls(error.to_string()))?;
    let same = |kept: &Arc<(Arc<Identity>, Peer)>| Arc::ptr_eq(&kept.0, &identity);
    if let Some(kept) = extension.known.peer.load_full().filter(same) {
        return Ok(kept);
    }
    let bundle = (!extension.is_insecure).then_some(extension.ca_bundle.as_slice());
    let trust = Trust { bundle, identity: Some(&identity.shown) };
    let made = Arc::new((identity.clone(), Peer::of_service(extension.service.clone(), trust)?));
    extension.known.peer.store(Some(made.clone()));
    Ok(made)
}

/// Gets a document of an extension server, as this server itself.
pub async fn get(
    server: &Server,
    plane: &Plane,
    extension: &Extension,
    (path, headers): (&str, &[(HeaderName, &str)]),
    timeout: Duration,
    max_answer: usize,
) -> Result<Answer, DialError> {
    let peer = peer(server, plane, extension).await?;
    let broken = |error: http::Error| DialError::Broken(error.to_string());
    let mut request = Request::get(path).body(Full::new(Bytes::new())).map_err(broken)?;
    let all = request.headers_mut();
    all.insert(header::USER_AGENT, HeaderValue::from_static("kube-aggregator"));
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            all.insert(name.clone(), value);
        }
    }
    sign(all, &User { name: AGGREGATOR.0.into(), groups: vec![AGGREGATOR.1.into()], ..User::default() });
    plane.dialer.exchange(Exchange { peer: &peer.1, request, timeout, max_answer }).await
}

/// Says who asks, and nobody else: what was there before is taken away.
pub fn sign(headers: &mut HeaderMap, user: &User) {
    let sent: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(REMOTE)).cloned().collect();
    for name in sent {
        headers.remove(name);
    }
    let mut add = |name: &str, value: &str| {
        let name = HeaderName::from_bytes(name.as_bytes());
        // What no header can carry is left out: the user has less by it, never more.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    };
    add("x-remote-user", &user.name);
    if !user.uid.is_empty() {
        add("x-remote-uid", &user.uid);
    }
    for group in user.groups.iter().filter(|group| *group != PLATFORM) {
        add("x-remote-group", group);
    }
    for (key, values) in &user.extra {
        for value in values {
            add(&format!("x-remote-extra-{}", escaped(key)), value);
        }
    }
}

/// What a token may have besides letters and digits (RFC 9110, section 5.6.2), but for the percent sign.
const TOKEN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// A key of `extra` as the name of a header: what is no token is percent-encoded.
fn escaped(key: &str) -> String {
    utf8_percent_encode(key, TOKEN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_told_and_nobody_else_can_tell_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-remote-user", "mallory"),
            ("x-remote-group", "system:masters"),
            ("x-remote-extra-a", "b"),
            ("x-remote-uid", "1"),
            ("x-other", "stays"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut user = User::authenticated("jane", ["dev".to_owned(), PLATFORM.to_owned()]);
        user.extra.insert("example.com/A b".into(), vec!["1".into(), "2".into()]);
        sign(&mut headers, &user);
        let all = |name: &str| -> Vec<&str> {
            headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
        };
        assert_eq!(all("x-remote-user"), ["jane"]);
        assert_eq!(all("x-remote-group"), ["dev", "system:authenticated"]);
        assert_eq!(all("x-remote-extra-example.com%2fa%20b"), ["1", "2"]);
        assert_eq!((all("x-remote-uid"), all("x-remote-extra-a")), (vec![], vec![]));
        assert_eq!(all("x-other"), ["stays"]);
    }
}
