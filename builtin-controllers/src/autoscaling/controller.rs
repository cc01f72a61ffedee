//! The reconciler of HorizontalPodAutoscalers.

use super::limits::{Asked, History};
use super::metrics::Metrics;
use super::proposals::{self, Failure, Scaled};
use super::status::Status;
use super::target::{Scale, Scales};
use crate::access::{Access, number, text};
use crate::events::Severity;
use crate::resources::{AUTOSCALERS, PODS};
use crate::slim;
use api_resources::selectors::LabelSelector;
use async_trait::async_trait;
use jiff::Timestamp;
use plane_client::{
    ApiError, Meta, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, ServedApis, TenantId, Trigger,
};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often an autoscaler is looked at.
const PERIOD: Duration = Duration::from_secs(15);

/// What time it is.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What is remembered of an autoscaler.
#[derive(Default)]
struct Memory {
    /// Which object it is.
    uid: String,
    history: History,
    /// What its target's pods are selected by, once that is known.
    selector: Option<LabelSelector>,
    /// When it is its turn.
    due: Option<Timestamp>,
}

/// The reconciler of HorizontalPodAutoscalers.
pub(crate) struct Autoscalers {
    access: Access,
    apis: Arc<dyn ServedApis>,
    memories: Mutex<HashMap<TenantId, HashMap<ObjectName, Memory>>>,
    clock: Clock,
}

impl Autoscalers {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, apis: Arc<dyn ServedApis>) -> Self {
        Self::by_clock(client, apis, Arc::new(Timestamp::now))
    }

    pub(super) fn by_clock(client: Arc<dyn PlaneClient>, apis: Arc<dyn ServedApis>, clock: Clock) -> Self {
        let access = Access::new(client, "horizontal-pod-autoscaler-controller");
        let access = access.reporting_as("horizontal-pod-autoscaler");
        Autoscalers { access, apis, memories: Mutex::default(), clock }
    }

    /// What is remembered of the autoscalers of a plane.
    fn remembered<R>(&self, tenant: TenantId, act: impl FnOnce(&mut HashMap<ObjectName, Memory>) -> R) -> R {
        let mut all = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        let of_plane = all.entry(tenant).or_default();
        let result = act(of_plane);
        if of_plane.is_empty() {
            all.remove(&tenant);
        }
        result
    }

    fn memory<R>(&self, tenant: TenantId, key: &ObjectName, act: impl FnOnce(&mut Memory) -> R) -> R {
        self.remembered(tenant, |all| act(all.entry(key.clone()).or_default()))
    }

    /// How long the autoscaler has to wait for its turn; `None`: it is its turn, and the next is noted. As in
    /// Kubernetes the first is a period after it is seen, and a change waits for the turn too.
    fn wait(
        &self,
        tenant: TenantId,
        key: &ObjectName,
        autoscaler: &Value,
        now: Timestamp,
    ) -> Option<Duration> {
        self.memory(tenant, key, |memory| {
            let uid = text(autoscaler, "/metadata/uid");
            if memory.uid != uid {
                *memory = Memory { uid: uid.to_owned(), ..Memory::default() };
            }
            let rest = memory.due.map_or(PERIOD, |due| {
                // A clock that was set back makes nobody wait for longer than a period.
                Duration::try_from(due.duration_since(now)).unwrap_or_default().min(PERIOD)
            });
            let next = if rest.is_zero() { PERIOD } else { rest };
            memory.due = now.checked_add(next).ok();
            (!rest.is_zero()).then_some(rest)
        })
    }
}

/// One look at an autoscaler.
struct Look<'a> {
    all: &'a Autoscalers,
    tenant: TenantId,
    key: &'a ObjectName,
    autoscaler: &'a Value,
    now: Timestamp,
}

/// What a look decided of the replicas.
struct Decision {
    replicas: i64,
    why: String,
    metrics: Vec<Value>,
}

/// The pods of a selector, and what says whom they belong to.
struct Selected {
    pods: Vec<Value>,
    metas: Vec<Arc<Meta>>,
}

impl Look<'_> {
    fn tell(&self, severity: Severity, reason: &str, message: &str) {
        self.all.access.event(self.tenant, self.autoscaler, severity, reason, message);
    }

    fn warn(&self, reason: &str, message: &str) {
        self.tell(Severity::Warning, reason, message);
    }

    fn memory<R>(&self, act: impl FnOnce(&mut Memory) -> R) -> R {
        self.all.memory(self.tenant, self.key, act)
    }

    async fn write(&self, status: Status) -> Result<(), ApiError> {
        let written =
            self.all.access.set_status(self.tenant, &AUTOSCALERS, self.autoscaler, status.done()).await;
        written.map(drop)
    }

    async fn look(&self) -> Result<(), ApiError> {
        let mut status = Status::of(self.autoscaler, self.now);
        let scales = Scales { access: &self.all.access, apis: &self.all.apis, tenant: self.tenant };
        let scale = match scales.get(self.autoscaler).await? {
            Ok(scale) => scale,
            Err(why) => {
                self.warn("FailedGetScale", &why);
                let message =
                    format!("the HPA controller was unable to get the target's current scale: {why}");
                status.set("AbleToScale", false, "FailedGetScale", message);
                return self.write(status).await;
            }
        };
        let able = "the HPA controller was able to get the target's current scale";
        status.set("AbleToScale", true, "SucceededGetScale", able);
        let current = number(&scale.object, "/spec/replicas").unwrap_or(0);
        self.memory(|memory| memory.history.begin(current, self.now));
        let Some(decision) = self.decide(&mut status, &scale, current).await? else {
            return self.write(status).await;
        };
        let Decision { replicas, why, metrics } = decision;
        if replicas == current {
            status.count(current, Some(current), metrics);
            return self.write(status).await;
        }
        if let Err(error) = scales.set(scale, replicas).await {
            let error = error.message();
            self.warn("FailedRescale", &format!("New size: {replicas}; reason: {why}; error: {error}"));
            let message = format!("the HPA controller was unable to update the target scale: {error}");
            status.set("AbleToScale", false, "FailedUpdateScale", message);
            status.count(current, None, metrics);
            return self.write(status).await;
        }
        let message = format!("the HPA controller was able to update the target scale to {replicas}");
        status.set("AbleToScale", true, "SucceededRescale", message);
        self.tell(Severity::Normal, "SuccessfulRescale", &format!("New size: {replicas}; reason: {why}"));
        if !self.autoscaler["spec"]["behavior"].is_null() {
            self.memory(|memory| memory.history.scaled(current, replicas, self.now));
        }
        status.remove(SCALED_TO_ZERO);
        status.count(current, Some(replicas), metrics);
        status.scaled();
        self.write(status).await
    }

    /// How many replicas there are to be; `None`: that cannot be told, and the status says why.
    async fn decide(
        &self,
        status: &mut Status,
        scale: &Scale,
        current: i64,
    ) -> Result<Option<Decision>, ApiError> {
        let least = number(self.autoscaler, "/spec/minReplicas").unwrap_or(1);
        let most = number(self.autoscaler, "/spec/maxReplicas").unwrap_or(0);
        let plain = |replicas, why: &str| Decision { replicas, why: why.to_owned(), metrics: Vec::new() };
        if current == 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            status.set("ScalingActive", false, "ScalingDisabled", message);
            status.remove(SCALED_TO_ZERO);
            return Ok(Some(plain(0, "")));
        }
        if current > most {
            return Ok(Some(plain(most, "Current number of replicas above Spec.MaxReplicas")));
        }
        if current < least {
            return Ok(Some(plain(least, "Current number of replicas below Spec.MinReplicas")));
        }
        let Some((selector, Selected { pods, .. })) = self.select(status, scale).await? else {
            self.give_up(status, current, Vec::new());
            return Ok(None);
        };
        let there = number(&scale.object, "/status/replicas").unwrap_or(0);
        let scaled = Scaled { selector, pods: &pods, current, there, now: self.now };
        let metrics = Metrics {
            apis: &self.all.apis,
            client: self.all.access.client(),
            tenant: self.tenant,
            namespace: &self.key.namespace,
        };
        let verdict = proposals::verdict(&metrics, self.autoscaler, &scaled).await;
        for Failure { reason, why, .. } in &verdict.failures {
            self.warn(reason, why);
        }
        let (desired, metric) = match verdict.asked {
            Ok(asked) => asked,
            Err(Failure { reason, why, .. }) => {
                let message = format!("the HPA was unable to compute the replica count: {why}");
                status.set("ScalingActive", false, reason, message);
                self.give_up(status, current, verdict.statuses);
                self.warn("FailedComputeMetricsReplicas", verdict.error.as_deref().unwrap_or(""));
                return Ok(None);
            }
        };
        let message = format!("the HPA was able to successfully calculate a replica count from {metric}");
        status.set("ScalingActive", true, "ValidMetricFound", message);
        let why = match desired {
            _ if desired > current => format!("{metric} above target"),
            _ if desired < current => "All metrics below target".to_owned(),
            _ => String::new(),
        };
        let behavior = &self.autoscaler["spec"]["behavior"];
        let asked = Asked { current, desired, least, most };
        let given = self.memory(|memory| memory.history.limit(asked, behavior, self.now));
        status.set("AbleToScale", true, given.able.0, given.able.1);
        let (is_limited, (reason, message)) = given.limited;
        status.set("ScalingLimited", is_limited, reason, message);
        Ok(Some(Decision { replicas: given.replicas, why, metrics: verdict.statuses }))
    }

    /// The replicas stay as they are.
    fn give_up(&self, status: &mut Status, current: i64, metrics: Vec<Value>) {
        status.count(current, None, metrics);
    }

    /// The pods of the target, which have to be nobody else's; `None`: the status says why there are none.
    async fn select(
        &self,
        status: &mut Status,
        scale: &Scale,
    ) -> Result<Option<(LabelSelector, Selected)>, ApiError> {
        let said = text(&scale.object, "/status/selector");
        if said.is_empty() {
            let message = "the HPA target's scale is missing a selector";
            status.set("ScalingActive", false, "InvalidSelector", message);
            return Ok(self.unselected("SelectorRequired", "selector is required"));
        }
        let selector = scale.selector.clone();
        self.memory(|memory| memory.selector = Some(selector.clone()));
        let listed = self.all.access.list(self.tenant, &PODS, &self.key.namespace).await?;
        let selected: Vec<&Object> = listed.iter().filter(|pod| selector.matches(&pod.meta.labels)).collect();
        let selected = Selected {
            pods: selected.iter().map(|pod| slim::decode(pod, &slim::DECIDED)).collect::<Result<_, _>>()?,
            metas: selected.iter().map(|pod| pod.meta.clone()).collect(),
        };
        let by = self.scaled_by(&selected.metas);
        if by.len() > 1 {
            let names: Vec<String> =
                by.iter().map(|name| format!("{{{name} {}}}", self.key.namespace)).collect();
            let why =
                format!("pods by selector {said} are controlled by multiple HPAs: [{}]", names.join(" "));
            status.set("ScalingActive", false, "AmbiguousSelector", &why);
            return Ok(self.unselected("AmbiguousSelector", &why));
        }
        Ok(Some((selector, selected)))
    }

    fn unselected<T>(&self, reason: &str, why: &str) -> Option<T> {
        self.warn(reason, why);
        self.warn("FailedComputeMetricsReplicas", why);
        None
    }

    /// The autoscalers of the namespace whose targets have some of these pods.
    fn scaled_by(&self, pods: &[Arc<Meta>]) -> Vec<String> {
        let mut names: Vec<String> = self.all.remembered(self.tenant, |all| {
            let here = all.iter().filter(|(name, _)| name.namespace == self.key.namespace);
            let has = |memory: &Memory| {
                let selector = memory.selector.as_ref();
                selector.is_some_and(|selector| pods.iter().any(|meta| selector.matches(&meta.labels)))
            };
            here.filter(|(_, memory)| has(memory)).map(|(name, _)| name.name.to_string()).collect()
        });
        names.sort_unstable();
        names
    }
}

/// A condition that Kubernetes has only where it scales to zero.
const SCALED_TO_ZERO: &str = "ScaledToZero";

#[async_trait]
impl Reconciler for Autoscalers {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(AUTOSCALERS.group_resource(), Scope::All)]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let found = self.access.get(tenant, &AUTOSCALERS, &key.namespace, &key.name).await?;
        let Some(autoscaler) = found else {
            self.remembered(tenant, |all| all.remove(key));
            return Ok(Next::OnEvent);
        };
        let now = (self.clock)();
        if let Some(rest) = self.wait(tenant, key, &autoscaler, now) {
            return Ok(Next::After(rest));
        }
        let look = Look { all: self, tenant, key, autoscaler: &autoscaler, now };
        if let Err(error) = look.look().await {
            // What was changed meanwhile is looked at again in its turn.
            tracing::debug!(%tenant, %key, %error, "an autoscaler could not be worked on");
        }
        Ok(Next::After(PERIOD))
    }
}

#[cfg(test)]
mod tests;
