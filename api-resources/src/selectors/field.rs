//! Field selectors, and the values that they select by.

use super::SelectorError;
use crate::json_path;
use crate::resource::{Read, ResourceRow};
use api_types::ObjectName;
use compact_str::CompactString;
use serde_json::Value;
use std::fmt;

/// Terms that must all hold; without any it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// One term: `status.phase!=Pending`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field.
    pub field: CompactString,
    /// True for `=` and `==`, false for `!=`.
    pub equal: bool,
    /// What it is compared with.
    pub value: CompactString,
}

/// Kinds that refuse fields in words of their own: group, kind, refusal.
type Refusal = (&'static str, &'static str, fn(&str) -> String);
const REFUSALS: &[Refusal] = &[
    ("batch", "Job", |field| format!("field label {field:?} not supported for Job")),
    ("resource.k8s.io", "ResourceSlice", |field| {
        format!("field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {field}")
    }),
];

impl FieldSelector {
    /// Parses the text of a `fieldSelector` parameter. `\` escapes `,`, `=` and itself in values.
    ///
    /// # Errors
    /// In Kubernetes' words. Whether the fields are known is said by [`FieldSelector::check`].
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut parts = split(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let Some((field, equal, value)) = operator(part) else {
                return Err(SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            terms.push(FieldTerm { field: field.into(), equal, value: unescape(value)? });
        }
        Ok(FieldSelector { terms })
    }

    /// Refuses fields that the resource does not select by.
    ///
    /// # Errors
    /// `field label not supported: spec.bogus`, or, of built-in kinds with no fields of their own, which fields all have.
    pub fn check(&self, row: &ResourceRow) -> Result<(), SelectorError> {
        // Those select by both names, also where there is no namespace.
        let plain = row.selectable_fields.is_empty() && !row.is_custom();
        let known = |field: &str| {
            field == "metadata.name"
                || (field == "metadata.namespace" && (row.namespaced || plain))
                || row.selectable_fields.iter().any(|f| f.path == field)
        };
        let Some(term) = self.terms.iter().find(|term| !known(&term.field)) else { return Ok(()) };
        let field = term.field.as_str();
        let own = REFUSALS.iter().find(|(group, kind, _)| row.group == *group && row.kind == *kind);
        Err(SelectorError(match own {
            Some((_, _, refusal)) => refusal(field),
            None if plain => format!(
                "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            ),
            None => format!("field label not supported: {field}"),
        }))
    }

    /// The same selector with the names under which stored objects have the values.
    #[must_use]
    pub fn stored(mut self, row: &ResourceRow) -> Self {
        self.terms.iter_mut().for_each(|term| term.field = row.stored_field(&term.field).into());
        self
    }

    /// True when it selects everything.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The terms.
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// The name that all selected objects have, when there is a term for it.
    pub fn name(&self) -> Option<&str> {
        self.terms.iter().find(|t| t.equal && t.field == "metadata.name").map(|t| t.value.as_str())
    }

    /// True when an object is selected: by its name, and its values as `Meta::fields` has them ([`fields_of`]). A
    /// field without a value reads as empty.
    pub fn matches(&self, object: &ObjectName, fields: &[(CompactString, CompactString)]) -> bool {
        self.terms.iter().all(|term| {
            let value = match term.field.as_str() {
                "metadata.name" => object.name.as_str(),
                "metadata.namespace" => object.namespace.as_str(),
                field => fields.iter().find(|(f, _)| f == field).map_or("", |(_, v)| v.as_str()),
            };
            (value == term.value) == term.equal
        })
    }
}

/// As Kubernetes writes it; parses back to the same selector.
impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if term.equal { "=" } else { "!=" };
            let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{}{operator}{value}", term.field)?;
        }
        Ok(())
    }
}

/// The values of an object that field selectors can name, for `Meta::fields`: under the names of the resource that it
/// is stored as. The object is in its stored version.
pub fn fields_of(row: &ResourceRow, object: &Value) -> Vec<(CompactString, CompactString)> {
    let read = |read: &Read| match read {
        Read::Code(code) => CompactString::from(code(object)),
        Read::Path(path) => json_path::text(object, path).into(),
    };
    let own = if row.kept_fields.is_empty() { &row.selectable_fields } else { &row.kept_fields };
    let fields = row.alias_of.as_ref().map_or(own, |alias| &alias.selectable_fields);
    fields.iter().map(|field| (field.path.clone(), read(&field.read))).collect()
}

/// The parts between commas that are not escaped.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Field, whether equal, value.
fn operator(part: &str) -> Option<(&str, bool, &str)> {
    // A `!` alone belongs to the field, as in Kubernetes.
    let starts = |at: usize| part[at..].starts_with('=') || part[at..].starts_with("!=");
    let at = part.char_indices().map(|(at, _)| at).find(|at| starts(*at))?;
    let (field, rest) = part.split_at(at);
    for (text, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some(value) = rest.strip_prefix(text) {
            return Some((field, equal, value));
        }
    }
    None
}

fn unescape(value: &str) -> Result<CompactString, SelectorError> {
    let mut out = CompactString::default();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(SelectorError(format!(
                        "invalid field selector: invalid escape sequence: {sequence}"
                    )));
                }
            },
            ',' | '=' => {
                // Kubernetes prints the character's number.
                let number = u32::from(c);
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: {number}"
                )));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, PlaneKind};
    use proptest::prelude::*;
    use serde_json::json;

    fn pods() -> std::sync::Arc<ResourceRow> {
        Catalog::of(PlaneKind::Tenant).resource("", "pods").unwrap()
    }

    #[test]
    fn pods_are_selected_by_their_fields() {
        let pod = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": "node-1"},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]}});
        let fields = fields_of(&pods(), &pod);
        for (text, expected) in [
            ("", true),
            ("metadata.name=p,status.phase!=Pending", true),
            ("metadata.name==q", false),
            ("metadata.namespace=n", true),
            ("spec.nodeName=node-1", true),
            ("spec.host=node-1", true),
            ("spec.nodeName=", false),
            ("spec.hostNetwork=false", true),
            ("status.podIP=10.0.0.1", true),
            ("status.nominatedNodeName=", true),
        ] {
            let selector = FieldSelector::parse(text).unwrap();
            selector.check(&pods()).unwrap();
            assert_eq!(selector.matches(&ObjectName::new("n", "p"), &fields), expected, "{text}");
        }
        assert_eq!(FieldSelector::parse("metadata.name=p").unwrap().name(), Some("p"));
        assert_eq!(FieldSelector::parse("metadata.name!=p").unwrap().name(), None);
    }

    #[test]
    fn what_is_wrong_is_said_in_kubernetes_words() {
        for (text, message) in [
            ("spec.bogus=1", "field label not supported: spec.bogus"),
            ("what", "invalid selector: 'what'; can't understand 'what'"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            ("a=b\\c", "invalid field selector: invalid escape sequence: \\c"),
        ] {
            let error = FieldSelector::parse(text).and_then(|s| s.check(&pods())).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let maps = Catalog::of(PlaneKind::Super).resource("", "configmaps").unwrap();
        let error = FieldSelector::parse("data=x").unwrap().check(&maps).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"data\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        for (group, plural, field, message) in [
            ("batch", "jobs", "data", "field label \"data\" not supported for Job"),
            (
                "resource.k8s.io",
                "resourceslices",
                "metadata.namespace",
                "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: metadata.namespace",
            ),
        ] {
            let row = Catalog::of(PlaneKind::Super).resource(group, plural).unwrap();
            let error = FieldSelector::parse(&format!("{field}=x")).unwrap().check(&row).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let volumes = Catalog::of(PlaneKind::Super).resource("", "persistentvolumes").unwrap();
        let selector = FieldSelector::parse("metadata.namespace!=x").unwrap();
        selector.check(&volumes).unwrap();
        assert!(selector.matches(&ObjectName::cluster("v"), &[]));
        let nodes = Catalog::of(PlaneKind::Super).resource("", "nodes").unwrap();
        let error = FieldSelector::parse("metadata.namespace=x").unwrap().check(&nodes).unwrap_err();
        assert_eq!(error.to_string(), "field label not supported: metadata.namespace");
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(terms in proptest::collection::vec(
            ("[a-z.]{1,8}", any::<bool>(), "[a-z=,\\\\!]{0,6}"), 0..4)) {
            let mut terms: Vec<FieldTerm> = terms.into_iter()
                .map(|(field, equal, value)| FieldTerm { field: field.into(), equal, value: value.into() })
                .collect();
            let text = FieldSelector { terms: terms.clone() }.to_string();
            let mut parsed = FieldSelector::parse(&text).unwrap().terms;
            let order = |t: &FieldTerm| (t.field.clone(), t.equal, t.value.clone());
            parsed.sort_by_key(order);
            terms.sort_by_key(order);
            prop_assert_eq!(parsed, terms);
        }
    }
}
