//! Who wrote an application or a cloud resource: the platform acts as that user when it carries out what they say.

use crate::gateway::Place;
use crate::stages::Authorized;
use api_types::labels::AUTHOR;
use serde_json::{Value, json};

/// The groups whose objects are carried out in their author's name.
const AUTHORED: &[&str] = &["core.oam.dev", "cloud.insula.dev"];

/// Writes the author into the object. A client cannot say it; a write by the platform leaves it as it is.
pub fn record(auth: &Authorized, place: &Place, object: &mut Value, old: Option<&Value>) {
    if !AUTHORED.contains(&place.row.group.as_str()) {
        return;
    }
    let kept = old.and_then(|old| old["metadata"]["annotations"].get(AUTHOR)).cloned();
    // A write of the status may change annotations too, but it desires nothing.
    let author = match (auth.is_platform() || !place.subresource.is_empty(), kept) {
        (true, kept) => kept,
        // What is desired stays as it was: so does its author.
        (false, Some(kept)) if old.is_some_and(|old| old["spec"] == object["spec"]) => Some(kept),
        (false, _) => {
            let user = auth.user();
            let groups: Vec<&String> = user.groups.iter().filter(|g| *g != "system:authenticated").collect();
            Some(json!({"user": user.name, "groups": groups}).to_string().into())
        }
    };
    match author {
        Some(author) => {
            let annotations = &mut object["metadata"]["annotations"];
            if !annotations.is_object() {
                *annotations = json!({});
            }
            annotations[AUTHOR] = author;
        }
        None => {
            if let Some(annotations) =
                object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
            {
                annotations.remove(AUTHOR);
            }
        }
    }
}
