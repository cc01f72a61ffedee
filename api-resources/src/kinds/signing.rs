//! What certificates are asked of and given as: PEM (RFC 7468), and the names of signers.

use super::place::{Causes, Place, invalid_all};
use crate::names;
use api_types::Cause;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// True when a text in base64 is PEM whose first block is a certificate signing request.
pub(super) fn is_request(text: &str) -> bool {
    blocks(&decoded(text)).first().is_some_and(|kind| kind == "CERTIFICATE REQUEST")
}

/// Checks a text in base64 that must be nothing or PEM of certificates.
///
/// # Errors
/// What is wrong with it.
pub(super) fn certificates(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let kinds = blocks(&decoded(text));
    match kinds.iter().find(|kind| *kind != "CERTIFICATE") {
        Some(other) => Err(format!("only CERTIFICATE PEM blocks are allowed, found {other:?}")),
        None if kinds.is_empty() => Err("must contain at least one CERTIFICATE PEM block".to_owned()),
        None => Ok(()),
    }
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&STANDARD.decode(text).unwrap_or_default()).into_owned()
}

/// The kinds of the blocks of PEM that begin and end.
fn blocks(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut open: Option<&str> = None;
    for line in text.lines().map(str::trim_end) {
        let kind = |start: &str| line.strip_prefix(start).and_then(|rest| rest.strip_suffix("-----"));
        if let Some(begun) = kind("-----BEGIN ") {
            open = Some(begun);
        } else if let Some(ended) = kind("-----END ")
            && open.take() == Some(ended)
        {
            all.push(ended.to_owned());
        }
    }
    all
}

/// The rules of a signer's name: a domain of two labels or more, and a name in it.
pub(super) fn signer_name(out: &mut Causes, at: &Place<'_>) {
    let text = at.as_text();
    if text.is_empty() {
        out.push(Cause::required(&at.path, ""));
        return;
    }
    let (domain, name) = match text.split_once('/') {
        Some((domain, name)) if !name.contains('/') => (domain, name),
        _ => {
            let message = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            out.push(Cause::invalid(&at.path, at.value, message));
            return;
        }
    };
    if domain.len() > names::SUBDOMAIN_MAX {
        out.push(Cause::too_long(&at.path, names::SUBDOMAIN_MAX));
    }
    labels(out, &at.path, domain, names::dns_label);
    if !domain.contains('.') {
        let message = "should be a domain with at least two segments separated by dots";
        out.push(Cause::invalid(&at.path, &Value::from(domain), message));
    }
    labels(out, &at.path, name, names::dns_subdomain);
}

/// Tells of the first label that is wrong.
fn labels(out: &mut Causes, path: &str, text: &str, rule: fn(&str) -> Vec<String>) {
    let wrong = text.split('.').map(|label| (label, rule(label))).find(|(_, wrong)| !wrong.is_empty());
    if let Some((label, wrong)) = wrong {
        let told = wrong.iter().map(|message| format!("validating label {label:?}: {message}")).collect();
        invalid_all(out, path, text, told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(kind: &str, end: &str) -> String {
        STANDARD.encode(format!("text before\n-----BEGIN {kind}-----\nYQ==\n-----END {end}-----\n"))
    }

    #[test]
    fn pem_is_told_by_its_blocks() {
        assert!(is_request(&pem("CERTIFICATE REQUEST", "CERTIFICATE REQUEST")));
        for other in [
            String::new(),
            "YQ==".to_owned(),
            "no base64!".to_owned(),
            pem("CERTIFICATE", "CERTIFICATE"),
            pem("CERTIFICATE REQUEST", "CERTIFICATE"),
        ] {
            assert!(!is_request(&other), "{other}");
        }
        assert_eq!(certificates(""), Ok(()));
        assert_eq!(certificates(&pem("CERTIFICATE", "CERTIFICATE")), Ok(()));
        assert!(certificates("YQ==").is_err_and(|why| why.starts_with("must contain")));
        let key = pem("PRIVATE KEY", "PRIVATE KEY");
        assert!(certificates(&key).is_err_and(|why| why.ends_with("found \"PRIVATE KEY\"")));
    }

    #[test]
    fn signers_are_names_in_a_domain() {
        for (name, wrong) in [
            ("example.com/a", vec![]),
            ("example.com/a.b", vec![]),
            ("", vec!["Required value"]),
            ("example.com", vec!["must be a fully qualified domain"]),
            ("example.com/a/b", vec!["must be a fully qualified domain"]),
            ("example/a", vec!["should be a domain with at least two segments"]),
            ("Example.com/a", vec!["\"Example.com\": validating label \"Example\": a lowercase"]),
            ("example.com/A", vec!["\"A\": validating label \"A\": a lowercase"]),
        ] {
            let (mut out, value) = (Vec::new(), Value::from(name));
            signer_name(&mut out, &Place::new("at", &value));
            assert_eq!(out.len(), wrong.len(), "{name}: {out:?}");
            for (cause, part) in out.iter().zip(wrong) {
                assert!(cause.to_string().contains(part), "{cause}");
            }
        }
    }
}
