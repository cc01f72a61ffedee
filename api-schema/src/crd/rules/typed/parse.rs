//! From words to a tree (CEL's grammar), with macros expanded.

use super::macros;
use super::tokens::{Token, Word, tokens};
use super::tree::{Builder, Kind, Literal, Part, Tree};
use crate::cel::RESERVED;

/// The operators that stand between two operands, the loosest first, each with its function.
const LEVELS: [&[(&str, &str)]; 5] = [
    &[("||", "_||_")],
    &[("&&", "_&&_")],
    &[
        ("<", "_<_"),
        ("<=", "_<=_"),
        (">", "_>_"),
        (">=", "_>=_"),
        ("==", "_==_"),
        ("!=", "_!=_"),
        ("in", "@in"),
    ],
    &[("+", "_+_"), ("-", "_-_")],
    &[("*", "_*_"), ("/", "_/_"), ("%", "_%_")],
];

/// `x.?field`.
pub const OPTIONAL: &str = "_?._";

/// Reads an expression. `None`: it is not one. A tree with problems is of no use otherwise.
pub fn parse(text: &str) -> Option<Tree> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, builder: Builder::default() };
    let root = parser.expression()?;
    let whole = parser.tokens.get(parser.at)?.0 == Word::End;
    let (count, problems) = (parser.builder.count(), parser.builder.problems());
    whole.then_some(Tree { root, count, problems })
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    builder: Builder,
}

impl Parser {
    fn is(&self, sign: &str) -> bool {
        matches!(self.tokens.get(self.at), Some((Word::Sign(found), _)) if *found == sign)
    }

    /// Takes a sign, if it is the next word; gives its place.
    fn take(&mut self, sign: &str) -> Option<usize> {
        let place = self.is(sign).then(|| self.tokens.get(self.at).map(|token| token.1)).flatten()?;
        self.at += 1;
        Some(place)
    }

    fn expression(&mut self) -> Option<Part> {
        let condition = self.binary(0)?;
        let Some(at) = self.take("?") else { return Some(condition) };
        let yes = self.binary(0)?;
        self.take(":")?;
        let no = self.expression()?;
        Some(self.builder.call(at, "_?_:_", vec![condition, yes, no]))
    }

    fn binary(&mut self, level: usize) -> Option<Part> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        if let [(sign, function)] = operators {
            return self.balanced(left, level, sign, function);
        }
        loop {
            let Some((word, at)) = self.tokens.get(self.at).cloned() else { return Some(left) };
            let sign = match &word {
                Word::Sign(sign) => *sign,
                Word::Name(name) if name == "in" => "in",
                _ => return Some(left),
            };
            let Some((_, function)) = operators.iter().find(|(found, _)| *found == sign) else {
                return Some(left);
            };
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = self.builder.call(at, function, vec![left, right]);
        }
    }

    /// What `&&` or `||` join, as a tree that is no deeper than it has to be.
    fn balanced(&mut self, first: Part, level: usize, sign: &str, function: &str) -> Option<Part> {
        let (mut terms, mut places) = (vec![first], Vec::new());
        while let Some(at) = self.take(sign) {
            places.push(at);
            terms.push(self.binary(level + 1)?);
        }
        Some(self.halved(&mut terms.into_iter(), &places, function))
    }

    /// Takes one more term than there are places.
    fn halved(&mut self, terms: &mut dyn Iterator<Item = Part>, places: &[usize], function: &str) -> Part {
        let middle = places.len() / 2;
        let Some(at) = places.get(middle) else {
            return terms.next().unwrap_or_else(|| self.builder.bool(0, false));
        };
        let left = self.halved(terms, &places[..middle], function);
        let right = self.halved(terms, &places[middle + 1..], function);
        self.builder.call(*at, function, vec![left, right])
    }

    fn unary(&mut self) -> Option<Part> {
        for (sign, function) in [("!", "!_"), ("-", "-_")] {
            let Some(at) = self.take(sign) else { continue };
            // A sign right before a number belongs to it.
            if sign == "-" && matches!(self.tokens.get(self.at), Some((Word::Int(_) | Word::Double(_), _))) {
                let literal = self.number(at, true)?;
                return self.member(literal);
            }
            let mut count = 1;
            while self.take(sign).is_some() {
                count += 1;
            }
            let first = self.primary()?;
            let operand = self.member(first)?;
            // Two of them are none.
            return Some(if count % 2 == 0 {
                operand
            } else {
                self.builder.call(at, function, vec![operand])
            });
        }
        let first = self.primary()?;
        self.member(first)
    }

    fn member(&mut self, mut part: Part) -> Option<Part> {
        loop {
            if let Some(at) = self.take(".") {
                let optional = self.take("?").is_some();
                let place = self.tokens.get(self.at)?.1;
                let name = self.name()?;
                if matches!(name.as_str(), "in" | "true" | "false" | "null") {
                    return None;
                }
                if optional {
                    let field = self.builder.part(place, Kind::Literal(Literal::Text(name)));
                    part = self.builder.call(at, OPTIONAL, vec![part, field]);
                    continue;
                }
                part = match self.take("(") {
                    None => {
                        let operand = Box::new(part);
                        self.builder.part(at, Kind::Select { operand, field: name, test: false })
                    }
                    Some(at) => {
                        let arguments = self.list(")")?;
                        macros::call(&mut self.builder, at, Some(part), &name, arguments)?
                    }
                };
            } else if let Some(at) = self.take("[") {
                let function = if self.take("?").is_some() { "_[?_]" } else { "_[_]" };
                let index = self.expression()?;
                self.take("]")?;
                part = self.builder.call(at, function, vec![part, index]);
            } else if let Some(name) = self.is("{").then(|| part.qualified()).flatten() {
                part = self.structure(name)?;
            } else {
                return Some(part);
            }
        }
    }

    /// `Name{field: value}`.
    fn structure(&mut self, name: String) -> Option<Part> {
        let at = self.take("{")?;
        let mut fields = Vec::new();
        while self.take("}").is_none() {
            let maybe = self.take("?");
            let field = self.name()?;
            self.take(":")?;
            let value = self.expression()?;
            fields.push((field, self.maybe(maybe, value)));
            if self.take(",").is_none() {
                self.take("}")?;
                break;
            }
        }
        Some(self.builder.part(at, Kind::Struct(name, fields)))
    }

    /// A part before which a question mark stood at a place.
    fn maybe(&mut self, mark: Option<usize>, part: Part) -> Part {
        match mark {
            Some(_) => self.builder.part(part.at, Kind::Maybe(Box::new(part))),
            None => part,
        }
    }

    fn primary(&mut self) -> Option<Part> {
        let (word, at) = self.tokens.get(self.at)?.clone();
        match word {
            Word::Name(name) => {
                self.at += 1;
                let literal = match name.as_str() {
                    "true" => Some(Literal::Bool(true)),
                    "false" => Some(Literal::Bool(false)),
                    "null" => Some(Literal::Null),
                    _ => None,
                };
                if let Some(literal) = literal {
                    return Some(self.builder.part(at, Kind::Literal(literal)));
                }
                if RESERVED.contains(&name.as_str()) {
                    return (name != "in")
                        .then(|| self.builder.problem(at, format!("reserved identifier: {name}")));
                }
                match self.take("(") {
                    None => Some(self.builder.name(at, &name)),
                    Some(at) => {
                        let arguments = self.list(")")?;
                        macros::call(&mut self.builder, at, None, &name, arguments)
                    }
                }
            }
            Word::Int(_) | Word::Double(_) => self.number(at, false),
            Word::Uint(value) => self.literal(at, Literal::Uint(value)),
            Word::Text(text) => self.literal(at, Literal::Text(text)),
            Word::Bytes(bytes) => self.literal(at, Literal::Bytes(bytes)),
            Word::Sign(".") => {
                self.at += 1;
                let place = self.tokens.get(self.at)?.1;
                let name = self.name()?;
                (!RESERVED.contains(&name.as_str())).then(|| self.builder.name(place, &name))
            }
            Word::Sign("(") => {
                self.at += 1;
                let inner = self.expression()?;
                self.take(")")?;
                Some(inner)
            }
            Word::Sign("[") => {
                self.at += 1;
                let elements = self.list("]")?;
                Some(self.builder.part(at, Kind::List(elements)))
            }
            Word::Sign("{") => self.map(at),
            _ => None,
        }
    }

    fn literal(&mut self, at: usize, literal: Literal) -> Option<Part> {
        self.at += 1;
        Some(self.builder.part(at, Kind::Literal(literal)))
    }

    fn number(&mut self, at: usize, negative: bool) -> Option<Part> {
        let literal = match self.tokens.get(self.at)?.0 {
            Word::Int(size) if negative => Literal::Int(0i64.checked_sub_unsigned(size)?),
            Word::Int(size) => Literal::Int(i64::try_from(size).ok()?),
            Word::Double(value) => Literal::Double(if negative { -value } else { value }),
            _ => return None,
        };
        self.literal(at, literal)
    }

    fn name(&mut self) -> Option<String> {
        let (Word::Name(name), _) = self.tokens.get(self.at)? else { return None };
        let name = name.clone();
        self.at += 1;
        Some(name)
    }

    /// Expressions between commas, up to a sign. Before the end of a list, not of a call, a comma may stand.
    fn list(&mut self, end: &str) -> Option<Vec<Part>> {
        let mut out = Vec::new();
        self.lone_comma(end);
        while self.take(end).is_none() {
            let maybe = if end == "]" { self.take("?") } else { None };
            let part = self.expression()?;
            out.push(self.maybe(maybe, part));
            if self.take(",").is_none() {
                self.take(end)?;
                break;
            }
            if end == ")" && self.is(end) {
                return None;
            }
        }
        Some(out)
    }

    /// A comma may stand in what is empty, but for calls.
    fn lone_comma(&mut self, end: &str) {
        let next = self.tokens.get(self.at + 1);
        if end != ")" && self.is(",") && matches!(next, Some((Word::Sign(sign), _)) if *sign == end) {
            self.at += 1;
        }
    }

    fn map(&mut self, at: usize) -> Option<Part> {
        self.at += 1;
        let mut entries = Vec::new();
        self.lone_comma("}");
        while self.take("}").is_none() {
            let maybe = self.take("?");
            let key = self.expression()?;
            self.take(":")?;
            let value = self.expression()?;
            entries.push((key, self.maybe(maybe, value)));
            if self.take(",").is_none() {
                self.take("}")?;
                break;
            }
        }
        Some(self.builder.part(at, Kind::Map(entries)))
    }
}
