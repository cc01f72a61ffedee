//! When a persistent volume came to its phase.

use crate::gateway::{Place, metadata};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Writes down the time of a change of the phase, unless the writer says one; a phase that stays keeps its time.
pub fn time_phase(place: &Place, new: &mut Value, old: &Value, now: Timestamp) {
    if place.row.group.is_empty() && place.row.plural == "persistentvolumes" {
        time(new, old, now);
    }
}

fn time(new: &mut Value, old: &Value, now: Timestamp) {
    const TIME: &str = "lastPhaseTransitionTime";
    let (said, known) = (new["status"][TIME].clone(), &old["status"][TIME]);
    let stays = new["status"]["phase"] == old["status"]["phase"];
    let time = match (stays, said.is_null()) {
        (true, true) => known.clone(),
        (false, silent) if silent || said == *known => json!(metadata::timestamp(now)),
        _ => return,
    };
    if let (Some(status), false) = (new["status"].as_object_mut(), time.is_null()) {
        status.insert(TIME.to_owned(), time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_phase_has_a_new_time() {
        let now: Timestamp = "2026-03-03T03:03:03Z".parse().unwrap();
        let then = json!("2026-01-01T00:00:00Z");
        let chosen = json!("2026-02-02T00:00:00Z");
        let old = json!({"status": {"phase": "Pending", "lastPhaseTransitionTime": then}});
        let table = [
            ("Pending", Value::Null, then.clone()),
            ("Pending", chosen.clone(), chosen.clone()),
            ("Bound", Value::Null, json!("2026-03-03T03:03:03Z")),
            ("Bound", then, json!("2026-03-03T03:03:03Z")),
            ("Bound", chosen.clone(), chosen),
        ];
        for (phase, said, expected) in table {
            let mut new = json!({"status": {"phase": phase, "lastPhaseTransitionTime": said}});
            time(&mut new, &old, now);
            assert_eq!(new["status"]["lastPhaseTransitionTime"], expected, "{phase} {said}");
        }
    }
}
