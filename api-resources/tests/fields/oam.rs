//! The application model.

use crate::verdict::Verdict::{Enforced, Informational, Partly, Written};
use crate::verdict::{KindFields, Verdict, refused, value};

const GROUP: &str = "core.oam.dev";
const PAGE: &str = "applications.md";
const APPLICATIONS: &str = "oam-runtime/src/applications.rs";
const BINDING: &str = "oam-runtime/src/binding.rs";
const COMPONENTS: &str = "oam-runtime/src/components.rs";
const CONTAINER: &str = "oam-runtime/src/containerized/container.rs";
const CONTAINERIZED: &str = "oam-runtime/src/containerized.rs";
const DEFINITION: &str = "oam-runtime/src/definition.rs";
const GATHER: &str = "oam-runtime/src/gather.rs";
const PARAMETERS: &str = "oam-runtime/src/parameters.rs";
const RENDER: &str = "oam-runtime/src/render/component.rs";
const REPORT: &str = "oam-runtime/src/report.rs";
const SCALERS: &str = "oam-runtime/src/scalers.rs";
const TRAITS: &str = "oam-runtime/src/render/traits.rs";
const VOLUMES: &str = "oam-runtime/src/containerized/volumes.rs";
const WORKLOADS: &str = "oam-runtime/src/containerized_workloads.rs";

const LEAVE_OUT: Verdict = refused("not implemented in this release; leave it out");
const BY_SECRET: Verdict = refused("not implemented in this release; use secretName");
const NO_UID: Verdict = refused("leave it out: the workload is the object of apiVersion, kind and name");

/// Every kind.
pub const KINDS: &[KindFields] = &[
    KindFields {
        group: GROUP,
        kind: "Component",
        page: PAGE,
        good: r#"{"workload": {"apiVersion": "apps/v1", "kind": "Deployment"}}"#,
        rows: &[
            ("spec.workload", Enforced(RENDER)),
            ("spec.parameters[].name", Enforced(PARAMETERS)),
            ("spec.parameters[].fieldPaths", Enforced(PARAMETERS)),
            ("spec.parameters[].required", Enforced(PARAMETERS)),
            ("spec.parameters[].description", Informational),
            ("status", Written(COMPONENTS)),
        ],
    },
    KindFields {
        group: GROUP,
        kind: "ApplicationConfiguration",
        page: PAGE,
        good: r#"{"components": [{"componentName": "web"}]}"#,
        rows: &[
            ("spec.components[].componentName", Enforced(GATHER)),
            ("spec.components[].revisionName", Enforced(GATHER)),
            ("spec.components[].parameterValues", Enforced(PARAMETERS)),
            ("spec.components[].traits[].trait", Enforced(TRAITS)),
            ("spec.components[].traits[].dataInputs", LEAVE_OUT),
            ("spec.components[].traits[].dataOutputs", LEAVE_OUT),
            ("spec.components[].dataInputs", LEAVE_OUT),
            ("spec.components[].dataOutputs", LEAVE_OUT),
            ("spec.components[].scopes", LEAVE_OUT),
            ("status.conditions", Written(REPORT)),
            ("status.observedGeneration", Written(REPORT)),
            ("status.workloads[].componentName", Written(APPLICATIONS)),
            ("status.workloads[].componentRevisionName", Written(APPLICATIONS)),
            ("status.workloads[].status", Written(APPLICATIONS)),
            ("status.workloads[].workloadRef", Written("oam-runtime/src/plan.rs")),
            ("status.workloads[].traits", Written("oam-runtime/src/plan.rs")),
        ],
    },
    KindFields {
        group: GROUP,
        kind: "WorkloadDefinition",
        page: PAGE,
        good: r#"{"definitionRef": {"name": "deployments.apps"}}"#,
        rows: &[
            ("spec.definitionRef", Enforced(DEFINITION)),
            ("spec.podSpecPath", Enforced("oam-runtime/src/pod_template.rs")),
            ("spec.childResourceKinds", Informational),
            ("spec.revisionLabel", Informational),
            ("spec.extension", Informational),
        ],
    },
    KindFields {
        group: GROUP,
        kind: "TraitDefinition",
        page: PAGE,
        good: r#"{"definitionRef": {"name": "deployments.apps"}}"#,
        rows: &[
            ("spec.definitionRef", Enforced(DEFINITION)),
            ("spec.appliesToWorkloads", Enforced(TRAITS)),
            ("spec.conflictsWith", Enforced(TRAITS)),
            ("spec.revisionEnabled", Enforced(TRAITS)),
            ("spec.workloadRefPath", Enforced(TRAITS)),
            ("spec.extension", Informational),
        ],
    },
    KindFields {
        group: GROUP,
        kind: "ContainerizedWorkload",
        page: PAGE,
        good: r#"{"containers": [{"name": "web", "image": "nginx"}]}"#,
        rows: &[
            ("spec.osType", Enforced(CONTAINERIZED)),
            ("spec.arch", Enforced(CONTAINERIZED)),
            ("spec.containers", Enforced(CONTAINER)),
            ("spec.containers[].config", Enforced(VOLUMES)),
            ("spec.containers[].imagePullSecret", Enforced(CONTAINERIZED)),
            ("spec.containers[].resources.volumes", Enforced(VOLUMES)),
            (
                "spec.containers[].resources.volumes[].disk.ephemeral",
                Partly(
                    VOLUMES,
                    &[value(
                        r#"{"containers": [{"name": "a", "image": "b", "resources": {"volumes": [{"name": "v",
                            "mountPath": "/v", "disk": {"required": "1Gi", "ephemeral": false}}]}}]}"#,
                        "not implemented in this release; set it to true",
                    )],
                ),
            ),
            ("status", Written(WORKLOADS)),
            ("status.resources", Written("oam-runtime/src/plan.rs")),
        ],
    },
    KindFields {
        group: GROUP,
        kind: "ManualScalerTrait",
        page: PAGE,
        good: r#"{"replicaCount": 1}"#,
        rows: &[
            ("spec.replicaCount", Enforced(SCALERS)),
            ("spec.workloadRef", Enforced(SCALERS)),
            ("spec.workloadRef.uid", NO_UID),
            ("status", Written(SCALERS)),
        ],
    },
    KindFields {
        group: GROUP,
        kind: "ServiceBinding",
        page: PAGE,
        good: r#"{"source": {"secretName": "orders-conn"}, "env": [{"name": "URL", "key": "uri"}]}"#,
        rows: &[
            ("spec.source.secretName", Enforced(BINDING)),
            ("spec.source.apiVersion", BY_SECRET),
            ("spec.source.kind", BY_SECRET),
            ("spec.source.name", BY_SECRET),
            ("spec.source.fieldPath", BY_SECRET),
            ("spec.env[].name", Enforced(BINDING)),
            ("spec.env[].key", Enforced(BINDING)),
            ("spec.files.mountPath", Enforced(BINDING)),
            // In an application another value is a defect of the trait; by itself a binding binds nothing, and says so.
            ("spec.workloadRef", Written(TRAITS)),
            ("spec.workloadRef.uid", NO_UID),
            ("status", Written(APPLICATIONS)),
        ],
    },
];
