//! What the built-in signers sign, in the words of Kubernetes.

use super::request::Asked;
use super::{CLIENT, KUBELET_CLIENT, KUBELET_SERVING};
use std::collections::BTreeSet;

const NODES: &str = "system:nodes";
const NODE: &str = "system:node:";

/// What a signer asks of a request and its usages.
type Rule = fn(&Asked, &[&str]) -> Result<(), String>;

const RULES: &[(&str, Rule)] =
    &[(CLIENT, client), (KUBELET_CLIENT, kubelet_client), (KUBELET_SERVING, kubelet_serving)];

/// Whether a signer signs a request; `None`: it is no signer of ours.
pub(super) fn check(signer: &str, asked: &Asked, usages: &[&str]) -> Option<Result<(), String>> {
    let (_, rule) = RULES.iter().find(|(name, _)| *name == signer)?;
    Some(rule(asked, usages))
}

/// True for signers that have a rule.
pub(super) fn is_ours(signer: &str) -> bool {
    RULES.iter().any(|(name, _)| *name == signer)
}

fn client(_: &Asked, usages: &[&str]) -> Result<(), String> {
    let optional = ["digital signature", "key encipherment"];
    if let Some(other) = usages.iter().find(|usage| **usage != "client auth" && !optional.contains(usage)) {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    if usages.contains(&"client auth") {
        return Ok(());
    }
    Err("missing required usage for client certificate: client auth".to_owned())
}

fn kubelet_client(asked: &Asked, usages: &[&str]) -> Result<(), String> {
    of_nodes(asked)?;
    let names = [
        (asked.hosts, "DNS subjectAltNames are not allowed"),
        (asked.mails, "Email subjectAltNames are not allowed"),
        (asked.addresses, "IP subjectAltNames are not allowed"),
        (asked.uris, "URI subjectAltNames are not allowed"),
    ];
    if let Some((_, why)) = names.iter().find(|(count, _)| *count > 0) {
        return Err((*why).to_owned());
    }
    of_a_node(asked)?;
    for_only("client auth", usages)
}

fn kubelet_serving(asked: &Asked, usages: &[&str]) -> Result<(), String> {
    of_nodes(asked)?;
    if asked.hosts + asked.addresses == 0 {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    if asked.mails > 0 {
        return Err("Email subjectAltNames are not allowed".to_owned());
    }
    if asked.uris > 0 {
        return Err("URI subjectAltNames are not allowed".to_owned());
    }
    for_only("server auth", usages)?;
    of_a_node(asked)
}

fn of_nodes(asked: &Asked) -> Result<(), String> {
    if asked.organizations == [NODES] {
        return Ok(());
    }
    Err(format!("subject organization is not {NODES}"))
}

fn of_a_node(asked: &Asked) -> Result<(), String> {
    if asked.common_name.starts_with(NODE) {
        return Ok(());
    }
    Err(format!("subject common name does not begin with {NODE}"))
}

/// Usages are those of a TLS connection; only RSA keys need to encipher.
fn for_only(purpose: &str, usages: &[&str]) -> Result<(), String> {
    let said: BTreeSet<&str> = usages.iter().copied().collect();
    let mut wanted = BTreeSet::from([purpose, "digital signature"]);
    if said == wanted {
        return Ok(());
    }
    wanted.insert("key encipherment");
    if said == wanted {
        return Ok(());
    }
    let wanted: Vec<&str> = wanted.into_iter().collect();
    Err(format!("usages did not match [{}]", wanted.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Asked {
        Asked { common_name: "system:node:a".into(), organizations: vec![NODES.into()], ..Asked::default() }
    }

    #[test]
    fn signers_sign_what_they_are_for() {
        let signs = "digital signature";
        let user = || Asked { common_name: "ann".into(), ..Asked::default() };
        let of = |organizations: &[&str]| Asked {
            organizations: organizations.iter().map(|&o| o.to_owned()).collect(),
            ..node()
        };
        let client_usages: &[&str] = &["client auth", signs];
        let serving: &[&str] = &["key encipherment", signs, "server auth"];
        for (signer, asked, usages, expected) in [
            (CLIENT, user(), &["client auth"][..], Ok(())),
            (CLIENT, user(), &[signs, "key encipherment", "client auth"], Ok(())),
            (CLIENT, user(), &[signs], Err("missing required usage for client certificate: client auth")),
            (CLIENT, user(), &["client auth", "any"], Err("invalid usage for client certificate: any")),
            (KUBELET_CLIENT, node(), client_usages, Ok(())),
            (KUBELET_CLIENT, node(), &["key encipherment", "client auth", signs], Ok(())),
            (
                KUBELET_CLIENT,
                node(),
                &["client auth"],
                Err("usages did not match [client auth digital signature key encipherment]"),
            ),
            (KUBELET_CLIENT, of(&[]), client_usages, Err("subject organization is not system:nodes")),
            (
                KUBELET_CLIENT,
                of(&[NODES, "system:masters"]),
                client_usages,
                Err("subject organization is not system:nodes"),
            ),
            (
                KUBELET_CLIENT,
                Asked { common_name: "ann".into(), ..node() },
                client_usages,
                Err("subject common name does not begin with system:node:"),
            ),
            (
                KUBELET_CLIENT,
                Asked { hosts: 1, ..node() },
                client_usages,
                Err("DNS subjectAltNames are not allowed"),
            ),
            (
                KUBELET_CLIENT,
                Asked { uris: 1, ..node() },
                client_usages,
                Err("URI subjectAltNames are not allowed"),
            ),
            (KUBELET_SERVING, Asked { hosts: 1, ..node() }, serving, Ok(())),
            (KUBELET_SERVING, Asked { addresses: 1, ..node() }, &[signs, "server auth"], Ok(())),
            (KUBELET_SERVING, node(), serving, Err("DNS or IP subjectAltName is required")),
            (
                KUBELET_SERVING,
                Asked { hosts: 1, mails: 1, ..node() },
                serving,
                Err("Email subjectAltNames are not allowed"),
            ),
            (
                KUBELET_SERVING,
                Asked { hosts: 1, ..node() },
                client_usages,
                Err("usages did not match [digital signature key encipherment server auth]"),
            ),
        ] {
            assert_eq!(
                check(signer, &asked, usages),
                Some(expected.map_err(str::to_owned)),
                "{signer} {asked:?} {usages:?}"
            );
        }
        assert_eq!(check("example.com/mine", &user(), &["client auth"]), None);
        assert_eq!(check("kubernetes.io/legacy-unknown", &user(), &["client auth"]), None);
    }
}
