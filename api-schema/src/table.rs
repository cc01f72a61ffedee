//! Reads tables of type facts; `tables/README.md` describes the format.

use std::collections::HashMap;

use compact_str::{CompactString, ToCompactString};
use thiserror::Error;

use crate::graph::{Field, GroupVersionKind, ListKind, Presence, Scalar, Shape, TypeGraph, TypeId, TypeNode};

/// Why a table cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("table {table}, line {line}: {problem}")]
pub struct TableError {
    /// Which of the tables, counted from 0.
    pub table: usize,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// The line has too few words.
    #[error("a word is missing")]
    Missing,
    /// A type or package that no line declares.
    #[error("{0} is not declared")]
    Undeclared(String),
    /// A word that means nothing here.
    #[error("{0} means nothing here")]
    Word(String),
    /// A field outside of a type.
    #[error("a field without a type above it")]
    Stray,
    /// A protobuf number that is none.
    #[error("{0} is no number")]
    Number(String),
    /// A default that is not JSON.
    #[error("the default is not JSON")]
    Default,
}

/// Reads tables into one graph; later ones may name types of earlier ones, and the other way round.
///
/// Kinds declared with `kind=*` are found under the group and the version `*`.
pub fn read(tables: &[&str]) -> Result<TypeGraph, TableError> {
    let mut reader = Reader::default();
    for (table, text) in tables.iter().enumerate() {
        reader.each_line(table, text, Reader::declare)?;
    }
    for (table, text) in tables.iter().enumerate() {
        reader.each_line(table, text, Reader::define)?;
    }
    for node in &mut reader.types {
        if let Shape::Object(fields) = &mut node.shape {
            fields.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }
    Ok(TypeGraph::with_kinds(reader.types, reader.kinds))
}

#[derive(Default)]
struct Reader<'a> {
    types: Vec<TypeNode>,
    kinds: HashMap<GroupVersionKind, TypeId>,
    packages: HashMap<&'a str, &'a str>,
    declared: HashMap<(&'a str, &'a str), TypeId>,
    interned: HashMap<(&'a str, &'a str), TypeId>,
    package: &'a str,
    presence: Presence,
    current: Option<TypeId>,
}

/// A line by its first character.
enum Line<'a> {
    Use(&'a str, &'a str),
    Package(&'a str, Presence),
    Type(&'a str, &'a str),
    Field(&'a str),
}

impl<'a> Reader<'a> {
    fn each_line(
        &mut self,
        table: usize,
        text: &'a str,
        visit: fn(&mut Reader<'a>, Line<'a>) -> Result<(), Problem>,
    ) -> Result<(), TableError> {
        if table == 0 {
            self.package = "";
        }
        self.current = None;
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            classify(line).and_then(|line| visit(self, line)).map_err(|problem| TableError {
                table,
                line: index + 1,
                problem,
            })?;
        }
        Ok(())
    }

    fn full(&self, short: &str) -> Result<&'a str, Problem> {
        self.packages.get(short).copied().ok_or_else(|| Problem::Undeclared(short.to_owned()))
    }

    /// First pass: names get numbers.
    fn declare(&mut self, line: Line<'a>) -> Result<(), Problem> {
        match line {
            Line::Use(short, full) => {
                self.packages.insert(short, full);
            }
            Line::Package(short, _) => {
                self.full(short)?;
                self.package = short;
            }
            Line::Type(name, words) => {
                let id = TypeId(self.types.len() as u32);
                self.declared.insert((self.package, name), id);
                let full = format!("{}.{name}", self.full(self.package)?);
                let mut node =
                    TypeNode { name: full.into(), shape: Shape::Object(Vec::new()), ..TypeNode::default() };
                for word in words.split_ascii_whitespace() {
                    match word {
                        "atomic" => node.atomic = true,
                        "preserve" => node.preserve_unknown = true,
                        "embedded" => node.embedded = true,
                        _ => {
                            if let Some(kind) = word.strip_prefix("kind=") {
                                self.kinds.insert(read_kind(kind, name)?, id);
                            } else if let Some(is) = word.strip_prefix("is=") {
                                node.shape = single(is).ok_or_else(|| Problem::Word(word.to_owned()))?;
                            } else {
                                return Err(Problem::Word(word.to_owned()));
                            }
                        }
                    }
                }
                self.types.push(node);
            }
            Line::Field(_) => {}
        }
        Ok(())
    }

    /// Second pass: fields find their types.
    fn define(&mut self, line: Line<'a>) -> Result<(), Problem> {
        match line {
            Line::Use(..) => {}
            Line::Package(short, presence) => {
                self.package = short;
                self.presence = presence;
            }
            Line::Type(name, _) => self.current = self.declared.get(&(self.package, name)).copied(),
            Line::Field(text) => {
                let field = self.field(text)?;
                let current = self.current.ok_or(Problem::Stray)?;
                match self.types.get_mut(current.0 as usize).map(|node| &mut node.shape) {
                    Some(Shape::Object(fields)) => fields.push(field),
                    _ => return Err(Problem::Stray),
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, text: &'a str) -> Result<Field, Problem> {
        let (text, default) = match text.split_once(" default=") {
            Some((text, json)) => (text, Some(serde_json::from_str(json).map_err(|_| Problem::Default)?)),
            None => (text, None),
        };
        let mut words = text.split_ascii_whitespace();
        let name = words.next().ok_or(Problem::Missing)?;
        let mut path = Vec::new();
        for number in words.next().ok_or(Problem::Missing)?.split('.') {
            path.push(number.parse().map_err(|_| Problem::Number(number.to_owned()))?);
        }
        let of = words.next().ok_or(Problem::Missing)?;
        let mut field = Field {
            name: name.to_compact_string(),
            number: path.pop().unwrap_or_default(),
            within: path,
            presence: self.presence,
            default,
            ..Field::default()
        };
        let (mut embedded, mut preserve) = (false, false);
        for word in words {
            match word {
                "*" => field.presence = Presence::Set,
                "+" => field.presence = Presence::Always,
                "?" => field.presence = Presence::OrNull,
                "!" => field.required = true,
                "granular" => field.granular = true,
                "embedded" => embedded = true,
                "preserve" => preserve = true,
                _ => match word.split_once('=') {
                    Some(("patch", value)) => field.patch_strategy = value.into(),
                    Some(("key", value)) => field.patch_merge_key = value.into(),
                    _ => return Err(Problem::Word(word.to_owned())),
                },
            }
        }
        field.of = if embedded || preserve {
            let shape = single(of).ok_or_else(|| Problem::Word(of.to_owned()))?;
            self.add(TypeNode { shape, embedded, preserve_unknown: preserve, ..TypeNode::default() })
        } else {
            self.type_of(of)?
        };
        Ok(field)
    }

    fn add(&mut self, node: TypeNode) -> TypeId {
        self.types.push(node);
        TypeId(self.types.len() as u32 - 1)
    }

    fn type_of(&mut self, text: &'a str) -> Result<TypeId, Problem> {
        if let Some(id) = self.interned.get(&(self.package, text)) {
            return Ok(*id);
        }
        let id = self.new_type(text)?;
        self.interned.insert((self.package, text), id);
        Ok(id)
    }

    fn new_type(&mut self, text: &'a str) -> Result<TypeId, Problem> {
        let undeclared = || Problem::Undeclared(text.to_owned());
        let (plain, wrapped) = match text.strip_prefix('@') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if let Some((inside, element)) = plain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let (keys, alias) = inside.split_once(';').unwrap_or((inside, ""));
            let kind = match keys {
                "" => ListKind::Atomic,
                "set" => ListKind::Set,
                keys => ListKind::Map(keys.split(',').map(CompactString::from).collect()),
            };
            let element = self.type_of(element)?;
            let shape = Shape::List(element, kind);
            return Ok(self.add(TypeNode { shape, wrapped, alias: alias.into(), ..TypeNode::default() }));
        }
        if let Some((inside, value)) = plain.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            let (kind, alias) = inside.split_once(';').unwrap_or((inside, ""));
            let value = self.type_of(value)?;
            let shape = Shape::Map(value);
            let atomic = kind == "atomic";
            return Ok(self.add(TypeNode { shape, atomic, alias: alias.into(), ..TypeNode::default() }));
        }
        if plain.starts_with(|c: char| c.is_ascii_uppercase()) {
            return self.declared.get(&(self.package, plain)).copied().ok_or_else(undeclared);
        }
        let (rest, values) = plain.split_once('=').unwrap_or((plain, ""));
        let (name, alias) = rest.split_once('~').unwrap_or((rest, ""));
        if let Some(shape) = single(name) {
            let values = if plain.contains('=') {
                values.split('|').map(|value| value.replace("\\s", " ").into()).collect()
            } else {
                Vec::new()
            };
            return Ok(self.add(TypeNode { shape, alias: alias.into(), values, ..TypeNode::default() }));
        }
        let (package, name) = plain.split_once('.').ok_or_else(undeclared)?;
        self.declared.get(&(package, name)).copied().ok_or_else(undeclared)
    }
}

fn classify(line: &str) -> Result<Line<'_>, Problem> {
    if let Some(field) = line.strip_prefix(' ') {
        return Ok(Line::Field(field));
    }
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    match first {
        "use" => {
            let (short, full) = rest.split_once(' ').ok_or(Problem::Missing)?;
            Ok(Line::Use(short, full))
        }
        "package" => match rest.split_once(' ') {
            None => Ok(Line::Package(rest, Presence::NonZero)),
            Some((short, "set")) => Ok(Line::Package(short, Presence::Set)),
            Some((_, word)) => Err(Problem::Word(word.to_owned())),
        },
        name => Ok(Line::Type(name, rest)),
    }
}

fn read_kind(text: &str, name: &str) -> Result<GroupVersionKind, Problem> {
    if text == "*" {
        return Ok(GroupVersionKind { group: "*".into(), version: "*".into(), kind: name.into() });
    }
    let mut parts = text.split('/');
    let (Some(group), Some(version), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Problem::Word(text.to_owned()));
    };
    Ok(GroupVersionKind { group: group.into(), version: version.into(), kind: kind.into() })
}

fn single(name: &str) -> Option<Shape> {
    Some(Shape::Scalar(match name {
        "any" => return Some(Shape::Any),
        "string" => Scalar::String,
        "bytes" => Scalar::Bytes,
        "time" => Scalar::Time,
        "microtime" => Scalar::MicroTime,
        "duration" => Scalar::Duration,
        "quantity" => Scalar::Quantity,
        "intorstring" => Scalar::IntOrString,
        "int32" => Scalar::Int32,
        "int64" => Scalar::Int64,
        "number" => Scalar::Number,
        "boolean" => Scalar::Boolean,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
# sample
use a io.example.a.v1
use b io.example.b.v1
package a
Thing kind=example/v1/Thing
 name 1 string !
 mode 2 string~v1.Mode=|Half\\sOn|On default=\"On\"
 items 3.1 [key,port]b.Item + patch=merge key=port
 extra 4 {;v1.Extra}@[]string *
 body 5 any embedded preserve
package b
Item atomic
 at 1 Moment
Moment is=time
";

    #[test]
    fn reads_every_word() {
        let graph = read(&[SAMPLE]).unwrap();
        let kind = GroupVersionKind { group: "example".into(), version: "v1".into(), kind: "Thing".into() };
        let thing = graph.at(graph.kind(&kind).unwrap());
        assert_eq!(thing.node().name, "io.example.a.v1.Thing");
        assert!(thing.field("name").unwrap().required);
        let mode = thing.field("mode").unwrap();
        assert_eq!(mode.default, Some("On".into()));
        assert_eq!(thing.member("mode").unwrap().node().alias, "v1.Mode");
        assert_eq!(thing.member("mode").unwrap().node().values, ["", "Half On", "On"]);
        let items = thing.field("items").unwrap();
        assert_eq!((items.within.as_slice(), items.number), ([3].as_slice(), 1));
        assert_eq!(items.presence, Presence::Always);
        assert_eq!((items.patch_strategy.as_str(), items.patch_merge_key.as_str()), ("merge", "port"));
        let Shape::List(_, ListKind::Map(keys)) = thing.member("items").unwrap().shape() else {
            unreachable!()
        };
        assert_eq!(keys, &["key", "port"]);
        let item = thing.member("items").unwrap().element().unwrap();
        assert!(item.node().atomic);
        assert!(matches!(item.member("at").unwrap().shape(), Shape::Scalar(Scalar::Time)));
        let extra = thing.member("extra").unwrap();
        assert_eq!(extra.node().alias, "v1.Extra");
        assert!(extra.member("any").unwrap().node().wrapped);
        assert!(thing.member("body").unwrap().node().embedded);
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let cases = [
            ("package x\n", 1, Problem::Undeclared("x".into())),
            ("use a full\npackage a\nT\n f one string\n", 4, Problem::Number("one".into())),
            ("use a full\npackage a\nT\n f 1 Missing\n", 4, Problem::Undeclared("Missing".into())),
            ("use a full\npackage a\n f 1 string\n", 3, Problem::Stray),
            ("use a full\npackage a\nT odd\n", 3, Problem::Word("odd".into())),
            ("use a full\npackage a\nT\n f 1 string default={\n", 4, Problem::Default),
        ];
        for (text, line, problem) in cases {
            assert_eq!(read(&[text]).err(), Some(TableError { table: 0, line, problem }));
        }
    }
}
