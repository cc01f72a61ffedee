//! The mark by which the platform knows its own on a server: the comment on a role. Pure.
//!
//! A comment on a role can be changed only by those who may create roles, so a tenant cannot forge one. A database is ours
//! when its owner is a role that is ours; its own comment repeats the mark for people.

/// Whose a role is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// UID of the `CloudAccount`, by which its resources are counted.
    pub account: String,
    /// UID of the `Tenant`.
    pub tenant: String,
    /// UID of the `Database`.
    pub object: String,
}

/// How every mark begins.
const PREFIX: &str = "managed by insula.dev:";

impl Mark {
    /// The comment.
    pub fn text(&self) -> String {
        format!("{PREFIX} account={} tenant={} object={}", self.account, self.tenant, self.object)
    }

    /// Reads a comment; `None` when it is not a mark.
    pub fn parse(comment: &str) -> Option<Self> {
        let mut words = comment.strip_prefix(PREFIX)?.split_whitespace();
        let mut next = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
        Some(Mark { account: next("account")?, tenant: next("tenant")?, object: next("object")? })
    }

    /// True when the comment says that it belongs to the same object of the same tenant, on whichever account.
    pub fn owns(&self, comment: Option<&str>) -> bool {
        comment
            .and_then(Mark::parse)
            .is_some_and(|other| other.tenant == self.tenant && other.object == self.object)
    }

    /// What all marks of an account match, for `LIKE`.
    pub fn pattern_of_account(account: &str) -> String {
        let escaped = account.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        format!("{PREFIX} account={escaped} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_object_of_the_same_tenant_owns() {
        let mark = |a: &str, t: &str, o: &str| Mark { account: a.into(), tenant: t.into(), object: o.into() };
        let ours = mark("a", "t", "o");
        assert_eq!(Mark::parse(&ours.text()), Some(ours.clone()));
        for (comment, expected) in [
            (Some(ours.text()), true),
            (Some(mark("other", "t", "o").text()), true),
            (Some(mark("a", "x", "o").text()), false),
            (Some(mark("a", "t", "x").text()), false),
            (Some("production, do not touch".to_owned()), false),
            (None, false),
        ] {
            assert_eq!(ours.owns(comment.as_deref()), expected, "{comment:?}");
        }
    }
}
