//! Types as a graph: what all functions of this crate walk along with a value.

mod digest;

use std::collections::HashMap;

use digest::Digest;

use compact_str::CompactString;
use serde_json::Value;

/// The index of a type in its graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// Types that refer to each other. The built-in kinds are one graph; each version of a CRD is one.
#[derive(Debug, Default)]
pub struct TypeGraph {
    /// A [`TypeId`] is an index.
    types: Vec<TypeNode>,
    digests: Box<[Digest]>,
    names: HashMap<CompactString, TypeId>,
    kinds: HashMap<GroupVersionKind, TypeId>,
}

/// A kind as `apiVersion` and `kind` name it. The core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// The group (`apps`).
    pub group: CompactString,
    /// The version (`v1`).
    pub version: CompactString,
    /// The kind (`Deployment`).
    pub kind: CompactString,
}

impl TypeGraph {
    /// A graph of these types, found by their names. With two of one name the first is found.
    pub fn new(types: Vec<TypeNode>) -> TypeGraph {
        TypeGraph::with_kinds(types, HashMap::new())
    }

    /// A graph of these types, some of which are kinds.
    pub fn with_kinds(types: Vec<TypeNode>, kinds: HashMap<GroupVersionKind, TypeId>) -> TypeGraph {
        let mut names = HashMap::new();
        for (index, node) in types.iter().enumerate() {
            if !node.name.is_empty() {
                names.entry(node.name.clone()).or_insert(TypeId(index as u32));
            }
        }
        TypeGraph { digests: Digest::of_all(&types), types, names, kinds }
    }

    /// The type of this full name.
    pub fn named(&self, name: &str) -> Option<TypeId> {
        self.names.get(name).copied()
    }

    /// The type of a kind.
    pub fn kind(&self, kind: &GroupVersionKind) -> Option<TypeId> {
        self.kinds.get(kind).copied()
    }

    /// All kinds, in no order.
    pub fn kinds(&self) -> impl Iterator<Item = (&GroupVersionKind, TypeId)> {
        self.kinds.iter().map(|(kind, id)| (kind, *id))
    }

    /// A type with its graph.
    pub fn at(&self, id: TypeId) -> TypeRef<'_> {
        TypeRef { graph: self, id }
    }
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
    /// Server-side apply takes fields that it does not know for what they are (they may be dropped afterwards).
    pub open: bool,
    /// Carries an object with `apiVersion`, `kind` and `metadata` of its own (`x-kubernetes-embedded-resource`).
    pub embedded: bool,
    /// What error messages call a scalar, list or map that has a name (`v1.PullPolicy`); else empty.
    pub alias: CompactString,
    /// The values that descriptions list for a string; empty when any is allowed. Validation does not use it.
    pub values: Vec<CompactString>,
    /// A list that protobuf carries inside a message of its own, as field 1.
    pub wrapped: bool,
}

impl Default for TypeNode {
    /// Any JSON, with no name.
    fn default() -> TypeNode {
        TypeNode {
            name: CompactString::default(),
            shape: Shape::Any,
            atomic: false,
            preserve_unknown: false,
            open: false,
            embedded: false,
            alias: CompactString::default(),
            values: Vec::new(),
            wrapped: false,
        }
    }
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
#[derive(Debug, Default)]
pub struct Field {
    /// Its name.
    pub name: CompactString,
    /// Its type.
    pub of: TypeId,
    /// When it is written.
    pub presence: Presence,
    /// Must be there.
    pub required: bool,
    /// Set when absent.
    pub default: Option<Value>,
    /// The protobuf field number; 0 when there is none.
    pub number: u32,
    /// The numbers of the messages around it, outermost first, where JSON shows the fields of an inner message
    /// among those of the outer one (`Volume` and its sources); mostly empty.
    pub within: Vec<u32>,
    /// Strategic merge (`x-kubernetes-patch-strategy`): `merge`, `replace`, `retainKeys`, joined by commas;
    /// empty for the default.
    pub patch_strategy: CompactString,
    /// Strategic merge: the key that tells apart the elements of a merged list of objects.
    pub patch_merge_key: CompactString,
    /// Server-side apply owns the fields of the value one by one, whatever its type says
    /// (`x-kubernetes-map-type: granular`).
    pub granular: bool,
}

/// When a field is written, which follows how Kubernetes' own types hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// When it is set, whatever its value; the rule of custom resources and of optional pointers.
    #[default]
    Set,
    /// When it is neither empty nor zero.
    NonZero,
    /// Always: an empty value, or null where the type has none, stands in for one that is not set.
    Always,
    /// Always: null stands in for one that is not set.
    OrNull,
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
            Shape::Object(fields) => fields.get(self.field_number(name)?),
            _ => None,
        }
    }

    /// Which of the fields of an object type it is.
    pub fn field_number(self, name: &str) -> Option<usize> {
        match self.shape() {
            Shape::Object(fields) => self.digest().find(fields, name),
            _ => None,
        }
    }

    fn digest(self) -> &'a Digest {
        &self.graph.digests[self.id.0 as usize]
    }

    /// True when a field of it, or of anything in it, has a default.
    pub fn has_defaults(self) -> bool {
        self.digest().has_defaults
    }

    /// True when a field of it, or of anything in it, is [always](Presence::Always) written.
    pub fn is_filled(self) -> bool {
        self.digest().is_filled
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
