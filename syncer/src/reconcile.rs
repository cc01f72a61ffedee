//! One key at a time: what the tenant says, what the super cluster has, and what makes them agree, both ways.
//!
//! Guarantees: state decides, not events, so that any of these can be repeated; nothing of another tenant is
//! written, since each write names the UID of an object whose labels were checked; a pod is removed in the
//! tenant only after the super cluster itself was asked. Assumes that a key is worked on by one worker at a time.
//! Caveat: immutable fields of running pods are not repaired.

pub mod namespaces;

pub mod isolation;

pub mod policies;

pub mod service_accounts;

pub mod configs;

pub mod claims;

pub mod services;

pub mod mirrors;

pub mod tokens;

pub mod nodes;

pub mod views;

pub mod pods;

pub mod events;

pub mod tenants;

use crate::kinds::{Key, Kind};
use crate::state::SuperCluster;
use crate::work::Work;
use api_types::ApiError;
use plane_client::Next;
use std::sync::Arc;

/// How work on a key ended.
pub enum End {
    /// It is done, until something comes.
    Done(Next),
    /// A pod is to be made, and there is no place for it before the scheduler of its super cluster.
    NoPlace(Arc<SuperCluster>),
}

/// Works on one key of a tenant whose super cluster is known.
pub async fn reconcile(work: &Work, key: &Key) -> Result<End, ApiError> {
    let (kind, object) = match key {
        // They are worked on without a super cluster too; see `step`.
        Key::Tenant(_) | Key::Everything => return Ok(End::Done(Next::OnEvent)),
        Key::Event(at) => return events::event(work, at).await.map(End::Done),
        Key::Object(kind, object) => (*kind, object),
    };
    let (namespace, name) = (object.namespace.as_str(), object.name.as_str());
    let next = match kind {
        Kind::Namespace => namespaces::namespace(work, name).await?,
        Kind::NetworkPolicy => policies::policy(work, namespace, name).await?,
        Kind::ServiceAccount => service_accounts::service_account(work, namespace, name).await?,
        Kind::ConfigMap | Kind::Secret => {
            configs::config(work, kind, namespace, name, configs::Need::ByRule).await?
        }
        Kind::Claim => claims::claim(work, namespace, name).await?,
        Kind::Service => services::service(work, namespace, name).await?,
        Kind::EndpointSlice | Kind::Ingress | Kind::DisruptionBudget => {
            mirrors::mirror(work, kind, namespace, name).await?
        }
        Kind::Pod => return pods::pod(work, namespace, name).await,
        Kind::Node => nodes::node(work, name).await?,
        Kind::Volume => views::volume(work, name).await?,
        Kind::StorageClass | Kind::RuntimeClass | Kind::IngressClass | Kind::PriorityClass => {
            views::class(work, kind, name).await?
        }
    };
    Ok(End::Done(next))
}
