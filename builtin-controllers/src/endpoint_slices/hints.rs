//! For whom endpoints are: pure functions.
//!
//! By `spec.trafficDistribution` (KEP-4444, KEP-3015) for clients of their own zone or node; by the annotation
//! `service.kubernetes.io/topology-mode` (KEP-2433) so that each zone gets endpoints in proportion to the CPU of its
//! nodes, unless a zone would have to bear much more than its share.

use super::slices::Placement;
use crate::access::{elements, text};
use crate::conditions;
use crate::quantities::thousandths;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How much more than its share the endpoints of a zone may have to bear.
const OVERLOAD: f64 = 0.2;
/// Nodes with one of these labels serve nobody.
const APART: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// The share of the CPU that each zone has.
pub(super) type Shares = BTreeMap<String, f64>;

/// True when the Service asks by its annotation for hints in proportion to the zones' CPU.
pub(super) fn in_proportion(service: &Value) -> bool {
    let annotations = &service["metadata"]["annotations"];
    let old = &annotations["service.kubernetes.io/topology-aware-hints"];
    let said = if old.is_string() { old } else { &annotations["service.kubernetes.io/topology-mode"] };
    matches!(said.as_str(), Some("Auto" | "auto"))
}

/// The hints of a ready endpoint by `spec.trafficDistribution`. A Service that asks for hints by its annotation gets
/// none by this.
pub(super) fn by_distribution(service: &Value, endpoint: &Value) -> Option<Value> {
    if in_proportion(service) || !is_ready(endpoint) {
        return None;
    }
    let nodes = match text(service, "/spec/trafficDistribution") {
        "PreferClose" | "PreferSameZone" => false,
        "PreferSameNode" => true,
        _ => return None,
    };
    let mut hints = Map::new();
    for (field, place, told) in [("forZones", "zone", true), ("forNodes", "nodeName", nodes)] {
        if told && endpoint[place].is_string() {
            hints.insert(field.to_owned(), json!([{"name": endpoint[place]}]));
        }
    }
    (!hints.is_empty()).then_some(Value::Object(hints))
}

/// The zones' shares of the CPU of all ready nodes; `None`: a node does not say its zone or its CPU, or there is one
/// zone only.
pub(super) fn shares(nodes: &[Value]) -> Option<Shares> {
    let mut cpu: BTreeMap<&str, i128> = BTreeMap::new();
    let serves = |node: &&Value| {
        APART.iter().all(|label| node["metadata"]["labels"][*label].is_null())
            && conditions::holds(elements(node, "/status/conditions"), "Ready")
    };
    for node in nodes.iter().filter(serves) {
        let zone = text(node, "/metadata/labels/topology.kubernetes.io~1zone");
        let own = thousandths(&node["status"]["allocatable"]["cpu"]).unwrap_or(0);
        if zone.is_empty() || own == 0 {
            return None;
        }
        *cpu.entry(zone).or_default() += own;
    }
    let total: i128 = cpu.values().sum();
    let share = |(zone, own): (&str, i128)| (zone.to_owned(), own as f64 / total as f64);
    (cpu.len() > 1).then(|| cpu.into_iter().map(share).collect())
}

fn is_ready(endpoint: &Value) -> bool {
    endpoint["conditions"]["ready"] == true
}

/// How many endpoints a zone is to have.
#[derive(Debug, PartialEq)]
struct Allocation {
    desired: f64,
    most: usize,
}

fn allocations(shares: Option<&Shares>, endpoints: usize) -> Result<BTreeMap<&str, Allocation>, String> {
    let shares = shares
        .ok_or("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes")?;
    let counts = format!("({endpoints} endpoints, {} zones)", shares.len());
    if shares.len() > endpoints {
        return Err(format!("Insufficient number of endpoints {counts}"));
    }
    let wanted = |share: f64| share * endpoints as f64;
    let least = |share: f64| (wanted(share) * (1.0 / (1.0 + OVERLOAD))).ceil();
    let total: f64 = shares.values().map(|share| least(*share)).sum();
    let spare = endpoints as f64 - total;
    if spare < 0.0 {
        return Err(format!(
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold {counts}"
        ));
    }
    let allocation = |share: f64| Allocation {
        desired: wanted(share).max(least(share)),
        // Both are whole numbers, and small.
        most: (least(share) + spare) as usize,
    };
    Ok(shares.iter().map(|(zone, share)| (zone.as_str(), allocation(*share))).collect())
}

/// How many endpoints each zone is hinted at.
type Counts = BTreeMap<String, usize>;

/// The hints of a slice that stays as it is, counted; `None`: they no longer suit.
fn counts_of(old: &Value, counted: &Counts, allocations: &BTreeMap<&str, Allocation>) -> Option<Counts> {
    let mut counts = Counts::new();
    for endpoint in elements(old, "/endpoints").iter().filter(|endpoint| is_ready(endpoint)) {
        let zones = elements(endpoint, "/hints/forZones");
        if zones.is_empty() {
            return None;
        }
        for zone in zones {
            *counts.entry(text(zone, "/name").to_owned()).or_default() += 1;
        }
    }
    let fits = |(zone, count): (&String, &usize)| {
        let known = counted.get(zone).copied().unwrap_or(0);
        allocations.get(zone.as_str()).is_some_and(|allocation| known + count <= allocation.most)
    };
    counts.iter().all(fits).then_some(counts)
}

/// From which zones to which others endpoints are to be given: one entry for each endpoint.
fn exchanges(
    allocations: &BTreeMap<&str, Allocation>,
    counted: &Counts,
) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let (mut over, mut under) = (BTreeMap::new(), BTreeMap::new());
    for (zone, allocation) in allocations {
        let surplus = counted.get(*zone).copied().unwrap_or(0) as f64 - allocation.desired;
        if surplus > 0.0 {
            over.insert((*zone).to_owned(), surplus);
        } else if surplus < 0.0 {
            under.insert((*zone).to_owned(), -surplus);
        }
    }
    let most = |zones: &BTreeMap<String, f64>| {
        let all = zones.iter().filter(|(_, number)| **number > 0.0);
        all.max_by(|a, b| a.1.total_cmp(b.1)).map(|(zone, number)| (zone.clone(), *number))
    };
    let (mut giving, mut taking) = (BTreeMap::new(), BTreeMap::new());
    while let (Some((from, give)), Some((to, take))) = (most(&over), most(&under)) {
        if (give < 1.0 && take < 1.0) || give < 0.5 || take < 0.5 {
            break;
        }
        *giving.entry(from.clone()).or_default() += 1;
        *taking.entry(to.clone()).or_default() += 1;
        over.insert(from, give - 1.0);
        under.insert(to, take - 1.0);
    }
    (giving, taking)
}

/// Takes one from a zone that has some left.
fn take(zones: &mut BTreeMap<String, usize>, zone: &str) {
    if let Some(left) = zones.get_mut(zone) {
        *left -= 1;
        if *left == 0 {
            zones.remove(zone);
        }
    }
}

/// Hints at zones in proportion to their CPU for the slices of one address family; slices that do not change keep
/// theirs as long as they suit.
///
/// # Errors
///
/// Why there are no hints, in the words of Kubernetes; then no endpoint has any.
pub(super) fn allocate(
    placements: &mut [Placement],
    family: &str,
    shares: Option<&Shares>,
) -> Result<(), String> {
    let mut changing: Vec<&mut Value> = Vec::new();
    let mut staying: Vec<(&Value, &mut Value)> = Vec::new();
    for placement in placements {
        match placement {
            Placement::Create(new) if new["addressType"] == family => changing.push(new),
            Placement::Keep { old, new } if new["addressType"] == family => {
                if without_hints(old) == new["endpoints"] {
                    staying.push((old, new));
                } else {
                    changing.push(new);
                }
            }
            _ => {}
        }
    }
    let slices = changing.iter().map(|new| &**new).chain(staying.iter().map(|(_, new)| &**new));
    let ready = slices.flat_map(|slice| elements(slice, "/endpoints")).filter(|e| is_ready(e)).count();
    let allocations = allocations(shares, ready)?;
    let mut counted = Counts::new();
    let mut kept = Vec::new();
    for (old, new) in staying {
        let Some(counts) = counts_of(old, &counted, &allocations) else {
            changing.push(new);
            continue;
        };
        for (zone, count) in counts {
            *counted.entry(zone).or_default() += count;
        }
        kept.push((old, new));
    }
    let mut endpoints: Vec<&mut Value> = changing
        .into_iter()
        .filter_map(|slice| slice["endpoints"].as_array_mut())
        .flatten()
        .filter(|endpoint| is_ready(endpoint))
        .collect();
    if endpoints.iter().any(|endpoint| text(endpoint, "/zone").is_empty()) {
        return Err("One or more endpoints do not have a zone specified".to_owned());
    }
    for endpoint in &endpoints {
        *counted.entry(text(endpoint, "/zone").to_owned()).or_default() += 1;
    }
    let (mut giving, mut taking) = exchanges(&allocations, &counted);
    for endpoint in &mut endpoints {
        let own = text(endpoint, "/zone").to_owned();
        let to = giving.get(&own).and_then(|_| taking.keys().next().cloned());
        if let Some(to) = &to {
            take(&mut giving, &own);
            take(&mut taking, to);
        }
        endpoint["hints"] = json!({"forZones": [{"name": to.unwrap_or(own)}]});
    }
    for (old, new) in kept {
        new["endpoints"] = old["endpoints"].clone();
    }
    if counted.is_empty() {
        return Err("No hints allocated for zones".to_owned());
    }
    Ok(())
}

/// The endpoints of a slice as they are without hints.
fn without_hints(slice: &Value) -> Value {
    let mut endpoints = slice["endpoints"].clone();
    for endpoint in endpoints.as_array_mut().into_iter().flatten() {
        if let Some(fields) = endpoint.as_object_mut() {
            fields.remove("hints");
        }
    }
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(zone: &str, cpu: &str) -> Value {
        json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}},
            "status": {"allocatable": {"cpu": cpu}, "conditions": [{"type": "Ready", "status": "True"}]}})
    }

    fn endpoint(zone: &str, hint: &str) -> Value {
        let mut endpoint = json!({"conditions": {"ready": true}, "zone": zone});
        if !hint.is_empty() {
            endpoint["hints"] = json!({"forZones": [{"name": hint}]});
        }
        endpoint
    }

    fn slice(endpoints: &[Value]) -> Value {
        json!({"addressType": "IPv4", "endpoints": endpoints})
    }

    /// The hinted zones of the endpoints, or why there are none.
    fn hinted(placement: Placement, nodes: &[Value]) -> Result<String, String> {
        let mut all = [placement];
        allocate(&mut all, "IPv4", shares(nodes).as_ref())?;
        let (Placement::Create(new) | Placement::Keep { new, .. } | Placement::Delete(new)) = &all[0];
        let hints = elements(new, "/endpoints").iter().map(|e| text(e, "/hints/forZones/0/name"));
        Ok(hints.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn zones_get_endpoints_in_proportion_to_their_cpu() {
        let lacking =
            "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes";
        let odd = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (3 endpoints, 2 zones)";
        let over = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (2 endpoints, 2 zones)";
        let mut chief = node("c", "100");
        chief["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = "".into();
        let mut broken = node("c", "100");
        broken["status"]["conditions"][0]["status"] = "False".into();
        let even = [node("a", "1"), node("b", "1"), chief, broken];
        for (case, zones, nodes, expected) in [
            ("as they are", "a b", &even[..], Ok("a b")),
            ("to a zone without", "a a a b", &even, Ok("b a a b")),
            ("all in one zone", "a a a a", &even, Ok("b b a a")),
            (
                "less than half an endpoint stays",
                "a a a a a a a b b b",
                &[node("a", "2"), node("b", "1")],
                Ok("a a a a a a a b b b"),
            ),
            ("too odd", "a a b", &even, Err(odd)),
            ("too few", "a", &even, Err("Insufficient number of endpoints (1 endpoints, 2 zones)")),
            ("too uneven", "a b", &[node("a", "9"), node("b", "1")], Err(over)),
            ("one zone", "a b", &[node("a", "9")], Err(lacking)),
            ("no zone", "a b", &[node("a", "9"), node("b", "9"), node("", "1")], Err(lacking)),
            ("no nodes", "a b", &[], Err(lacking)),
            (
                "an endpoint without",
                "a b b -",
                &even,
                Err("One or more endpoints do not have a zone specified"),
            ),
        ] {
            let endpoints: Vec<Value> =
                zones.split(' ').map(|zone| endpoint(zone.trim_matches('-'), "")).collect();
            let found = hinted(Placement::Create(slice(&endpoints)), nodes);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{case}");
        }
    }

    #[test]
    fn slices_that_stay_keep_their_hints_while_they_suit() {
        let keep = |old: &[Value], new: &[Value]| Placement::Keep { old: slice(old), new: slice(new) };
        let zones = ["a", "a", "b", "b"];
        let plain = zones.map(|zone| endpoint(zone, ""));
        let told = |hints: &str| -> Vec<Value> {
            zones.into_iter().zip(hints.split(' ')).map(|(zone, hint)| endpoint(zone, hint)).collect()
        };
        let nodes = [node("a", "1"), node("b", "1")];
        for (case, before, expected) in [
            ("they suit", "b a a b", "b a a b"),
            ("no such zone", "b a a c", "a a b b"),
            ("too many of one", "a a a b", "a a b b"),
            ("it changes", "b a a", "a a b b"),
        ] {
            assert_eq!(hinted(keep(&told(before), &plain), &nodes).unwrap(), expected, "{case}");
        }
    }
}
