//! StatefulSets: pods with names, addresses and claims of their own.
//!
//! Guarantees: no two pods of an ordinal, since its name is the same; a pod's claims are there before it; in
//! order (`OrderedReady`) a pod is made or removed only when those before it are available; what is done next is
//! a pure function of what there is ([`plan`](plan::plan)). Assumes that writes are acknowledged after the
//! cache has them; where it lags, a pod that is there already is a failed creation, after which the key comes
//! again. Caveats: as in Kubernetes, an update that never becomes available stays until its pod is deleted; the
//! capacity of claims is not changed with their templates.

mod identity;
mod plan;
mod retention;
mod status;
mod waking;

use crate::access::{Access, elements, number, refused_by_ending_namespace, text};
use crate::claims::{self, Claimant, Owner};
use crate::events::Severity;
use crate::pace::Pace;
use crate::pod_control::BURST;
use crate::pod_facts::is_deleting;
use crate::resources::{PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS};
use crate::revisions::{Choice, Revisions, choose, data_of, template_of};
use crate::selectors::{Selector, SelectorIndex};
use crate::slim;
use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use plan::{Action, ClaimWork, Plan, State, plan};
use plane_client::{
    ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Resource, Scope, Seen, TenantId, Trigger,
};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use waking::Templates;

/// The resource of stateful sets, for as long as the process runs.
const OWNERS: &Resource = &STATEFUL_SETS;

/// Claims by name.
type Claims = BTreeMap<String, Value>;

/// One version of the template, by the name of its revision.
#[derive(Clone, Debug, PartialEq)]
struct Revision {
    name: String,
    template: Value,
}

impl Revision {
    fn of(revision: &Value) -> Self {
        Revision { name: text(revision, "/metadata/name").to_owned(), template: template_of(revision) }
    }
}

/// The reconciler of StatefulSets.
pub(crate) struct StatefulSets {
    access: Access,
    index: Arc<SelectorIndex>,
    templates: Arc<Templates>,
    revisions: Revisions,
    pace: Pace,
}

impl StatefulSets {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        let access = Access::new(client, "statefulset-controller");
        StatefulSets {
            index: Arc::default(),
            templates: Arc::default(),
            revisions: Revisions {
                access: access.clone(),
                owners: OWNERS,
                hash_label: "controller.kubernetes.io/hash",
                releases: false,
            },
            access,
            pace: Pace::default(),
        }
    }

    /// Records what became of one thing that was done: `Create`, `Update` or `Delete`.
    fn tell(
        &self,
        tenant: TenantId,
        set: &Value,
        verb: &str,
        what: What<'_>,
        result: Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        match &result {
            Ok(()) => {
                let message = what.message(verb, set, None);
                let reason = format!("Successful{verb}");
                self.access.event(tenant, set, Severity::Normal, &reason, &message);
            }
            // Seen by a list that lagged, or refused since everything of the namespace goes.
            Err(error) if error.is_already_exists() || refused_by_ending_namespace(error) => {}
            Err(error) => {
                let message = what.message(verb, set, Some(error));
                self.access.event(tenant, set, Severity::Warning, &format!("Failed{verb}"), &message);
            }
        }
        result
    }

    async fn claims_of(&self, tenant: TenantId, set: &Value) -> Result<Claims, ApiError> {
        let templates = elements(set, "/spec/volumeClaimTemplates");
        if templates.is_empty() {
            return Ok(Claims::new());
        }
        let namespace = text(set, "/metadata/namespace");
        let listed = self.access.list(tenant, &PERSISTENT_VOLUME_CLAIMS, namespace).await?;
        let is_ours = |name: &str| {
            templates.iter().any(|template| {
                let pod =
                    name.strip_prefix(text(template, "/metadata/name")).and_then(|n| n.strip_prefix('-'));
                pod.is_some_and(|pod| identity::ordinal(text(set, "/metadata/name"), pod).is_some())
            })
        };
        let ours = listed.iter().filter(|claim| is_ours(&claim.name.name));
        ours.map(|claim| Ok((claim.name.name.to_string(), claim.value()?))).collect()
    }

    async fn work_on_claim(
        &self,
        tenant: TenantId,
        set: &Value,
        pod: &str,
        work: ClaimWork,
    ) -> Result<(), ApiError> {
        match work {
            ClaimWork::Create(claim) => {
                let namespace = text(set, "/metadata/namespace");
                let name = text(&claim, "/metadata/name").to_owned();
                let created = self.access.create(tenant, &PERSISTENT_VOLUME_CLAIMS, namespace, claim).await;
                let what = What::Claim { name: &name, pod };
                self.tell(tenant, set, "Create", what, created.map(drop))
            }
            ClaimWork::Change { old, new } => {
                let resource = &PERSISTENT_VOLUME_CLAIMS;
                self.access.change(tenant, resource, "", &old, &new).await.map(drop)
            }
            ClaimWork::Ending(name) => Err(ApiError::unavailable(format!("pvc {name} is being deleted"), 1)),
            ClaimWork::Conflict(name) => {
                let message = format!(
                    "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a managing \
                     controller, the retention policy is ignored for this claim"
                );
                self.access.event(tenant, set, Severity::Warning, "ConflictingController", &message);
                Ok(())
            }
        }
    }

    async fn work_on_claims(
        &self,
        tenant: TenantId,
        set: &Value,
        pod: &str,
        all: Vec<ClaimWork>,
    ) -> Result<(), ApiError> {
        for work in all {
            self.work_on_claim(tenant, set, pod, work).await?;
        }
        Ok(())
    }

    async fn act(&self, tenant: TenantId, set: &Value, action: Action) -> Result<(), ApiError> {
        match action {
            Action::Create { pod, claims } => {
                let namespace = text(set, "/metadata/namespace");
                let name = text(&pod, "/metadata/name").to_owned();
                let done = match self.work_on_claims(tenant, set, &name, claims).await {
                    Ok(()) => self.access.create(tenant, &PODS, namespace, pod).await.map(drop),
                    Err(error) => Err(error),
                };
                self.tell(tenant, set, "Create", What::Pod(&name), done)
            }
            Action::Claims { pod, work, told } => {
                let done = self.work_on_claims(tenant, set, &pod, work).await;
                if told || done.is_err() {
                    return self.tell(tenant, set, "Update", What::Pod(&pod), done);
                }
                Ok(())
            }
            Action::Update { old, new, claims } => {
                let name = text(&old, "/metadata/name");
                let done = match self.work_on_claims(tenant, set, name, claims).await {
                    Ok(()) => self.access.change(tenant, &PODS, "", &old, &new).await.map(drop),
                    Err(error) => Err(error),
                };
                self.tell(tenant, set, "Update", What::Pod(name), done)
            }
            Action::Delete(pod) => {
                let done = self.access.delete(tenant, &PODS, &pod, Delete::default()).await;
                self.tell(tenant, set, "Delete", What::Pod(text(&pod, "/metadata/name")), done)
            }
        }
    }

    /// Does what is planned, in batches that double while they succeed; why not all of it.
    async fn act_all(
        &self,
        tenant: TenantId,
        set: &Value,
        phases: Vec<Vec<Action>>,
        parallel: bool,
    ) -> Result<(), ApiError> {
        for phase in phases {
            let (mut actions, mut batch) = (phase.into_iter(), 1);
            while actions.len() > 0 {
                let now = actions.by_ref().take(batch).map(|action| self.act(tenant, set, action));
                join_all(now).await.into_iter().collect::<Result<(), _>>()?;
                if parallel {
                    batch = (2 * batch).min(BURST);
                }
            }
        }
        Ok(())
    }

    /// The current and the new revision, all that there are, and the count of collisions. A set that is being
    /// deleted makes no revisions: it has those that its status names. `None`: it names none.
    async fn revisions_of(
        &self,
        tenant: TenantId,
        set: &Value,
        selector: &Selector,
    ) -> Result<Option<History>, ApiError> {
        let deleting = is_deleting(set);
        let claimant = Claimant { uid: text(set, "/metadata/uid"), deleting };
        let mut all = self.revisions.list(tenant, set, selector, claimant).await?;
        if deleting && !matches!(choose(&all, &data_of(&set["spec"]["template"])), Choice::Keep(_)) {
            let named = |field: &str| {
                let name = Some(text(&set["status"], field)).filter(|name| !name.is_empty())?;
                Some(Revision { name: name.to_owned(), template: set["spec"]["template"].clone() })
            };
            let both = named("/currentRevision").zip(named("/updateRevision"));
            let collisions = number(set, "/status/collisionCount").unwrap_or(0);
            return Ok(both.map(|(current, update)| History { all, current, update, collisions }));
        }
        let (newest, collisions) = self.revisions.bring_about(tenant, set, &mut all).await?;
        let update = Revision::of(&all[newest]);
        let known = text(set, "/status/currentRevision");
        let current = all.iter().find(|revision| text(revision, "/metadata/name") == known);
        let current = current.map_or_else(|| update.clone(), Revision::of);
        Ok(Some(History { all, current, update, collisions }))
    }

    async fn step(
        &self,
        tenant: TenantId,
        set: &Value,
        history: &History,
        pods: &[Value],
    ) -> Result<Next, ApiError> {
        let claims = self.claims_of(tenant, set).await?;
        let Plan { phases, parallel, status, status_when_done, look_again } = plan(State {
            set,
            current: &history.current,
            update: &history.update,
            collisions: history.collisions,
            pods,
            claims: &claims,
            now: Timestamp::now(),
        });
        let done = self.act_all(tenant, set, phases, parallel).await;
        let status = if done.is_ok() { status_when_done } else { status };
        let told = self.access.set_status(tenant, &STATEFUL_SETS, set, status).await;
        if !is_deleting(set) {
            self.revisions.delete(tenant, &history.surplus(set, pods)).await?;
        }
        done?;
        told?;
        Ok(look_again.map_or(Next::OnEvent, Next::After))
    }
}

/// What an event is about.
#[derive(Clone, Copy)]
enum What<'a> {
    Pod(&'a str),
    Claim { name: &'a str, pod: &'a str },
}

impl What<'_> {
    fn message(self, verb: &str, set: &Value, error: Option<&ApiError>) -> String {
        let set = text(set, "/metadata/name");
        match (self, error.map(ApiError::message)) {
            (What::Pod(name), None) => format!("{verb} Pod {name} in StatefulSet {set} successful"),
            (What::Pod(name), Some(why)) => {
                format!("{verb} Pod {name} in StatefulSet {set} failed error: {why}")
            }
            (What::Claim { name, pod }, None) => {
                format!("{verb} Claim {name} Pod {pod} in StatefulSet {set} success")
            }
            (What::Claim { name, pod }, Some(why)) => {
                format!("{verb} Claim {name} for Pod {pod} in StatefulSet {set} failed error: {why}")
            }
        }
    }
}

/// What a set was and is.
struct History {
    all: Vec<Value>,
    current: Revision,
    update: Revision,
    collisions: i64,
}

impl History {
    /// Revisions beyond the limit that no pod has, the oldest ones. A negative limit keeps all.
    fn surplus(&self, set: &Value, pods: &[Value]) -> Vec<&Value> {
        let limit = number(set, "/spec/revisionHistoryLimit").unwrap_or(10);
        let Ok(limit) = usize::try_from(limit) else { return vec![] };
        let mut live: HashSet<&str> = pods.iter().map(identity::revision).collect();
        live.extend([self.current.name.as_str(), self.update.name.as_str()]);
        let is_live = |revision: &&Value| live.contains(text(revision, "/metadata/name"));
        let mut old: Vec<&Value> = self.all.iter().filter(|revision| !is_live(revision)).collect();
        old.truncate(old.len().saturating_sub(limit));
        old
    }
}

#[async_trait]
impl Reconciler for StatefulSets {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let own = self.index.clone();
        let (known, templates) = (self.templates.clone(), self.templates.clone());
        vec![
            Trigger::seen(STATEFUL_SETS.group_resource(), Scope::All, move |object, seen| {
                let value = object.value().unwrap_or_default();
                own.set(object.tenant, &object.name, Selector::parse(&value["spec"]["selector"]));
                let is_there = seen == Seen::There;
                known.set(object.tenant, &object.name, if is_there { &value } else { &Value::Null });
                vec![object.name.clone()]
            }),
            self.index.owners(PODS.group_resource(), "StatefulSet"),
            Trigger::seen(
                PERSISTENT_VOLUME_CLAIMS.group_resource(),
                Scope::All,
                move |claim, seen| match seen {
                    Seen::Gone => templates.due(claim),
                    Seen::There => vec![],
                },
            ),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if let Some(rest) = self.pace.wait(tenant, key) {
            return Ok(Next::After(rest));
        }
        let Some(set) = self.access.get(tenant, &STATEFUL_SETS, &key.namespace, &key.name).await? else {
            self.index.set(tenant, key, None);
            self.templates.set(tenant, key, &Value::Null);
            return Ok(Next::OnEvent);
        };
        let selector = Selector::parse(&set["spec"]["selector"]).filter(|selector| !selector.is_empty());
        let Some(selector) = selector else { return Ok(Next::OnEvent) };
        let claimant = Claimant { uid: text(&set, "/metadata/uid"), deleting: is_deleting(&set) };
        let listed = self.access.claimable(tenant, &key.namespace, claimant, &selector).await?;
        let claims = listed.objects.iter().map(|pod| {
            let is_named = identity::ordinal(&key.name, &pod.name.name).is_some();
            let matches = is_named && selector.matches(&pod.meta.labels);
            (pod, claims::claim(&pod.meta, matches, claimant))
        });
        let owner = Owner {
            resource: &STATEFUL_SETS,
            object: &set,
            finalizer: None,
            concerns: claims::everything,
            reads: &slim::DECIDED,
        };
        let pods = claims::settle(&self.access, tenant, owner, &PODS, claims.collect()).await?;
        self.pace.worked(tenant, key, pods.len());
        let done = match self.revisions_of(tenant, &set, &selector).await {
            Ok(Some(history)) => self.step(tenant, &set, &history, &pods).await,
            Ok(None) => Ok(Next::OnEvent),
            Err(error) => Err(error),
        };
        match done {
            // Everything of the namespace goes.
            Err(error) if refused_by_ending_namespace(&error) => Ok(Next::OnEvent),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests;
