//! What a definition says of its versions, or once for all of them: deprecation, schema, subresources, columns.

use super::selectable;
use crate::kinds::place::{Causes, Place, require, require_with};
use api_types::Cause;
use serde_json::Value;

const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] =
    &["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// Defects of a version. `has_status`: it has the status subresource. `checked`: its schema was checked before.
pub(super) fn validate(out: &mut Causes, version: &Place<'_>, has_status: bool, checked: bool) {
    deprecation(out, version);
    schema(out, &version.field("schema"), has_status, checked);
    subresources(out, &version.field("subresources"));
    columns(out, version);
    if version.list("selectableFields").next().is_some() {
        let schema = &version.value["schema"]["openAPIV3Schema"];
        if schema.is_object() {
            selectable::validate(out, version, schema);
        } else {
            let detail = "may only be set when `version.schema.openAPIV3Schema` is not included";
            out.push(Cause::invalid(version.of("selectableFields"), &Value::from(""), detail));
        }
    }
}

fn deprecation(out: &mut Causes, version: &Place<'_>) {
    let Some(warning) = version.present("deprecationWarning") else { return };
    let text = warning.as_text();
    let mut wrong = |detail: &str| out.push(Cause::invalid(warning.path.clone(), warning.value, detail));
    if !version.flag("deprecated") {
        return wrong("can only be set for deprecated versions");
    }
    if text.len() > 256 {
        wrong("must be <= 256 characters long");
    }
    if text.is_empty() {
        wrong("must not be an empty string");
    }
    // Of white space, only the plain blank prints.
    if let Some((at, _)) =
        text.char_indices().find(|(_, c)| c.is_control() || (c.is_whitespace() && *c != ' '))
    {
        wrong(&format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {at}"
        ));
    }
}

/// Defects of `schema` of a version, or of `validation` of the spec.
pub(super) fn schema(out: &mut Causes, validation: &Place<'_>, has_status: bool, checked: bool) {
    let schema = &validation.value["openAPIV3Schema"];
    if !schema.is_object() || checked {
        return;
    }
    let mut wrong = if has_status { api_schema::crd::check_with_status(schema) } else { Vec::new() };
    wrong.extend(api_schema::crd::defects(schema));
    out.extend(wrong.into_iter().map(|mut cause| {
        cause.field = validation.of(&cause.field);
        // Some name another place of the schema.
        let within = |path: &str| format!("portion of the schema within {path}");
        let (below, whole) =
            (within(api_schema::crd::SCHEMA_FIELD), within(&validation.of(api_schema::crd::SCHEMA_FIELD)));
        cause.message = cause.message.replace(&below, &whole);
        cause
    }));
}

/// Defects of `subresources`.
pub(super) fn subresources(out: &mut Causes, subresources: &Place<'_>) {
    let Some(scale) = subresources.present("scale") else { return };
    for (field, under, optional) in [
        ("specReplicasPath", &[".spec."][..], false),
        ("statusReplicasPath", &[".status."], false),
        ("labelSelectorPath", &[".spec.", ".status."], true),
    ] {
        if scale.lacks(field) {
            if !optional {
                out.push(Cause::required(scale.of(field), ""));
            }
            continue;
        }
        let path = scale.field(field);
        if simple_path(out, &path.path, path.as_text())
            && !under.iter().any(|prefix| path.as_text().starts_with(prefix))
        {
            let detail = match under {
                [one] => format!("should be a json path under {}", one.trim_end_matches('.')),
                _ => "should be a json path under either .spec or .status".to_owned(),
            };
            out.push(Cause::invalid(path.path, path.value, &detail));
        }
    }
}

/// True when the text begins as a path does.
fn simple_path(out: &mut Causes, field: &str, text: &str) -> bool {
    let simple = text.starts_with('.');
    if !simple {
        let detail = "must be a simple json path starting with .";
        out.push(Cause::invalid(field, &Value::from(text), detail));
    }
    simple
}

/// Defects of `additionalPrinterColumns` of the spec or of a version.
pub(super) fn columns(out: &mut Causes, at: &Place<'_>) {
    for column in at.list("additionalPrinterColumns") {
        require(out, &column, "name");
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        if require_with(out, &column, "type", &types) && !COLUMN_TYPES.contains(&column.text("type")) {
            out.push(Cause::invalid(column.of("type"), column.field("type").value, &types));
        }
        let format = column.text("format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            out.push(Cause::invalid(column.of("format"), column.field("format").value, &detail));
        }
        // The field's name in messages is that of the internal type.
        let (path, field) = (column.text("jsonPath"), column.of("JSONPath"));
        if path.is_empty() {
            out.push(Cause::required(field, ""));
        } else {
            simple_path(out, &field, path);
        }
    }
}
