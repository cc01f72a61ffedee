//! The unified diff of two texts, as Kubernetes writes it: matches are found as Python's `difflib` finds them, the
//! longest first, lines that repeat often left aside. Another algorithm would tell other lines apart.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

/// Lines shown around a change.
const CONTEXT: usize = 3;
/// Texts of fewer lines have none that repeat too often.
const MANY: usize = 200;
/// How many lines may be looked at: many times as many as there are, where matches are short. Of texts that take more,
/// only beginning and end match.
const MAX_STEPS: usize = 2_000_000;

/// The diff of two texts without file names; empty when they are equal.
pub(super) fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let blocks = Matcher::new(&old, &new, MAX_STEPS).blocks().unwrap_or_else(|| ends(&old, &new));
    let mut out = String::new();
    for group in groups(edits(&blocks, old.len(), new.len())) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (from, to) = (span(&(first.old.start..last.old.end)), span(&(first.new.start..last.new.end)));
        // Writing to a text cannot fail.
        let _ = writeln!(out, "@@ -{from} +{to} @@");
        for edit in &group {
            let (gone, came) = (&old[edit.old.clone()], &new[edit.new.clone()]);
            let parts: &[(&str, &[&str])] =
                if edit.equal { &[(" ", gone)] } else { &[("-", gone), ("+", came)] };
            for (sign, lines) in parts {
                for line in *lines {
                    let _ = writeln!(out, "{sign}{line}");
                }
            }
        }
    }
    out
}

/// Where equal lines begin in both texts, and how many they are.
#[derive(Clone, Copy)]
struct Block {
    old: usize,
    new: usize,
    len: usize,
}

/// Lines that stay, or lines in place of others.
#[derive(Clone)]
struct Edit {
    equal: bool,
    old: Range<usize>,
    new: Range<usize>,
}

/// Only the lines at the beginning and at the end.
fn ends(old: &[&str], new: &[&str]) -> Vec<Block> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let rest = old[head..].iter().rev().zip(new[head..].iter().rev());
    let tail = rest.take_while(|(a, b)| a == b).count();
    let end = Block { old: old.len() - tail, new: new.len() - tail, len: tail };
    [Block { old: 0, new: 0, len: head }, end].into_iter().filter(|block| block.len > 0).collect()
}

struct Matcher<'a> {
    old: &'a [&'a str],
    new: &'a [&'a str],
    /// Where each line of the new text is, but for those that repeat often.
    places: HashMap<&'a str, Vec<usize>>,
    /// How many lines may still be looked at.
    steps: usize,
}

impl<'a> Matcher<'a> {
    fn new(old: &'a [&'a str], new: &'a [&'a str], steps: usize) -> Matcher<'a> {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, line) in new.iter().enumerate() {
            places.entry(line).or_default().push(at);
        }
        if new.len() >= MANY {
            places.retain(|_, at| at.len() <= new.len() / 100 + 1);
        }
        Matcher { old, new, places, steps }
    }

    /// All matches in order: the longest, and those before and behind it in the same way. Neighbours are one. `None`: they
    /// are not found in so many steps.
    fn blocks(&mut self) -> Option<Vec<Block>> {
        let mut found = Vec::new();
        let mut open = vec![(0..self.old.len(), 0..self.new.len())];
        while let Some((old, new)) = open.pop() {
            let block = self.longest(&old, &new)?;
            if block.len == 0 {
                continue;
            }
            found.push(block);
            let (old_end, new_end) = (block.old + block.len, block.new + block.len);
            for (old, new) in
                [(old.start..block.old, new.start..block.new), (old_end..old.end, new_end..new.end)]
            {
                if !old.is_empty() && !new.is_empty() {
                    open.push((old, new));
                }
            }
        }
        found.sort_by_key(|block| block.old);
        let mut joined: Vec<Block> = Vec::new();
        for block in found {
            match joined.last_mut() {
                Some(last) if last.old + last.len == block.old && last.new + last.len == block.new => {
                    last.len += block.len;
                }
                _ => joined.push(block),
            }
        }
        Some(joined)
    }

    /// The longest match within two ranges, the earliest of several.
    fn longest(&mut self, old: &Range<usize>, new: &Range<usize>) -> Option<Block> {
        let mut best = Block { old: old.start, new: new.start, len: 0 };
        // How long the match is that ends with the line before, by where it ends in the new text.
        let mut ending: HashMap<usize, usize> = HashMap::new();
        for at in old.clone() {
            let mut next = HashMap::new();
            let places = self.places.get(self.old[at]).map_or(&[][..], Vec::as_slice);
            self.steps = self.steps.checked_sub(1 + places.len())?;
            for place in places.iter().copied().filter(|at| new.contains(at)) {
                let len =
                    1 + place.checked_sub(1).and_then(|before| ending.get(&before)).copied().unwrap_or(0);
                next.insert(place, len);
                if len > best.len {
                    best = Block { old: at + 1 - len, new: place + 1 - len, len };
                }
            }
            ending = next;
        }
        while best.old > old.start && best.new > new.start && self.old[best.old - 1] == self.new[best.new - 1]
        {
            best = Block { old: best.old - 1, new: best.new - 1, len: best.len + 1 };
        }
        while best.old + best.len < old.end
            && best.new + best.len < new.end
            && self.old[best.old + best.len] == self.new[best.new + best.len]
        {
            best.len += 1;
        }
        Some(best)
    }
}

/// What turns the old text into the new one.
fn edits(blocks: &[Block], old_len: usize, new_len: usize) -> Vec<Edit> {
    let (mut old, mut new, mut out) = (0, 0, Vec::new());
    let end = Block { old: old_len, new: new_len, len: 0 };
    for block in blocks.iter().chain([&end]) {
        if old < block.old || new < block.new {
            out.push(Edit { equal: false, old: old..block.old, new: new..block.new });
        }
        (old, new) = (block.old + block.len, block.new + block.len);
        if block.len > 0 {
            out.push(Edit { equal: true, old: block.old..old, new: block.new..new });
        }
    }
    out
}

/// Changes that are near each other, with the lines around them.
fn groups(edits: Vec<Edit>) -> Vec<Vec<Edit>> {
    let last = edits.len().saturating_sub(1);
    let (mut out, mut group) = (Vec::new(), Vec::new());
    for (at, edit) in edits.into_iter().enumerate() {
        if !edit.equal {
            group.push(edit);
            continue;
        }
        let len = edit.old.len();
        let (head, tail) = (len.min(CONTEXT), len.saturating_sub(CONTEXT));
        let first = |edit: &Edit| Edit {
            equal: true,
            old: edit.old.start..edit.old.start + head,
            new: edit.new.start..edit.new.start + head,
        };
        let rear = |edit: &Edit| Edit {
            equal: true,
            old: edit.old.start + tail..edit.old.end,
            new: edit.new.start + tail..edit.new.end,
        };
        if at == 0 {
            group.push(rear(&edit));
        } else if at == last {
            group.push(first(&edit));
        } else if len > 2 * CONTEXT {
            group.push(first(&edit));
            out.push(std::mem::take(&mut group));
            group.push(rear(&edit));
        } else {
            group.push(edit);
        }
    }
    if group.iter().any(|edit| !edit.equal) {
        out.push(group);
    }
    out
}

/// A range of lines as the head of a group names it.
fn span(lines: &Range<usize>) -> String {
    match lines.len() {
        1 => (lines.start + 1).to_string(),
        0 => format!("{},0", lines.start),
        len => format!("{},{len}", lines.start + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(range: Range<usize>) -> Vec<String> {
        range.map(|n| n.to_string()).collect()
    }

    #[test]
    fn changes_are_shown_with_three_lines_around_them() {
        let old = numbers(1..21);
        let mut new = old.clone();
        new[1] = "two".to_owned();
        new.insert(12, "new".to_owned());
        new.remove(20);
        assert_eq!(
            difference(&old.join("\n"), &new.join("\n")),
            "@@ -1,5 +1,5 @@\n 1\n-2\n+two\n 3\n 4\n 5\n@@ -10,6 +10,7 @@\n 10\n 11\n 12\n+new\n 13\n 14\n 15\n@@ -17,4 +18,3 @@\n 17\n 18\n 19\n-20\n"
        );
    }

    #[test]
    fn nothing_equals_nothing() {
        for (old, new, expected) in [
            ("a", "a", ""),
            ("a", "b", "@@ -1 +1 @@\n-a\n+b\n"),
            ("a\nb", "a", "@@ -1,2 +1 @@\n a\n-b\n"),
            ("a", "b\na", "@@ -1 +1,2 @@\n+b\n a\n"),
            ("ab\nac", "ac\nab", "@@ -1,2 +1,2 @@\n+ac\n ab\n-ac\n"),
        ] {
            assert_eq!(difference(old, new), expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn lines_that_repeat_often_do_not_begin_a_match() {
        let old: Vec<String> = numbers(0..100).into_iter().flat_map(|n| [n, "}".to_owned()]).collect();
        let mut new = old.clone();
        new.splice(100..100, ["}".to_owned(), "x".to_owned()]);
        assert_eq!(
            difference(&old.join("\n"), &new.join("\n")),
            "@@ -98,6 +98,8 @@\n }\n 49\n }\n+}\n+x\n 50\n }\n 51\n"
        );
    }

    #[test]
    fn what_would_take_long_matches_at_its_ends() {
        let old = numbers(0..100_000);
        let mut new = old.clone();
        new[7] = "x".to_owned();
        new[9] = "y".to_owned();
        let (old_text, new_text) = (old.join("\n"), new.join("\n"));
        let few = "@@ -5,9 +5,9 @@\n 4\n 5\n 6\n-7\n+x\n 8\n-9\n+y\n 10\n 11\n 12\n";
        assert_eq!(difference(&old_text, &new_text), few);
        // Every second line differs: each match is one line.
        (7..new.len() - 4).step_by(2).for_each(|at| new[at].push('x'));
        let many = difference(&old_text, &new.join("\n"));
        assert!(many.starts_with("@@ -5,99995 +5,99995 @@\n 4\n 5\n 6\n-7\n-8\n"), "{}", &many[..80]);
    }

    proptest::proptest! {
        /// What a diff takes away and adds turns the one text into the other.
        #[test]
        fn edits_cover_both_texts(old in "[ab\n]{0,40}", new in "[ab\n]{0,40}") {
            let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
            let found = Matcher::new(&old, &new, MAX_STEPS).blocks().unwrap();
            for blocks in [found, ends(&old, &new)] {
                let mut made: Vec<&str> = Vec::new();
                for edit in edits(&blocks, old.len(), new.len()) {
                    if edit.equal {
                        proptest::prop_assert_eq!(&old[edit.old.clone()], &new[edit.new.clone()]);
                    }
                    made.extend(&new[edit.new]);
                }
                proptest::prop_assert_eq!(&made, &new);
            }
        }
    }
}
