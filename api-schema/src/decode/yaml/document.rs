//! One document of a stream of YAML, as it is written: aliases are not followed yet.

use std::collections::HashMap;
use std::io::{Chain, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use libyaml_safer::{Event, EventData, Parser, ScalarStyle};

use super::{DecodeError, refused, unreadable};

/// How many nodes a document may have.
pub(super) const MAX_NODES: usize = 1_000_000;

/// How deep they may nest, aliases followed.
pub(super) const MAX_DEPTH: usize = 128;

/// Behind the text: the parser panics where a block ends without a line break.
const END: &[u8] = b"\n";

/// A node by its place in its document.
pub(super) type NodeId = usize;

#[derive(Debug)]
pub(super) struct Document {
    nodes: Vec<Node>,
    /// None where there is no document.
    pub root: Option<NodeId>,
}

#[derive(Debug)]
pub(super) struct Node {
    /// Where it begins, counted from one.
    pub line: u64,
    pub content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Scalar(Scalar),
    List(Vec<NodeId>),
    Map(Vec<(NodeId, NodeId)>),
    Alias { name: Box<str>, of: NodeId },
}

#[derive(Debug)]
pub(super) struct Scalar {
    /// Empty where none is written.
    pub tag: Box<str>,
    pub text: Box<str>,
    /// Neither quoted nor a block: what it is follows from how it looks.
    pub plain: bool,
}

impl Document {
    /// Reads the first document of a stream.
    pub fn read(body: &[u8]) -> Result<Document, DecodeError> {
        let mut parser = Parser::new();
        let in_block = !body.ends_with(END) && body.iter().any(|byte| matches!(byte, b'|' | b'>'));
        parser.set_input(body.chain(if in_block { END } else { b"" }));
        let mut reader =
            Reader { parser, nodes: Vec::new(), anchors: HashMap::new(), end: body.len() as u64 };
        reader.next()?;
        let root = match reader.next()?.data {
            EventData::StreamEnd => None,
            _ => {
                let event = reader.next()?;
                let root = reader.node(event, 0)?;
                // The end of a document may be what cannot be read.
                reader.next()?;
                Some(root)
            }
        };
        Ok(Document { nodes: reader.nodes, root })
    }

    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }
}

struct Reader<'b> {
    parser: Parser<Chain<&'b [u8], &'static [u8]>>,
    nodes: Vec<Node>,
    anchors: HashMap<String, NodeId>,
    /// Where the text ends.
    end: u64,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Event, DecodeError> {
        // The parser panics at some texts that are no YAML.
        catch_unwind(AssertUnwindSafe(|| self.parser.parse()))
            .map_err(|_| refused("the text cannot be read; send JSON instead"))?
            .map_err(|error| unreadable(&error))
    }

    /// The node that an event begins.
    fn node(&mut self, event: Event, depth: usize) -> Result<NodeId, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(refused(&format!("exceeded max depth of {MAX_DEPTH}")));
        }
        let line = event.start_mark.line + 1;
        match event.data {
            EventData::Scalar { anchor, tag, mut value, plain_implicit, style, .. } => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if is_block && event.end_mark.index > self.end && value.ends_with('\n') {
                    // The line break is not of the text.
                    value.pop();
                }
                let scalar =
                    Scalar { tag: tag.unwrap_or_default().into(), text: value.into(), plain: plain_implicit };
                self.add(line, anchor, Content::Scalar(scalar))
            }
            EventData::Alias { anchor } => match self.anchors.get(&anchor) {
                Some(&of) => self.add(line, None, Content::Alias { name: anchor.into(), of }),
                None => Err(refused(&format!("unknown anchor '{anchor}' referenced"))),
            },
            EventData::SequenceStart { anchor, .. } => {
                let id = self.add(line, anchor, Content::List(Vec::new()))?;
                let mut items = Vec::new();
                loop {
                    let event = self.next()?;
                    if event.data == EventData::SequenceEnd {
                        break;
                    }
                    items.push(self.node(event, depth + 1)?);
                }
                self.fill(id, Content::List(items))
            }
            EventData::MappingStart { anchor, .. } => {
                let id = self.add(line, anchor, Content::Map(Vec::new()))?;
                let mut members = Vec::new();
                loop {
                    let event = self.next()?;
                    if event.data == EventData::MappingEnd {
                        break;
                    }
                    let key = self.node(event, depth + 1)?;
                    let event = self.next()?;
                    members.push((key, self.node(event, depth + 1)?));
                }
                self.fill(id, Content::Map(members))
            }
            _ => Err(refused("a value is not where it should be")),
        }
    }

    fn add(&mut self, line: u64, anchor: Option<String>, content: Content) -> Result<NodeId, DecodeError> {
        let id = self.nodes.len();
        if id == MAX_NODES {
            return Err(refused(&format!("more than {MAX_NODES} values; send JSON instead")));
        }
        if let Some(name) = anchor {
            self.anchors.insert(name, id);
        }
        self.nodes.push(Node { line, content });
        Ok(id)
    }

    fn fill(&mut self, id: NodeId, content: Content) -> Result<NodeId, DecodeError> {
        if let Some(node) = self.nodes.get_mut(id) {
            node.content = content;
        }
        Ok(id)
    }
}
