//! The simulated nodes as they were seen last, with the pods that are on them.

use super::{is_failed, is_simulated, networks};
use crate::access::text;
use crate::pods_by_node::PodsByNode;
use compact_str::CompactString;
use plane_client::{Object, ObjectName, Seen};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a kubelet needs to know of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// Where the addresses of its pods are from.
    pub(super) network: Ipv4Addr,
    /// Its own address.
    pub(super) host_ip: String,
    /// It does nothing.
    pub(super) failed: bool,
}

/// What events told.
pub(super) struct Board {
    sites: Mutex<HashMap<CompactString, Site>>,
    pods: Arc<PodsByNode>,
}

/// `None`: the node is not simulated, or has no network yet.
fn site(node: &Object) -> Option<Site> {
    let node = node.value().ok().filter(is_simulated)?;
    let number = networks::number_of(text(&node, "/spec/podCIDR"))?;
    Some(Site {
        network: networks::network(number),
        host_ip: networks::host_ip(number),
        failed: is_failed(&node),
    })
}

impl Board {
    pub(super) fn new(pods: Arc<PodsByNode>) -> Self {
        Board { sites: Mutex::default(), pods }
    }

    fn sites(&self) -> MutexGuard<'_, HashMap<CompactString, Site>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node of this name, if it is simulated.
    pub(super) fn site(&self, node: &str) -> Option<Site> {
        self.sites().get(node).cloned()
    }

    /// Takes in an event of a node. The pods that are to be looked at: those on it, unless it is as it was.
    pub(super) fn node(&self, node: &Object, seen: Seen) -> Vec<ObjectName> {
        let now = if seen == Seen::Gone { None } else { site(node) };
        let mut sites = self.sites();
        let name = &node.name.name;
        if sites.get(name) == now.as_ref() {
            return vec![];
        }
        match now {
            Some(site) => sites.insert(name.clone(), site),
            None => sites.remove(name),
        };
        self.pods.on(name)
    }

    /// Takes in an event of a pod.
    pub(super) fn pod(&self, pod: &Object, seen: Seen) -> Vec<ObjectName> {
        self.pods.see(pod, seen);
        vec![pod.name.clone()]
    }

    /// The pod is not there.
    pub(super) fn forget(&self, pod: &ObjectName) {
        self.pods.forget(pod);
    }
}
