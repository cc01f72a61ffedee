//! The scopes of a quota.

use serde_json::Value;

/// One scope, and which of its values are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) scope: String,
    operator: String,
    values: Vec<String>,
}

/// The scopes that a quota's spec names, all of which an object has to be in.
pub(super) fn selectors(spec: &Value) -> Vec<Selector> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let list = |value: &Value| -> Vec<Value> { value.as_array().cloned().unwrap_or_default() };
    let plain = list(&spec["scopes"]);
    let plain = plain.iter().map(|scope| Selector {
        scope: text(scope),
        operator: "Exists".into(),
        values: Vec::new(),
    });
    let expressions = list(&spec["scopeSelector"]["matchExpressions"]);
    let chosen = expressions.iter().map(|one| Selector {
        scope: text(&one["scopeName"]),
        operator: text(&one["operator"]),
        values: list(&one["values"]).iter().map(text).collect(),
    });
    plain.chain(chosen).collect()
}

impl Selector {
    /// True when one of the object's values of the scope is meant; of an object without a value, when that is meant.
    pub(super) fn selects(&self, values: &[&str]) -> bool {
        let named = |value: &&str| self.values.iter().any(|known| known == value);
        match self.operator.as_str() {
            "Exists" => !values.is_empty(),
            "DoesNotExist" => values.is_empty(),
            "In" => values.iter().any(named),
            "NotIn" => values.is_empty() || !values.iter().all(named),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scopes_select_by_their_values() {
        let table: &[(&str, &[&str], &[&str], bool)] = &[
            ("Exists", &[], &["a"], true),
            ("Exists", &[], &[], false),
            ("DoesNotExist", &[], &["a"], false),
            ("DoesNotExist", &[], &[], true),
            ("In", &["a", "b"], &["b"], true),
            ("In", &["a", "b"], &["c", "a"], true),
            ("In", &["a"], &["c"], false),
            ("In", &["a"], &[], false),
            ("NotIn", &["a"], &["a"], false),
            ("NotIn", &["a"], &["b"], true),
            ("NotIn", &["a"], &["a", "b"], true),
            ("NotIn", &["a"], &[], true),
        ];
        for (operator, values, of, expected) in table {
            let spec = json!({"scopes": ["BestEffort"], "scopeSelector": {"matchExpressions":
                [{"scopeName": "PriorityClass", "operator": operator, "values": values}]}});
            let read = selectors(&spec);
            assert_eq!(
                read[0],
                Selector { scope: "BestEffort".into(), operator: "Exists".into(), values: vec![] }
            );
            assert_eq!(read[1].selects(of), *expected, "{operator} {values:?} {of:?}");
        }
    }
}
