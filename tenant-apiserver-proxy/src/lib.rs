//! The Kubernetes API server of all planes.
//!
//! The modules stand in the order in which a request passes them, then what they stand on.

// Every request and every watch holds its future's room.
#![warn(clippy::large_futures)]

pub mod listener;
pub mod tls;

pub mod admission;
pub mod aggregation;
pub mod audit;
pub mod authentication;
pub mod authorization;
pub mod bodies;
pub mod cache;
mod connection_task;
pub mod conversion;
pub mod decoding;
mod fair_queue;
pub mod gateway;
mod gathered_io;
pub mod handlers;
mod heavy;
pub mod impersonation;
pub mod joined;
pub mod lifetime;
pub mod limits;
pub mod metrics;
pub mod negotiation;
pub mod oidc;
pub mod ownership;
pub mod rbac;
pub mod reply;
pub mod request_info;
pub mod sources;
pub mod stages;
pub mod standing;
pub mod streams;
pub mod verified;

pub mod bootstrap;
pub mod certificate_signing;
pub mod certs;
pub mod crds;
pub mod dialer;
pub mod documents;
pub mod in_process;
pub mod issuers;
pub mod keyring;
pub mod kubeconfig;
pub mod own_address;
pub mod pki;
pub mod plane_keys;
pub mod planes;
pub mod policy_types;
pub mod renewal;
pub mod restoring;
pub mod scheduled_backups;
pub mod sealing;
pub mod secret_tokens;
pub mod served_apis;
pub mod server;
pub mod serving;
pub mod storage;
pub mod tenants;
pub mod tokens;
pub mod usage;
