//! The kinds of `core.oam.dev`: components, applications, definitions, and the workloads and traits of the core.
//!
//! Field names are those of OAM v1alpha2 as its runtime for Kubernetes served them. All kinds live in tenants'
//! planes; the definitions are cluster-scoped, the rest is namespaced. What is accepted by the format but not
//! implemented (data inputs and outputs, scopes) is kept as raw JSON, so that it can be refused by name.

mod application;
mod component;
mod containerized;
mod definition;
mod traits;

pub use application::*;
pub use component::*;
pub use containerized::*;
pub use definition::*;
pub use traits::*;

use crate::identity::Resource;
use crate::tenancy::Custom;
use serde::{Deserialize, Serialize};

/// The API group.
pub const GROUP: &str = "core.oam.dev";
/// The version.
pub const VERSION: &str = "v1alpha2";
/// `apiVersion` of the group's objects.
pub const API_VERSION: &str = "core.oam.dev/v1alpha2";
/// `components`.
pub const COMPONENTS: Resource = Resource::new(GROUP, VERSION, "components");
/// `applicationconfigurations`.
pub const APPLICATION_CONFIGURATIONS: Resource = Resource::new(GROUP, VERSION, "applicationconfigurations");
/// `workloaddefinitions`, cluster-scoped.
pub const WORKLOAD_DEFINITIONS: Resource = Resource::new(GROUP, VERSION, "workloaddefinitions");
/// `traitdefinitions`, cluster-scoped.
pub const TRAIT_DEFINITIONS: Resource = Resource::new(GROUP, VERSION, "traitdefinitions");
/// `containerizedworkloads`.
pub const CONTAINERIZED_WORKLOADS: Resource = Resource::new(GROUP, VERSION, "containerizedworkloads");
/// `manualscalertraits`.
pub const MANUAL_SCALER_TRAITS: Resource = Resource::new(GROUP, VERSION, "manualscalertraits");
/// `servicebindings`.
pub const SERVICE_BINDINGS: Resource = Resource::new(GROUP, VERSION, "servicebindings");

/// Label on what an application renders: the application's name.
pub const LABEL_APPLICATION: &str = "app.oam.dev/name";
/// Label on what an application renders: the component's name.
pub const LABEL_COMPONENT: &str = "app.oam.dev/component";
/// Label on what an application renders: the component's revision.
pub const LABEL_REVISION: &str = "app.oam.dev/revision";
/// Label on what an application renders: `WORKLOAD` or `TRAIT`.
pub const LABEL_ROLE: &str = "app.oam.dev/resourceType";
/// Label on a component's ControllerRevisions: the component's name.
pub const LABEL_REVISION_OF: &str = "controller.oam.dev/component";
/// Label on a workload: the WorkloadDefinition that it is an instance of, by name.
pub const LABEL_WORKLOAD_TYPE: &str = "workload.oam.dev/type";
/// Label on a trait: the TraitDefinition that it is an instance of, by name.
pub const LABEL_TRAIT_TYPE: &str = "trait.oam.dev/type";

/// How an OAM workload kind may be instantiated.
pub type Component = Custom<ComponentSpec, ComponentStatus>;
/// An application: components with parameter values and traits.
pub type ApplicationConfiguration = Custom<ApplicationConfigurationSpec, ApplicationConfigurationStatus>;
/// A kind that may be a component's workload.
pub type WorkloadDefinition = Custom<WorkloadDefinitionSpec, crate::tenancy::NoStatus>;
/// A kind that may be a trait.
pub type TraitDefinition = Custom<TraitDefinitionSpec, crate::tenancy::NoStatus>;
/// A workload of long-running containers.
pub type ContainerizedWorkload = Custom<ContainerizedWorkloadSpec, ContainerizedWorkloadStatus>;
/// A trait that sets the number of replicas.
pub type ManualScalerTrait = Custom<ManualScalerTraitSpec, TraitStatus>;
/// A trait that puts a Secret's keys into the workload's containers.
pub type ServiceBinding = Custom<ServiceBindingSpec, TraitStatus>;

/// A reference to an object of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TypedReference {
    /// `apiVersion` of the object.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID, where the platform filled it in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

impl TypedReference {
    /// True when it names nothing.
    pub fn is_empty(&self) -> bool {
        self.name.is_empty() && self.kind.is_empty() && self.api_version.is_empty()
    }
}

/// One key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretKey {
    /// The Secret's name.
    pub name: String,
    /// The key in its data.
    pub key: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_component_survives_a_round_trip() {
        let object = json!({"apiVersion": API_VERSION, "kind": "Component", "metadata": {"name": "web"},
            "spec": {"workload": {"apiVersion": API_VERSION, "kind": "ContainerizedWorkload"},
                "parameters": [{"name": "image", "fieldPaths": ["spec.containers[0].image"], "required": true}]},
            "status": {"observedGeneration": 1, "latestRevision": {"name": "web-v1", "revision": 1}}});
        let decoded: Component = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), object);
    }

    #[test]
    fn an_application_survives_a_round_trip() {
        let spec = json!({"components": [{"componentName": "web",
            "parameterValues": [{"name": "image", "value": "nginx:1"}],
            "traits": [{"trait": {"apiVersion": API_VERSION, "kind": "ManualScalerTrait",
                "spec": {"replicaCount": 3}}}]}]});
        let decoded: ApplicationConfigurationSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), spec);
    }

    #[test]
    fn the_example_of_a_binding_survives_a_round_trip() {
        let spec = json!({"source": {"secretName": "orders-conn"},
            "env": [{"name": "DATABASE_URL", "key": "uri"}, {"name": "PGPASSWORD", "key": "password"}],
            "files": {"mountPath": "/var/run/secrets/orders"}});
        let decoded: ServiceBindingSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), spec);
    }

    #[test]
    fn a_containerized_workload_survives_a_round_trip() {
        let spec = json!({"osType": "linux", "arch": "amd64", "containers": [{"name": "web", "image": "nginx:1",
            "resources": {"cpu": {"required": "500m"}, "memory": {"required": "64Mi"}, "gpu": {"required": "1"},
                "volumes": [{"name": "data", "mountPath": "/data", "accessMode": "RW", "sharingPolicy": "Exclusive",
                    "disk": {"required": "1Gi", "ephemeral": true}}],
                "extended": [{"name": "example.com/widget", "required": 2}]},
            "command": ["nginx"], "args": ["-g"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "fromSecret": {"name": "s", "key": "k"}}],
            "config": [{"path": "/etc/a", "value": "x"}],
            "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}],
            "livenessProbe": {"httpGet": {"path": "/", "port": 80, "httpHeaders": [{"name": "a", "value": "b"}]},
                "periodSeconds": 5},
            "readinessProbe": {"tcpSocket": {"port": 80}},
            "imagePullSecret": "registry"}]});
        let decoded: ContainerizedWorkloadSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), spec);
    }
}
