//! The name of a tenant's database, and of its role, on a server that many tenants share. Pure.
//!
//! Guarantees: deterministic; at most 63 bytes (PostgreSQL cuts longer names off, silently); two different databases never
//! have one name. In Kubernetes' names there is no underscore and no tilde, in a tenant's and a namespace's no dot, which
//! makes the three forms disjoint and each of them reversible but for the last, which is told apart by a hash:
//!
//! | form | when |
//! |---|---|
//! | `insula-<tenant>-<name>` | namespace `default`, and no dash in the tenant's name |
//! | `insula-<tenant>_<namespace>_<name>` | otherwise |
//! | `insula-<beginning>~<16 hex digits>` | when these are longer than 63 bytes |

use sha2::{Digest, Sha256};

/// PostgreSQL's `NAMEDATALEN` less one.
pub const MAX: usize = 63;

/// The external name of a database.
pub fn external_name(tenant: &str, namespace: &str, name: &str) -> String {
    let readable = if namespace == "default" && !tenant.contains('-') {
        format!("insula-{tenant}-{name}")
    } else {
        format!("insula-{tenant}_{namespace}_{name}")
    };
    if readable.len() <= MAX {
        return readable;
    }
    let mut hash = Sha256::new();
    for part in [tenant, namespace, name] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digits: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut end = MAX - 17;
    while !readable.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{digits}", &readable[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_readable_where_they_fit() {
        for (tenant, namespace, name, expected) in [
            ("acme", "default", "orders", "insula-acme-orders"),
            ("acme", "shop", "orders", "insula-acme_shop_orders"),
            ("acme-eu", "default", "orders", "insula-acme-eu_default_orders"),
            ("acme", "default", "orders.v2", "insula-acme-orders.v2"),
        ] {
            assert_eq!(external_name(tenant, namespace, name), expected);
        }
        let long = external_name("acme", "default", &"x".repeat(60));
        assert!(long.starts_with("insula-acme-xxx") && long.len() == MAX && long.contains('~'), "{long}");
    }

    #[test]
    fn what_could_be_confused_is_told_apart() {
        let same_text =
            [("a-b", "default", "c"), ("a", "default", "b-c"), ("a", "b", "c"), ("a", "default", "b.c")];
        let names: std::collections::BTreeSet<_> =
            same_text.iter().map(|(t, n, d)| external_name(t, n, d)).collect();
        assert_eq!(names.len(), same_text.len());
    }

    /// Few letters, so that clashes are likely where they are possible.
    fn label() -> impl Strategy<Value = String> {
        "[ab]([ab-]{0,4}[ab])?|[ab]{30,40}|default"
    }

    proptest! {
        #[test]
        fn different_databases_have_different_names(
            one in (label(), label(), label(), prop::bool::ANY),
            two in (label(), label(), label(), prop::bool::ANY),
        ) {
            let name = |(t, n, d, dot): &(String, String, String, bool)| {
                let d = if *dot { format!("{d}.{d}") } else { d.clone() };
                ((t.clone(), n.clone(), d.clone()), external_name(t, n, &d))
            };
            let ((key_one, name_one), (key_two, name_two)) = (name(&one), name(&two));
            prop_assert!(name_one.len() <= MAX);
            prop_assert_eq!(key_one == key_two, name_one == name_two);
        }
    }
}
