//! A tenant with much to do beside a thousand with little.

use super::tests::no_server;
use super::*;
use crate::resources::{EVENTS, PODS};
use plane_client::fake::FakePlanes;
use plane_client::{Target, Write};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

const QUIET: usize = 1_000;
const DEPLOYMENTS_OF_THE_NOISY: usize = 500;
const PODS_EACH: usize = 3;

fn id(number: usize) -> TenantId {
    TenantId::parse(&format!("00000000-0000-4000-9000-{number:012}")).unwrap()
}

fn deployment(number: usize) -> Value {
    let labels = json!({"app": number.to_string()});
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": format!("d{number}"), "namespace": "shop", "generation": 1},
        "spec": {"replicas": PODS_EACH, "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}}}})
}

/// What was written so far, by tenant; events apart, which nothing waits for.
#[derive(Default)]
struct Work {
    writes: HashMap<TenantId, usize>,
    quiet_pods: usize,
    noisy_pods: usize,
    /// What the noisy tenant had when the last of the quiet ones had its pods.
    noisy_by_then: usize,
}

impl Work {
    fn count(&mut self, target: &Target, write: &Write) {
        *self.writes.entry(target.tenant).or_default() += 1;
        if target.resource != PODS || !matches!(write, Write::Create(_)) {
            return;
        }
        if target.tenant == id(0) {
            self.noisy_pods += 1;
            return;
        }
        self.quiet_pods += 1;
        if self.quiet_pods == QUIET * PODS_EACH {
            self.noisy_by_then = self.writes.get(&id(0)).copied().unwrap_or(0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_much_to_do_takes_no_more_than_its_share() {
    let planes = FakePlanes::new();
    // The noisy one comes first: in one line for all, everybody would wait for the whole of it.
    for number in 0..DEPLOYMENTS_OF_THE_NOISY {
        planes.put(id(0), deployment(number));
    }
    for number in 1..=QUIET {
        planes.put(id(number), deployment(0));
    }
    let work = Arc::new(Mutex::new(Work::default()));
    let counting = work.clone();
    // Writes take a while, so that there is more to do than can be done at once.
    planes.delay(move |target, write| {
        if target.resource == EVENTS {
            return Duration::ZERO;
        }
        counting.lock().unwrap().count(target, write);
        Duration::from_millis(5)
    });
    let options = Options { simulated_nodes: None, event_ttl: Duration::from_secs(3_600) };
    tokio::spawn(run(planes.client(), no_server(), options, Shutdown::new()));
    let read = |field: fn(&Work) -> usize| field(&work.lock().unwrap());
    let all = (QUIET + DEPLOYMENTS_OF_THE_NOISY) * PODS_EACH;
    planes.wait_until("every pod", |_| read(|work| work.quiet_pods + work.noisy_pods) == all).await;

    let quiet =
        |work: &Work| work.writes.iter().filter(|(tenant, _)| **tenant != id(0)).map(|(_, n)| *n).max();
    let most = quiet(&work.lock().unwrap()).unwrap();
    let (by_then, whole) = (read(|work| work.noisy_by_then), read(|work| work.writes[&id(0)]));
    // Each tenant has its turn after every other one, in each of the queues that a deployment passes: what the noisy one
    // got meanwhile is about what a few of them got, and far from what it wants.
    assert!(
        by_then <= 20 * most,
        "{by_then} of {whole} writes were for the noisy tenant, {most} for another"
    );
    assert!(whole > 100 * most, "it had much to do: {whole} writes, and others {most}");
}
