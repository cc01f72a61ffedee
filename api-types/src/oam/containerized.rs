//! ContainerizedWorkload: containers that run for long, without the words of any one orchestrator.

use super::{SecretKey, TypedReference};
use crate::condition::Condition;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerizedWorkloadSpec {
    /// `linux` or `windows`; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_type: Option<String>,
    /// `i386`, `amd64`, `arm` or `arm64`; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// The containers, at least one.
    pub containers: Vec<OamContainer>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OamContainer {
    /// Its name, unique in the workload.
    pub name: String,
    /// Its image.
    pub image: String,
    /// What it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<OamResources>,
    /// Its command. `cmd`, the name in the OAM specification, is accepted too; not both.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Another name for `command`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Arguments of the command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<OamVariable>,
    /// Files written into the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<OamConfigFile>,
    /// Ports that it serves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<OamPort>,
    /// Whether it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<OamProbe>,
    /// Whether it can serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<OamProbe>,
    /// A Secret with the registry's credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_secret: Option<String>,
}

/// What a container needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OamResources {
    /// Processors: `"0.5"`, `500m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<OamQuantity>,
    /// Memory: `256Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<OamQuantity>,
    /// Graphics processors (`nvidia.com/gpu`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<OamQuantity>,
    /// Directories that outlive a restart of the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<OamVolume>,
    /// Other resources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<OamExtended>,
}

/// An amount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OamQuantity {
    /// A Kubernetes quantity: a string, or a number.
    pub required: Value,
}

/// One directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OamVolume {
    /// Its name, unique in the container.
    pub name: String,
    /// Where it is in the container.
    pub mount_path: String,
    /// `RO` or `RW`; absent: `RW`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<String>,
    /// `Exclusive` or `Shared`; absent: `Exclusive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharing_policy: Option<String>,
    /// How much room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<OamDisk>,
}

/// Room on a disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OamDisk {
    /// A Kubernetes quantity.
    pub required: Value,
    /// The data goes with the pod. False asks for a disk that outlives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<bool>,
}

/// An amount of another resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OamExtended {
    /// The resource, as Kubernetes names it: `example.com/widget`.
    pub name: String,
    /// How many.
    pub required: Value,
}

/// One environment variable: `value`, or `from_secret`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OamVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The key of a Secret that has its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_secret: Option<SecretKey>,
}

/// One file: `value`, or `from_secret`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OamConfigFile {
    /// The absolute path of the file.
    pub path: String,
    /// Its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The key of a Secret that has its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_secret: Option<SecretKey>,
}

/// One port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OamPort {
    /// Its name, unique in the workload.
    pub name: String,
    /// 1 to 65535.
    pub container_port: i32,
    /// `TCP` or `UDP`; absent: `TCP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// How a container's health is found out: exactly one of `exec`, `http_get`, `tcp_socket`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OamProbe {
    /// A command that ends with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<OamExec>,
    /// A request that is answered with success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<OamHttpGet>,
    /// A port that takes connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<OamTcpSocket>,
    /// Seconds before the first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_delay_seconds: Option<i32>,
    /// Seconds between probes; absent: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<i32>,
    /// Seconds until a probe counts as failed; absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i32>,
    /// Successes in a row that make it healthy; absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<i32>,
    /// Failures in a row that make it unhealthy; absent: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<i32>,
}

/// A command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OamExec {
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OamHttpGet {
    /// `/healthz`.
    pub path: String,
    /// 1 to 65535.
    pub port: i32,
    /// Headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_headers: Vec<OamHeader>,
}

/// One header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OamHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OamTcpSocket {
    /// 1 to 65535.
    pub port: i32,
}

/// What the runtime says of a containerized workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerizedWorkloadStatus {
    /// The `metadata.generation` that the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Synced`: the Deployment and the Service are written. `Ready`: the Deployment's pods are available.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The Deployment and the Service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<TypedReference>,
}
