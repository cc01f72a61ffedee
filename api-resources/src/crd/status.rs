//! The status of a definition: which names it got, and whether it is in use.

use crate::catalog::Catalog;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Computes the status of a definition that is being written: accepted names, and the conditions `NamesAccepted`
/// and `Established`. `others` are the plane's other definitions (those of other groups are passed over); `base` is
/// its catalog, whose built-in names cannot be taken. `storedVersions` stays as it is.
///
/// A definition that was established stays so, whatever becomes of a change of its names.
pub fn accept<'a>(crd: &mut Value, others: impl Iterator<Item = &'a Value>, base: &Catalog, now: Timestamp) {
    let group = crd["spec"]["group"].as_str().unwrap_or("").to_owned();
    let taken = Taken::of(&group, others, base);
    let requested = crd["spec"]["names"].clone();
    let accepted = crd["status"]["acceptedNames"].clone();
    let mut names = accepted.as_object().cloned().unwrap_or_default();
    let mut conflict: Option<(&str, String)> = None;
    for (field, reason, used) in [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ] {
        let had = texts(&accepted[field]);
        let wanted = texts(&requested[field]);
        let refused: Vec<String> = wanted
            .iter()
            .filter(|name| !had.contains(name) && used.contains(name))
            .map(|name| format!("{name:?} is already in use"))
            .collect();
        match refused.as_slice() {
            [] => copy(&mut names, &requested, field),
            [one] => conflict = Some((reason, one.clone())),
            many => conflict = Some((reason, format!("[{}]", many.join(", ")))),
        }
    }
    copy(&mut names, &requested, "categories");
    let was_established = is_established(crd);
    let Some(status) = crd.as_object_mut().map(|crd| crd.entry("status").or_insert_with(|| json!({}))) else {
        return;
    };
    status["acceptedNames"] = Value::Object(names);
    let accepted = conflict.is_none();
    let (reason, message) = conflict.unwrap_or(("NoConflicts", "no conflicts found".to_owned()));
    set_condition(status, "NamesAccepted", accepted, reason, &message, now);
    match (was_established, accepted) {
        (true, _) => {}
        (false, true) => {
            let message = "the initial names have been accepted";
            set_condition(status, "Established", true, "InitialNamesAccepted", message, now);
        }
        (false, false) => {
            set_condition(status, "Established", false, "NotAccepted", "not all names are accepted", now);
        }
    }
}

/// True when the definition's resource is served.
pub fn is_established(crd: &Value) -> bool {
    let conditions = crd["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "Established" && c["status"] == "True")
}

/// Sets a condition of a status. The time of the last transition changes only with the state.
pub fn set_condition(
    status: &mut Value,
    kind: &str,
    holds: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let state = if holds { "True" } else { "False" };
    let mut condition = json!({"type": kind, "status": state, "reason": reason, "message": message,
        "lastTransitionTime": whole_seconds(now)});
    let Some(conditions) = crate::kinds::place::list_at(status, "conditions") else { return };
    match conditions.iter_mut().find(|c| c["type"] == kind) {
        Some(old) => {
            if old["status"] == state {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
}

fn whole_seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Names that are taken in a group.
struct Taken {
    resources: Vec<String>,
    kinds: Vec<String>,
}

impl Taken {
    fn of<'a>(group: &str, others: impl Iterator<Item = &'a Value>, base: &Catalog) -> Taken {
        let mut taken = Taken { resources: Vec::new(), kinds: Vec::new() };
        for other in others.filter(|other| other["spec"]["group"] == group) {
            let names = &other["status"]["acceptedNames"];
            for field in ["plural", "singular", "shortNames"] {
                taken.resources.extend(texts(&names[field]));
            }
            for field in ["kind", "listKind"] {
                taken.kinds.extend(texts(&names[field]));
            }
        }
        for row in base.base_rows().filter(|row| row.group == group) {
            taken.resources.extend([row.plural.to_string(), row.singular.to_string()]);
            taken.resources.extend(row.short_names.iter().map(|name| name.to_string()));
            taken.kinds.extend([row.kind.to_string(), row.list_kind.to_string()]);
        }
        taken
    }
}

/// A text or the texts of a list, without empty ones.
fn texts(value: &Value) -> Vec<String> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter().filter_map(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

fn copy(names: &mut Map<String, Value>, requested: &Value, field: &str) {
    match requested.get(field).filter(|value| !value.is_null()) {
        Some(value) => names.insert(field.to_owned(), value.clone()),
        None => names.remove(field),
    };
}
