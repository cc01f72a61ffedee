//! Names in super clusters.
//!
//! Guarantees: the super namespace of a tenant's namespace follows from the tenant's name and UID and the
//! namespace's name alone; it is a DNS label; two tenant namespaces have the same only if 65 bits of SHA-256 agree,
//! and then ownership (the label `insula.dev/tenant-uid`) stops the second. It is reversed through labels and
//! annotations, never by taking the name apart. Objects keep their names, but for the reserved ones below.

use crate::kinds::Kind;
use api_types::TenantId;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The longest DNS label (RFC 1123).
const LABEL_MAX: usize = 63;
/// Characters of the hash: 13 of 5 bits.
const HASH_LENGTH: usize = 13;
/// Names of ours in super namespaces begin so; tenants' objects with such names are refused.
const RESERVED: &str = "insula-sync-";
/// The NetworkPolicy of every super namespace.
pub const ISOLATION: &str = "insula-sync-isolation";
/// The NetworkPolicy of every super namespace for the pods that no policy of the tenant closes to what comes in.
pub const OPEN_INGRESS: &str = "insula-sync-open-ingress";
/// The same for what goes out.
pub const OPEN_EGRESS: &str = "insula-sync-open-egress";
/// Names of policies begin so that open the ports of published Services.
const PUBLISHED: &str = "insula-sync-published-";
/// Names of volumes begin so, and end with the UID of their claim, as provisioners have it.
pub const VOLUME: &str = "pvc-";
/// The ConfigMap that every Kubernetes writes into every namespace. The super cluster's own stands in its place.
const ROOT_CA: &str = "kube-root-ca.crt";
/// What the tenant's own is called in the super namespace.
const TENANT_ROOT_CA: &str = "insula-sync-root-ca.crt";

/// The super namespace of a tenant's namespace: `<tenant>-<namespace>-<hash>`, the readable part cut to fit.
pub fn super_namespace(tenant_name: &str, tenant: TenantId, namespace: &str) -> String {
    let mut readable = format!("{tenant_name}-{namespace}");
    readable.truncate(LABEL_MAX - HASH_LENGTH - 1);
    let hash = hash(&[tenant.uuid().as_bytes(), namespace.as_bytes()]);
    format!("{}-{hash}", readable.trim_end_matches('-'))
}

/// The name of an object in the super namespace; `None` when the tenant's name for it is reserved.
pub fn super_name(kind: Kind, name: &str) -> Option<String> {
    match kind {
        Kind::ConfigMap if name == ROOT_CA => Some(TENANT_ROOT_CA.to_owned()),
        _ if name.starts_with(RESERVED) => None,
        _ => Some(name.to_owned()),
    }
}

/// True for names of what the syncer makes for itself.
pub fn is_reserved(name: &str) -> bool {
    name.starts_with(RESERVED)
}

/// True for what may be a super namespace's name, by its form.
pub fn may_be_super_namespace(word: &str) -> bool {
    let hash = word.rsplit_once('-').map_or("", |(_, hash)| hash);
    hash.len() == HASH_LENGTH && hash.bytes().all(|c| matches!(c, b'a'..=b'z' | b'2'..=b'7'))
}

/// The Secret in the super namespace with the service account tokens of a pod.
pub fn token_secret(pod_uid: &str) -> String {
    format!("{RESERVED}token-{}", hash(&[pod_uid.as_bytes()]))
}

/// The NetworkPolicy in the super namespace that opens the ports of a published Service.
pub fn published(service: &str) -> String {
    format!("{PUBLISHED}{service}")
}

/// True for the name of such a policy.
pub fn is_published(policy: &str) -> bool {
    policy.starts_with(PUBLISHED)
}

/// The NetworkPolicy that lets through a published Service what a tenant's policy allows.
pub fn through(policy: &str, service: &str) -> String {
    format!("{RESERVED}through-{}", hash(&[policy.as_bytes(), service.as_bytes()]))
}

/// The volume of a tenant's claim, in the tenant.
pub fn volume(claim_uid: &str) -> String {
    format!("{VOLUME}{claim_uid}")
}

/// True for the name of a pod's token Secret.
pub fn is_token_secret(name: &str) -> bool {
    name.strip_prefix(RESERVED).is_some_and(|rest| rest.starts_with("token-"))
}

/// 65 bits of SHA-256 over the parts, in the lower-case alphabet that DNS labels allow.
fn hash(parts: &[&[u8]]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    let digest = sha.finalize();
    let mut out = String::with_capacity(HASH_LENGTH);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in digest {
        bits = (bits << 8) | u32::from(byte);
        held += 8;
        while held >= 5 && out.len() < HASH_LENGTH {
            held -= 5;
            let index = (bits >> held) & 31;
            out.push(char::from(b"abcdefghijklmnopqrstuvwxyz234567"[index as usize]));
        }
        bits &= (1 << held) - 1;
        if out.len() == HASH_LENGTH {
            break;
        }
    }
    out
}

/// A short text that changes when the content does: for names of events and for comparing what is written.
pub fn digest(content: &[u8]) -> String {
    let mut out = String::with_capacity(16);
    for byte in &Sha256::digest(content)[..8] {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn dns_label(max: usize) -> impl Strategy<Value = String> {
        proptest::string::string_regex(&format!("[a-z0-9]([a-z0-9-]{{0,{}}}[a-z0-9])?", max - 2)).unwrap()
    }

    fn is_label(text: &str) -> bool {
        let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        text.len() <= LABEL_MAX
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && ends_well(text.chars().next())
            && ends_well(text.chars().last())
    }

    proptest! {
        #[test]
        fn super_namespaces_are_labels_and_stay(tenant in dns_label(40), namespace in dns_label(63), uid: u128) {
            let id = TenantId::new(Uuid::from_u128(uid));
            let name = super_namespace(&tenant, id, &namespace);
            prop_assert!(is_label(&name), "{name}");
            prop_assert!(may_be_super_namespace(&name), "{name}");
            prop_assert_eq!(&name, &super_namespace(&tenant, id, &namespace));
        }

        #[test]
        fn different_namespaces_or_tenants_never_share(
            a in (dns_label(40), dns_label(63), 1_u128..5), b in (dns_label(40), dns_label(63), 1_u128..5),
        ) {
            prop_assume!((&a.1, a.2) != (&b.1, b.2));
            let name = |t: &(String, String, u128)| super_namespace(&t.0, TenantId::new(Uuid::from_u128(t.2)), &t.1);
            prop_assert_ne!(name(&a), name(&b));
        }
    }

    #[test]
    fn where_the_border_lies_does_not_matter() {
        let id = TenantId::new(Uuid::from_u128(7));
        assert_ne!(super_namespace("a", id, "b-c"), super_namespace("a-b", id, "c"));
        assert!(super_namespace("acme", id, "shop").starts_with("acme-shop-"));
    }

    #[test]
    fn names_are_kept_but_for_reserved_ones() {
        for (kind, name, expected) in [
            (Kind::ConfigMap, "app", Some("app")),
            (Kind::ConfigMap, ROOT_CA, Some(TENANT_ROOT_CA)),
            (Kind::Secret, ROOT_CA, Some(ROOT_CA)),
            (Kind::ConfigMap, TENANT_ROOT_CA, None),
            (Kind::Secret, "insula-sync-token-x", None),
        ] {
            assert_eq!(super_name(kind, name).as_deref(), expected, "{kind:?} {name}");
        }
        assert!(is_token_secret(&token_secret("u")) && !is_token_secret("token-u"));
        assert_ne!(token_secret("u"), token_secret("v"));
    }
}
