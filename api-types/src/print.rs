//! Texts as Kubernetes' messages quote them: in Go's syntax, whose escapes differ from those of JSON.

use serde_json::Value;
use std::fmt::Write;

/// True for letters, marks, numbers, punctuation, symbols and the space: what a message shows as it is.
pub fn is_printable(letter: char) -> bool {
    if matches!(letter, '"' | '\'' | '\\') {
        return true;
    }
    // Behind another letter only what is not printable is escaped.
    let behind: String = ['a', letter].into_iter().collect();
    behind.escape_debug().count() == 2
}

/// A text in double quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            _ if is_printable(letter) => out.push(letter),
            _ => escape(&mut out, u32::from(letter)),
        }
    }
    out.push('"');
    out
}

/// JSON in one line, with the letters escaped that mean something in HTML.
pub fn json(value: &Value) -> String {
    let text = crate::go_float::json_of(value);
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => escape(&mut out, u32::from(letter)),
            _ => out.push(letter),
        }
    }
    out
}

fn escape(out: &mut String, code: u32) {
    // Writing to a text cannot fail.
    let _ = match code {
        0..0x20 | 0x7f => write!(out, "\\x{code:02x}"),
        0x20..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_can_stand_in_html() {
        let value = serde_json::json!({"a": "<b> & \u{2028}"});
        assert_eq!(json(&value), "{\"a\":\"\\u003cb\\u003e \\u0026 \\u2028\"}");
    }

    #[test]
    fn what_cannot_be_printed_is_escaped() {
        for (text, shown) in [
            ("plain ü 😀", "\"plain ü 😀\""),
            ("a\"b\\c'd", "\"a\\\"b\\\\c'd\""),
            ("\0\x07\x08\t\n\x0b\x0c\r\x1f\x7f", "\"\\x00\\a\\b\\t\\n\\v\\f\\r\\x1f\\x7f\""),
            ("\u{a0}\u{ad}\u{200b}\u{e000}", "\"\\u00a0\\u00ad\\u200b\\ue000\""),
            ("\u{e0001}", "\"\\U000e0001\""),
            ("e\u{301}", "\"e\u{301}\""),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }
}
