//! What credentials stand on, and until when: keys of the plane, objects that a token is bound to, an issuer that the
//! tenant names. Signatures are verified once; this is looked at with every request, and by every open stream when
//! something of it changes.

use crate::oidc::authenticator::Authenticator;
use crate::plane_keys;
use crate::planes::{self, Plane};
use crate::secret_tokens::Kept;
use crate::server::Server;
use crate::tokens::{Claims, Proved, Reference};
use api_types::{GroupResource, ResourceKey};
use jiff::Timestamp;
use std::sync::{Arc, Weak};

/// A token outlives an object that is being deleted by this many seconds, as in Kubernetes.
const LEEWAY: i64 = 60;

/// What credentials stand on: with it they fall.
#[derive(Clone, Debug, Default)]
pub enum Standing {
    /// Nothing that can go away.
    #[default]
    Nothing,
    /// The client CA of the plane which signed the certificate, by its name.
    Certificate(String),
    /// The plane's key, which signed the token, and what the token is bound to.
    Token(Arc<Proved>),
    /// The plane's key, which signed the token, the Secret that holds it, and its service account.
    Secret(Arc<Kept>),
    /// An issuer of the tenant's users.
    Issuer(Weak<Authenticator>),
}

/// The resources whose objects credentials stand on.
pub fn is_ground(resource: &GroupResource) -> bool {
    match resource.group.as_str() {
        "" => matches!(resource.resource.as_str(), "pods" | "secrets" | "serviceaccounts" | "nodes"),
        group => group == planes::KEYS.group && resource.resource == planes::KEYS.resource,
    }
}

/// What stands for the issuers of a plane's users: its `Tenant`, which is in another plane.
pub fn issuers() -> ResourceKey {
    ResourceKey::new(GroupResource::new("insula.internal", "issuers"), "", "")
}

impl Standing {
    /// The objects of the plane whose change may make it fall.
    pub fn grounds(&self) -> Vec<ResourceKey> {
        let key = |name| ResourceKey::new(planes::KEYS.clone(), "", name);
        match self {
            Standing::Nothing => Vec::new(),
            Standing::Certificate(_) => vec![key(planes::CLIENT_CA)],
            Standing::Token(proved) => {
                let mut grounds: Vec<ResourceKey> = bonds(&proved.claims).map(|(object, _)| object).collect();
                grounds.push(key(planes::TOKEN_KEY));
                grounds
            }
            Standing::Secret(kept) => kept.grounds().into_iter().chain([key(planes::TOKEN_KEY)]).collect(),
            Standing::Issuer(_) => vec![issuers()],
        }
    }

    /// Until when it stands as things are, in seconds since 1970; `None`: it has fallen.
    pub fn until(&self, server: &Server, plane: &Plane) -> Option<i64> {
        let now = plane_keys::now();
        match self {
            Standing::Nothing => Some(i64::MAX),
            Standing::Certificate(authority) => server.client_authorities(plane)?.1.until(authority, now),
            Standing::Token(proved) => {
                let key = server.stored_token_keys(plane)?.1.until(&proved.key, now)?;
                let mut ends = bonds(&proved.claims).map(|(object, uid)| until(server, plane, &object, uid));
                ends.try_fold(key, |least, end| Some(least.min(end?)))
            }
            Standing::Secret(kept) => {
                let key = server.stored_token_keys(plane)?.1.until(&kept.key, now)?;
                kept.stands(server, plane).then_some(key)
            }
            Standing::Issuer(issuer) => {
                let issuer = issuer.upgrade()?;
                plane.oidc.has(&issuer).then_some(i64::MAX)
            }
        }
    }
}

/// What a token is bound to, each with its UID.
pub(crate) fn bonds(claims: &Claims) -> impl Iterator<Item = (ResourceKey, &str)> {
    let bound = &claims.bound;
    let references: [(&str, &str, Option<&Reference>); 4] = [
        ("serviceaccounts", &bound.namespace, Some(&bound.serviceaccount)),
        ("pods", &bound.namespace, bound.pod.as_ref()),
        ("secrets", &bound.namespace, bound.secret.as_ref()),
        // A token of a pod says its node, and is not bound to it.
        ("nodes", "", bound.node.as_ref().filter(|_| bound.pod.is_none())),
    ];
    references.into_iter().filter_map(|(resource, namespace, reference)| {
        let reference = reference?;
        let key = ResourceKey::new(GroupResource::new("", resource), namespace, &reference.name);
        Some((key, reference.uid.as_str()))
    })
}

/// Until when an object is there, and is the same.
pub(crate) fn until(server: &Server, plane: &Plane, object: &ResourceKey, uid: &str) -> Option<i64> {
    let found = server.cache.get(plane.id, &object.resource, &object.object)?;
    if found.meta.uid != uid {
        return None;
    }
    if !found.meta.deleting {
        return Some(i64::MAX);
    }
    let value = found.value().ok()?;
    let deleted: Timestamp = value["metadata"]["deletionTimestamp"].as_str()?.parse().ok()?;
    Some(deleted.as_second() + LEEWAY)
}
