//! Names in dynamic resource allocation (KEP-4381), and lists that have a limit.

use super::place::{Causes, Place, invalid_all};
use crate::names;
use api_types::{Cause, CauseReason};
use serde_json::Value;

/// The longest name of an attribute or capacity, without its domain.
const IDENTIFIER_MAX: usize = 32;

/// Adds `Too many`, or looks at each element of a list.
pub(super) fn each(
    out: &mut Causes,
    at: &Place<'_>,
    field: &str,
    max: usize,
    mut look: impl FnMut(&mut Causes, &Place<'_>),
) {
    let before = out.len();
    super::place::at_most(out, at, field, max);
    if out.len() == before {
        at.list(field).for_each(|element| look(out, &element));
    }
}

/// [`each`], and `Duplicate value` for a key that is there twice.
pub(super) fn each_once<'a>(
    out: &mut Causes,
    at: &Place<'a>,
    field: &str,
    max: usize,
    key: fn(&Place<'a>) -> &'a str,
    look: impl FnMut(&mut Causes, &Place<'_>),
) {
    each(out, at, field, max, look);
    let mut seen: Vec<&str> = Vec::new();
    for element in at.list(field).take(max) {
        let name = key(&element);
        if seen.contains(&name) {
            out.push(Cause::duplicate(&element.path, &Value::from(name)));
        }
        seen.push(name);
    }
}

/// The element's `name`.
pub(super) fn by_name<'a>(element: &Place<'a>) -> &'a str {
    element.text("name")
}

/// The element itself.
pub(super) fn itself<'a>(element: &Place<'a>) -> &'a str {
    element.as_text()
}

/// A DNS label.
pub(super) fn label(out: &mut Causes, at: &Place<'_>) {
    invalid_all(out, &at.path, at.as_text(), names::dns_label(at.as_text()));
}

/// The key of a label.
pub(super) fn label_key(out: &mut Causes, at: &Place<'_>) {
    invalid_all(out, &at.path, at.as_text(), names::qualified_name(at.as_text()));
}

/// A pool: DNS subdomains with slashes between them.
pub(super) fn pool(out: &mut Causes, at: &Place<'_>) {
    let name = at.as_text();
    if name.is_empty() {
        out.push(Cause::required(&at.path, ""));
        return;
    }
    if name.len() > names::SUBDOMAIN_MAX {
        out.push(Cause::too_long(&at.path, names::SUBDOMAIN_MAX));
    }
    for part in name.split('/') {
        invalid_all(out, &at.path, part, names::dns_subdomain(part));
    }
}

/// An attribute or capacity: an identifier, mostly with the domain of a driver before it.
pub(super) fn qualified(out: &mut Causes, path: &str, name: &str) {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        [id] => identifier(out, path, id),
        [domain, id] => {
            let nothing = Value::from("");
            if domain.is_empty() {
                out.push(Cause::invalid(path, &nothing, "the domain must not be empty"));
            } else {
                if domain.len() > names::LABEL_MAX {
                    out.push(Cause::too_long(path, names::LABEL_MAX));
                }
                invalid_all(out, path, domain, names::dns_subdomain(&domain.to_lowercase()));
            }
            if id.is_empty() {
                out.push(Cause::invalid(path, &nothing, "the name must not be empty"));
            } else {
                identifier(out, path, id);
            }
        }
        _ => {}
    }
}

/// [`qualified`] with a domain.
pub(super) fn fully_qualified(out: &mut Causes, at: &Place<'_>) {
    qualified(out, &at.path, at.as_text());
    if !at.as_text().contains('/') {
        let message = "a fully qualified name must be a domain and a name separated by a slash";
        out.push(Cause::invalid(&at.path, at.value, message));
    }
}

/// An identifier of C.
fn identifier(out: &mut Causes, path: &str, id: &str) {
    if id.len() > IDENTIFIER_MAX {
        out.push(Cause::too_long(path, IDENTIFIER_MAX));
    }
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !id.starts_with(letter) || !id.chars().all(|c| letter(c) || c.is_ascii_digit()) {
        let message = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";
        out.push(Cause::invalid(path, &Value::from(id), message));
    }
}

/// An object that a driver reads, as long as a limit.
pub(super) fn opaque(out: &mut Causes, at: &Place<'_>, max: usize) {
    if at.value.is_null() {
        out.push(Cause::required(&at.path, ""));
    } else if at.value.to_string().len() > max {
        out.push(Cause::too_long(&at.path, max));
    } else if !at.value.is_object() {
        let message = "Invalid value: \"<value omitted>\": must be a valid JSON object";
        out.push(Cause::new(CauseReason::FieldValueInvalid, &at.path, message));
    }
}

/// The value of a label, at a path.
pub(super) fn label_value(out: &mut Causes, at: &Place<'_>, field: &str) {
    invalid_all(out, &at.of(field), at.text(field), names::label_value(at.text(field)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_have_parts() {
        let told = |rule: fn(&mut Causes, &Place<'_>), name: &str| {
            let (mut out, value) = (Vec::new(), Value::from(name));
            rule(&mut out, &Place::new("at", &value));
            out.len()
        };
        for (rule, name, wrong) in [
            (pool as fn(&mut Causes, &Place<'_>), "a.b/c", 0),
            (pool, "", 1),
            (pool, "a//B", 2),
            (fully_qualified, "a.b/model_1", 0),
            (fully_qualified, "model", 1),
            (fully_qualified, "/1x", 2),
            (fully_qualified, "A_/", 2),
        ] {
            assert_eq!(told(rule, name), wrong, "{name}");
        }
        let (mut out, value) = (Vec::new(), json!(["x"]));
        opaque(&mut out, &Place::new("at", &value), 100);
        opaque(&mut out, &Place::new("at", &value), 3);
        opaque(&mut out, &Place::new("at", &Value::Null), 3);
        assert_eq!(out.len(), 3);
    }

    #[test]
    fn lists_are_looked_at_when_they_are_short_enough() {
        let list = json!({"l": [{"name": "a"}, {"name": "a"}]});
        for (max, expected) in
            [(2, "at.l[1]: Duplicate value: \"a\""), (1, "at.l: Too many: 2: must have at most 1 items")]
        {
            let mut out = Vec::new();
            each_once(&mut out, &Place::new("at", &list), "l", max, by_name, |_, _| {});
            assert_eq!(out[0].to_string(), expected);
            assert_eq!(out.len(), 1);
        }
    }
}
