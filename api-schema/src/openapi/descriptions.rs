//! Descriptions of types and fields, taken at run time from `k8s-openapi`.

use std::collections::HashMap;

use super::values::Meanings;
use crate::graph::TypeNode;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// Our own kinds' words; `tables/README.md` describes the format.
const OWN: &str = include_str!("../../tables/insula.descriptions");

/// Descriptions by type. They take some megabytes: make them when documents are made, and drop them.
pub struct Descriptions {
    schemas: Map<String, Value>,
    own: HashMap<(&'static str, &'static str), &'static str>,
    meanings: Meanings,
}

impl Descriptions {
    /// None at all.
    pub fn none() -> Descriptions {
        Descriptions { schemas: Map::new(), own: HashMap::new(), meanings: Meanings::default() }
    }

    /// All that there are.
    pub fn collect() -> Descriptions {
        Descriptions { schemas: kubernetes(), own: own(), meanings: Meanings::collect() }
    }

    /// The description of a type.
    pub(super) fn of_type(&self, name: &str) -> Option<&str> {
        self.schemas
            .get(name)
            .and_then(|schema| schema["description"].as_str())
            .or_else(|| self.own.get(&(name, "")).copied())
    }

    /// The description of a field.
    pub fn of_field(&self, name: &str, field: &str) -> Option<&str> {
        self.schemas
            .get(name)
            .and_then(|schema| schema["properties"][field]["description"].as_str())
            .or_else(|| self.own.get(&(name, field)).copied())
            .or_else(|| self.of_every_kind(field))
            .or_else(|| self.own.get(&("*", field)).copied().filter(|_| !self.schemas.contains_key(name)))
    }

    /// The description of a field, with the values that its type lists.
    pub(super) fn with_values(&self, name: &str, field: &str, of: &TypeNode) -> Option<String> {
        self.of_field(name, field).map(|text| self.meanings.add_to(text, of))
    }

    /// What all kinds say alike, which lists and our own kinds say too.
    fn of_every_kind(&self, field: &str) -> Option<&str> {
        let any = self
            .schemas
            .get("io.k8s.api.core.v1.ConfigMap")
            .filter(|_| field == "apiVersion" || field == "kind");
        any?["properties"][field]["description"].as_str()
    }

    /// The types and fields that have our own words.
    #[cfg(test)]
    pub(super) fn own_words(&self) -> impl Iterator<Item = (&str, &str)> {
        self.own.keys().copied()
    }

    /// The types of values, and values, that have our own words.
    #[cfg(test)]
    pub(super) fn own_meanings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.meanings.all()
    }
}

/// Reads our own words.
fn own() -> HashMap<(&'static str, &'static str), &'static str> {
    let mut words = HashMap::new();
    let mut current = "";
    for line in OWN.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, text) = line.trim_start().split_once(' ').unwrap_or((line.trim_start(), ""));
        if line.starts_with(' ') {
            words.insert((current, name), text);
        } else {
            current = name;
            words.insert((name, ""), text);
        }
    }
    words
}

/// The schemas of everything that can be reached from Kubernetes' kinds.
fn kubernetes() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft07().into_generator();
    generator.subschema_for::<k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicy>();
    generator.subschema_for::<k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicyBinding>();
    generator.subschema_for::<k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration>();
    generator.subschema_for::<k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy>();
    generator
        .subschema_for::<k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding>();
    generator.subschema_for::<k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration>();
    generator.subschema_for::<k8s_openapi::api::apps::v1::ControllerRevision>();
    generator.subschema_for::<k8s_openapi::api::apps::v1::DaemonSet>();
    generator.subschema_for::<k8s_openapi::api::apps::v1::Deployment>();
    generator.subschema_for::<k8s_openapi::api::apps::v1::ReplicaSet>();
    generator.subschema_for::<k8s_openapi::api::apps::v1::StatefulSet>();
    generator.subschema_for::<k8s_openapi::api::authentication::v1::SelfSubjectReview>();
    generator.subschema_for::<k8s_openapi::api::authentication::v1::TokenRequest>();
    generator.subschema_for::<k8s_openapi::api::authentication::v1::TokenReview>();
    generator.subschema_for::<k8s_openapi::api::authorization::v1::LocalSubjectAccessReview>();
    generator.subschema_for::<k8s_openapi::api::authorization::v1::SelfSubjectAccessReview>();
    generator.subschema_for::<k8s_openapi::api::authorization::v1::SelfSubjectRulesReview>();
    generator.subschema_for::<k8s_openapi::api::authorization::v1::SubjectAccessReview>();
    generator.subschema_for::<k8s_openapi::api::autoscaling::v1::HorizontalPodAutoscaler>();
    generator.subschema_for::<k8s_openapi::api::autoscaling::v1::Scale>();
    generator.subschema_for::<k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler>();
    generator.subschema_for::<k8s_openapi::api::batch::v1::CronJob>();
    generator.subschema_for::<k8s_openapi::api::batch::v1::Job>();
    generator.subschema_for::<k8s_openapi::api::certificates::v1::CertificateSigningRequest>();
    generator.subschema_for::<k8s_openapi::api::coordination::v1::Lease>();
    generator.subschema_for::<k8s_openapi::api::core::v1::Binding>();
    generator.subschema_for::<k8s_openapi::api::core::v1::ComponentStatus>();
    generator.subschema_for::<k8s_openapi::api::core::v1::ConfigMap>();
    generator.subschema_for::<k8s_openapi::api::core::v1::Endpoints>();
    generator.subschema_for::<k8s_openapi::api::core::v1::Event>();
    generator.subschema_for::<k8s_openapi::api::core::v1::LimitRange>();
    generator.subschema_for::<k8s_openapi::api::core::v1::Namespace>();
    generator.subschema_for::<k8s_openapi::api::core::v1::Node>();
    generator.subschema_for::<k8s_openapi::api::core::v1::PersistentVolume>();
    generator.subschema_for::<k8s_openapi::api::core::v1::PersistentVolumeClaim>();
    generator.subschema_for::<k8s_openapi::api::core::v1::Pod>();
    generator.subschema_for::<k8s_openapi::api::core::v1::PodTemplate>();
    generator.subschema_for::<k8s_openapi::api::core::v1::ReplicationController>();
    generator.subschema_for::<k8s_openapi::api::core::v1::ResourceQuota>();
    generator.subschema_for::<k8s_openapi::api::core::v1::Secret>();
    generator.subschema_for::<k8s_openapi::api::core::v1::Service>();
    generator.subschema_for::<k8s_openapi::api::core::v1::ServiceAccount>();
    generator.subschema_for::<k8s_openapi::api::discovery::v1::EndpointSlice>();
    generator.subschema_for::<k8s_openapi::api::events::v1::Event>();
    generator.subschema_for::<k8s_openapi::api::flowcontrol::v1::FlowSchema>();
    generator.subschema_for::<k8s_openapi::api::flowcontrol::v1::PriorityLevelConfiguration>();
    generator.subschema_for::<k8s_openapi::api::networking::v1::IPAddress>();
    generator.subschema_for::<k8s_openapi::api::networking::v1::Ingress>();
    generator.subschema_for::<k8s_openapi::api::networking::v1::IngressClass>();
    generator.subschema_for::<k8s_openapi::api::networking::v1::NetworkPolicy>();
    generator.subschema_for::<k8s_openapi::api::networking::v1::ServiceCIDR>();
    generator.subschema_for::<k8s_openapi::api::node::v1::RuntimeClass>();
    generator.subschema_for::<k8s_openapi::api::policy::v1::Eviction>();
    generator.subschema_for::<k8s_openapi::api::policy::v1::PodDisruptionBudget>();
    generator.subschema_for::<k8s_openapi::api::rbac::v1::ClusterRole>();
    generator.subschema_for::<k8s_openapi::api::rbac::v1::ClusterRoleBinding>();
    generator.subschema_for::<k8s_openapi::api::rbac::v1::Role>();
    generator.subschema_for::<k8s_openapi::api::rbac::v1::RoleBinding>();
    generator.subschema_for::<k8s_openapi::api::resource::v1::DeviceClass>();
    generator.subschema_for::<k8s_openapi::api::resource::v1::ResourceClaim>();
    generator.subschema_for::<k8s_openapi::api::resource::v1::ResourceClaimTemplate>();
    generator.subschema_for::<k8s_openapi::api::resource::v1::ResourceSlice>();
    generator.subschema_for::<k8s_openapi::api::scheduling::v1::PriorityClass>();
    generator.subschema_for::<k8s_openapi::api::storage::v1::CSIDriver>();
    generator.subschema_for::<k8s_openapi::api::storage::v1::CSINode>();
    generator.subschema_for::<k8s_openapi::api::storage::v1::CSIStorageCapacity>();
    generator.subschema_for::<k8s_openapi::api::storage::v1::StorageClass>();
    generator.subschema_for::<k8s_openapi::api::storage::v1::VolumeAttachment>();
    generator.subschema_for::<k8s_openapi::api::storage::v1::VolumeAttributesClass>();
    generator.subschema_for::<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroupList>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::APIVersions>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Status>();
    generator.subschema_for::<k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Patch>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::WatchEvent<
        k8s_openapi::apimachinery::pkg::runtime::RawExtension,
    >>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::runtime::RawExtension>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::version::Info>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime>();
    generator.take_definitions(false)
}
