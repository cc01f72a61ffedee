//! Clients that read and write a few objects all at once, for as long as they are let.

use crate::client::{Client, PATH, Silence, mark, version};
use crate::history::{Counts, History};
use crate::watcher;
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::dice::Dice;
use tests::linearizable::{Action, Answer, Operation};
use tests::until;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const CLIENTS: u64 = 8;
/// Objects of one generation.
const OBJECTS: u64 = 4;
const WATCHERS: u64 = 4;
/// After a broken connection.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients and watchers at work.
pub struct Load {
    runtime: Runtime,
    shared: Arc<Shared>,
    kubeconfig: PathBuf,
    origin: Instant,
    tasks: Vec<JoinHandle<()>>,
    checked: u64,
}

/// What they share.
pub struct Shared {
    pub history: Mutex<History>,
    pub stopped: AtomicBool,
    generations: Mutex<Generations>,
    marks: AtomicU64,
}

/// Generations of objects: a new one begins after each fault, so that what is unknown of one object is not of all.
#[derive(Default)]
struct Generations {
    now: u64,
    /// How many clients are at work on one of before.
    busy: BTreeMap<u64, u32>,
}

impl Shared {
    /// A client begins something with an object of this generation, or of the one before.
    fn begin(&self, of_before: bool) -> u64 {
        let mut generations = self.generations.lock();
        let generation = generations.now.saturating_sub(u64::from(of_before));
        *generations.busy.entry(generation).or_default() += 1;
        generation
    }

    /// It is written down what became of that.
    fn end(&self, generation: u64) {
        let mut generations = self.generations.lock();
        if let Some(count) = generations.busy.get_mut(&generation) {
            *count -= 1;
            if *count == 0 {
                generations.busy.remove(&generation);
            }
        }
    }
}

impl Load {
    /// Starts them, as what a kubeconfig makes them.
    pub fn start(kubeconfig: &Path, seed: u64) -> Self {
        let runtime = Runtime::new().unwrap();
        let shared = Arc::new(Shared {
            history: Mutex::default(),
            stopped: AtomicBool::new(false),
            generations: Mutex::default(),
            marks: AtomicU64::new(1),
        });
        let origin = Instant::now();
        let mut load = Load {
            runtime,
            shared,
            kubeconfig: kubeconfig.to_owned(),
            origin,
            tasks: Vec::new(),
            checked: 0,
        };
        for number in 0..CLIENTS {
            let (client, shared) = (load.client(), load.shared.clone());
            let dice = Dice::new(seed.wrapping_mul(1000) + number);
            load.tasks.push(load.runtime.spawn(Writer { client, shared, dice, known: HashMap::new() }.run()));
        }
        for number in 0..WATCHERS {
            let (client, shared) = (load.client(), load.shared.clone());
            load.tasks.push(load.runtime.spawn(watcher::run(client, shared, number)));
        }
        load
    }

    pub fn client(&self) -> Client {
        self.runtime.block_on(Client::new(&self.kubeconfig, self.origin))
    }

    pub fn counts(&self) -> Counts {
        self.shared.history.lock().counts
    }

    /// Waits until so many more writes are acknowledged.
    pub fn goes_on(&self, more: u64) {
        let from = self.counts().acknowledged;
        until("writes are acknowledged", || {
            let counts = self.counts();
            if counts.acknowledged >= from + more { Ok(()) } else { Err(format!("{counts:?}")) }
        });
    }

    /// Begins a new generation of objects, and checks those that nobody uses any more.
    pub fn next_generation(&mut self) {
        let now = {
            let mut generations = self.shared.generations.lock();
            generations.now += 1;
            generations.now
        };
        while self.checked + 2 <= now {
            // Nobody begins anything with it any more. What is under way could be seen, and not be written down yet.
            until("a generation is left alone", || {
                match self.shared.generations.lock().busy.get(&self.checked) {
                    None => Ok(()),
                    Some(busy) => Err(format!("{busy} clients")),
                }
            });
            self.read_all(self.checked);
            self.shared.history.lock().check(&prefix(self.checked));
            self.checked += 1;
        }
    }

    /// What is left of a generation, read once more.
    fn read_all(&self, generation: u64) {
        let client = self.client();
        let mut writer =
            Writer { client, shared: self.shared.clone(), dice: Dice::new(0), known: HashMap::new() };
        for number in 0..OBJECTS {
            let name = format!("{}{number}", prefix(generation));
            until("a read is answered", || {
                if self.runtime.block_on(writer.read(&name)) { Ok(()) } else { Err("nothing".to_owned()) }
            });
        }
    }

    /// Lets them end, and checks everything.
    ///
    /// # Panics
    /// When anything that was promised was not so.
    pub fn finish(mut self, what: &str) -> Counts {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let client = self.client();
        // What wakes watches that have nothing to show.
        let last = json!({"metadata": {"name": "last"}});
        until("a write is answered", || {
            let asked = self.runtime.block_on(client.ask(Method::POST, PATH, Some(&last)));
            match asked {
                Ok(answer) if matches!(answer.code, 201 | 409) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        let tasks = std::mem::take(&mut self.tasks);
        for task in tasks {
            self.runtime.block_on(task).expect("no client panics");
        }
        self.runtime.block_on(watcher::resume(&client, &self.shared));
        for _ in 0..2 {
            self.next_generation();
        }
        let mut history = self.shared.history.lock();
        history.check_watches();
        eprintln!("{what}: {:?}", history.counts);
        history.assert_sound(what);
        history.counts
    }
}

/// How the names of a generation begin.
fn prefix(generation: u64) -> String {
    format!("g{generation}-")
}

/// One client.
struct Writer {
    client: Client,
    shared: Arc<Shared>,
    dice: Dice,
    /// What it saw last of an object: its mark and its version.
    known: HashMap<String, (u64, String)>,
}

impl Writer {
    async fn run(mut self) {
        while !self.shared.stopped.load(Ordering::Relaxed) {
            // Now and then one of before the last fault.
            let generation = self.shared.begin(self.dice.below(4) == 0);
            let name = format!("{}{}", prefix(generation), self.dice.below(OBJECTS));
            let answered = match self.dice.below(12) {
                0..3 => self.read(&name).await,
                3 => self.list(generation).await,
                4 | 5 => self.create(&name).await,
                6..9 => self.update(&name).await,
                9 | 10 => self.patch(&name).await,
                _ => self.delete(&name).await,
            };
            self.shared.end(generation);
            if !answered {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn new_mark(&self) -> u64 {
        self.shared.marks.fetch_add(1, Ordering::Relaxed)
    }

    fn learn(&mut self, name: &str, object: &Value) -> u64 {
        let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        self.known.insert(name.to_owned(), (mark(object), version));
        mark(object)
    }

    /// False when there was no answer.
    pub async fn read(&mut self, name: &str) -> bool {
        let called = self.client.now();
        let Ok(answer) = self.client.ask(Method::GET, &format!("{PATH}/{name}"), None).await else {
            return false;
        };
        let answered = self.client.now();
        let found = match answer.code {
            200 => {
                let mark = self.learn(name, &answer.body);
                self.shared.history.lock().shown(name, version(&answer.body), mark);
                Some(mark)
            }
            404 => None,
            _ => return self.refused(&answer.body, answer.code),
        };
        self.shared
            .history
            .lock()
            .operation(name, Operation { called, answered, action: Action::Read(found) });
        true
    }

    /// A list is a read of each object that could be in it.
    async fn list(&mut self, generation: u64) -> bool {
        let called = self.client.now();
        let Ok(answer) = self.client.ask(Method::GET, PATH, None).await else { return false };
        let answered = self.client.now();
        if answer.code != 200 {
            return self.refused(&answer.body, answer.code);
        }
        let items = answer.body["items"].as_array().unwrap();
        for number in 0..OBJECTS {
            let name = format!("{}{number}", prefix(generation));
            let item = items.iter().find(|item| item["metadata"]["name"] == *name);
            let mut history = self.shared.history.lock();
            if let Some(item) = item {
                history.shown(&name, version(item), mark(item));
            }
            let action = Action::Read(item.map(mark));
            history.operation(&name, Operation { called, answered, action });
        }
        true
    }

    async fn create(&mut self, name: &str) -> bool {
        let mark = self.new_mark();
        let body = object(name, mark, None);
        self.write(name, mark, Method::POST, PATH, &body, |answer| Action::Create(mark, answer)).await
    }

    async fn update(&mut self, name: &str) -> bool {
        let Some((from, version)) = self.known.get(name).cloned() else { return self.read(name).await };
        let mark = self.new_mark();
        let (body, path) = (object(name, mark, Some(&version)), format!("{PATH}/{name}"));
        self.write(name, mark, Method::PUT, &path, &body, |answer| Action::Update(from, mark, answer)).await
    }

    async fn patch(&mut self, name: &str) -> bool {
        let mark = self.new_mark();
        let body = json!({"data": {"mark": mark.to_string()}});
        let path = format!("{PATH}/{name}");
        self.write(name, mark, Method::PATCH, &path, &body, |answer| Action::Patch(mark, answer)).await
    }

    async fn delete(&mut self, name: &str) -> bool {
        let known = self.known.get(name).cloned().filter(|_| self.dice.below(2) == 0);
        let body = match &known {
            Some((_, version)) => json!({"preconditions": {"resourceVersion": version}}),
            None => json!({}),
        };
        let (path, from) = (format!("{PATH}/{name}"), known.map(|(mark, _)| mark));
        self.write(name, 0, Method::DELETE, &path, &body, |answer| Action::Delete(from, answer)).await
    }

    async fn write(
        &mut self,
        name: &str,
        mark: u64,
        method: Method,
        path: &str,
        body: &Value,
        action: impl Fn(Answer) -> Action,
    ) -> bool {
        let called = self.client.now();
        let answer = self.client.ask(method, path, Some(body)).await;
        let answered = self.client.now();
        let told = match &answer {
            Err(Silence::Refused) => return false,
            Err(Silence::Broken) => Answer::Unknown,
            Ok(answer) => match (answer.code, answer.body["reason"].as_str().unwrap_or("")) {
                (200 | 201, _) => Answer::Done,
                (409, "AlreadyExists") => Answer::Exists,
                (409, "Conflict") => Answer::Conflict,
                (404, _) => Answer::Absent,
                // Of these it is said that nothing was done.
                (429 | 503, _) => return self.refused(&answer.body, answer.code),
                (504, _) => Answer::Unknown,
                (code, _) => {
                    let what = format!("{name} was answered {code}: {}", answer.body);
                    self.shared.history.lock().violation(what);
                    Answer::Unknown
                }
            },
        };
        if told == Answer::Done && mark > 0 {
            let object = &answer.as_ref().unwrap().body;
            self.learn(name, object);
            self.shared.history.lock().acknowledged(name, version(object), mark);
        } else if told != Answer::Unknown {
            self.known.remove(name);
        }
        self.shared.history.lock().operation(name, Operation { called, answered, action: action(told) });
        answer.is_ok()
    }

    /// The server said that it does not do it, and why.
    fn refused(&self, body: &Value, code: u16) -> bool {
        let mut history = self.shared.history.lock();
        history.counts.refused += 1;
        if body["kind"] != "Status" || body["message"].as_str().is_none_or(str::is_empty) {
            history.violation(format!("{code} without a reason: {body}"));
        }
        false
    }
}

fn object(name: &str, mark: u64, version: Option<&str>) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
        "data": {"mark": mark.to_string()}});
    if let Some(version) = version {
        object["metadata"]["resourceVersion"] = json!(version);
    }
    object
}
