//! The rules of a job's policies of failure (KEP-3329) and success (KEP-3998).

use super::place::{Causes, Place, at_most, invalid_all, not_negative, one_of, require_with};
use crate::names;
use api_types::{Cause, CauseReason};
use serde_json::Value;

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const MAX_INDEXES_TEXT: usize = 64 * 1024;
const STATUSES: &[&str] = &["False", "True", "Unknown"];

/// `Invalid value: detail`, for a value that is too large to show.
fn invalid_without_value(path: &str, detail: &str) -> Cause {
    Cause::new(CauseReason::FieldValueInvalid, path, format!("Invalid value: {detail}"))
}

/// `valid values: ["A" "B"]`.
fn valid_values(values: &[&str]) -> String {
    let shown: Vec<String> = values.iter().map(|v| format!("{v:?}")).collect();
    format!("valid values: [{}]", shown.join(" "))
}

/// The rules of `podFailurePolicy`.
pub(super) fn failure(out: &mut Causes, spec: &Place<'_>) {
    let Some(policy) = spec.present("podFailurePolicy") else { return };
    at_most(out, &policy, "rules", 20);
    let pod = spec.field("template").field("spec");
    let containers: Vec<&str> =
        ["containers", "initContainers"].iter().flat_map(|l| pod.list(l)).map(|c| c.text("name")).collect();
    for rule in policy.list("rules") {
        if require_with(out, &rule, "action", &valid_values(ACTIONS)) {
            one_of(out, &rule, "action", ACTIONS);
        }
        if rule.text("action") == "FailIndex" && !spec.has("backoffLimitPerIndex") {
            out.push(Cause::invalid(
                rule.of("action"),
                &Value::from("FailIndex"),
                "requires the backoffLimitPerIndex to be set",
            ));
        }
        if let Some(codes) = rule.present("onExitCodes") {
            exit_codes(out, &codes, &containers);
        }
        at_most(out, &rule, "onPodConditions", 20);
        for condition in rule.list("onPodConditions") {
            let kind = condition.text("type");
            invalid_all(out, &condition.of("type"), kind, names::qualified_name(kind));
            if require_with(out, &condition, "status", &valid_values(STATUSES)) {
                one_of(out, &condition, "status", STATUSES);
            }
        }
        match (rule.has("onExitCodes"), !rule.lacks("onPodConditions")) {
            (true, true) => out.push(invalid_without_value(
                &rule.path,
                "specifying both OnExitCodes and OnPodConditions is not supported",
            )),
            (false, false) => out.push(invalid_without_value(
                &rule.path,
                "specifying one of OnExitCodes and OnPodConditions is required",
            )),
            _ => {}
        }
    }
}

fn exit_codes(out: &mut Causes, at: &Place<'_>, containers: &[&str]) {
    let operators = ["In", "NotIn"];
    if require_with(out, at, "operator", &valid_values(&operators)) {
        one_of(out, at, "operator", &operators);
    }
    if let Some(name) = at.present("containerName")
        && !containers.contains(&name.as_text())
    {
        out.push(Cause::invalid(
            name.path,
            name.value,
            "must be one of the container or initContainer names in the pod template",
        ));
    }
    let values = at.field("values");
    if at.lacks("values") {
        out.push(Cause::invalid(&values.path, values.value, "at least one value is required"));
    }
    at_most(out, at, "values", 255);
    let mut seen: Vec<i64> = Vec::new();
    for value in values.elements() {
        let code = value.value.as_i64().unwrap_or(0);
        if at.text("operator") == "In" && code == 0 {
            out.push(Cause::invalid(&value.path, value.value, "must not be 0 for the In operator"));
        }
        if seen.contains(&code) {
            out.push(Cause::duplicate(&value.path, value.value));
        }
        seen.push(code);
    }
    if !seen.is_sorted() {
        out.push(Cause::invalid(&values.path, values.value, "must be ordered"));
    }
}

/// The rules of `successPolicy`.
pub(super) fn success(out: &mut Causes, spec: &Place<'_>) {
    let Some(policy) = spec.present("successPolicy") else { return };
    if spec.text("completionMode") != "Indexed" {
        out.push(Cause::invalid(&policy.path, policy.value, "requires indexed completion mode"));
        return;
    }
    let message = "at least one rules must be specified when the successPolicy is specified";
    require_with(out, &policy, "rules", message);
    at_most(out, &policy, "rules", 20);
    let completions = spec.int("completions").unwrap_or(0);
    for rule in policy.list("rules") {
        if !rule.has("succeededCount") && !rule.has("succeededIndexes") {
            let message = "at least one of succeededCount or succeededIndexes must be specified";
            out.push(Cause::required(&rule.path, message));
        }
        let mut total = None;
        if let Some(indexes) = rule.present("succeededIndexes") {
            if indexes.as_text().len() > MAX_INDEXES_TEXT {
                out.push(Cause::too_long(&indexes.path, MAX_INDEXES_TEXT));
            }
            match count_indexes(indexes.as_text(), completions) {
                Ok(count) => total = Some(count),
                Err(why) => {
                    total = Some(0);
                    let message = format!("error parsing succeededIndexes: {why}");
                    out.push(Cause::invalid(indexes.path, indexes.value, &message));
                }
            }
        }
        let Some(count) = rule.int("succeededCount") else { continue };
        not_negative(out, &rule, "succeededCount");
        for (limit, what) in [
            (Some(completions), "the number of specified completions"),
            (total, "the number of indexes in the specified succeededIndexes field"),
        ] {
            if let Some(limit) = limit.filter(|limit| count > *limit) {
                let message = format!("must be less than or equal to {limit} ({what})");
                out.push(Cause::invalid(rule.of("succeededCount"), &Value::from(count), &message));
            }
        }
    }
}

/// How many indexes a text such as `1,3-5` names, each below `completions`.
pub(super) fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let (mut total, mut last) = (0, None);
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number = |digits: &str| {
            let number: i64 = digits
                .parse()
                .map_err(|_| format!("cannot convert string to integer for index: {digits:?}"))?;
            if number >= completions {
                return Err(format!("too large index: {digits:?}"));
            }
            Ok(number)
        };
        let (from, to) = (number(from)?, number(to)?);
        if part.contains('-') && from >= to {
            return Err(format!("non-increasing order, previous: {from}, current: {to}"));
        }
        if let Some(last) = last.filter(|last| *last >= from) {
            return Err(format!("non-increasing order, previous: {last}, current: {from}"));
        }
        total += to - from + 1;
        last = Some(to);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_counted() {
        for (text, count) in [("", Ok(0)), ("0", Ok(1)), ("1,3-5,7", Ok(5))] {
            assert_eq!(count_indexes(text, 8), count);
        }
        for text in ["8", "3-3", "5-4", "2,1", "x", "1,"] {
            assert!(count_indexes(text, 8).is_err(), "{text}");
        }
    }
}
