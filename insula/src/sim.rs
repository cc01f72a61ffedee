//! `insula sim …`: makes simulated nodes fail, heals them, and puts load on simulated pods.
//!
//! Each command sets annotations that the simulation reads; `kubectl annotate` does the same.

use crate::cli::{Load, Server};
use crate::client::HostPlane;
use crate::output;
use anyhow::bail;
use api_types::labels::{SIM_CPU_USAGE, SIM_FAILED, SIM_MEMORY_USAGE, SIMULATED};
use http::Method;
use serde_json::{Map, Value, json};

/// The context of the embedded super cluster in the admin kubeconfig.
const LOCAL: &str = "local";

fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

/// A simulated node, and the plane that has it.
async fn simulated(name: &str, server: &Server) -> anyhow::Result<(HostPlane, Value)> {
    let plane = HostPlane::connect_to(server, Some(LOCAL)).await?;
    let node = plane.request(Method::GET, &node_path(name), None).await?;
    if node["metadata"]["labels"][SIMULATED] != "true" {
        bail!("the node {name} is not simulated: it has no label {SIMULATED}=true");
    }
    Ok((plane, node))
}

/// `insula sim fail-node`.
pub async fn fail_node(name: &str, server: &Server) -> anyhow::Result<()> {
    let (plane, _) = simulated(name, server).await?;
    let patch = json!({"metadata": {"annotations": {SIM_FAILED: "true"}}});
    plane.merge(&node_path(name), &patch).await?;
    output::line(&format!(
        "node {name} has failed: it is silent, and its pods go when they no longer tolerate that"
    ));
    output::error(&format!("next: kubectl --context {LOCAL} get nodes; insula sim heal-node {name}"));
    Ok(())
}

/// `insula sim heal-node`.
pub async fn heal_node(name: &str, server: &Server) -> anyhow::Result<()> {
    let (plane, node) = simulated(name, server).await?;
    plane.merge(&node_path(name), &healed(&node)).await?;
    output::line(&format!("node {name} is healed"));
    Ok(())
}

/// What takes away that a node has failed.
fn healed(node: &Value) -> Value {
    let mut patch = json!({"metadata": {"annotations": {SIM_FAILED: null}}});
    let taints = node["spec"]["taints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kept: Vec<&Value> = taints.iter().filter(|taint| taint["key"] != SIM_FAILED).collect();
    if kept.len() < taints.len() {
        // Taints are a list: what others changed since must not be lost.
        patch["metadata"]["resourceVersion"] = node["metadata"]["resourceVersion"].clone();
        patch["spec"]["taints"] = json!(kept);
    }
    patch
}

/// `insula sim load`.
pub async fn load(flags: &Load) -> anyhow::Result<()> {
    let plane = match &flags.tenant {
        Some(tenant) => HostPlane::connect_to_tenant(&flags.server, tenant).await?,
        None => HostPlane::connect_to(&flags.server, Some(LOCAL)).await?,
    };
    let all = format!("/api/v1/namespaces/{}/pods", flags.namespace);
    let names = match &flags.selector {
        None => flags.pods.clone(),
        Some(selector) => {
            let query: String = form_urlencoded::Serializer::new(String::new())
                .append_pair("labelSelector", selector)
                .finish();
            let list = plane.request(Method::GET, &format!("{all}?{query}"), None).await?;
            let pods = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect()
        }
    };
    if names.is_empty() {
        bail!(
            "no pod of the namespace {} has these labels: {}",
            flags.namespace,
            flags.selector.as_deref().unwrap_or("")
        );
    }
    let patch = json!({"metadata": {"annotations": annotations(flags)}});
    for name in &names {
        plane.merge(&format!("{all}/{name}"), &patch).await?;
        output::line(&format!("pod {name}: {}", said(flags)));
    }
    output::error("next: kubectl top pods; pods that are made from now on do not have this load");
    Ok(())
}

fn annotations(flags: &Load) -> Map<String, Value> {
    let mut annotations = Map::new();
    for (key, value) in [(SIM_CPU_USAGE, &flags.cpu), (SIM_MEMORY_USAGE, &flags.memory)] {
        if value.is_some() || flags.off {
            annotations.insert(key.to_owned(), json!(value));
        }
    }
    annotations
}

fn said(flags: &Load) -> String {
    let parts = [("CPU", &flags.cpu), ("memory", &flags.memory)];
    let said = parts.iter().filter_map(|(what, value)| value.as_ref().map(|value| format!("{what} {value}")));
    let said: Vec<String> = said.collect();
    if said.is_empty() { "as without annotations".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healed_node_keeps_the_taints_of_others() {
        let mine = json!({"key": "mine", "effect": "NoSchedule"});
        for (taints, expected) in [
            (json!([mine]), json!(null)),
            (json!([mine, {"key": SIM_FAILED, "effect": "NoExecute"}]), json!([mine])),
        ] {
            let node = json!({"metadata": {"resourceVersion": "7"}, "spec": {"taints": taints}});
            let patch = healed(&node);
            assert_eq!(patch["spec"]["taints"], expected);
            assert!(patch["metadata"]["annotations"].as_object().unwrap()[SIM_FAILED].is_null());
            assert_eq!(patch["metadata"]["resourceVersion"].is_null(), expected.is_null());
        }
    }
}
