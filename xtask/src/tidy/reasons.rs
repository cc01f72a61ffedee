//! Every reason of a condition of our own kinds has a line in `docs/reasons.md`, and every line a reason.
//!
//! Looks for reasons written as text in `Condition::new(type, holds, "Reason", …)`; one that is computed is not
//! seen. Without that file there is nothing to check.

use super::Finding;

const DOCUMENT: &str = "docs/reasons.md";

/// Finds reasons that are not explained, and explanations of what no code says.
pub fn check(rust: &[(String, String)], markdown: &[(String, String)]) -> Vec<Finding> {
    let Some((_, document)) = markdown.iter().find(|(file, _)| file == DOCUMENT) else { return Vec::new() };
    let explained: Vec<&str> = document.lines().filter_map(row).collect();
    let mut findings = Vec::new();
    for (file, text) in rust {
        // What tests make up, and the examples of this check, are seen by nobody.
        let shipped = text.split("#[cfg(test)]").next().unwrap_or("");
        if file.starts_with("xtask/") {
            continue;
        }
        for reason in used(shipped) {
            if !explained.contains(&reason) {
                findings.push(format!("{file}: the reason {reason} has no line in {DOCUMENT}"));
            }
        }
    }
    for reason in explained {
        // Reasons that are computed are names of variants, so any mention counts.
        if !rust.iter().any(|(_, text)| text.contains(reason)) {
            findings.push(format!("{DOCUMENT}: no code has the reason {reason}"));
        }
    }
    findings
}

/// The reason that a row of a table explains: `` | `Reason` | … ``.
fn row(line: &str) -> Option<&str> {
    line.trim().strip_prefix('|')?.trim_start().strip_prefix('`')?.split_once('`').map(|(reason, _)| reason)
}

/// The reasons that a file gives to conditions.
fn used(text: &str) -> Vec<&str> {
    let calls = text.split("Condition::new(").skip(1);
    calls
        .filter_map(|call| {
            let third = arguments(call).nth(2)?.trim();
            let reason = third.strip_prefix('"')?.strip_suffix('"')?;
            reason.starts_with(|c: char| c.is_ascii_uppercase()).then_some(reason)
        })
        .collect()
}

/// The arguments of a call whose opening parenthesis was cut off.
fn arguments(call: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let mut quoted = false;
    let mut start = 0;
    let mut found = Vec::new();
    for (at, c) in call.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth > 0 => depth -= 1,
            ',' | ')' if depth == 0 => {
                found.push(&call[start..at]);
                start = at + 1;
                if c == ')' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_explained() {
        let code = r#"
            let a = Condition::new("Ready", true, "Applied", "", now);
            let b = Condition::new("Ready", ok(1, 2), "Waiting", format!("for {}", x), now);
            let c = Condition::new("Ready", false, reason, "Looks, like (a reason", now);
        "#;
        let table: [(&str, &[&str]); 4] = [
            ("| `Applied` | x |\n| `Waiting` | y |", &[]),
            ("| `Applied` | x |", &["Waiting has no line"]),
            ("| `Waiting` | x |\n| `Applied` | y |\n| `Gone` | z |", &["no code has the reason Gone"]),
            ("", &["Applied has no line", "Waiting has no line"]),
        ];
        let rust = [("syncer/src/a.rs".to_owned(), code.to_owned())];
        for (document, expected) in table {
            let findings = check(&rust, &[(DOCUMENT.to_owned(), document.to_owned())]);
            assert_eq!(findings.len(), expected.len(), "{findings:?}");
            assert!(
                findings.iter().zip(expected).all(|(finding, part)| finding.contains(part)),
                "{findings:?}"
            );
        }
        assert!(check(&rust, &[]).is_empty());
    }
}
