//! Which addresses the tenants' pods have, and which EndpointSlices name such as may be theirs.

use api_types::{ObjectName, TenantId};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

/// Addresses of pods, and who waits for them. No larger than the pods and the slices that are there.
#[derive(Debug, Default)]
pub struct Addresses {
    /// How many pods say that they have it: a new one may be known before the end of the old one.
    pods: HashMap<(TenantId, IpAddr), usize>,
    named: HashMap<(TenantId, IpAddr), BTreeSet<ObjectName>>,
    of_slice: HashMap<(TenantId, ObjectName), Vec<IpAddr>>,
}

impl Addresses {
    /// A pod has other addresses than before. The slices that name one of which that changes the owner.
    pub fn moved(&mut self, tenant: TenantId, before: &[IpAddr], now: &[IpAddr]) -> BTreeSet<ObjectName> {
        let mut due = BTreeSet::new();
        for ip in now.iter().filter(|ip| !before.contains(ip)) {
            let count = self.pods.entry((tenant, *ip)).or_insert(0);
            *count += 1;
            if *count == 1 {
                due.extend(self.named.get(&(tenant, *ip)).into_iter().flatten().cloned());
            }
        }
        for ip in before.iter().filter(|ip| !now.contains(ip)) {
            let place = (tenant, *ip);
            let Some(count) = self.pods.get_mut(&place) else { continue };
            *count -= 1;
            if *count == 0 {
                self.pods.remove(&place);
                due.extend(self.named.get(&place).into_iter().flatten().cloned());
            }
        }
        due
    }

    /// Notes which addresses a slice names, in place of those that it named before. Those that the tenant's pods have.
    pub fn named_by(&mut self, tenant: TenantId, slice: &ObjectName, all: Vec<IpAddr>) -> HashSet<IpAddr> {
        for ip in self.of_slice.remove(&(tenant, slice.clone())).unwrap_or_default() {
            if let Some(slices) = self.named.get_mut(&(tenant, ip)) {
                slices.remove(slice);
                if slices.is_empty() {
                    self.named.remove(&(tenant, ip));
                }
            }
        }
        for ip in &all {
            self.named.entry((tenant, *ip)).or_default().insert(slice.clone());
        }
        let own = all.iter().copied().filter(|ip| self.pods.contains_key(&(tenant, *ip))).collect();
        if !all.is_empty() {
            self.of_slice.insert((tenant, slice.clone()), all);
        }
        own
    }

    /// Forgets what a tenant's slices name.
    pub fn forget_slices(&mut self, tenant: TenantId) {
        self.named.retain(|(of, _), _| *of != tenant);
        self.of_slice.retain(|(of, _), _| *of != tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn slices_are_due_when_an_address_they_name_comes_or_goes() {
        let tenant = |n: u128| TenantId::new(Uuid::from_u128(n));
        let (acme, globex) = (tenant(7), tenant(8));
        let ip = |last: u8| IpAddr::from([10, 2, 0, last]);
        let slice = |name: &str| ObjectName::new("shop", name);
        let mut addresses = Addresses::default();
        assert!(addresses.named_by(acme, &slice("a"), vec![ip(1), ip(2)]).is_empty());
        assert!(addresses.named_by(acme, &slice("b"), vec![ip(1)]).is_empty());
        assert!(addresses.moved(globex, &[], &[ip(1)]).is_empty(), "another tenant's");
        assert_eq!(addresses.moved(acme, &[], &[ip(1)]), [slice("a"), slice("b")].into());
        assert!(addresses.moved(acme, &[ip(1)], &[ip(1)]).is_empty());
        assert_eq!(addresses.moved(acme, &[ip(1)], &[ip(1), ip(2)]), [slice("a")].into());
        assert_eq!(addresses.named_by(acme, &slice("b"), vec![ip(1), ip(3)]), [ip(1)].into());
        // A second pod of the address, before the end of the first is known.
        assert!(addresses.moved(acme, &[], &[ip(1)]).is_empty());
        assert!(addresses.moved(acme, &[ip(1), ip(2)], &[ip(2)]).is_empty());
        addresses.named_by(acme, &slice("a"), Vec::new());
        assert_eq!(addresses.moved(acme, &[ip(1)], &[]), [slice("b")].into());
        addresses.forget_slices(acme);
        assert!(addresses.moved(acme, &[ip(2)], &[ip(3)]).is_empty());
        assert!(addresses.named.is_empty() && addresses.of_slice.is_empty());
    }
}
