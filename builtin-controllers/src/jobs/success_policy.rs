//! `spec.successPolicy`: when an indexed job succeeds before all its indexes have (KEP-3998).

use super::indexes::Indexes;
use crate::access::{elements, number};
use serde_json::Value;

/// Why the job has succeeded; `None`: no rule is met.
pub(super) fn met(policy: &Value, completions: i64, succeeded: &Indexes) -> Option<String> {
    if succeeded.is_empty() {
        return None;
    }
    let is_met = |rule: &Value| {
        let count = number(rule, "/succeededCount");
        match rule["succeededIndexes"].as_str() {
            Some(text) => {
                let wanted = Indexes::parse(text, completions);
                let there = wanted.in_common(succeeded);
                !wanted.is_empty() && (there == wanted.count() || count.is_some_and(|count| there >= count))
            }
            None => count.is_some_and(|count| succeeded.count() >= count),
        }
    };
    let rule = elements(policy, "/rules").iter().position(is_met)?;
    Some(format!("Matched rules at index {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules() {
        for (rule, succeeded, expected) in [
            (json!({"succeededIndexes": "0,2"}), "0-2", true),
            (json!({"succeededIndexes": "0,2"}), "0,1", false),
            (json!({"succeededIndexes": "0,2-4", "succeededCount": 2}), "2,3", true),
            (json!({"succeededIndexes": "0,2-4", "succeededCount": 2}), "1,2", false),
            (json!({"succeededCount": 2}), "1,4", true),
            (json!({"succeededCount": 2}), "1", false),
            (json!({"succeededCount": 0}), "", false),
        ] {
            let policy = json!({"rules": [{"succeededCount": 99}, rule]});
            let found = met(&policy, 5, &Indexes::parse(succeeded, 5));
            let message = expected.then(|| "Matched rules at index 1".to_owned());
            assert_eq!(found, message, "{policy} {succeeded}");
        }
    }
}
