//! Addresses of pods: `.1` to `.254` of their node's network, one pod each at a time.

use plane_client::ObjectName;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::Ipv4Addr;

/// Which pod has which address.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    by_pod: HashMap<ObjectName, (String, Ipv4Addr)>,
    /// By how many pods. More than one can have noted one address only if someone else wrote it.
    taken: HashMap<Ipv4Addr, usize>,
}

impl Addresses {
    /// Notes the address that a pod has.
    pub(super) fn note(&mut self, pod: &ObjectName, uid: &str, address: &str) {
        let Ok(address) = address.parse() else { return };
        let is_known = self.by_pod.get(pod).is_some_and(|(known, at)| known == uid && *at == address);
        if !is_known {
            self.release(pod);
            self.take(pod, uid, address);
        }
    }

    fn take(&mut self, pod: &ObjectName, uid: &str, address: Ipv4Addr) {
        self.by_pod.insert(pod.clone(), (uid.to_owned(), address));
        *self.taken.entry(address).or_default() += 1;
    }

    /// The address of a pod in its node's network: the one that it has, or the lowest that is free. `None`: all 254
    /// are taken.
    pub(super) fn allocate(&mut self, pod: &ObjectName, uid: &str, network: Ipv4Addr) -> Option<Ipv4Addr> {
        if let Some((known, address)) = self.by_pod.get(pod)
            && known == uid
        {
            return Some(*address);
        }
        self.release(pod);
        let address = (1..=254)
            .map(|host| Ipv4Addr::from_bits(network.to_bits() | host))
            .find(|address| !self.taken.contains_key(address))?;
        self.take(pod, uid, address);
        Some(address)
    }

    /// The pod is gone, or has ended.
    pub(super) fn release(&mut self, pod: &ObjectName) {
        let Some((_, address)) = self.by_pod.remove(pod) else { return };
        if let Entry::Occupied(mut taken) = self.taken.entry(address) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn no_two_pods_share_an_address(steps in prop::collection::vec((0..40u8, 0..3u8, any::<bool>()), 0..200)) {
            let mut addresses = Addresses::default();
            for (pod, node, keep) in steps {
                let name = ObjectName::new("ns", format!("p{pod}"));
                if keep {
                    let address = addresses.allocate(&name, "uid", Ipv4Addr::new(10, 244, node, 0)).unwrap();
                    prop_assert_eq!(addresses.allocate(&name, "uid", Ipv4Addr::new(10, 244, node, 0)), Some(address));
                } else {
                    addresses.release(&name);
                }
                let distinct: HashSet<Ipv4Addr> = addresses.by_pod.values().map(|(_, at)| *at).collect();
                prop_assert_eq!(distinct.len(), addresses.by_pod.len());
                let taken: HashSet<Ipv4Addr> = addresses.taken.keys().copied().collect();
                prop_assert_eq!(distinct, taken);
            }
        }
    }

    #[test]
    fn a_full_node_has_none_and_a_name_made_again_is_another_pod() {
        let mut addresses = Addresses::default();
        let network = Ipv4Addr::new(10, 244, 3, 0);
        let name = |n: u32| ObjectName::new("ns", n.to_string());
        addresses.note(&name(0), "a", "10.244.3.1");
        for n in 1..254 {
            addresses.allocate(&name(n), "a", network).unwrap();
        }
        assert_eq!(addresses.allocate(&name(999), "a", network), None);
        assert_eq!(addresses.allocate(&name(0), "b", network), Some(Ipv4Addr::new(10, 244, 3, 1)));
    }
}
