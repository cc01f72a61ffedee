//! The Kubernetes API server of all planes.
//!
//! The modules stand in the order in which a request passes them, then what they stand on.

pub mod listener;
pub mod tls;

pub mod request_info;
pub mod stages;
pub mod authentication;
pub mod fair_queue;
pub mod authorization;
pub mod rbac;
pub mod decoding;
pub mod handlers;
pub mod admission;
pub mod ownership;
pub mod gateway;
pub mod cache;
pub mod reply;

pub mod server;
pub mod planes;
pub mod tenants;
pub mod bootstrap;
pub mod crds;
pub mod documents;
pub mod kubeconfig;
pub mod pki;
pub mod tokens;
pub mod in_process;
