//! Addresses of pods: `10.244.<node>.<1 to 254>`, one pod each at a time.

use plane_client::ObjectName;
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

/// Which pod has which address.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    by_pod: HashMap<ObjectName, (String, Ipv4Addr)>,
    taken: HashSet<Ipv4Addr>,
}

impl Addresses {
    /// Notes the address that a pod has.
    pub(super) fn note(&mut self, pod: &ObjectName, uid: &str, address: &str) {
        let Ok(address) = address.parse() else { return };
        let is_known = self.by_pod.get(pod).is_some_and(|(known, at)| known == uid && *at == address);
        if !is_known {
            self.release(pod);
            self.by_pod.insert(pod.clone(), (uid.to_owned(), address));
            self.taken.insert(address);
        }
    }

    /// The address of a pod on a node (0 to 255): the one that it has, or the lowest that is free. `None`: all
    /// 254 are taken.
    pub(super) fn allocate(&mut self, pod: &ObjectName, uid: &str, node: u8) -> Option<Ipv4Addr> {
        if let Some((known, address)) = self.by_pod.get(pod)
            && known == uid
        {
            return Some(*address);
        }
        self.release(pod);
        let address = (1..=254)
            .map(|host| Ipv4Addr::new(10, 244, node, host))
            .find(|address| !self.taken.contains(address))?;
        self.by_pod.insert(pod.clone(), (uid.to_owned(), address));
        self.taken.insert(address);
        Some(address)
    }

    /// The pod is gone, or has ended.
    pub(super) fn release(&mut self, pod: &ObjectName) {
        if let Some((_, address)) = self.by_pod.remove(pod) {
            // Two pods can have noted one address only if someone else wrote it: it stays taken by the other.
            if !self.by_pod.values().any(|(_, other)| *other == address) {
                self.taken.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_two_pods_share_an_address(steps in prop::collection::vec((0..40u8, 0..3u8, any::<bool>()), 0..200)) {
            let mut addresses = Addresses::default();
            for (pod, node, keep) in steps {
                let name = ObjectName::new("ns", format!("p{pod}"));
                if keep {
                    let address = addresses.allocate(&name, "uid", node).unwrap();
                    prop_assert_eq!(addresses.allocate(&name, "uid", node), Some(address));
                } else {
                    addresses.release(&name);
                }
                let distinct: HashSet<Ipv4Addr> = addresses.by_pod.values().map(|(_, at)| *at).collect();
                prop_assert_eq!(distinct.len(), addresses.by_pod.len());
                prop_assert_eq!(&distinct, &addresses.taken);
            }
        }
    }

    #[test]
    fn a_full_node_has_none_and_a_name_made_again_is_another_pod() {
        let mut addresses = Addresses::default();
        let name = |n: u32| ObjectName::new("ns", n.to_string());
        addresses.note(&name(0), "a", "10.244.3.1");
        for n in 1..254 {
            addresses.allocate(&name(n), "a", 3).unwrap();
        }
        assert_eq!(addresses.allocate(&name(999), "a", 3), None);
        assert_eq!(addresses.allocate(&name(0), "b", 3), Some(Ipv4Addr::new(10, 244, 3, 1)));
    }
}
