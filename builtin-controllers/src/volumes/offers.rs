//! The volumes that claims can take, decoded once for each version of them.

use crate::access::text;
use compact_str::CompactString;
use plane_client::{ApiError, Object, ObjectName, Revision};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// To whom a volume is open.
enum Offer {
    /// To every claim that it fits.
    Free(Arc<Value>),
    /// To this claim alone, as its `claimRef` says.
    Meant(ObjectName),
}

impl Offer {
    fn of(volume: Value) -> Offer {
        let reference = &volume["spec"]["claimRef"];
        match reference.is_object() {
            true => Offer::Meant(ObjectName::new(text(reference, "/namespace"), text(reference, "/name"))),
            false => Offer::Free(Arc::new(volume)),
        }
    }
}

/// What is known of volumes, by name: no more than were there when they were last asked for.
#[derive(Default)]
pub(super) struct Offers(Mutex<HashMap<CompactString, (Revision, Offer)>>);

impl Offers {
    /// Those of all volumes that are open to a claim.
    pub(super) fn to(&self, claim: &ObjectName, all: &[Object]) -> Result<Vec<Arc<Value>>, ApiError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *known);
        let mut open = Vec::new();
        for object in all {
            let name = &object.name.name;
            let offer = match before.remove(name) {
                Some((revision, offer)) if revision == object.revision => offer,
                _ => Offer::of(object.value()?),
            };
            match &offer {
                Offer::Free(volume) => open.push(volume.clone()),
                Offer::Meant(for_whom) if for_whom == claim => open.push(Arc::new(object.value()?)),
                Offer::Meant(_) => {}
            }
            known.insert(name.clone(), (object.revision, offer));
        }
        Ok(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::{GroupResource, Meta, TenantId};
    use serde_json::json;

    fn volume(name: &str, revision: u64, claim: &str) -> Object {
        let reference = if claim.is_empty() { json!(null) } else { json!({"namespace": "n", "name": claim}) };
        Object {
            tenant: TenantId::LOCAL_SUPER,
            resource: GroupResource::new("", "persistentvolumes"),
            name: ObjectName::cluster(name),
            revision: Revision(revision),
            meta: Arc::new(Meta::default()),
            bytes: json!({"metadata": {"name": name}, "spec": {"claimRef": reference}}).to_string().into(),
        }
    }

    #[test]
    fn a_claim_sees_free_volumes_and_its_own() {
        let offers = Offers::default();
        let to = |claim: &str, all: &[Object]| -> Vec<String> {
            let open = offers.to(&ObjectName::new("n", claim), all).unwrap();
            open.iter().map(|volume| text(volume, "/metadata/name").to_owned()).collect()
        };
        let all = [volume("a", 1, ""), volume("b", 2, "x"), volume("c", 3, "y")];
        assert_eq!(to("x", &all), ["a", "b"]);
        assert_eq!(to("z", &all), ["a"]);
        let later = [volume("a", 4, "y"), volume("b", 5, "")];
        assert_eq!(to("y", &later), ["a", "b"]);
        assert_eq!(to("z", &later), ["b"]);
        assert_eq!(offers.0.lock().unwrap().len(), 2, "what is gone is forgotten");
    }
}
