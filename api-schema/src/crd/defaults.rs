//! Whether the defaults of a schema fit it.

use super::rules::{RuleTree, evaluate};
use super::schema::Schema;
use super::{embedded, fit, validate};
use api_types::Cause;

/// The defects of all defaults in a schema at `path`.
pub(super) fn check(schema: &Schema, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(schema, path, &mut causes);
    causes
}

fn walk(schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    if let Some(default) = &schema.default {
        let field = format!("{path}.default");
        let mut pruned = default.clone();
        if !fit::prune(&mut pruned, schema, false).is_empty() {
            causes.push(Cause::invalid(&field, default, "must not have unknown fields"));
        }
        let mut found = Vec::new();
        embedded::check(default, schema, &field, &mut found);
        if found.is_empty() {
            found = match validate::of_unknown_type(default, schema, &field) {
                Some(cause) => vec![cause],
                None => validate::check(default, None, schema, &field),
            };
        }
        causes.append(&mut found);
    }
    below(schema, path, &mut |schema, path| walk(schema, path, causes));
}

fn below(schema: &Schema, path: &str, visit: &mut dyn FnMut(&Schema, &str)) {
    if let Some(items) = &schema.items {
        visit(items, &format!("{path}.items"));
    }
    for (name, property) in &schema.properties {
        visit(property, &format!("{path}.properties[{name}]"));
    }
}

/// The rules that defaults break.
pub(super) fn check_rules(schema: &Schema, rules: &RuleTree, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(default) = &schema.default {
        for mut cause in evaluate(rules, schema, default, None).causes {
            let field = format!("{path}.default");
            cause.field = if cause.field == "<nil>" { field } else { format!("{field}.{}", cause.field) };
            causes.push(cause);
        }
    }
    if let (Some(items), Some(rules)) = (&schema.items, &rules.items) {
        causes.extend(check_rules(items, rules, &format!("{path}.items")));
    }
    for (name, property) in &schema.properties {
        if let Some(rules) = rules.properties.get(name) {
            causes.extend(check_rules(property, rules, &format!("{path}.properties[{name}]")));
        }
    }
    causes
}
