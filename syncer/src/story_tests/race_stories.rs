//! What two that read at the same time learn is not lost between them.

use super::harness::*;
use crate::kinds::Key;
use crate::reconcile::tenants::tenant as reconcile_tenant;
use crate::state::State;
use api_types::TenantId;
use plane_client::fake::FakePlanes;
use serde_json::json;
use std::sync::Arc;

/// What is due of the first tenant, all of it taken.
fn due(state: &State) -> Vec<Key> {
    std::iter::from_fn(|| {
        let lease = state.queue.try_next()?;
        let key = lease.key.clone();
        lease.done(None);
        Some(key)
    })
    .collect()
}

#[tokio::test]
async fn a_change_that_a_reconciler_reads_before_the_watch_tells_of_it_is_not_lost() {
    let planes = FakePlanes::new();
    planes.put(TenantId::HOST, tenant("acme", 0, json!({})));
    let state = Arc::new(State::default());
    state.start(planes.client(), None, None);
    let read = || planes.find(TenantId::HOST, &tenants(), "", "acme").unwrap();
    state.take_tenant(read()).unwrap();
    assert_eq!(due(&state), [Key::Everything]);
    let mut changed = read();
    changed["spec"]["egress"] = json!({"allowedCIDRs": ["10.9.0.0/16"]});
    planes.put(TenantId::HOST, changed);
    reconcile_tenant(&state, id(0), "acme").await.unwrap();
    let after = due(&state);
    assert!(after.contains(&Key::Everything), "{after:?}");
    state.take_tenant(read()).unwrap();
    assert!(due(&state).is_empty(), "it is known by now");
}

#[tokio::test]
async fn what_was_read_before_a_change_does_not_undo_it() {
    let planes = FakePlanes::new();
    planes.put(TenantId::HOST, tenant("acme", 0, json!({})));
    let state = State::default();
    let old = planes.find(TenantId::HOST, &tenants(), "", "acme").unwrap();
    let mut changed = old.clone();
    changed["spec"]["egress"] = json!({"allowedCIDRs": ["10.9.0.0/16"]});
    planes.put(TenantId::HOST, changed);
    state.take_tenant(planes.find(TenantId::HOST, &tenants(), "", "acme").unwrap()).unwrap();
    let now = state.refresh_tenant(old.clone()).unwrap();
    assert_eq!(now.spec.egress.allowed_cidrs, ["10.9.0.0/16"]);
    state.tenants.remove(id(0));
    assert!(state.refresh_tenant(old).is_none() && state.tenants.all().is_empty());
}

#[tokio::test]
async fn a_slice_follows_the_address_of_the_pod_that_it_names() {
    let story = Story::with_tenants(&["acme"]);
    let (acme, slices) = (id(0), crate::kinds::Kind::EndpointSlice.group_resource());
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    let mut below = story.in_super("pods", &space, "web").await;
    story.planes.put(
        acme,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "default"},
            "spec": {"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}]}}),
    );
    story.planes.put(
        acme,
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "db-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "db"}},
            "endpoints": [{"addresses": ["10.2.0.7"]}], "ports": [{"port": 80, "protocol": "TCP"}]}),
    );
    let is_refused = |planes: &FakePlanes| {
        planes.all(acme, &core("events"), "default").iter().any(|event| event["reason"] == "AddressForbidden")
    };
    story.planes.wait_until("the slice is refused", is_refused).await;
    assert!(story.planes.find(SUPER, &slices, &space, "db-1").is_none());

    // The story's patrol comes after the end of the test.
    below["status"] = json!({"phase": "Running", "podIPs": [{"ip": "10.2.0.7"}]});
    story.planes.put(SUPER, below.clone());
    story.planes.wait_for(SUPER, &slices, &space, "db-1", |slice| slice.is_some()).await;

    // An ended pod keeps telling its address, which another one may have by then.
    below["status"]["phase"] = json!("Failed");
    story.planes.put(SUPER, below);
    story.planes.wait_for(SUPER, &slices, &space, "db-1", |slice| slice.is_none()).await;
}
