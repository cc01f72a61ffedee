//! JSON values as YAML, as Kubernetes writes them: texts that YAML 1.1 takes for something else are quoted, and so come
//! back as texts in any reader.

use libyaml_safer::{Emitter, Encoding, Event, MappingStyle, ScalarStyle, SequenceStyle};
use serde_json::Value;

use crate::decode;

/// A value as one document of YAML. None when it cannot be written, for which there is no known value.
pub fn yaml(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut emitter = Emitter::new();
    emitter.set_output_string(&mut out);
    emitter.set_unicode(true);
    let mut events = vec![Event::stream_start(Encoding::Utf8), Event::document_start(None, &[], true)];
    for event in events.drain(..) {
        emitter.emit(event).ok()?;
    }
    write(value, &mut emitter)?;
    for event in [Event::document_end(true), Event::stream_end()] {
        emitter.emit(event).ok()?;
    }
    drop(emitter);
    Some(out)
}

fn write(value: &Value, emitter: &mut Emitter<'_>) -> Option<()> {
    match value {
        Value::Null => plain("null", emitter),
        Value::Bool(value) => plain(if *value { "true" } else { "false" }, emitter),
        Value::Number(number) => plain(&number.to_string(), emitter),
        Value::String(text) => string(text, emitter),
        Value::Array(items) => {
            let style = if items.is_empty() { SequenceStyle::Flow } else { SequenceStyle::Block };
            emitter.emit(Event::sequence_start(None, None, true, style)).ok()?;
            for item in items {
                write(item, emitter)?;
            }
            emitter.emit(Event::sequence_end()).ok()
        }
        Value::Object(members) => {
            let style = if members.is_empty() { MappingStyle::Flow } else { MappingStyle::Block };
            emitter.emit(Event::mapping_start(None, None, true, style)).ok()?;
            for (name, value) in members {
                string(name, emitter)?;
                write(value, emitter)?;
            }
            emitter.emit(Event::mapping_end()).ok()
        }
    }
}

fn plain(text: &str, emitter: &mut Emitter<'_>) -> Option<()> {
    emitter.emit(Event::scalar(None, None, text, true, false, ScalarStyle::Plain)).ok()
}

fn string(text: &str, emitter: &mut Emitter<'_>) -> Option<()> {
    let style = if text.contains('\n') {
        ScalarStyle::Literal
    } else if decode::is_text_in_yaml(text) && !is_of_base_60(text) {
        ScalarStyle::Plain
    } else {
        ScalarStyle::DoubleQuoted
    };
    emitter.emit(Event::scalar(None, None, text, true, true, style)).ok()
}

/// Whether other readers take a text for a number: `1:30`.
fn is_of_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts_so = text.as_bytes().first().is_some_and(u8::is_ascii_digit) && text.contains(':');
    starts_so && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'_' | b':' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_quoted_where_yaml_would_take_them_for_something_else() {
        let written = |value: Value| String::from_utf8(yaml(&value).unwrap()).unwrap();
        assert_eq!(
            written(json!({
                "a": ["yes", "x y", "0777", "1_000", "1:30", "", "~", "a: b", "#", "two\nlines\n", "2001-01-01"],
                "b": {"c": [], "d": {}, "y": null},
                "e": [{"f": 1, "g": 1.5}, [true]],
            })),
            "a:\n- \"yes\"\n- x y\n- \"0777\"\n- \"1_000\"\n- \"1:30\"\n- \"\"\n- \"~\"\n- 'a: b'\n- '#'\n- |\n  two\n  \
             lines\n- \"2001-01-01\"\nb:\n  c: []\n  d: {}\n  \"y\": null\ne:\n- f: 1\n  g: 1.5\n- - true\n"
        );
    }
}
