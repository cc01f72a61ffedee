//! Volumes on the way down: names of ConfigMaps, storage classes, the downward API, and service account tokens,
//! which come from a Secret of ours instead of the super cluster's own issuer.

use crate::kinds::Kind;
use crate::names;
use crate::pods::fields;
use crate::secrets::TOKEN_KEY;
use crate::translation::{Place, Refusal, list_mut, text};
use serde_json::{Value, json};

/// One service account token that a pod wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenWanted {
    /// The key in the pod's token Secret.
    pub key: String,
    /// The audience; empty for the tenant's API server.
    pub audience: String,
    /// Seconds, 600 at least.
    pub expiration: i64,
}

/// Kubernetes' default for projected tokens, in seconds.
const DEFAULT_EXPIRATION: i64 = 3600;

/// The claim of a volume that lives with its pod, as the tenant has it: its controller makes it.
pub fn own_claim(pod: &Value, volume: &Value) -> Option<String> {
    volume["ephemeral"].is_object().then(|| format!("{}-{}", text(pod, "name"), text(volume, "name")))
}

/// Translates `spec.volumes` in place. `pod` is the pod's metadata: its UID names the Secret for tokens.
pub fn downward(
    place: Place<'_>,
    spec: &mut Value,
    pod: &Value,
    tokens: &mut Vec<TokenWanted>,
) -> Result<(), Refusal> {
    let pod_uid = text(pod, "uid");
    for volume in list_mut(spec, "volumes").into_iter().flatten() {
        if let Some(claim) = own_claim(pod, volume) {
            *volume = json!({"name": text(volume, "name"), "persistentVolumeClaim": {"claimName": claim}});
        }
        let name = text(volume, "name").to_owned();
        named(place, Kind::ConfigMap, volume.get_mut("configMap"), "name")?;
        named(place, Kind::Secret, volume.get_mut("secret"), "secretName")?;
        named(place, Kind::Claim, volume.get_mut("persistentVolumeClaim"), "claimName")?;
        fields::downward_api(volume.get_mut("downwardAPI"));
        let sources = volume.get_mut("projected").and_then(|p| list_mut(p, "sources"));
        for source in sources.into_iter().flatten() {
            projected(place, source, &name, pod_uid, tokens)?;
        }
    }
    Ok(())
}

fn projected(
    place: Place<'_>,
    source: &mut Value,
    volume: &str,
    pod_uid: &str,
    tokens: &mut Vec<TokenWanted>,
) -> Result<(), Refusal> {
    for kind in ["clusterTrustBundle", "podCertificate"] {
        if source.get(kind).is_some_and(|v| !v.is_null()) {
            return Err(Refusal::new(
                "VolumeNotSupported",
                format!("volume {volume:?}: projected source {kind} is not supported on super clusters"),
            ));
        }
    }
    named(place, Kind::ConfigMap, source.get_mut("configMap"), "name")?;
    named(place, Kind::Secret, source.get_mut("secret"), "name")?;
    fields::downward_api(source.get_mut("downwardAPI"));
    if let Some(token) = source.get("serviceAccountToken").cloned() {
        let key = format!("{TOKEN_KEY}{}", tokens.len());
        *source = json!({"secret": {
            "name": names::token_secret(pod_uid),
            "items": [{"key": key, "path": token["path"]}],
        }});
        tokens.push(TokenWanted {
            key,
            audience: token["audience"].as_str().unwrap_or("").to_owned(),
            expiration: token["expirationSeconds"].as_i64().unwrap_or(DEFAULT_EXPIRATION),
        });
    }
    Ok(())
}

/// Translates the name of an object that a field of `holder` refers to.
pub fn named(place: Place<'_>, kind: Kind, holder: Option<&mut Value>, field: &str) -> Result<(), Refusal> {
    let Some(slot) = holder.and_then(|h| h.get_mut(field)) else { return Ok(()) };
    if let Some(name) = slot.as_str() {
        *slot = json!(place.super_name(kind, name)?);
    }
    Ok(())
}
