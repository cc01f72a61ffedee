//! Which mutating guards are asked again (`reinvocationPolicy: IfNeeded`): those that were asked before another one
//! changed the object. In the second round nobody is asked for the first time.

use std::collections::HashSet;

/// What has been asked, and what is to be asked again.
#[derive(Debug, Default)]
pub struct Reinvocation {
    second: bool,
    changed: bool,
    /// Asked in this round, and ready to be asked again.
    asked: HashSet<String>,
    again: HashSet<String>,
}

impl Reinvocation {
    /// True when the guard is to be asked in this round.
    pub fn wants(&self, guard: &str) -> bool {
        !self.second || self.again.contains(guard)
    }

    /// A guard was asked. `if_needed`: it wants to be asked again when others change the object later.
    pub fn was_asked(&mut self, guard: &str, changed: bool, if_needed: bool) {
        if changed {
            self.changed = true;
            self.everything_again();
        }
        if if_needed {
            self.asked.insert(guard.to_owned());
        }
    }

    /// All that were asked before are asked again.
    pub fn everything_again(&mut self) {
        self.again.extend(self.asked.drain());
    }

    /// Begins the second round; false when there is none.
    pub fn next_round(&mut self) -> bool {
        self.second = true;
        self.changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_before_a_change_is_asked_again() {
        let mut again = Reinvocation::default();
        again.was_asked("first", true, true);
        again.was_asked("never", true, false);
        again.was_asked("last", true, true);
        assert!(again.next_round());
        assert_eq!(["first", "never", "last"].map(|guard| again.wants(guard)), [true, false, false]);
        again.everything_again();
        assert!(again.wants("last"), "a built-in rule has changed the object since");
    }

    #[test]
    fn without_a_change_nobody_is() {
        let mut again = Reinvocation::default();
        again.was_asked("a", false, true);
        assert!(!again.next_round());
    }
}
