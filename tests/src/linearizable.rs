//! Whether a history of one object is linearizable: whether all that clients saw of it can be put in one order, in which
//! everything happens between its call and its answer, and each sees what those before it left.
//!
//! The search is that of Wing and Gong with the memory of Lowe ("Testing for linearizability", 2017): a state that was
//! reached with the same operations before is not entered twice. Objects do not depend on each other, and a history of
//! several is linearizable when that of each is (Herlihy and Wing, 1990).
//!
//! A write whose outcome is not known may have happened at any time after its call, or never.

use std::collections::HashSet;

/// States that a search enters at most: what is open at once and unknown is then too much to decide.
const MAX_STATES: usize = 2_000_000;

/// What an object is: no object, or one with the mark of the write that left it. No two writes have the same mark.
pub type State = Option<u64>;

/// What a client asked for, and what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A read, and what it found.
    Read(State),
    /// A creation, with the mark of the object.
    Create(u64, Answer),
    /// An update of an object that is expected to have the first mark, after which it has the second.
    Update(u64, u64, Answer),
    /// A change without an expectation, after which the object has the mark.
    Patch(u64, Answer),
    /// A deletion; with a mark: of the object only if it has it.
    Delete(Option<u64>, Answer),
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// There is an object already.
    Exists,
    /// There is no object.
    Absent,
    /// The object is another one than expected.
    Conflict,
    /// The connection broke, or it took too long.
    Unknown,
}

/// One call and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// When it was asked for.
    pub called: u64,
    /// When it was answered; not looked at when the answer is [`Answer::Unknown`].
    pub answered: u64,
    /// What.
    pub action: Action,
}

impl Operation {
    fn is_unknown(&self) -> bool {
        match self.action {
            Action::Read(_) => false,
            Action::Create(_, answer)
            | Action::Update(_, _, answer)
            | Action::Patch(_, answer)
            | Action::Delete(_, answer) => answer == Answer::Unknown,
        }
    }

    /// The state after it, when it can come in a state.
    pub fn step(&self, state: State) -> Option<State> {
        use Answer::{Absent, Conflict, Done, Exists, Unknown};
        match (&self.action, state) {
            (Action::Read(found), _) => (*found == state).then_some(state),
            (Action::Create(mark, Done | Unknown), None) => Some(Some(*mark)),
            (Action::Create(_, Exists), Some(_)) => Some(state),
            (Action::Update(from, to, Done | Unknown), Some(mark)) if mark == *from => Some(Some(*to)),
            (Action::Update(from, _, Conflict), Some(mark)) if mark != *from => Some(state),
            (Action::Patch(to, Done | Unknown), Some(_)) => Some(Some(*to)),
            (Action::Update(_, _, Absent) | Action::Patch(_, Absent), None) => Some(None),
            (Action::Delete(expected, Done | Unknown), Some(mark))
                if expected.is_none_or(|one| one == mark) =>
            {
                Some(None)
            }
            (Action::Delete(Some(expected), Conflict), Some(mark)) if mark != *expected => Some(state),
            (Action::Delete(_, Absent), None) => Some(None),
            _ => None,
        }
    }
}

/// Checks a history of one object, which is absent before it.
///
/// # Errors
/// Why there is no such order, or none was found in time: what cannot come next after the longest part of one.
pub fn check(history: &[Operation]) -> Result<(), String> {
    let mut search = Search::new(history);
    if search.run() {
        return Ok(());
    }
    let Longest { done, state, stuck } = search.longest;
    let mut text = format!(
        "{} of {} operations can be put in order; the state is then {state:?}, and next",
        done.len(),
        history.len()
    );
    for index in stuck {
        let Operation { called, answered, action } = &history[index];
        text.push_str(&format!("\n  {called}..{answered} {action:?}"));
    }
    text.push_str("\nafter");
    for index in &done[done.len().saturating_sub(12)..] {
        let Operation { called, answered, action } = &history[*index];
        text.push_str(&format!("\n  {called}..{answered} {action:?}"));
    }
    Err(text)
}

/// The longest part of an order that was found, and the calls that were open behind it.
#[derive(Default)]
struct Longest {
    done: Vec<usize>,
    state: State,
    stuck: Vec<usize>,
}

/// Calls and answers in order of time, as a list from which operations are taken and into which they are put back.
struct Search<'a> {
    history: &'a [Operation],
    /// Operation, and whether this is its answer.
    events: Vec<(usize, bool)>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Where the answer of each operation is; of an unknown one there is none.
    answers: Vec<Option<usize>>,
    longest: Longest,
}

impl<'a> Search<'a> {
    fn new(history: &'a [Operation]) -> Self {
        let mut times: Vec<(u64, bool, usize)> = Vec::new();
        for (index, operation) in history.iter().enumerate() {
            times.push((operation.called, false, index));
            if !operation.is_unknown() {
                times.push((operation.answered, true, index));
            }
        }
        // A call at the time of an answer counts as before it: clocks are no finer.
        times.sort_unstable();
        // The first place of the list is its head, the last one its end.
        let mut events = vec![(usize::MAX, false)];
        let mut answers = vec![None; history.len()];
        for (_, answered, index) in times {
            if answered {
                answers[index] = Some(events.len());
            }
            events.push((index, answered));
        }
        let count = events.len();
        let next = (1..=count).collect();
        let previous = (0..=count).map(|place| place.saturating_sub(1)).collect();
        Search { history, events, next, previous, answers, longest: Longest::default() }
    }

    fn run(&mut self) -> bool {
        let end = self.events.len();
        let mut left = self.answers.iter().flatten().count();
        let mut done = vec![0u64; self.history.len().div_ceil(64)];
        let mut seen: HashSet<(Vec<u64>, State)> = HashSet::new();
        let mut order: Vec<(usize, State)> = Vec::new();
        let mut state = None;
        let mut place = self.next[0];
        while left > 0 {
            let called = (place != end && !self.events[place].1).then(|| self.events[place].0);
            if let Some(index) = called {
                let after = self.history[index].step(state).filter(|after| {
                    set(&mut done, index, true);
                    let new = seen.insert((done.clone(), *after));
                    set(&mut done, index, false);
                    new
                });
                let Some(after) = after else {
                    place = self.next[place];
                    continue;
                };
                set(&mut done, index, true);
                order.push((place, state));
                state = after;
                left -= usize::from(self.answers[index].is_some());
                self.take(place);
                place = self.next[0];
                continue;
            }
            // An answer comes before whatever else could: what was put in order last has to come later.
            self.note(&order, state);
            if seen.len() > MAX_STATES {
                return false;
            }
            let Some((last, before)) = order.pop() else { return false };
            let index = self.events[last].0;
            set(&mut done, index, false);
            left += usize::from(self.answers[index].is_some());
            state = before;
            self.put_back(last);
            place = self.next[last];
        }
        true
    }

    fn note(&mut self, order: &[(usize, State)], state: State) {
        if order.len() < self.longest.done.len() || (order.is_empty() && !self.longest.stuck.is_empty()) {
            return;
        }
        let mut stuck = Vec::new();
        let mut place = self.next[0];
        while place < self.events.len() && !self.events[place].1 {
            stuck.push(self.events[place].0);
            place = self.next[place];
        }
        let done = order.iter().map(|(place, _)| self.events[*place].0).collect();
        self.longest = Longest { done, state, stuck };
    }

    fn take(&mut self, call: usize) {
        for place in std::iter::once(call).chain(self.answers[self.events[call].0]) {
            let (before, after) = (self.previous[place], self.next[place]);
            self.next[before] = after;
            self.previous[after] = before;
        }
    }

    fn put_back(&mut self, call: usize) {
        for place in self.answers[self.events[call].0].into_iter().chain(std::iter::once(call)) {
            let (before, after) = (self.previous[place], self.next[place]);
            self.next[before] = place;
            self.previous[after] = place;
        }
    }
}

fn set(done: &mut [u64], index: usize, to: bool) {
    let bit = 1 << (index % 64);
    if to { done[index / 64] |= bit } else { done[index / 64] &= !bit }
}

#[cfg(test)]
mod tests {
    use super::Action::{Create, Delete, Patch, Read, Update};
    use super::Answer::{Absent, Conflict, Done, Exists, Unknown};
    use super::*;
    use crate::dice::Dice;

    /// When it was called and answered, and what.
    type Line = (u64, u64, Action);

    fn history(operations: &[Line]) -> Vec<Operation> {
        let operation = |(called, answered, action): &Line| Operation {
            called: *called,
            answered: *answered,
            action: action.clone(),
        };
        operations.iter().map(operation).collect()
    }

    #[test]
    fn what_can_be_put_in_order_is_accepted() {
        let table: [(&str, Vec<Line>); 7] = [
            ("nothing", vec![]),
            (
                "one after the other",
                vec![
                    (0, 1, Create(1, Done)),
                    (2, 3, Read(Some(1))),
                    (4, 5, Update(1, 2, Done)),
                    (6, 7, Update(1, 3, Conflict)),
                    (8, 9, Delete(None, Done)),
                    (10, 11, Delete(None, Absent)),
                    (12, 13, Update(2, 4, Absent)),
                    (14, 15, Read(None)),
                ],
            ),
            (
                "a read during a write sees the old or the new",
                vec![
                    (0, 1, Create(1, Done)),
                    (2, 9, Update(1, 2, Done)),
                    (3, 4, Read(Some(1))),
                    (5, 6, Read(Some(2))),
                ],
            ),
            (
                "two creations at once",
                vec![(0, 5, Create(1, Done)), (1, 4, Create(2, Exists)), (6, 7, Read(Some(1)))],
            ),
            (
                "an unknown write that happened, late",
                vec![
                    (0, 1, Create(1, Done)),
                    (2, 0, Update(1, 2, Unknown)),
                    (3, 4, Read(Some(1))),
                    (90, 91, Read(Some(2))),
                ],
            ),
            (
                "an unknown write that never did",
                vec![
                    (0, 1, Create(1, Done)),
                    (2, 0, Update(1, 2, Unknown)),
                    (3, 4, Update(1, 3, Done)),
                    (5, 6, Read(Some(3))),
                ],
            ),
            (
                "an unknown deletion",
                vec![
                    (0, 1, Create(1, Done)),
                    (2, 0, Delete(Some(1), Unknown)),
                    (3, 4, Read(Some(1))),
                    (5, 6, Create(2, Done)),
                ],
            ),
        ];
        for (name, operations) in table {
            check(&history(&operations)).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
    }

    #[test]
    fn what_cannot_is_found() {
        let table: [(&str, Vec<Line>); 9] = [
            (
                "a stale read",
                vec![(0, 1, Create(1, Done)), (2, 3, Update(1, 2, Done)), (4, 5, Read(Some(1)))],
            ),
            (
                "a read that goes back",
                vec![
                    (0, 1, Create(1, Done)),
                    (2, 9, Update(1, 2, Done)),
                    (3, 4, Read(Some(2))),
                    (5, 6, Read(Some(1))),
                ],
            ),
            (
                "a lost update",
                vec![(0, 1, Create(1, Done)), (2, 9, Update(1, 2, Done)), (3, 8, Update(1, 3, Done))],
            ),
            ("a creation of what is there", vec![(0, 5, Create(1, Done)), (1, 4, Create(2, Done))]),
            ("a lost creation", vec![(0, 1, Create(1, Done)), (2, 3, Read(None))]),
            (
                "a lost deletion",
                vec![(0, 1, Create(1, Done)), (2, 3, Delete(None, Done)), (4, 5, Read(Some(1)))],
            ),
            ("what nobody wrote", vec![(0, 1, Create(1, Done)), (2, 3, Read(Some(7)))]),
            (
                "an unknown write before its call",
                vec![(0, 1, Create(1, Done)), (2, 3, Read(Some(2))), (4, 0, Update(1, 2, Unknown))],
            ),
            (
                "an unknown write that is undone",
                vec![
                    (0, 1, Create(1, Done)),
                    (2, 0, Update(1, 2, Unknown)),
                    (3, 4, Read(Some(2))),
                    (5, 6, Read(Some(1))),
                ],
            ),
        ];
        for (name, operations) in table {
            check(&history(&operations)).expect_err(name);
        }
    }

    /// Tries every order: what the search must agree with.
    fn by_trying(history: &[Operation], state: State, left: &mut Vec<usize>) -> bool {
        let known = |index: &usize| !history[*index].is_unknown();
        if !left.iter().any(known) {
            return true;
        }
        let first_answer = left.iter().copied().filter(known).map(|index| history[index].answered).min();
        (0..left.len()).any(|at| {
            let index = left[at];
            if first_answer.is_some_and(|first| history[index].called > first) {
                return false;
            }
            let Some(after) = history[index].step(state) else { return false };
            left.remove(at);
            let found = by_trying(history, after, left);
            left.insert(at, index);
            found
        })
    }

    #[test]
    fn it_agrees_with_trying_every_order() {
        let (mut sound, mut broken) = (0, 0);
        let mut dice = Dice::new(1);
        for number in 0..20_000 {
            let count = 1 + dice.below(7);
            let history: Vec<Operation> = (0..count)
                .map(|index| {
                    let called = dice.below(12);
                    let mark = dice.below(3);
                    let action = match (dice.below(9), dice.below(2) == 0) {
                        (0 | 1, _) => Read((mark > 0).then_some(mark)),
                        (2 | 3, _) => Create(index % 3 + 1, Done),
                        (4, _) => Create(index % 3 + 1, Exists),
                        (5, true) => Patch(index % 3 + 1, if dice.below(2) == 0 { Done } else { Unknown }),
                        (5 | 6, sure) => Update(mark, index % 3 + 1, if sure { Done } else { Unknown }),
                        (7, sure) => Update(mark, 3, if sure { Conflict } else { Absent }),
                        (_, sure) => Delete((mark > 0).then_some(mark), if sure { Done } else { Unknown }),
                    };
                    Operation { called, answered: called + 1 + dice.below(8), action }
                })
                .collect();
            let expected = by_trying(&history, None, &mut (0..history.len()).collect());
            assert_eq!(check(&history).is_ok(), expected, "case {number}: {history:#?}");
            if expected { sound += 1 } else { broken += 1 }
        }
        assert!(sound > 1000 && broken > 1000, "{sound} sound, {broken} broken");
    }

    /// Histories of a register that many use at once, with calls around the moment at which each happens.
    #[test]
    fn long_histories_are_checked_and_one_wrong_answer_in_them_is_found() {
        for seed in 0..20 {
            let mut dice = Dice::new(seed);
            let mut state = None;
            let mut mark = 0;
            let mut operations = Vec::new();
            for moment in 0..3000u64 {
                mark += 1;
                let action = match (dice.below(6), state) {
                    (0, None) => Create(mark, Done),
                    (0, Some(_)) => Create(mark, Exists),
                    (1, Some(_)) if dice.below(8) == 0 => Delete(None, Done),
                    (1 | 2, Some(at)) => Update(at, mark, if dice.below(60) == 0 { Unknown } else { Done }),
                    _ => Read(state),
                };
                let at = 1000 + moment * 10;
                let operation =
                    Operation { called: at - dice.below(80), answered: at + 1 + dice.below(80), action };
                state = operation.step(state).unwrap();
                operations.push(operation);
            }
            check(&operations).unwrap();
            // A read, long after a write, of what was before it.
            let from = operations.iter().position(|one| matches!(one.action, Update(_, _, Done))).unwrap();
            let Update(before, ..) = operations[from].action else { unreachable!() };
            let late = operations[from].answered + 1;
            operations.push(Operation { called: late, answered: late + 5, action: Read(Some(before)) });
            check(&operations).unwrap_err();
        }
    }
}
