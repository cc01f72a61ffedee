//! Audit events of `audit.k8s.io/v1`: who asked for what, and how it ended.
//!
//! The installation has a policy with a file and a webhook of its own, and each tenant may have one (`spec.audit` of its
//! `Tenant`) with a webhook. A request goes along with a [`Trail`], from before its user is known until its answer is
//! complete; without a policy there is none, and nothing is done. What Insula's own parts do in the process comes by no
//! request and leaves no trail.
//!
//! Guarantees: an event is in the file before its answer goes out. Webhooks get events later, in batches; what they do
//! not take in time is dropped and counted in the log, so that no request waits for them and memory is bounded.
//!
//! Read in this order: [`trail`] (one request), [`event`] (what is written), [`log`] and [`webhook`] (where it goes).

pub mod event;
pub mod log;
pub mod trail;
pub mod webhook;

pub use trail::Trail;

use crate::authentication::User;
use crate::dialer::Network;
use crate::planes::Plane;
use crate::request_info::RequestInfo;
use api_resources::audit::{Decision, Policy};
use api_types::tenancy::Audit;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;

/// The header by which requests and answers name the event: by it a client names one request when it asks for help.
pub const HEADER: &str = "audit-id";

/// What the installation wants written down, and where.
pub struct Installation {
    /// Of what.
    pub policy: Policy,
    /// A file.
    pub log: Option<log::Log>,
    /// A webhook.
    pub webhook: Option<webhook::Destination>,
}

impl Installation {
    pub(crate) fn target(self, network: &Arc<Network>) -> Target {
        let webhook = self.webhook.map(|to| Sink::Webhook(webhook::of_installation(to, network)));
        let sinks = self.log.map(Sink::Log).into_iter().chain(webhook).collect();
        Target { policy: self.policy, sinks, source: None }
    }
}

/// A policy, and where its events go.
pub struct Target {
    policy: Policy,
    sinks: Vec<Sink>,
    /// What it was made of, to know whether it has changed.
    source: Option<Audit>,
}

/// Where events go.
enum Sink {
    /// A file, a line for each.
    Log(log::Log),
    /// A webhook, in batches.
    Webhook(webhook::Queue),
}

impl Target {
    fn decide(&self, user: &User, info: &RequestInfo) -> Decision {
        let what = crate::authorization::Attributes::of(info);
        self.policy.decide(&user.name, &user.groups, crate::rbac::action(&what))
    }

    /// True where the platform reads, and not a tenant.
    fn is_internal(&self) -> bool {
        self.source.is_none()
    }

    fn write(&self, event: &Bytes) {
        for sink in &self.sinks {
            match sink {
                Sink::Log(log) => log.write(event),
                Sink::Webhook(queue) => queue.push(event.clone()),
            }
        }
    }
}

/// Follows the `spec.audit` of a tenant. What has not changed goes on, with what waits in its queue.
pub fn follow(plane: &Arc<Plane>, audit: &Audit) {
    let before = plane.audit.load_full();
    if before.as_ref().map_or(*audit == Audit::default(), |before| before.source.as_ref() == Some(audit)) {
        return;
    }
    let target = match Policy::parse(&audit.policy) {
        Ok(policy) if !audit.webhook.url.is_empty() => {
            let sink = Sink::Webhook(webhook::of_tenant(plane, &audit.webhook));
            Some(Arc::new(Target { policy, sinks: vec![sink], source: Some(audit.clone()) }))
        }
        Ok(_) => None,
        // Validation lets only policies pass that can be read: this one is of another release.
        Err(defects) => {
            tracing::error!(
                tenant = %plane.name,
                ?defects,
                "the audit policy of a tenant cannot be read: no events of it are written; write its spec.audit anew"
            );
            None
        }
    };
    plane.audit.store(target);
}

/// The name of a request's event: what the client says, else a new one. As a header it is kept out of HTTP/2's tables of
/// headers: it never comes again, and what does would have to make room for it.
pub fn id(headers: &HeaderMap) -> HeaderValue {
    let said = headers.get(HEADER).filter(|said| !said.is_empty());
    let mut id = said.cloned().unwrap_or_else(|| {
        let new = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let mut text = uuid::Uuid::encode_buffer();
        // What a UUID is made of is always a header.
        HeaderValue::from_str(new.hyphenated().encode_lower(&mut text))
            .unwrap_or(HeaderValue::from_static(""))
    });
    id.set_sensitive(true);
    id
}
