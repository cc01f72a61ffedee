//! In which form a client gets its answer: the `Accept` header, `pretty`, and what Kubernetes makes of both.
//!
//! Built-in resources are asked twice, as in Kubernetes: first whether one of the header's types is there at all
//! ([`is_produced`]), then for the best one with its parameters ([`Accept::of`]).

mod documents;

pub use documents::Page;

use crate::stages::Query;
use api_types::{ApiError, Reason};
use http::{HeaderMap, HeaderValue, header};

/// The most clauses of an `Accept` header that are looked at.
const MAX_CLAUSES: usize = 64;
/// What objects are offered as, in the order in which a wildcard takes them.
const OFFERED: &[(&str, &str, Format)] = &[
    ("application", "json", Format::Json),
    ("application", "yaml", Format::Yaml),
    ("application", "vnd.kubernetes.protobuf", Format::Protobuf),
];
const TYPES: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const STREAMS: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// The encodings of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// How objects are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As they are.
    Object,
    /// Rows and columns.
    Table(MetaVersion),
    /// The metadata of an object only.
    Metadata(MetaVersion),
    /// The metadata of a list's objects only.
    MetadataList(MetaVersion),
}

/// A version of `meta.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaVersion {
    /// `v1`.
    V1,
    /// `v1beta1`, which says the same.
    V1Beta1,
}

impl MetaVersion {
    /// `meta.k8s.io/v1`.
    pub fn api_version(self) -> &'static str {
        match self {
            MetaVersion::V1 => "meta.k8s.io/v1",
            MetaVersion::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rendering {
    /// The encoding.
    pub format: Format,
    /// JSON with line breaks.
    pub pretty: bool,
}

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept {
    /// How it is written.
    pub rendering: Rendering,
    /// The view.
    pub view: View,
}

/// What there is to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Objects of a kind, which have a protobuf form or have not.
    Objects {
        /// It has.
        protobuf: bool,
    },
    /// An object that is answered and not stored: a review, a token. There is no table of it.
    Review,
    /// One document, which is not transformed: an error, a list of groups.
    Document,
}

/// Which types a path has at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Produced {
    /// JSON.
    Json,
    /// Those of objects.
    Objects,
    /// Those of lists and watches.
    Collections,
}

/// True when an `Accept-Encoding` header takes gzip.
pub fn takes_gzip(header: &str) -> bool {
    header.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let named = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        named
            && quality.is_none_or(|quality| quality.trim().parse::<f64>().is_ok_and(|quality| quality > 0.0))
    })
}

/// One type of an `Accept` header.
#[derive(Debug, PartialEq)]
struct Clause<'a> {
    of: &'a str,
    sub: &'a str,
    quality: f64,
    parameters: Vec<(&'a str, &'a str)>,
}

/// The header's types, those first that are wanted most. A precise one goes before a wildcard right before it,
/// whatever their qualities are, as in Kubernetes.
fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut found: Vec<Clause<'_>> = header.split(',').filter_map(clause).take(MAX_CLAUSES).collect();
    let goes_before = |a: &Clause<'_>, b: &Clause<'_>| {
        a.quality > b.quality || (a.of != "*" && b.of == "*") || (a.sub != "*" && b.sub == "*")
    };
    // By insertion, since the rule is no order: what it gives depends on the way.
    for end in 1..found.len() {
        let mut at = end;
        while at > 0 && goes_before(&found[at], &found[at - 1]) {
            found.swap(at, at - 1);
            at -= 1;
        }
    }
    found
}

fn clause(text: &str) -> Option<Clause<'_>> {
    let mut parts = text.trim_matches(' ').split(';');
    let media = parts.next()?;
    let (of, sub) = match media.split_once('/') {
        Some((of, sub)) if !sub.is_empty() && !sub.contains('/') => {
            (of.trim_matches(' '), sub.trim_matches(' '))
        }
        None if media.trim_matches(' ') == "*" => ("*", "*"),
        _ => return None,
    };
    let mut clause = Clause { of, sub, quality: 1.0, parameters: Vec::new() };
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        if value.is_empty() || value.contains('=') {
            continue;
        }
        match key.trim_matches(' ') {
            "q" => clause.quality = value.parse().unwrap_or(0.0),
            key => clause.parameters.push((key, value.trim_matches(' '))),
        }
    }
    Some(clause)
}

impl Clause<'_> {
    fn matches(&self, of: &str, sub: &str) -> bool {
        (self.of == of && (self.sub == sub || self.sub == "*")) || (self.of == "*" && self.sub == "*")
    }

    /// What the parameters ask for in this format; `None`: it cannot be had so.
    fn accept(&self, format: Format, offer: Offer) -> Option<Accept> {
        let (mut kind, mut group, mut version) = ("", "", "");
        let (mut transformed, mut pretty) = (false, false);
        for (key, value) in &self.parameters {
            match *key {
                "as" => (kind, transformed) = (value, true),
                "g" => (group, transformed) = (value, true),
                "v" => (version, transformed) = (value, true),
                "pretty" => pretty = *value == "1",
                "stream" if *value != "watch" || format == Format::Yaml => return None,
                "sv" if offer == Offer::Document || *value != "v1" => return None,
                _ => {}
            }
        }
        let view = if transformed { view(kind, group, version)? } else { View::Object };
        let fits = match (view, offer) {
            (View::Object, Offer::Objects { protobuf }) => protobuf || format != Format::Protobuf,
            (View::Object, Offer::Document | Offer::Review) | (View::Metadata(_), Offer::Review) => true,
            (_, Offer::Document | Offer::Review) => false,
            (View::Table(_), _) => format != Format::Protobuf,
            (View::Metadata(_) | View::MetadataList(_), _) => true,
        };
        fits.then_some(Accept { rendering: Rendering { format, pretty }, view })
    }
}

fn view(kind: &str, group: &str, version: &str) -> Option<View> {
    let version = match (group, version) {
        ("meta.k8s.io", "v1") => MetaVersion::V1,
        ("meta.k8s.io", "v1beta1") => MetaVersion::V1Beta1,
        _ => return None,
    };
    match kind {
        "Table" => Some(View::Table(version)),
        "PartialObjectMetadata" => Some(View::Metadata(version)),
        "PartialObjectMetadataList" => Some(View::MetadataList(version)),
        _ => None,
    }
}

/// What a request says about the form of its answer. A copy costs nothing.
#[derive(Clone, Debug)]
pub struct Wish {
    accept: Option<HeaderValue>,
    pretty: bool,
}

impl Wish {
    /// Reads it from a request. People's programs get line breaks without asking.
    pub fn of(headers: &HeaderMap, query: &Query) -> Self {
        let agent = text(headers.get(header::USER_AGENT));
        let pretty = match query.get("pretty") {
            Some(said) => matches!(said, "1" | "t" | "T" | "true" | "TRUE" | "True"),
            None => ["curl", "Wget", "Mozilla/5.0"].iter().any(|known| agent.starts_with(known)),
        };
        Wish { accept: headers.get(header::ACCEPT).cloned(), pretty }
    }

    /// The header; empty when absent.
    fn header(&self) -> &str {
        text(self.accept.as_ref())
    }

    /// The best that is offered; `None`: nothing fits.
    pub fn choose(&self, offer: Offer) -> Option<Accept> {
        let made = |accept: Accept| {
            let pretty = accept.rendering.pretty || self.pretty;
            Accept { rendering: Rendering { pretty, ..accept.rendering }, ..accept }
        };
        if self.header().is_empty() {
            let rendering = Rendering { format: Format::Json, pretty: false };
            return Some(made(Accept { rendering, view: View::Object }));
        }
        clauses(self.header()).iter().find_map(|clause| {
            let matching = OFFERED.iter().filter(|(of, sub, _)| clause.matches(of, sub));
            matching.filter_map(|(.., format)| clause.accept(*format, offer)).next().map(made)
        })
    }

    /// The best that is offered, or 406.
    pub fn accept(&self, offer: Offer) -> Result<Accept, ApiError> {
        self.choose(offer)
            .ok_or_else(|| not_acceptable(&format!("only the following media types are accepted: {TYPES}")))
    }

    /// 406 for a watch in a format that is no stream.
    pub fn stream(&self, accept: Accept) -> Result<Accept, ApiError> {
        match accept.rendering.format {
            Format::Yaml => {
                Err(not_acceptable(&format!("only the following media types are accepted: {STREAMS}")))
            }
            _ => Ok(accept),
        }
    }

    /// 406 unless one of the header's types is one of these, whatever its parameters and its quality are.
    pub fn is_produced(&self, produced: Produced) -> Result<(), ApiError> {
        let offered = if produced == Produced::Json { &OFFERED[..1] } else { OFFERED };
        let wanted = |clause: &str| {
            let media = clause.split(';').next().unwrap_or("").trim_matches(' ');
            media == "*/*" || offered.iter().any(|(of, sub, _)| media.split_once('/') == Some((*of, *sub)))
        };
        if self.header().is_empty() || self.header().split(',').any(wanted) {
            return Ok(());
        }
        Err(unavailable(&match produced {
            Produced::Json => "application/json".to_owned(),
            Produced::Objects => TYPES.to_owned(),
            Produced::Collections => format!("{TYPES}, {STREAMS}"),
        }))
    }

    /// 406 unless one of the header's types is one of these.
    pub fn is_of(&self, types: &[&str]) -> Result<(), ApiError> {
        let named = |clause: &str| clause.split(';').next().unwrap_or("").trim_matches(' ').to_owned();
        let mut wanted = self.header().split(',').map(named);
        if self.header().is_empty() || wanted.any(|media| media == "*/*" || types.contains(&media.as_str())) {
            return Ok(());
        }
        Err(unavailable(&types.join(", ")))
    }

    /// The first of these types that is wanted, by the header's order; without a header the first. `None`: none is.
    pub fn first_of(&self, types: &[&'static str]) -> Option<&'static str> {
        if self.header().is_empty() {
            return types.first().copied();
        }
        clauses(self.header()).iter().find_map(|clause| {
            let is = |media: &&&str| media.split_once('/').is_some_and(|(of, sub)| clause.matches(of, sub));
            types.iter().find(is).copied()
        })
    }
}

/// A header as text; empty when absent.
fn text(value: Option<&HeaderValue>) -> &str {
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn unavailable(types: &str) -> ApiError {
    let why = format!("406: Not Acceptable\n\nAvailable representations: {types}");
    not_acceptable(&why).with_causes(Vec::new())
}

fn not_acceptable(why: &str) -> ApiError {
    ApiError::new(Reason::NotAcceptable, why)
}

/// 406 for the metadata of one object where there is a list, or the other way round.
pub fn misfit(asked: &str, is: &str) -> ApiError {
    not_acceptable(&format!("you requested {asked}, but the requested object is {is}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(accept: &str, query: &str, agent: &str) -> Wish {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::ACCEPT, accept), (header::USER_AGENT, agent)] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        Wish::of(&headers, &Query::parse(query))
    }

    #[test]
    fn gzip_is_taken_by_who_says_so() {
        for (header, taken) in [
            ("gzip", true),
            ("deflate, GZIP", true),
            ("gzip;q=0.5", true),
            ("gzip; q=0, br", false),
            ("gzip;q=0.000", false),
            ("identity", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(header), taken, "{header}");
        }
    }

    #[test]
    fn the_best_offer_is_that_of_kubernetes() {
        use Format::{Json, Protobuf, Yaml};
        use MetaVersion::{V1, V1Beta1};
        const META: &str = ";g=meta.k8s.io";
        // Accept, format and view; `None`: 406.
        let table = [
            ("", Some((Json, View::Object))),
            ("*/*", Some((Json, View::Object))),
            ("*", Some((Json, View::Object))),
            ("application/*", Some((Json, View::Object))),
            ("application/json;q=0.5,application/yaml", Some((Yaml, View::Object))),
            ("application/yaml;q=0.5,application/json;q=0.2", Some((Yaml, View::Object))),
            ("*/*,application/yaml;q=0.1", Some((Yaml, View::Object))),
            ("application/yaml;q=0.1,*/*", Some((Json, View::Object))),
            ("application/cbor,application/json", Some((Json, View::Object))),
            ("application/vnd.kubernetes.protobuf, */*", Some((Protobuf, View::Object))),
            ("application/json;as=Table;v=v1META,application/json", Some((Json, View::Table(V1)))),
            ("application/json;as=Table;v=v1beta1META", Some((Json, View::Table(V1Beta1)))),
            ("application/json;as=Table;v=v2META,application/yaml", Some((Yaml, View::Object))),
            ("*/*;as=Table;v=v1META", Some((Json, View::Table(V1)))),
            ("application/yaml;as=Table;v=v1META", Some((Yaml, View::Table(V1)))),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1META", None),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1META",
                Some((Protobuf, View::Metadata(V1))),
            ),
            ("application/json;as=PartialObjectMetadataList;v=v1META", Some((Json, View::MetadataList(V1)))),
            ("application/json;as=Other;v=v1META", None),
            ("application/json;v=v1META", None),
            ("application/json;stream=watch", Some((Json, View::Object))),
            ("application/json;stream=other", None),
            ("application/json;sv=v1", Some((Json, View::Object))),
            ("application/json;other=1", Some((Json, View::Object))),
            ("application/cbor", None),
            ("text/html", None),
            ("application", None),
            ("APPLICATION/JSON", None),
        ];
        for (accept, expected) in table {
            let found = wish(&accept.replace("META", META), "", "").choose(Offer::Objects { protobuf: true });
            assert_eq!(found.map(|found| (found.rendering.format, found.view)), expected, "{accept}");
        }
    }

    #[test]
    fn what_cannot_be_had_in_protobuf_is_passed_over() {
        let accept = "application/vnd.kubernetes.protobuf,application/yaml";
        let custom = wish(accept, "", "").choose(Offer::Objects { protobuf: false }).unwrap();
        assert_eq!(custom.rendering.format, Format::Yaml);
        let document = wish(accept, "", "").choose(Offer::Document).unwrap();
        assert_eq!(document.rendering.format, Format::Protobuf);
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(wish(table, "", "").choose(Offer::Document), None);
    }

    #[test]
    fn people_get_line_breaks() {
        // Accept, query, user agent.
        let table = [
            ("", "", "", false),
            ("application/json;pretty=1", "", "", true),
            ("application/json;pretty=true", "", "", false),
            ("", "pretty=true", "", true),
            ("", "pretty=1", "", true),
            ("", "pretty", "", false),
            ("", "", "curl/8.14", true),
            ("", "", "Mozilla/5.0 (X11)", true),
            ("", "", "kubectl/v1.36", false),
            ("", "pretty=false", "curl/8.14", false),
            ("", "pretty=x", "curl/8.14", false),
        ];
        for (accept, query, agent, pretty) in table {
            let found = wish(accept, query, agent).choose(Offer::Document).unwrap();
            assert_eq!(found.rendering.pretty, pretty, "{accept} {query} {agent}");
        }
    }

    #[test]
    fn built_in_resources_know_their_types_without_wildcards_but_one() {
        for accept in ["", "*/*", "text/html, application/json;as=Other", "application/yaml;q=0"] {
            assert!(wish(accept, "", "").is_produced(Produced::Objects).is_ok(), "{accept}");
        }
        for accept in ["application/*", "*", "text/*", "application/cbor", "APPLICATION/JSON"] {
            let error = wish(accept, "", "").is_produced(Produced::Collections).unwrap_err();
            assert!(error.message().ends_with("vnd.kubernetes.protobuf;stream=watch"), "{error}");
            assert_eq!(error.code(), 406);
        }
        assert!(wish("application/yaml", "", "").is_produced(Produced::Json).is_err());
    }
}
