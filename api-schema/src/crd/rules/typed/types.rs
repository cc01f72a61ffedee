//! The types of CEL, and which can stand for which.

use crate::crd::schema::Schema;
use std::collections::HashMap;
use std::fmt;

/// A type.
#[derive(Clone, Debug)]
pub enum Type<'a> {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Duration,
    Timestamp,
    /// Anything.
    Dyn,
    /// That of what is wrong, which is told once.
    Error,
    List(Box<Type<'a>>),
    Map(Box<(Type<'a>, Type<'a>)>),
    Object(Object<'a>),
    /// One of a library.
    Named(&'static str),
    /// That of an object under construction.
    Made(String),
    Optional(Box<Type<'a>>),
    /// That of a type.
    Of(Box<Type<'a>>),
    /// One that is still to be found.
    Free(usize),
}

/// An object with fields.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    /// `None`: the metadata of a resource.
    pub schema: Option<&'a Schema>,
    /// It has `apiVersion`, `kind` and `metadata`.
    pub resource: bool,
    pub name: String,
}

impl Type<'_> {
    pub fn is_dyn(&self) -> bool {
        matches!(self, Type::Dyn | Type::Error)
    }

    /// True for values of one size.
    pub fn is_scalar(&self) -> bool {
        match self {
            Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
            Type::Optional(of) => of.is_scalar(),
            _ => false,
        }
    }

    /// True when both are the same.
    pub fn is(&self, other: &Type<'_>) -> bool {
        match (self, other) {
            (Type::List(a), Type::List(b))
            | (Type::Optional(a), Type::Optional(b))
            | (Type::Of(a), Type::Of(b)) => a.is(b),
            (Type::Map(a), Type::Map(b)) => a.0.is(&b.0) && a.1.is(&b.1),
            (Type::Object(a), Type::Object(b)) => a.is(b),
            (Type::Named(a), Type::Named(b)) => a == b,
            (Type::Made(a), Type::Made(b)) => a == b,
            (Type::Free(a), Type::Free(b)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other) && !self.has_parts(),
        }
    }

    fn has_parts(&self) -> bool {
        matches!(
            self,
            Type::List(_)
                | Type::Map(_)
                | Type::Object(_)
                | Type::Named(_)
                | Type::Made(_)
                | Type::Optional(_)
                | Type::Of(_)
                | Type::Free(_)
        )
    }

    /// Null can stand for it.
    fn takes_null(&self) -> bool {
        matches!(
            self,
            Type::Null
                | Type::Duration
                | Type::Timestamp
                | Type::Object(_)
                | Type::Named(_)
                | Type::Made(_)
                | Type::Optional(_)
        )
    }

    /// True when it is as general as another, or more so.
    fn is_as_general(&self, other: &Type<'_>) -> bool {
        match (self, other) {
            (Type::Dyn | Type::Free(_), _) => true,
            (_, Type::Dyn | Type::Free(_)) => false,
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => a.is_as_general(b),
            (Type::Map(a), Type::Map(b)) => a.0.is_as_general(&b.0) && a.1.is_as_general(&b.1),
            (Type::Of(_), Type::Of(_)) => true,
            _ => self.is(other),
        }
    }

    /// The same with its free types numbered from `base` on.
    pub fn fresh(&self, base: usize) -> Self {
        match self {
            Type::Free(id) => Type::Free(base + id),
            Type::List(of) => Type::List(Box::new(of.fresh(base))),
            Type::Optional(of) => Type::Optional(Box::new(of.fresh(base))),
            Type::Of(of) => Type::Of(Box::new(of.fresh(base))),
            Type::Map(of) => Type::Map(Box::new((of.0.fresh(base), of.1.fresh(base)))),
            other => other.clone(),
        }
    }
}

impl Object<'_> {
    fn is(&self, other: &Object<'_>) -> bool {
        let same = match (self.schema, other.schema) {
            (Some(a), Some(b)) => std::ptr::eq(a, b),
            (None, None) => true,
            _ => false,
        };
        same && self.resource == other.resource
    }
}

/// As CEL's messages write it.
impl fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = match self {
            Type::Null => "null",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::Text => "string",
            Type::Bytes => "bytes",
            Type::Duration => "duration",
            Type::Timestamp => "timestamp",
            Type::Dyn => "dyn",
            Type::Error => "!error!",
            Type::Named(name) => name,
            Type::Made(name) => name,
            Type::Object(object) => &object.name,
            Type::List(of) => return write!(f, "list({of})"),
            Type::Map(of) => return write!(f, "map({}, {})", of.0, of.1),
            Type::Optional(of) => return write!(f, "optional_type({of})"),
            Type::Of(of) => return write!(f, "type({of})"),
            Type::Free(id) => return write!(f, "_var{id}"),
        };
        f.write_str(plain)
    }
}

/// What free types have been found to be.
#[derive(Debug, Default)]
pub struct Found<'a> {
    known: HashMap<usize, Type<'a>>,
    /// What was known before each change, so that what came of a vain attempt is forgotten.
    before: Vec<(usize, Option<Type<'a>>)>,
}

impl<'a> Found<'a> {
    /// A type with what has been found. `end`: what has not is anything.
    pub fn apply(&self, of: &Type<'a>, end: bool) -> Type<'a> {
        let apply = |of: &Type<'a>| Box::new(self.apply(of, end));
        match of {
            Type::Free(id) => match self.known.get(id) {
                Some(found) => self.apply(found, end),
                None if end => Type::Dyn,
                None => of.clone(),
            },
            Type::List(of) => Type::List(apply(of)),
            Type::Optional(of) => Type::Optional(apply(of)),
            Type::Of(of) => Type::Of(apply(of)),
            Type::Map(of) => Type::Map(Box::new((self.apply(&of.0, end), self.apply(&of.1, end)))),
            other => other.clone(),
        }
    }

    /// True when a value of one type can stand where the other is wanted; notes what that says of free types.
    pub fn fits(&mut self, a: &Type<'a>, b: &Type<'a>) -> bool {
        let begun = self.before.len();
        let fits = self.matches(a, b);
        self.end(begun, fits)
    }

    /// The same for all of them together.
    pub fn all_fit(&mut self, given: &[Type<'a>], wanted: &[Type<'a>]) -> bool {
        let begun = self.before.len();
        let fits = given.len() == wanted.len() && given.iter().zip(wanted).all(|(a, b)| self.matches(a, b));
        self.end(begun, fits)
    }

    fn end(&mut self, begun: usize, fits: bool) -> bool {
        for (id, before) in self.before.drain(begun..).rev() {
            match before {
                _ if fits => {}
                Some(before) => drop(self.known.insert(id, before)),
                None => drop(self.known.remove(&id)),
            }
        }
        fits
    }

    fn note(&mut self, id: usize, of: Type<'a>) {
        let before = self.known.insert(id, of);
        self.before.push((id, before));
    }

    fn matches(&mut self, a: &Type<'a>, b: &Type<'a>) -> bool {
        if let Type::Free(id) = b {
            match self.stands_for(a, *id) {
                (true, _) => return true,
                (false, true) => return false,
                (false, false) => {}
            }
        }
        if let Type::Free(id) = a {
            return self.stands_for(b, *id).0;
        }
        match (a, b) {
            _ if a.is_dyn() || b.is_dyn() => true,
            (Type::Null, other) | (other, Type::Null) => other.takes_null(),
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.matches(a, b),
            (Type::Map(a), Type::Map(b)) => self.matches(&a.0, &b.0) && self.matches(&a.1, &b.1),
            (Type::Of(_), Type::Of(_)) => true,
            _ => a.is(b),
        }
    }

    /// Whether a type can be what a free one is, and whether that is known already.
    fn stands_for(&mut self, of: &Type<'a>, free: usize) -> (bool, bool) {
        if matches!(of, Type::Free(id) if *id == free) {
            return (true, true);
        }
        if let Some(known) = self.known.get(&free).cloned() {
            if of.is(&known) {
                return (true, true);
            }
            if self.matches(of, &known) {
                let general = if of.is_as_general(&known) { of.clone() } else { known };
                if !self.occurs(free, &general) {
                    self.note(free, general);
                }
                return (true, true);
            }
            return (false, true);
        }
        if self.occurs(free, of) {
            return (false, false);
        }
        self.note(free, of.clone());
        (true, false)
    }

    fn occurs(&self, free: usize, of: &Type<'a>) -> bool {
        match of {
            Type::Free(id) => *id == free || self.known.get(id).is_some_and(|known| self.occurs(free, known)),
            Type::List(of) | Type::Optional(of) | Type::Of(of) => self.occurs(free, of),
            Type::Map(of) => self.occurs(free, &of.0) || self.occurs(free, &of.1),
            _ => false,
        }
    }

    /// Of two types that fit, the one that is more general.
    pub fn general(a: &Type<'a>, b: &Type<'a>) -> Type<'a> {
        if a.is_as_general(b) { a.clone() } else { b.clone() }
    }
}
