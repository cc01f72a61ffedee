//! The scheduler of the embedded super cluster: a node for every pod that has none, as kube-scheduler's default
//! profile chooses it.
//!
//! Guarantees: a pod is bound only to a node that every rule allows, counting what this scheduler bound a moment ago;
//! the most important pod is next; a pod that fits nowhere says why in the words of Kubernetes (`PodScheduled=False`,
//! `Unschedulable`, event `FailedScheduling`), takes the place of less important ones where that helps, and is tried
//! again when something happens that may help it, or after five minutes. Assumes that it is the only scheduler named
//! `default-scheduler` of its plane. Decisions are made one at a time from what watches told ([`cluster`]); rules are
//! pure functions in tables ([`plugins`]); writes go side by side ([`writing`]). Caveats: no dynamic resource claims;
//! limits of CSI drivers and capacities of storage are not looked at; of 100 nodes or more a part is compared, as
//! in Kubernetes.

mod amounts;
mod claims;
mod cluster;
mod counts;
mod cycle;
mod node;
mod placing;
mod plugins;
mod pod;
mod preemption;
mod queue;
mod terms;
mod watching;
mod workloads;
mod writing;

use crate::access::Access;
use crate::resources::{DISRUPTION_BUDGETS, PODS};
use cluster::Cluster;
use compact_str::CompactString;
use cycle::{Asked, Cycle, Nowhere, Outcome, change};
use jiff::Timestamp;
pub use placing::Placing;
use plane_client::{ApiError, Object, PlaneClient, TenantId};
use plugins::volumes::{Bindings, Volumes};
use pod::PodInfo;
use preemption::{Budget, Preemption, preempt};
use queue::Queue;
use service_runtime::Shutdown;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use watching::{News, Watches};
use workloads::Workloads;
use writing::{Saying, Writer};

/// The name by which pods ask for it.
const NAME: &str = "default-scheduler";
/// How often what is known is compared with what is there.
const PATROL: Duration = Duration::from_secs(60);
/// How many pods are being written at most before the next is looked at.
const UNDER_WAY: usize = 1024;

/// What became of a pod that was to be bound.
struct Bound {
    pod: Arc<PodInfo>,
    result: Result<bool, ApiError>,
}

/// What came of looking for a node.
enum Decision {
    Bind { node: CompactString, bindings: Bindings },
    Wait { nowhere: Nowhere, preemption: Preemption },
}

/// How long a scheduler that failed is left alone.
const RECOVERY: Duration = Duration::from_secs(1);

/// Runs the scheduler of a plane until shutdown. One that panics is told of, and begins anew with what is there.
pub(crate) async fn keep_running(client: Arc<dyn PlaneClient>, plane: TenantId, shutdown: Shutdown) {
    while let Err(error) = tokio::spawn(Scheduler::new(client.clone(), plane).run(shutdown.clone())).await {
        tracing::error!(%error, "the scheduler failed and is replaced");
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(RECOVERY) => {}
        }
    }
}

/// The scheduler of one plane.
struct Scheduler {
    access: Access,
    plane: TenantId,
    cluster: Cluster,
    queue: Queue,
    workloads: Workloads,
    writer: Writer,
    /// Counts changes of claims and volumes, for those that wait for them.
    storage: watch::Sender<u64>,
    /// Pods that are being bound.
    binding: HashSet<CompactString>,
    /// Pods that were seen to say what they were promised.
    promised: HashSet<CompactString>,
    tasks: JoinSet<Option<Bound>>,
    /// Where the next look begins.
    start: usize,
}

impl Scheduler {
    /// Must be called within a runtime.
    fn new(client: Arc<dyn PlaneClient>, plane: TenantId) -> Self {
        let access = Access::new(client, NAME);
        let (storage, changes) = watch::channel(0);
        Scheduler {
            writer: Writer::new(access.clone(), plane, changes),
            access,
            plane,
            cluster: Cluster::default(),
            queue: Queue::default(),
            workloads: Workloads::default(),
            storage,
            binding: HashSet::new(),
            promised: HashSet::new(),
            tasks: JoinSet::new(),
            start: 0,
        }
    }

    /// Runs until shutdown; then waits for what is being written. A pod that cannot be read, or whose writing fails, is
    /// logged and tried again, and holds up no other.
    async fn run(mut self, shutdown: Shutdown) {
        let mut watches = Watches::new(self.access.client(), self.plane, &shutdown);
        let mut patrol = tokio::time::interval(PATROL);
        loop {
            let may_wait = watches.are_synced() && self.tasks.len() < UNDER_WAY;
            let may_look = may_wait && self.queue.is_ready();
            let wake = self.queue.wakes_at().unwrap_or_else(|| Instant::now() + PATROL);
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                news = watches.next() => match news {
                    Some(news) => self.hear(news),
                    None => break,
                },
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => match done {
                    Ok(Some(bound)) => self.settle(bound).await,
                    Ok(None) => {}
                    Err(error) => tracing::error!(%error, "a task of the scheduler failed"),
                },
                _ = patrol.tick() => self.patrol().await,
                () = std::future::ready(()), if may_look => self.look().await,
                () = tokio::time::sleep_until(wake), if may_wait && !may_look => self.look().await,
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn hear(&mut self, news: News) {
        let heard = match news {
            News::Pod(object, is_there) => self.hear_of_pod(&object, is_there),
            News::Node(object, is_there) => self.hear_of_node(&object, is_there),
            News::Namespace(object, is_there) => {
                let labels = is_there.then(|| object.meta.labels.clone());
                let known = &mut self.cluster.namespaces;
                let before = match &labels {
                    Some(labels) => known.insert(object.name.name.clone(), labels.clone()),
                    None => known.remove(&object.name.name),
                };
                if before != labels {
                    self.queue.changed(change::NAMESPACE);
                }
                Ok(())
            }
            News::Service(object, is_there) => self.workloads.set_service(&object, is_there),
            News::Storage => {
                self.queue.changed(change::STORAGE);
                self.storage.send_modify(|count| *count += 1);
                Ok(())
            }
        };
        if let Err(error) = heard {
            tracing::warn!(%error, "the scheduler cannot read an object");
        }
    }

    fn hear_of_node(&mut self, object: &Object, is_there: bool) -> Result<(), ApiError> {
        let name = &object.name.name;
        if !is_there || object.meta.deleting {
            self.cluster.remove_node(name);
            return Ok(());
        }
        let facts = node::NodeFacts::of(&object.value()?);
        if self.cluster.node(name).is_none_or(|known| *known.facts != facts) {
            self.cluster.set_node(name, facts);
            self.queue.changed(change::NODE);
        }
        Ok(())
    }

    fn hear_of_pod(&mut self, object: &Object, is_there: bool) -> Result<(), ApiError> {
        let uid = &object.meta.uid;
        if !is_there {
            self.forget(uid);
            return Ok(());
        }
        let info = Arc::new(PodInfo::of(object)?);
        if !info.node.is_empty() {
            self.queue.remove(uid);
            self.binding.remove(uid);
            self.promised.remove(uid);
            self.cluster.nominate(&info, "");
            if info.has_ended {
                self.forget(uid);
                return Ok(());
            }
            let before = self.cluster.pod(uid).cloned();
            let happened = match &before {
                None => change::POD,
                Some(known) if known.is_deleting != info.is_deleting || known.labels != info.labels => {
                    change::POD | change::ROOM
                }
                Some(known) if known.needs != info.needs => change::ROOM,
                Some(_) => 0,
            };
            // Most of what is written of pods that run matters to nobody here.
            if before.is_none_or(|known| !known.counts_like(&info)) {
                self.cluster.put(info);
            }
            if happened != 0 {
                self.queue.changed(happened);
            }
            return Ok(());
        }
        if self.binding.contains(uid) {
            return Ok(());
        }
        let is_ours = info.scheduler.is_empty() || info.scheduler == NAME;
        if info.has_ended || info.is_deleting || info.is_gated || !is_ours {
            self.queue.remove(uid);
            self.promised.remove(uid);
            self.cluster.nominate(&info, "");
            return Ok(());
        }
        let promise = if info.nominated.is_empty() {
            // Not written yet, unless it was seen before: then it is taken back.
            let taken_back = self.promised.remove(uid);
            self.cluster.promise(uid).filter(|_| !taken_back).cloned().unwrap_or_default()
        } else {
            self.promised.insert(uid.clone());
            info.nominated.clone()
        };
        self.cluster.nominate(&info, &promise);
        self.queue.set(info);
        Ok(())
    }

    /// A pod is gone, or has ended.
    fn forget(&mut self, uid: &CompactString) {
        self.queue.remove(uid);
        self.binding.remove(uid);
        self.promised.remove(uid);
        self.cluster.break_promise(uid);
        if self.cluster.take(uid).is_some() {
            self.queue.changed(change::ROOM | change::POD);
        }
    }

    /// Looks for a node for the next pod.
    async fn look(&mut self) {
        let Some(next) = self.queue.next(Instant::now()) else { return };
        let uid = next.uid.clone();
        // What it was promised a moment ago is not in what was seen of it yet.
        let pod = match self.cluster.promise(&uid) {
            Some(promise) if *promise != next.nominated => {
                let mut pod = (*next).clone();
                pod.nominated = promise.clone();
                Arc::new(pod)
            }
            _ => next,
        };
        match self.decide(&pod).await {
            Ok(Decision::Bind { node, bindings }) => self.bind(&pod, node, bindings),
            Ok(Decision::Wait { nowhere, preemption }) => self.wait(&pod, &nowhere, preemption),
            Err(error) => {
                self.queue.failed(&uid, Instant::now());
                let message = error.message().to_owned();
                self.say(&pod, Saying { reason: "SchedulerError", message, nominated: None });
            }
        }
        tokio::task::yield_now().await;
    }

    async fn decide(&mut self, pod: &Arc<PodInfo>) -> Result<Decision, ApiError> {
        let volumes: Volumes = claims::read(&self.access, self.plane, pod).await?;
        let workload = match pod.spread.as_slice() {
            [] => Some(self.workloads.selector(&self.access, self.plane, pod).await?),
            _ => None,
        };
        let workload = workload.as_ref();
        let asked = Asked { pod, volumes: &volumes };
        let nowhere = match Cycle::new(&asked, &self.cluster) {
            Err(nowhere) => nowhere,
            Ok(cycle) => match cycle.look(workload, self.start) {
                Outcome::Nowhere(nowhere) => nowhere,
                Outcome::Fits { node, looked } => {
                    self.start = (self.start + looked) % self.cluster.len().max(1);
                    let bindings = self.cluster.node(&node).and_then(|node| volumes.serve(node));
                    return Ok(Decision::Bind { node, bindings: bindings.unwrap_or_default() });
                }
            },
        };
        let budgets = self.budgets(&nowhere).await?;
        let cycle = Cycle::new(&asked, &self.cluster).ok();
        let now = Timestamp::now();
        let preemption = preempt(pod, &self.cluster, cycle.as_ref(), &nowhere, &budgets, now);
        Ok(Decision::Wait { nowhere, preemption })
    }

    /// The disruption budgets, where pods could go.
    async fn budgets(&self, nowhere: &Nowhere) -> Result<Vec<Budget>, ApiError> {
        if !nowhere.refusals.values().any(|refusal| refusal.curable) {
            return Ok(Vec::new());
        }
        let listed = self.access.list(self.plane, &DISRUPTION_BUDGETS, "").await?;
        listed.iter().map(|budget| budget.value().map(|value| Budget::of(&value))).collect()
    }

    fn bind(&mut self, pod: &Arc<PodInfo>, node: CompactString, bindings: Bindings) {
        // Counted as there from now on.
        let mut placed = (**pod).clone();
        placed.node = node.clone();
        self.queue.remove(&pod.uid);
        self.cluster.nominate(pod, "");
        self.cluster.put(Arc::new(placed));
        self.binding.insert(pod.uid.clone());
        self.queue.changed(change::POD);
        let (writer, pod) = (self.writer.clone(), pod.clone());
        self.tasks.spawn(async move {
            let result = writer.bind(&pod, &node, &bindings).await;
            Some(Bound { pod, result })
        });
    }

    async fn settle(&mut self, Bound { pod, result }: Bound) {
        let failure = match result {
            Ok(true) => return,
            Ok(false) => None,
            Err(error) => Some(error),
        };
        // Whoever was seen to be bound meanwhile is no longer ours to settle.
        if !self.binding.remove(&pod.uid) {
            return;
        }
        self.cluster.take(&pod.uid);
        self.queue.changed(change::ROOM | change::POD);
        let found = self.access.client().get(self.plane, &PODS.group_resource(), &pod.name).await;
        if let Ok(Some(object)) = found
            && object.meta.uid == pod.uid
            && let Err(error) = self.hear_of_pod(&object, true)
        {
            tracing::warn!(%error, "the scheduler cannot read a pod");
        }
        if let Some(error) = failure {
            self.queue.failed(&pod.uid, Instant::now());
            let message = error.message().to_owned();
            self.say(
                &pod,
                Saying { reason: "SchedulerError", message, nominated: Some(CompactString::default()) },
            );
        }
    }

    fn wait(&mut self, pod: &Arc<PodInfo>, nowhere: &Nowhere, preemption: Preemption) {
        let helped_by = if nowhere.total == 0 { change::NODE } else { nowhere.helped_by };
        self.queue.stuck(&pod.uid, helped_by, Instant::now());
        let (message, nominated) = match preemption {
            Preemption::Helpless { why, keeps_promise } => {
                (nowhere.told(Some(&why)), (!keeps_promise).then(CompactString::default))
            }
            Preemption::Victims { node, uids } => {
                self.make_room(pod, &node, &uids);
                (nowhere.told(None), Some(node))
            }
        };
        if let Some(node) = &nominated {
            self.cluster.nominate(pod, node);
        }
        self.say(pod, Saying { reason: "Unschedulable", message, nominated });
    }

    /// Ends pods of a node, and takes the promise of the node from less important ones.
    fn make_room(&mut self, pod: &Arc<PodInfo>, node: &CompactString, victims: &[CompactString]) {
        for victim in victims.iter().filter_map(|uid| self.cluster.pod(uid).cloned()).collect::<Vec<_>>() {
            let (writer, by, node) = (self.writer.clone(), pod.clone(), node.clone());
            self.tasks.spawn(async move {
                if let Err(error) = writer.preempt(&victim, &by, &node).await {
                    tracing::warn!(pod = %victim.name, %error, "a pod could not be preempted");
                }
                None
            });
        }
        let others = self.cluster.nominated_to(node).iter();
        let less: Vec<Arc<PodInfo>> = others.filter(|other| other.priority < pod.priority).cloned().collect();
        for other in less {
            self.cluster.nominate(&other, "");
            let writer = self.writer.clone();
            self.tasks.spawn(async move {
                if let Err(error) = writer.promise(&other, "").await {
                    tracing::debug!(pod = %other.name, %error, "a promise could not be taken back");
                }
                None
            });
        }
    }

    fn say(&mut self, pod: &Arc<PodInfo>, saying: Saying) {
        let (writer, pod) = (self.writer.clone(), pod.clone());
        self.tasks.spawn(async move {
            if let Err(error) = writer.say(&pod, &saying).await {
                tracing::debug!(pod = %pod.name, %error, "why a pod has no node could not be written");
            }
            None
        });
    }

    /// Finds pods that are gone without being told, and wakes who waits for long.
    async fn patrol(&mut self) {
        self.queue.patrol(Instant::now());
        let Ok(listed) = self.access.list(self.plane, &PODS, "").await else { return };
        let live: HashSet<&CompactString> = listed.iter().map(|pod| &pod.meta.uid).collect();
        let gone = self.cluster.uids().chain(self.queue.uids()).filter(|uid| !live.contains(uid));
        for uid in gone.cloned().collect::<Vec<_>>() {
            self.forget(&uid);
        }
    }
}

#[cfg(test)]
mod tests;
