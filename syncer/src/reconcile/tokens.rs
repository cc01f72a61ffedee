//! The Secrets with pods' service account tokens: asked for in the tenant, rotated, short-lived.

use crate::kinds::Kind;
use crate::names;
use crate::pods::fields::service_account;
use crate::pods::volumes::TokenWanted;
use crate::secrets::{of_tokens, rotate_at, rotation};
use crate::translation::meta_text;
use crate::work::{ACTOR, Work};
use api_types::{ApiError, Resource};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use plane_client::{Patch, Target, Write};
use serde_json::{Value, json};
use std::time::Duration;

const SERVICE_ACCOUNTS: Resource = Resource::new("", "v1", "serviceaccounts");

/// Makes sure that a pod's token Secret is there and fresh. After how long to look again; `None` when the pod wants
/// no token.
pub async fn ensure(
    work: &Work,
    pod: &Value,
    super_namespace: &str,
    wanted: &[TokenWanted],
) -> Result<Option<Duration>, ApiError> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let name = names::token_secret(meta_text(pod, "uid"));
    let known = work.cluster.cache.get(Kind::Secret, super_namespace, &name);
    let now = Timestamp::now().as_second();
    if let Some(known) = &known {
        let due = rotate_at(&known.value()?);
        if due > now {
            return Ok(Some(seconds(due - now)));
        }
    }
    let mut tokens = Vec::with_capacity(wanted.len());
    let mut due = i64::MAX;
    for token in wanted {
        let (text, expires) = request(work, pod, token, now).await?;
        due = due.min(rotation(now, expires));
        tokens.push((token.key.clone(), STANDARD.encode(&text)));
    }
    let namespace = meta_text(pod, "namespace");
    let secret = of_tokens(work.place(namespace, super_namespace), pod, &tokens, due);
    match known {
        None => match work.create(Kind::Secret, &secret).await {
            Err(error) if !error.is_already_exists() => return Err(error),
            _ => {}
        },
        Some(known) => {
            let patch = json!({"metadata": {"annotations": secret["metadata"]["annotations"]}, "data": secret["data"]});
            work.patch(&known, "", Patch::Merge(patch)).await?;
        }
    }
    Ok(Some(seconds(due - now)))
}

/// Removes a pod's token Secret.
pub async fn remove(work: &Work, pod_uid: &str, super_namespace: &str) -> Result<(), ApiError> {
    let name = names::token_secret(pod_uid);
    match work.cluster.cache.get(Kind::Secret, super_namespace, &name) {
        Some(known) if !known.deleting => work.delete(&known, None).await,
        _ => Ok(()),
    }
}

/// One token, bound to the pod (KEP-1205), and when it expires.
async fn request(work: &Work, pod: &Value, token: &TokenWanted, now: i64) -> Result<(String, i64), ApiError> {
    let audiences: Vec<&str> = if token.audience.is_empty() { Vec::new() } else { vec![&token.audience] };
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": audiences,
            "expirationSeconds": token.expiration,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"]},
        },
    });
    let (namespace, account) = (meta_text(pod, "namespace"), service_account(pod));
    let target = Target::new(work.tenant.id, &SERVICE_ACCOUNTS, namespace, account).subresource("token");
    let answer = work.client.write(&ACTOR, &target, Write::Create(body)).await?.value()?;
    let status = &answer["status"];
    let Some(text) = status["token"].as_str() else {
        return Err(ApiError::internal("a token request was answered without a token"));
    };
    let expires = status["expirationTimestamp"].as_str().and_then(|t| t.parse::<Timestamp>().ok());
    Ok((text.to_owned(), expires.map_or(now + token.expiration, Timestamp::as_second)))
}

fn seconds(n: i64) -> Duration {
    Duration::from_secs(u64::try_from(n).unwrap_or(0).max(1))
}
