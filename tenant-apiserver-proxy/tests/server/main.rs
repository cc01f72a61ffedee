//! The API server as clients meet it: the embedded store in a directory, the listener on a free port, TLS and HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod actions;
mod addresses;
mod aggregation;
mod audit;
mod bodies;
mod boundaries;
mod concurrency;
mod conversion;
mod conversion_webhooks;
mod core_kinds;
mod custom_resources;
mod deletion;
#[cfg(feature = "etcd")]
mod etcd;
mod extension_server;
mod formats;
mod harness;
mod hooks;
mod lists;
mod methods;
mod negotiation;
mod oidc;
mod options;
mod ownership;
mod pages;
mod patches;
mod pipeline;
mod pod_security;
mod policies;
mod quotas;
mod refusals;
mod restart;
mod revocation;
mod roles;
mod scales;
mod sealing;
mod service_webhooks;
mod strangers;
mod tenants;
mod upgrades;
mod waiting;
mod watches;
mod webhooks;
mod wire;
mod writes;
