//! Which objects have an address: pods for themselves, Services as cluster IPs.

use super::Cached;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Objects by address. No larger than the pods and Services that are there.
#[derive(Default)]
pub struct Holders(HashMap<IpAddr, Vec<Arc<Cached>>>);

impl Holders {
    /// Notes an object in place of what it was.
    pub fn replace(&mut self, old: Option<&Arc<Cached>>, new: Option<&Arc<Cached>>) {
        if let Some(old) = old {
            for ip in &old.addresses {
                if let Some(holders) = self.0.get_mut(ip) {
                    holders.retain(|known| !Arc::ptr_eq(known, old));
                    if holders.is_empty() {
                        self.0.remove(ip);
                    }
                }
            }
        }
        if let Some(new) = new {
            for ip in &new.addresses {
                self.0.entry(*ip).or_default().push(new.clone());
            }
        }
    }

    /// Who has an address: more than one, while the end of the former one is not known.
    pub fn of(&self, ip: IpAddr) -> &[Arc<Cached>] {
        self.0.get(&ip).map_or(&[], Vec::as_slice)
    }
}
