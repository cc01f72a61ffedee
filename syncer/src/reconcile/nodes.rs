//! The nodes that a tenant sees.

use crate::difference::merge_patch;
use crate::kinds::Kind;
use crate::nodes::{status, upward};
use crate::super_cache::Cached;
use crate::work::{ACTOR, Work};
use api_types::tenancy::NodeView;
use api_types::{ApiError, ObjectName, labels};
use plane_client::{Next, Target, Write};
use serde_json::{Value, json};

/// Shows the tenant the node that a pod gets, before the pod names it. What changes of a node that is shown has its own turn.
pub async fn show(work: &Work, name: &str) -> Result<(), ApiError> {
    let at = ObjectName::cluster(name);
    let there = work.client.get(work.tenant.id, &Kind::Node.group_resource(), &at).await?;
    let known = work.cluster.cache.get(Kind::Node, "", name);
    // What is shown names the UID of what it stands for; one that the tenant made by hand does not.
    let is_shown = there.zip(known).is_some_and(|(there, known)| {
        std::str::from_utf8(&there.bytes).is_ok_and(|text| text.contains(known.uid.as_str()))
    });
    if is_shown { Ok(()) } else { node(work, name).await.map(drop) }
}

/// A node, as `spec.sync.nodes` lets the tenant see it.
pub async fn node(work: &Work, name: &str) -> Result<Next, ApiError> {
    let known = work.cluster.cache.get(Kind::Node, "", name);
    let there = work.get(Kind::Node, "", name).await?;
    match (known.filter(|known| sees(work, known)), there) {
        (None, None) => {}
        // A node that the tenant made by hand is the tenant's.
        (None, Some(node)) if node["metadata"]["annotations"][labels::UID].is_null() => {}
        (None, Some(node)) => work.delete_up(Kind::Node, &node, None).await?,
        (Some(known), there) => keep(work, &known, there).await?,
    }
    Ok(Next::OnEvent)
}

fn sees(work: &Work, node: &Cached) -> bool {
    let used = || work.cluster.cache.has_pod_on(work.tenant.id, &node.at.name);
    match work.tenant.spec.sync.nodes {
        NodeView::All => true,
        NodeView::Used => used(),
        NodeView::Selector => used() || selected(work, node),
    }
}

fn selected(work: &Work, node: &Cached) -> bool {
    let Ok(value) = node.value() else { return false };
    let labels = &value["metadata"]["labels"];
    work.tenant.spec.scheduling.node_selector.iter().all(|(key, wanted)| labels[key] == wanted.as_str())
}

async fn keep(work: &Work, known: &Cached, there: Option<Value>) -> Result<(), ApiError> {
    let node = known.value()?;
    let mut wanted = upward(&node);
    wanted["metadata"]["annotations"] = json!({labels::UID: known.uid.as_str()});
    let there = match there {
        Some(there) => there,
        None => {
            // With its status, as kubelets register their nodes.
            let mut whole = wanted.clone();
            whole["status"] = status(&node);
            let target = Target::new(work.tenant.id, Kind::Node.resource(), "", "");
            work.client.write(&ACTOR, &target, Write::Create(whole)).await?.value()?
        }
    };
    let seen = json!({
        "metadata": {"labels": there["metadata"]["labels"], "annotations": there["metadata"]["annotations"]},
        "spec": {"unschedulable": there["spec"]["unschedulable"]},
    });
    let change = merge_patch(
        &without_nulls(seen),
        &without_nulls(json!({
            "metadata": {"labels": wanted["metadata"]["labels"], "annotations": wanted["metadata"]["annotations"]},
            "spec": {"unschedulable": wanted["spec"]["unschedulable"]},
        })),
    );
    if let Some(change) = change {
        work.patch_up(Kind::Node, &there, "", change).await?;
    }
    if let Some(change) = merge_patch(&without_nulls(there["status"].clone()), &status(&node)) {
        work.patch_up(Kind::Node, &there, "status", json!({"status": change})).await?;
    }
    Ok(())
}

fn without_nulls(mut value: Value) -> Value {
    if value.is_null() {
        return json!({});
    }
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
        for field in fields.values_mut().filter(|f| f.is_object()) {
            *field = without_nulls(field.take());
        }
    }
    value
}
