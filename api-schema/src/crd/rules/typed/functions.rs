//! What rules can call: operators, functions and methods, with their types.

use super::types::Type;
use std::collections::HashMap;
use std::sync::LazyLock;

/// One way to call a function.
#[derive(Debug)]
pub struct Overload {
    /// It is called on something, which is the first argument here.
    pub method: bool,
    pub arguments: Vec<Type<'static>>,
    pub gives: Type<'static>,
    /// How its cost is counted, when that is not by its name alone.
    pub counted: &'static str,
}

/// The ways to call a function; `None`: there is none.
pub fn overloads(name: &str) -> Option<&'static [Overload]> {
    FUNCTIONS.get(name).map(Vec::as_slice)
}

static FUNCTIONS: LazyLock<HashMap<&str, Vec<Overload>>> = LazyLock::new(|| {
    TABLE.iter().map(|(name, ways)| (*name, ways.split("; ").filter_map(overload).collect())).collect()
});

/// Reads `on.(argument, …) result counted`.
fn overload(text: &'static str) -> Option<Overload> {
    let open = match text.find(".(") {
        Some(dot) => dot + 1,
        None => 0,
    };
    let method = open > 0;
    let mut arguments = Vec::new();
    if method {
        arguments.push(read(text.get(..open - 1)?)?);
    }
    let close = closing(text, open)?;
    for argument in split(text.get(open + 1..close)?) {
        arguments.push(read(argument)?);
    }
    let rest = text.get(close + 2..)?;
    // Types are written with blanks after commas only.
    let end = rest.char_indices().find(|(at, c)| *c == ' ' && !rest[..*at].ends_with(',')).map(|(at, _)| at);
    let (gives, counted) = match end {
        Some(end) => (rest.get(..end)?, rest.get(end + 1..)?),
        None => (rest, ""),
    };
    Some(Overload { method, arguments, gives: read(gives)?, counted })
}

/// The bracket that closes the one at a place.
fn closing(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices().skip(open) {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The parts between commas that stand in no bracket.
fn split(text: &str) -> Vec<&str> {
    let (mut out, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                out.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    let last = text[begin..].trim();
    if !last.is_empty() {
        out.push(last);
    }
    out
}

/// A type by its name in the table.
pub fn read(text: &str) -> Option<Type<'static>> {
    if let Some((of, inner)) = text.split_once('(') {
        let parts = split(inner.strip_suffix(')')?);
        let part = |at: usize| parts.get(at).and_then(|part| read(part));
        return Some(match of {
            "list" => Type::List(Box::new(part(0)?)),
            "map" => Type::Map(Box::new((part(0)?, part(1)?))),
            "optional" | "optional_type" => Type::Optional(Box::new(part(0)?)),
            "type" => Type::Of(Box::new(part(0)?)),
            _ => return None,
        });
    }
    Some(match text {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::Text,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        "dyn" => Type::Dyn,
        "A" => Type::Free(0),
        "B" => Type::Free(1),
        "null" => Type::Null,
        named => Type::Named(known(named)?),
    })
}

/// The types of libraries.
const NAMED: &[&str] = &[
    "kubernetes.NamedFormat",
    "kubernetes.Quantity",
    "kubernetes.Semver",
    "kubernetes.URL",
    "kubernetes.authorization.Authorizer",
    "kubernetes.authorization.Decision",
    "kubernetes.authorization.GroupCheck",
    "kubernetes.authorization.PathCheck",
    "kubernetes.authorization.ResourceCheck",
    "net.CIDR",
    "net.IP",
];

fn known(name: &str) -> Option<&'static str> {
    NAMED.iter().find(|known| **known == name).copied().or_else(|| crate::cel::structure(name))
}

/// How many free types a function has at most.
pub const FREE: usize = 2;

/// A name that stands for a type.
pub fn named_type(name: &str) -> Option<Type<'static>> {
    let of = match name {
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "string" => Type::Text,
        "null_type" => Type::Null,
        "list" => Type::List(Box::new(Type::Dyn)),
        "map" => Type::Map(Box::new((Type::Dyn, Type::Dyn))),
        "type" => Type::Of(Box::new(Type::Dyn)),
        "optional_type" => Type::Optional(Box::new(Type::Dyn)),
        "google.protobuf.Duration" => Type::Duration,
        "google.protobuf.Timestamp" => Type::Timestamp,
        "net.CIDR" | "net.IP" => Type::Named(known(name)?),
        _ => return None,
    };
    Some(Type::Of(Box::new(of)))
}

/// Name, and the ways to call it: what it is called on, its arguments, what it gives, how it is counted. `A` and `B` are
/// any type, the same one wherever they stand.
const TABLE: &[(&str, &str)] = &[
    ("_?_:_", "(bool, A, A) A"),
    ("_&&_", "(bool, bool) bool"),
    ("_||_", "(bool, bool) bool"),
    ("!_", "(bool) bool"),
    ("@not_strictly_false", "(bool) bool"),
    ("-_", "(int) int; (double) double"),
    ("@in", "(A, list(A)) bool in_list; (A, map(A, B)) bool"),
    ("_==_", "(A, A) bool equals"),
    ("_!=_", "(A, A) bool equals"),
    (
        "_+_",
        "(bytes, bytes) bytes add_text; (double, double) double; (duration, duration) duration; (duration, timestamp) timestamp; (timestamp, duration) timestamp; (int, int) int; (list(A), list(A)) list(A) add_list; (string, string) string add_text; (uint, uint) uint",
    ),
    (
        "_-_",
        "(double, double) double; (duration, duration) duration; (int, int) int; (timestamp, duration) timestamp; (timestamp, timestamp) duration; (uint, uint) uint",
    ),
    ("_*_", "(double, double) double; (int, int) int; (uint, uint) uint"),
    ("_/_", "(double, double) double; (int, int) int; (uint, uint) uint"),
    ("_%_", "(int, int) int; (uint, uint) uint"),
    (
        "_<_",
        "(bool, bool) bool; (int, int) bool; (int, uint) bool; (int, double) bool; (uint, int) bool; (uint, uint) bool; (uint, double) bool; (double, int) bool; (double, uint) bool; (double, double) bool; (string, string) bool equals; (bytes, bytes) bool equals; (timestamp, timestamp) bool; (duration, duration) bool",
    ),
    (
        "_<=_",
        "(bool, bool) bool; (int, int) bool; (int, uint) bool; (int, double) bool; (uint, int) bool; (uint, uint) bool; (uint, double) bool; (double, int) bool; (double, uint) bool; (double, double) bool; (string, string) bool equals; (bytes, bytes) bool equals; (timestamp, timestamp) bool; (duration, duration) bool",
    ),
    (
        "_>_",
        "(bool, bool) bool; (int, int) bool; (int, uint) bool; (int, double) bool; (uint, int) bool; (uint, uint) bool; (uint, double) bool; (double, int) bool; (double, uint) bool; (double, double) bool; (string, string) bool equals; (bytes, bytes) bool equals; (timestamp, timestamp) bool; (duration, duration) bool",
    ),
    (
        "_>=_",
        "(bool, bool) bool; (int, int) bool; (int, uint) bool; (int, double) bool; (uint, int) bool; (uint, uint) bool; (uint, double) bool; (double, int) bool; (double, uint) bool; (double, double) bool; (string, string) bool equals; (bytes, bytes) bool equals; (timestamp, timestamp) bool; (duration, duration) bool",
    ),
    (
        "_[_]",
        "(list(A), int) A index_list; (map(A, B), A) B index_map; (optional(list(A)), int) optional(A); (optional(map(A, B)), A) optional(B)",
    ),
    ("_?._", "(A, string) dyn"),
    (
        "_[?_]",
        "(list(A), int) optional(A); (map(A, B), A) optional(B); (optional(list(A)), int) optional(A); (optional(map(A, B)), A) optional(B)",
    ),
    (
        "size",
        "(bytes) int; bytes.() int; (list(A)) int; list(A).() int; (map(A, B)) int; map(A, B).() int; (string) int; string.() int",
    ),
    ("type", "(A) type(A)"),
    ("dyn", "(A) dyn"),
    ("bool", "(bool) bool; (string) bool"),
    ("bytes", "(bytes) bytes; (string) bytes text_to_bytes"),
    ("double", "(double) double; (int) double; (string) double; (uint) double"),
    ("duration", "(duration) duration; (int) duration; (string) duration"),
    ("int", "(int) int; (double) int; (duration) int; (string) int; (timestamp) int; (uint) int"),
    (
        "string",
        "(string) string; (bool) string; (bytes) string bytes_to_text; (double) string; (duration) string; (int) string; (timestamp) string; (uint) string; (net.IP) string; (net.CIDR) string",
    ),
    ("timestamp", "(timestamp) timestamp; (int) timestamp; (string) timestamp"),
    ("uint", "(uint) uint; (double) uint; (int) uint; (string) uint"),
    ("contains", "string.(string) bool contains"),
    ("endsWith", "string.(string) bool affix"),
    ("startsWith", "string.(string) bool affix"),
    ("matches", "(string, string) bool; string.(string) bool matches"),
    ("getFullYear", "timestamp.() int; timestamp.(string) int"),
    ("getMonth", "timestamp.() int; timestamp.(string) int"),
    ("getDayOfYear", "timestamp.() int; timestamp.(string) int"),
    ("getDayOfMonth", "timestamp.() int; timestamp.(string) int"),
    ("getDate", "timestamp.() int; timestamp.(string) int"),
    ("getDayOfWeek", "timestamp.() int; timestamp.(string) int"),
    ("getHours", "timestamp.() int; timestamp.(string) int; duration.() int"),
    ("getMinutes", "timestamp.() int; timestamp.(string) int; duration.() int"),
    ("getSeconds", "timestamp.() int; timestamp.(string) int; duration.() int"),
    ("getMilliseconds", "timestamp.() int; timestamp.(string) int; duration.() int"),
    ("optional.of", "(A) optional(A)"),
    ("optional.ofNonZeroValue", "(A) optional(A)"),
    ("optional.none", "() optional(A)"),
    ("value", "optional(A).() A"),
    ("hasValue", "optional(A).() bool"),
    ("or", "optional(A).(optional(A)) optional(A)"),
    ("orValue", "optional(A).(A) A"),
    ("charAt", "string.(int) string"),
    ("path", "kubernetes.authorization.Authorizer.(string) kubernetes.authorization.PathCheck"),
    ("group", "kubernetes.authorization.Authorizer.(string) kubernetes.authorization.GroupCheck"),
    (
        "serviceAccount",
        "kubernetes.authorization.Authorizer.(string, string) kubernetes.authorization.Authorizer",
    ),
    ("resource", "kubernetes.authorization.GroupCheck.(string) kubernetes.authorization.ResourceCheck"),
    ("subresource", "kubernetes.authorization.ResourceCheck.(string) kubernetes.authorization.ResourceCheck"),
    ("namespace", "kubernetes.authorization.ResourceCheck.(string) kubernetes.authorization.ResourceCheck"),
    ("name", "kubernetes.authorization.ResourceCheck.(string) kubernetes.authorization.ResourceCheck"),
    (
        "fieldSelector",
        "kubernetes.authorization.ResourceCheck.(string) kubernetes.authorization.ResourceCheck",
    ),
    (
        "labelSelector",
        "kubernetes.authorization.ResourceCheck.(string) kubernetes.authorization.ResourceCheck",
    ),
    (
        "check",
        "kubernetes.authorization.PathCheck.(string) kubernetes.authorization.Decision; kubernetes.authorization.ResourceCheck.(string) kubernetes.authorization.Decision",
    ),
    ("allowed", "kubernetes.authorization.Decision.() bool"),
    ("reason", "kubernetes.authorization.Decision.() string"),
    ("errored", "kubernetes.authorization.Decision.() bool"),
    ("error", "kubernetes.authorization.Decision.() string"),
    ("jsonpatch.escapeKey", "(string) string"),
    ("indexOf", "string.(string) int; string.(string, int) int; list(A).(A) int"),
    ("lastIndexOf", "string.(string) int; string.(string, int) int; list(A).(A) int"),
    ("join", "list(string).() string; list(string).(string) string"),
    ("lowerAscii", "string.() string"),
    ("upperAscii", "string.() string"),
    ("replace", "string.(string, string) string; string.(string, string, int) string"),
    ("split", "string.(string) list(string); string.(string, int) list(string)"),
    ("substring", "string.(int) string; string.(int, int) string"),
    ("trim", "string.() string"),
    ("format", "string.(list(dyn)) string format"),
    ("strings.quote", "(string) string quote"),
    ("sets.contains", "(list(A), list(A)) bool pairs"),
    ("sets.equivalent", "(list(A), list(A)) bool pairs_twice"),
    ("sets.intersects", "(list(A), list(A)) bool pairs"),
    ("lists.range", "(int) list(int) range"),
    ("cel.@mapInsert", "(map(A, B), A, B) map(A, B); (map(A, B), map(A, B)) map(A, B)"),
    ("optional.unwrap", "(list(optional(A))) list(A)"),
    ("unwrapOpt", "list(optional(A)).() list(A)"),
    (
        "@sortByAssociatedKeys",
        "list(A).(list(int)) list(A); list(A).(list(uint)) list(A); list(A).(list(double)) list(A); list(A).(list(bool)) list(A); list(A).(list(duration)) list(A); list(A).(list(timestamp)) list(A); list(A).(list(string)) list(A); list(A).(list(bytes)) list(A)",
    ),
    ("slice", "list(A).(int, int) list(A)"),
    ("distinct", "list(A).() list(A)"),
    ("reverse", "list(A).() list(A)"),
    ("first", "list(A).() optional(A)"),
    ("last", "list(A).() optional(A)"),
    ("flatten", "list(list(A)).() list(A); list(dyn).(int) list(dyn)"),
    (
        "sort",
        "list(int).() list(int); list(uint).() list(uint); list(double).() list(double); list(bool).() list(bool); list(duration).() list(duration); list(timestamp).() list(timestamp); list(string).() list(string); list(bytes).() list(bytes)",
    ),
    (
        "isSorted",
        "list(int).() bool; list(uint).() bool; list(double).() bool; list(bool).() bool; list(duration).() bool; list(timestamp).() bool; list(string).() bool; list(bytes).() bool",
    ),
    (
        "max",
        "list(int).() int; list(uint).() uint; list(double).() double; list(bool).() bool; list(duration).() duration; list(timestamp).() timestamp; list(string).() string; list(bytes).() bytes",
    ),
    (
        "min",
        "list(int).() int; list(uint).() uint; list(double).() double; list(bool).() bool; list(duration).() duration; list(timestamp).() timestamp; list(string).() string; list(bytes).() bytes",
    ),
    ("sum", "list(int).() int; list(uint).() uint; list(double).() double; list(duration).() duration"),
    ("find", "string.(string) string"),
    ("findAll", "string.(string) list(string); string.(string, int) list(string)"),
    ("url", "(string) kubernetes.URL"),
    ("isURL", "(string) bool"),
    ("getQuery", "kubernetes.URL.() map(string, list(string))"),
    ("getScheme", "kubernetes.URL.() string"),
    ("getHost", "kubernetes.URL.() string"),
    ("getHostname", "kubernetes.URL.() string"),
    ("getPort", "kubernetes.URL.() string"),
    ("getEscapedPath", "kubernetes.URL.() string"),
    ("ip", "(string) net.IP; net.CIDR.() net.IP cidr_ip"),
    ("isIP", "(string) bool"),
    ("ip.isCanonical", "(string) bool"),
    ("family", "net.IP.() int"),
    ("isUnspecified", "net.IP.() bool"),
    ("isLoopback", "net.IP.() bool"),
    ("isLinkLocalMulticast", "net.IP.() bool"),
    ("isLinkLocalUnicast", "net.IP.() bool"),
    ("isGlobalUnicast", "net.IP.() bool"),
    ("cidr", "(string) net.CIDR"),
    ("isCIDR", "(string) bool"),
    ("containsIP", "net.CIDR.(string) bool from_text; net.CIDR.(net.IP) bool"),
    ("containsCIDR", "net.CIDR.(string) bool from_text; net.CIDR.(net.CIDR) bool"),
    ("prefixLength", "net.CIDR.() int"),
    ("masked", "net.CIDR.() net.CIDR"),
    ("quantity", "(string) kubernetes.Quantity"),
    ("isQuantity", "(string) bool"),
    ("sign", "(kubernetes.Quantity) int"),
    (
        "isGreaterThan",
        "kubernetes.Quantity.(kubernetes.Quantity) bool; kubernetes.Semver.(kubernetes.Semver) bool",
    ),
    (
        "isLessThan",
        "kubernetes.Quantity.(kubernetes.Quantity) bool; kubernetes.Semver.(kubernetes.Semver) bool",
    ),
    ("compareTo", "kubernetes.Quantity.(kubernetes.Quantity) int; kubernetes.Semver.(kubernetes.Semver) int"),
    ("asApproximateFloat", "kubernetes.Quantity.() double"),
    ("asInteger", "kubernetes.Quantity.() int"),
    ("isInteger", "kubernetes.Quantity.() bool"),
    (
        "add",
        "kubernetes.Quantity.(kubernetes.Quantity) kubernetes.Quantity; kubernetes.Quantity.(int) kubernetes.Quantity",
    ),
    (
        "sub",
        "kubernetes.Quantity.(kubernetes.Quantity) kubernetes.Quantity; kubernetes.Quantity.(int) kubernetes.Quantity",
    ),
    ("semver", "(string) kubernetes.Semver; (string, bool) kubernetes.Semver"),
    ("isSemver", "(string) bool; (string, bool) bool"),
    ("major", "kubernetes.Semver.() int"),
    ("minor", "kubernetes.Semver.() int"),
    ("patch", "kubernetes.Semver.() int"),
    ("validate", "kubernetes.NamedFormat.(string) optional(list(string))"),
    ("format.named", "(string) optional(kubernetes.NamedFormat)"),
    ("format.dns1123Label", "() kubernetes.NamedFormat"),
    ("format.dns1123Subdomain", "() kubernetes.NamedFormat"),
    ("format.dns1035Label", "() kubernetes.NamedFormat"),
    ("format.qualifiedName", "() kubernetes.NamedFormat"),
    ("format.dns1123LabelPrefix", "() kubernetes.NamedFormat"),
    ("format.dns1123SubdomainPrefix", "() kubernetes.NamedFormat"),
    ("format.dns1035LabelPrefix", "() kubernetes.NamedFormat"),
    ("format.labelValue", "() kubernetes.NamedFormat"),
    ("format.uri", "() kubernetes.NamedFormat"),
    ("format.uuid", "() kubernetes.NamedFormat"),
    ("format.byte", "() kubernetes.NamedFormat"),
    ("format.date", "() kubernetes.NamedFormat"),
    ("format.datetime", "() kubernetes.NamedFormat"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        for (name, ways) in TABLE {
            let read = overloads(name).unwrap();
            assert_eq!(read.len(), ways.split("; ").count(), "{name}: {ways}");
            for (way, text) in read.iter().zip(ways.split("; ")) {
                let all: Vec<String> = way.arguments.iter().map(Type::to_string).collect();
                let (on, rest) = if way.method { all.split_at(1) } else { all.split_at(0) };
                let dot = if way.method { "." } else { "" };
                let counted =
                    if way.counted.is_empty() { String::new() } else { format!(" {}", way.counted) };
                let shown = format!("{}{dot}({}) {}{counted}", on.join(""), rest.join(", "), way.gives);
                let shown =
                    shown.replace("_var0", "A").replace("_var1", "B").replace("optional_type", "optional");
                assert_eq!(shown, *text, "{name}");
            }
        }
    }
}
