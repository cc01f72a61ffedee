//! What all clients saw, and what must be true of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use tests::linearizable::{self, Action, Answer, Operation};

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Added,
    Modified,
    Deleted,
}

/// An event of a watch: of which object, and its mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub kind: Kind,
    pub mark: u64,
}

/// What a watch saw without a gap.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The version of the list that it began with, and what was in that: name to version and mark.
    pub from: u64,
    pub listed: BTreeMap<String, (u64, u64)>,
    /// The versions of its events.
    pub seen: Vec<u64>,
    /// Up to where it saw everything.
    pub to: u64,
}

/// Everything.
#[derive(Default)]
pub struct History {
    operations: BTreeMap<String, Vec<Operation>>,
    /// By name and version the mark, and by mark the version.
    marks: HashMap<(String, u64), u64>,
    versions: HashMap<u64, u64>,
    /// By version: what any watch showed.
    events: BTreeMap<u64, Event>,
    segments: Vec<Segment>,
    /// Acknowledged writes: version, name and mark.
    acknowledged: Vec<(u64, String, u64)>,
    violations: Vec<String>,
    pub counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub acknowledged: u64,
    pub answered: u64,
    pub unknown: u64,
    pub refused: u64,
    pub events: u64,
    pub bookmarks: u64,
    pub resumed: u64,
    pub relisted: u64,
    pub checked: u64,
}

impl History {
    pub fn violation(&mut self, what: String) {
        eprintln!("violation: {what}");
        self.violations.push(what);
    }

    pub fn operation(&mut self, name: &str, operation: Operation) {
        self.counts.answered += 1;
        match &operation.action {
            Action::Read(_) => {}
            Action::Create(_, answer)
            | Action::Update(_, _, answer)
            | Action::Patch(_, answer)
            | Action::Delete(_, answer) => match answer {
                Answer::Done => self.counts.acknowledged += 1,
                Answer::Unknown => self.counts.unknown += 1,
                _ => {}
            },
        }
        self.operations.entry(name.to_owned()).or_default().push(operation);
    }

    /// An object was shown: a version is one state of one object.
    pub fn shown(&mut self, name: &str, version: u64, mark: u64) {
        if mark == 0 {
            return;
        }
        let known = *self.marks.entry((name.to_owned(), version)).or_insert(mark);
        let at = *self.versions.entry(mark).or_insert(version);
        if (known, at) != (mark, version) {
            self.violation(format!(
                "{name} has the mark {mark} at {version}, and had {known} there, and {mark} at {at}"
            ));
        }
    }

    /// A write was acknowledged with this version.
    pub fn acknowledged(&mut self, name: &str, version: u64, mark: u64) {
        self.shown(name, version, mark);
        self.acknowledged.push((version, name.to_owned(), mark));
    }

    pub fn event(&mut self, version: u64, event: Event) {
        self.counts.events += 1;
        if event.kind != Kind::Deleted {
            self.shown(&event.name, version, event.mark);
        }
        let known = self.events.entry(version).or_insert_with(|| event.clone()).clone();
        if known != event {
            self.violation(format!("at {version} one watch saw {known:?} and another {event:?}"));
        }
    }

    pub fn segment(&mut self, segment: Segment) {
        self.segments.push(segment);
    }

    /// The events after a version, of names that begin with `prefix`.
    pub fn events_after(&self, version: u64, prefix: &str) -> Vec<(u64, Event)> {
        let later = self.events.range(version + 1..).filter(|(_, event)| event.name.starts_with(prefix));
        later.map(|(version, event)| (*version, event.clone())).collect()
    }

    /// Versions that watches saw.
    pub fn seen(&self) -> Vec<u64> {
        self.events.keys().copied().collect()
    }

    /// Checks the objects whose names begin so, and forgets them: nobody uses them any more.
    pub fn check(&mut self, prefix: &str) {
        let names: Vec<String> =
            self.operations.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        for name in names {
            let operations = self.operations.remove(&name).unwrap_or_default();
            self.counts.checked += operations.len() as u64;
            if let Err(why) = linearizable::check(&operations) {
                self.violation(format!("the history of {name} is not linearizable: {why}"));
            }
        }
    }

    /// Checks what watches saw against each other and against what was acknowledged, and forgets it. Goes once through
    /// all events, from list to list: hours of them are checked in seconds.
    pub fn check_watches(&mut self) {
        let mut segments = std::mem::take(&mut self.segments);
        segments.sort_by_key(|segment| segment.from);
        self.acknowledged.sort();
        let mut found = Vec::new();
        let mut events = self.events.iter().peekable();
        // Of each object the last event up to the list.
        let mut last: HashMap<&str, (u64, &Event)> = HashMap::new();
        for segment in &segments {
            let Segment { from, to, .. } = *segment;
            while let Some((version, event)) = events.next_if(|(version, _)| **version <= from) {
                last.insert(&event.name, (*version, event));
            }
            let seen: HashSet<u64> = segment.seen.iter().copied().collect();
            let all: Vec<u64> =
                self.events.range(from + 1..to.max(from) + 1).map(|(version, _)| *version).collect();
            if all != segment.seen {
                let missing: Vec<_> = all.iter().filter(|version| !seen.contains(version)).collect();
                found.push(format!(
                    "a watch from {from} to {to} did not see {missing:?}, which another one saw"
                ));
            }
            let begin = self.acknowledged.partition_point(|(version, ..)| *version <= from);
            for (version, name, mark) in
                self.acknowledged[begin..].iter().take_while(|(version, ..)| *version <= to)
            {
                if !seen.contains(version) {
                    found.push(format!(
                        "a watch from {from} to {to} did not see {mark} of {name}, acknowledged at {version}"
                    ));
                }
            }
            for (name, (version, mark)) in &segment.listed {
                if let Some((later, event)) = last.get(name.as_str()).filter(|(later, _)| later > version) {
                    found.push(format!(
                        "a list at {from} shows {mark} of {name} at {version}, and {later} was {event:?}"
                    ));
                }
                if version > &from {
                    found.push(format!("a list at {from} shows {name} at {version}"));
                }
            }
            // What had been made before and is not in the list, where somebody saw all in between.
            for (name, (version, event)) in &last {
                if event.kind == Kind::Deleted || segment.listed.contains_key(*name) {
                    continue;
                }
                if segments.iter().any(|one| one.from < *version && one.to >= from) {
                    found.push(format!(
                        "a list at {from} does not show {name}, which was {:?} at {version}",
                        event.kind
                    ));
                }
            }
        }
        self.events.clear();
        self.acknowledged.clear();
        found.into_iter().for_each(|what| self.violation(what));
    }

    /// # Panics
    /// When anything was wrong.
    pub fn assert_sound(&self, what: &str) {
        assert!(
            self.violations.is_empty(),
            "{what}: {} violations:\n{}",
            self.violations.len(),
            self.violations[..self.violations.len().min(5)].join("\n")
        );
    }
}

/// A history of two watches that saw three events of `a`: made, changed, deleted at 10, 20 and 30.
fn planted() -> History {
    let mut history = History::default();
    for (version, kind, mark) in [(10, Kind::Added, 1), (20, Kind::Modified, 2), (30, Kind::Deleted, 2)] {
        history.event(version, Event { name: "a".to_owned(), kind, mark });
    }
    history.acknowledged("a", 10, 1);
    history.acknowledged("a", 20, 2);
    history.segment(Segment { from: 5, listed: BTreeMap::new(), seen: vec![10, 20, 30], to: 40 });
    history
}

#[test]
fn what_breaks_the_promise_of_a_watch_is_found() {
    type Breaks = fn(&mut History);
    let listed = |version, mark| BTreeMap::from([("a".to_owned(), (version, mark))]);
    let table: [(&str, Breaks); 7] = [
        ("an event that another watch did not see", |history| {
            history.segment(Segment { from: 5, listed: BTreeMap::new(), seen: vec![10, 30], to: 40 });
        }),
        ("a write that no watch saw", |history| history.acknowledged("a", 35, 3)),
        ("a list that is older than it says", |history| {
            let listed = BTreeMap::from([("a".to_owned(), (10, 1))]);
            history.segment(Segment { from: 25, listed, seen: vec![30], to: 40 });
        }),
        ("a list without an object that is there", |history| {
            history.segment(Segment { from: 25, listed: BTreeMap::new(), seen: vec![30], to: 40 });
        }),
        ("a list that is newer than it says", |history| {
            let listed = BTreeMap::from([("a".to_owned(), (20, 2))]);
            history.segment(Segment { from: 15, listed, seen: vec![20, 30], to: 40 });
        }),
        ("two events at one version", |history| {
            history.event(20, Event { name: "a".to_owned(), kind: Kind::Added, mark: 2 });
        }),
        ("two states at one version", |history| history.shown("a", 20, 7)),
    ];
    for (name, breaks) in table {
        let mut history = planted();
        breaks(&mut history);
        history.check_watches();
        assert!(!history.violations.is_empty(), "{name} was not found");
    }
    let mut history = planted();
    history.segment(Segment { from: 25, listed: listed(20, 2), seen: vec![30], to: 40 });
    history.check_watches();
    history.assert_sound("what is sound");
}
