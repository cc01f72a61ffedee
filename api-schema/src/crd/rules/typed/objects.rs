//! Objects of a kind as expressions over requests read them: what its types declare, as a schema would.

use super::types::Type;
use super::{check, declared, functions, parsed, shown};
use crate::crd::schema::{Additional, Schema};
use crate::graph::{Scalar, Shape, TypeRef};

/// Types of which nothing is declared that expressions could read.
const CLOSED: &[&str] = &["FieldsV1", "RawExtension"];

/// The fields of objects of a kind.
#[derive(Debug)]
pub struct Objects {
    kind: String,
    schema: Schema,
}

impl Objects {
    /// Those of a kind, by its type.
    pub fn of(root: TypeRef<'_>, kind: &str) -> Self {
        Objects { kind: kind.to_owned(), schema: schema(root, &mut Vec::new()) }
    }

    fn of_type(&self) -> Type<'_> {
        declared::type_of(&self.schema, false, &self.kind).unwrap_or(Type::Dyn)
    }
}

/// What a type declares. One that is within itself declares nothing there.
fn schema<'a>(of: TypeRef<'a>, around: &mut Vec<&'a str>) -> Schema {
    let plain = |kind: &str| Schema { kind: kind.to_owned(), ..Schema::default() };
    let format = |format: &str| Schema { format: format.to_owned(), ..plain("string") };
    let name = of.node().name.as_str();
    match of.shape() {
        Shape::Object(fields) => {
            let mut object = plain("object");
            if name.is_empty() || !around.contains(&name) {
                around.push(name);
                let property =
                    |field: &crate::graph::Field| (field.name.to_string(), schema(of.at(field.of), around));
                object.properties = fields.iter().map(property).collect();
                around.pop();
            }
            object
        }
        Shape::Map(values) => {
            let values = Box::new(schema(of.at(*values), around));
            Schema { additional: Some(Additional::Of(values)), ..plain("object") }
        }
        Shape::List(element, _) => {
            Schema { items: Some(Box::new(schema(of.at(*element), around))), ..plain("array") }
        }
        Shape::Scalar(scalar) => match scalar {
            Scalar::String | Scalar::Duration => plain("string"),
            Scalar::Bytes => format("byte"),
            Scalar::Time | Scalar::MicroTime => format("date-time"),
            // It may be a number too, so that no type of it is known.
            Scalar::Quantity => plain(""),
            Scalar::IntOrString => Schema { int_or_string: true, ..plain("") },
            Scalar::Int32 | Scalar::Int64 => plain("integer"),
            Scalar::Number => plain("number"),
            Scalar::Boolean => plain("boolean"),
        },
        Shape::Any if of.node().preserve_unknown || CLOSED.iter().any(|closed| name.ends_with(closed)) => {
            plain("object")
        }
        // What custom kinds have without a type may be text or a number.
        Shape::Any if name.is_empty() => Schema { int_or_string: true, ..plain("") },
        Shape::Any => plain(""),
    }
}

/// The type of something that an expression reads.
#[derive(Clone)]
pub(crate) struct Found<'a>(Type<'a>);

impl<'a> Found<'a> {
    /// One by its name; what nobody knows may be anything.
    pub fn named(name: &str) -> Self {
        Found(functions::read(name).unwrap_or(Type::Dyn))
    }

    /// Objects of a kind.
    pub fn objects(objects: &'a Objects) -> Self {
        Found(objects.of_type())
    }
}

/// Checks an expression over variables. Gives the type of what it gives.
///
/// Errors: all that is wrong, as CEL tells it.
pub(crate) fn check_found<'a>(text: &str, variables: &[(&str, Found<'a>)]) -> Result<Found<'a>, String> {
    let tree = parsed(text)?;
    let variables = variables.iter().map(|(name, found)| (*name, found.0.clone())).collect();
    match check::check(&tree, variables, true) {
        Ok(checked) => Ok(Found(checked.of(&tree).clone())),
        Err(problems) => Err(shown(text, problems)),
    }
}
