//! Reading a path.

use super::{End, Filter, Slice, Step};

/// The most steps of a path, with those of its filters and unions.
const MAX_STEPS: usize = 1_000;

/// The steps of a path, which stands between braces or alone.
pub fn path(text: &str) -> Result<Vec<Step>, String> {
    let mut budget = MAX_STEPS;
    steps(text, &mut budget)
}

fn steps(text: &str, budget: &mut usize) -> Result<Vec<Step>, String> {
    let mut reader = Reader { rest: text, budget };
    let mut found = Vec::new();
    while !reader.rest.is_empty() {
        reader.step(&mut found)?;
        *reader.budget = reader.budget.checked_sub(1).ok_or("the path has too many steps")?;
    }
    Ok(found)
}

struct Reader<'a, 'b> {
    rest: &'a str,
    budget: &'b mut usize,
}

/// What ends a name.
fn ends(letter: char) -> bool {
    " \t\r\n.,[]$@{}".contains(letter)
}

impl<'a> Reader<'a, '_> {
    /// Takes so many bytes, which end at a letter's end.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn step(&mut self, found: &mut Vec<Step>) -> Result<(), String> {
        if self.rest.starts_with("[?(") {
            found.push(self.filter()?);
            return Ok(());
        }
        if self.rest.starts_with("..") {
            if found.last() == Some(&Step::Descend) {
                return Err("invalid multiple recursive descent".to_owned());
            }
            self.take(2);
            found.push(Step::Descend);
            if self.rest.starts_with(|letter: char| letter == '_' || letter.is_alphanumeric()) {
                found.push(self.field());
            }
            return Ok(());
        }
        let Some(letter) = self.rest.chars().next() else { return Ok(()) };
        match letter {
            ' ' | '@' | '$' => {
                self.take(1);
            }
            '.' => {
                self.take(1);
                found.push(self.field());
            }
            '[' => self.brackets(found)?,
            '"' | '\'' => found.push(Step::Literal(self.quote(letter)?.into())),
            '+' | '-' => found.push(self.number()?),
            _ if letter.is_ascii_digit() => found.push(self.number()?),
            _ if letter == '_' || letter.is_alphanumeric() => {
                let length = self.rest.find(ends).unwrap_or(self.rest.len());
                found.push(match self.take(length) {
                    "true" => Step::Literal(true.into()),
                    "false" => Step::Literal(false.into()),
                    word => Step::Word(word.to_owned()),
                });
            }
            '\r' | '\n' => return Err("unclosed action".to_owned()),
            _ => return Err(format!("unrecognized character in action: {letter:?}")),
        }
        Ok(())
    }

    /// A name up to what ends it; `\` lets the next letter be part of it.
    fn field(&mut self) -> Step {
        let mut escaped = false;
        let end = self.rest.find(|letter: char| {
            let stop = !escaped && ends(letter);
            escaped = !escaped && letter == '\\';
            stop
        });
        match self.take(end.unwrap_or(self.rest.len())) {
            "*" => Step::All,
            name => Step::Field(name.replace('\\', "")),
        }
    }

    fn number(&mut self) -> Result<Step, String> {
        let signed = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[signed..].find(|letter: char| letter != '.' && !letter.is_ascii_digit());
        let text = self.take(digits.map_or(self.rest.len(), |length| signed + length));
        if let Ok(whole) = text.parse::<i64>() {
            return Ok(Step::Literal(whole.into()));
        }
        let number =
            text.parse::<f64>().ok().filter(|_| text.contains(|letter: char| letter.is_ascii_digit()));
        number.map(|number| Step::Literal(number.into())).ok_or_else(|| format!("cannot parse number {text}"))
    }

    /// A text in quotes, in Go's syntax.
    fn quote(&mut self, quote: char) -> Result<String, String> {
        let bytes = self.rest.as_bytes();
        let closes = |at: &usize| bytes[*at] == quote as u8 && bytes[*at - 1] != b'\\';
        let end = (1..bytes.len()).find(closes).ok_or("unterminated quoted string")?;
        let text = &self.take(end + 1)[1..end];
        if !text.contains('\\') {
            return Ok(text.to_owned());
        }
        unescape(text, quote).ok_or_else(|| format!("unquote string {text} error invalid syntax"))
    }

    /// `[…]`: several of them, a name, or elements of a list.
    fn brackets(&mut self, found: &mut Vec<Step>) -> Result<(), String> {
        let end = self.rest.find([']', '\n']).filter(|at| self.rest.as_bytes()[*at] == b']');
        let end = end.ok_or("unterminated array")?;
        let text = &self.take(end + 1)[1..end];
        if text.contains(',') {
            let ways = text.split(',').map(|one| steps(&format!("[{}]", one.trim_matches(' ')), self.budget));
            found.push(Step::Union(ways.collect::<Result<_, _>>()?));
            return Ok(());
        }
        if let Some(name) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''))
            && !name.contains('\'')
        {
            found.extend(steps(&format!(".{name}"), self.budget)?);
            return Ok(());
        }
        found.push(Step::Slice(slice(if text == "*" { ":" } else { text })?));
        Ok(())
    }

    fn filter(&mut self) -> Result<Step, String> {
        let bytes = self.rest.as_bytes();
        // The first text in quotes may have parentheses.
        let (mut quote, mut closed, mut end) = (None, false, None);
        for at in 3..bytes.len() {
            match bytes[at] {
                b'\n' => break,
                letter @ (b'"' | b'\'') => match quote {
                    None => quote = Some(letter),
                    Some(open) => closed |= open == letter && bytes[at - 1] != b'\\',
                },
                b')' if quote.is_some() == closed => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let end = end.ok_or("unterminated filter")?;
        if bytes.get(end + 1) != Some(&b']') {
            return Err("unclosed array expect ]".to_owned());
        }
        let text = &self.take(end + 2)[3..end];
        let operator = |letter: char| "!<>=".contains(letter);
        let from = text.find(operator).filter(|from| *from > 0);
        let compared = from.and_then(|from| {
            let length = text[from..].find(|letter| !operator(letter))?;
            Some((&text[..from], &text[from..from + length], &text[from + length..]))
        });
        Ok(Step::Filter(match compared {
            None => Filter { left: steps(text, self.budget)?, comparison: None },
            Some((left, operator, right)) => Filter {
                left: steps(left, self.budget)?,
                comparison: Some((operator.to_owned(), steps(right, self.budget)?)),
            },
        }))
    }
}

/// `1`, `-1`, `1:3`, `:3`, `1:`, `::2`.
fn slice(text: &str) -> Result<Slice, String> {
    let wrong = || format!("invalid array index {text}");
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return Err(wrong());
    }
    let number = |part: &str| match part {
        "" => Ok(None),
        _ if part.starts_with('+') => Err(wrong()),
        _ => part.parse::<i64>().map(Some).map_err(|_| wrong()),
    };
    let from = number(parts[0])?;
    let to = match parts.get(1) {
        None => End::One,
        Some(part) => number(part)?.map_or(End::Open, End::At),
    };
    Ok(Slice { from, to, step: parts.get(2).map_or(Ok(None), |part| number(part))? })
}

/// Resolves Go's escapes; `None`: there is no such escape.
fn unescape(text: &str, quote: char) -> Option<String> {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        let escaped = letters.next()?;
        let mut code = |digits: usize| {
            let hex: String = letters.by_ref().take(digits).collect();
            (hex.len() == digits)
                .then(|| u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32))
                .flatten()
        };
        out.push(match escaped {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' => '\\',
            'x' => code(2)?,
            'u' => code(4)?,
            'U' => code(8)?,
            same if same == quote => quote,
            _ => return None,
        });
    }
    Some(out)
}
