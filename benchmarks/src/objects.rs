//! What benchmarks write.

use clap::ValueEnum;
use serde_json::{Value, json};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A ConfigMap with a value of the size
    #[value(name = "configmap")]
    ConfigMap,
    /// A Secret with a value of the size
    Secret,
    /// A pod with one container
    Pod,
}

impl Kind {
    pub fn resource(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmaps",
            Kind::Secret => "secrets",
            Kind::Pod => "pods",
        }
    }

    /// As people write it.
    pub fn shown(self) -> &'static str {
        match self {
            Kind::ConfigMap => "ConfigMap",
            Kind::Secret => "Secret",
            Kind::Pod => "Pod",
        }
    }

    /// An object; `size`: how many bytes its value has.
    pub fn object(self, name: &str, size: usize) -> Value {
        let value = "x".repeat(size);
        match self {
            Kind::ConfigMap => json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                "data": {"value": value}}),
            Kind::Secret => json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
                "stringData": {"value": value}}),
            Kind::Pod => json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": "bench"}},
                "spec": {"containers": [{"name": "web", "image": "registry.example.com/web:1",
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}}),
        }
    }
}

/// The name of an object.
pub fn name(number: u64) -> String {
    format!("bench-{number:06}")
}
