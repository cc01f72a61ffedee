use super::*;
use crate::fake::FakePlanes;
use api_types::Reason;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// What a key does at each of its turns; the last for ever.
type Script = Vec<fn() -> Result<Next, ApiError>>;

struct Scripted {
    script: Script,
    turns: Mutex<Vec<(TenantId, String)>>,
    turned: Notify,
    /// The mapping panics so many times.
    map_panics: Arc<AtomicUsize>,
}

impl Scripted {
    fn new(script: Script) -> Arc<Self> {
        Arc::new(Scripted {
            script,
            turns: Mutex::default(),
            turned: Notify::new(),
            map_panics: Arc::new(AtomicUsize::new(0)),
        })
    }

    /// Waits for so many turns in all.
    async fn turns(&self, count: usize) -> Vec<(TenantId, String)> {
        loop {
            let turned = self.turned.notified();
            let turns = self.turns.lock().clone();
            if turns.len() >= count {
                return turns;
            }
            turned.await;
        }
    }
}

#[async_trait]
impl Reconciler for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn triggers(&self) -> Vec<Trigger> {
        let panics = self.map_panics.clone();
        vec![
            Trigger::mapped(GroupResource::new("", "configmaps"), Scope::Tenants, move |map| {
                let left =
                    panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                assert!(left.is_err(), "the mapping fails");
                vec![map.name.clone()]
            }),
            Trigger::controlled_by(GroupResource::new("", "pods"), Scope::All, "ReplicaSet"),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let turn = {
            let mut turns = self.turns.lock();
            turns.push((tenant, key.to_string()));
            turns.len() - 1
        };
        self.turned.notify_waiters();
        self.script.get(turn).or(self.script.last()).map_or(done(), |act| act())
    }
}

fn tenant() -> TenantId {
    TenantId::parse("00000000-0000-4000-8000-0000000000ff").unwrap_or(TenantId::HOST)
}

fn map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
}

fn start(planes: &FakePlanes, reconciler: &Arc<Scripted>) -> (Shutdown, tokio::task::JoinHandle<()>) {
    let shutdown = Shutdown::new();
    let controller = Controller::new(planes.client(), reconciler.clone(), 1);
    (shutdown.clone(), tokio::spawn(controller.run(shutdown)))
}

fn done() -> Result<Next, ApiError> {
    Ok(Next::OnEvent)
}

#[tokio::test(start_paused = true)]
async fn events_of_the_scope_make_keys_due() {
    let planes = FakePlanes::new();
    let reconciler = Scripted::new(vec![done]);
    let _running = start(&planes, &reconciler);
    planes.put(TenantId::HOST, map());
    planes.put(tenant(), map());
    assert_eq!(reconciler.turns(1).await, [(tenant(), "default/a".to_owned())]);
    let owner = |kind: &str| json!([{"kind": kind, "name": "web", "uid": "u", "controller": true}]);
    for (name, kind) in [("p", "Job"), ("q", "ReplicaSet")] {
        planes.put(
            TenantId::HOST,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "ownerReferences": owner(kind)}}),
        );
    }
    assert_eq!(reconciler.turns(2).await[1], (TenantId::HOST, "default/web".to_owned()));
    planes.remove(tenant(), &GroupResource::new("", "configmaps"), "default", "a");
    assert_eq!(reconciler.turns(3).await[2].1, "default/a", "a removal is an event too");
}

#[tokio::test(start_paused = true)]
async fn a_key_comes_again_after_a_failure_a_panic_and_a_delay() {
    let planes = FakePlanes::new();
    let fails = || Err(ApiError::new(Reason::ServiceUnavailable, "not now"));
    let reconciler =
        Scripted::new(vec![fails, || panic!("on purpose"), || Ok(Next::After(Duration::from_secs(7))), done]);
    let (shutdown, running) = start(&planes, &reconciler);
    planes.put(tenant(), map());
    reconciler.turns(3).await;
    let before = tokio::time::Instant::now();
    reconciler.turns(4).await;
    assert!(before.elapsed() >= Duration::from_secs(6));
    shutdown.trigger();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_panics_misses_nothing() {
    let planes = FakePlanes::new();
    let reconciler = Scripted::new(vec![done]);
    reconciler.map_panics.store(2, Ordering::SeqCst);
    let _running = start(&planes, &reconciler);
    planes.put(tenant(), map());
    reconciler.turns(1).await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_the_key_at_work() {
    struct Slow(Arc<Notify>, Arc<Notify>, Arc<AtomicUsize>);
    #[async_trait]
    impl Reconciler for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }
        fn triggers(&self) -> Vec<Trigger> {
            vec![Trigger::own(GroupResource::new("", "configmaps"), Scope::All)]
        }
        async fn reconcile(&self, _: TenantId, _: &ObjectName) -> Result<Next, ApiError> {
            self.0.notify_one();
            self.1.notified().await;
            self.2.fetch_add(1, Ordering::SeqCst);
            Ok(Next::OnEvent)
        }
    }
    let planes = FakePlanes::new();
    let (begun, go, finished) =
        (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let slow = Arc::new(Slow(begun.clone(), go.clone(), finished.clone()));
    let shutdown = Shutdown::new();
    let running = tokio::spawn(Controller::new(planes.client(), slow, 1).run(shutdown.clone()));
    planes.put(tenant(), map());
    begun.notified().await;
    shutdown.trigger();
    go.notify_one();
    running.await.unwrap();
    assert_eq!(finished.load(Ordering::SeqCst), 1);
}

/// Finds out with its first key that secrets matter too.
struct Finding {
    find: mpsc::Sender<Trigger>,
    found: Mutex<Option<mpsc::Receiver<Trigger>>>,
    seen: mpsc::UnboundedSender<String>,
}

#[async_trait]
impl Reconciler for Finding {
    fn name(&self) -> &'static str {
        "finding"
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(GroupResource::new("", "configmaps"), Scope::All)]
    }

    fn found_triggers(&self) -> Option<mpsc::Receiver<Trigger>> {
        self.found.lock().take()
    }

    async fn reconcile(&self, _: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let _ = self.seen.send(key.name.to_string());
        if key.name == "a" {
            let secrets = GroupResource::new("", "secrets");
            let gone = |object: &Object, seen| {
                if seen == Seen::Gone { vec![object.name.clone()] } else { Vec::new() }
            };
            let _ = self.find.send(Trigger::seen(secrets, Scope::All, gone)).await;
        }
        done()
    }
}

#[tokio::test(start_paused = true)]
async fn triggers_that_are_found_later_are_followed_too() {
    let planes = FakePlanes::new();
    let (find, found) = mpsc::channel(1);
    let (seen, mut turns) = mpsc::unbounded_channel();
    let reconciler = Arc::new(Finding { find, found: Mutex::new(Some(found)), seen });
    tokio::spawn(Controller::new(planes.client(), reconciler, 1).run(Shutdown::new()));
    planes.put(tenant(), map());
    assert_eq!(turns.recv().await.as_deref(), Some("a"));
    let secrets = GroupResource::new("", "secrets");
    // Until the watch is there, nobody is told of what goes.
    for index in 0.. {
        let name = format!("s{index}");
        planes.put(tenant(), json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(planes.remove(tenant(), &secrets, "default", &name));
        tokio::time::sleep(Duration::from_millis(1)).await;
        if let Ok(turn) = turns.try_recv() {
            assert!(turn.starts_with('s'), "{turn}");
            return;
        }
        assert!(index < 1_000, "what goes makes nothing due");
    }
}
