//! One idea to a file: none is longer than 500 lines.

use super::Finding;

/// The longest that a file may be.
pub const LINES: usize = 500;

/// Longer files, each with its reason.
pub const EXCEPTIONS: &[(&str, &str)] = &[];

/// Finds long files, and exceptions that are not needed.
pub fn check(files: &[(String, String)], exceptions: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in files {
        let lines = text.lines().count();
        if lines > LINES && !exceptions.iter().any(|(name, _)| name == file) {
            findings.push(format!("{file}: {lines} lines; split it, {LINES} are enough for one idea"));
        }
    }
    for (name, _) in exceptions {
        match files.iter().find(|(file, _)| file == name) {
            Some((_, text)) if text.lines().count() > LINES => {}
            _ => findings.push(format!("{name}: need not be an exception from file length any more")),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_need_a_reason() {
        // Lines, exceptions, findings.
        type Row = (usize, &'static [(&'static str, &'static str)], usize);
        let table: [Row; 5] = [
            (500, &[], 0),
            (501, &[], 1),
            (501, &[("a.rs", "a table")], 0),
            (500, &[("a.rs", "a table")], 1),
            (10, &[("gone.rs", "a table")], 1),
        ];
        for (lines, exceptions, count) in table {
            let files = [("a.rs".to_owned(), "line\n".repeat(lines))];
            assert_eq!(check(&files, exceptions).len(), count, "{lines} lines, {exceptions:?}");
        }
    }
}
