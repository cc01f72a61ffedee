//! Defects of a definition, in Kubernetes' words. Paths are those of `v1`: a schema's defects are told below
//! `spec.versions[i].schema.openAPIV3Schema`.

use super::row::below_schema;
use super::versions;
use crate::json_path::JsonPath;
use crate::kinds::place::{Causes, Place, immutable, require, require_with, required_one_of};
use crate::names;
use api_types::{Cause, CauseReason};
use serde_json::Value;

const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] =
    &["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const MAX_SELECTABLE_FIELDS: usize = 8;
const APPROVAL: &str = "api-approved.kubernetes.io";

/// Defects of a new definition.
pub fn validate_create(crd: &Value) -> Vec<Cause> {
    let mut out = Vec::new();
    let root = Place::root(crd);
    let spec = root.field("spec");
    let name = crd["metadata"]["name"].as_str().unwrap_or("");
    let wanted = format!("{}.{}", spec.field("names").text("plural"), spec.text("group"));
    if !name.is_empty() && name != wanted {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        out.push(Cause::invalid("metadata.name", &Value::from(name), detail));
    }
    validate_spec(&mut out, &spec, |_| false);
    approval(&mut out, crd);
    out
}

/// Defects of a change.
pub fn validate_update(new: &Value, old: &Value) -> Vec<Cause> {
    let mut out = Vec::new();
    let spec = Place::root(new).field("spec");
    let unchanged = |version: &Value| {
        versions(old).iter().any(|v| v["name"] == version["name"] && v["schema"] == version["schema"])
    };
    validate_spec(&mut out, &spec, unchanged);
    if super::is_established(old) {
        immutable(&mut out, new, old, "spec.scope");
        immutable(&mut out, new, old, "spec.names.kind");
    }
    immutable(&mut out, new, old, "spec.group");
    immutable(&mut out, new, old, "spec.names.plural");
    let stored = new["status"]["storedVersions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, version) in stored.iter().enumerate() {
        if !versions(new).iter().any(|v| v["name"] == *version) {
            let name = version.as_str().unwrap_or("");
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in \
                 spec.versions until a storage migration ensures no data remains persisted in {name} and removes \
                 {name} from status.storedVersions"
            );
            out.push(Cause::invalid(format!("status.storedVersions[{index}]"), version, &detail));
        }
    }
    approval(&mut out, new);
    out
}

/// `unchanged` tells versions whose schemas have been checked before and are as they were.
fn validate_spec(out: &mut Causes, spec: &Place<'_>, unchanged: impl Fn(&Value) -> bool) {
    group(out, spec);
    required_one_of(out, spec, "scope", &["Cluster", "Namespaced"]);
    if spec.flag("preserveUnknownFields") {
        out.push(Cause::invalid(spec.of("preserveUnknownFields"), &Value::Bool(true), "must be false"));
    }
    let versions: Vec<Place<'_>> = spec.list("versions").collect();
    for (index, version) in versions.iter().enumerate() {
        validate_version(out, version);
        let schema = &version.value["schema"]["openAPIV3Schema"];
        if schema.is_object() && !unchanged(version.value) {
            let wrong = api_schema::crd::compile(schema, false).err().unwrap_or_default();
            out.extend(wrong.into_iter().map(|cause| below_schema(cause, index)));
        }
    }
    let all = spec.field("versions");
    let mut seen: Vec<&str> = versions.iter().map(|v| v.text("name")).collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        out.push(Cause::invalid(all.path.clone(), all.value, "must contain unique version names"));
    }
    if versions.iter().filter(|v| v.flag("storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        out.push(Cause::invalid(all.path.clone(), all.value, detail));
    }
    validate_names(out, &spec.field("names"));
    conversion(out, &spec.field("conversion"));
}

fn group(out: &mut Causes, spec: &Place<'_>) {
    if require(out, spec, "group") {
        let group = spec.field("group");
        let wrong = names::dns_subdomain(group.as_text());
        if !wrong.is_empty() {
            out.push(Cause::invalid(group.path, group.value, &wrong.join(",")));
        } else if !group.as_text().contains('.') {
            out.push(Cause::invalid(group.path, group.value, "should be a domain with at least one dot"));
        }
    }
}

fn validate_version(out: &mut Causes, version: &Place<'_>) {
    let wrong = names::dns_1035_label(version.text("name"));
    if !wrong.is_empty() {
        out.push(Cause::invalid(version.of("name"), &Value::from(version.text("name")), &wrong.join(",")));
    }
    if version.flag("storage") && !version.flag("served") {
        let detail = "a storage version that is not served is not implemented in this release";
        out.push(Cause::forbidden(version.of("served"), detail));
    }
    deprecation(out, version);
    require(out, &version.field("schema"), "openAPIV3Schema");
    scale(out, &version.field("subresources"));
    for column in version.list("additionalPrinterColumns") {
        validate_column(out, &column);
    }
    selectable_fields(out, version);
}

fn deprecation(out: &mut Causes, version: &Place<'_>) {
    let Some(warning) = version.present("deprecationWarning") else { return };
    let text = warning.as_text();
    for (wrong, detail) in [
        (!version.flag("deprecated"), "can only be set for deprecated versions"),
        (text.len() > 256, "must be <= 256 characters long"),
        (text.is_empty(), "must not be an empty string"),
        (text.chars().any(char::is_control), "must only contain printable UTF-8 characters"),
    ] {
        if wrong {
            out.push(Cause::invalid(warning.path.clone(), warning.value, detail));
        }
    }
}

fn scale(out: &mut Causes, subresources: &Place<'_>) {
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
        if !simple_path(out, &path) {
            continue;
        }
        let only_fields = JsonPath::parse(path.as_text()).is_ok_and(|parsed| parsed.fields().is_some());
        if !under.iter().any(|prefix| path.as_text().starts_with(prefix)) || !only_fields {
            let detail = match under {
                [one] => format!("should be a json path under {}", one.trim_end_matches('.')),
                _ => "should be a json path under either .spec or .status".to_owned(),
            };
            out.push(Cause::invalid(path.path, path.value, &detail));
        }
    }
}

/// True when the text is a path that this server understands.
fn simple_path(out: &mut Causes, path: &Place<'_>) -> bool {
    let detail = match path.as_text() {
        text if !text.starts_with('.') => "must be a simple json path starting with .".to_owned(),
        text => match JsonPath::parse(text) {
            Ok(_) => return true,
            Err(error) => format!("must be a json path in the dot notation: {error}"),
        },
    };
    out.push(Cause::invalid(path.path.clone(), path.value, &detail));
    false
}

fn validate_column(out: &mut Causes, column: &Place<'_>) {
    require(out, column, "name");
    let types = format!("must be one of {}", COLUMN_TYPES.join(","));
    if require_with(out, column, "type", &types) && !COLUMN_TYPES.contains(&column.text("type")) {
        out.push(Cause::invalid(column.of("type"), column.field("type").value, &types));
    }
    let format = column.text("format");
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
        out.push(Cause::invalid(column.of("format"), column.field("format").value, &detail));
    }
    if require(out, column, "jsonPath") {
        simple_path(out, &column.field("jsonPath"));
    }
}

fn selectable_fields(out: &mut Causes, version: &Place<'_>) {
    let fields: Vec<Place<'_>> = version.list("selectableFields").collect();
    let mut seen: Vec<&str> = Vec::new();
    for field in &fields {
        if !require(out, field, "jsonPath") {
            continue;
        }
        let path = field.field("jsonPath");
        let parsed = JsonPath::parse(path.as_text());
        let names = parsed.as_ref().ok().and_then(JsonPath::fields);
        let detail = match names.as_deref() {
            None | Some([]) => Some("is an invalid path"),
            Some(["metadata", ..]) => Some("must not point to fields in metadata"),
            Some(names) if !is_scalar(version, names) => Some(
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            ),
            Some(_) => None,
        };
        if let Some(detail) = detail {
            out.push(Cause::invalid(path.path.clone(), path.value, detail));
        } else if seen.contains(&path.as_text()) {
            out.push(Cause::duplicate(path.path.clone(), path.value));
        }
        seen.push(path.as_text());
    }
    if fields.len() > MAX_SELECTABLE_FIELDS {
        let detail = format!("Too many: {}: must have at most {MAX_SELECTABLE_FIELDS} items", fields.len());
        out.push(Cause::new(CauseReason::FieldValueTooMany, version.of("selectableFields"), detail));
    }
}

/// True when the schema has a single value at the fields.
fn is_scalar(version: &Place<'_>, fields: &[&str]) -> bool {
    let schema = &version.value["schema"]["openAPIV3Schema"];
    let found = fields.iter().try_fold(schema, |schema, name| schema["properties"].get(*name));
    found.is_some_and(|schema| {
        ["string", "boolean", "integer"].contains(&schema["type"].as_str().unwrap_or(""))
    })
}

fn validate_names(out: &mut Causes, names: &Place<'_>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        require(out, names, field);
    }
    let label = |out: &mut Causes, at: Place<'_>| {
        let wrong = names::dns_1035_label(at.as_text());
        if !at.as_text().is_empty() && !wrong.is_empty() {
            out.push(Cause::invalid(at.path, at.value, &wrong.join(",")));
        }
    };
    label(out, names.field("plural"));
    label(out, names.field("singular"));
    for field in ["kind", "listKind"] {
        let at = names.field(field);
        let wrong = names::dns_1035_label(&at.as_text().to_lowercase());
        if !at.as_text().is_empty() && !wrong.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            out.push(Cause::invalid(at.path, at.value, &detail));
        }
    }
    names.list("shortNames").for_each(|at| label(out, at));
    let (kind, list_kind) = (names.text("kind"), names.field("listKind"));
    if !kind.is_empty() && kind == list_kind.as_text() {
        out.push(Cause::invalid(list_kind.path, list_kind.value, "kind and listKind may not be the same"));
    }
    names.list("categories").for_each(|at| label(out, at));
}

fn conversion(out: &mut Causes, conversion: &Place<'_>) {
    match conversion.text("strategy") {
        _ if conversion.value.is_null() => {}
        "None" => {
            if conversion.has("webhook") {
                let detail = "should not be set when strategy is not set to Webhook";
                out.push(Cause::forbidden(conversion.of("webhook"), detail));
            }
        }
        "Webhook" => {
            let detail = "conversion webhooks are not implemented in this release";
            out.push(Cause::forbidden(conversion.of("strategy"), detail));
        }
        _ => required_one_of(out, conversion, "strategy", &["None", "Webhook"]),
    }
}

/// Groups of the Kubernetes community need its approval (KEP-1111).
fn approval(out: &mut Causes, crd: &Value) {
    let group = crd["spec"]["group"].as_str().unwrap_or("");
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group == *domain || group.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')));
    if !protected {
        return;
    }
    let field = format!("metadata.annotations[{APPROVAL}]");
    match crd["metadata"]["annotations"][APPROVAL].as_str() {
        None => out.push(Cause::required(
            field,
            "protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
             https://github.com/kubernetes/enhancements/pull/1111",
        )),
        Some(value) if value.starts_with("unapproved") || value.starts_with("https://") => {}
        Some(value) => out.push(Cause::invalid(
            field,
            &Value::from(value),
            "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a \
             reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111",
        )),
    }
}
