//! `metrics.k8s.io`: what pods and nodes use, as metrics-server tells it. Nothing is stored: each answer is made of the
//! plane's pods and nodes and of what their meter knows.
//!
//! Guarantees: a plane is told of its own pods, by their own containers, and of the nodes that it sees. An extension
//! server of the plane that answers for the group stands before this, and so does a definition of it.

use super::list::{self, Page, Selection};
use super::list_options::ListOptions;
use super::{get, not_allowed};
use crate::aggregation;
use crate::cache::record::Record;
use crate::gateway::{self, Place};
use crate::planes::Plane;
use crate::reply::Reply;
use crate::request_info::ResourceRequest;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::Catalog;
use api_resources::discovery::Foreign;
use api_resources::resource::ResourceRow;
use api_resources::table::metrics::{self as table, GROUP, VERSION};
use api_schema::quantity::{Format, Quantity};
use api_types::condition::whole_seconds;
use api_types::{ApiError, GroupResource, ObjectName, Revision};
use compact_str::CompactString;
use http::StatusCode;
use jiff::Timestamp;
use plane_client::{Interval, Usage, UsageMeter};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// A list that looks at more objects than this takes long.
const LONG: usize = 500;

/// Who tells what pods and nodes use, each of some planes.
#[derive(Default)]
pub struct Meters(Vec<Arc<dyn UsageMeter>>);

impl Meters {
    /// These.
    pub fn new(meters: Vec<Arc<dyn UsageMeter>>) -> Self {
        Meters(meters)
    }

    fn of(&self, plane: &Plane) -> Option<Arc<dyn UsageMeter>> {
        self.0.iter().find(|meter| meter.measures(plane.id)).cloned()
    }
}

/// True for what this answers.
pub fn is(place: &Place) -> bool {
    place.row.group == GROUP && !place.row.is_custom()
}

/// The resource of a request, where the plane has metrics.
pub fn row(server: &Server, plane: &Plane, request: &ResourceRequest) -> Option<Arc<ResourceRow>> {
    let row = table::find(&request.group, &request.version, &request.resource)?;
    server.meters().of(plane).map(|_| row.clone())
}

/// What a plane serves besides its catalog, for discovery.
pub fn with_metrics(server: &Server, plane: &Plane, catalog: &Catalog) -> Vec<Foreign> {
    let mut all = aggregation::foreign(server, plane);
    if is_served(server, plane, catalog, &all) {
        all.push(table::served());
    }
    all
}

/// What this serves of a plane: all, or nothing.
pub fn rows(server: &Server, plane: &Plane, catalog: &Catalog) -> &'static [Arc<ResourceRow>] {
    let foreign = aggregation::foreign(server, plane);
    if is_served(server, plane, catalog, &foreign) { table::rows() } else { &[] }
}

/// Somebody measures the plane, and nobody else answers for the group.
fn is_served(server: &Server, plane: &Plane, catalog: &Catalog, foreign: &[Foreign]) -> bool {
    let is_taken = foreign.iter().any(|one| one.group == GROUP && one.version == VERSION)
        || catalog.custom_rows().any(|row| row.group == GROUP);
    !is_taken && server.meters().of(plane).is_some()
}

/// Answers a get or a list; anything else is not offered.
pub async fn answer(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    verb: &str,
) -> Result<Reply, ApiError> {
    match verb {
        "get" => {
            let wanted = server.cache.get(auth.plane().id, &measured(place), &place.object());
            let found = shown(server, auth, place, wanted.into_iter().collect()).await?;
            let record = found.first().ok_or_else(|| not_found(place))?;
            get::show(auth, place, record, StatusCode::OK)
        }
        "list" => {
            let query = &auth.call().query;
            ListOptions::parse(query, false)?;
            let selection = Selection::parse(query, place)?;
            let all = server.cache.collection(auth.plane().id, &measured(place)).list(&place.namespace);
            let wanted = all.into_iter().filter(|record| selection.matches(record)).collect();
            let records = shown(server, auth, place, wanted).await?;
            let form = get::Form::of(auth, place)?;
            let is_long = records.len() > LONG;
            let page = Page { records, revision: Revision::ZERO, next: None, remaining: None };
            let place = place.clone();
            server.heavy.compute(is_long, move || list::show(&form, &place, &page)).await?
        }
        _ => Err(not_allowed()),
    }
}

/// What is measured: the plane's own pods or nodes.
fn measured(place: &Place) -> GroupResource {
    GroupResource::new("", &place.row.plural)
}

/// Says it as metrics-server does.
fn not_found(place: &Place) -> ApiError {
    let what = GroupResource::new(GROUP, place.row.kind.to_lowercase());
    let name = match place.row.namespaced {
        true => format!("{}/{}", place.namespace, place.name),
        false => place.name.to_string(),
    };
    ApiError::not_found(&what, &name)
}

/// What these pods or nodes use; those of which nothing is known are left out.
async fn shown(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    wanted: Vec<Arc<Record>>,
) -> Result<Vec<Arc<Record>>, ApiError> {
    // The meter may have ceased to measure the plane since the resource was found.
    let meter = server.meters().of(auth.plane()).ok_or_else(ApiError::no_such_path)?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (plane, is_long) = (auth.plane().id, wanted.len() > LONG);
    let place = place.clone();
    if place.row.namespaced {
        let names: Vec<ObjectName> = wanted.iter().map(|record| record.name.clone()).collect();
        let found = auth.leave_seat_for(server, meter.pods(plane, &names)).await??;
        let mut found: HashMap<ObjectName, _> = found.into_iter().map(|u| (u.pod.clone(), u)).collect();
        let made = move || {
            let pods = wanted.iter().filter_map(|pod| Some((pod, found.remove(&pod.name)?)));
            pods.map(|(pod, used)| record(&place, pod, &of_pod(pod, used.interval, &used.containers)?))
                .collect()
        };
        return server.heavy.compute(is_long, made).await?;
    }
    let names: Vec<CompactString> = wanted.iter().map(|record| record.name.name.clone()).collect();
    let found = auth.leave_seat_for(server, meter.nodes(plane, &names)).await??;
    let mut found: HashMap<CompactString, _> = found.into_iter().map(|u| (u.node.clone(), u)).collect();
    let nodes = wanted.iter().filter_map(|node| Some((node, found.remove(&node.name.name)?)));
    nodes.map(|(node, used)| record(&place, node, &of_node(node, used.interval, used.usage))).collect()
}

fn record(place: &Place, of: &Record, object: &Value) -> Result<Arc<Record>, ApiError> {
    let mut place = place.clone();
    place.namespace = of.name.namespace.clone();
    gateway::unstored(&place, object, None)
}

/// What decides which containers are the plane's own: the super cluster may have put others beside them.
#[derive(Deserialize)]
struct Pod {
    spec: Containers,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Containers {
    #[serde(default)]
    containers: Vec<Named>,
    #[serde(default)]
    init_containers: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: CompactString,
}

fn of_pod(pod: &Record, interval: Interval, used: &[(CompactString, Usage)]) -> Result<Value, ApiError> {
    let Pod { spec } = serde_json::from_slice(&pod.bytes).map_err(ApiError::internal)?;
    let own = spec.containers.iter().chain(&spec.init_containers);
    let containers: Vec<Value> = own
        .filter_map(|own| used.iter().find(|(name, _)| *name == own.name))
        .map(|(name, usage)| json!({"name": name, "usage": amounts(*usage)}))
        .collect();
    let mut object = head("PodMetrics", pod, interval);
    object["metadata"]["namespace"] = pod.name.namespace.as_str().into();
    object["containers"] = containers.into();
    Ok(object)
}

fn of_node(node: &Record, interval: Interval, usage: Usage) -> Value {
    let mut object = head("NodeMetrics", node, interval);
    object["usage"] = amounts(usage);
    object
}

fn head(kind: &str, of: &Record, interval: Interval) -> Value {
    let mut metadata = json!({"name": of.name.name, "creationTimestamp": whole_seconds(Timestamp::now())});
    if !of.meta.labels.is_empty() {
        metadata["labels"] =
            of.meta.labels.iter().map(|(key, value)| (key.to_string(), value.as_str())).collect();
    }
    json!({"kind": kind, "apiVersion": format!("{GROUP}/{VERSION}"), "metadata": metadata,
        "timestamp": whole_seconds(interval.end), "window": seconds(interval.window)})
}

/// A duration as Go writes it.
fn seconds(window: std::time::Duration) -> String {
    let (whole, milli) = (window.as_secs(), window.subsec_millis());
    let (minutes, rest) = (whole / 60, whole % 60);
    let rest = match milli {
        0 => format!("{rest}s"),
        _ => format!("{}s", format!("{rest}.{milli:03}").trim_end_matches('0')),
    };
    match (minutes / 60, minutes % 60) {
        (0, 0) => rest,
        (0, minutes) => format!("{minutes}m{rest}"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
    }
}

fn amounts(usage: Usage) -> Value {
    let cpu = Quantity::parse(&format!("{}n", usage.cpu)).unwrap_or_default();
    let memory = i64::try_from(usage.memory).unwrap_or(i64::MAX).saturating_mul(1000);
    json!({"cpu": cpu.to_string(), "memory": Quantity::from_milli(memory, Format::BinarySi).to_string()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn amounts_are_written_as_metrics_server_writes_them() {
        for (cpu, memory, expected) in [
            (2_331_762, 12904 << 10, json!({"cpu": "2331762n", "memory": "12904Ki"})),
            (250_000_000, 16 << 20, json!({"cpu": "250m", "memory": "16Mi"})),
            (2_000_000_000, 1, json!({"cpu": "2", "memory": "1"})),
            (0, 0, json!({"cpu": "0", "memory": "0"})),
        ] {
            assert_eq!(amounts(Usage { cpu, memory }), expected);
        }
        for (millis, expected) in
            [(15_000, "15s"), (1_500, "1.5s"), (60_000, "1m0s"), (3_661_020, "1h1m1.02s")]
        {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
    }
}
