//! What a query asks of a subresource, read and checked as Kubernetes does: `PodLogOptions`, and the options of
//! connections as the objects that guards see.

use crate::stages::Query;
use api_types::{ApiError, Cause};
use form_urlencoded::Serializer;
use jiff::Timestamp;
use serde_json::{Value, json};

/// `PodLogOptions`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogOptions {
    /// Empty: the only one.
    pub container: String,
    /// Go on with what comes.
    pub follow: bool,
    /// Of the run before.
    pub previous: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Nothing older than so many seconds.
    pub since_seconds: Option<i64>,
    /// Nothing older.
    pub since_time: Option<Timestamp>,
    /// So many lines from the end.
    pub tail_lines: Option<i64>,
    /// So many bytes.
    pub limit_bytes: Option<i64>,
    /// The kubelet's certificate is not looked at.
    pub insecure: bool,
    /// Which stream; nobody may choose yet.
    stream: bool,
}

impl LogOptions {
    /// Reads a query.
    pub fn read(query: &Query) -> Result<Self, ApiError> {
        Ok(LogOptions {
            container: query.first("container").unwrap_or("").to_owned(),
            follow: query.is_true("follow"),
            previous: query.is_true("previous"),
            timestamps: query.is_true("timestamps"),
            since_seconds: integer(query, "sinceSeconds")?,
            since_time: query.first("sinceTime").map(time).transpose()?,
            tail_lines: integer(query, "tailLines")?,
            limit_bytes: integer(query, "limitBytes")?,
            insecure: query.is_true("insecureSkipTLSVerifyBackend"),
            stream: query.first("stream").is_some(),
        })
    }

    /// What contradicts itself is refused.
    pub fn check(&self, pod: &str) -> Result<(), ApiError> {
        let mut causes = Vec::new();
        let mut at_least = |field: &str, value: Option<i64>, least: i64, why: &str| {
            if let Some(value) = value.filter(|value| *value < least) {
                causes.push(Cause::invalid(field, &value.into(), why));
            }
        };
        at_least("tailLines", self.tail_lines, 0, "must be greater than or equal to 0");
        at_least("limitBytes", self.limit_bytes, 1, "must be greater than 0");
        if self.since_seconds.is_some() && self.since_time.is_some() {
            let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            causes.push(Cause::forbidden("[]", why));
        } else {
            at_least("sinceSeconds", self.since_seconds, 1, "must be greater than 0");
        }
        if self.stream {
            causes.push(Cause::forbidden("stream", "may not be specified"));
        }
        if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid("", "PodLogOptions", pod, causes)) }
    }

    /// The query that asks for the same of a container.
    pub fn query(&self, container: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("container", container);
        for (name, is) in [
            ("follow", self.follow),
            ("previous", self.previous),
            ("timestamps", self.timestamps),
            ("insecureSkipTLSVerifyBackend", self.insecure),
        ] {
            if is {
                query.append_pair(name, "true");
            }
        }
        for (name, number) in [
            ("sinceSeconds", self.since_seconds),
            ("tailLines", self.tail_lines),
            ("limitBytes", self.limit_bytes),
        ] {
            if let Some(number) = number {
                query.append_pair(name, &number.to_string());
            }
        }
        if let Some(time) = self.since_time {
            query.append_pair("sinceTime", &time.to_string());
        }
        query.finish()
    }
}

/// A whole number, refused in the words of Go.
fn integer(query: &Query, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = query.first(name) else { return Ok(None) };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    text.parse().map(Some).map_err(|_| {
        let why = if is_number(digits) { "value out of range" } else { "invalid syntax" };
        ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The time that is written as nothing.
const ZERO: &str = "0001-01-01T00:00:00Z";

fn time(text: &str) -> Result<Timestamp, ApiError> {
    let given = if text.is_empty() || text == "null" { ZERO } else { text };
    let seconds = api_schema::decode::time::seconds(given).map_err(ApiError::bad_request)?;
    seconds.parse().map_err(ApiError::internal)
}

/// Options of exec and attach that are so or not.
const FLAGS: [&str; 4] = ["stdin", "stdout", "stderr", "tty"];

/// The options of a connection as an object of a kind: `PodExecOptions`, `PodAttachOptions`, `PodPortForwardOptions`.
pub fn connection(kind: &str, subresource: &str, query: &Query) -> Result<Value, ApiError> {
    let mut options = json!({"kind": kind, "apiVersion": "v1"});
    if subresource == "portforward" {
        let ports = ports(query)?;
        if !ports.is_empty() {
            options["ports"] = json!(ports);
        }
        return Ok(options);
    }
    for flag in FLAGS {
        if query.is_true(flag) {
            options[flag] = true.into();
        }
    }
    if let Some(container) = query.get("container") {
        options["container"] = container.into();
    }
    if subresource == "exec" {
        let command: Vec<&str> = query.all("command").collect();
        options["command"] = if command.is_empty() { Value::Null } else { command.into() };
    }
    Ok(options)
}

fn ports(query: &Query) -> Result<Vec<u16>, ApiError> {
    let texts = query.all("ports").flat_map(|text| text.split(','));
    texts
        .map(|text| {
            text.parse().map_err(|_| {
                let why = if is_number(text) { "value out of range" } else { "invalid syntax" };
                let error = format!("strconv.ParseUint: parsing {text:?}: {why}");
                ApiError::bad_request(format!("cannot convert to []int32: {error}"))
            })
        })
        .collect()
}

/// The query that asks for a connection with these options, of this container if it is of one. Guards may have changed
/// the options: what is no option any more is told.
pub fn connection_query(options: &Value, container: &str) -> Result<String, ApiError> {
    let broken = || ApiError::internal("the options of the connection are none any more after admission");
    let mut query = Serializer::new(String::new());
    if !container.is_empty() {
        query.append_pair("container", container);
    }
    for flag in FLAGS {
        match &options[flag] {
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => _ = query.append_pair(flag, "true"),
            _ => return Err(broken()),
        }
    }
    for list in ["command", "ports"] {
        let name = list;
        match &options[list] {
            Value::Null => {}
            Value::Array(values) => {
                for value in values {
                    match value {
                        Value::String(text) if list == "command" => _ = query.append_pair(name, text),
                        Value::Number(port) if list == "ports" => {
                            query.append_pair(name, &port.to_string());
                        }
                        _ => return Err(broken()),
                    }
                }
            }
            _ => return Err(broken()),
        }
    }
    Ok(query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_asked_for_as_in_kubernetes() {
        for (query, error) in [
            ("", None),
            ("tailLines=0&limitBytes=1&sinceSeconds=1&follow&previous=x&container=c", None),
            ("sinceTime=2020-01-01T00:00:00.5Z", None),
            ("sinceTime=", None),
            ("bogus=1", None),
            ("tailLines=a", Some("400 strconv.ParseInt: parsing \"a\": invalid syntax")),
            ("tailLines=", Some("400 strconv.ParseInt: parsing \"\": invalid syntax")),
            (
                "limitBytes=99999999999999999999",
                Some("400 strconv.ParseInt: parsing \"99999999999999999999\": value out of range"),
            ),
            (
                "sinceTime=bad",
                Some(
                    "400 parsing time \"bad\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"bad\" as \"2006\"",
                ),
            ),
            (
                "sinceTime=2020-01-01 10:00:00Z",
                Some(
                    "400 parsing time \"2020-01-01 10:00:00Z\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \
                     \" 10:00:00Z\" as \"T\"",
                ),
            ),
            (
                "tailLines=-1",
                Some(
                    "422 PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
                ),
            ),
            (
                "limitBytes=0",
                Some(
                    "422 PodLogOptions \"p\" is invalid: limitBytes: Invalid value: 0: must be greater than 0",
                ),
            ),
            (
                "sinceSeconds=0",
                Some(
                    "422 PodLogOptions \"p\" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0",
                ),
            ),
            (
                "sinceSeconds=0&sinceTime=2020-01-01T00:00:00Z",
                Some(
                    "422 PodLogOptions \"p\" is invalid: []: Forbidden: at most one of `sinceTime` or `sinceSeconds` may \
                     be specified",
                ),
            ),
            (
                "stream=Stdout",
                Some("422 PodLogOptions \"p\" is invalid: stream: Forbidden: may not be specified"),
            ),
        ] {
            let read = LogOptions::read(&Query::parse(query));
            let told = read.and_then(|options| options.check("p")).err();
            let told = told.map(|error| format!("{} {}", error.code(), error.message()));
            assert_eq!(told.as_deref(), error, "{query}");
        }
    }

    #[test]
    fn logs_are_asked_for_in_the_same_way_again() {
        let sent =
            "container=c&follow=true&previous=true&timestamps=true&sinceSeconds=5&tailLines=0&limitBytes=7";
        let read = LogOptions::read(&Query::parse(sent)).unwrap();
        assert_eq!(read.query("c"), sent);
        let since = LogOptions::read(&Query::parse("sinceTime=2020-01-01T01:00:00%2B01:00")).unwrap();
        assert_eq!(since.query("c"), "container=c&sinceTime=2020-01-01T00%3A00%3A00Z");
    }

    #[test]
    fn connections_have_options_that_guards_see() {
        for (kind, sub, query, object, again) in [
            (
                "PodExecOptions",
                "exec",
                "command=sh&command=-c&stdin=true&tty=0&container=c",
                json!({"command": ["sh", "-c"], "stdin": true, "container": "c"}),
                "container=k&stdin=true&command=sh&command=-c",
            ),
            ("PodExecOptions", "exec", "", json!({"command": null}), "container=k"),
            (
                "PodAttachOptions",
                "attach",
                "stdout&command=x",
                json!({"stdout": true}),
                "container=k&stdout=true",
            ),
            (
                "PodPortForwardOptions",
                "portforward",
                "ports=80&ports=81,82",
                json!({"ports": [80, 81, 82]}),
                "container=k&ports=80&ports=81&ports=82",
            ),
        ] {
            let options = connection(kind, sub, &Query::parse(query)).unwrap();
            let mut expected = json!({"kind": kind, "apiVersion": "v1"});
            for (field, value) in object.as_object().unwrap() {
                expected[field] = value.clone();
            }
            assert_eq!(options, expected, "{query}");
            assert_eq!(connection_query(&options, "k").unwrap(), again);
        }
        for (query, why) in [
            ("ports=a", "\"a\": invalid syntax"),
            ("ports=70000", "\"70000\": value out of range"),
            ("ports=", "\"\": invalid syntax"),
        ] {
            let error = connection("PodPortForwardOptions", "portforward", &Query::parse(query)).unwrap_err();
            assert_eq!(
                error.message(),
                format!("cannot convert to []int32: strconv.ParseUint: parsing {why}")
            );
        }
        for broken in [json!({"stdin": "yes"}), json!({"command": [1]}), json!({"ports": 80})] {
            assert!(connection_query(&broken, "").is_err(), "{broken}");
        }
    }
}
