//! The project's pages as tests: what a page tells its reader to type is run, and what it shows is compared.
//!
//! A page is Markdown. Of its fenced blocks,
//!
//! - `sh` is run, all of a page in one shell, in order;
//! - a block without a language right after one that is run is the end of what that prints ([`is_shown`]);
//! - others are only read.
//!
//! A line `<!-- MARK -->` right before a block, which no reader sees, says otherwise:
//!
//! - `not run: REASON` leaves a block out;
//! - `file: NAME` puts a block into a file before anything is run.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use crate::waiting::PATIENCE;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A fenced block of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The number of the line of its fence.
    pub line: usize,
    /// What stands behind the fence.
    pub language: String,
    /// What is in it.
    pub text: String,
    /// What the comment before it says.
    pub mark: Mark,
}

/// What is to be done with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// There is no comment before it.
    None,
    /// It is not run, with the reason.
    NotRun(String),
    /// It is a file of this name.
    File(String),
}

/// The blocks of a page, in order.
///
/// # Panics
/// When a mark is not known, lacks its reason or name, or marks no block, and when a block does not end.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut mark = Mark::None;
    for (line, text) in (1..).zip(page.lines()) {
        match (text.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(language), None) => {
                let mark = std::mem::replace(&mut mark, Mark::None);
                open = Some(Block { line, language: language.trim().to_owned(), text: String::new(), mark });
            }
            (None, Some(block)) => {
                block.text.push_str(text);
                block.text.push('\n');
            }
            (None, None) => {
                assert_eq!(mark, Mark::None, "line {line}: a mark stands right before its block");
                if let Some(comment) = text.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) {
                    mark = parse_mark(comment.trim()).unwrap_or_else(|| panic!("line {line}: {text}"));
                }
            }
        }
    }
    assert_eq!(open, None, "a block without an end");
    found
}

fn parse_mark(comment: &str) -> Option<Mark> {
    let (name, rest) = comment.split_once(": ")?;
    match name {
        "not run" => Some(Mark::NotRun(rest.to_owned())),
        "file" => Some(Mark::File(rest.to_owned())),
        _ => None,
    }
}

/// A reader, who has a folder of their own and types what the pages say.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

/// What must not stand in a block: the shell would not notice when the first of two commands fails.
const UNNOTICED: &[&str] = &["&&", "||", ";", "set +e"];

impl Reader {
    /// A reader in a folder, in which `bin` has the programs that they have beside the system's.
    pub fn new(folder: &Path) -> Self {
        let path = format!("{}:/usr/bin:/bin", folder.join("bin").display());
        let home = folder.display().to_string();
        let environment = [("PATH", path), ("HOME", home)];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Reader { folder: folder.to_owned(), environment }
    }

    /// The same with a variable in their environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs a page's blocks and compares what they print with what the page shows. How many blocks were run.
    ///
    /// # Panics
    /// When a command fails or prints something else, with the page's line.
    pub fn follow(&self, page: &str, blocks: &[Block]) -> usize {
        let printed = self.folder.join("printed");
        std::fs::create_dir_all(&printed).unwrap();
        let mut script = String::from("shopt -s expand_aliases\nset -e -o pipefail\n");
        let mut run = Vec::new();
        let mut shown = Vec::new();
        let mut before: Option<&Block> = None;
        for block in blocks {
            match (&block.mark, block.language.as_str()) {
                (Mark::File(name), _) => std::fs::write(self.folder.join(name), &block.text).unwrap(),
                (Mark::NotRun(_), _) => {}
                (Mark::None, "sh") => {
                    for word in UNNOTICED {
                        assert!(!block.text.contains(word), "{page}:{}: {word} hides failures", block.line);
                    }
                    let output = printed.join(block.line.to_string());
                    script.push_str(&format!("exec >{}\n{}", output.display(), commands(&block.text)));
                    run.push(block);
                }
                (Mark::None, "") => {
                    let command =
                        before.filter(|before| before.mark == Mark::None && before.language == "sh");
                    let command = command
                        .unwrap_or_else(|| panic!("{page}:{}: it is not clear what prints this", block.line));
                    shown.push((command, block));
                }
                _ => {}
            }
            before = Some(block);
        }
        self.run(page, &script);
        for (command, block) in shown {
            let text = std::fs::read_to_string(printed.join(command.line.to_string())).unwrap();
            let lines = block.text.lines().count();
            let end = text.lines().skip(text.lines().count().saturating_sub(lines));
            let same = text.lines().count() >= lines
                && block.text.lines().zip(end).all(|(shown, printed)| is_shown(shown, printed));
            assert!(same, "{page}:{}: shown is\n{}\nprinted was\n{text}", block.line, block.text);
        }
        run.len()
    }

    fn run(&self, page: &str, script: &str) {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", &PATIENCE.as_secs().to_string(), "bash", "-x", "-c", script])
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{page}: {}; the last command failed:\n{said}", output.status);
    }
}

/// What ends a line whose command has to fail; what it says then is part of what is shown.
const REFUSED: &str = "# is refused";

/// The commands of a block, with those that have to fail checked for it.
fn commands(block: &str) -> String {
    let line = |line: &str| match line.strip_suffix(REFUSED) {
        Some(command) => format!("if {command} 2>&1; then exit 1; fi\n"),
        None => format!("{line}\n"),
    };
    block.lines().map(line).collect()
}

/// Whether a printed line is what a page shows, apart from what differs from run to run: ages, generated parts of
/// names, and the width of columns.
pub fn is_shown(shown: &str, printed: &str) -> bool {
    let (shown, printed): (Vec<_>, Vec<_>) =
        (shown.split_whitespace().collect(), printed.split_whitespace().collect());
    shown.len() == printed.len() && shown.iter().zip(printed).all(|(shown, printed)| is_word(shown, printed))
}

fn is_word(shown: &str, printed: &str) -> bool {
    if is_age(shown) {
        return is_age(printed);
    }
    let (shown, printed): (Vec<_>, Vec<_>) = (shown.split('-').collect(), printed.split('-').collect());
    let is_part = |shown: &str, printed: &str| {
        shown == printed || (is_generated(shown) && is_plain(printed) && shown.len() == printed.len())
    };
    shown.len() == printed.len() && shown.iter().zip(printed).all(|(shown, printed)| is_part(shown, printed))
}

/// `12s`, `3m20s`, `2d`.
fn is_age(word: &str) -> bool {
    let is_part = |part: &str| {
        let number = part.trim_end_matches(['s', 'm', 'h', 'd', 'y']);
        number.len() + 1 == part.len() && number.parse::<u32>().is_ok()
    };
    !word.is_empty() && word.split_inclusive(|c: char| c.is_ascii_alphabetic()).all(is_part)
}

/// A part of a name that no person would choose: five or more characters without a vowel, or at least ten letters
/// and digits.
fn is_generated(part: &str) -> bool {
    let vowel = part.contains(['a', 'e', 'i', 'o', 'u']);
    let digit = part.contains(|c: char| c.is_ascii_digit());
    is_plain(part) && ((part.len() >= 5 && !vowel) || (part.len() >= 10 && digit))
}

fn is_plain(part: &str) -> bool {
    part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_marks() {
        let page = "\
# Page
```sh
kubectl get pods    # all
```
Prints:
```
NAME
```
<!-- not run: it builds -->
```sh
cargo run
```
<!-- file: a.yaml -->
```yaml
kind: A
```
";
        let block = |line, language: &str, text: &str, mark| Block {
            line,
            language: language.to_owned(),
            text: text.to_owned(),
            mark,
        };
        let expected = [
            block(2, "sh", "kubectl get pods    # all\n", Mark::None),
            block(6, "", "NAME\n", Mark::None),
            block(10, "sh", "cargo run\n", Mark::NotRun("it builds".to_owned())),
            block(14, "yaml", "kind: A\n", Mark::File("a.yaml".to_owned())),
        ];
        assert_eq!(blocks(page), expected);
    }

    #[test]
    fn marks_without_meaning_are_refused() {
        for page in [
            "<!-- not run -->\n```sh\n```",
            "<!-- ran: no -->\n```\n```",
            "<!-- file: a -->\ntext\n",
            "```\n",
        ] {
            assert!(std::panic::catch_unwind(|| blocks(page)).is_err(), "{page}");
        }
    }

    #[test]
    fn what_differs_from_run_to_run_is_not_compared() {
        for (shown, printed, same) in [
            ("NAME   READY", "NAME READY", true),
            ("NAME READY", "NAME READY AGE", false),
            ("shop   False   1s    Waiting", "shop   False   3m20s   Waiting", true),
            ("shop False 1s Waiting", "shop False soon Waiting", false),
            ("shop False", "shop True", false),
            ("sim-0 4d12h", "sim-0 2s", true),
            ("sim-0", "sim-1", false),
            ("acme-default-6alnte434yki2", "acme-default-abcdefghijklm", true),
            ("acme-default-6alnte434yki2", "acme-shop-6alnte434yki2", false),
            ("web-7d4b9c8f6d-j2sqb", "web-7d4b9c8f6d-bcdfg", true),
            ("web-7d4b9c8f6d-j2sqb", "web-7d4b9c8f6d-toolong", false),
            ("web-7d4b9c8f6d-j2sqb", "web-7d4b9c8f6d", false),
        ] {
            assert_eq!(is_shown(shown, printed), same, "{shown} | {printed}");
        }
    }

    #[test]
    fn a_reader_notices_what_fails_and_what_is_shown_wrongly() {
        let folder = tempfile::tempdir().unwrap();
        let reader = Reader::new(folder.path()).with("GREETING", "good");
        let follow = |page: &str| reader.follow("page.md", &blocks(page));
        assert_eq!(
            follow("```sh\nalias greet=echo\ngreet $GREETING morning 5s\n```\n```\ngood morning 9s\n```\n"),
            1
        );
        assert_eq!(follow("<!-- file: f -->\n```\ntext\n```\n```sh\ncat f\n```\n```\ntext\n```\n"), 1);
        assert_eq!(follow("<!-- not run: never -->\n```sh\nfalse\n```\n"), 0);
        for wrong in [
            "```sh\nfalse\necho\n```\n",
            "```sh\nfalse | cat\n```\n",
            "```sh\nfalse && true\n```\n",
            "```sh\necho good morning\n```\n```\ngood evening\n```\n",
            "```sh\necho good\n```\n```\ngood\ngood\n```\n",
            "```\nnobody prints this\n```\n",
        ] {
            assert!(std::panic::catch_unwind(|| follow(wrong)).is_err(), "{wrong}");
        }
    }
}
