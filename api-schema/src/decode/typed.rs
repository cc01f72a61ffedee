//! Walks a JSON text along a type: unknown and duplicate fields are noted with their paths, scalars are checked
//! and brought into their canonical form, and what Kubernetes would not write again is left out.
//!
//! The words, and what goes on after an error and what does not, are those of Kubernetes' own decoder: the first
//! value of a wrong type is reported at the end, a malformed quantity or time at once, and strictness only when
//! all else is well.

use std::fmt::Write;

use api_types::Cause;
use serde_json::{Map, Value};

use super::json::{Kind, Reader, SyntaxError, any_number};
use super::{DecodeError, embedded, scalar};
use crate::graph::{Field, Scalar, Shape, TypeRef};
use crate::zero;

/// How many strict errors are noted.
const MAX_STRICT: usize = 100;

/// The type of `metadata`.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Whether a value is of a kind that a named union has: of those, only that of a schema and a boolean refuses any.
fn is_union(name: &str, kind: Kind) -> bool {
    !name.ends_with(".JSONSchemaPropsOrBool") || matches!(kind, Kind::Object | Kind::Bool)
}

/// What to do with values that do not fit their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// They are errors.
    Checked,
    /// They stay as they are, but in `metadata` and in what makes an embedded resource one; the schema's validation
    /// will tell.
    Structural,
    /// They stay as they are, but in the object's own `metadata`.
    Merged,
}

/// A walk in progress.
pub(super) struct Walk<'a> {
    reader: Reader<'a>,
    fit: Fit,
    /// Empty lists and maps stay, for validation to see. Those in the metadata of custom resources, which are stored as
    /// they are decoded, do not.
    keeps_empty: bool,
    /// The path of the current value as strict errors show it.
    path: String,
    /// The objects' types and fields on the way to the current value, as type errors show them.
    context: Vec<(&'a str, &'a str)>,
    /// Unknown and duplicate fields.
    pub(super) strict: Vec<String>,
    /// The first value of a wrong type.
    mismatch: Option<String>,
}

impl From<SyntaxError> for DecodeError {
    fn from(error: SyntaxError) -> DecodeError {
        DecodeError::Syntax(error.0)
    }
}

/// What is said twice, as Go reads it: objects are read into what is there already, all else is read anew.
fn merged(of: TypeRef<'_>, before: Value, again: Value) -> Value {
    match (before, again) {
        (Value::Object(mut before), Value::Object(again)) => {
            for (name, value) in again {
                let known = of.field(&name).and_then(|field| Some((of.at(field.of), before.remove(&name)?)));
                let value = match known {
                    Some((of, old)) => merged(of, old, value),
                    None => value,
                };
                before.insert(name, value);
            }
            Value::Object(before)
        }
        (_, again) => again,
    }
}

impl<'a> Walk<'a> {
    /// Decodes a whole text.
    pub(super) fn run(
        text: &'a [u8],
        root: TypeRef<'a>,
        fit: Fit,
    ) -> Result<(Value, Vec<String>), DecodeError> {
        let mut walk = Walk {
            reader: Reader::new(text),
            fit,
            keeps_empty: fit == Fit::Checked,
            path: String::new(),
            context: Vec::new(),
            strict: Vec::new(),
            mismatch: None,
        };
        let value = walk.value(root)?;
        walk.reader.end()?;
        match walk.mismatch {
            Some(text) => Err(DecodeError::Mismatch(text)),
            None => Ok((value, walk.strict)),
        }
    }

    fn value(&mut self, of: TypeRef<'a>) -> Result<Value, DecodeError> {
        if self.fit != Fit::Checked && of.node().name == OBJECT_META {
            // Metadata has one type for all kinds, and is read as a value of its own.
            let context = std::mem::take(&mut self.context);
            let (before, earlier) = (self.reader.clone(), self.mismatch.take());
            let length = self.path.len();
            let fit = std::mem::replace(&mut self.fit, Fit::Checked);
            let value = self.value(of);
            self.fit = fit;
            self.context = context;
            self.path.truncate(length);
            let value = if self.path == "metadata" { value? } else { self.embedded(value, before)? };
            self.mismatch = earlier.or(self.mismatch.take());
            return Ok(value);
        }
        let kind = self.reader.peek()?;
        if kind == Kind::Null {
            self.reader.null()?;
            return Ok(Value::Null);
        }
        match (of.shape(), kind) {
            (Shape::Any, Kind::Object | Kind::Array)
                if self.fit != Fit::Checked && !of.node().preserve_unknown =>
            {
                self.barren()
            }
            (Shape::Any, kind) if !is_union(&of.node().name, kind) => {
                self.reader.skip()?;
                Err(DecodeError::Mismatch("boolean or JSON schema expected".to_owned()))
            }
            (Shape::Any, _) => self.any(of.node().name.is_empty()),
            (Shape::Object(fields), Kind::Object) => self.object(of, fields),
            (Shape::Map(value), Kind::Object) => self.map(of.at(*value)),
            (Shape::List(element, _), Kind::Array) => self.list(of.at(*element)),
            (Shape::Scalar(_), _) if self.fit != Fit::Checked && !of.node().preserve_unknown => self.barren(),
            (Shape::Scalar(_), _) if self.fit == Fit::Structural => self.any(true),
            (Shape::Scalar(scalar), _) => self.scalar(of, *scalar, kind),
            _ => self.misfit(of, kind),
        }
    }

    /// The metadata of a resource within a resource, which is told with its place where it cannot be read.
    fn embedded(
        &mut self,
        read: Result<Value, DecodeError>,
        before: Reader<'a>,
    ) -> Result<Value, DecodeError> {
        let why = match (read, self.mismatch.take()) {
            (Err(DecodeError::Mismatch(why)), _) | (Ok(_), Some(why)) => why,
            (Ok(Value::Null), None) if self.fit == Fit::Structural => return Ok(Value::Object(Map::new())),
            (read, _) => return read,
        };
        self.reader = before;
        let sent = self.any(false)?;
        if self.fit == Fit::Structural {
            self.mismatch = Some(Cause::invalid(&self.path, &sent, &why).to_string());
        }
        Ok(sent)
    }

    fn object(&mut self, of: TypeRef<'a>, fields: &'a [Field]) -> Result<Value, DecodeError> {
        let mut object = Map::new();
        let mut seen = Seen::default();
        let name = of.node().name.as_str();
        let mut first = true;
        self.reader.begin_object()?;
        while let Some(key) = self.reader.next_key(first)? {
            first = false;
            let Some(index) = of.field_number(&key) else {
                if of.node().preserve_unknown {
                    let length = self.enter(&key);
                    if object.contains_key(key.as_ref()) {
                        self.note_here("duplicate");
                    }
                    let value = self.any(true)?;
                    self.path.truncate(length);
                    object.insert(key.into_owned(), value);
                } else {
                    self.note("unknown", &key);
                    self.reader.skip()?;
                }
                continue;
            };
            let field = &fields[index];
            let again = seen.again(index);
            if again {
                self.note("duplicate", &key);
            }
            let length = self.enter(&key);
            self.context.push((name, field.name.as_str()));
            let value = self.value(of.at(field.of))?;
            self.context.pop();
            let is_type = of.node().embedded && matches!(key.as_ref(), "apiVersion" | "kind");
            if self.fit == Fit::Structural && is_type && !value.is_string() {
                let cause = Cause::invalid(&self.path, &value, "must be a string");
                self.mismatch.get_or_insert(cause.to_string());
            }
            self.path.truncate(length);
            let before = if again && self.fit == Fit::Checked { object.remove(key.as_ref()) } else { None };
            let value = match before {
                Some(before) => merged(of.at(field.of), before, value),
                None => value,
            };
            // An empty list or map may be a defect; an empty list of managers is a wish that they be forgotten.
            let collection = value.is_array() || value.is_object();
            let wish = collection && (self.keeps_empty || field.name == "managedFields");
            if self.fit == Fit::Checked && !wish && zero::is_left_out(of.at(field.of), field.presence, &value)
            {
                object.remove(field.name.as_str());
            } else {
                object.insert(key.into_owned(), value);
            }
        }
        Ok(Value::Object(object))
    }

    fn map(&mut self, of: TypeRef<'a>) -> Result<Value, DecodeError> {
        let mut object = Map::new();
        let mut first = true;
        self.reader.begin_object()?;
        while let Some(key) = self.reader.next_key(first)? {
            first = false;
            if object.contains_key(key.as_ref()) {
                self.note("duplicate", &key);
            }
            let length = self.enter(&key);
            let value = self.present(of)?;
            self.path.truncate(length);
            object.insert(key.into_owned(), value);
        }
        Ok(Value::Object(object))
    }

    fn list(&mut self, of: TypeRef<'a>) -> Result<Value, DecodeError> {
        let mut list = Vec::new();
        self.reader.begin_array()?;
        while self.reader.next_element(list.is_empty())? {
            let length = self.path.len();
            let _ = write!(self.path, "[{}]", list.len());
            let value = self.present(of)?;
            self.path.truncate(length);
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    /// An element or a map's value: null stands for the zero value.
    fn present(&mut self, of: TypeRef<'a>) -> Result<Value, DecodeError> {
        let value = self.value(of)?;
        Ok(if value.is_null() && self.fit == Fit::Checked { zero::element(of) } else { value })
    }

    fn scalar(&mut self, of: TypeRef<'a>, scalar: Scalar, kind: Kind) -> Result<Value, DecodeError> {
        match kind {
            Kind::String => {
                let text = self.reader.string()?;
                match scalar::from_string(scalar, text) {
                    Ok(value) => return Ok(value),
                    Err(scalar::Misfit::Kind) => {}
                    Err(scalar::Misfit::Later(text)) => {
                        self.mismatch.get_or_insert(text);
                        return Ok(Value::Null);
                    }
                    Err(scalar::Misfit::Now(text)) => return Err(DecodeError::Mismatch(text)),
                }
                self.wrong("string", of, scalar)
            }
            Kind::Number => {
                let text = self.reader.number()?;
                match scalar::from_number(scalar, text) {
                    Ok(value) => Ok(value),
                    Err(scalar::Misfit::Kind) if scalar::is_numeric(scalar) => {
                        self.wrong(&format!("number {text}"), of, scalar)
                    }
                    Err(scalar::Misfit::Kind) => self.wrong("number", of, scalar),
                    Err(scalar::Misfit::Later(text) | scalar::Misfit::Now(text)) => {
                        Err(DecodeError::Mismatch(text))
                    }
                }
            }
            Kind::Bool if scalar == Scalar::Boolean => Ok(Value::Bool(self.reader.boolean()?)),
            Kind::Bool => {
                self.reader.boolean()?;
                self.wrong("bool", of, scalar)
            }
            Kind::Object => {
                self.reader.skip()?;
                self.wrong("object", of, scalar)
            }
            Kind::Array => {
                self.reader.skip()?;
                self.wrong("array", of, scalar)
            }
            Kind::Null => Ok(Value::Null),
        }
    }

    /// A value of the wrong kind for a scalar.
    fn wrong(&mut self, value: &str, of: TypeRef<'a>, scalar: Scalar) -> Result<Value, DecodeError> {
        match scalar {
            // These read themselves in Kubernetes, and end the decoding when they cannot.
            Scalar::Quantity => {
                Err(DecodeError::Mismatch(crate::quantity::QuantityError::Format.to_string()))
            }
            Scalar::IntOrString => Err(DecodeError::Mismatch(self.type_error(value, "int32"))),
            Scalar::Time | Scalar::MicroTime | Scalar::Duration => {
                Err(DecodeError::Mismatch(self.type_error(value, "string")))
            }
            _ => {
                let text = self.type_error(value, &scalar::go_type(of));
                self.mismatch.get_or_insert(text);
                Ok(Value::Null)
            }
        }
    }

    /// Something else where an object or an array belongs.
    fn misfit(&mut self, of: TypeRef<'a>, kind: Kind) -> Result<Value, DecodeError> {
        if self.fit != Fit::Checked {
            return if of.node().preserve_unknown { self.any(true) } else { self.barren() };
        }
        self.reader.skip()?;
        let word = match kind {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Number => "number",
            Kind::Bool | Kind::Null => "bool",
        };
        let text = self.type_error(word, &scalar::go_type(of));
        self.mismatch.get_or_insert(text);
        Ok(Value::Null)
    }

    /// Any JSON where a schema declares no fields: those of objects are unknown.
    fn barren(&mut self) -> Result<Value, DecodeError> {
        match self.reader.peek()? {
            Kind::Object => {
                let mut first = true;
                self.reader.begin_object()?;
                while let Some(key) = self.reader.next_key(first)? {
                    first = false;
                    self.note("unknown", &key);
                    self.reader.skip()?;
                }
                Ok(Value::Object(Map::new()))
            }
            Kind::Array => {
                let mut list = Vec::new();
                self.reader.begin_array()?;
                while self.reader.next_element(list.is_empty())? {
                    let length = self.path.len();
                    let _ = write!(self.path, "[{}]", list.len());
                    let value = self.barren()?;
                    self.path.truncate(length);
                    list.push(value);
                }
                Ok(Value::Array(list))
            }
            _ => self.any(true),
        }
    }

    fn type_error(&self, value: &str, go: &str) -> String {
        match self.context.last() {
            None => format!("json: cannot unmarshal {value} into Go value of type {go}"),
            Some((object, _)) => {
                let object = object.rsplit('.').next().unwrap_or(object);
                let steps = self.context.iter();
                let fields: Vec<&str> = steps
                    .flat_map(|(of, field)| embedded::struct_of(of, field).into_iter().chain([*field]))
                    .collect();
                let fields = fields.join(".");
                format!("json: cannot unmarshal {value} into Go struct field {object}.{fields} of type {go}")
            }
        }
    }

    /// Any JSON; duplicate keys are noted on demand.
    fn any(&mut self, strict: bool) -> Result<Value, DecodeError> {
        Ok(match self.reader.peek()? {
            Kind::Object => {
                let mut object = Map::new();
                let mut first = true;
                self.reader.begin_object()?;
                while let Some(key) = self.reader.next_key(first)? {
                    first = false;
                    if strict && object.contains_key(key.as_ref()) {
                        self.note("duplicate", &key);
                    }
                    let length = self.enter(&key);
                    let value = self.any(strict)?;
                    self.path.truncate(length);
                    object.insert(key.into_owned(), value);
                }
                Value::Object(object)
            }
            Kind::Array => {
                let mut list = Vec::new();
                self.reader.begin_array()?;
                while self.reader.next_element(list.is_empty())? {
                    let length = self.path.len();
                    let _ = write!(self.path, "[{}]", list.len());
                    let value = self.any(strict)?;
                    self.path.truncate(length);
                    list.push(value);
                }
                Value::Array(list)
            }
            Kind::String => Value::String(self.reader.string()?.into_owned()),
            Kind::Number => any_number(self.reader.number()?),
            Kind::Bool => Value::Bool(self.reader.boolean()?),
            Kind::Null => {
                self.reader.null()?;
                Value::Null
            }
        })
    }

    /// Adds a key to the path; gives the length to cut it back to.
    fn enter(&mut self, key: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        length
    }

    fn note(&mut self, what: &str, key: &str) {
        let length = self.enter(key);
        self.note_here(what);
        self.path.truncate(length);
    }

    fn note_here(&mut self, what: &str) {
        if self.strict.len() >= MAX_STRICT {
            return;
        }
        let text = format!("{what} field {:?}", self.path);
        if !self.strict.contains(&text) {
            self.strict.push(text);
        }
    }
}

/// Which fields of an object have been there.
#[derive(Default)]
struct Seen(u128);

impl Seen {
    /// Notes a field; true when it had been there. Objects have less than 128 fields; more are not noted.
    fn again(&mut self, index: usize) -> bool {
        let Some(bit) = u32::try_from(index).ok().and_then(|index| 1u128.checked_shl(index)) else {
            return false;
        };
        let again = self.0 & bit != 0;
        self.0 |= bit;
        again
    }
}
