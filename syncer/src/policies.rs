//! Tenants' own NetworkPolicies (`networking.k8s.io/v1`), downward.
//!
//! Guarantees: what a translated policy lets through, the tenant's own lets through, and the platform does too: nothing
//! outside of the tenant comes in but by published ports; nothing goes out but to where the tenant may reach. What cannot
//! be translated is refused, and closes the pods that it selects. Assumes that pods say by labels which of them policies
//! select ([`open`]). Caveats: an `ipBlock` means addresses outside of the tenant, never its own pods; a named port meets
//! the same name only, where it is held against the ports of a published Service.

pub mod open;

mod ports;

use crate::isolation::ranges::{Block, Range};
use crate::isolation::{self, dns_ports, published_ports};
use crate::names;
use crate::ownership;
use crate::pods::environment::ApiAddress;
use crate::tenants::TenantView;
use crate::translation::{Place, Refusal, list, meta_text};
use api_types::labels;
use api_types::tenancy::{LabelSelector, StringMap};
use open::directions;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The label that every namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// The namespace and the label of a cluster's DNS servers, as policies name them everywhere.
const DNS_NAMESPACE: &str = "kube-system";
const DNS_LABEL: (&str, &str) = ("k8s-app", "kube-dns");
/// The most namespaces that a selector of one peer may select.
const NAMESPACES: usize = 1000;

/// What the translation of a policy needs beside it.
pub struct Context<'a> {
    /// Where it is.
    pub place: Place<'a>,
    /// Where pods reach the tenant's API.
    pub api: &'a ApiAddress,
    /// All namespaces of the tenant with their labels.
    pub namespaces: &'a [(String, StringMap)],
    /// The Services of its namespace.
    pub services: &'a [Value],
}

/// The policies of the super namespace that stand for a tenant's: the first has its name, the others let through what it
/// allows of the ports of published Services, one for each.
pub fn downward(context: &Context<'_>, policy: &Value) -> Result<Vec<Value>, Refusal> {
    let (place, spec) = (context.place, &policy["spec"]);
    let own_name = meta_text(policy, "name");
    let name = place.super_name(crate::kinds::Kind::NetworkPolicy, own_name)?;
    let selector = pod_selector(&spec["podSelector"])?;
    let (has_ingress, has_egress) = directions(spec);
    let mut types = Vec::new();
    let mut down = json!({"podSelector": selector});
    let mut outside = Vec::new();
    if has_ingress {
        types.push("Ingress");
        let (rules, others) = ingress(context, list(spec, "ingress"))?;
        down["ingress"] = rules.into();
        outside = others;
    }
    if has_egress {
        types.push("Egress");
        down["egress"] = egress(context, list(spec, "egress"))?.into();
    }
    down["policyTypes"] = json!(types);
    let mut out = vec![object(place, &name, policy, down)];
    for service in context.services {
        let Some((of_service, open_ports)) = published_ports(service) else { continue };
        let rules: Vec<Value> = outside.iter().filter_map(|rule| through(rule, &open_ports)).collect();
        if !rules.is_empty() {
            let spec = json!({"podSelector": both(&selector, of_service), "policyTypes": ["Ingress"],
                "ingress": rules});
            let name = names::through(own_name, meta_text(service, "name"));
            out.push(object(place, &name, policy, spec));
        }
    }
    Ok(out)
}

fn object(place: Place<'_>, name: &str, policy: &Value, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": ownership::downward(place.tenant, place.super_namespace, name, policy),
        "spec": spec,
    })
}

/// What a rule lets in from outside of the tenant: from these blocks, or from everywhere; on these ports.
struct Outside {
    blocks: Option<Vec<Block>>,
    ports: Vec<Value>,
}

fn ingress(context: &Context<'_>, rules: &[Value]) -> Result<(Vec<Value>, Vec<Outside>), Refusal> {
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for rule in rules {
        let ports = list(rule, "ports").to_vec();
        let from = list(rule, "from");
        let (peers, blocks) = peers(context, from)?;
        let peers = if from.is_empty() { vec![anyone(context.place.tenant)] } else { peers };
        add(&mut inside, "from", peers, &ports);
        if from.is_empty() {
            outside.push(Outside { blocks: None, ports });
        } else if !blocks.is_empty() {
            outside.push(Outside { blocks: Some(blocks), ports });
        }
    }
    Ok((inside, outside))
}

/// What of a rule comes through the open ports of a published Service.
fn through(rule: &Outside, open: &[Value]) -> Option<Value> {
    let mut out = json!({"ports": ports::meet(&rule.ports, open)?});
    if let Some(blocks) = &rule.blocks {
        out["from"] = blocks.iter().map(Block::peer).collect();
    }
    Some(out)
}

fn egress(context: &Context<'_>, rules: &[Value]) -> Result<Vec<Value>, Refusal> {
    let tenant = context.place.tenant;
    let allowed = isolation::reachable(tenant);
    let api = [json!({"port": context.api.port, "protocol": "TCP"})];
    let mut out = Vec::new();
    for rule in rules {
        let ports = list(rule, "ports");
        let to = list(rule, "to");
        let (mut peers, mut blocks) = peers(context, to)?;
        if to.is_empty() {
            peers.push(anyone(tenant));
            blocks = ["0.0.0.0/0", "::/0"].into_iter().filter_map(Range::parse).map(Block::whole).collect();
        }
        let reached = blocks.iter().flat_map(|block| allowed.iter().filter_map(|base| block.meet(base)));
        peers.extend(reached.map(|block| block.peer()));
        add(&mut out, "to", peers, ports);
        let asked: Vec<Value> = blocks.iter().map(Block::peer).collect();
        // The platform lets everybody ask DNS servers, wherever they are.
        if to.is_empty() || names_dns(context, to) {
            out.extend(ports::meet(&ports::of_dns(ports), &dns_ports()).map(|ports| json!({"ports": ports})));
        } else if let Some(ports) = ports::meet(ports, &dns_ports()) {
            add(&mut out, "to", asked.clone(), &ports);
        }
        // And reach the tenant's API.
        if let Some(ports) = ports::meet(ports, &api) {
            match context.api.host.parse::<IpAddr>() {
                Ok(ip) if blocks.iter().any(|block| block.has(ip)) => {
                    add(&mut out, "to", vec![Block::whole(Range::one(ip)).peer()], &ports);
                }
                Ok(_) => {}
                Err(_) => add(&mut out, "to", asked, &ports),
            }
        }
    }
    Ok(out)
}

/// A rule without peers would let through everything: it is left out.
fn add(rules: &mut Vec<Value>, field: &str, peers: Vec<Value>, ports: &[Value]) {
    if peers.is_empty() {
        return;
    }
    let mut rule = Map::new();
    rule.insert(field.to_owned(), peers.into());
    if !ports.is_empty() {
        rule.insert("ports".into(), ports.into());
    }
    rules.push(rule.into());
}

/// Every pod of the tenant.
fn anyone(tenant: &TenantView) -> Value {
    json!({"namespaceSelector": {"matchLabels": {labels::TENANT_UID: tenant.id.to_string()}}})
}

/// Peers that are pods, for the super cluster, and those that are blocks of addresses.
fn peers(context: &Context<'_>, peers: &[Value]) -> Result<(Vec<Value>, Vec<Block>), Refusal> {
    let (mut pods, mut blocks) = (Vec::new(), Vec::new());
    for peer in peers {
        if peer["ipBlock"].is_object() {
            let block = Block::read(&peer["ipBlock"]);
            let message = || format!("the ipBlock {} cannot be read", peer["ipBlock"]);
            blocks.push(block.ok_or_else(|| Refusal::new("PolicyNotSupported", message()))?);
            continue;
        }
        let mut down = json!({});
        if peer["podSelector"].is_object() {
            down["podSelector"] = pod_selector(&peer["podSelector"])?;
        }
        if peer["namespaceSelector"].is_object() {
            match namespaces(context, &peer["namespaceSelector"])? {
                Some(selector) => down["namespaceSelector"] = selector,
                None => continue,
            }
        }
        if down == json!({}) {
            return Err(Refusal::new("PolicyNotSupported", format!("the peer {peer} names nothing")));
        }
        pods.push(down);
    }
    Ok((pods, blocks))
}

/// The tenant's namespaces that a selector selects, by their names in the super cluster; `None` when there are none. They
/// are chosen here, so that the labels of super namespaces, which others may write, say nothing.
fn namespaces(context: &Context<'_>, selector: &Value) -> Result<Option<Value>, Refusal> {
    let place = context.place;
    let read = read_selector(selector)?;
    let mut own = json!({"matchLabels": {labels::TENANT_UID: place.tenant.id.to_string()}});
    if read == LabelSelector::default() {
        return Ok(Some(own));
    }
    let mut selected: Vec<String> = context
        .namespaces
        .iter()
        .filter(|(name, labels)| read.matches(&with_name(name, labels)))
        .map(|(name, _)| place.tenant.super_namespace(name))
        .collect();
    if selected.is_empty() {
        return Ok(None);
    }
    if selected.len() > NAMESPACES {
        let message = format!("a namespaceSelector selects more than {NAMESPACES} namespaces");
        return Err(Refusal::new("PolicyNotSupported", message));
    }
    selected.sort();
    own["matchExpressions"] = json!([{"key": NAMESPACE_NAME, "operator": "In", "values": selected}]);
    Ok(Some(own))
}

fn with_name(name: &str, labels: &StringMap) -> StringMap {
    let mut labels = labels.clone();
    labels.insert(NAMESPACE_NAME.to_owned(), name.to_owned());
    labels
}

/// True when a peer names the DNS servers of the cluster, as everybody's policies do. They are the super cluster's.
fn names_dns(context: &Context<'_>, peers: &[Value]) -> bool {
    let none = StringMap::new();
    let labels = context.namespaces.iter().find(|(name, _)| name == DNS_NAMESPACE).map_or(&none, |(_, l)| l);
    let namespace = with_name(DNS_NAMESPACE, labels);
    let pod: StringMap = [(DNS_LABEL.0.to_owned(), DNS_LABEL.1.to_owned())].into();
    peers.iter().any(|peer| {
        let selects = |field: &str, labels: &StringMap| {
            read_selector(&peer[field]).is_ok_and(|selector| selector.matches(labels))
        };
        peer["namespaceSelector"].is_object()
            && selects("namespaceSelector", &namespace)
            && (peer["podSelector"].is_null() || selects("podSelector", &pod))
    })
}

fn read_selector(selector: &Value) -> Result<LabelSelector, Refusal> {
    serde_json::from_value(selector.clone()).map_err(|error| {
        Refusal::new("PolicyNotSupported", format!("the selector {selector} cannot be read: {error}"))
    })
}

/// A selector of pods: it has to mean the same among the labels that super pods have.
fn pod_selector(selector: &Value) -> Result<Value, Refusal> {
    if selector.is_null() {
        return Ok(json!({}));
    }
    let read = read_selector(selector)?;
    let keys = read.match_labels.keys().chain(read.match_expressions.iter().map(|r| &r.key));
    for key in keys {
        if ownership::stays(key) {
            let message = format!("policies cannot select by the label {key:?}, which stays in the tenant");
            return Err(Refusal::new("PolicyNotSupported", message));
        }
    }
    Ok(selector.clone())
}

/// Selects what a selector selects and has these labels too.
fn both(selector: &Value, labels: &Map<String, Value>) -> Value {
    let mut out = selector.clone();
    let mut all = list(selector, "matchExpressions").to_vec();
    all.extend(labels.iter().map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]})));
    out["matchExpressions"] = all.into();
    out
}

#[cfg(test)]
mod tests;
