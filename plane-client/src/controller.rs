//! The loop that most services are: events name keys, workers bring state about.
//!
//! Guarantees: level-triggered (a key is worked on after its last event, with the state of then); one worker for
//! a key at a time; tenants take turns; a failed key comes again, for ever. Assumes that [`Reconciler::reconcile`]
//! reads what it needs anew and can be repeated. Caveat: objects removed while a watch was interrupted cause no
//! event; a reconciler that must see them asks for a patrol with [`Next::After`] or lists in a patrol of its own.

use crate::client::{Object, PlaneClient, Scope, WatchItem};
use crate::watch::Watch;
use api_types::{ApiError, GroupResource, ObjectName, TenantId};
use async_trait::async_trait;
use service_runtime::{FairQueue, QueueLimits, Shutdown};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};

/// What a controller does for one key.
#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    /// For logs and metrics: `deployment`.
    fn name(&self) -> &'static str;

    /// What makes keys due.
    fn triggers(&self) -> Vec<Trigger>;

    /// What makes keys due too, as it is found out while the controller runs. Asked once, when it begins to run.
    fn found_triggers(&self) -> Option<mpsc::Receiver<Trigger>> {
        None
    }

    /// Brings about what the objects say, for one key of one plane.
    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError>;
}

/// When to look at the key again, without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When an event says so.
    OnEvent,
    /// After this time, or when an event says so.
    After(Duration),
}

/// Which keys an event of a resource makes due.
pub type MapFn = Arc<dyn Fn(&Object, Seen) -> Vec<ObjectName> + Send + Sync>;

/// What an event tells of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    There,
    /// It is gone.
    Gone,
}

/// A watched resource, and the keys that its events make due.
#[derive(Clone)]
pub struct Trigger {
    /// The resource.
    pub resource: GroupResource,
    /// Over which planes.
    pub scope: Scope,
    /// From an event's object to keys.
    pub map: MapFn,
}

impl Trigger {
    /// Events of the resource make the object itself due.
    pub fn own(resource: GroupResource, scope: Scope) -> Self {
        Self::mapped(resource, scope, |object| vec![object.name.clone()])
    }

    /// Events of the resource make the managing controller of this kind due.
    pub fn controlled_by(resource: GroupResource, scope: Scope, kind: &'static str) -> Self {
        Self::mapped(resource, scope, move |object| {
            let owner = object.meta.controller().filter(|owner| owner.kind == kind);
            owner.map(|owner| ObjectName::new(&object.name.namespace, &owner.name)).into_iter().collect()
        })
    }

    /// Events of the resource make the keys due that `map` names.
    pub fn mapped(
        resource: GroupResource,
        scope: Scope,
        map: impl Fn(&Object) -> Vec<ObjectName> + Send + Sync + 'static,
    ) -> Self {
        Self::seen(resource, scope, move |object, _| map(object))
    }

    /// Events of the resource make the keys due that `map` names, which is told what the event says of its object.
    pub fn seen(
        resource: GroupResource,
        scope: Scope,
        map: impl Fn(&Object, Seen) -> Vec<ObjectName> + Send + Sync + 'static,
    ) -> Self {
        Trigger { resource, scope, map: Arc::new(map) }
    }
}

/// Runs a reconciler.
pub struct Controller {
    client: Arc<dyn PlaneClient>,
    reconciler: Arc<dyn Reconciler>,
    queue: FairQueue<TenantId, ObjectName>,
    workers: usize,
}

impl Controller {
    /// A controller with so many workers over all planes.
    pub fn new(client: Arc<dyn PlaneClient>, reconciler: Arc<dyn Reconciler>, workers: usize) -> Self {
        Controller {
            client,
            reconciler,
            queue: FairQueue::new(QueueLimits::default()),
            workers: workers.max(1),
        }
    }

    /// Its queue, to add keys by hand and to set weights.
    pub fn queue(&self) -> FairQueue<TenantId, ObjectName> {
        self.queue.clone()
    }

    /// Runs until shutdown; workers finish the key they are at. A worker that panics is replaced and its key comes
    /// again as a failed one; a watch whose mapping panics is made again after a second.
    pub async fn run(self, shutdown: Shutdown) {
        let mut triggers = self.reconciler.triggers();
        let mut found = self.reconciler.found_triggers();
        let mut tasks = JoinSet::new();
        let mut parts: HashMap<Id, Part> = HashMap::new();
        for index in 0..triggers.len() {
            self.spawn(&mut tasks, &mut parts, Part::Feed(index), &triggers, &shutdown);
        }
        for _ in 0..self.workers {
            self.spawn(&mut tasks, &mut parts, Part::Worker, &triggers, &shutdown);
        }
        loop {
            let ended = tokio::select! {
                () = shutdown.requested() => break,
                trigger = next(&mut found) => {
                    triggers.push(trigger);
                    let part = Part::Feed(triggers.len() - 1);
                    self.spawn(&mut tasks, &mut parts, part, &triggers, &shutdown);
                    continue;
                }
                ended = tasks.join_next_with_id() => ended,
            };
            let id = match ended {
                Some(Ok((id, ()))) => id,
                Some(Err(error)) => {
                    tracing::error!(controller = self.reconciler.name(), %error, "a task of the controller failed");
                    error.id()
                }
                None => break,
            };
            let part = parts.remove(&id);
            if let Some(part) = part.filter(|_| !shutdown.is_requested()) {
                self.spawn(&mut tasks, &mut parts, part.again(), &triggers, &shutdown);
            }
        }
        self.queue.close();
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(controller = self.reconciler.name(), %error, "a task of the controller failed");
            }
        }
    }

    fn spawn(
        &self,
        tasks: &mut JoinSet<()>,
        parts: &mut HashMap<Id, Part>,
        part: Part,
        triggers: &[Trigger],
        shutdown: &Shutdown,
    ) {
        let handle = match part {
            Part::Worker => tasks.spawn(work(self.reconciler.clone(), self.queue.clone())),
            Part::Feed(index) | Part::FeedAgain(index) => {
                let (client, queue, shutdown) = (self.client.clone(), self.queue.clone(), shutdown.clone());
                let delay = if matches!(part, Part::FeedAgain(_)) { FEED_DELAY } else { Duration::ZERO };
                let trigger = triggers[index].clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = shutdown.requested() => return,
                    }
                    feed(client, trigger, queue, shutdown).await;
                })
            }
        };
        parts.insert(handle.id(), part);
    }
}

/// The next trigger that is found; never, when none can come.
async fn next(found: &mut Option<mpsc::Receiver<Trigger>>) -> Trigger {
    if let Some(receiver) = found {
        if let Some(trigger) = receiver.recv().await {
            return trigger;
        }
        *found = None;
    }
    std::future::pending().await
}

/// How long a watch whose task failed waits before it is made again.
const FEED_DELAY: Duration = Duration::from_secs(1);

/// What a task of a controller does.
#[derive(Clone, Copy)]
enum Part {
    Worker,
    /// The trigger of this index.
    Feed(usize),
    /// The same after it failed.
    FeedAgain(usize),
}

impl Part {
    fn again(self) -> Self {
        match self {
            Part::Worker => Part::Worker,
            Part::Feed(index) | Part::FeedAgain(index) => Part::FeedAgain(index),
        }
    }
}

/// Turns events into keys until shutdown; a watch that ends is made again.
async fn feed(
    client: Arc<dyn PlaneClient>,
    trigger: Trigger,
    queue: FairQueue<TenantId, ObjectName>,
    shutdown: Shutdown,
) {
    let mut watch = Watch::new(client, trigger.resource.clone(), trigger.scope, shutdown);
    while let Some(item) = watch.next().await {
        let (object, seen) = match item {
            WatchItem::Applied(object) => (object, Seen::There),
            WatchItem::Deleted(object) => (object, Seen::Gone),
            WatchItem::Synced => continue,
        };
        for key in (trigger.map)(&object, seen) {
            queue.add(object.tenant, key);
        }
    }
}

async fn work(reconciler: Arc<dyn Reconciler>, queue: FairQueue<TenantId, ObjectName>) {
    while let Some(lease) = queue.next().await {
        match reconciler.reconcile(lease.tenant, &lease.key).await {
            Ok(Next::OnEvent) => lease.done(None),
            Ok(Next::After(delay)) => lease.done(Some(delay)),
            Err(error) => {
                // A conflict is the ordinary way to learn of a newer version, and what is gone was there a moment ago.
                if error.is_conflict() || error.is_not_found() {
                    tracing::debug!(controller = reconciler.name(), tenant = %lease.tenant, key = %lease.key, %error, "again");
                } else {
                    tracing::warn!(controller = reconciler.name(), tenant = %lease.tenant, key = %lease.key, %error, "failed");
                }
                lease.failed();
            }
        }
    }
}

#[cfg(all(test, feature = "fake"))]
mod tests;
