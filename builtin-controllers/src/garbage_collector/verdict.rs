//! What becomes of an object, from the state of its owners: a pure function.

/// How an owner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnerState {
    /// It is there.
    Present,
    /// It is there, and waits for its dependents before it goes.
    WaitsForDependents,
    /// It is not there, or another object has its name now.
    Absent,
    /// Its kind is not known in the plane.
    Unknown,
}

/// What becomes of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// It loses the references to owners that are gone or wait to go.
    Detach,
    /// It goes.
    Delete {
        /// An owner waits for it.
        owner_waits: bool,
    },
}

/// Decides; `owners` is not empty.
pub(super) fn decide(owners: &[OwnerState]) -> Verdict {
    let stands = |state: &OwnerState| matches!(state, OwnerState::Present | OwnerState::Unknown);
    if owners.iter().all(stands) {
        return Verdict::Keep;
    }
    if owners.iter().any(stands) {
        return Verdict::Detach;
    }
    Verdict::Delete { owner_waits: owners.contains(&OwnerState::WaitsForDependents) }
}

#[cfg(test)]
mod tests {
    use super::OwnerState::*;
    use super::*;

    #[test]
    fn one_owner_that_stands_keeps_an_object() {
        for (owners, expected) in [
            (&[Present][..], Verdict::Keep),
            (&[Unknown], Verdict::Keep),
            (&[Present, Absent], Verdict::Detach),
            (&[Unknown, Absent], Verdict::Detach),
            (&[Present, WaitsForDependents], Verdict::Detach),
            (&[Absent], Verdict::Delete { owner_waits: false }),
            (&[Absent, WaitsForDependents], Verdict::Delete { owner_waits: true }),
            (&[Absent, Absent], Verdict::Delete { owner_waits: false }),
        ] {
            assert_eq!(decide(owners), expected, "{owners:?}");
        }
    }
}
