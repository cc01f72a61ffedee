//! Times as Kubernetes reads and writes them: RFC 3339, with the words of Go's `time.Parse`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
const MICROSECONDS: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Reads a time and writes it with whole seconds in UTC (`metav1.Time`). The error is Go's text.
pub fn seconds(text: &str) -> Result<String, String> {
    Ok(parse(text, false)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Reads a time with exactly six digits behind the point and writes it so in UTC (`metav1.MicroTime`).
pub fn microseconds(text: &str) -> Result<String, String> {
    Ok(parse(text, true)?.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

/// Reads RFC 3339 as Go does.
pub(crate) fn parse(text: &str, micro: bool) -> Result<Timestamp, String> {
    let layout = if micro { MICROSECONDS } else { SECONDS };
    let mut cursor = Cursor { text, rest: text, layout };
    let year = cursor.number("2006", 4, 0, 9999, "year")?;
    cursor.literal("-")?;
    let month = cursor.number("01", 2, 1, 12, "month")?;
    cursor.literal("-")?;
    let day = cursor.number("02", 2, 1, 31, "day")?;
    cursor.literal("T")?;
    let hour = cursor.number("15", 2, 0, 23, "hour")?;
    cursor.literal(":")?;
    let minute = cursor.number("04", 2, 0, 59, "minute")?;
    cursor.literal(":")?;
    let second = cursor.number("05", 2, 0, 59, "second")?;
    let nanosecond = if micro { cursor.micros()? } else { cursor.fraction() };
    let offset = cursor.zone()?;
    if !cursor.rest.is_empty() {
        return Err(format!("parsing time {}: extra text: {}", quoted(text), quoted(cursor.rest)));
    }
    let out_of_range = |what: &str| format!("parsing time {}: {what} out of range", quoted(text));
    DateTime::new(year as i16, month as i8, day as i8, hour as i8, minute as i8, second as i8, nanosecond)
        .map_err(|_| out_of_range("day"))?
        .to_zoned(jiff::tz::TimeZone::fixed(offset))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| out_of_range("year"))
}

/// A text in quotes, as errors about times have it: what is not printable ASCII byte by byte.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

struct Cursor<'a> {
    text: &'a str,
    rest: &'a str,
    layout: &'a str,
}

impl Cursor<'_> {
    fn cannot<T>(&self, element: &str) -> Result<T, String> {
        Err(format!(
            "parsing time {} as {:?}: cannot parse {} as {element:?}",
            quoted(self.text),
            self.layout,
            quoted(self.rest)
        ))
    }

    fn literal(&mut self, element: &str) -> Result<(), String> {
        match self.rest.strip_prefix(element) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => self.cannot(element),
        }
    }

    fn number(
        &mut self,
        element: &str,
        digits: usize,
        min: i32,
        max: i32,
        what: &str,
    ) -> Result<i32, String> {
        let Some(number) = self.rest.get(..digits).filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        else {
            return self.cannot(element);
        };
        let value: i32 = number.parse().unwrap_or(-1);
        if !(min..=max).contains(&value) {
            return Err(format!("parsing time {}: {what} out of range", quoted(self.text)));
        }
        self.rest = &self.rest[digits..];
        Ok(value)
    }

    /// A fraction that the layout does not have, in nanoseconds.
    fn fraction(&mut self) -> i32 {
        let Some(rest) = self.rest.strip_prefix(['.', ',']) else { return 0 };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return 0;
        }
        self.rest = &rest[digits..];
        nanoseconds(&rest[..digits])
    }

    /// A point and exactly six digits.
    fn micros(&mut self) -> Result<i32, String> {
        let element = ".000000";
        let digits = self
            .rest
            .strip_prefix(['.', ','])
            .and_then(|rest| rest.get(..6))
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        match digits {
            Some(digits) => {
                self.rest = &self.rest[7..];
                Ok(nanoseconds(digits))
            }
            None => self.cannot(element),
        }
    }

    fn zone(&mut self) -> Result<Offset, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(Offset::UTC);
        }
        let bytes = self.rest.as_bytes();
        let two = |at: usize| self.rest.get(at..at + 2).filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
        let (Some(sign @ (b'+' | b'-')), Some(hours), Some(b':'), Some(minutes)) =
            (bytes.first().copied(), two(1), bytes.get(3).copied(), two(4))
        else {
            return self.cannot("Z07:00");
        };
        let (hours, minutes): (i32, i32) = (hours.parse().unwrap_or(0), minutes.parse().unwrap_or(0));
        if hours > 24 {
            return Err(format!("parsing time {:?}: time zone offset hour out of range", self.text));
        }
        if minutes >= 60 {
            return Err(format!("parsing time {:?}: time zone offset minute out of range", self.text));
        }
        self.rest = &self.rest[6..];
        let total = hours * 3600 + minutes * 60;
        Offset::from_seconds(if sign == b'-' { -total } else { total })
            .map_err(|_| format!("parsing time {:?}: time zone offset hour out of range", self.text))
    }
}

fn nanoseconds(digits: &str) -> i32 {
    let mut value = 0;
    for index in 0..9 {
        let digit = digits.as_bytes().get(index).map_or(0, |byte| i32::from(byte - b'0'));
        value = value * 10 + digit;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        for (text, want) in [
            ("2026-11-21T09:10:59Z", "2026-11-21T09:10:59Z"),
            ("2026-11-21T09:10:59.987654321Z", "2026-11-21T09:10:59Z"),
            ("2026-11-21T09:10:59+02:30", "2026-11-21T06:40:59Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(seconds(text), Ok(want.to_owned()));
        }
        assert_eq!(
            microseconds("2026-11-21T10:10:59.000120+01:00"),
            Ok("2026-11-21T09:10:59.000120Z".to_owned())
        );
    }

    #[test]
    fn errors_are_worded_as_go_does() {
        let layout = "as \"2006-01-02T15:04:05Z07:00\"";
        for (text, want) in [
            ("", format!("parsing time \"\" {layout}: cannot parse \"\" as \"2006\"")),
            ("nope", format!("parsing time \"nope\" {layout}: cannot parse \"nope\" as \"2006\"")),
            ("2026-13-01T00:00:00Z", "parsing time \"2026-13-01T00:00:00Z\": month out of range".to_owned()),
            ("2026-02-30T00:00:00Z", "parsing time \"2026-02-30T00:00:00Z\": day out of range".to_owned()),
            ("2026-02-03", format!("parsing time \"2026-02-03\" {layout}: cannot parse \"\" as \"T\"")),
            (
                "2026-02-03T00:00:00",
                format!("parsing time \"2026-02-03T00:00:00\" {layout}: cannot parse \"\" as \"Z07:00\""),
            ),
            ("2026-02-03T00:00:00Zx", "parsing time \"2026-02-03T00:00:00Zx\": extra text: \"x\"".to_owned()),
        ] {
            assert_eq!(seconds(text), Err(want));
        }
        assert!(
            microseconds("2026-11-21T09:10:59Z").unwrap_err().ends_with("cannot parse \"Z\" as \".000000\"")
        );
    }
}
