//! The rules of what a security context says for Windows alone.

use super::place::{Causes, Place};
use crate::names;
use api_types::Cause;
use serde_json::Value;

const MAX_CREDENTIALS: usize = 64 * 1024;
const DOMAIN_LIMIT: usize = 256;
const MAX_USER: usize = 104;
const NOT_IN_USERS: &str = "\"/\\:;|=,+*?<>@[]";
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The rules of `windowsOptions`, of a pod or of a container.
pub(super) fn options(out: &mut Causes, context: &Place<'_>) {
    let Some(options) = context.present("windowsOptions") else { return };
    if let Some(name) = options.present("gmsaCredentialSpecName") {
        super::place::invalid_all(out, &name.path, name.as_text(), names::dns_subdomain(name.as_text()));
    }
    if let Some(credentials) = options.present("gmsaCredentialSpec") {
        let why = match credentials.as_text().len() {
            0 => "gmsaCredentialSpec cannot be an empty string",
            1..=MAX_CREDENTIALS => "",
            _ => "gmsaCredentialSpec size must be under 64 KiB",
        };
        if !why.is_empty() {
            out.push(Cause::invalid(credentials.path, credentials.value, why));
        }
    }
    if let Some(name) = options.present("runAsUserName") {
        let wrong = user_name(name.as_text());
        out.extend(wrong.iter().map(|why| Cause::invalid(&name.path, name.value, why)));
    }
}

/// What is wrong with `[DOMAIN\]USER`.
fn user_name(name: &str) -> Vec<String> {
    let one = |why: &str| vec![why.to_owned()];
    if name.is_empty() {
        return one("runAsUserName cannot be an empty string");
    }
    if name.bytes().any(|b| b.is_ascii_control()) {
        return one("runAsUserName cannot contain control characters");
    }
    let (domain, user) = match name.split_once('\\') {
        Some((_, user)) if user.contains('\\') => {
            return one("runAsUserName cannot contain more than one backslash");
        }
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    let blank = !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' '));
    [
        (
            domain.is_some_and(|domain| domain.len() >= DOMAIN_LIMIT),
            "runAsUserName's Domain length must be under 256 characters",
        ),
        (
            domain.is_some_and(|domain| !is_domain(domain)),
            "runAsUserName's Domain doesn't match the NetBios nor the DNS format",
        ),
        (user.is_empty(), "runAsUserName's User cannot be empty"),
        (user.len() > MAX_USER, "runAsUserName's User length must not be longer than 104 characters"),
        (blank, "runAsUserName's User cannot contain only periods or spaces"),
        (
            user.contains(|c| NOT_IN_USERS.contains(c)),
            "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]",
        ),
    ]
    .into_iter()
    .filter(|(wrong, _)| *wrong)
    .map(|(_, why)| why.to_owned())
    .collect()
}

/// A NetBIOS name, or labels with dots between them in which letters may be of both cases.
fn is_domain(domain: &str) -> bool {
    let net_bios = !domain.starts_with('.')
        && (1..=15).contains(&domain.chars().count())
        && !domain.contains(|c| "\\/:*?\"<>|".contains(c));
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let label = |label: &str| {
        let bytes = label.as_bytes();
        edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    };
    net_bios || domain.split('.').all(label)
}

/// Containers that are processes of the host: all of a pod or none, and on its network.
pub(super) fn host_process(out: &mut Causes, spec: &Place<'_>) {
    let of = |at: &Place<'_>| at.value["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let pod = of(spec);
    let (mut all, mut on_host) = (0, 0);
    for container in CONTAINERS.iter().flat_map(|list| spec.list(list)) {
        let own = of(&container);
        all += 1;
        if let (Some(pod), Some(own)) = (pod, own)
            && pod != own
        {
            out.push(Cause::invalid(
                container.of("securityContext.windowsOptions.hostProcess"),
                &Value::from(own),
                &format!("pod hostProcess value must be identical if both are specified, was {pod}"),
            ));
        }
        on_host += usize::from(own.or(pod) == Some(true));
    }
    if on_host == 0 {
        return;
    }
    if on_host != all {
        out.push(Cause::invalid(
            &spec.path,
            &Value::from(""),
            "If pod contains any hostProcess containers then all containers must be HostProcess containers",
        ));
    }
    if !spec.flag("hostNetwork") {
        out.push(Cause::invalid(
            spec.of("hostNetwork"),
            &Value::from(false),
            "hostNetwork must be true if pod contains any hostProcess containers",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn users_have_a_name_and_perhaps_a_domain() {
        for (name, wrong) in [
            ("user", 0),
            ("NT AUTHORITY\\Local", 0),
            ("corp.Example-1.com\\user name", 0),
            ("a.domain.that-is_odd.example\\u", 1),
            ("", 1),
            ("a\\b\\c", 1),
            ("a\u{7}", 1),
            ("\\u", 1),
            ("D\\", 1),
            (". .", 1),
            ("u@d", 1),
        ] {
            assert_eq!(user_name(name).len(), wrong, "{name:?}: {:?}", user_name(name));
        }
        assert_eq!(user_name(&"u".repeat(105)).len(), 1);
        assert_eq!(user_name(&format!("{}\\u", "d".repeat(256))).len(), 1);
    }

    #[test]
    fn all_containers_are_processes_of_the_host_or_none() {
        let container = |own: Value| json!({"securityContext": {"windowsOptions": {"hostProcess": own}}});
        for (pod, containers, network, wrong) in [
            (json!(null), json!([container(json!(null))]), false, 0),
            (json!(true), json!([container(json!(null))]), true, 0),
            (json!(true), json!([container(json!(null))]), false, 1),
            (json!(null), json!([container(json!(true)), container(json!(null))]), true, 1),
            (json!(true), json!([container(json!(false))]), true, 1),
        ] {
            let spec = json!({"hostNetwork": network, "containers": containers,
                "securityContext": {"windowsOptions": {"hostProcess": pod}}});
            let mut out = Vec::new();
            host_process(&mut out, &Place::new("spec", &spec));
            assert_eq!(out.len(), wrong, "{spec} {out:?}");
        }
    }
}
