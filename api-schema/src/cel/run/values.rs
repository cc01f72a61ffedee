//! What expressions give.

use super::authorizer::{Asking, Decided};
use super::quantities::Amount;
use super::semvers::Version;
use super::times::Time;
use super::urls::Url;
use super::work::Work;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A value. Copying one is cheap.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    /// In nanoseconds.
    Duration(i64),
    Time(Time),
    List(Arc<List>),
    Map(Arc<BTreeMap<Key, Value>>),
    /// A type, by its name.
    Type(&'static str),
    Optional(Option<Arc<Value>>),
    Ip(IpAddr),
    /// An address and the length of its prefix.
    Cidr(IpAddr, u8),
    Quantity(Amount),
    Semver(Arc<Version>),
    Url(Arc<Url>),
    /// One of the formats that have names.
    Format(&'static str),
    Asking(Arc<Asking>),
    Decided(Arc<Decided>),
}

/// A list, and which of those that have the same elements it equals.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    pub items: Vec<Value>,
    pub like: Like,
}

/// How lists are told apart (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default)]
pub(crate) enum Like {
    /// In their order.
    #[default]
    Ordered,
    /// In any order.
    Set,
    /// In any order, elements being known by these fields.
    ByKeys(Arc<[String]>),
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(Arc<str>),
}

/// Why there is no value.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// It failed.
    Error(Cow<'static, str>),
    /// It costs too much.
    Limit,
}

/// What an expression gives.
pub(crate) type Given = Result<Value, Stop>;

/// A failure.
pub(super) fn fail<T>(why: impl Into<Cow<'static, str>>) -> Result<T, Stop> {
    Err(Stop::Error(why.into()))
}

/// No such operator for values of these types.
pub(super) fn no_overload<T>() -> Result<T, Stop> {
    fail("no such overload")
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

impl Value {
    pub fn list(items: Vec<Value>) -> Value {
        Value::List(Arc::new(List { items, like: Like::Ordered }))
    }

    pub fn some(value: Value) -> Value {
        Value::Optional(Some(Arc::new(value)))
    }

    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::Text(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Time(_) => "google.protobuf.Timestamp",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Type(_) => "type",
            Value::Optional(_) => "optional_type",
            Value::Ip(_) => "net.IP",
            Value::Cidr(..) => "net.CIDR",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Semver(_) => "kubernetes.Semver",
            Value::Url(_) => "kubernetes.URL",
            Value::Format(_) => "kubernetes.NamedFormat",
            Value::Asking(_) => "kubernetes.authorization.Authorizer",
            Value::Decided(_) => "kubernetes.authorization.Decision",
        }
    }

    /// How many letters, bytes, elements or entries it has, by which its cost is counted.
    pub fn size(&self) -> u64 {
        (match self {
            Value::Text(text) => text.chars().count(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(list) => list.items.len(),
            Value::Map(map) => map.len(),
            Value::Ip(IpAddr::V4(_)) | Value::Cidr(IpAddr::V4(_), _) => 4,
            Value::Ip(IpAddr::V6(_)) | Value::Cidr(IpAddr::V6(_), _) => 16,
            Value::Optional(Some(value)) => return value.size(),
            _ => 1,
        }) as u64
    }

    /// Whether it equals another value; numbers of all types compare by what they say.
    pub fn equals(&self, other: &Value, work: &mut Work) -> Result<bool, Stop> {
        work.take(1)?;
        Ok(match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => {
                work.take(a.len().min(b.len()) / 16)?;
                a == b
            }
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Time(a), Value::Time(b)) => a.nanoseconds() == b.nanoseconds(),
            (Value::Type(a), Value::Type(b)) | (Value::Format(a), Value::Format(b)) => a == b,
            (Value::List(a), Value::List(b)) => same_lists(a, b, work)?,
            (Value::Map(a), Value::Map(b)) => same_maps(a, b, work)?,
            (Value::Optional(a), Value::Optional(b)) => match (a, b) {
                (None, None) => true,
                (Some(a), Some(b)) => a.equals(b, work)?,
                _ => false,
            },
            (Value::Ip(a), Value::Ip(b)) => a == b,
            (Value::Cidr(a, long), Value::Cidr(b, other)) => a == b && long == other,
            (Value::Quantity(a), Value::Quantity(b)) => a.billionths == b.billionths,
            (Value::Semver(a), Value::Semver(b)) => a.compare(b) == Ordering::Equal,
            (Value::Url(a), Value::Url(b)) => a.text == b.text,
            (Value::Asking(a), Value::Asking(b)) => a.question == b.question,
            (Value::Decided(a), Value::Decided(b)) => a == b,
            _ => matches!(compare_numbers(self, other), Some(Some(Ordering::Equal))),
        })
    }

    /// Its value as a key; `None`: it cannot be one.
    pub fn key(&self) -> Option<Key> {
        Some(match self {
            Value::Bool(bool) => Key::Bool(*bool),
            Value::Int(int) => Key::Int(*int),
            Value::Uint(uint) => Key::Uint(*uint),
            Value::Text(text) => Key::Text(text.clone()),
            _ => return None,
        })
    }
}

impl Key {
    pub fn value(&self) -> Value {
        match self {
            Key::Bool(bool) => Value::Bool(*bool),
            Key::Int(int) => Value::Int(*int),
            Key::Uint(uint) => Value::Uint(*uint),
            Key::Text(text) => Value::Text(text.clone()),
        }
    }
}

/// What stands in a map under a key, which may be a number of another type.
pub(super) fn find<'m>(map: &'m BTreeMap<Key, Value>, key: &Value) -> Option<&'m Value> {
    let int = |int: i64| {
        let uint = || u64::try_from(int).ok().and_then(|uint| map.get(&Key::Uint(uint)));
        map.get(&Key::Int(int)).or_else(uint)
    };
    match key {
        Value::Int(value) => int(*value),
        Value::Uint(uint) => {
            let signed = || i64::try_from(*uint).ok().and_then(|int| map.get(&Key::Int(int)));
            map.get(&Key::Uint(*uint)).or_else(signed)
        }
        Value::Double(double) => int(whole(*double)?),
        other => map.get(&other.key()?),
    }
}

/// A number that is a whole one.
#[allow(clippy::cast_possible_truncation)] // the range is checked
pub(super) fn whole(double: f64) -> Option<i64> {
    (double.fract() == 0.0 && double.abs() < 9.2e18).then_some(double as i64)
}

fn same_lists(a: &List, b: &List, work: &mut Work) -> Result<bool, Stop> {
    if a.items.len() != b.items.len() {
        return Ok(false);
    }
    let like = match (&a.like, &b.like) {
        (Like::Ordered, other) => other,
        (own, _) => own,
    };
    if let Like::Ordered = like {
        for (a, b) in a.items.iter().zip(&b.items) {
            if !a.equals(b, work)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    for a in &a.items {
        let mut found = false;
        for b in &b.items {
            if a.equals(b, work)? {
                found = true;
                break;
            }
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_maps(a: &BTreeMap<Key, Value>, b: &BTreeMap<Key, Value>, work: &mut Work) -> Result<bool, Stop> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (key, value) in a {
        match find(b, &key.value()) {
            Some(other) if value.equals(other, work)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// How two numbers stand to each other. `None`: one of them is none. `Some(None)`: one is not a number (NaN).
#[allow(clippy::cast_precision_loss)] // as CEL compares them
pub(super) fn compare_numbers(a: &Value, b: &Value) -> Option<Option<Ordering>> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Int(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
        (Value::Double(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Uint(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
        (Value::Double(a), Value::Uint(b)) => a.partial_cmp(&(*b as f64)),
        _ => return None,
    })
}
