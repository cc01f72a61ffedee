//! A document into its value: scalars become what they look like, aliases are followed, maps merged.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Content, Document, MAX_DEPTH, MAX_NODES, Node, NodeId, Scalar};
use super::plain::{Key, Plain};
use super::scalar::MERGE;
use super::{DecodeError, go_text, refused, scalar};

/// How many values aliases may lead to.
const MAX_ALIASED: usize = 400_000;

const NO_MERGE: &str = "map merge requires map or sequence of maps as the value";

/// The value of a document, null where there is none, and what is said of keys that are set twice.
pub(super) fn convert(document: &Document) -> Result<(Plain, Vec<String>), DecodeError> {
    let mut walk =
        Walk { document, notes: Vec::new(), followed: BTreeSet::new(), depth: 0, values: 0, aliased: 0 };
    let value = match document.root {
        Some(root) => walk.value(root)?,
        None => Plain::Null,
    };
    Ok((value, walk.notes))
}

struct Walk<'d> {
    document: &'d Document,
    notes: Vec<String>,
    /// The aliases that lead to where the walk is.
    followed: BTreeSet<NodeId>,
    depth: usize,
    values: usize,
    /// How many of the values aliases led to.
    aliased: usize,
}

type Members = BTreeMap<Key, Plain>;

impl<'d> Walk<'d> {
    fn node(&self, id: NodeId) -> Result<&'d Node, DecodeError> {
        self.document.node(id).ok_or_else(|| refused("a value is missing"))
    }

    /// Goes down to a node: `visit` gets what it is once aliases are followed.
    fn enter<T>(
        &mut self,
        id: NodeId,
        visit: impl FnOnce(&mut Self, &'d Node) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.count()?;
        let node = self.node(id)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(refused(&format!("exceeded max depth of {MAX_DEPTH}")));
        }
        let result = match &node.content {
            Content::Alias { name, of } => {
                if !self.followed.insert(id) {
                    return Err(refused(&format!("anchor '{name}' value contains itself")));
                }
                let target = self.node(*of)?;
                self.count()?;
                let result = visit(self, target);
                self.followed.remove(&id);
                result
            }
            _ => visit(self, node),
        };
        self.depth -= 1;
        result
    }

    /// Counts a value. A small text may stand for a very large value by aliases of aliases.
    fn count(&mut self) -> Result<(), DecodeError> {
        self.values += 1;
        self.aliased += usize::from(!self.followed.is_empty());
        let mostly_aliased =
            self.aliased > 100 && self.values > 1000 && self.aliased * 100 > self.values * 99;
        if mostly_aliased || self.aliased > MAX_ALIASED || self.values > MAX_NODES {
            return Err(refused("document contains excessive aliasing"));
        }
        Ok(())
    }

    fn value(&mut self, id: NodeId) -> Result<Plain, DecodeError> {
        self.enter(id, |walk, node| match &node.content {
            Content::Scalar(scalar) => resolve(scalar),
            Content::List(items) => {
                Ok(Plain::List(items.iter().map(|item| walk.value(*item)).collect::<Result<_, _>>()?))
            }
            Content::Map(members) => {
                let mut map = Members::new();
                walk.members(members, &mut map)?;
                Ok(Plain::Map(map))
            }
            // An alias has been followed, and an anchor is never on another.
            Content::Alias { .. } => Err(refused("a value is missing")),
        })
    }

    /// Sets the members of a map. Of a key that is there twice the last value counts.
    fn members(&mut self, members: &[(NodeId, NodeId)], map: &mut Members) -> Result<(), DecodeError> {
        for (key, value) in members {
            if is_merge(self.node(*key)?) {
                self.merge(*value, map)?;
                continue;
            }
            let key = self.value(*key)?;
            let Some(key) = Key::of(&key) else {
                return Err(refused(&format!("invalid map key: {}", go_text::value(&key))));
            };
            let line = self.node(*value)?.line;
            let value = self.value(*value)?;
            let note = map.contains_key(&key).then(|| go_text::key(&key));
            if let Some(key) = note {
                self.notes.push(format!("line {line}: key {key} already set in map"));
            }
            map.insert(key, value);
        }
        Ok(())
    }

    /// Sets the members of a map in another one: those of `<<`.
    fn merge(&mut self, id: NodeId, map: &mut Members) -> Result<(), DecodeError> {
        let node = self.node(id)?;
        let Content::List(items) = &node.content else { return self.merge_map(id, map) };
        // Earlier ones win.
        for item in items.iter().rev() {
            self.merge_map(*item, map)?;
        }
        Ok(())
    }

    fn merge_map(&mut self, id: NodeId, map: &mut Members) -> Result<(), DecodeError> {
        self.enter(id, |walk, node| match &node.content {
            Content::Map(members) => walk.members(members, map),
            _ => Err(refused(NO_MERGE)),
        })
    }
}

fn is_merge(node: &Node) -> bool {
    matches!(&node.content, Content::Scalar(Scalar { tag, text, plain })
        if &**text == "<<" && (*plain || &**tag == MERGE))
}

fn resolve(scalar: &Scalar) -> Result<Plain, DecodeError> {
    if scalar.tag.is_empty() && !scalar.plain {
        return Ok(Plain::Text(scalar.text.to_string()));
    }
    scalar::resolve(&scalar.tag, &scalar.text).map_err(|why| refused(&why))
}
