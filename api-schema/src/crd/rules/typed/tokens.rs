//! The words of an expression (CEL's lexical grammar).

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    Name(String),
    /// Without its sign.
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Sign(&'static str),
    End,
}

/// A word and the place of its first letter.
pub type Token = (Word, usize);

/// Longer ones first.
const SIGNS: [&str; 25] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}", "=",
];

/// The words of a text, with an end. `None`: there is something that is no word.
pub fn tokens(text: &str) -> Option<Vec<Token>> {
    let letters: Vec<char> = text.chars().collect();
    let mut reader = Reader { letters: &letters, at: 0 };
    let mut out = Vec::new();
    loop {
        reader.skip();
        let at = reader.at;
        let word = reader.word()?;
        let end = word == Word::End;
        out.push((word, at));
        if end {
            return Some(out);
        }
    }
}

/// The begin of a text or of bytes.
struct Opening {
    /// How many letters stand before the quotes.
    letters: usize,
    /// The quotes, with which it also ends.
    end: String,
    /// A backslash means itself.
    raw: bool,
    bytes: bool,
}

struct Reader<'t> {
    letters: &'t [char],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at + ahead).copied()
    }

    fn starts(&self, with: &str) -> bool {
        with.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    /// Skips blanks and comments.
    fn skip(&mut self) {
        loop {
            if self.peek(0).is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}')) {
                self.at += 1;
            } else if self.starts("//") {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else {
                return;
            }
        }
    }

    fn word(&mut self) -> Option<Word> {
        let Some(first) = self.peek(0) else { return Some(Word::End) };
        if let Some(opening) = self.opening() {
            return self.content(&opening);
        }
        let decimal = first == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit());
        if first.is_ascii_digit() || decimal {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let mut name = String::new();
            while let Some(c) = self.peek(0).filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                name.push(c);
                self.at += 1;
            }
            return Some(Word::Name(name));
        }
        let sign = SIGNS.iter().find(|sign| self.starts(sign))?;
        self.at += sign.len();
        Some(Word::Sign(sign))
    }

    fn number(&mut self) -> Option<Word> {
        let begin = self.at;
        let digits = |reader: &mut Self, radix: u32| {
            while reader.peek(0).is_some_and(|c| c.is_digit(radix)) {
                reader.at += 1;
            }
        };
        if self.starts("0x") || self.starts("0X") {
            self.at += 2;
            digits(self, 16);
            let text: String = self.letters[begin + 2..self.at].iter().collect();
            let value = u64::from_str_radix(&text, 16).ok()?;
            return Some(self.whole(value));
        }
        digits(self, 10);
        let mut double = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            double = true;
            self.at += 1;
            digits(self, 10);
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                double = true;
                self.at += 1 + sign;
                digits(self, 10);
            }
        }
        let text: String = self.letters[begin..self.at].iter().collect();
        if double {
            let value: f64 = text.parse().ok()?;
            return value.is_finite().then_some(Word::Double(value));
        }
        let value = text.parse().ok()?;
        Some(self.whole(value))
    }

    fn whole(&mut self, value: u64) -> Word {
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return Word::Uint(value);
        }
        Word::Int(value)
    }

    /// How a text or bytes begin, if they do here.
    fn opening(&self) -> Option<Opening> {
        let (mut letters, mut raw, mut bytes) = (0, false, false);
        let quote = loop {
            match self.peek(letters)? {
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes => bytes = true,
                quote @ ('"' | '\'') => break quote,
                _ => return None,
            }
            letters += 1;
        };
        let count = if (1..3).all(|more| self.peek(letters + more) == Some(quote)) { 3 } else { 1 };
        Some(Opening { letters, end: String::from(quote).repeat(count), raw, bytes })
    }

    /// `None`: it does not end, or has an escape that means nothing.
    fn content(&mut self, opening: &Opening) -> Option<Word> {
        let Opening { letters, end, raw, bytes } = opening;
        self.at += letters + end.len();
        let (mut text, mut octets) = (String::new(), Vec::new());
        let mut add = |c: char, octet: bool| {
            text.push(c);
            match u8::try_from(u32::from(c)) {
                Ok(one) if octet => octets.push(one),
                _ => octets.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        };
        while !self.starts(end) {
            let c = self.peek(0)?;
            if end.len() == 1 && matches!(c, '\n' | '\r') {
                return None;
            }
            self.at += 1;
            if c == '\\' && !raw {
                let made = self.escape(*bytes)?;
                add(made, true);
            } else {
                add(c, false);
                // In a raw text a quote can follow a backslash.
                if c == '\\' {
                    add(self.peek(0)?, false);
                    self.at += 1;
                }
            }
        }
        self.at += end.len();
        Some(if *bytes { Word::Bytes(octets) } else { Word::Text(text) })
    }

    /// What a backslash and what follows it stand for: a letter, or in bytes a byte.
    fn escape(&mut self, bytes: bool) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        let (radix, count) = match c {
            'a' => return Some('\u{7}'),
            'b' => return Some('\u{8}'),
            'f' => return Some('\u{c}'),
            'n' => return Some('\n'),
            'r' => return Some('\r'),
            't' => return Some('\t'),
            'v' => return Some('\u{b}'),
            '\\' | '\'' | '"' | '`' | '?' => return Some(c),
            'x' | 'X' => (16, 2),
            'u' if !bytes => (16, 4),
            'U' if !bytes => (16, 8),
            '0'..='3' => {
                self.at -= 1;
                (8, 3)
            }
            _ => return None,
        };
        let digits: String = (0..count).map(|ahead| self.peek(ahead)).collect::<Option<_>>()?;
        self.at += count;
        char::from_u32(u32::from_str_radix(&digits, radix).ok()?)
    }
}
