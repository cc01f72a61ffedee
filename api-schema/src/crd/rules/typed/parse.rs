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

/// Reads an expression. `None`: it has something that is not read here, or that is wrong.
pub fn parse(text: &str) -> Option<Tree> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, builder: Builder::default() };
    let root = parser.expression()?;
    let whole = parser.tokens.get(parser.at)?.0 == Word::End;
    whole.then_some(Tree { root, count: parser.builder.count() })
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

    fn unary(&mut self) -> Option<Part> {
        for (sign, function) in [("!", "!_"), ("-", "-_")] {
            let Some(at) = self.take(sign) else { continue };
            // A sign right before a number belongs to it.
            if sign == "-" && matches!(self.tokens.get(self.at), Some((Word::Int(_) | Word::Double, _))) {
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
            } else {
                return Some(part);
            }
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
                    return None;
                }
                match self.take("(") {
                    None => Some(self.builder.name(at, &name)),
                    Some(at) => {
                        let arguments = self.list(")")?;
                        macros::call(&mut self.builder, at, None, &name, arguments)
                    }
                }
            }
            Word::Int(_) | Word::Double => self.number(at, false),
            Word::Uint => self.literal(at, Literal::Uint),
            Word::Text(text) => self.literal(at, Literal::Text(text)),
            Word::Bytes(count) => self.literal(at, Literal::Bytes(count)),
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
            _ => Literal::Double,
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
        while self.take(end).is_none() {
            out.push(self.expression()?);
            if self.take(",").is_none() || (end == ")" && self.is(end)) {
                self.take(end)?;
                break;
            }
        }
        Some(out)
    }

    fn map(&mut self, at: usize) -> Option<Part> {
        self.at += 1;
        let mut entries = Vec::new();
        while self.take("}").is_none() {
            let key = self.expression()?;
            self.take(":")?;
            entries.push((key, self.expression()?));
            if self.take(",").is_none() {
                self.take("}")?;
                break;
            }
        }
        Some(self.builder.part(at, Kind::Map(entries)))
    }
}
