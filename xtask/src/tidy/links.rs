//! Relative links in Markdown lead somewhere, and their anchors to a heading.

use super::Finding;
use std::collections::HashMap;

/// Finds broken links. `exists` says whether a path relative to the project's folder is there.
pub fn check(files: &[(String, String)], exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let anchors: HashMap<&str, Vec<String>> =
        files.iter().map(|(file, text)| (file.as_str(), anchors(text))).collect();
    let mut findings = Vec::new();
    for (file, text) in files {
        for (line, target) in targets(text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let Some(path) = resolve(file, path) else {
                findings.push(format!("{file}:{line}: the link {target} leaves the project"));
                continue;
            };
            if !path.is_empty() && !exists(&path) {
                findings.push(format!("{file}:{line}: the link {target} leads nowhere"));
            } else if !anchor.is_empty()
                && anchors.get(path.as_str()).is_some_and(|known| !known.iter().any(|known| known == anchor))
            {
                findings.push(format!("{file}:{line}: {path} has no heading for #{anchor}"));
            }
        }
    }
    findings
}

/// The lines outside of code blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// What links point to: `[text](target)` and `[name]: target`, with the number of their line.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // Code spans hold no links.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for part in line.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                found.push((number, target.split(' ').next().unwrap_or(target).to_owned()));
            }
        }
        if line.starts_with('[')
            && let Some((_, target)) = line.split_once("]: ")
        {
            found.push((number, target.trim().to_owned()));
        }
    }
    found
}

/// The anchors of headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.trim())
    });
    headings
        .map(|title| {
            let slug: String = title
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let again = seen.entry(slug.clone()).or_insert(0);
            *again += 1;
            if *again == 1 { slug } else { format!("{slug}-{}", *again - 1) }
        })
        .collect()
}

/// The path that a link of a file means, relative to the project's folder; of an empty link: the file itself.
fn resolve(file: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(file.to_owned());
    }
    let mut parts: Vec<&str> = match link.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => file.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect(),
    };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_somewhere() {
        // A line of docs/a.md, and what is wrong with it.
        let table = [
            ("see [b](b.md) and [up](../README.md)", ""),
            ("see [dir](../syncer/src)", ""),
            ("see [root](/README.md)", ""),
            ("see [web](https://example.com/x) and [mail](mailto:a@b)", ""),
            ("see [here](#two-words-1) and [there](b.md#it-is-new)", ""),
            ("see [titled](b.md \"a title\")", ""),
            ("[ref]: b.md", ""),
            ("`[not](a-link.md)`", ""),
            ("see [gone](gone.md)", "leads nowhere"),
            ("see [b](b.md) and [gone](../docs/gone.md#x)", "leads nowhere"),
            ("[ref]: gone.md", "leads nowhere"),
            ("see [out](../../elsewhere.md)", "leaves the project"),
            ("see [here](#three-words)", "has no heading"),
            ("see [there](b.md#old)", "has no heading"),
        ];
        let exists = |path: &str| ["docs/a.md", "docs/b.md", "README.md", "syncer/src"].contains(&path);
        for (line, wrong) in table {
            let text = format!("# Two words\n# Two words\n```\n[code](gone.md)\n# code\n```\n{line}\n");
            let files =
                [("docs/a.md".to_owned(), text), ("docs/b.md".to_owned(), "## It is: new!\n".to_owned())];
            let findings = check(&files, &exists);
            match wrong {
                "" => assert!(findings.is_empty(), "{line}: {findings:?}"),
                wrong => {
                    assert_eq!(findings.len(), 1, "{line}: {findings:?}");
                    assert!(
                        findings[0].contains(wrong) && findings[0].starts_with("docs/a.md:7"),
                        "{findings:?}"
                    );
                }
            }
        }
    }
}
