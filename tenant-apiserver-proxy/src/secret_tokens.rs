//! Tokens that are kept in Secrets of type `kubernetes.io/service-account-token`, and never expire.
//!
//! Guarantees: such a token is taken while its Secret is there and holds it, its account has the UID that it says, its
//! key is believed, and nobody marked it invalid. With a new key the Secret gets another token; the former one is taken
//! until its key's time is over, by its hash, which the Secret holds beside the new one.
//!
//! The claims are those of Kubernetes, and one more: every plane's tokens have the same issuer, so they say which
//! plane's they are.

use crate::authentication::User;
use crate::cache::feed::store_key;
use crate::cache::record::{self, Record};
use crate::in_process::InProcess;
use crate::plane_keys;
use crate::planes::Plane;
use crate::server::Server;
use crate::tokens::{self, TokenKey};
use api_types::labels::{FORMER_TOKEN, TOKEN_INVALID_SINCE, TOKEN_LAST_USED};
use api_types::{GroupResource, ResourceKey, Revision, TenantId};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use object_store::{Commit, CommitError, Space};
use parking_lot::Mutex;
use plane_client::{SigningError, TokenOrder, TokenSigner};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The issuer of all of them.
pub const ISSUER: &str = "kubernetes/serviceaccount";
/// Who writes the day.
const MANAGER: &str = "kube-apiserver";

/// What such a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    account: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    uid: String,
    sub: String,
    /// The path of the plane, empty for the host plane.
    #[serde(rename = "insula.dev/plane", default)]
    plane: String,
}

impl Claims {
    fn of(plane: &Plane, order: &TokenOrder) -> Self {
        Claims {
            iss: ISSUER.to_owned(),
            namespace: order.namespace.clone(),
            secret: order.secret.clone(),
            account: order.account.clone(),
            uid: order.uid.clone(),
            sub: format!("system:serviceaccount:{}:{}", order.namespace, order.account),
            plane: plane.path(),
        }
    }

    /// The claims agree with one another.
    fn is_sound(&self) -> bool {
        let named = [&self.namespace, &self.secret, &self.account, &self.uid];
        self.iss == ISSUER
            && named.iter().all(|name| !name.is_empty())
            && self.sub == format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }

    fn object(&self, resource: &str, name: &str) -> ResourceKey {
        ResourceKey::new(GroupResource::new("", resource), &self.namespace, name)
    }
}

/// A token whose signature has been verified.
#[derive(Clone, Debug)]
pub struct Kept {
    claims: Claims,
    /// The name of the key that signed it.
    pub key: String,
    digest: [u8; 32],
    /// What its Secret and its account said when they were read last: they are read again when one of them is written.
    seen: Arc<Mutex<Option<Seen>>>,
}

/// What a Secret and an account of certain revisions say of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    secret: Revision,
    account: Revision,
    /// The Secret holds the token.
    held: bool,
    /// The day on which it was last used, as the Secret says.
    last_used: String,
    /// Somebody marked it invalid.
    invalid: bool,
    /// The account refers to the Secret, as those that Kubernetes once made by itself.
    referred: bool,
}

/// What holds a token that is taken.
struct Holder {
    secret: Arc<Record>,
    seen: Seen,
}

/// What is to be said of a request beside its user.
#[derive(Debug, Default)]
pub struct Remarks {
    /// For the audit event.
    pub notes: Vec<(String, String)>,
    /// For the user.
    pub warning: Option<&'static str>,
}

impl Remarks {
    /// Of a token that should have been replaced.
    pub fn stale(&mut self, claims: &tokens::Claims, now: i64) {
        if let Some(after) = claims.bound.warnafter.filter(|after| (1..now).contains(after)) {
            let said = format!("subject: {}, seconds after warning threshold: {}", claims.sub, now - after);
            self.note("stale-token", said);
        }
    }

    fn note(&mut self, key: &str, value: impl Into<String>) {
        self.notes.push((format!("authentication.k8s.io/{key}"), value.into()));
    }
}

/// True for a token that says it is one of these.
pub fn is_one(token: &str) -> bool {
    tokens::unverified_issuer(token).is_some_and(|issuer| issuer == ISSUER)
}

/// The path of the plane that a token claims as its own, without verifying anything.
pub fn unverified_path(token: &str) -> Option<String> {
    tokens::unverified::<Claims>(token).map(|claims| claims.plane)
}

/// Verifies the signature of a token, and that its claims agree.
pub fn verify(server: &Server, plane: &Plane, token: &str, now: i64) -> Option<Kept> {
    let (keys, named) = (server.stored_token_keys(plane)?, tokens::named_key(token)?);
    let key = keys.1.standing(now).find(|key| key.id == named)?;
    let claims: Claims = key.key.verify_signature(token).ok()?;
    // Another plane has another key; the path may be that of a tenant which had the name before.
    let digest = Sha256::digest(token).into();
    claims.is_sound().then_some(Kept { claims, key: named, digest, seen: Arc::default() })
}

impl Kept {
    /// The account.
    pub fn user(&self) -> User {
        let groups = [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{}", self.claims.namespace),
        ];
        let user = User::authenticated(&self.claims.sub, groups);
        User { uid: self.claims.uid.clone(), ..user }
    }

    /// The objects that it stands on.
    pub fn grounds(&self) -> [ResourceKey; 2] {
        let claims = &self.claims;
        [claims.object("secrets", &claims.secret), claims.object("serviceaccounts", &claims.account)]
    }

    /// True while it is taken, but for its key.
    pub fn stands(&self, server: &Server, plane: &Plane) -> bool {
        self.holder(server, plane).is_ok_and(|holder| !holder.seen.invalid)
    }

    /// What holds it, or why nothing does, in Kubernetes' words.
    fn holder(&self, server: &Server, plane: &Plane) -> Result<Holder, String> {
        let Claims { namespace, account: name, uid, .. } = &self.claims;
        let [secret, account] = self.grounds();
        let find = |key: &ResourceKey| server.cache.get(plane.id, &key.resource, &key.object);
        let gone = || "Token has been invalidated".to_owned();
        let secret = find(&secret).filter(|secret| !secret.meta.deleting).ok_or_else(gone)?;
        let found = find(&account);
        let seen = self.seen(&secret, found.as_deref()).map_err(|_| gone())?;
        if !seen.held {
            return Err("Token does not match server's copy".to_owned());
        }
        let found = found.ok_or_else(|| format!("serviceaccounts {name:?} not found"))?;
        if found.meta.deleting {
            return Err(format!("ServiceAccount {namespace}/{name} has been deleted"));
        }
        if found.meta.uid != uid.as_str() {
            return Err(format!("ServiceAccount UID ({}) does not match claim ({uid})", found.meta.uid));
        }
        Ok(Holder { secret, seen })
    }

    /// What the two objects say of the token; they are decoded once for each of their revisions.
    fn seen(&self, secret: &Record, account: Option<&Record>) -> Result<Seen, record::RecordError> {
        let revisions = (secret.revision, account.map_or(Revision::ZERO, |account| account.revision));
        if let Some(seen) = self.seen.lock().as_ref().filter(|seen| (seen.secret, seen.account) == revisions)
        {
            return Ok(seen.clone());
        }
        let account = account.and_then(|account| account.value().ok()).unwrap_or_default();
        let seen = self.read(revisions, &secret.value()?, &account);
        *self.seen.lock() = Some(seen.clone());
        Ok(seen)
    }

    fn read(&self, revisions: (Revision, Revision), secret: &Value, account: &Value) -> Seen {
        let label = |label: &str| secret["metadata"]["labels"][label].as_str().unwrap_or("");
        let mut references = account["secrets"].as_array().into_iter().flatten();
        Seen {
            secret: revisions.0,
            account: revisions.1,
            held: self.is_held_by(secret),
            last_used: label(TOKEN_LAST_USED).to_owned(),
            invalid: !label(TOKEN_INVALID_SINCE).is_empty(),
            referred: references.any(|reference| reference["name"] == self.claims.secret.as_str()),
        }
    }

    fn is_held_by(&self, secret: &Value) -> bool {
        let held = secret["data"]["token"].as_str().and_then(|held| STANDARD.decode(held).ok());
        let hexadecimal = || self.digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        held.is_some_and(|held| Sha256::digest(held)[..] == self.digest)
            || secret["metadata"]["annotations"][FORMER_TOKEN]
                .as_str()
                .is_some_and(|former| former == hexadecimal())
    }

    /// Takes the token once: looks whether it is held, takes note of the day, and remarks on what holds it. Errors: why
    /// it is not taken.
    pub async fn take(&self, server: &Server, plane: &Plane, remarks: &mut Remarks) -> Result<(), String> {
        remarks.note("legacy-token", &self.claims.sub);
        let holder = self.holder(server, plane)?;
        let Claims { namespace, secret, account, .. } = &self.claims;
        record_use(server, plane, &holder).await;
        if holder.seen.invalid {
            remarks.note("legacy-token-invalidated", format!("{secret}/{namespace}"));
            return Err(format!(
                "the token in secret {namespace}/{secret} for service account {namespace}/{account} has been marked \
                 invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the \
                 '{TOKEN_INVALID_SINCE}' label from the secret to temporarily allow use of this token"
            ));
        }
        if holder.seen.referred {
            remarks.warning = Some(
                "Use tokens from the TokenRequest API or manually created secret-based tokens instead of \
                 auto-generated secret-based tokens.",
            );
        }
        let kind = if holder.seen.referred {
            "legacy-token-autogenerated-secret"
        } else {
            "legacy-token-manual-secret"
        };
        remarks.note(kind, secret);
        Ok(())
    }
}

impl Holder {
    /// The Secret with the day of its use; `None`: it says that already. The day of those who are ahead of us counts too.
    fn used(&self, now: Timestamp) -> Option<Value> {
        let tomorrow = now.checked_add(jiff::SignedDuration::from_hours(24)).ok()?;
        let [today, tomorrow] = [now, tomorrow].map(|at| at.strftime("%Y-%m-%d").to_string());
        if [&today, &tomorrow].iter().any(|day| self.seen.last_used == day.as_str()) {
            return None;
        }
        let old = self.secret.value().ok()?;
        let mut object = old.clone();
        object["metadata"]["labels"][TOKEN_LAST_USED] = today.into();
        let writer = api_schema::managed_fields::Writer {
            manager: MANAGER,
            api_version: "v1",
            kind: "Secret",
            subresource: "",
            reset: &[],
            now,
            versions: None,
        };
        let kind = api_schema::builtin::kind("", "v1", "Secret")?;
        let root = api_schema::builtin::graph().at(kind);
        api_schema::managed_fields::update(root, Some(&old), &mut object, &writer);
        Some(object)
    }
}

/// Takes note of the day on which a token was used. No webhook is asked: theirs may be the very request.
async fn record_use(server: &Server, plane: &Plane, holder: &Holder) {
    let now = Timestamp::now();
    let Some(object) = holder.used(now) else { return };
    let secret = &holder.secret;
    let key = ResourceKey { resource: GroupResource::new("", "secrets"), object: secret.name.clone() };
    let (space, key) = (Space::new(plane.id), store_key(&key));
    let stored = record::encode(&object, secret.meta.fields.clone(), secret.schema);
    let commit = Commit {
        preconditions: vec![space.expect(key.clone(), secret.expected())],
        operations: vec![space.put(key, stored)],
    };
    match server.commit(commit).await {
        // Somebody else has written it: the next use is looked at again.
        Ok(_) | Err(CommitError::Precondition { .. }) => {}
        Err(error) => tracing::warn!(plane = %plane.id, %error, "the use of a token cannot be recorded"),
    }
}

#[async_trait]
impl TokenSigner for InProcess {
    async fn sign_token(&self, tenant: TenantId, order: &TokenOrder) -> Result<String, SigningError> {
        let unavailable = |why: String| SigningError::Unavailable(why);
        let plane = self.server().planes.get(tenant);
        let plane = plane.ok_or_else(|| unavailable("there is no such plane".to_owned()))?;
        let keys = self.server().token_keys(&plane).await.map_err(|error| unavailable(error.to_string()))?;
        let key = keys.1.current(plane_keys::now());
        let key = key.ok_or_else(|| unavailable("no token key signs".to_owned()))?;
        key.key.sign(&Claims::of(&plane, order)).map_err(|error| unavailable(error.to_string()))
    }

    fn is_former(&self, tenant: TenantId, order: &TokenOrder, token: &str) -> bool {
        let former = || {
            let plane = self.server().planes.get(tenant)?;
            let keys = self.server().stored_token_keys(&plane)?;
            let current: &TokenKey = &keys.1.current(plane_keys::now())?.key;
            let claims: Claims = tokens::unverified(token)?;
            let named = tokens::named_key(token)?;
            Some(claims == Claims::of(&plane, order) && named != current.id())
        };
        former().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims() -> Claims {
        serde_json::from_value(json!({
            "iss": ISSUER, "sub": "system:serviceaccount:n:a", "insula.dev/plane": "/tenants/t",
            "kubernetes.io/serviceaccount/namespace": "n", "kubernetes.io/serviceaccount/secret.name": "s",
            "kubernetes.io/serviceaccount/service-account.name": "a",
            "kubernetes.io/serviceaccount/service-account.uid": "u",
        }))
        .unwrap()
    }

    #[test]
    fn claims_have_to_agree() {
        assert!(claims().is_sound());
        for wrong in [
            Claims { iss: "https://i".into(), ..claims() },
            Claims { sub: "system:serviceaccount:n:b".into(), ..claims() },
            Claims { sub: "system:serviceaccount:m:a".into(), ..claims() },
            Claims { secret: String::new(), ..claims() },
            Claims { uid: String::new(), ..claims() },
        ] {
            assert!(!wrong.is_sound(), "{wrong:?}");
        }
    }

    #[test]
    fn a_secret_holds_its_token_and_the_one_before() {
        let digest: [u8; 32] = Sha256::digest("the token").into();
        let kept = Kept { claims: claims(), key: "k".into(), digest, seen: Arc::default() };
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        for (secret, held) in [
            (json!({"data": {"token": STANDARD.encode("the token")}}), true),
            (json!({"data": {"token": STANDARD.encode("another")}}), false),
            (json!({"data": {"token": "?"}}), false),
            (json!({"data": {}}), false),
            (json!({"metadata": {"annotations": {FORMER_TOKEN: hash}}}), true),
            (json!({"metadata": {"annotations": {FORMER_TOKEN: ""}}}), false),
        ] {
            assert_eq!(kept.is_held_by(&secret), held, "{secret}");
        }
    }

    #[test]
    fn what_holds_a_token_is_read_again_when_it_is_written() {
        let digest: [u8; 32] = Sha256::digest("the token").into();
        let kept = Kept { claims: claims(), key: "k".into(), digest, seen: Arc::default() };
        let record = |revision: u64, object: Value| {
            let stored = record::encode(&object, Vec::new(), 0);
            record::decode(api_types::ObjectName::new("n", "x"), &stored, Revision(revision)).unwrap()
        };
        let secret = |token: &str, labels: Value| {
            let metadata = json!({"name": "s", "namespace": "n", "labels": labels});
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"token": STANDARD.encode(token)}})
        };
        let account = |names: Value| {
            let metadata = json!({"name": "a", "namespace": "n"});
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "secrets": names})
        };
        let plain = record(5, account(json!([])));
        let first = kept.seen(&record(1, secret("the token", json!({}))), Some(&plain)).unwrap();
        assert!(first.held && !first.invalid && !first.referred);
        // Nothing is read again that has the same revision.
        let same = kept.seen(&record(1, secret("another", json!({}))), Some(&plain)).unwrap();
        assert_eq!(same, first);
        let changed = kept.seen(&record(2, secret("another", json!({}))), Some(&plain)).unwrap();
        assert!(!changed.held);
        let marked = secret("the token", json!({TOKEN_INVALID_SINCE: "2026-01-01"}));
        assert!(kept.seen(&record(3, marked), Some(&plain)).unwrap().invalid);
        let again = record(4, secret("the token", json!({TOKEN_LAST_USED: "2026-01-01"})));
        assert_eq!(kept.seen(&again, Some(&plain)).unwrap().last_used, "2026-01-01");
        let referring = record(6, account(json!([{"name": "s"}])));
        assert!(kept.seen(&again, Some(&referring)).unwrap().referred);
    }

    #[test]
    fn a_token_says_whose_it_is_before_anything_is_verified() {
        let key = TokenKey::read(&tokens::make_key().unwrap()).unwrap();
        let token = key.sign(&claims()).unwrap();
        assert!(is_one(&token));
        assert_eq!(unverified_path(&token).as_deref(), Some("/tenants/t"));
        assert_eq!(key.verify_signature::<Claims>(&token).unwrap(), claims());
        let other = TokenKey::read(&tokens::make_key().unwrap()).unwrap();
        assert!(other.verify_signature::<Claims>(&token).is_err());
        assert!(!is_one("nonsense") && unverified_path("nonsense").is_none());
    }
}
