//! Claims and ingresses that name no class get the plane's default one: of several, the newest.

use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, GroupResource};
use serde_json::Value;

/// What gets a class by default.
struct Defaulted {
    /// Group and plural of what gets it.
    of: (&'static str, &'static str),
    /// Group and plural of the classes.
    classes: (&'static str, &'static str),
    /// The annotations by which a class says that it is the default one.
    says_so: &'static [&'static str],
    /// The field of `spec` that names the class.
    field: &'static str,
    /// The annotation that named it once.
    annotation: &'static str,
}

const DEFAULTED: [Defaulted; 2] = [
    Defaulted {
        of: ("", "persistentvolumeclaims"),
        classes: ("storage.k8s.io", "storageclasses"),
        says_so: &[
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ],
        field: "storageClassName",
        annotation: "volume.beta.kubernetes.io/storage-class",
    },
    Defaulted {
        of: ("networking.k8s.io", "ingresses"),
        classes: ("networking.k8s.io", "ingressclasses"),
        says_so: &["ingressclass.kubernetes.io/is-default-class"],
        field: "ingressClassName",
        annotation: "kubernetes.io/ingress.class",
    },
];

/// Names the default class in a new object that names none. An empty name is one.
pub fn admit(server: &Server, auth: &Authorized, place: &Place, object: &mut Value) -> Result<(), ApiError> {
    let of = (place.row.group.as_str(), place.row.plural.as_str());
    let Some(rule) = DEFAULTED.iter().find(|rule| rule.of == of && place.subresource.is_empty()) else {
        return Ok(());
    };
    let names_one = object["spec"][rule.field].is_string();
    if names_one || object["metadata"]["annotations"].get(rule.annotation).is_some() {
        return Ok(());
    }
    let classes = GroupResource::new(rule.classes.0, rule.classes.1);
    let mut newest: Option<Value> = None;
    for record in server.cache.collection(auth.plane().id, &classes).list("") {
        let class = record.value().map_err(ApiError::internal)?;
        // They come in the order of their names: of those of one moment the first stays.
        let is_newer = newest.as_ref().is_none_or(|known| made(&class) > made(known));
        if is_default(rule, &class) && is_newer {
            newest = Some(class);
        }
    }
    if let Some(class) = newest {
        object["spec"][rule.field] = class["metadata"]["name"].clone();
    }
    Ok(())
}

fn is_default(rule: &Defaulted, class: &Value) -> bool {
    rule.says_so.iter().any(|annotation| class["metadata"]["annotations"][*annotation] == "true")
}

/// When it was made. Times of one form and zone are in the order of their texts.
fn made(object: &Value) -> &str {
    object["metadata"]["creationTimestamp"].as_str().unwrap_or("")
}
