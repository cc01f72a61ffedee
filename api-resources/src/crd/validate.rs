//! Defects of a definition, in Kubernetes' words and with the paths of its internal form ([`internal`]).

use super::{conversion, internal, selectable, versions};
use crate::kinds::place::{Causes, Place, immutable, require, required_one_of};
use crate::names;
use api_schema::crd::Part;
use api_types::{Cause, CauseReason};
use serde_json::Value;

const APPROVAL: &str = "api-approved.kubernetes.io";

/// Defects of a new definition.
pub fn validate_create(crd: &Value) -> Vec<Cause> {
    let mut out = Vec::new();
    let crd = &internal::of(crd);
    let root = Place::root(crd);
    let spec = root.field("spec");
    let name = crd["metadata"]["name"].as_str().unwrap_or("");
    let wanted = format!("{}.{}", spec.field("names").text("plural"), spec.text("group"));
    if !name.is_empty() && name != wanted {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        out.push(Cause::invalid("metadata.name", &Value::from(name), detail));
    }
    validate_spec(&mut out, &spec, None, |_| false);
    stored_versions(&mut out, crd);
    approval(&mut out, crd, None);
    preserve_unknown_fields(&mut out, &spec);
    out
}

/// Defects of a change.
pub fn validate_update(new: &Value, old: &Value) -> Vec<Cause> {
    let mut out = Vec::new();
    let internal = internal::of(new);
    let spec = Place::root(&internal).field("spec");
    // Schemas that have been checked before and are as they were.
    let unchanged = |name: &str| {
        let named = |crd| super::versions(crd).iter().find(|version| version["name"] == name);
        let schemas = (named(new), named(old));
        matches!(schemas, (Some(new), Some(old)) if Part::Validation.same(&new["schema"], &old["schema"]))
    };
    validate_spec(&mut out, &spec, Some(old), unchanged);
    if super::is_established(old) {
        immutable(&mut out, new, old, "spec.scope");
        immutable(&mut out, new, old, "spec.names.kind");
    }
    immutable(&mut out, new, old, "spec.group");
    immutable(&mut out, new, old, "spec.names.plural");
    stored_versions(&mut out, new);
    approval(&mut out, new, Some(old));
    preserve_unknown_fields(&mut out, &spec);
    out
}

/// `unchanged` tells versions whose schemas need no check.
fn validate_spec(out: &mut Causes, spec: &Place<'_>, old: Option<&Value>, unchanged: impl Fn(&str) -> bool) {
    let known_reviews = old.is_none_or(conversion::has_known_reviews);
    let any_bundle = old.is_some_and(conversion::may_have_any_bundle);
    group(out, spec);
    required_one_of(out, spec, "scope", &["Cluster", "Namespaced"]);
    let all: Vec<Place<'_>> = spec.list("versions").collect();
    let validation = spec.field("validation");
    if !validation.has("openAPIV3Schema") {
        for version in all.iter().filter(|version| !version.field("schema").has("openAPIV3Schema")) {
            out.push(Cause::required(version.field("schema").of("openAPIV3Schema"), ""));
        }
    }
    let each_has_subresources = all.iter().any(|version| version.has("subresources"));
    let has_status = |at: &Place<'_>| at.field("subresources").has("status");
    for version in &all {
        let wrong = names::dns_1035_label(version.text("name"));
        if !wrong.is_empty() {
            let value = Value::from(version.text("name"));
            out.push(Cause::invalid(version.of("name"), &value, &wrong.join(",")));
        }
        let status = has_status(if each_has_subresources { version } else { spec });
        versions::validate(out, version, status, unchanged(version.text("name")));
    }
    let mut invalid = |detail: &str| {
        let list = Part::Versions.text(&spec.value["versions"]);
        let message = format!("Invalid value: {list}: {detail}");
        out.push(Cause::new(CauseReason::FieldValueInvalid, spec.of("versions"), message));
    };
    let mut seen: Vec<&str> = all.iter().map(|v| v.text("name")).collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        invalid("must contain unique version names");
    }
    if all.iter().filter(|v| v.flag("storage")).count() != 1 {
        invalid("must have exactly one version marked as storage version");
    }
    let first = spec.field("version");
    let wrong = names::dns_1035_label(first.as_text());
    if !first.as_text().is_empty() && !wrong.is_empty() {
        out.push(Cause::invalid(first.path.clone(), first.value, &wrong.join(",")));
    }
    validate_names(out, &spec.field("names"));
    let any_status = has_status(spec) || all.iter().any(has_status);
    versions::schema(out, &validation, any_status, unchanged(first.as_text()));
    versions::subresources(out, &spec.field("subresources"));
    versions::columns(out, spec);
    if spec.list("selectableFields").next().is_some() {
        if validation.value.is_null() {
            let detail = "may only be set when validations.schema is included";
            out.push(Cause::invalid(spec.of("selectableFields"), &Value::from(""), detail));
        } else {
            selectable::validate(out, spec, &validation.value["openAPIV3Schema"]);
        }
    }
    conversion::validate(out, &spec.field("conversion"), known_reviews, any_bundle);
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

fn preserve_unknown_fields(out: &mut Causes, spec: &Place<'_>) {
    if spec.flag("preserveUnknownFields") {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                      spec.versions[*].schema instead";
        out.push(Cause::invalid(spec.of("preserveUnknownFields"), &Value::Bool(true), detail));
    }
}

fn stored_versions(out: &mut Causes, crd: &Value) {
    let stored = crd["status"]["storedVersions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if stored.is_empty() {
        let detail = "must have at least one stored version";
        out.push(Cause::invalid("status.storedVersions", &Value::Null, detail));
        return;
    }
    let named = |name: &Value| super::versions(crd).iter().any(|version| version["name"] == *name);
    for storage in super::versions(crd).iter().filter(|version| version["storage"] == true) {
        if !stored.contains(&storage["name"]) {
            let detail = format!("must have the storage version {}", storage["name"].as_str().unwrap_or(""));
            out.push(Cause::invalid("status.storedVersions", &Value::from(stored), &detail));
        }
    }
    for (index, version) in stored.iter().enumerate().filter(|(_, version)| !named(version)) {
        let name = version.as_str().unwrap_or("");
        let detail = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
             until a storage migration ensures no data remains persisted in {name} and removes {name} from \
             status.storedVersions"
        );
        out.push(Cause::invalid(format!("status.storedVersions[{index}]"), version, &detail));
    }
}

fn validate_names(out: &mut Causes, names: &Place<'_>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        require(out, names, field);
    }
    let label = |out: &mut Causes, at: Place<'_>| {
        let wrong = names::dns_1035_label(at.as_text());
        if !wrong.is_empty() {
            let value = Value::from(at.as_text());
            out.push(Cause::invalid(at.path, &value, &wrong.join(",")));
        }
    };
    for field in ["plural", "singular"].into_iter().filter(|field| !names.lacks(field)) {
        label(out, names.field(field));
    }
    for field in ["kind", "listKind"].into_iter().filter(|field| !names.lacks(field)) {
        let at = names.field(field);
        let wrong = names::dns_1035_label(&at.as_text().to_lowercase());
        if !wrong.is_empty() {
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

/// Groups of the Kubernetes community need its approval (KEP-1111). What stands as it did needs none.
fn approval(out: &mut Causes, crd: &Value, old: Option<&Value>) {
    let group = crd["spec"]["group"].as_str().unwrap_or("");
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group == *domain || group.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')));
    let state = Approval::of(crd);
    if !protected || old.is_some_and(|old| Approval::of(old) == state) {
        return;
    }
    let field = format!("metadata.annotations[{APPROVAL}]");
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    match state {
        Approval::Missing => {
            let detail = format!("protected groups must have approval annotation \"{APPROVAL}\", {see}");
            out.push(Cause::required(field, &detail));
        }
        Approval::Invalid => {
            let detail = format!(
                "protected groups must have approval annotation \"{APPROVAL}\" with either a URL or a reason \
                 starting with \"unapproved\", {see}"
            );
            out.push(Cause::invalid(field, &crd["metadata"]["annotations"][APPROVAL], &detail));
        }
        Approval::Bypassed | Approval::Given => {}
    }
}

#[derive(PartialEq, Eq)]
enum Approval {
    Missing,
    Invalid,
    Bypassed,
    Given,
}

impl Approval {
    fn of(crd: &Value) -> Approval {
        match crd["metadata"]["annotations"][APPROVAL].as_str().unwrap_or("") {
            "" => Approval::Missing,
            text if text.starts_with("unapproved") => Approval::Bypassed,
            text => match text.split_once("://") {
                Some((scheme, host)) if !scheme.is_empty() && !host.is_empty() => Approval::Given,
                _ => Approval::Invalid,
            },
        }
    }
}
