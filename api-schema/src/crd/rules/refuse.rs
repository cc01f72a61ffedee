//! What is refused of rules when they are written: expressions whose types do not fit, that cost too much, or that cannot
//! have an old value. Stored definitions are not asked again: what may run is bounded when it runs.

use super::compile::{MAX_NESTING, MAX_TEXT, PARSER_STACK, go_rule, nesting};
use super::typed::{self, Typed};
use crate::crd::schema::{Rule, Schema};
use api_types::{Cause, CauseReason};

/// The most that one rule may cost for all places where it applies.
const RULE_LIMIT: u64 = 10_000_000;
/// The most for all rules of a schema.
const SCHEMA_LIMIT: u64 = 100_000_000;
/// So many of the dearest rules are told.
const TOLD: usize = 4;

/// The defects of all rules of a schema at `path`.
pub(in crate::crd) fn check(schema: &Schema, path: &str) -> Vec<Cause> {
    if !schema.any(|s| !s.rules.is_empty()) {
        return Vec::new();
    }
    // On a thread of its own, since a long rule would overflow the stack of the caller's.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("rules".into())
            .stack_size(PARSER_STACK)
            .spawn_scoped(scope, || check_here(schema, path));
        let failed = |why: String| {
            let message = format!("Internal error: the rules could not be checked: {why}");
            vec![Cause::new(CauseReason::InternalError, path, message)]
        };
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(causes)) => causes,
            Ok(Err(_)) => failed("the checker failed".into()),
            Err(error) => failed(error.to_string()),
        }
    })
}

fn check_here(schema: &Schema, path: &str) -> Vec<Cause> {
    let mut checker = Checker::default();
    checker
        .schema(schema, Place { path: path.to_owned(), times: Some(1), uncorrelated: None, resource: true });
    if checker.total > SCHEMA_LIMIT {
        checker.dear.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        for (field, _) in checker.dear.iter().take(TOLD) {
            let why =
                "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            checker.causes.push(Cause::forbidden(field, why));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        checker.causes.push(Cause::forbidden(path, &over_budget(what, checker.total, SCHEMA_LIMIT)));
    }
    checker.causes
}

#[derive(Default)]
struct Checker {
    causes: Vec<Cause>,
    total: u64,
    /// Rules that cost more than a hundredth of what all may, and how much.
    dear: Vec<(String, u64)>,
}

/// Where in the schema a rule is.
#[derive(Clone)]
struct Place {
    path: String,
    /// How often it applies at most; `None`: nothing says so.
    times: Option<u64>,
    /// The list around it whose elements cannot be told apart between old and new.
    uncorrelated: Option<String>,
    resource: bool,
}

impl Checker {
    fn schema(&mut self, schema: &Schema, place: Place) {
        if !schema.rules.is_empty() && !typed::is_declared(schema) {
            let why = "Internal error: internal error: failed to construct type information for x-kubernetes-validations \
                       rules: unable to convert structural schema to CEL declarations";
            let field = format!("{}.x-kubernetes-validations", place.path);
            self.causes.push(Cause::new(CauseReason::InternalError, field, why));
            return;
        }
        for (at, rule) in schema.rules.iter().enumerate() {
            let path = format!("{}.x-kubernetes-validations[{at}]", place.path);
            self.rule(rule, schema, &place, &path);
        }
        let times = place.times.zip(typed::increase(schema)).map(|(times, by)| times.saturating_mul(by));
        let below =
            |path: String, below: &Schema| Place { path, times, resource: below.embedded, ..place.clone() };
        for (name, property) in &schema.properties {
            self.schema(property, below(format!("{}.properties[{name}]", place.path), property));
        }
        if let Some(values) = schema.additional_schema() {
            self.schema(values, below(format!("{}.additionalProperties", place.path), values));
        }
        if let Some(items) = &schema.items {
            let mut place = below(format!("{}.items", place.path), items);
            if schema.list_type.as_deref() != Some("map") {
                place.uncorrelated = Some(place.path.trim_end_matches(".items").to_owned());
            }
            self.schema(items, place);
        }
    }

    fn rule(&mut self, rule: &Rule, schema: &Schema, place: &Place, path: &str) {
        let field = format!("{path}.rule");
        let invalid = |field: &str, why: &str| {
            let message = format!("Invalid value: {}: {why}", go_rule(rule));
            Cause::new(CauseReason::FieldValueInvalid, field, message)
        };
        let typed = |text: &str| -> Result<Option<Typed>, String> {
            if text.len() > MAX_TEXT || nesting(text) > MAX_NESTING {
                // Told when it is compiled.
                return Ok(None);
            }
            let optional = rule.optional_old_self == Some(true);
            typed::check(text, schema, place.resource, optional).transpose()
        };
        let times = place.times.unwrap_or_else(|| typed::cardinality(schema));
        let mut uses_old = false;
        match typed(&rule.rule) {
            Err(why) => self.causes.push(invalid(&field, &format!("compilation failed: {why}"))),
            Ok(Some(found)) if !found.is_bool => {
                self.causes.push(invalid(&field, "cel expression must evaluate to a bool"));
            }
            Ok(found) => {
                let cost = found.as_ref().map_or(0, |found| found.cost.saturating_mul(times));
                self.count(&field, "estimated rule cost", cost);
                // What cannot be read here is looked at as a text.
                uses_old =
                    found.as_ref().map_or_else(|| rule.rule.contains("oldSelf"), |found| found.uses_old);
                if !rule.message_expression.is_empty() {
                    let field = format!("{path}.messageExpression");
                    match typed(&rule.message_expression) {
                        Err(why) => {
                            let why = format!("messageExpression compilation failed: {why}");
                            self.causes.push(invalid(&field, &why));
                        }
                        Ok(Some(found)) if !found.is_text => {
                            self.causes.push(invalid(&field, "messageExpression must evaluate to a string"));
                        }
                        Ok(found) => {
                            let cost = found.map_or(0, |found| found.cost);
                            self.count(&field, "estimated messageExpression cost", cost);
                        }
                    }
                }
            }
        }
        match (uses_old, &place.uncorrelated, rule.optional_old_self) {
            (true, Some(list), _) => {
                let why = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {list}"
                );
                self.causes.push(Cause::invalid(field, &rule.rule.as_str().into(), &why));
            }
            (false, _, Some(optional)) => {
                let why = "may not be set if oldSelf is not used in rule";
                self.causes.push(Cause::invalid(format!("{path}.optionalOldSelf"), &optional.into(), why));
            }
            _ => {}
        }
    }

    fn count(&mut self, field: &str, what: &str, cost: u64) {
        self.total = self.total.saturating_add(cost);
        if cost > RULE_LIMIT {
            self.causes.push(Cause::forbidden(field, &over_budget(what, cost, RULE_LIMIT)));
        }
        if cost >= SCHEMA_LIMIT / 100 {
            self.dear.push((field.to_owned(), cost));
        }
    }
}

/// The same number as a float, which is exact for all that are told.
fn float(number: u64) -> f64 {
    let half = |half: u64| u32::try_from(half).map_or(0.0, f64::from);
    half(number >> 32) * 2f64.powi(32) + half(number & u64::from(u32::MAX))
}

fn over_budget(what: &str, cost: u64, limit: u64) -> String {
    let factor = float(cost) / float(limit);
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, \
         and maxLength where arrays, maps, and strings are declared)"
    )
}
