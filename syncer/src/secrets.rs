//! Secrets, downward only, and the Secrets with pods' service account tokens.

use crate::kinds::Kind;
use crate::names;
use crate::ownership;
use crate::super_cache::content_digest;
use crate::translation::{Place, Refusal, meta_text};
use serde_json::{Map, Value, json};

/// Types that a controller of the super cluster would act on, or that only the tenant's own API server gives
/// sense to. Their content goes down as opaque.
const OPAQUE_THERE: &[&str] = &["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

/// A tenant's Secret as the super cluster gets it.
pub fn downward(place: Place<'_>, object: &Value) -> Result<Value, Refusal> {
    let name = place.super_name(Kind::Secret, meta_text(object, "name"))?;
    let kind = object["type"].as_str().filter(|t| !OPAQUE_THERE.contains(t)).unwrap_or("Opaque");
    let mut out = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": ownership::downward(place.tenant, place.super_namespace, &name, object),
        "type": kind,
    });
    for field in ["data", "immutable"] {
        if let Some(value) = object.get(field).filter(|v| !v.is_null()) {
            out[field] = value.clone();
        }
    }
    Ok(out)
}

/// Annotation: when the tokens of a pod's Secret are to be made anew, in seconds since 1970.
pub const ROTATE_AT: &str = "insula.dev/rotate-at";
/// How the keys of tokens begin.
pub const TOKEN_KEY: &str = "token-";
/// Annotation: the digest of the tokens. Secrets of before it have none.
const CONTENT: &str = "insula.dev/content";

/// The Secret with a pod's tokens: for each key the token, in base64.
pub fn of_tokens(place: Place<'_>, pod: &Value, tokens: &[(String, String)], rotate_at: i64) -> Value {
    let bare = json!({"metadata": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"],
        "uid": pod["metadata"]["uid"]}});
    let name = names::token_secret(meta_text(pod, "uid"));
    let mut metadata = ownership::downward(place.tenant, place.super_namespace, &name, &bare);
    metadata["annotations"][ROTATE_AT] = json!(rotate_at.to_string());
    let data: Map<String, Value> = tokens.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    metadata["annotations"][CONTENT] = json!(content_digest(&json!({"data": data})));
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data})
}

/// What is remembered of a pod's token Secret: when it is to be made anew. Nothing when its content is not ours, so that it
/// is made anew at once.
pub fn remembered(secret: &Value) -> Value {
    let annotations = &secret["metadata"]["annotations"];
    // Keys that others add are theirs: a patch would not take them away.
    let data = secret["data"].as_object().into_iter().flatten();
    let own: Map<String, Value> = data
        .filter(|(key, _)| key.starts_with(TOKEN_KEY))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let digest = || content_digest(&json!({"data": own}));
    let is_ours = annotations[CONTENT].as_str().is_none_or(|ours| ours == digest());
    match is_ours {
        true => json!({"metadata": {"annotations": {ROTATE_AT: annotations[ROTATE_AT]}}}),
        false => json!({}),
    }
}

/// When the tokens of a Secret are to be made anew; 0 when it does not say.
pub fn rotate_at(secret: &Value) -> i64 {
    secret["metadata"]["annotations"][ROTATE_AT].as_str().and_then(|t| t.parse().ok()).unwrap_or(0)
}

/// When a token is to be made anew: after 80 % of its life, and after a day at the latest, as a kubelet does.
pub fn rotation(issued: i64, expires: i64) -> i64 {
    issued + ((expires - issued) * 4 / 5).min(24 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::TenantView;
    use crate::translation::tests::shop;

    #[test]
    fn types_that_mean_something_to_the_super_cluster_become_opaque() {
        let tenant = TenantView::for_tests("acme", 7);
        for (kind, expected) in [
            (json!("kubernetes.io/tls"), "kubernetes.io/tls"),
            (json!("kubernetes.io/service-account-token"), "Opaque"),
            (json!(null), "Opaque"),
        ] {
            let object =
                json!({"metadata": {"name": "s", "namespace": "shop"}, "type": kind, "data": {"k": "dg=="}});
            let down = downward(shop(&tenant), &object).unwrap();
            assert_eq!((&down["type"], &down["data"]["k"]), (&json!(expected), &json!("dg==")));
        }
    }

    #[test]
    fn tokens_are_renewed_before_they_expire() {
        for (issued, expires, expected) in [(0, 3600, 2880), (100, 700, 580), (0, 10_000_000, 86_400)] {
            assert_eq!(rotation(issued, expires), expected);
        }
        let tenant = TenantView::for_tests("acme", 7);
        let pod =
            json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u1", "labels": {"app": "x"}}});
        let secret = of_tokens(shop(&tenant), &pod, &[("token-0".into(), "dA==".into())], 5);
        assert_eq!((rotate_at(&secret), rotate_at(&remembered(&secret))), (5, 5));
        let mut other = secret.clone();
        other["data"]["extra"] = json!("eA==");
        assert_eq!(rotate_at(&remembered(&other)), 5, "somebody added something");
        other["data"]["token-0"] = json!("eA==");
        assert_eq!(rotate_at(&remembered(&other)), 0, "somebody changed it");
        other["metadata"]["annotations"].as_object_mut().unwrap().remove(CONTENT);
        assert_eq!(rotate_at(&remembered(&other)), 5, "a former version made it");
        assert!(names::is_token_secret(meta_text(&secret, "name")));
        assert!(secret["metadata"]["labels"].get("app").is_none());
    }
}
