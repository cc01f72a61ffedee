//! Types as a graph: what all functions of this crate walk along with a value.

use compact_str::CompactString;
use serde_json::Value;

/// The index of a type in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// Types that refer to each other. The built-in kinds are one graph; each version of a CRD is one.
#[derive(Debug, Default)]
pub struct TypeGraph {
    /// The types; a [`TypeId`] is an index.
    pub types: Vec<TypeNode>,
}

/// One type.
#[derive(Debug)]
pub struct TypeNode {
    /// The full name of a named type (`io.k8s.api.core.v1.PodSpec`); empty for lists, maps and scalars.
    pub name: CompactString,
    /// What it is.
    pub shape: Shape,
    /// Server-side apply and strategic merge treat the value as one (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// Keeps fields that it does not know (`x-kubernetes-preserve-unknown-fields`).
    pub preserve_unknown: bool,
    /// Carries an object with `apiVersion`, `kind` and `metadata` of its own (`x-kubernetes-embedded-resource`).
    pub embedded: bool,
}

/// What a type is.
#[derive(Debug)]
pub enum Shape {
    /// Named fields, sorted by name.
    Object(Vec<Field>),
    /// Keys of the client's choice.
    Map(TypeId),
    /// An array.
    List(TypeId, ListKind),
    /// A single value.
    Scalar(Scalar),
    /// Any JSON.
    Any,
}

/// One field of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: CompactString,
    /// Its type.
    pub of: TypeId,
    /// Must be there.
    pub required: bool,
    /// Set when absent.
    pub default: Option<Value>,
    /// The protobuf field number; 0 when there is none.
    pub number: u32,
    /// Strategic merge (`x-kubernetes-patch-strategy`): `merge`, `replace`, `retainKeys`, joined by commas;
    /// empty for the default.
    pub patch_strategy: CompactString,
    /// Strategic merge: the key that tells apart the elements of a merged list of objects.
    pub patch_merge_key: CompactString,
}

/// How a list's elements are told apart (`x-kubernetes-list-type`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// The list is one value.
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects, told apart by these keys.
    Map(Vec<CompactString>),
}

/// The kinds of single values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string.
    String,
    /// Base64 in a string.
    Bytes,
    /// RFC 3339 with seconds; protobuf `Timestamp`.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// A duration such as `1h2m`.
    Duration,
    /// A quantity such as `100m`: a string or a number on the way in, a string on the way out.
    Quantity,
    /// A string or an integer.
    IntOrString,
    /// 32 bits.
    Int32,
    /// 64 bits.
    Int64,
    /// A number.
    Number,
    /// True or false.
    Boolean,
}

/// A type in its graph.
#[derive(Clone, Copy)]
pub struct TypeRef<'a> {
    /// The graph.
    pub graph: &'a TypeGraph,
    /// The type.
    pub id: TypeId,
}

impl<'a> TypeRef<'a> {
    /// The type's node.
    pub fn node(self) -> &'a TypeNode {
        &self.graph.types[self.id.0 as usize]
    }

    /// Another type of the same graph.
    pub fn at(self, id: TypeId) -> TypeRef<'a> {
        TypeRef { graph: self.graph, id }
    }

    /// The shape.
    pub fn shape(self) -> &'a Shape {
        &self.node().shape
    }

    /// The field of an object type.
    pub fn field(self, name: &str) -> Option<&'a Field> {
        match self.shape() {
            Shape::Object(fields) => {
                fields.binary_search_by(|f| f.name.as_str().cmp(name)).ok().map(|index| &fields[index])
            }
            _ => None,
        }
    }

    /// The type of a field of an object, or of a value of a map.
    pub fn member(self, name: &str) -> Option<TypeRef<'a>> {
        match self.shape() {
            Shape::Map(value) => Some(self.at(*value)),
            _ => self.field(name).map(|field| self.at(field.of)),
        }
    }

    /// The type of a list's elements.
    pub fn element(self) -> Option<TypeRef<'a>> {
        match self.shape() {
            Shape::List(element, _) => Some(self.at(*element)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for TypeRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TypeRef({} {})", self.id.0, self.node().name)
    }
}
