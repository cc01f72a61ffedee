//! As whom the runtime works: the user who last wrote the object, as the API server recorded it.

use api_types::labels::AUTHOR;
use plane_client::Actor;
use serde::Deserialize;
use serde_json::Value;

/// The field manager of the runtime, and the name of its own identity.
pub const MANAGER: &str = "oam-runtime";

/// The runtime's own identity: for reading, and for writing status and revisions.
pub const RUNTIME: Actor = Actor::Platform(MANAGER);

#[derive(Deserialize)]
struct Recorded {
    user: String,
    #[serde(default)]
    groups: Vec<String>,
}

/// The author of an object; the error says what is wrong with the record.
pub fn author(object: &Value) -> Result<Actor, String> {
    let Some(text) = object["metadata"]["annotations"][AUTHOR].as_str() else {
        return Err(format!(
            "the annotation {AUTHOR} is missing, so it is not known as whom to act; write the object again"
        ));
    };
    match serde_json::from_str::<Recorded>(text) {
        Ok(Recorded { user, groups }) if !user.is_empty() => {
            Ok(Actor::User { user, groups, manager: MANAGER })
        }
        Ok(_) => Err(format!("the annotation {AUTHOR} names no user")),
        Err(error) => Err(format!("the annotation {AUTHOR} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_author_is_read_or_the_defect_told() {
        let with = |text: &str| author(&json!({"metadata": {"annotations": {AUTHOR: text}}}));
        let ann = Actor::User { user: "ann".to_owned(), groups: vec!["dev".to_owned()], manager: MANAGER };
        assert_eq!(with(r#"{"user": "ann", "groups": ["dev"]}"#), Ok(ann));
        assert!(with(r#"{"user": ""}"#).unwrap_err().contains("names no user"));
        assert!(with("ann").unwrap_err().contains("cannot be read"));
        assert!(author(&json!({})).unwrap_err().contains("is missing"));
    }
}
