//! Why a pattern is none, in the words of Go's `regexp`.

use regex_syntax::ast::{Error, ErrorKind, parse::Parser};

/// What is wrong with the syntax of a pattern. `None`: nothing that the parser knows of.
pub(super) fn of(pattern: &str) -> Option<String> {
    let error = Parser::new().parse(pattern).err()?;
    let (why, part) = told(&error, pattern);
    Some(format!("error parsing regexp: {why}: `{part}`"))
}

fn told<'p>(error: &Error, pattern: &'p str) -> (&'static str, &'p str) {
    let span = error.span();
    let (start, end) = (span.start.offset, span.end.offset);
    let part = pattern.get(start..end).unwrap_or(pattern);
    let from = pattern.get(start..).unwrap_or(pattern);
    let group = match from.find(['=', '!', '<', '>', ':']) {
        Some(at) => &from[..=at],
        None => from,
    };
    match error.kind() {
        ErrorKind::GroupUnclosed => ("missing closing )", pattern),
        ErrorKind::GroupUnopened => ("unexpected )", pattern),
        ErrorKind::ClassUnclosed => ("missing closing ]", from),
        ErrorKind::ClassRangeInvalid | ErrorKind::ClassRangeLiteral => {
            ("invalid character class range", part)
        }
        ErrorKind::RepetitionMissing => ("missing argument to repetition operator", operator(from)),
        ErrorKind::RepetitionCountInvalid | ErrorKind::DecimalInvalid => {
            ("invalid repeat count", count(pattern, start))
        }
        ErrorKind::EscapeUnexpectedEof => ("trailing backslash at end of expression", ""),
        ErrorKind::EscapeUnrecognized
        | ErrorKind::UnsupportedBackreference
        | ErrorKind::EscapeHexInvalid
        | ErrorKind::EscapeHexInvalidDigit
        | ErrorKind::EscapeHexEmpty => ("invalid escape sequence", part),
        ErrorKind::UnicodeClassInvalid => ("invalid character class range", part),
        ErrorKind::NestLimitExceeded(_) => ("expression nests too deeply", pattern),
        _ => ("invalid or unsupported Perl syntax", group),
    }
}

/// The operator that a text begins with.
fn operator(text: &str) -> &str {
    text.get(..1).filter(|operator| ["*", "+", "?"].contains(operator)).unwrap_or(text)
}

/// The braces around a place, with what is in them.
fn count(pattern: &str, at: usize) -> &str {
    let open = pattern.get(..=at).and_then(|before| before.rfind('{')).unwrap_or(at);
    let close =
        pattern.get(open..).and_then(|rest| rest.find('}')).map_or(pattern.len(), |end| open + end + 1);
    pattern.get(open..close).unwrap_or(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_go() {
        for (pattern, why) in [
            ("(", Some("missing closing ): `(`")),
            ("a(b", Some("missing closing ): `a(b`")),
            ("a)b", Some("unexpected ): `a)b`")),
            ("x[a-", Some("missing closing ]: `[a-`")),
            ("[z-a]", Some("invalid character class range: `z-a`")),
            ("*a", Some("missing argument to repetition operator: `*`")),
            ("a{2,1}", Some("invalid repeat count: `{2,1}`")),
            ("(?=a)", Some("invalid or unsupported Perl syntax: `(?=`")),
            ("(?<!a)", Some("invalid or unsupported Perl syntax: `(?<`")),
            (r"a\", Some("trailing backslash at end of expression: ``")),
            (r"(a)\1", Some("invalid escape sequence: `\\1`")),
            (r"\y", Some("invalid escape sequence: `\\y`")),
            ("^a$", None),
        ] {
            let wanted = why.map(|why| format!("error parsing regexp: {why}"));
            assert_eq!(of(pattern), wanted, "{pattern}");
        }
    }
}
