//! The Kubernetes API server of all planes.
