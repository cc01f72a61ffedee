//! Where a webhook is, and whom it is believed to be: `clientConfig`.

use crate::kinds::place::{Causes, Place, require};
use crate::names;
use api_types::Cause;
use api_types::print::quoted;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const FORM: &str = "; desired format: https://host[/path]";

/// Defects of where a webhook is: either an address or a Service.
pub(crate) fn target(out: &mut Causes, config: &Place<'_>) {
    match (config.present("url"), config.present("service")) {
        (Some(url), None) => address(out, &url),
        (None, Some(service)) => reference(out, &service),
        _ => out.push(Cause::required(&config.path, "exactly one of url or service is required")),
    }
}

/// What is wrong with a caBundle, in base64; nothing is no bundle.
pub(crate) fn ca_bundle_defect(bundle: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN ";
    let text = String::from_utf8_lossy(&STANDARD.decode(bundle).unwrap_or_default()).into_owned();
    if text.is_empty() {
        return None;
    }
    let mut why = "unable to parse bytes as PEM block";
    for block in text.split(BEGIN).skip(1) {
        let Some((kind, body)) = block.split_once("-----\n").or_else(|| block.split_once("-----\r\n")) else {
            continue;
        };
        let Some((body, _)) = body.split_once(&format!("-----END {kind}-----")) else { continue };
        let lines: String = body.split_ascii_whitespace().collect();
        match STANDARD.decode(lines) {
            Err(_) => {}
            Ok(_) if kind != "CERTIFICATE" => why = "no valid certificate authority data seen",
            // A sequence in DER (X.690).
            Ok(der) if der.first() == Some(&0x30) => return None,
            Ok(_) => {
                why = "failed to parse certificate: x509: malformed certificate";
                break;
            }
        }
    }
    Some(format!("unable to load root certificates: {why}"))
}

/// The parts of an address: scheme, user, host, rest.
fn parts(url: &str) -> (&str, Option<&str>, &str, &str) {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => match url.strip_prefix("//") {
            Some(rest) => ("", rest),
            None => return ("", None, "", url),
        },
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => (scheme, Some(user), host, rest),
        None => (scheme, None, authority, rest),
    }
}

fn address(out: &mut Causes, at: &Place<'_>) {
    let url = at.as_text();
    let (scheme, user, host, rest) = parts(url);
    let why = match host.chars().find(|c| c.is_whitespace()) {
        _ if url.contains(|c: char| c.is_ascii_control()) => {
            Some("net/url: invalid control character in URL".to_owned())
        }
        Some(bad) => Some(format!("invalid character \"{bad}\" in host name")),
        None => url.starts_with(':').then(|| "missing protocol scheme".to_owned()),
    };
    if let Some(why) = why {
        let why = format!("url must be a valid URL: parse {}: {why}{FORM}", quoted(url));
        out.push(Cause::required(&at.path, &why));
        return;
    }
    let mut wrong = |value: &str, why: &str| out.push(Cause::invalid(&at.path, &value.into(), why));
    if scheme != "https" {
        wrong(scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        wrong(host, &format!("host must be specified{FORM}"));
    }
    if let Some(user) = user {
        wrong(user, "user information is not permitted in the URL");
    }
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    if !fragment.is_empty() {
        wrong(fragment, "fragments are not permitted in the URL");
    }
    if let Some((_, query)) = before.split_once('?').filter(|(_, query)| !query.is_empty()) {
        wrong(query, "query parameters are not permitted in the URL");
    }
}

fn reference(out: &mut Causes, at: &Place<'_>) {
    require(out, at, "name");
    require(out, at, "namespace");
    let port = at.int("port").unwrap_or(0);
    let wrong = names::port_number(port);
    if !wrong.is_empty() {
        let why = format!("port is not valid: {}", wrong.join(", "));
        out.push(Cause::invalid(at.of("port"), &port.into(), &why));
    }
    let path = at.text("path");
    if path.is_empty() || path == "/" {
        return;
    }
    let mut wrong = |why: &str| out.push(Cause::invalid(at.of("path"), &path.into(), why));
    if path == "//" {
        wrong("segment[0] may not be empty");
        return;
    }
    if !path.starts_with('/') {
        wrong("must start with a '/'");
    }
    let inner: String = path.chars().skip(1).collect();
    for (index, step) in inner.strip_suffix('/').unwrap_or(&inner).split('/').enumerate() {
        if step.is_empty() {
            wrong(&format!("segment[{index}] may not be empty"));
            continue;
        }
        for why in names::dns_subdomain(step) {
            wrong(&format!("segment[{index}]: {why}"));
        }
    }
}
