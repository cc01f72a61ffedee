//! Documents that are asked for by their kind: aggregated discovery, and what the process says of itself.

use super::{Clause, Format, OFFERED, Rendering, Wish, clauses, not_acceptable};
use api_types::ApiError;

/// The types of what the process says of itself.
const PAGES: &str = "application/json, application/yaml, text/plain";

/// In which form a page is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// For people.
    Text,
    /// For programs, in `v1beta1` or the version before it.
    Structured {
        /// How it is written.
        rendering: Rendering,
        /// It is the one before.
        alpha: bool,
    },
}

impl Clause<'_> {
    fn parameter(&self, name: &str) -> &str {
        let found = self.parameters.iter().rev().find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value)
    }

    /// True when it asks for a kind: `as`, `g`, `v`.
    fn asks_for(&self, kind: &str, group: &str, version: &str) -> bool {
        [("as", kind), ("g", group), ("v", version)]
            .iter()
            .all(|(name, value)| self.parameter(name) == *value)
    }

    /// The formats that it takes, in the order of the offer.
    fn formats(&self) -> impl Iterator<Item = Format> {
        OFFERED.iter().filter(|(of, sub, _)| self.matches(of, sub)).map(|(.., format)| *format)
    }
}

impl Wish {
    /// How aggregated discovery is wanted. Who asks for it anywhere gets it, before everything else.
    pub fn aggregated_discovery(&self) -> Option<Rendering> {
        let clauses = clauses(self.header());
        let asking = clauses.iter().filter(|clause| {
            clause.asks_for("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2")
                && matches!(clause.parameter("stream"), "" | "watch")
                && clause.parameter("sv").is_empty()
        });
        let mut formats = asking.flat_map(|clause| {
            let pretty = self.pretty || clause.parameter("pretty") == "1";
            clause.formats().map(move |format| Rendering { format, pretty })
        });
        formats.next()
    }

    /// How a page of a kind is wanted; 406 when it cannot be had so.
    pub fn page(&self, kind: &str) -> Result<Page, ApiError> {
        if self.header().is_empty() {
            return Ok(Page::Text);
        }
        let form = |clause: &Clause<'_>| {
            let version = clause.parameter("v");
            if matches!(version, "v1alpha1" | "v1beta1") && clause.asks_for(kind, "config.k8s.io", version) {
                let format = clause.formats().find(|format| *format != Format::Protobuf)?;
                let pretty = self.pretty || clause.parameter("pretty") == "1";
                let rendering = Rendering { format, pretty };
                return Some(Page::Structured { rendering, alpha: version == "v1alpha1" });
            }
            let plain = ["as", "g", "v"].iter().all(|name| clause.parameter(name).is_empty());
            (plain && clause.matches("text", "plain")).then_some(Page::Text)
        };
        clauses(self.header())
            .iter()
            .find_map(form)
            .ok_or_else(|| not_acceptable(&format!("only the following media types are accepted: {PAGES}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::Query;
    use http::{HeaderMap, header};

    fn wish(accept: &str) -> Wish {
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
        Wish::of(&headers, &Query::default())
    }

    #[test]
    fn who_asks_for_aggregated_discovery_gets_it() {
        const ASKS: &str = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        for (accept, format) in [
            ("application/jsonASKS,application/json", Some(Format::Json)),
            ("application/json,application/jsonASKS;q=0.1", Some(Format::Json)),
            ("application/vnd.kubernetes.protobufASKS,application/jsonASKS", Some(Format::Protobuf)),
            ("application/yamlASKS", Some(Format::Yaml)),
            ("*/*ASKS", Some(Format::Json)),
            ("application/jsonASKS;profile=nopeer", Some(Format::Json)),
            ("application/jsonASKS;stream=other", None),
            ("application/jsonASKS;sv=v1", None),
            ("application/cborASKS", None),
            ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList", None),
            ("application/json", None),
        ] {
            let found = wish(&accept.replace("ASKS", ASKS)).aggregated_discovery();
            assert_eq!(found.map(|rendering| rendering.format), format, "{accept}");
        }
    }

    #[test]
    fn pages_are_text_unless_their_kind_is_asked_for() {
        const ASKS: &str = ";g=config.k8s.io;v=v1beta1;as=Statusz";
        let structured =
            |format, alpha| Some(Page::Structured { rendering: Rendering { format, pretty: false }, alpha });
        for (accept, page) in [
            ("text/plain", Some(Page::Text)),
            ("text/*", Some(Page::Text)),
            ("*/*", Some(Page::Text)),
            ("application/jsonASKS,text/plain", structured(Format::Json, false)),
            ("application/yamlASKS", structured(Format::Yaml, false)),
            ("application/json;as=Statusz;g=config.k8s.io;v=v1alpha1", structured(Format::Json, true)),
            ("application/json;as=Flagz;g=config.k8s.io;v=v1beta1", None),
            ("application/vnd.kubernetes.protobufASKS", None),
            ("application/json", None),
        ] {
            assert_eq!(wish(&accept.replace("ASKS", ASKS)).page("Statusz").ok(), page, "{accept}");
        }
        let pretty = wish(&format!("application/json{ASKS};pretty=1")).page("Statusz").unwrap();
        assert!(matches!(pretty, Page::Structured { rendering: Rendering { pretty: true, .. }, .. }));
    }
}
