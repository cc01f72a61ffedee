//! Where benchmarks put their objects: tenants of their own where the server is Insula, namespaces of their own
//! anywhere else. What was made is removed at the end, whatever that is.

use crate::plane::{Call, Connection, Plane, is_missing};
use crate::report::{Figure, Report, Row};
use crate::{Progress, at_once};
use anyhow::{Context, bail};
use base64::Engine;
use http::Method;
use kube::config::Kubeconfig;
use rand::Rng;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TENANCY: &str = "/apis/tenancy.insula.dev/v1alpha1";
/// The context of the embedded super cluster in an admin kubeconfig.
const EMBEDDED: &str = "local";
const NAMESPACES: &str = "/api/v1/namespaces";
/// How long it may take until a room can be used, or is gone.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked at meanwhile.
const INTERVAL: Duration = Duration::from_millis(100);
/// How many rooms are made, or removed, at a time.
const AT_A_TIME: usize = 16;

/// What rooms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Tenants of Insula.
    Tenants,
    /// Namespaces of the one cluster that there is.
    Namespaces,
}

/// A place for objects: a server, and a namespace in it.
#[derive(Clone)]
pub struct Room {
    pub plane: Arc<Plane>,
    pub namespace: String,
}

impl Room {
    /// The path of a resource of the core group, such as `pods`.
    pub fn path(&self, resource: &str) -> String {
        format!("{NAMESPACES}/{}/{resource}", self.namespace)
    }
}

/// The rooms of a benchmark.
pub struct Rooms {
    /// The server whose kubeconfig was given: it makes the rooms.
    pub host: Arc<Plane>,
    /// Who tells what the server's process takes.
    pub teller: Arc<Plane>,
    pub sort: Sort,
    /// What the server says that it is.
    pub version: String,
    /// Tenants have their controllers, and what they run is run.
    pub whole: bool,
    /// What all names begin with.
    prefix: String,
    names: Vec<String>,
}

/// What the server's process has taken so far, as its metrics say.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub cpu: Duration,
    pub resident_bytes: f64,
}

impl Rooms {
    /// Looks at a server. Nothing is made yet.
    pub async fn of(kubeconfig: Kubeconfig, whole: bool) -> anyhow::Result<Self> {
        Rooms::at(Plane::of(kubeconfig, None).await?, whole).await
    }

    /// The embedded super cluster of an Insula, by the admin kubeconfig's context for it.
    pub async fn below(self, kubeconfig: Kubeconfig) -> anyhow::Result<Self> {
        let plane = Plane::of(kubeconfig, Some(EMBEDDED)).await.with_context(|| {
            format!(
                "the kubeconfig has no context `{EMBEDDED}`: give that of the super cluster itself by --kubeconfig"
            )
        })?;
        Ok(Rooms { teller: self.teller, ..Rooms::at(plane, self.whole).await? })
    }

    async fn at(plane: Plane, whole: bool) -> anyhow::Result<Self> {
        let host = Arc::new(plane);
        let mut connection = host.connect().await?;
        let version = connection.ask(Call::new(Method::GET, "/version".into())).await?;
        let sort = match connection.ask(Call::new(Method::GET, TENANCY.into())).await {
            Ok(_) => Sort::Tenants,
            Err(error) if is_missing(&error) => Sort::Namespaces,
            Err(error) => return Err(error),
        };
        let letters = |_| char::from(rand::rng().random_range(b'a'..=b'z'));
        let prefix = format!("bench-{}", (0..6).map(letters).collect::<String>());
        let version = version["gitVersion"].as_str().unwrap_or("unknown").to_owned();
        Ok(Rooms { teller: host.clone(), host, sort, version, whole, prefix, names: Vec::new() })
    }

    /// In words, for who reads the figures.
    pub fn shown(&self, count: usize) -> String {
        let rooms = match (self.sort, count) {
            (Sort::Namespaces, 1) => "1 namespace".to_owned(),
            (Sort::Namespaces, count) => format!("{count} namespaces"),
            (Sort::Tenants, 1) => "1 tenant".to_owned(),
            (Sort::Tenants, count) => format!("{count} tenants"),
        };
        match (self.sort, self.whole) {
            (Sort::Namespaces, _) => format!("{rooms} of one cluster"),
            (Sort::Tenants, true) => format!("{rooms} with controllers and sync"),
            (Sort::Tenants, false) => format!("{rooms} without controllers and sync"),
        }
    }

    /// Makes so many rooms, and waits until they can be used.
    pub async fn open(&mut self, count: usize, progress: &dyn Progress) -> anyhow::Result<Vec<Room>> {
        let first = self.names.len();
        self.names.extend((first..first + count).map(|number| format!("{}-{number}", self.prefix)));
        let this = &*self;
        progress.step(&format!("making {}", this.shown(count)));
        at_once(AT_A_TIME, &this.names[first..], |name| async move { this.open_one(name).await }).await
    }

    async fn open_one(&self, name: &str) -> anyhow::Result<Room> {
        let mut connection = self.host.connect().await?;
        match self.sort {
            Sort::Tenants => {
                let tenants = format!("{TENANCY}/tenants");
                let tenant = tenant(name, self.whole);
                connection.ask(Call::with(Method::POST, tenants, &tenant)).await?;
                let plane = self.wait_for_tenant(name, &mut connection).await?;
                Ok(Room { plane, namespace: "default".into() })
            }
            Sort::Namespaces => {
                let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                connection.ask(Call::with(Method::POST, NAMESPACES.into(), &namespace)).await?;
                // Pods cannot be created before.
                let account = format!("{NAMESPACES}/{name}/serviceaccounts/default");
                until(|| ask_whether(&self.host, &account)).await.with_context(|| {
                    format!("the namespace {name} gets no service account: do controllers run?")
                })?;
                Ok(Room { plane: self.host.clone(), namespace: name.to_owned() })
            }
        }
    }

    /// The plane of a tenant as its admin, once its kubeconfig is there. The host is asked over a connection that is open.
    pub async fn wait_for_tenant(
        &self,
        name: &str,
        connection: &mut Connection,
    ) -> anyhow::Result<Arc<Plane>> {
        let begun = Instant::now();
        let reference = loop {
            let tenant = connection.ask(Call::new(Method::GET, format!("{TENANCY}/tenants/{name}"))).await?;
            match &tenant["status"]["kubeconfigSecret"] {
                reference @ Value::Object(_) => break reference.clone(),
                _ if begun.elapsed() > PATIENCE => bail!("the tenant {name} gets no kubeconfig"),
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        };
        let part = |field: &str| reference[field].as_str().unwrap_or_default().to_owned();
        let secret = format!("{NAMESPACES}/{}/secrets/{}", part("namespace"), part("name"));
        let secret = connection.ask(Call::new(Method::GET, secret)).await?;
        let encoded = secret["data"][part("key")].as_str().context("the Secret has no kubeconfig")?;
        let text = base64::engine::general_purpose::STANDARD.decode(encoded)?;
        let kubeconfig = Kubeconfig::from_yaml(&String::from_utf8(text)?)?;
        Ok(Arc::new(Plane::of(kubeconfig, None).await?))
    }

    /// The creation of a tenant as everybody makes one. It is removed with the others.
    pub fn name_tenant(&mut self, number: usize) -> (String, Call) {
        let name = format!("{}-{number}", self.prefix);
        self.names.push(name.clone());
        let mut tenant = tenant(&name, true);
        tenant["spec"] = json!({});
        (name, Call::with(Method::POST, format!("{TENANCY}/tenants"), &tenant))
    }

    /// Where a tenant is.
    pub fn tenant_path(name: &str) -> String {
        format!("{TENANCY}/tenants/{name}")
    }

    /// Who measures has removed all.
    pub fn forget(&mut self) {
        self.names.clear();
    }

    /// What was found in so many rooms.
    pub fn report(
        &self,
        benchmark: &'static str,
        rooms: usize,
        requests: Vec<Row>,
        figures: Vec<Figure>,
    ) -> Report {
        let place = match benchmark {
            "tenants" => format!("{rooms} tenants"),
            _ => self.shown(rooms),
        };
        let (server, version) = (self.host.url(), self.version.clone());
        Report { benchmark, server, version, place, requests, figures, stages: Vec::new() }
    }

    /// What the server's process has taken; `None` where it does not say that, or not to this user.
    pub async fn taken(&self) -> Option<Taken> {
        taken(&self.teller.metrics().await?)
    }

    /// Removes what was made, and waits until it is gone.
    pub async fn remove(&mut self, progress: &dyn Progress) -> anyhow::Result<()> {
        let names = std::mem::take(&mut self.names);
        if names.is_empty() {
            return Ok(());
        }
        progress.step("removing what was made");
        let of = match self.sort {
            Sort::Tenants => format!("{TENANCY}/tenants"),
            Sort::Namespaces => NAMESPACES.to_owned(),
        };
        let (of, host) = (&of, &self.host);
        at_once(AT_A_TIME, &names, |name| async move {
            let path = format!("{of}/{name}");
            let deletion = Call::new(Method::DELETE, path.clone());
            match host.connect().await?.ask(deletion).await {
                Ok(_) => until(|| async { Ok(!ask_whether(host, &path).await?) })
                    .await
                    .with_context(|| format!("{name} does not go")),
                Err(error) if is_missing(&error) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await?;
        Ok(())
    }
}

/// A tenant with room for any load.
fn tenant(name: &str, whole: bool) -> Value {
    let mut spec = json!({"limits": {"requestsPerSecond": 1_000_000, "concurrentRequests": 10_000, "watches": 100_000,
        "objects": 10_000_000, "bytes": "100Gi"}});
    if !whole {
        spec["controllers"] = json!({"disabled": ["*"]});
        spec["sync"] = json!({"disabled": true});
        spec["oam"] = json!({"disabled": true});
    }
    json!({"apiVersion": "tenancy.insula.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": spec})
}

/// Whether there is an object.
async fn ask_whether(host: &Arc<Plane>, path: &str) -> anyhow::Result<bool> {
    match host.connect().await?.ask(Call::new(Method::GET, path.to_owned())).await {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn until<F: Future<Output = anyhow::Result<bool>>>(is_so: impl Fn() -> F) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !is_so().await? {
        if begun.elapsed() > PATIENCE {
            bail!("it took longer than {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}

/// The process's own metrics, which Prometheus clients of every language name alike.
fn taken(metrics: &str) -> Option<Taken> {
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.split([' ', '{']).next() == Some(name))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    Some(Taken {
        cpu: Duration::try_from_secs_f64(value("process_cpu_seconds_total")?).ok()?,
        resident_bytes: value("process_resident_memory_bytes")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_took_is_read_from_its_metrics() {
        let metrics = "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\n\
            process_resident_memory_bytes 1.36138752e+08\nprocess_resident_memory_bytes_other 1\n";
        let taken = taken(metrics).unwrap();
        assert_eq!((taken.cpu, taken.resident_bytes), (Duration::from_millis(1500), 136_138_752.0));
        assert!(super::taken("nothing 1\n").is_none());
    }
}
