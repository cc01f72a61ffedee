//! How the platform's own kinds are defaulted and validated (`api.md`): one file for each group.
//!
//! Pure functions over objects in their stored version. An option that this release does not have is refused with
//! its name, never ignored.

mod cloud;
mod oam;
mod oidc;
mod required;
mod super_clusters;
mod tenancy;

use crate::kinds;
use crate::kinds::place::Place;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

/// The strategy of one of the platform's kinds.
pub fn strategy(group: &str, kind: &str) -> Strategy {
    let plain = Strategy { generation: true, unconditional_update: true, ..kinds::strategy(group, kind) };
    [tenancy::STRATEGIES, super_clusters::STRATEGIES, cloud::STRATEGIES, oam::STRATEGIES]
        .iter()
        .flat_map(|list| list.iter())
        .find(|(g, k, _)| *g == group && *k == kind)
        .map_or(plain.clone(), |(_, _, rules)| rules.over(plain))
}

/// What a kind adds to the plain strategy.
struct Rules {
    /// Sets what is left out.
    default: fn(&mut Value),
    /// Defects of an object.
    validate_create: fn(&Value) -> Vec<Cause>,
    /// Defects of a change, those of an object included.
    validate_update: fn(&Value, &Value) -> Vec<Cause>,
    /// Defects of the name; `None`: a DNS subdomain.
    name: Option<fn(&str) -> Vec<String>>,
}

/// Group, kind, rules.
type Row = (&'static str, &'static str, Rules);

impl Rules {
    fn over(&self, plain: Strategy) -> Strategy {
        Strategy {
            default: self.default,
            validate_create: self.validate_create,
            validate_update: self.validate_update,
            validate_name: self.name.unwrap_or(plain.validate_name),
            ..plain
        }
    }
}

/// A rule about an option that is known and not there yet: refused by name, with what to do instead.
fn not_yet(out: &mut Vec<Cause>, at: &Place<'_>, what: &str, instead: &str) {
    let detail = format!("{what} not implemented in this release; {instead}");
    out.push(Cause::forbidden(at.path.clone(), &detail));
}

/// What an earlier release accepted stays as it is until somebody changes it: finalizers and labels can be written.
fn unless_same_spec(new: &Value, old: &Value, validate: impl Fn(&Value) -> Vec<Cause>) -> Vec<Cause> {
    if new["spec"] == old["spec"] { Vec::new() } else { validate(new) }
}

/// Adds a cause when a number is there and outside of a range.
fn within(out: &mut Vec<Cause>, at: &Place<'_>, name: &str, low: i64, high: i64) {
    if at.int(name).is_some_and(|n| !(low..=high).contains(&n)) {
        let detail = format!("must be between {low} and {high}, inclusive");
        out.push(Cause::invalid(at.of(name), at.field(name).value, &detail));
    }
}

/// Adds `Duplicate value` for each text that came before.
fn unique<'a>(out: &mut Vec<Cause>, texts: impl Iterator<Item = (String, &'a str)>) {
    let mut seen = Vec::new();
    for (path, text) in texts {
        if seen.contains(&text) {
            out.push(Cause::duplicate(path, &Value::from(text)));
        }
        seen.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::insula;

    /// The fields of the causes, each once.
    pub(super) fn fields(group: &str, kind: &str, object: &Value) -> Vec<String> {
        let mut out: Vec<String> =
            (strategy(group, kind).validate_create)(object).into_iter().map(|c| c.field).collect();
        out.dedup();
        out
    }

    #[test]
    fn rules_are_of_kinds_that_are_there() {
        for (group, kind, _) in
            [tenancy::STRATEGIES, cloud::STRATEGIES, oam::STRATEGIES].into_iter().flatten()
        {
            assert!(insula::rows().iter().any(|r| r.group == *group && r.kind == *kind), "{kind}");
        }
    }
}
