//! The text form of label selectors (`k8s.io/apimachinery/pkg/labels`): tokens, then requirements.

use super::SelectorError;
use super::label::{Operator, Requirement};
use crate::names;
use compact_str::CompactString;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Error,
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Identifier,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
}

const WORDS: &[(&str, Token)] = &[
    (")", Token::Close),
    (",", Token::Comma),
    ("!", Token::Not),
    ("==", Token::DoubleEquals),
    ("=", Token::Equals),
    (">", Token::Greater),
    ("in", Token::In),
    ("<", Token::Less),
    ("!=", Token::NotEquals),
    ("notin", Token::NotIn),
    ("(", Token::Open),
];

/// The requirements of a text, in its order.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    Parser { tokens: tokens(text), position: 0 }.requirements().map_err(SelectorError)
}

fn word(text: &str) -> Option<Token> {
    WORDS.iter().find(|(word, _)| *word == text).map(|(_, token)| *token)
}

/// The tokens with their text; the last is `End`.
fn tokens(text: &str) -> Vec<(Token, String)> {
    let symbol = |c: char| "=!(),><".contains(c);
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.chars().next() else { break };
        let length = if symbol(first) {
            let run = rest.find(|c| !symbol(c)).unwrap_or(rest.len());
            // The longest symbol at the front; a run that starts with none is one error.
            match (1..=run.min(2)).rev().find(|n| word(&rest[..*n]).is_some()) {
                Some(length) => length,
                None => {
                    out.push((Token::Error, format!("error expected: keyword found '{}'", &rest[..run])));
                    rest = &rest[run..];
                    continue;
                }
            }
        } else {
            rest.find(|c: char| symbol(c) || " \t\r\n".contains(c)).unwrap_or(rest.len())
        };
        let literal = &rest[..length];
        out.push((word(literal).unwrap_or(Token::Identifier), literal.to_owned()));
        rest = &rest[length..];
    }
    out.push((Token::End, String::new()));
    out
}

struct Parser {
    tokens: Vec<(Token, String)>,
    position: usize,
}

/// `in` and `notin` are identifiers but where an operator is expected.
fn as_value(token: Token) -> Token {
    match token {
        Token::In | Token::NotIn => Token::Identifier,
        other => other,
    }
}

impl Parser {
    /// The token at hand without taking it. Behind the end there is only the end.
    fn peek(&self) -> (Token, String) {
        self.tokens.get(self.position).cloned().unwrap_or((Token::End, String::new()))
    }

    fn peek_value(&self) -> Token {
        as_value(self.peek().0)
    }

    fn take(&mut self) -> (Token, String) {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn take_value(&mut self) -> (Token, String) {
        let (token, literal) = self.take();
        (as_value(token), literal)
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, String> {
        let mut out = Vec::new();
        loop {
            match self.peek_value() {
                Token::Identifier | Token::Not => {
                    out.push(self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
                    let (token, literal) = self.take_value();
                    match token {
                        Token::End => return Ok(out),
                        Token::Comma => {
                            if !matches!(self.peek_value(), Token::Identifier | Token::Not) {
                                return Err(format!(
                                    "found '{}', expected: identifier after ','",
                                    self.peek().1
                                ));
                            }
                        }
                        _ => return Err(format!("found '{literal}', expected: ',' or 'end of string'")),
                    }
                }
                Token::End => return Ok(out),
                _ => {
                    return Err(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        self.peek().1
                    ));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.take_value();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.take_value();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let wrong = names::qualified_name(&key);
        if !wrong.is_empty() {
            return Err(format!("<nil>: Invalid value: {key:?}: {}", wrong.join("; ")));
        }
        let ends = matches!(self.peek_value(), Token::End | Token::Comma);
        let (operator, values) = match (negated, ends) {
            (true, _) => (Operator::DoesNotExist, Vec::new()),
            (false, true) => (Operator::Exists, Vec::new()),
            (false, false) => {
                let operator = self.operator()?;
                let values = match operator {
                    Operator::In | Operator::NotIn => self.values()?,
                    _ => vec![self.exact_value()?],
                };
                (operator, values)
            }
        };
        Requirement::new(&key, operator, values).map_err(|e| e.0)
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let (token, literal) = self.take();
        Ok(match token {
            Token::In => Operator::In,
            Token::NotIn => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            _ => return Err(format!("found '{literal}', expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn exact_value(&mut self) -> Result<CompactString, String> {
        if matches!(self.peek_value(), Token::End | Token::Comma) {
            return Ok(CompactString::default());
        }
        match self.take_value() {
            (Token::Identifier, literal) => Ok(literal.into()),
            (_, literal) => Err(format!("found '{literal}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<CompactString>, String> {
        let (token, literal) = self.take_value();
        if token != Token::Open {
            return Err(format!("found '{literal}' expected: '('"));
        }
        let first = self.peek().1;
        match self.peek_value() {
            Token::Identifier | Token::Comma => {
                let values = self.list()?;
                match self.take_value().0 {
                    Token::Close => Ok(values),
                    _ => Err(format!("found '{first}', expected: ')'")),
                }
            }
            Token::Close => {
                self.take();
                Ok(vec![CompactString::default()])
            }
            _ => Err(format!("found '{first}', expected: ',', ')' or identifier")),
        }
    }

    /// Values up to the closing parenthesis, which stays. An empty place between commas is an empty value.
    fn list(&mut self) -> Result<Vec<CompactString>, String> {
        let mut out: Vec<CompactString> = Vec::new();
        loop {
            match self.take_value() {
                (Token::Identifier, literal) => {
                    out.push(literal.into());
                    match self.peek_value() {
                        Token::Comma => {}
                        Token::Close => return Ok(out),
                        _ => return Err(format!("found '{}', expected: ',' or ')'", self.peek().1)),
                    }
                }
                (Token::Comma, _) => {
                    if out.is_empty() {
                        out.push(CompactString::default());
                    }
                    match self.peek_value() {
                        Token::Close => {
                            out.push(CompactString::default());
                            return Ok(out);
                        }
                        Token::Comma => out.push(CompactString::default()),
                        _ => {}
                    }
                }
                (_, literal) => return Err(format!("found '{literal}', expected: ',', or identifier")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::selectors::LabelSelector;

    #[test]
    fn texts_parse() {
        for (text, printed) in [
            ("x=a,y=b", "x=a,y=b"),
            (" b = 2 ,a in ( q , p ) ", "a in (p,q),b=2"),
            ("x in (,a)", "x in (,a)"),
            ("x in (a,)", "x in (,a)"),
            ("x in (a,,b)", "x in (,a,b)"),
            ("x=,y", "x=,y"),
            ("in=notin", "in=notin"),
            ("x notin (in)", "x notin (in)"),
            ("!x", "!x"),
            ("! x", "!x"),
            ("x>1,y<2", "x>1,y<2"),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_kubernetes_words() {
        for (text, message) in [
            ("a===b in", "unable to parse requirement: found '=', expected: identifier"),
            (
                "x=a||y=b",
                "unable to parse requirement: values[0][x]: Invalid value: \"a||y\": a valid label must",
            ),
            ("x==a==b", "found '==', expected: ',' or 'end of string'"),
            ("!x=a", "found '=', expected: ',' or 'end of string'"),
            ("x<a", "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators"),
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("x,", "found '', expected: identifier after ','"),
            ("x in a", "unable to parse requirement: found 'a' expected: '('"),
            ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("x is (a)", "unable to parse requirement: found 'is', expected: in, notin, =, ==, !=, gt, lt"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("a/b/c", "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": "),
        ] {
            let error = LabelSelector::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
