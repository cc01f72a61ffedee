//! Reads the text form of the table of resources; see `builtin.txt` for the form.

use super::ALL_VERBS;
use crate::catalog::PlaneKind::{self, Host, Super, Tenant};
use crate::resource::Verb;

/// Words that say which planes have a resource. Without one, all have it.
const PLANES: &[(&str, &[PlaneKind])] =
    &[("workload", &[Tenant, Super]), ("host", &[Host]), ("tenant", &[Tenant])];
const EVERYWHERE: &[PlaneKind] = &[Host, Tenant, Super];

/// One resource as a line of the text says it.
pub(super) struct Line<'a> {
    pub group: &'a str,
    pub versions: Vec<&'a str>,
    pub plural: &'a str,
    pub kind: &'a str,
    pub namespaced: bool,
    pub short: Vec<&'a str>,
    pub categories: Vec<&'a str>,
    pub subresources: Vec<&'a str>,
    pub verbs: Vec<Verb>,
    pub fields: Vec<&'a str>,
    pub planes: &'static [PlaneKind],
}

/// The resources of a text. Words that are not understood are left out; the tests below read the real text with
/// [`defects`], so none is there.
pub(super) fn parse(text: &str) -> Vec<Line<'_>> {
    let mut group = "";
    let mut versions = Vec::new();
    let mut group_planes = EVERYWHERE;
    let mut lines = Vec::new();
    for words in text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
        match words.as_slice() {
            [] | ["#", ..] => {}
            ["@", name, rest @ ..] => {
                group = if *name == "core" { "" } else { name };
                group_planes = rest.iter().find_map(|word| planes(word)).unwrap_or(EVERYWHERE);
                versions = rest.iter().copied().filter(|word| planes(word).is_none()).collect();
            }
            [plural, kind, scope, rest @ ..] => {
                let mut line = Line {
                    group,
                    versions: versions.clone(),
                    plural,
                    kind,
                    namespaced: *scope == "N",
                    short: Vec::new(),
                    categories: Vec::new(),
                    subresources: Vec::new(),
                    verbs: ALL_VERBS.to_vec(),
                    fields: Vec::new(),
                    planes: group_planes,
                };
                rest.iter().for_each(|word| option(&mut line, word));
                lines.push(line);
            }
            _ => {}
        }
    }
    lines
}

fn planes(word: &str) -> Option<&'static [PlaneKind]> {
    PLANES.iter().find(|(name, _)| *name == word).map(|(_, planes)| *planes)
}

fn option<'a>(line: &mut Line<'a>, word: &'a str) {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    let list = || value.split(',').collect::<Vec<_>>();
    match key {
        "all" => line.categories.push("all"),
        "ext" => line.categories.push("api-extensions"),
        "oam" => line.categories.push("oam"),
        "short" => line.short = list(),
        "sub" => line.subresources = list(),
        "fields" => line.fields = list(),
        "verbs" => line.verbs.retain(|verb| list().contains(&verb.as_str())),
        "no" => line.verbs.retain(|verb| !list().contains(&verb.as_str())),
        _ => line.planes = planes(key).unwrap_or(line.planes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of a text that `parse` would leave out.
    fn defects(text: &str) -> Vec<String> {
        let known =
            ["all", "ext", "oam", "short", "sub", "fields", "workload", "host", "tenant", "verbs", "no"];
        text.lines()
            .filter(|line| !line.is_empty() && !line.starts_with(['#', '@']))
            .flat_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let bad_scope = !matches!(words.get(2), Some(&"N" | &"C"));
                let bad_word =
                    words.iter().skip(3).any(|w| !known.contains(&w.split('=').next().unwrap_or("")));
                (bad_scope || bad_word).then(|| line.to_owned())
            })
            .collect()
    }

    #[test]
    fn the_text_has_only_known_words() {
        assert_eq!(defects(super::super::BUILTIN), Vec::<String>::new());
        assert_eq!(defects(super::super::insula::TEXT), Vec::<String>::new());
        assert_eq!(defects("a A N\nb B X\nc C N colour=red").len(), 2);
    }

    #[test]
    fn groups_and_options_apply_to_their_lines() {
        let lines = parse(
            "@ core v1\na A N short=x,y all no=watch\n@ g v2 v1 workload\nb B C verbs=get,list sub=status",
        );
        assert_eq!((lines[0].group, lines[1].group), ("", "g"));
        assert_eq!(lines[0].short, ["x", "y"]);
        assert!(!lines[0].verbs.contains(&Verb::Watch) && lines[0].verbs.len() == 7);
        assert_eq!(lines[1].versions, ["v2", "v1"]);
        assert_eq!(lines[1].verbs, [Verb::Get, Verb::List]);
        assert!(lines[0].planes == EVERYWHERE && lines[1].planes == [Tenant, Super] && !lines[1].namespaced);
    }
}
