//! What quotas count of PersistentVolumeClaims.

use super::evaluator::ONE;
use super::scopes::Selector;
use crate::amounts::Amounts;
use crate::kinds::resources::quantity;
use api_schema::quantity::Quantity;
use serde_json::Value;

const COUNT: &str = "count/persistentvolumeclaims";
const CLAIMS: &str = "persistentvolumeclaims";
const STORAGE: &str = "requests.storage";
/// Between the name of a storage class and what is limited of it.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";
/// The annotation that named a claim's class once.
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn counts(name: &str) -> bool {
    let of_class = |what| name.strip_suffix(what).is_some_and(|rest| rest.ends_with(OF_CLASS));
    [COUNT, CLAIMS, STORAGE].contains(&name) || of_class(CLAIMS) || of_class(STORAGE)
}

pub(super) fn usage(claim: &Value) -> Amounts {
    let annotated = claim["metadata"]["annotations"].get(OLD_CLASS).and_then(Value::as_str);
    let class = annotated.or_else(|| claim["spec"]["storageClassName"].as_str()).unwrap_or("");
    let mut used = Amounts::from([(COUNT.to_owned(), ONE)]);
    let mut count = |what: &str, amount: Quantity| {
        used.insert(what.to_owned(), amount);
        if !class.is_empty() {
            used.insert(format!("{class}{OF_CLASS}{what}"), amount);
        }
    };
    count(CLAIMS, ONE);
    if let Some(asked) = quantity(&claim["spec"]["resources"]["requests"]["storage"]) {
        let allocated = quantity(&claim["status"]["allocatedResources"]["storage"]);
        count(STORAGE, allocated.filter(|allocated| *allocated > asked).unwrap_or(asked).rounded_up());
    }
    used
}

pub(super) fn is_in_scope(selector: &Selector, claim: &Value) -> bool {
    let (spec, status) = (&claim["spec"], &claim["status"]);
    let named = [
        &spec["volumeAttributesClassName"],
        &status["currentVolumeAttributesClassName"],
        &status["modifyVolumeStatus"]["targetVolumeAttributesClassName"],
    ];
    let classes: Vec<&str> =
        named.iter().filter_map(|name| name.as_str()).filter(|name| !name.is_empty()).collect();
    selector.scope == "VolumeAttributesClass" && selector.selects(&classes)
}
