//! The JSON paths of CRDs' printer columns, selectable fields and scale subresources: fields, indexes, `[*]` and
//! filters on one field (`[?(@.type=="Ready")]`). Recursive descent, slices, unions and scripts are refused.

use serde_json::Value;

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Elements whose field at a path compares with a value.
    Filter {
        path: Vec<String>,
        comparison: Option<(Comparison, Value)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
}

/// A path that has been understood.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// Parses `.spec.size`, `.metadata.labels['a.b']`, `.items[0].x`, `.conditions[?(@.type=="Ready")].status`.
    ///
    /// # Errors
    /// What is not understood, for people.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        rest = rest.strip_prefix('{').and_then(|r| r.strip_suffix('}')).unwrap_or(rest);
        rest = rest.strip_prefix('$').unwrap_or(rest);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let end = closing(after).ok_or_else(|| format!("unterminated array in {text:?}"))?;
                steps.push(
                    bracket(after[..end].trim())
                        .ok_or_else(|| format!("{:?} is not supported", &after[..end]))?,
                );
                rest = &after[end + 1..];
            } else {
                rest = rest.strip_prefix('.').unwrap_or(rest);
                if rest.starts_with('.') {
                    return Err("recursive descent is not supported".to_owned());
                }
                let (name, after) = field(rest);
                match name.as_str() {
                    "" if after.is_empty() && steps.is_empty() => {}
                    "" if after.starts_with('[') => {}
                    "" => return Err(format!("empty field name in {text:?}")),
                    "*" => steps.push(Step::All),
                    _ => steps.push(Step::Field(name)),
                }
                rest = after;
            }
        }
        Ok(JsonPath(steps))
    }

    /// All values at the path, in their order. A map's values are in the order of its keys.
    pub fn values<'a>(&self, object: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![object];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.of(value)).collect();
        }
        found
    }

    /// The field names, when the path is nothing but fields.
    pub fn fields(&self) -> Option<Vec<&str>> {
        self.0
            .iter()
            .map(|step| match step {
                Step::Field(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Step::Field(name), Value::Object(map)) => map.get(name).into_iter().collect(),
            (Step::Index(index), Value::Array(list)) => {
                let index = if *index < 0 { list.len() as i64 + index } else { *index };
                usize::try_from(index).ok().and_then(|i| list.get(i)).into_iter().collect()
            }
            (Step::All, Value::Array(list)) => list.iter().collect(),
            (Step::All, Value::Object(map)) => map.values().collect(),
            (Step::Filter { path, comparison }, Value::Array(list)) => {
                list.iter().filter(|element| selected(element, path, comparison.as_ref())).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn selected(element: &Value, path: &[String], comparison: Option<&(Comparison, Value)>) -> bool {
    let found = path.iter().try_fold(element, |value, name| value.get(name));
    match comparison {
        None => found.is_some(),
        Some((Comparison::Equal, value)) => found == Some(value),
        Some((Comparison::NotEqual, value)) => found.is_some_and(|f| f != value),
    }
}

/// The first value at a path as text, as field selectors compare it: absent, null and what is not a single value
/// read as empty. A path that is not understood reads as empty: CRDs with such paths are refused.
pub fn text(object: &Value, path: &str) -> String {
    match JsonPath::parse(path).ok().as_ref().and_then(|p| p.values(object).first().copied()) {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    }
}

/// A field's name up to the next `.` or `[`, with `\` escaping one character, and the rest.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[at..]),
            c => name.push(c),
        }
    }
    (name, "")
}

/// The place of the bracket that closes, outside of quotes and parentheses.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Option<Step> {
    if text == "*" {
        return Some(Step::All);
    }
    if let Some(name) = quoted(text) {
        return Some(Step::Field(name));
    }
    if let Ok(index) = text.parse() {
        return Some(Step::Index(index));
    }
    let filter = text.strip_prefix("?(")?.strip_suffix(')')?.trim();
    let (left, comparison) = match filter
        .find("==")
        .map(|at| (at, Comparison::Equal))
        .or_else(|| filter.find("!=").map(|at| (at, Comparison::NotEqual)))
    {
        Some((at, comparison)) => {
            let right = filter[at + 2..].trim();
            let value = match quoted(right) {
                Some(text) => Value::from(text),
                None => serde_json::from_str(right).ok()?,
            };
            (&filter[..at], Some((comparison, value)))
        }
        None if filter.contains(['<', '>', '=']) => return None,
        None => (filter, None),
    };
    let JsonPath(steps) = JsonPath::parse(left.trim().strip_prefix('@')?).ok()?;
    let path = steps
        .into_iter()
        .map(|step| match step {
            Step::Field(name) => Some(name),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Step::Filter { path, comparison })
}

fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(inner.replace("\\.", "."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_find_values() {
        let object = json!({"metadata": {"labels": {"a.b/c": "x"}}, "spec": {"size": 3, "on": true, "list": [1, 2]},
            "status": {"conditions": [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True"}]}});
        for (path, found) in [
            (".spec.size", json!([3])),
            ("{.spec.size}", json!([3])),
            ("$.spec.on", json!([true])),
            (".spec.none", json!([])),
            (".spec.list[0]", json!([1])),
            (".spec.list[-1]", json!([2])),
            (".spec.list[*]", json!([1, 2])),
            (".spec.list[9]", json!([])),
            (".metadata.labels['a.b/c']", json!(["x"])),
            (".metadata.labels.a\\.b/c", json!(["x"])),
            (".status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
            (".status.conditions[?(@.type=='Ready')].status", json!(["True"])),
            (".status.conditions[?(@.type != 'Ready')].type", json!(["Synced"])),
            (".status.conditions[?(@.reason)].type", json!([])),
            (".status.conditions[*].type", json!(["Synced", "Ready"])),
            (".", json!([object.clone()])),
        ] {
            let values = JsonPath::parse(path).unwrap();
            assert_eq!(json!(values.values(&object)), found, "{path}");
        }
        assert_eq!(text(&object, ".spec.size"), "3");
        assert_eq!(text(&object, ".spec"), "");
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for path in ["..x", ".a[0:2]", ".a[0,1]", ".a[?(@.b>1)]", ".a[", ".a..b"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
        assert_eq!(JsonPath::parse(".spec.size").unwrap().fields(), Some(vec!["spec", "size"]));
        assert_eq!(JsonPath::parse(".spec.list[0]").unwrap().fields(), None);
    }
}
