//! The fields of a kind, as deep as they go.

use api_schema::{Scalar, Shape, TypeRef};
use serde_json::{Value, json};

/// Types that are told about as a whole: they are Kubernetes' own.
const WHOLE: &[&str] = &[".Condition", ".LabelSelector"];

/// One field at the end of its path.
pub struct Leaf {
    /// `spec.containers[].env[].name`.
    pub path: String,
    /// The type and the name of each field on the way, the leaf included.
    pub holders: Vec<(String, String)>,
    /// `spec` with this field alone, set to something.
    pub sample: Value,
}

impl Leaf {
    /// The name of the field.
    pub fn name(&self) -> &str {
        &self.holders.last().unwrap().1
    }
}

/// The fields of `spec` and `status` of a kind.
pub fn leaves(group: &str, kind: &str) -> Vec<Leaf> {
    let root = ["v1alpha1", "v1alpha2"].into_iter().find_map(|v| api_schema::builtin::kind(group, v, kind));
    let root = api_schema::builtin::graph().at(root.unwrap_or_else(|| panic!("{kind} has no type")));
    let mut out = Vec::new();
    for part in ["spec", "status"] {
        if let Some(of) = root.member(part) {
            let holders = vec![(root.node().name.to_string(), part.to_owned())];
            walk(of, part.to_owned(), holders, &|value| value, &mut out);
        }
    }
    out
}

/// `whole` puts a value of this type where it belongs in `spec`.
fn walk(
    of: TypeRef<'_>,
    path: String,
    holders: Vec<(String, String)>,
    whole: &dyn Fn(Value) -> Value,
    out: &mut Vec<Leaf>,
) {
    let name = of.node().name.to_string();
    match of.shape() {
        Shape::Object(fields) if !WHOLE.iter().any(|end| name.ends_with(end)) => {
            for field in fields {
                let mut holders = holders.clone();
                holders.push((name.clone(), field.name.to_string()));
                let inner = |value: Value| whole(json!({field.name.as_str(): value}));
                walk(of.at(field.of), format!("{path}.{}", field.name), holders, &inner, out);
            }
        }
        Shape::List(element, _) if is_object(of.at(*element)) => {
            walk(of.at(*element), format!("{path}[]"), holders, &|value| whole(json!([value])), out);
        }
        shape => out.push(Leaf { path, holders, sample: whole(sample(of, shape)) }),
    }
}

fn is_object(of: TypeRef<'_>) -> bool {
    let whole = WHOLE.iter().any(|end| of.node().name.ends_with(end));
    matches!(of.shape(), Shape::Object(_)) && !whole
}

/// Some value of a type, none that means nothing.
fn sample(of: TypeRef<'_>, shape: &Shape) -> Value {
    match shape {
        Shape::Object(_) | Shape::Any => json!({"matchLabels": {"a": "b"}}),
        Shape::Map(element) => json!({"a": sample(of.at(*element), of.at(*element).shape())}),
        Shape::List(element, _) => json!([sample(of.at(*element), of.at(*element).shape())]),
        Shape::Scalar(Scalar::Boolean) => json!(true),
        Shape::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Number | Scalar::IntOrString) => json!(1),
        Shape::Scalar(Scalar::Quantity) => json!("1"),
        Shape::Scalar(_) => json!(of.node().values.first().map_or("a", |value| value.as_str())),
    }
}
