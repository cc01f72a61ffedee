//! Whether a value has what its schema asks for, in the words of Kubernetes' OpenAPI validation.

use super::number::{is_listed, is_multiple};
use super::schema::{Additional, Schema};
use super::{format, pattern};
use crate::strategic::go_format;
use api_types::go_float;
use api_types::{Cause, CauseReason};
use serde_json::Value;
use std::collections::HashSet;

/// The defects of a value of this schema. What equals `old` is not looked at: what was stored before may stay
/// as it is (KEP-4008). The fields of the causes begin with `prefix`; their messages do not, as in Kubernetes.
pub(super) fn check(value: &Value, old: Option<&Value>, schema: &Schema, prefix: &str) -> Vec<Cause> {
    let report = schema_at(value, old, schema, &mut String::new());
    let located = report.defects.into_iter().map(|d| {
        let mut cause = d.cause;
        cause.field = match (prefix, cause.field.as_str()) {
            ("", _) => cause.field,
            (prefix, "" | "<nil>") => prefix.to_owned(),
            (prefix, below) => format!("{prefix}.{below}"),
        };
        cause
    });
    located.collect()
}

/// What is wrong with any value whose schema has a type that there is not.
pub(super) fn of_unknown_type(value: &Value, schema: &Schema, field: &str) -> Option<Cause> {
    let unknown = !schema.kind.is_empty() && !schema.int_or_string && schema.types().is_empty();
    let got = type_of(value);
    let message = format!("Invalid value: {got:?}:  in body must be of type {}: {got:?}", schema.kind);
    unknown.then(|| Cause::new(CauseReason::FieldValueTypeInvalid, field, message))
}

/// The most defects that are reported: an object can have millions.
const MAX_DEFECTS: usize = 1000;

/// The whole error of a defect, by which repetitions are known, and what the client is told.
struct Defect {
    text: String,
    cause: Cause,
}

/// The defects, and how much was looked at: of several alternatives that fail, the one that got furthest is
/// reported.
#[derive(Default)]
struct Report {
    defects: Vec<Defect>,
    matched: usize,
}

impl Report {
    /// Adds what was found in the same value by another schema, leaving out repetitions.
    fn merge(&mut self, other: Report) {
        self.matched += other.matched;
        if self.defects.is_empty() {
            self.defects = other.defects;
            return;
        }
        let known: HashSet<String> = self.defects.iter().map(|d| d.text.clone()).collect();
        self.defects.extend(other.defects.into_iter().filter(|d| !known.contains(&d.text)));
    }

    /// Adds what was found below, which cannot repeat what was found here.
    fn append(&mut self, below: Report) {
        self.matched += below.matched;
        self.defects.extend(below.defects);
    }

    fn add(&mut self, path: &str, problem: Problem<'_>) {
        self.defects.push(problem.at(path));
    }

    /// True when enough was found to stop looking.
    fn is_full(&self) -> bool {
        self.defects.len() >= MAX_DEFECTS
    }
}

/// One kind of defect with what its message needs.
enum Problem<'a> {
    Type {
        wanted: String,
        got: &'a str,
    },
    Format {
        wanted: &'a str,
        got: &'a str,
    },
    Required,
    Enum {
        value: &'a Value,
        values: &'a [Value],
    },
    TooLong(i64),
    TooManyItems {
        most: i64,
        has: usize,
    },
    TooManyProperties {
        most: i64,
        has: usize,
    },
    /// Any other: what follows `PATH in body`.
    Other {
        value: Value,
        says: String,
    },
    /// Without a field, as Kubernetes reports what a combinator or a number's range says.
    Bare(String),
}

impl Problem<'_> {
    fn at(self, path: &str) -> Defect {
        // A field at the root is called `.name` inside messages.
        let field = path.strip_prefix('.').unwrap_or(path);
        let body = |says: &str| format!("{path} in body {says}");
        let quoted = |text: &str| Value::from(text).to_string();
        let (text, cause) = match self {
            Problem::Type { wanted, got } => {
                let text = body(&format!("must be of type {wanted}: {}", quoted(got)));
                let message = format!("Invalid value: {}: {text}", quoted(got));
                (text, Cause::new(CauseReason::FieldValueTypeInvalid, field, message))
            }
            Problem::Format { wanted, got } => {
                let text = body(&format!("must be of type {wanted}: {}", quoted(got)));
                let message = format!("Invalid value: {}: {text}", quoted(got));
                (text, Cause::new(CauseReason::FieldValueTypeInvalid, field, message))
            }
            Problem::Required => (body("is required"), Cause::required(field, "")),
            Problem::Enum { value, values } => {
                let shown: Vec<String> = values.iter().map(go_format).collect();
                let allowed: Vec<String> =
                    values.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
                let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
                (
                    body(&format!("should be one of [{}]", shown.join(" "))),
                    Cause::not_supported(field, value, &allowed),
                )
            }
            Problem::TooLong(most) => (
                body(&format!("should be at most {most} chars long")),
                Cause::too_long(field, usize::try_from(most).unwrap_or(0)),
            ),
            Problem::TooManyItems { most, has } => {
                (body(&format!("should have at most {most} items")), too_many(field, most, has))
            }
            Problem::TooManyProperties { most, has } => {
                (body(&format!("should have at most {most} properties")), too_many(field, most, has))
            }
            Problem::Other { value, says } => {
                let text = body(&says);
                let cause = Cause::invalid(field, &value, &text);
                (text, cause)
            }
            Problem::Bare(text) => {
                let cause = Cause::invalid("<nil>", &"".into(), &text);
                (text, cause)
            }
        };
        Defect { text, cause }
    }
}

fn too_many(field: &str, most: i64, has: usize) -> Cause {
    let items = if most == 1 { "item" } else { "items" };
    Cause::new(
        CauseReason::FieldValueTooMany,
        field,
        format!("Too many: {has}: must have at most {most} {items}"),
    )
}

/// The largest whole number up to which 64-bit floats have all.
const MAX_WHOLE: f64 = 9_007_199_254_740_991.0;

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if !n.is_i64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn schema_at(value: &Value, old: Option<&Value>, schema: &Schema, path: &mut String) -> Report {
    let mut report = Report::default();
    if old == Some(value) {
        return report;
    }
    let types = schema.types();
    if value.is_null() {
        if !types.is_empty() && !schema.nullable {
            report.add(path, Problem::Type { wanted: types.join(","), got: "null" });
        }
        values(value, schema, path, &mut report);
        return report;
    }
    let format = schema.format.as_str();
    let format = if format::is_supported(schema_kind(schema), format) { format } else { "" };
    if !types.is_empty() || !format.is_empty() {
        report.matched += 1;
        typed(value, types, format, path, &mut report);
    }
    combined(value, schema, path, &mut report);
    report.matched += 1;
    match value {
        Value::String(text) => {
            string(text, schema, path, &mut report);
            report.matched += 1;
            if let Some(check) = format::check(format).filter(|_| !format.is_empty()) {
                report.matched += 1;
                if !check(text) {
                    report.add(path, Problem::Format { wanted: format, got: text });
                }
            }
        }
        Value::Number(_) => {
            number(value, schema, format, path, &mut report);
            report.matched += 2;
        }
        Value::Array(items) => {
            array(items, old, schema, path, &mut report);
            report.matched += 2;
        }
        _ => {}
    }
    values(value, schema, path, &mut report);
    report.matched += 1;
    if value.is_object() {
        object(value, old, schema, path, &mut report);
        report.matched += 1;
    }
    report.matched += 1;
    report
}

fn schema_kind(schema: &Schema) -> &str {
    // A value that may be an integer or a string has no format.
    if schema.int_or_string { "int-or-string" } else { &schema.kind }
}

fn typed(value: &Value, types: &[&str], format: &str, path: &str, report: &mut Report) {
    let got = type_of(value);
    // Beyond this, a number with a fraction cannot tell whole numbers apart.
    let whole = value.is_f64() && value.as_f64().is_some_and(|f| f.fract() == 0.0 && f.abs() <= MAX_WHOLE);
    let fits = types.contains(&got)
        || (whole && types.contains(&"integer"))
        || (got == "integer" && types.contains(&"number"));
    if fits {
        return;
    }
    let text_or_list = value.is_string() || value.is_array();
    let numeric = types.contains(&"number") || types.contains(&"integer");
    if !format.is_empty() && !text_or_list {
        let got = match got {
            "integer" => "int64",
            "number" => "float64",
            _ => "",
        };
        report.add(path, Problem::Type { wanted: format.to_owned(), got });
    } else if !(!format.is_empty() && !numeric && text_or_list) {
        report.add(path, Problem::Type { wanted: types.join(","), got });
    }
}

fn values(value: &Value, schema: &Schema, path: &str, report: &mut Report) {
    let Some(allowed) = schema.values.as_deref().filter(|v| !v.is_empty()) else { return };
    // Null is never one of them, even where it is listed.
    if value.is_null() || !allowed.iter().any(|v| is_listed(v, value)) {
        report.add(path, Problem::Enum { value, values: allowed });
    }
}

fn combined(value: &Value, schema: &Schema, path: &mut String, report: &mut Report) {
    if !schema.any_of.is_empty() {
        let mut best: Option<Report> = None;
        let mut valid = None;
        for branch in &schema.any_of {
            let tried = schema_at(value, None, branch, path);
            if tried.defects.is_empty() {
                valid = Some(tried);
                break;
            }
            if best.as_ref().is_none_or(|b| tried.matched > b.matched) {
                best = Some(tried);
            }
        }
        if valid.is_none() {
            report.add(path, Problem::Bare(format!("{path:?} must validate at least one schema (anyOf)")));
        }
        report.merge(valid.or(best).unwrap_or_default());
    }
    if !schema.one_of.is_empty() {
        one_of(value, schema, path, report);
    }
    if !schema.all_of.is_empty() {
        let mut valid = 0;
        for branch in &schema.all_of {
            let tried = schema_at(value, None, branch, path);
            valid += usize::from(tried.defects.is_empty());
            report.merge(tried);
        }
        if valid != schema.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            report.add(path, Problem::Bare(format!("{path:?} must validate all the schemas (allOf){none}")));
        }
    }
    if let Some(not) = &schema.not
        && schema_at(value, None, not, path).defects.is_empty()
    {
        report.add(path, Problem::Bare(format!("{path:?} must not validate the schema (not)")));
    }
    report.matched += 1;
}

fn one_of(value: &Value, schema: &Schema, path: &mut String, report: &mut Report) {
    let mut best: Option<Report> = None;
    let mut first = None;
    let mut valid = 0;
    for branch in &schema.one_of {
        let tried = schema_at(value, None, branch, path);
        if tried.defects.is_empty() {
            valid += 1;
            best = None;
            first.get_or_insert(tried);
        } else if valid == 0 && best.as_ref().is_none_or(|b| tried.matched > b.matched) {
            best = Some(tried);
        }
    }
    if valid == 1 {
        report.merge(first.unwrap_or_default());
        return;
    }
    let found =
        if valid == 0 { "Found none valid".to_owned() } else { format!("Found {valid} valid alternatives") };
    report
        .add(path, Problem::Bare(format!("{path:?} must validate one and only one schema (oneOf). {found}")));
    report.merge(best.unwrap_or_default());
}

fn string(text: &str, schema: &Schema, path: &str, report: &mut Report) {
    let limits = &schema.limits;
    // Of these, the first is reported.
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let other = |says| Problem::Other { value: text.into(), says };
    if let Some(most) = limits.max_length.filter(|most| length > *most) {
        report.add(path, Problem::TooLong(most));
    } else if let Some(least) = limits.min_length.filter(|least| length < *least) {
        report.add(path, other(format!("should be at least {least} chars long")));
    } else if let Some(pattern) = &schema.pattern {
        let says = match pattern::matches(pattern, text) {
            Ok(true) => return,
            Ok(false) => format!("should match '{pattern}'"),
            Err(why) => format!("should match '{pattern}, but pattern is invalid: {why}'"),
        };
        report.add(path, other(says));
    }
}

fn number(value: &Value, schema: &Schema, format: &str, path: &str, report: &mut Report) {
    let limits = &schema.limits;
    let Some(n) = value.as_f64() else { return };
    if let Some(text) = out_of_range(value, n, &schema.kind, format, path) {
        report.add(path, Problem::Bare(text));
    }
    let other = |says| Problem::Other { value: value.clone(), says };
    if let Some(factor) = limits.multiple_of {
        // Integers divide by the whole part of the factor.
        let factor = if value.is_i64() { factor.trunc() } else { factor };
        if factor <= 0.0 {
            let text = format!(
                "factor MultipleOf declared for {path} must be positive: {}",
                go_float::printed(factor)
            );
            let shown = serde_json::json!(go_float::printed(factor).parse::<i64>().unwrap_or(0));
            let cause = Cause::invalid(path, &shown, &text);
            report.defects.push(Defect { text, cause });
        } else if !is_multiple(value, n, factor) {
            report.add(path, other(format!("should be a multiple of {}", go_float::printed(factor))));
        }
    }
    // Integers are compared with the whole part of a bound.
    let bound = |limit: f64| if value.is_i64() { limit.trunc() } else { limit };
    if let Some(least) = limits.minimum.map(bound) {
        let exclusive = limits.exclusive_minimum;
        if n < least || (exclusive && n <= least) {
            let than = if exclusive { "greater than" } else { "greater than or equal to" };
            report.add(path, other(format!("should be {than} {}", go_float::printed(least))));
        }
    }
    if let Some(most) = limits.maximum.map(bound) {
        let exclusive = limits.exclusive_maximum;
        if n > most || (exclusive && n >= most) {
            let than = if exclusive { "less than" } else { "less than or equal to" };
            report.add(path, other(format!("should be {than} {}", go_float::printed(most))));
        }
    }
}

fn out_of_range(value: &Value, n: f64, kind: &str, format: &str, path: &str) -> Option<String> {
    let fits = match (kind, format) {
        ("integer", "int32") => n.fract() == 0.0 && n.abs() <= f64::from(i32::MAX),
        ("integer", _) => value.is_i64() || (n.fract() == 0.0 && n.abs() < 9_223_372_036_854_775_807.0),
        ("number", "float") => n.abs() <= f64::from(f32::MAX),
        _ => true,
    };
    let format =
        if format.is_empty() { " (default format)".to_owned() } else { format!(" with format {format}") };
    (!fits).then(|| format!("Checked value must be of type {kind}{format} in {path}"))
}

fn array(items: &[Value], old: Option<&Value>, schema: &Schema, path: &mut String, report: &mut Report) {
    if let Some(of) = &schema.items {
        for (at, item) in items.iter().enumerate() {
            if report.is_full() {
                return;
            }
            let length = path.len();
            path.push_str(&format!("[{at}]"));
            report.append(schema_at(item, correlated(item, old, schema), of, path));
            path.truncate(length);
        }
    }
    let limits = &schema.limits;
    let size = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(least) = limits.min_items.filter(|least| size < *least) {
        let says = format!("should have at least {least} items");
        report.add(path, Problem::Other { value: size.into(), says });
    }
    if let Some(most) = limits.max_items.filter(|most| size > *most) {
        report.add(path, Problem::TooManyItems { most, has: items.len() });
    }
    if schema.unique_items && items.iter().enumerate().any(|(at, item)| items[..at].contains(item)) {
        report.add(path, Problem::Other { value: "".into(), says: "shouldn't contain duplicates".into() });
    }
}

/// The element of the old list that is the same as this one: the one with the same keys.
pub(super) fn correlated<'v>(item: &Value, old: Option<&'v Value>, schema: &Schema) -> Option<&'v Value> {
    if schema.list_type.as_deref() != Some("map") || schema.list_keys.is_empty() {
        return None;
    }
    old?.as_array()?.iter().find(|old| schema.list_keys.iter().all(|key| old.get(key) == item.get(key)))
}

fn object(value: &Value, old: Option<&Value>, schema: &Schema, path: &mut String, report: &mut Report) {
    let Value::Object(map) = value else { return };
    let limits = &schema.limits;
    let size = i64::try_from(map.len()).unwrap_or(i64::MAX);
    if let Some(least) = limits.min_properties.filter(|least| size < *least) {
        let says = format!("should have at least {least} properties");
        report.add(path, Problem::Other { value: size.into(), says });
    }
    if let Some(most) = limits.max_properties.filter(|most| size > *most) {
        report.add(path, Problem::TooManyProperties { most, has: map.len() });
    }
    let old = |name: &str| old.and_then(|o| o.get(name));
    match &schema.additional {
        Some(Additional::Any(false)) => {
            for name in map.keys().filter(|name| !schema.properties.contains_key(*name)) {
                let text = format!("{path}.{name} in body is a forbidden property");
                let cause = Cause::invalid(path.as_str(), &name.as_str().into(), &text);
                report.defects.push(Defect { text, cause });
            }
        }
        Some(Additional::Of(of)) => {
            for (name, value) in map.iter().filter(|(name, _)| !schema.properties.contains_key(*name)) {
                if report.is_full() {
                    return;
                }
                below(path, name, false, |path| report.append(schema_at(value, old(name), of, path)));
            }
        }
        _ => {}
    }
    for (name, property) in &schema.properties {
        if let Some(value) = map.get(name) {
            below(path, name, true, |path| report.append(schema_at(value, old(name), property, path)));
        }
    }
    for name in schema.required.iter().filter(|name| !map.contains_key(*name)) {
        below(path, name, false, |path| report.add(path, Problem::Required));
    }
}

/// Visits a field. Declared ones at the root have no dot in front of them, others have.
fn below(path: &mut String, name: &str, declared: bool, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    if !(path.is_empty() && declared) {
        path.push('.');
    }
    path.push_str(name);
    visit(path);
    path.truncate(length);
}
