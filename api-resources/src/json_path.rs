//! The JSON paths of printer columns and selectable fields, as client-go's `jsonpath` reads them: fields, indexes and
//! slices, unions, wildcards, filters, recursive descent.

mod evaluate;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;
use std::borrow::Cow;

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// The field of each object; lists are passed over.
    Field(String),
    /// Elements of each list.
    Slice(Slice),
    /// All elements and members.
    All,
    /// Each value that holds others, itself first.
    Descend,
    /// The results of several ways, one after the other.
    Union(Vec<Vec<Step>>),
    /// Those elements of each list that pass.
    Filter(Filter),
    /// A value of the path itself.
    Literal(Value),
    /// A word that is no literal. It fails when it is come to.
    Word(String),
}

/// `[3]`, `[1:4]`, `[::2]`: from where, up to where, and each which.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slice {
    from: Option<i64>,
    to: End,
    step: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Just the one.
    One,
    /// Up to the end.
    Open,
    At(i64),
}

/// `[?(LEFT OPERATOR RIGHT)]`.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Vec<Step>,
    /// `None`: there is something on the left.
    comparison: Option<(String, Vec<Step>)>,
}

/// A path that has been understood.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// Parses `.spec.size`, `.metadata.labels['a\.b']`, `.items[0].x`, `.conditions[?(@.type=="Ready")].status`.
    ///
    /// # Errors
    /// What is not understood, for people.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        parse::path(text).map(JsonPath)
    }

    /// The first value at the path. `None` also where a step fails: an index without its element, a comparison of
    /// values of different types. Members are in the order of their names.
    pub fn first<'a>(&self, object: &'a Value) -> Option<Cow<'a, Value>> {
        evaluate::values(&self.0, object).ok()?.into_iter().next()
    }
}

/// The first value at a path as text, as field selectors compare it: absent, null and what is not a single value
/// read as empty. A path that is not understood reads as empty: CRDs with such paths are refused.
pub fn text(object: &Value, path: &str) -> String {
    if let Some(names) = names(path) {
        return shown(names.into_iter().try_fold(object, |value, name| value.as_object()?.get(name)));
    }
    shown(JsonPath::parse(path).ok().and_then(|path| path.first(object)).as_deref())
}

fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    }
}

/// The names of a path that has nothing else in it, as most have: every write reads several. `None`: it has more.
fn names(path: &str) -> Option<impl IntoIterator<Item = &str>> {
    let names = path.strip_prefix('.')?.split('.');
    let is_plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    names.clone().all(is_plain).then_some(names)
}
