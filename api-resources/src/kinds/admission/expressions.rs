//! Expressions of guards: what they may name, and what is wrong with them.

use crate::kinds::place::{Causes, Place, invalid_all, require};
use crate::names;
use api_schema::cel::{Declared, Expression, Gives, NOT_INSTANTIATED, RESERVED};
use api_types::{Cause, CauseReason};

/// What match conditions of webhooks may name.
pub const CONDITION_NAMES: &[&str] = &["object", "oldObject", "request", "authorizer"];
/// What expressions of policies may name; `params` only when the policy has parameters.
pub const POLICY_NAMES: &[&str] =
    &["object", "oldObject", "request", "namespaceObject", "authorizer", "params"];
/// The most match conditions.
const MAX_CONDITIONS: usize = 64;

/// Says what is wrong with an expression that is there. Gives the type of what it gives, where that can be told.
pub(super) fn expression(
    out: &mut Causes,
    at: &Place<'_>,
    declared: Declared<'_>,
    gives: Gives,
) -> Option<String> {
    match Expression::compile(at.as_text(), declared, gives) {
        Ok(compiled) => Some(compiled.of),
        Err(why) => {
            out.push(match why.starts_with(NOT_INSTANTIATED) {
                true => {
                    Cause::new(CauseReason::InternalError, at.path.as_str(), format!("Internal error: {why}"))
                }
                false => Cause::invalid(&at.path, at.value, &why),
            });
            None
        }
    }
}

/// The same for one that has to be there.
pub(super) fn required(
    out: &mut Causes,
    at: &Place<'_>,
    field: &str,
    missing: &str,
    declared: Declared<'_>,
    gives: Gives,
) -> Option<String> {
    if at.text(field).trim().is_empty() {
        out.push(Cause::required(at.of(field), missing));
        return None;
    }
    expression(out, &at.field(field), declared, gives)
}

/// The conditions of a webhook or policy: named, and true or false.
pub(super) fn conditions(out: &mut Causes, at: &Place<'_>, names_there: &[&str]) {
    let count = at.list("matchConditions").count();
    if count > MAX_CONDITIONS {
        let message = format!("Too many: {count}: must have at most {MAX_CONDITIONS} items");
        out.push(Cause::new(CauseReason::FieldValueTooMany, at.of("matchConditions"), message));
    }
    let declared = Declared { names: names_there, ..Declared::default() };
    let mut seen: Vec<&str> = Vec::new();
    for condition in at.list("matchConditions") {
        required(out, &condition, "expression", "", declared, Gives::Bool);
        let name = condition.text("name");
        if require(out, &condition, "name") {
            invalid_all(out, &condition.of("name"), name, names::qualified_name(name));
            if seen.contains(&name) {
                out.push(Cause::duplicate(condition.of("name"), &name.into()));
            }
            seen.push(name);
        }
    }
}

/// The variables of a policy: their names, and the types of what they give.
#[derive(Default)]
pub(super) struct Variables<'a> {
    names: Vec<&'a str>,
    types: Vec<String>,
}

impl Variables<'_> {
    /// What expressions may name beside them.
    pub fn with<'b>(&'b self, names: &'b [&'b str], constructs: bool) -> Declared<'b> {
        Declared { names, own: &self.names, types: &self.types, composed: false, constructs }
    }
}

/// The variables of a policy, each of which may read those before it.
pub(super) fn variables<'a>(
    out: &mut Causes,
    at: &Place<'a>,
    names_there: &[&str],
    constructs: bool,
) -> Variables<'a> {
    let mut own = Variables::default();
    for variable in at.list("variables") {
        let name = variable.text("name");
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.trim().is_empty() {
            out.push(Cause::required(variable.of("name"), "name is not specified"));
        } else if name.starts_with(|c: char| c.is_ascii_digit())
            || !name.chars().all(letters)
            || RESERVED.contains(&name)
        {
            out.push(Cause::invalid(variable.of("name"), &name.into(), "must be a valid CEL identifier"));
        }
        let declared = Declared { composed: true, ..own.with(names_there, constructs) };
        let missing = "expression is not specified";
        let of = required(out, &variable, "expression", missing, declared, Gives::Any);
        own.names.push(name);
        own.types.push(of.unwrap_or_else(|| "dyn".to_owned()));
    }
    own
}
