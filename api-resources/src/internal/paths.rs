//! The values that causes tell, by the types of their fields.

use super::line;
use api_schema::{Shape, TypeRef};
use api_types::Cause;

/// Shows the values of causes that are objects or lists in the form of the internal types. What a cause tells of a
/// path that is no field stays as it is.
pub fn show_values(root: TypeRef<'_>, causes: &mut [Cause]) {
    for cause in causes {
        if let Some(value) = &cause.value
            && let Some(of) = at_path(root, &cause.field)
        {
            let text = line(of, value);
            cause.show_value(&text);
        }
    }
}

/// The type at a path such as `spec.containers[0].env` or `metadata.labels[a.b/c]`.
fn at_path<'a>(root: TypeRef<'a>, path: &str) -> Option<TypeRef<'a>> {
    let (mut of, mut rest) = (root, path);
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let end = inside.find(']')?;
            of = match of.shape() {
                Shape::Map(_) => of.member(&inside[..end])?,
                _ => of.element()?,
            };
            rest = &inside[end + 1..];
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            of = of.member(&rest[..end])?;
            rest = &rest[end..];
        }
    }
    Some(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_schema::builtin;
    use serde_json::json;

    #[test]
    fn values_are_shown_by_the_types_of_their_paths() {
        let graph = builtin::graph();
        let root = graph.at(builtin::kind("", "v1", "Pod").unwrap());
        for (path, value, expected) in [
            ("spec.hostAliases[0]", json!({"ip": "1.2.3.4"}), r#"{"IP":"1.2.3.4","Hostnames":null}"#),
            ("metadata.labels[a.b/c]", json!({"a": 1}), r#"{"a":1}"#),
            ("spec.nothing", json!({"b": "<", "a": 1}), r#"{"a":1,"b":"\u003c"}"#),
            ("spec.hostname", json!("x"), r#""x""#),
        ] {
            let mut causes = [Cause::invalid(path, &value, "is {} wrong")];
            show_values(root, &mut causes);
            assert_eq!(causes[0].message, format!("Invalid value: {expected}: is {{}} wrong"));
        }
    }
}
