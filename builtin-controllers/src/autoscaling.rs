//! HorizontalPodAutoscalers: metrics say how many replicas a workload should have, and its scale is written.
//!
//! Read in this order: [`metrics`] (what is read), [`pods`] (how pods count), [`replicas`] (how many metrics ask for),
//! [`proposals`] (each metric, and all together), [`limits`] (how many are given), [`target`] (the scale), [`status`]
//! (what is told), [`controller`].
//!
//! Guarantees: what Kubernetes 1.36 decides with its defaults (a look every 15 s, a tolerance of 0.1, a scale-down window
//! of 5 minutes), in its words; metrics and scales are read as `system:serviceaccount:kube-system:horizontal-pod-autoscaler`,
//! by the plane's RBAC; a plane without autoscalers costs nothing. Assumes that one process works on a plane: what was
//! recommended before is remembered in memory, as in Kubernetes, and a restart begins with the replicas that are there.
//! Caveats: scaling from and to zero (`HPAScaleToZero`) is off, as it is in Kubernetes by default; a new or changed
//! autoscaler is looked at at once, where Kubernetes waits 15 s.

mod controller;
mod limits;
mod metrics;
mod pods;
mod proposals;
mod replicas;
mod status;
mod target;

pub(crate) use controller::Autoscalers;
