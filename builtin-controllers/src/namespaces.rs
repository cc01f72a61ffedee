//! Namespaces that are being deleted: everything in them goes first.
//!
//! Guarantees: the finalizer `kubernetes` is removed only after a list of every namespaced resource of the plane
//! was empty; pods go before everything else (KEP-5080), so that what protects them outlives them; while content
//! remains, the conditions say which and why, as Kubernetes names them. Assumes that the server takes no new
//! objects into a namespace that is being deleted. Caveat: content that waits for finalizers is looked at every
//! half second, not by its events.

use crate::access::{Access, elements, text};
use crate::conditions::{self, Condition};
use crate::pod_facts::is_deleting;
use crate::resources::{NAMESPACES, PODS};
use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use plane_client::{
    ApiError, Delete, KindInfo, Next, Object, ObjectName, PlaneClient, Propagation, Reconciler, Scope,
    Target, TenantId, Trigger,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The finalizer in `spec.finalizers` that stands for the content.
const FINALIZER: &str = "kubernetes";

/// How many objects are deleted at a time.
const PARALLEL: usize = 32;

/// How soon to look again while content remains.
const AGAIN: Duration = Duration::from_millis(500);

/// The reconciler of namespaces.
pub(crate) struct Namespaces {
    access: Access,
}

/// What is left in a namespace.
#[derive(Debug, Default)]
struct Remains {
    /// By resource (`pods.`, `deployments.apps`).
    objects: BTreeMap<String, usize>,
    /// By finalizer.
    finalizers: BTreeMap<String, usize>,
    /// Why deletions failed.
    failures: Vec<String>,
}

impl Remains {
    fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.failures.is_empty()
    }

    fn add(&mut self, kind: &KindInfo, objects: &[Object]) {
        if objects.is_empty() {
            return;
        }
        let resource = format!("{}.{}", kind.resource.resource, kind.resource.group);
        *self.objects.entry(resource).or_default() += objects.len();
        for finalizer in objects.iter().flat_map(|object| &object.meta.finalizers) {
            *self.finalizers.entry(finalizer.to_string()).or_default() += 1;
        }
    }

    /// Type, whether it is a problem, reason and message, in the order of Kubernetes.
    fn conditions(&self) -> Vec<Condition<'static>> {
        let list = |counts: &BTreeMap<String, usize>, middle: &str| {
            let list: Vec<String> = counts
                .iter()
                .map(|(name, count)| format!("{name} {middle} {count} resource instances"))
                .collect();
            list.join(", ")
        };
        let condition =
            |kind, problem: Option<(&'static str, String)>, ok: (&'static str, &str)| match problem {
                Some((reason, message)) => Condition { kind, status: "True", reason, message },
                None => Condition { kind, status: "False", reason: ok.0, message: ok.1.to_owned() },
            };
        let mut failures = self.failures.clone();
        failures.sort();
        let failed = (!failures.is_empty()).then(|| {
            let (count, list) = (failures.len(), failures.join(", "));
            let message = format!("Failed to delete all resource types, {count} remaining: {list}");
            ("ContentDeletionFailed", message)
        });
        let remaining = (!self.objects.is_empty()).then(|| {
            let message = format!("Some resources are remaining: {}", list(&self.objects, "has"));
            ("SomeResourcesRemain", message)
        });
        let waiting = (!self.finalizers.is_empty()).then(|| {
            let what = list(&self.finalizers, "in");
            (
                "SomeFinalizersRemain",
                format!("Some content in the namespace has finalizers remaining: {what}"),
            )
        });
        vec![
            condition(
                "NamespaceDeletionDiscoveryFailure",
                None,
                ("ResourcesDiscovered", "All resources successfully discovered"),
            ),
            condition(
                "NamespaceDeletionGroupVersionParsingFailure",
                None,
                ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
            ),
            condition(
                "NamespaceDeletionContentFailure",
                failed,
                ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
            ),
            condition(
                "NamespaceContentRemaining",
                remaining,
                ("ContentRemoved", "All content successfully removed"),
            ),
            condition(
                "NamespaceFinalizersRemaining",
                waiting,
                ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
            ),
        ]
    }
}

impl Namespaces {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        Namespaces { access: Access::new(client, "namespace-controller") }
    }

    /// Deletes what can be deleted and tells what is left.
    async fn empty(&self, tenant: TenantId, namespace: &str) -> Result<Remains, ApiError> {
        let kinds: Vec<KindInfo> = self
            .access
            .client()
            .resources(tenant)
            .await?
            .into_iter()
            .filter(|kind| kind.namespaced)
            .collect();
        let (pods, rest): (Vec<KindInfo>, Vec<KindInfo>) =
            kinds.into_iter().partition(|kind| kind.resource.group_resource() == PODS.group_resource());
        let mut remains = Remains::default();
        for stage in [pods, rest] {
            for kind in &stage {
                self.delete_all(tenant, namespace, kind, &mut remains).await?;
            }
            if !remains.is_empty() {
                break;
            }
        }
        Ok(remains)
    }

    async fn delete_all(
        &self,
        tenant: TenantId,
        namespace: &str,
        kind: &KindInfo,
        remains: &mut Remains,
    ) -> Result<(), ApiError> {
        let objects = self.access.list(tenant, &kind.resource, namespace).await?;
        if objects.is_empty() {
            return Ok(());
        }
        let mut doomed = Vec::new();
        for object in objects.iter().filter(|object| !object.meta.deleting) {
            let how = Delete {
                uid: Some(object.meta.uid.to_string()),
                propagation: Some(Propagation::Background),
                ..Delete::default()
            };
            doomed.push((Target::new(tenant, &kind.resource, namespace, &object.name.name), how));
        }
        for batch in doomed.chunks(PARALLEL) {
            let deletions = batch.iter().map(|(target, how)| self.access.delete_target(target, how.clone()));
            let results: Vec<Result<(), ApiError>> = join_all(deletions).await;
            let failures = results.into_iter().filter_map(Result::err);
            remains.failures.extend(failures.map(|error| error.message().to_owned()));
        }
        remains.add(kind, &self.access.list(tenant, &kind.resource, namespace).await?);
        Ok(())
    }

    async fn tell(&self, tenant: TenantId, namespace: &Value, remains: &Remains) -> Result<(), ApiError> {
        let mut list = elements(namespace, "/status/conditions").to_vec();
        let now = Timestamp::now();
        for condition in remains.conditions() {
            conditions::set(&mut list, &condition, &[], now);
        }
        let mut status = namespace["status"].clone();
        status["conditions"] = list.into();
        self.access.set_status(tenant, &NAMESPACES, namespace, status).await.map(|_| ())
    }

    async fn finalize(&self, tenant: TenantId, namespace: &Value) -> Result<(), ApiError> {
        let left: Vec<&Value> =
            elements(namespace, "/spec/finalizers").iter().filter(|name| *name != FINALIZER).collect();
        let meta = &namespace["metadata"];
        let body = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": meta["name"], "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
            "spec": {"finalizers": left},
        });
        let target = self.access.target_of(tenant, &NAMESPACES, namespace).subresource("finalize");
        match self.access.put(&target, body).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Reconciler for Namespaces {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![
            Trigger::mapped(NAMESPACES.group_resource(), Scope::All, |namespace| {
                if namespace.meta.deleting { vec![namespace.name.clone()] } else { vec![] }
            }),
            Trigger::mapped(PODS.group_resource(), Scope::All, |pod| {
                if pod.meta.deleting { vec![ObjectName::cluster(&pod.name.namespace)] } else { vec![] }
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(namespace) = self.access.get(tenant, &NAMESPACES, "", &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        let waits = elements(&namespace, "/spec/finalizers").iter().any(|name| name == FINALIZER);
        if !is_deleting(&namespace) || !waits {
            return Ok(Next::OnEvent);
        }
        let remains = self.empty(tenant, text(&namespace, "/metadata/name")).await?;
        if remains.is_empty() {
            self.finalize(tenant, &namespace).await?;
            return Ok(Next::OnEvent);
        }
        self.tell(tenant, &namespace, &remains).await?;
        Ok(Next::After(AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::CONFIG_MAPS;
    use plane_client::fake::{FakeKind, FakePlanes};
    use plane_client::{Actor, Controller, Patch, Write};
    use service_runtime::Shutdown;

    const TENANT: TenantId = TenantId::LOCAL_SUPER;
    const ADMIN: Actor = Actor::Platform("admin");

    #[tokio::test(start_paused = true)]
    async fn a_namespace_goes_after_its_content_and_says_what_holds_it() {
        let planes = FakePlanes::new();
        planes.register(FakeKind::custom("x.dev", "v1", "widgets", "Widget"));
        let target = Target::new(TENANT, &NAMESPACES, "", "shop");
        planes.write(&ADMIN, &target, Write::Create(json!({"metadata": {"name": "shop"}}))).await.unwrap();
        let object = |api: &str, kind: &str, finalizers: Value| {
            json!({"apiVersion": api, "kind": kind,
                "metadata": {"name": "a", "namespace": "shop", "finalizers": finalizers}})
        };
        planes.put(TENANT, object("v1", "ConfigMap", json!(["x.dev/held"])));
        planes.put(TENANT, object("x.dev/v1", "Widget", Value::Null));
        planes.put(TENANT, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}));
        let mut pod = object("v1", "Pod", Value::Null);
        pod["spec"] = json!({"nodeName": "n"});
        planes.put(TENANT, pod);
        let controller = Controller::new(planes.client(), Arc::new(Namespaces::new(planes.client())), 1);
        tokio::spawn(controller.run(Shutdown::new()));
        planes.write(&ADMIN, &target, Write::Delete(Delete::default())).await.unwrap();

        let says = |kind: &'static str, what: &'static str| {
            move |found: Option<&Value>| {
                let condition = conditions::find(elements(found.unwrap(), "/status/conditions"), kind);
                condition.is_some_and(|condition| condition["message"].as_str().unwrap().contains(what))
            }
        };
        let resource = NAMESPACES.group_resource();
        let pods_first = says("NamespaceContentRemaining", "pods. has 1 resource instances");
        planes.wait_for(TENANT, &resource, "", "shop", pods_first).await;
        let widgets =
            Target::new(TENANT, &FakeKind::custom("x.dev", "v1", "widgets", "").resource, "shop", "a");
        assert!(planes.find(TENANT, &widgets.group_resource(), "shop", "a").is_some(), "pods go first");
        let now = Delete { grace_period_seconds: Some(0), ..Delete::default() };
        planes.write(&ADMIN, &Target::new(TENANT, &PODS, "shop", "a"), Write::Delete(now)).await.unwrap();
        let held = says("NamespaceFinalizersRemaining", "x.dev/held in 1 resource instances");
        planes.wait_for(TENANT, &resource, "", "shop", held).await;
        assert!(planes.find(TENANT, &widgets.group_resource(), "shop", "a").is_none());

        let let_go = Write::Patch(Patch::Merge(json!({"metadata": {"finalizers": null}})));
        planes.write(&ADMIN, &Target::new(TENANT, &CONFIG_MAPS, "shop", "a"), let_go).await.unwrap();
        planes.wait_for(TENANT, &resource, "", "shop", |found| found.is_none()).await;
        assert!(planes.find(TENANT, &CONFIG_MAPS.group_resource(), "default", "other").is_some());
    }
}
