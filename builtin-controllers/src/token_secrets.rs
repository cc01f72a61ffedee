//! Tokens of service accounts in Secrets of type `kubernetes.io/service-account-token`.
//!
//! Guarantees: such a Secret of an account that is there gets `token`, `ca.crt` and `namespace`, and the account's UID as
//! an annotation; what is missing or is not the CA of now is put there again, and other data is left alone. One whose
//! account is gone, or is another one of its name, is deleted. When the plane's key is another, the Secret gets a token
//! by the new key and keeps the hash of the former one, by which that is taken until its key's time is over. An account
//! stops referring to a Secret that is deleted.
//!
//! Assumes that the port knows which tokens are its own: what somebody else wrote into `token` stays.
//!
//! Caveat: a Secret that is deleted while no controller runs is still referred to, as in Kubernetes. So is an immutable
//! one left as it is.

use crate::access::{Access, elements, text};
use crate::pod_facts::is_deleting;
use crate::resources::{SECRETS, SERVICE_ACCOUNTS};
use api_types::labels::FORMER_TOKEN;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plane_client::{
    ApiError, Authorities, Delete, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, TenantId,
    TokenOrder, TokenSigner, Trigger,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The name of the controller.
pub(crate) const CONTROLLER: &str = "serviceaccount-token-controller";
/// The type of the Secrets.
pub(crate) const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

/// True when a Secret is of this type: the others are not even decoded.
pub(crate) fn is_typed(secret: &Object) -> bool {
    secret.meta.field("type") == Some(TYPE)
}

/// Events of such Secrets make them due.
pub(crate) fn secrets() -> Trigger {
    Trigger::mapped(SECRETS.group_resource(), Scope::All, |secret| {
        if is_typed(secret) { vec![secret.name.clone()] } else { vec![] }
    })
}

/// The name of the account of a Secret, and its UID where the Secret says one; `None`: it is no Secret of a token.
pub(crate) fn account(secret: &Value) -> Option<(&str, &str)> {
    let annotation = |name: &str| secret["metadata"]["annotations"][name].as_str().unwrap_or("");
    let is_one = secret["type"] == TYPE && !annotation(ACCOUNT).is_empty();
    is_one.then(|| (annotation(ACCOUNT), annotation(UID)))
}

/// True when an account is the one of a name and, if it is said, of a UID.
pub(crate) fn is_of(found: Option<&Value>, uid: &str) -> bool {
    found.is_some_and(|found| uid.is_empty() || found["metadata"]["uid"] == uid)
}

/// The reconciler of the Secrets.
pub(crate) struct TokenSecrets {
    access: Access,
    authorities: Arc<dyn Authorities>,
    signer: Arc<dyn TokenSigner>,
}

impl TokenSecrets {
    pub(crate) fn new(
        client: Arc<dyn PlaneClient>,
        authorities: Arc<dyn Authorities>,
        signer: Arc<dyn TokenSigner>,
    ) -> Self {
        TokenSecrets { access: Access::new(client, CONTROLLER), authorities, signer }
    }

    /// The Secret as it should be.
    async fn filled(&self, tenant: TenantId, secret: &Value, account: &Value) -> Result<Value, ApiError> {
        let namespace = text(secret, "/metadata/namespace");
        let (name, uid) = (text(account, "/metadata/name"), text(account, "/metadata/uid"));
        let mut filled = secret.clone();
        let data = &mut filled["data"];
        let authorities = STANDARD.encode(self.authorities.serving());
        if data["ca.crt"] != authorities.as_str() {
            data["ca.crt"] = authorities.into();
        }
        let is_empty = |value: &Value| value.as_str().is_none_or(str::is_empty);
        if is_empty(&data["namespace"]) {
            data["namespace"] = STANDARD.encode(namespace).into();
        }
        let order = TokenOrder {
            namespace: namespace.to_owned(),
            secret: text(secret, "/metadata/name").to_owned(),
            account: name.to_owned(),
            uid: uid.to_owned(),
        };
        let held =
            data["token"].as_str().and_then(|held| String::from_utf8(STANDARD.decode(held).ok()?).ok());
        let former = held.filter(|held| self.signer.is_former(tenant, &order, held));
        if is_empty(&data["token"]) || former.is_some() {
            let token = self.signer.sign_token(tenant, &order).await.map_err(ApiError::internal)?;
            data["token"] = STANDARD.encode(token).into();
        }
        if let Some(former) = former {
            let hash = Sha256::digest(former).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            filled["metadata"]["annotations"][FORMER_TOKEN] = hash.into();
        }
        if filled != *secret {
            filled["metadata"]["annotations"][UID] = uid.into();
        }
        Ok(filled)
    }

    /// Takes a Secret that is gone from what the accounts of its namespace refer to.
    async fn forget(&self, tenant: TenantId, key: &ObjectName) -> Result<(), ApiError> {
        for found in self.access.list(tenant, &SERVICE_ACCOUNTS, &key.namespace).await? {
            let before = found.value()?;
            let stays = |reference: &&Value| reference["name"] != key.name.as_str();
            let references = elements(&before, "/secrets");
            let rest: Vec<Value> = references.iter().filter(stays).cloned().collect();
            if rest.len() < references.len() {
                let mut after = before.clone();
                after["secrets"] = rest.into();
                self.access.change(tenant, &SERVICE_ACCOUNTS, "", &before, &after).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Reconciler for TokenSecrets {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![secrets()]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(secret) = self.access.get(tenant, &SECRETS, &key.namespace, &key.name).await? else {
            self.forget(tenant, key).await?;
            return Ok(Next::OnEvent);
        };
        let Some((name, uid)) = account(&secret) else { return Ok(Next::OnEvent) };
        if is_deleting(&secret) {
            return Ok(Next::OnEvent);
        }
        let found = self.access.get(tenant, &SERVICE_ACCOUNTS, &key.namespace, name).await?;
        match found.filter(|found| is_of(Some(found), uid)) {
            None => self.access.delete(tenant, &SECRETS, &secret, Delete::default()).await?,
            Some(_) if secret["immutable"] == true => {}
            Some(found) => {
                let filled = self.filled(tenant, &secret, &found).await?;
                self.access.change(tenant, &SECRETS, "", &secret, &filled).await?;
            }
        }
        Ok(Next::OnEvent)
    }
}

/// The reconciler of accounts: the Secrets of those that are gone go with them.
pub(crate) struct TokenAccounts {
    access: Access,
}

impl TokenAccounts {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        TokenAccounts { access: Access::new(client, CONTROLLER) }
    }
}

#[async_trait]
impl Reconciler for TokenAccounts {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(SERVICE_ACCOUNTS.group_resource(), Scope::All)]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let listed = self.access.list(tenant, &SECRETS, &key.namespace).await?;
        for found in listed.iter().filter(|secret| is_typed(secret)) {
            let secret = found.value()?;
            let Some((_, uid)) = account(&secret).filter(|(name, _)| *name == key.name) else { continue };
            let there = self.access.get(tenant, &SERVICE_ACCOUNTS, &key.namespace, &key.name).await?;
            if !is_of(there.as_ref(), uid) {
                self.access.delete(tenant, &SECRETS, &secret, Delete::default()).await?;
            }
        }
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests;
