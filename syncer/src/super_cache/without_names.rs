//! Texts of a super cluster without the names of its namespaces: an Ingress controller, say, tells in whose namespace a
//! host is already.

use super::SuperCache;
use crate::kinds::Kind;
use crate::names;
use api_types::TenantId;

/// In place of another tenant's namespace.
const ANOTHER: &str = "another-namespace";

impl SuperCache {
    /// The text with the tenant's own namespaces and volumes by the tenant's names for them, and others' namespaces by none.
    pub fn without_names(&self, tenant: TenantId, text: &str) -> String {
        let is_of_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_of_word) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c| !is_of_word(c)).unwrap_or(from.len()));
            out.push_str(before);
            match self.namespace_named(word) {
                Some((owner, own)) if owner == tenant => out.push_str(&own),
                Some(_) => out.push_str(ANOTHER),
                None => out.push_str(self.volume_named(tenant, word).as_deref().unwrap_or(word)),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// The tenant's name of the volume that a provisioner of the super cluster made for the tenant's claim.
    fn volume_named(&self, tenant: TenantId, word: &str) -> Option<String> {
        let uid = word.strip_prefix(names::VOLUME)?;
        let claims = self.of_tenant(Kind::Claim, tenant);
        let claim = claims.iter().find(|claim| claim.uid == uid)?;
        Some(names::volume(&claim.identity.as_ref()?.uid))
    }

    /// Whose super namespace has this name, and what it is called there.
    fn namespace_named(&self, word: &str) -> Option<(TenantId, String)> {
        let known = names::may_be_super_namespace(word).then(|| self.get(Kind::Namespace, "", word))??;
        let identity = known.identity.as_ref()?;
        Some((identity.tenant, identity.name.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership;
    use crate::tenants::TenantView;
    use serde_json::json;

    #[test]
    fn no_tenant_reads_where_another_is() {
        let (acme, globex) = (TenantView::for_tests("acme", 7), TenantView::for_tests("globex", 8));
        let cache = SuperCache::default();
        let made = |tenant: &TenantView| {
            let name = tenant.super_namespace("shop");
            let own = json!({"metadata": {"name": "shop", "uid": "u"}});
            cache.apply(Kind::Namespace, json!({"metadata": ownership::downward(tenant, "", &name, &own)}));
            name
        };
        let (own, other) = (made(&acme), made(&globex));
        // A claim of acme, and the volumes that were made for it and for somebody else.
        let claim = json!({"metadata": {"name": "data", "uid": "u1"}});
        let mut below = ownership::downward(&acme, "shop", "data", &claim);
        below["uid"] = json!("0d99-2");
        below["namespace"] = json!(own);
        cache.apply(Kind::Claim, json!({"metadata": below}));
        let unknown = names::super_namespace("initech", globex.id, "x");
        for (text, expected) in [
            (
                format!("host \"a.b\" is in ingress {other}/web"),
                "host \"a.b\" is in ingress another-namespace/web",
            ),
            (format!("{own}: no"), "shop: no"),
            (format!("({other}.svc,{own}_1)ä"), "(another-namespace.svc,shop_1)ä"),
            (format!("web-{other}"), &format!("web-{other}")),
            ("attached \"pvc-0d99-2\", pvc-0d99-3".to_owned(), "attached \"pvc-u1\", pvc-0d99-3"),
            (unknown.clone(), &unknown),
            (String::new(), ""),
        ] {
            assert_eq!(cache.without_names(acme.id, &text), expected);
        }
    }
}
