//! Sends sound objects, and copies of them that are changed in one place each, to two servers: what one takes and the
//! other refuses, fills in otherwise or refuses in other words. All but the objects that updates need is a dry run. The
//! namespace stays: a server without controllers could not delete it.

mod groups;
mod mutants;
mod schema;

use crate::difference::{Class, Difference, responses};
use crate::exchange::{Request, Response};
use crate::intended::Intended;
use crate::live::Live;
use crate::volatile::Volatile;
use anyhow::{Context, Result};
use mutants::Mutant;
use schema::Schemas;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use groups::text;

const BASES: &str = include_str!("mutate/bases.yaml");
/// How many copies are under way at once.
const AT_ONCE: usize = 6;

/// What is asked for on the command line.
pub struct Options {
    /// Kinds, or `Kind/name`; none for all.
    pub only: Vec<String>,
    /// The objects are created, and the copies are sent as updates of them.
    pub update: bool,
    /// Where the objects are.
    pub namespace: String,
}

/// A copy that the servers answered differently.
pub struct Finding {
    /// `Kind/name` of the object.
    pub of: String,
    /// What was changed in it.
    pub mutant: String,
    /// How the answers differ.
    pub differences: Vec<Difference>,
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    /// How many copies were sent.
    pub asked: usize,
    /// Those whose difference nobody intended.
    pub findings: Vec<Finding>,
    /// How many differ only as intended, by reason.
    pub intended: BTreeMap<String, usize>,
}

/// A resource that objects are sent to.
struct Resource {
    path: String,
    namespaced: bool,
}

/// Both servers, and what is known of the left one.
struct Sides {
    left: Arc<Live>,
    right: Arc<Live>,
    volatile: Arc<Volatile>,
    schemas: Schemas,
    seen: BTreeSet<String>,
}

/// Compares by the tool's own objects.
///
/// # Errors
/// When the left server does not describe the objects' kinds.
pub async fn compare(left: Live, right: Live, options: &Options) -> Result<Outcome> {
    let intended = Intended::read()?;
    let mut sides = Sides {
        left: Arc::new(left),
        right: Arc::new(right),
        volatile: Arc::new(Volatile::new()?),
        schemas: Schemas::default(),
        seen: BTreeSet::new(),
    };
    let mut outcome = Outcome::default();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": options.namespace}});
    sides.both("POST", "/api/v1/namespaces", &namespace).await;
    // Pods need one, and a server without controllers makes none.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    sides.both("POST", &format!("/api/v1/namespaces/{}/serviceaccounts", options.namespace), &account).await;
    for base in bases(options)? {
        let differing = sides.object(&base, options).await.with_context(|| name_of(&base))?;
        outcome.asked += differing.0;
        for mut finding in differing.1 {
            let mut reasons = Vec::new();
            finding.differences.retain(|difference| match intended.reason(&finding.of, difference) {
                Some(reason) => {
                    reasons.push(reason.to_owned());
                    false
                }
                None => true,
            });
            if !finding.differences.is_empty() {
                outcome.findings.push(finding);
            } else if let Some(reason) = reasons.into_iter().next() {
                *outcome.intended.entry(reason).or_default() += 1;
            }
        }
    }
    Ok(outcome)
}

fn bases(options: &Options) -> Result<Vec<Value>> {
    let text = BASES.replace("NAMESPACE", &options.namespace);
    let bases: Vec<Value> = serde_yaml_ng::from_str(&text).context("the list of objects")?;
    let wanted = |base: &Value| {
        options.only.is_empty()
            || options.only.iter().any(|only| *only == name_of(base) || base["kind"] == only.as_str())
    };
    Ok(bases.into_iter().filter(wanted).collect())
}

fn name_of(base: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    format!("{}/{}", text(&base["kind"]), text(&base["metadata"]["name"]))
}

impl Sides {
    /// Sends an object and its copies. Gives how many, and those that differ otherwise than the object itself.
    async fn object(&mut self, base: &Value, options: &Options) -> Result<(usize, Vec<Finding>)> {
        let resource = self.resource(base).await?;
        let schema = self
            .schemas
            .of_kind(base["apiVersion"].as_str().unwrap_or(""), base["kind"].as_str().unwrap_or(""));
        let schema = schema.context("the left server has no schema of the kind")?;
        let itself = Mutant { label: "itself".to_owned(), object: base.clone() };
        let copies = mutants::of(base, schema, &self.schemas, options.update);
        let all: Vec<Mutant> = std::iter::once(itself).chain(copies).collect();
        let namespace =
            if resource.namespaced { format!("/namespaces/{}", options.namespace) } else { String::new() };
        let (group_version, plural) = resource.path.rsplit_once('/').unwrap_or_default();
        let collection = format!("{group_version}{namespace}/{plural}");
        let one = format!("{collection}/{}", base["metadata"]["name"].as_str().unwrap_or(""));
        let query = "?dryRun=All&fieldValidation=Strict";
        let target = if options.update {
            self.both("DELETE", &one, &Value::Null).await;
            self.both("POST", &collection, base).await;
            Target { method: "PUT", path: format!("{one}{query}"), versions: self.versions(&one).await }
        } else {
            let none = (Value::Null, Value::Null);
            Target { method: "POST", path: format!("{collection}{query}"), versions: none }
        };
        let found = self.send_all(&name_of(base), all, Arc::new(target)).await?;
        if options.update {
            self.both("DELETE", &one, &Value::Null).await;
        }
        Ok(found)
    }

    async fn send_all(
        &self,
        of: &str,
        all: Vec<Mutant>,
        target: Arc<Target>,
    ) -> Result<(usize, Vec<Finding>)> {
        let (count, mut findings) = (all.len(), Vec::new());
        let mut of_base: Vec<Difference> = Vec::new();
        let mut waiting = all.into_iter();
        let mut first = true;
        loop {
            let batch: Vec<Mutant> = waiting.by_ref().take(if first { 1 } else { AT_ONCE }).collect();
            if batch.is_empty() {
                return Ok((count, findings));
            }
            let tasks: Vec<_> = batch
                .into_iter()
                .map(|mutant| {
                    let (left, right) = (self.left.clone(), self.right.clone());
                    let (target, volatile) = (target.clone(), self.volatile.clone());
                    let compared = async move {
                        let left = left.send(&target.request(&mutant.object, &target.versions.0)).await;
                        let right = right.send(&target.request(&mutant.object, &target.versions.1)).await;
                        (mutant.label, differences(left, right, &volatile))
                    };
                    tokio::spawn(compared)
                })
                .collect();
            for task in tasks {
                let (mutant, mut differences) = task.await.context("a comparison broke off")?;
                if first {
                    of_base.clone_from(&differences);
                } else {
                    // What the object itself shows is told once.
                    differences.retain(|difference| !of_base.contains(difference));
                }
                if !differences.is_empty() {
                    findings.push(Finding { of: of.to_owned(), mutant, differences });
                }
            }
            first = false;
        }
    }

    /// Sends the same to both, whatever comes of it: the objects' own comparison shows it.
    async fn both(&self, method: &str, path: &str, body: &Value) {
        for side in [&self.left, &self.right] {
            let _ = side.send(&request(method, path, body.clone())).await;
        }
    }

    /// The resource version of an object on each side.
    async fn versions(&self, path: &str) -> (Value, Value) {
        let mut found = Vec::new();
        for side in [&self.left, &self.right] {
            let answer = side.send(&request("GET", path, Value::Null)).await;
            found.push(
                answer.map(|answer| answer.body["metadata"]["resourceVersion"].clone()).unwrap_or_default(),
            );
        }
        (found.first().cloned().unwrap_or_default(), found.last().cloned().unwrap_or_default())
    }

    /// Where objects of a kind are sent; reads the description of its group and version, once.
    async fn resource(&mut self, base: &Value) -> Result<Resource> {
        let api_version = base["apiVersion"].as_str().unwrap_or("");
        let root = if api_version.contains('/') {
            format!("apis/{api_version}")
        } else {
            format!("api/{api_version}")
        };
        if self.seen.insert(api_version.to_owned()) {
            let document =
                self.left.send(&request("GET", &format!("/openapi/v3/{root}"), Value::Null)).await?;
            self.schemas.add(&document.body);
        }
        let list = self.left.send(&request("GET", &format!("/{root}"), Value::Null)).await?.body;
        let resources = list["resources"].as_array().cloned().unwrap_or_default();
        let found = resources.iter().find(|resource| {
            resource["kind"] == base["kind"] && !resource["name"].as_str().unwrap_or("/").contains('/')
        });
        let found = found.with_context(|| format!("the left server has no such kind in {api_version}"))?;
        Ok(Resource {
            path: format!("/{root}/{}", found["name"].as_str().unwrap_or("")),
            namespaced: found["namespaced"] == true,
        })
    }
}

/// Where copies go.
struct Target {
    method: &'static str,
    path: String,
    /// The versions that updates are made of, on each side.
    versions: (Value, Value),
}

impl Target {
    fn request(&self, object: &Value, version: &Value) -> Request {
        let mut body = object.clone();
        if !version.is_null()
            && let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.entry("resourceVersion").or_insert_with(|| version.clone());
        }
        request(self.method, &self.path, body)
    }
}

fn request(method: &str, path: &str, body: Value) -> Request {
    let content_type = (!body.is_null()).then(|| "application/json".to_owned());
    let accept = Some("application/json".to_owned());
    Request { method: method.to_owned(), path: path.to_owned(), content_type, accept, body }
}

fn differences(left: Result<Response>, right: Result<Response>, volatile: &Volatile) -> Vec<Difference> {
    match (left, right) {
        (Ok(left), Ok(right)) => responses(&left, &right, volatile),
        (left, right) => {
            let shown = |side: Result<Response>| match side {
                Ok(response) => Some(json!(format!("status {}", response.status))),
                Err(error) => Some(json!(format!("{error:#}"))),
            };
            let (left, right) = (shown(left), shown(right));
            vec![Difference { class: Class::NoAnswer, path: "answer".to_owned(), left, right }]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(only: &[&str]) -> Options {
        let only = only.iter().map(|text| (*text).to_owned()).collect();
        Options { only, update: false, namespace: "here".to_owned() }
    }

    #[test]
    fn the_objects_are_sound() {
        let bases = bases(&options(&[])).unwrap();
        assert!(bases.len() >= 20, "{}", bases.len());
        let names: BTreeSet<String> = bases.iter().map(name_of).collect();
        assert_eq!(names.len(), bases.len(), "names are unique");
        for base in &bases {
            assert!(base["apiVersion"].is_string() && !base.to_string().contains("NAMESPACE"), "{base}");
        }
    }

    #[test]
    fn kinds_and_objects_can_be_chosen() {
        let count = |only: &[&str]| bases(&options(only)).unwrap().len();
        assert_eq!((count(&["ConfigMap"]), count(&["ConfigMap/none"]), count(&["Nothing"])), (1, 0, 0));
        assert!(count(&["ConfigMap", "Secret/key"]) == 2);
    }

    #[test]
    fn updates_name_the_version_of_their_side() {
        let target = Target { method: "PUT", path: "/x".to_owned(), versions: (json!("5"), Value::Null) };
        let body = |object: Value, version: &Value| target.request(&object, version).body;
        assert_eq!(body(json!({"metadata": {}}), &json!("5"))["metadata"]["resourceVersion"], "5");
        assert_eq!(body(json!({"metadata": {}}), &Value::Null), json!({"metadata": {}}));
        assert_eq!(body(json!({"metadata": "odd"}), &json!("5")), json!({"metadata": "odd"}));
    }
}
