//! A set of the fields of an object: what one manager owns.

use super::path::PathElement;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// A set of paths, held as a tree whose nodes are sorted. The empty set allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: Vec<Node>,
}

/// A path of the set, or a step on the way to one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    element: PathElement,
    /// The path that ends here is in the set.
    member: bool,
    children: FieldSet,
}

impl FieldSet {
    /// True when no path is in the set.
    pub fn is_empty(&self) -> bool {
        // Nodes without a member below are never kept.
        self.nodes.is_empty()
    }

    /// How many paths are in the set.
    pub fn len(&self) -> usize {
        self.nodes.iter().map(|n| usize::from(n.member) + n.children.len()).sum()
    }

    /// A set of paths of fields.
    pub fn of_fields<'p>(paths: impl IntoIterator<Item = &'p [&'p str]>) -> Self {
        let mut set = FieldSet::default();
        for path in paths {
            let path: Vec<PathElement> = path.iter().map(|name| PathElement::field(name)).collect();
            set.insert(&path);
        }
        set
    }

    /// Adds a path; the empty one, which means the whole object, is ignored.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else { return };
        let at = match self.find(first) {
            Ok(at) => at,
            Err(at) => {
                let node = Node { element: first.clone(), member: false, children: FieldSet::default() };
                self.nodes.insert(at, node);
                at
            }
        };
        if rest.is_empty() {
            self.nodes[at].member = true;
        } else {
            self.nodes[at].children.insert(rest);
        }
    }

    /// Adds a step with what is below it; nothing when neither is in the set. Cheapest in sorted order.
    pub(super) fn add(&mut self, element: PathElement, member: bool, children: FieldSet) {
        if !member && children.is_empty() {
            return;
        }
        let node = Node { element, member, children };
        if self.nodes.last().is_none_or(|last| last.element < node.element) {
            self.nodes.push(node);
            return;
        }
        match self.find(&node.element) {
            Ok(at) => {
                let there = &mut self.nodes[at];
                there.member |= node.member;
                let children = std::mem::take(&mut there.children);
                there.children = children.union(node.children);
            }
            Err(at) => self.nodes.insert(at, node),
        }
    }

    fn find(&self, element: &PathElement) -> Result<usize, usize> {
        self.nodes.binary_search_by(|n| n.element.cmp(element))
    }

    /// True when the path of this one step is in the set.
    pub(super) fn has(&self, element: &PathElement) -> bool {
        self.find(element).is_ok_and(|at| self.nodes[at].member)
    }

    /// True when the path is in the set.
    pub fn contains(&self, path: &[PathElement]) -> bool {
        match path.split_first() {
            None => false,
            Some((last, [])) => self.has(last),
            Some((first, rest)) => self.below(first).is_some_and(|s| s.contains(rest)),
        }
    }

    /// The paths that go on below a step.
    pub(super) fn below(&self, element: &PathElement) -> Option<&FieldSet> {
        let at = self.find(element).ok()?;
        Some(&self.nodes[at].children).filter(|s| !s.is_empty())
    }

    /// The steps from here: step, whether the path ends there, and what is below.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&PathElement, bool, &FieldSet)> {
        self.nodes.iter().map(|n| (&n.element, n.member, &n.children))
    }

    /// The paths of both sets.
    pub fn union(self, other: FieldSet) -> FieldSet {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let mut nodes = Vec::with_capacity(self.nodes.len().max(other.nodes.len()));
        let (mut left, mut right) = (self.nodes.into_iter().peekable(), other.nodes.into_iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (Some(l), Some(r)) => l.element.cmp(&r.element),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return FieldSet { nodes },
            };
            match order {
                Ordering::Less => nodes.extend(left.next()),
                Ordering::Greater => nodes.extend(right.next()),
                Ordering::Equal => {
                    if let (Some(l), Some(r)) = (left.next(), right.next()) {
                        nodes.push(Node {
                            element: l.element,
                            member: l.member || r.member,
                            children: l.children.union(r.children),
                        });
                    }
                }
            }
        }
    }

    /// The paths that are in both sets.
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut out = FieldSet::default();
        self.pair(other, |node, there| {
            if let Some(there) = there {
                out.add(
                    node.element.clone(),
                    node.member && there.member,
                    node.children.intersection(&there.children),
                );
            }
        });
        out
    }

    /// Removes the paths of the other set, but not what is below them. True when something was removed.
    pub fn subtract(&mut self, other: &FieldSet) -> bool {
        self.subtract_with(other, false)
    }

    /// Removes the paths of the other set and all that is below them. True when something was removed.
    pub fn subtract_recursive(&mut self, other: &FieldSet) -> bool {
        self.subtract_with(other, true)
    }

    fn subtract_with(&mut self, other: &FieldSet, recursive: bool) -> bool {
        if self.is_empty() || other.is_empty() {
            return false;
        }
        let mut removed = false;
        let mut rest = other.nodes.as_slice();
        self.nodes.retain_mut(|node| {
            while rest.first().is_some_and(|r| r.element < node.element) {
                rest = &rest[1..];
            }
            let Some(there) = rest.first().filter(|r| r.element == node.element) else { return true };
            if there.member && recursive {
                removed = true;
                return false;
            }
            if there.member && node.member {
                node.member = false;
                removed = true;
            }
            removed |= node.children.subtract_with(&there.children, recursive);
            node.member || !node.children.is_empty()
        });
        removed
    }

    /// The set without the paths of the other.
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        let mut out = self.clone();
        out.subtract(other);
        out
    }

    fn pair(&self, other: &FieldSet, mut visit: impl FnMut(&Node, Option<&Node>)) {
        let mut rest = other.nodes.as_slice();
        for node in &self.nodes {
            while rest.first().is_some_and(|r| r.element < node.element) {
                rest = &rest[1..];
            }
            visit(node, rest.first().filter(|r| r.element == node.element));
        }
    }

    /// Calls `visit` with each path: the paths that end at this level before those that go on.
    pub fn visit(&self, visit: &mut impl FnMut(&[PathElement])) {
        self.visit_below(&mut Vec::new(), visit);
    }

    fn visit_below(&self, path: &mut Vec<PathElement>, visit: &mut impl FnMut(&[PathElement])) {
        for node in self.nodes.iter().filter(|n| n.member) {
            path.push(node.element.clone());
            visit(path);
            path.pop();
        }
        for node in &self.nodes {
            path.push(node.element.clone());
            node.children.visit_below(path, visit);
            path.pop();
        }
    }

    /// The set as `fieldsV1`.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        for node in &self.nodes {
            let mut below = match node.children.to_value() {
                Value::Object(map) => map,
                _ => Map::new(),
            };
            if node.member && !below.is_empty() {
                below.insert(".".into(), Value::Object(Map::new()));
            }
            map.insert(node.element.to_key(), Value::Object(below));
        }
        Value::Object(map)
    }

    /// The set as the text of `fieldsV1`, with its keys in the order in which Kubernetes writes them: `.` first,
    /// then fields, keys by their values (not by their text), values and indexes.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(false, &mut out);
        out
    }

    fn write_json(&self, member: bool, out: &mut String) {
        out.push('{');
        if member && !self.is_empty() {
            out.push_str("\".\":{}");
        }
        for (at, node) in self.nodes.iter().enumerate() {
            if at > 0 || member {
                out.push(',');
            }
            out.push_str(&Value::String(node.element.to_key()).to_string());
            out.push(':');
            node.children.write_json(node.member, out);
        }
        out.push('}');
    }

    /// Reads `fieldsV1`.
    ///
    /// Errors: text that tells which key cannot be read. Steps of a kind that is not known are skipped.
    pub fn from_value(value: &Value) -> Result<FieldSet, String> {
        Self::read(value).map(|(set, _)| set)
    }

    /// The set below a step, and whether the step itself is in the set: when it says so, or has nothing below.
    fn read(value: &Value) -> Result<(FieldSet, bool), String> {
        let map = match value {
            Value::Object(map) => map,
            Value::Null => return Ok((FieldSet::default(), true)),
            other => return Err(format!("expected an object of fields, got {other}")),
        };
        let mut set = FieldSet::default();
        let mut member = false;
        for (key, below) in map {
            if key == "." {
                member = true;
                continue;
            }
            let Some(element) = PathElement::parse(key)? else { continue };
            let (children, ends) = Self::read(below)?;
            set.add(element, ends, children);
        }
        let member = member || set.is_empty();
        Ok((set, member))
    }
}
