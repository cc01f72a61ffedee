//! PersistentVolumes of the embedded super cluster: binding, provisioning, expansion, reclaiming.
//!
//! **They are simulated**: a volume is an object with a size, and stores nothing. The storage class `standard`, which is
//! the default one, is made at the start; every class with the provisioner [`PROVISIONER`] is served.
//!
//! Guarantees: a claim gets the smallest volume that fits it, else a new one of its class; one whose class waits for the
//! first consumer gets it when the scheduler has chosen a node (`volume.kubernetes.io/selected-node`); a bound claim that
//! asks for more gets it; a volume that lost its claim is kept, deleted or offered again as its policy says. Two claims
//! never get one volume: each write names the version that was read. Caveats: volumes are not attached to nodes; there are
//! no snapshots, and a claim that wants one is told so; `allowedTopologies` and parameters of classes are not read.

mod binding;
mod claims;
mod classes;
mod matching;
mod offers;
mod provisioning;

pub(crate) use binding::Volumes;
pub(crate) use classes::make_default;

use plane_client::Resource;

/// Which storage classes are served.
pub(crate) const PROVISIONER: &str = "volumes.sim.insula.dev";

const PERSISTENT_VOLUMES: Resource = Resource::new("", "v1", "persistentvolumes");
const STORAGE_CLASSES: Resource = Resource::new("storage.k8s.io", "v1", "storageclasses");

/// Annotation on a claim or volume that was bound to the other for good.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Annotation on a claim or volume whose reference to the other was set here, not by a user.
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// Annotation on a volume: who made it.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Annotations on a claim: who is to make its volume.
const STORAGE_PROVISIONERS: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];
/// Annotation on a claim: the node that the scheduler chose for its first consumer.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
