//! The parameters of lists and watches: how they are read, and which go together.

use crate::stages::Query;
use api_types::{ApiError, Cause, Reason, Revision};
use serde_json::Value;
use std::num::IntErrorKind;

/// What a list or a watch asks for, beside its selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// `resourceVersion`; empty when it is not said.
    pub version: String,
    /// `resourceVersionMatch`; empty when it is not said.
    pub matching: String,
    /// `continue`; empty when it is not said.
    pub token: String,
    /// `limit`; 0 or less: no limit.
    pub limit: i64,
    /// `timeoutSeconds`.
    pub timeout_seconds: Option<i64>,
    /// `sendInitialEvents`; for a watch that says nothing and no version, true.
    pub initial_events: Option<bool>,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
}

const NOT_OLDER: &str = "NotOlderThan";
const EXACT: &str = "Exact";

impl ListOptions {
    /// Reads and checks the parameters of a list (`watch`: of a watch).
    pub fn parse(query: &Query, watch: bool) -> Result<Self, ApiError> {
        let text = |key: &str| query.get(key).unwrap_or("").to_owned();
        let mut options = ListOptions {
            version: text("resourceVersion"),
            matching: text("resourceVersionMatch"),
            token: text("continue"),
            timeout_seconds: integer(query, "timeoutSeconds")?,
            limit: integer(query, "limit")?.unwrap_or(0),
            initial_events: query.first("sendInitialEvents").map(|_| query.is_true("sendInitialEvents")),
            bookmarks: query.is_true("allowWatchBookmarks"),
        };
        if watch
            && options.initial_events.is_none()
            && options.matching.is_empty()
            && options.is_any_version()
        {
            options.initial_events = Some(true);
            options.matching = NOT_OLDER.into();
        }
        let causes = if watch { options.watch_defects() } else { options.list_defects() };
        if causes.is_empty() {
            return Ok(options);
        }
        Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", causes))
    }

    fn is_any_version(&self) -> bool {
        self.version.is_empty() || self.version == "0"
    }

    fn list_defects(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        if !self.matching.is_empty() {
            if self.version.is_empty() {
                causes.push(forbidden_match(
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if !self.token.is_empty() {
                causes.push(forbidden_match("resourceVersionMatch is forbidden when continue is provided"));
            }
            if self.matching != EXACT && self.matching != NOT_OLDER {
                causes.push(unknown_match(&self.matching, &[EXACT, NOT_OLDER, ""]));
            }
            if self.matching == EXACT && self.version == "0" {
                causes.push(forbidden_match(
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if self.initial_events.is_some() {
            causes.push(Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        causes
    }

    fn watch_defects(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        if self.initial_events.is_some() && self.matching != NOT_OLDER {
            causes.push(forbidden_match(
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        if !self.matching.is_empty() {
            if self.initial_events.is_none() {
                causes.push(forbidden_match(
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
            if self.matching != NOT_OLDER {
                causes.push(unknown_match(&self.matching, &[NOT_OLDER]));
            }
            if !self.token.is_empty() {
                causes.push(forbidden_match("resourceVersionMatch is forbidden when continue is provided"));
            }
        }
        causes
    }

    /// The version that a list wants. Who limits a list and names a version means exactly that one.
    pub fn wanted(&self) -> Result<Wanted, ApiError> {
        let refused = |why: String| ApiError::bad_request(format!("invalid resource version: {why}"));
        let version = version(&self.version).map_err(refused)?;
        Ok(match self.matching.as_str() {
            EXACT => Wanted::Exactly(version),
            "" if self.limit > 0 && version > Revision::ZERO => Wanted::Exactly(version),
            _ if version == Revision::ZERO => Wanted::Newest,
            _ => Wanted::AtLeast(version),
        })
    }
}

/// The version that a list wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What is there now.
    Newest,
    /// This one or a newer one.
    AtLeast(Revision),
    /// This one.
    Exactly(Revision),
}

fn forbidden_match(why: &str) -> Cause {
    Cause::forbidden("resourceVersionMatch", why)
}

fn unknown_match(found: &str, supported: &[&str]) -> Cause {
    Cause::not_supported("resourceVersionMatch", &Value::from(found), supported)
}

/// Reads a `resourceVersion`; an empty one is zero. The error is Kubernetes' text.
fn version(text: &str) -> Result<Revision, String> {
    if text.is_empty() {
        return Ok(Revision::ZERO);
    }
    let signed = text.starts_with('+');
    text.parse().ok().filter(|_| !signed).map(Revision).ok_or_else(|| {
        let why = match text.parse::<u64>() {
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => "value out of range",
            _ => "invalid syntax",
        };
        let detail = format!("strconv.ParseUint: parsing {text:?}: {why}");
        Cause::invalid("resourceVersion", &Value::from(text), &detail).to_string()
    })
}

/// Reads the `resourceVersion` of a watch or of a get, of which Kubernetes says a defect with code 500.
pub fn parse_version(text: &str) -> Result<Revision, ApiError> {
    version(text).map_err(|why| ApiError::new(Reason::Unknown, why))
}

/// Reads a number; its first value counts, and an empty one is none.
pub fn integer(query: &Query, key: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = query.first(key) else { return Ok(None) };
    text.parse().map(Some).map_err(|error: std::num::ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_go_together_is_refused_in_kubernetes_words() {
        // Watch, query, code, a part of the message.
        let table = [
            (false, "resourceVersionMatch=Exact", 422, "forbidden unless resourceVersion is provided"),
            (false, "resourceVersionMatch=Exact&resourceVersion=0", 422, "for resourceVersion \"0\""),
            (
                false,
                "resourceVersionMatch=No&resourceVersion=1",
                422,
                "supported values: \"Exact\", \"NotOlderThan\", \"\"",
            ),
            (
                false,
                "resourceVersionMatch=Exact&resourceVersion=1&continue=x",
                422,
                "when continue is provided",
            ),
            (
                false,
                "sendInitialEvents=true",
                422,
                "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
            ),
            (false, "limit=a", 400, "strconv.ParseInt: parsing \"a\": invalid syntax"),
            (false, "limit=", 400, "strconv.ParseInt: parsing \"\": invalid syntax"),
            (false, "limit=99999999999999999999", 400, "value out of range"),
            (true, "sendInitialEvents=true", 422, "requires setting resourceVersionMatch to NotOlderThan"),
            (true, "resourceVersionMatch=NotOlderThan", 422, "unless sendInitialEvents is provided"),
            (
                true,
                "sendInitialEvents=1&resourceVersionMatch=Exact",
                422,
                "supported values: \"NotOlderThan\"",
            ),
            (true, "timeoutSeconds=x", 400, "parsing \"x\""),
        ];
        for (watch, query, code, part) in table {
            let error = ListOptions::parse(&Query::parse(query), watch).unwrap_err();
            assert_eq!(error.code(), code, "{query}");
            assert!(error.message().contains(part), "{query}: {error}");
        }
    }

    #[test]
    fn a_version_means_what_it_means_in_kubernetes() {
        let wanted = |query: &str| ListOptions::parse(&Query::parse(query), false).unwrap().wanted();
        assert_eq!(wanted("").unwrap(), Wanted::Newest);
        assert_eq!(wanted("resourceVersion=0").unwrap(), Wanted::Newest);
        assert_eq!(wanted("resourceVersion=7").unwrap(), Wanted::AtLeast(Revision(7)));
        assert_eq!(wanted("resourceVersion=7&limit=1").unwrap(), Wanted::Exactly(Revision(7)));
        assert_eq!(
            wanted("resourceVersion=7&limit=1&resourceVersionMatch=NotOlderThan").unwrap(),
            Wanted::AtLeast(Revision(7))
        );
        assert_eq!(
            wanted("resourceVersion=a").unwrap_err().message(),
            "invalid resource version: resourceVersion: Invalid value: \"a\": strconv.ParseUint: parsing \"a\": \
             invalid syntax"
        );
        assert_eq!(parse_version("-1").unwrap_err().to_status()["code"], 500);
    }
}
