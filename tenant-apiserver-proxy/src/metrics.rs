//! What is counted of a plane's requests, for its `/metrics`.
//!
//! Guarantees: a plane that nobody asks anything costs nothing; the series of a plane are bounded by [`MAX_SERIES`],
//! and by what it serves: what a client makes up is no label. Caveats: each process counts alone, from its start; what
//! the platform's own parts do is not counted.

mod histogram;
pub mod process;
pub mod text;

use crate::planes::Plane;
use crate::reply::Body;
use crate::request_info::{RequestInfo, ResourceRequest};
use crate::stages::Call;
use crate::streams;
use compact_str::CompactString;
use histogram::Histogram;
use http::{Method, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::time::Instant;

/// The most different requests that are told apart; the rest are counted together.
const MAX_SERIES: usize = 500;

/// The paths beside those of resources that are told apart.
const PATHS: &[&str] = &[
    "/",
    "/api",
    "/apis",
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/readyz",
    "/version",
];

/// The counts of one plane.
#[derive(Default)]
pub struct Metrics {
    counts: Mutex<HashMap<Labels, Series>>,
    /// Requests under way that read, and that write.
    under_way: [AtomicI64; 2],
}

/// What tells requests apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels {
    component: &'static str,
    verb: &'static str,
    group: CompactString,
    version: CompactString,
    resource: CompactString,
    subresource: CompactString,
    scope: &'static str,
    dry_run: &'static str,
}

/// What is known of equal requests.
#[derive(Clone, Default)]
struct Series {
    /// How many were answered with each code.
    codes: Vec<(u16, u64)>,
    seconds: Histogram<{ histogram::SECONDS.len() }>,
    bytes: Histogram<{ histogram::BYTES.len() }>,
    /// Answers that are streams and have not ended.
    open: i64,
}

impl Labels {
    fn of(call: &Call) -> Self {
        match &call.info {
            RequestInfo::Resource(request) => Self::of_resource(call, request),
            RequestInfo::Path { path, .. } => {
                let below = |root: &&&str| path == **root || path.starts_with(&format!("{root}/"));
                let root = PATHS.iter().filter(|root| **root != "/" || path == "/").find(below);
                let subresource = root.map_or_else(CompactString::default, |root| (*root).into());
                Labels { verb: method(&call.method), subresource, ..Labels::default() }
            }
        }
    }

    fn of_resource(call: &Call, request: &ResourceRequest) -> Self {
        let verb = verb(call, request);
        let catalog = call.plane.catalog.load();
        let row = catalog.resource(&request.group, &request.resource);
        let row = row.filter(|row| row.version(&request.version).is_some());
        let Some(row) = row else { return Labels { verb, ..Labels::default() } };
        let sub = request.subresource.split('/').next().unwrap_or("");
        let known = row.subresources.iter().find(|known| known.name == sub);
        let scope = match (request.name.is_empty() && verb != "POST", request.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        };
        Labels {
            component: "apiserver",
            verb,
            group: row.group.clone(),
            version: request.version.clone(),
            resource: row.plural.clone(),
            subresource: known.map_or_else(CompactString::default, |known| known.name.clone()),
            scope,
            dry_run: if call.query.get("dryRun") == Some("All") { "All" } else { "" },
        }
    }
}

fn verb(call: &Call, request: &ResourceRequest) -> &'static str {
    match request.verb.as_str() {
        "list" => "LIST",
        "watch" => "WATCH",
        "deletecollection" => "DELETECOLLECTION",
        _ if streams::leads_on(request) => "CONNECT",
        "patch" if call.header("content-type").starts_with("application/apply-patch") => "APPLY",
        _ => method(&call.method),
    }
}

fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

impl Metrics {
    /// Changes a series, or that of all that there is no room for.
    fn change<T>(&self, labels: &Labels, change: impl FnOnce(&mut Series) -> T) -> T {
        let mut counts = self.counts.lock();
        if counts.len() >= MAX_SERIES && !counts.contains_key(labels) {
            return change(counts.entry(Labels { verb: "other", ..Labels::default() }).or_default());
        }
        match counts.get_mut(labels) {
            Some(series) => change(series),
            None => change(counts.entry(labels.clone()).or_default()),
        }
    }
}

/// A request under way.
pub struct Measured {
    plane: Arc<Plane>,
    labels: Labels,
    writes: usize,
    begun: Instant,
}

impl Measured {
    /// Begins to measure a request.
    pub fn begin(call: &Call) -> Self {
        let writes = usize::from(!matches!(call.method, Method::GET | Method::HEAD));
        call.plane.metrics.under_way[writes].fetch_add(1, Ordering::Relaxed);
        Measured { plane: call.plane.clone(), labels: Labels::of(call), writes, begun: Instant::now() }
    }

    /// Counts the answer. A stream is open until it ends.
    pub fn finish(self, response: Response<Body>) -> Response<Body> {
        let size = http_body::Body::size_hint(response.body()).exact();
        let code = response.status().as_u16();
        let seconds = self.begun.elapsed().as_secs_f64();
        self.plane.metrics.change(&self.labels, |series| {
            match series.codes.iter_mut().find(|(known, _)| *known == code) {
                Some((_, count)) => *count += 1,
                None => series.codes.push((code, 1)),
            }
            series.seconds.add(&histogram::SECONDS, seconds);
            match size {
                Some(size) => series.bytes.add(&histogram::BYTES, size as f64),
                None => series.open += 1,
            }
        });
        if size.is_some() {
            return response;
        }
        let open = Open { plane: self.plane.clone(), labels: self.labels.clone() };
        let held = move |frame| {
            let _until_the_end = &open;
            frame
        };
        response.map(|body| body.map_frame(held).boxed_unsync())
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.plane.metrics.under_way[self.writes].fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that has not ended.
struct Open {
    plane: Arc<Plane>,
    labels: Labels,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.plane.metrics.change(&self.labels, |series| series.open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_counted_together() {
        let metrics = Metrics::default();
        for index in 0..MAX_SERIES + 50 {
            let labels = Labels { resource: format!("r{index}").into(), ..Labels::default() };
            metrics.change(&labels, |series| series.codes.push((200, 1)));
        }
        let counts = metrics.counts.lock();
        assert_eq!(counts.len(), MAX_SERIES + 1);
        let rest = &counts[&Labels { verb: "other", ..Labels::default() }];
        assert_eq!(rest.codes.len(), 50);
    }
}
