//! Reads JSON (RFC 8259) token by token, and words its errors as Go's `encoding/json` does.
//!
//! Where Go is lenient it is followed: invalid UTF-8 and lone surrogates become U+FFFD.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// How deep arrays and objects may be nested. What is stored is read again with `serde_json`, which stops at 127.
pub(crate) const MAX_DEPTH: usize = 120;

/// Not JSON; the text says why and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError(pub(crate) String);

/// What a value is, by its first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// A position in a text.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

const VALUE: &str = "looking for beginning of value";

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, depth: 0 }
    }

    fn space(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// The error at the current byte.
    fn error<T>(&self, context: &str) -> Result<T, SyntaxError> {
        Err(match self.bytes.get(self.at) {
            Some(byte) => SyntaxError(format!("invalid character {} {context}", quote(*byte))),
            None => SyntaxError("unexpected end of JSON input".to_owned()),
        })
    }

    /// What the next value is.
    pub(crate) fn peek(&mut self) -> Result<Kind, SyntaxError> {
        match self.space() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => self.error(VALUE),
        }
    }

    fn enter(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.error("exceeded max depth");
        }
        self.at += 1;
        Ok(())
    }

    /// Enters an object; [`Reader::peek`] has said that there is one.
    pub(crate) fn begin_object(&mut self) -> Result<(), SyntaxError> {
        self.enter()
    }

    /// The next key of an object, with the reader before its value; none at its end, with the reader behind it.
    pub(crate) fn next_key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, SyntaxError> {
        match self.space() {
            Some(b'}') if first => return self.leave(),
            Some(b'}') => return self.leave(),
            Some(b',') if !first => {
                self.at += 1;
                self.space();
            }
            _ if !first => return self.error("after object key:value pair"),
            _ => {}
        }
        if self.space() != Some(b'"') {
            return self.error("looking for beginning of object key string");
        }
        let key = self.string()?;
        if self.space() != Some(b':') {
            return self.error("after object key");
        }
        self.at += 1;
        Ok(Some(key))
    }

    fn leave<T>(&mut self) -> Result<Option<T>, SyntaxError> {
        self.at += 1;
        self.depth -= 1;
        Ok(None)
    }

    /// Enters an array; [`Reader::peek`] has said that there is one.
    pub(crate) fn begin_array(&mut self) -> Result<(), SyntaxError> {
        self.enter()
    }

    /// Moves to the next element of an array: true, or false at its end, with the reader behind it.
    pub(crate) fn next_element(&mut self, first: bool) -> Result<bool, SyntaxError> {
        match self.space() {
            Some(b']') => {
                self.leave::<()>()?;
                return Ok(false);
            }
            Some(b',') if !first => self.at += 1,
            _ if !first => return self.error("after array element"),
            _ => {}
        }
        Ok(true)
    }

    /// A string; the reader is at its quote.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let raw = &self.bytes[start..self.at];
                    self.at += 1;
                    return Ok(String::from_utf8_lossy(raw));
                }
                Some(b'\\') => return self.escaped(start),
                Some(0..0x20) | None => return self.error("in string literal"),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escaped(&mut self, start: usize) -> Result<Cow<'a, str>, SyntaxError> {
        let mut text = self.bytes[start..self.at].to_vec();
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(String::from_utf8_lossy(&text).into_owned()));
                }
                Some(b'\\') => {
                    self.at += 1;
                    let character = self.escape()?;
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(0..0x20) | None => return self.error("in string literal"),
                Some(byte) => {
                    text.push(*byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let character = match self.bytes.get(self.at) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.error("in string escape code"),
        };
        self.at += 1;
        Ok(character)
    }

    fn hex(&mut self) -> Result<u32, SyntaxError> {
        let mut value = 0;
        for _ in 0..4 {
            match self.bytes.get(self.at).and_then(|byte| char::from(*byte).to_digit(16)) {
                Some(digit) => value = value * 16 + digit,
                None => return self.error("in \\u hexadecimal character escape"),
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn unicode(&mut self) -> Result<char, SyntaxError> {
        let high = self.hex()?;
        if (0xd800..0xdc00).contains(&high) && self.bytes[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at > start
    }

    /// A number as it is written.
    pub(crate) fn number(&mut self) -> Result<&'a str, SyntaxError> {
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else if !self.digits() {
            return self.error("in numeric literal");
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if !self.digits() {
                return self.error("after decimal point in numeric literal");
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            if !self.digits() {
                return self.error("in exponent of numeric literal");
            }
        }
        Ok(std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or("0"))
    }

    fn literal(&mut self, word: &str) -> Result<(), SyntaxError> {
        for expected in word.bytes() {
            let context = || format!("in literal {word} (expecting {})", quote(expected));
            match self.bytes.get(self.at) {
                Some(byte) if *byte == expected => {}
                Some(_) => return self.error(&context()),
                // Go takes the end for a space here.
                None => return Err(SyntaxError(format!("invalid character ' ' {}", context()))),
            }
            self.at += 1;
        }
        Ok(())
    }

    /// True or false.
    pub(crate) fn boolean(&mut self) -> Result<bool, SyntaxError> {
        let value = self.bytes.get(self.at) == Some(&b't');
        self.literal(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// Null.
    pub(crate) fn null(&mut self) -> Result<(), SyntaxError> {
        self.literal("null")
    }

    /// Passes over the next value.
    pub(crate) fn skip(&mut self) -> Result<(), SyntaxError> {
        match self.peek()? {
            Kind::Object => {
                self.begin_object()?;
                let mut first = true;
                while self.next_key(first)?.is_some() {
                    self.skip()?;
                    first = false;
                }
                Ok(())
            }
            Kind::Array => {
                self.begin_array()?;
                let mut first = true;
                while self.next_element(first)? {
                    self.skip()?;
                    first = false;
                }
                Ok(())
            }
            Kind::String => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Bool => self.boolean().map(drop),
            Kind::Null => self.null(),
        }
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), SyntaxError> {
        match self.space() {
            None => Ok(()),
            Some(_) => self.error("after top-level value"),
        }
    }
}

/// A number of any size, whole when it is written so and fits.
pub(crate) fn any_number(text: &str) -> Value {
    if !text.contains('.')
        && let Ok(whole) = text.parse::<i64>()
    {
        return Value::Number(whole.into());
    }
    text.parse::<f64>().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

/// A byte as Go's JSON errors print it.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        7 => r"'\a'".to_owned(),
        8 => r"'\b'".to_owned(),
        9 => r"'\t'".to_owned(),
        10 => r"'\n'".to_owned(),
        11 => r"'\v'".to_owned(),
        12 => r"'\f'".to_owned(),
        13 => r"'\r'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let mut reader = Reader::new(text.as_bytes());
        reader.skip().and_then(|()| reader.end()).map_err(|error| error.0)
    }

    #[test]
    fn words_errors_as_go_does() {
        for (text, error) in [
            ("", "unexpected end of JSON input"),
            ("{nope", "invalid character 'n' looking for beginning of object key string"),
            ("{\"a\":}", "invalid character '}' looking for beginning of value"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 \"b\"", "invalid character '\"' after object key:value pair"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("1 x", "invalid character 'x' after top-level value"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("\"\\q\"", "invalid character 'q' in string escape code"),
            ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("trux", "invalid character 'x' in literal true (expecting 'e')"),
            ("{\"a\":[1,", "unexpected end of JSON input"),
        ] {
            assert_eq!(check(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        assert_eq!(check(&format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH))), Ok(()));
        let error = check(&"[".repeat(100_000)).unwrap_err();
        assert_eq!(error, "invalid character '[' exceeded max depth");
    }

    #[test]
    fn strings_are_unescaped() {
        let text = r#""aé \n\"\\\/ \u00e9\ud83d\ude00 \ud800x""#;
        let mut reader = Reader::new(text.as_bytes());
        assert_eq!(reader.string().unwrap(), "aé \n\"\\/ é😀 \u{fffd}x");
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_what_is_json(text in r#"[\[\]{}",:0-9eE+.truefalsn \\-]{0,24}"#) {
            let ours = check(&text).is_ok();
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            // Lone surrogates and numbers out of range are the known differences, and cannot be made here.
            prop_assert_eq!(ours, theirs, "{}", text);
        }
    }
}
