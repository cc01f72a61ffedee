//! YAML into JSON text, as Kubernetes does before decoding: by the rules of YAML 1.1, where `yes`, `on` and `0777` are
//! no texts.

mod convert;
mod document;
mod go_text;
mod plain;
mod scalar;

use super::DecodeError;
use document::Document;
use libyaml_safer::ErrorKind;

/// How many more brackets may be opened than closed. The parser's work for a token grows with how many are open.
const MAX_OPEN: usize = 1_000;

/// Refuses what nests too deeply, before the parser sees it. Brackets in quoted texts count as well.
fn check_brackets(body: &[u8]) -> Result<(), DecodeError> {
    let mut open = 0usize;
    for byte in body {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_OPEN {
            return Err(refused(&format!(
                "more than {MAX_OPEN} brackets are open at once; send JSON instead"
            )));
        }
    }
    Ok(())
}

/// Converts the first of the documents; what follows it is not looked at. Also gives the keys that are set twice, worded
/// as strict errors: the last one counts.
pub(super) fn to_json(body: &[u8]) -> Result<(Vec<u8>, Vec<String>), DecodeError> {
    check_brackets(body)?;
    let document = Document::read(body)?;
    let (value, notes) = convert::convert(&document)?;
    let mut text = String::new();
    value.write(&mut text)?;
    Ok((text.into_bytes(), notes))
}

/// Whether a text stays one when it is written without quotes.
pub(crate) fn is_text(text: &str) -> bool {
    !text.is_empty() && scalar::is_text(text)
}

/// A refusal in the words of Go's YAML.
fn refused(why: &str) -> DecodeError {
    DecodeError::Syntax(format!("yaml: {why}"))
}

/// The parser's words as Go's YAML has them: its problem, after the line it is on unless that is the first.
fn unreadable(error: &libyaml_safer::Error) -> DecodeError {
    let problem = match error.problem() {
        "did not find expected hexadecimal number" => "did not find expected hexdecimal number",
        other => other,
    };
    let mut line = error.problem_mark().map_or(0, |mark| mark.line);
    if line > 0 && error.kind() == ErrorKind::Scanner {
        // The scanner counts from zero, where the parser has gone on to the next line.
        line += 1;
    } else if line == 0 {
        line = error.context_mark().map_or(0, |mark| mark.line);
    }
    match line {
        0 => refused(problem),
        line => refused(&format!("line {line}: {problem}")),
    }
}
