//! URLs as Go reads them.

use super::values::{Given, Key, Value, fail};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A URL.
#[derive(Debug)]
pub(crate) struct Url {
    pub text: String,
    scheme: String,
    host: String,
    path: String,
    query: String,
}

impl Url {
    /// An absolute URL, or an absolute path.
    ///
    /// Errors: what is wrong with it, in Go's words.
    pub fn request(text: &str) -> Result<Url, String> {
        let failed = |why: &str| Err(format!("parse {text:?}: {why}"));
        if text.is_empty() {
            return failed("empty url");
        }
        if text.bytes().any(|c| c < 0x20 || c == 0x7f) {
            return failed("net/url: invalid control character in URL");
        }
        let (scheme, rest) = match scheme(text) {
            Ok(found) => found,
            Err(why) => return failed(why),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !rest.starts_with('/') {
            if !scheme.is_empty() {
                // It says nothing but what stands behind the scheme.
                let (host, path) = (String::new(), String::new());
                let (text, query) = (text.to_owned(), query.to_owned());
                return Ok(Url { text, scheme, host, path, query });
            }
            return failed("invalid URI for request");
        }
        let authority = rest.strip_prefix("//").filter(|_| !scheme.is_empty() || !rest.starts_with("///"));
        // Without a scheme two slashes begin a path, where a request is meant.
        let authority = authority.filter(|_| !scheme.is_empty());
        let (host, path) = match authority {
            Some(authority) => {
                let end = authority.find('/').unwrap_or(authority.len());
                let (authority, path) = authority.split_at(end);
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                if let Err(why) = host_problem(host) {
                    return failed(&why);
                }
                (host.to_owned(), path)
            }
            None => (String::new(), rest),
        };
        if let Some(bad) = bad_escape(path) {
            return failed(&format!("invalid URL escape {bad:?}"));
        }
        let (path, query) = (path.to_owned(), query.to_owned());
        Ok(Url { text: text.to_owned(), scheme, host, path, query })
    }

    /// The same, perhaps with a fragment.
    fn parse(text: &str) -> Result<Url, String> {
        Url::request(text)?;
        let plain = text.split('#').next().unwrap_or(text);
        Ok(Url { text: text.to_owned(), ..Url::request(plain)? })
    }

    /// The host without its port.
    fn hostname(&self) -> &str {
        if let Some(rest) = self.host.strip_prefix('[') {
            return rest.split(']').next().unwrap_or(rest);
        }
        self.host.split(':').next().unwrap_or("")
    }

    fn port(&self) -> &str {
        let rest = self.host.rsplit(']').next().unwrap_or("");
        rest.split_once(':').map_or("", |(_, port)| port)
    }

    /// The path, with what has to be escaped.
    fn escaped_path(&self) -> String {
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!*'()%[]".contains(&c);
        let mut out = String::new();
        for byte in self.path.bytes() {
            if plain(byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    }

    /// What is asked for: names, each with its values in their order. What cannot be read is left out.
    fn asked(&self) -> Value {
        let mut out: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(name), Some(value)) = (unescaped(name), unescaped(value)) {
                out.entry(Key::Text(name.into())).or_default().push(value.into());
            }
        }
        Value::Map(Arc::new(out.into_iter().map(|(name, values)| (name, Value::list(values))).collect()))
    }
}

/// The scheme, in small letters, and what is behind it.
fn scheme(text: &str) -> Result<(String, &str), &'static str> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme"),
            ':' => return Ok((text[..at].to_ascii_lowercase(), &text[at + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), text))
}

fn host_problem(host: &str) -> Result<(), String> {
    let port = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((_, after)) => after,
            None => return Err("missing ']' in host".to_owned()),
        },
        None => host.find(':').and_then(|at| host.get(at..)).unwrap_or(""),
    };
    let good = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|c| c.is_ascii_digit()));
    if !good {
        return Err(format!("invalid port {port:?} after host"));
    }
    let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    match host.chars().find(|c| !plain(*c)) {
        Some(bad) => Err(format!("invalid character {:?} in host name", bad.to_string())),
        None => Ok(()),
    }
}

/// The first escape that is none.
fn bad_escape(text: &str) -> Option<&str> {
    text.match_indices('%').find_map(|(at, _)| {
        let good = text.get(at + 1..at + 3).is_some_and(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()));
        if good { None } else { text.get(at..(at + 3).min(text.len())) }
    })
}

fn unescaped(text: &str) -> Option<String> {
    if bad_escape(text).is_some() {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value]) -> Option<Given> {
    Some(match (name, given) {
        ("url", [Value::Text(text)]) => match Url::parse(text) {
            Ok(url) => Ok(Value::Url(Arc::new(url))),
            Err(why) => fail(format!("URL parse error during conversion from string: {why}")),
        },
        ("isURL", [Value::Text(text)]) => Ok(Value::Bool(Url::request(text).is_ok())),
        ("getScheme", [Value::Url(url)]) => Ok(url.scheme.as_str().into()),
        ("getHost", [Value::Url(url)]) => Ok(url.host.as_str().into()),
        ("getHostname", [Value::Url(url)]) => Ok(url.hostname().into()),
        ("getPort", [Value::Url(url)]) => Ok(url.port().into()),
        ("getEscapedPath", [Value::Url(url)]) => Ok(url.escaped_path().into()),
        ("getQuery", [Value::Url(url)]) => Ok(url.asked()),
        _ => return None,
    })
}
