//! No byte of a tenant is in any answer to another one.

use crate::client::Client;
use crate::filling::{Own, fill};
use crate::requests::{Attempt, attempt};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use http::Method;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tests::Insula;
use tests::dice::{Dice, Torture};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Requests of a round, and how many at once.
const REQUESTS: u64 = 1000;
const WORKERS: u64 = 8;

/// Who asks: clients whose paths are those of the whole server.
struct Asking {
    name: &'static str,
    client: Client,
    ours: Arc<Own>,
    theirs: Arc<Own>,
    /// Values that nobody may be told: those of the platform about the other one.
    hidden: Vec<String>,
    /// How many answers had each code, and how many had something of its own tenant.
    answers: Mutex<(BTreeMap<u16, u64>, u64)>,
}

#[test]
fn no_byte_of_another_tenant_is_in_any_answer() {
    let torture = Torture::begin("secrecy");
    let insula = Insula::start();
    insula.tenant("acme");
    insula.tenant("globex");
    let runtime = Runtime::new().unwrap();
    let admin = |tenant: &str| {
        runtime.block_on(Client::new(&insula.scratch(&format!("{tenant}.yaml")), Instant::now()))
    };
    let admins = [admin("acme"), admin("globex")];
    let (acme, globex) =
        runtime.block_on(async { (fill(&admins[0], "acme").await, fill(&admins[1], "globex").await) });
    let [acme, globex] = [acme, globex].map(Arc::new);
    let below = Arc::new(names_below(&insula));
    let kubectl = insula.tenant_admin("acme");
    kubectl.run(&[
        "create",
        "clusterrolebinding",
        "robot",
        "--clusterrole=view",
        "--serviceaccount=default:default",
    ]);
    let token = kubectl.run(&["create", "token", "default"]);
    let kubeconfig = |name: &'static str, from: &str, token: Option<&str>| {
        let file = insula.scratch(name);
        std::fs::write(
            &file,
            with_root(&std::fs::read_to_string(insula.scratch(from)).unwrap(), from, token),
        )
        .unwrap();
        file
    };
    let asking = |name: &'static str, file: &Path, ours: &Arc<Own>, theirs: &Arc<Own>| {
        let of_them = below.iter().filter(|(tenant, _)| tenant == theirs.tenant);
        let hidden = of_them.map(|(_, name)| name.clone()).collect();
        let client = runtime.block_on(Client::new(file, Instant::now()));
        Arc::new(Asking {
            name,
            client,
            ours: ours.clone(),
            theirs: theirs.clone(),
            hidden,
            answers: Mutex::default(),
        })
    };
    let all = [
        asking("acme's admin", &kubeconfig("one", "acme.yaml", None), &acme, &globex),
        asking("globex' admin", &kubeconfig("two", "globex.yaml", None), &globex, &acme),
        asking("acme's robot", &kubeconfig("three", "acme.yaml", Some(token.trim())), &acme, &globex),
        asking("nobody", &kubeconfig("four", "acme.yaml", Some("")), &acme, &globex),
    ];
    let before = runtime.block_on(untouched(&admins[1], &globex));
    let busy = Arc::new(AtomicBool::new(true));
    let changing = runtime.spawn(change(admins[1].clone(), globex.clone(), busy.clone()));
    let mut rounds = 0;
    while torture.goes_on(rounds, 1) {
        let seed = torture.seed + rounds;
        runtime.block_on(round(&all, seed));
        rounds += 1;
        eprintln!("secrecy: {} requests, the last seed was {seed}", rounds * REQUESTS);
    }
    for who in &all {
        let (codes, own) = &*who.answers.lock();
        eprintln!(
            "secrecy: {}: answers by code {codes:?}, of which {own} had something of its own",
            who.name
        );
    }
    // What is looked for would be found.
    assert!(all[0].answers.lock().1 + all[1].answers.lock().1 > 20);
    busy.store(false, Ordering::Relaxed);
    runtime.block_on(changing).unwrap();
    // And nothing of globex was changed by acme.
    assert_eq!(runtime.block_on(untouched(&admins[1], &globex)), before);
}

/// A kubeconfig whose server has no path; with another credential, or with none where that is empty.
fn with_root(text: &str, from: &str, token: Option<&str>) -> String {
    let tenant = from.trim_end_matches(".yaml");
    let text = text.replace(&format!("/tenants/{tenant}"), "/");
    let Some(token) = token else { return text };
    let lines = text.lines().filter(|line| !line.contains("client-key-data"));
    let token = if token.is_empty() { String::new() } else { format!("token: {token}") };
    let line = |line: &str| match line.split_once("client-certificate-data") {
        Some((indent, _)) => format!("{indent}{}", if token.is_empty() { "username: ''" } else { &token }),
        None => line.to_owned(),
    };
    lines.map(line).collect::<Vec<_>>().join("\n")
}

/// Names of super namespaces and uids of tenants, which tenants are not told, each with the tenant that it is of.
fn names_below(insula: &Insula) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let list = insula.super_cluster().json(&["get", "namespaces"]);
    let names = list["items"].as_array().unwrap().iter().map(|one| &one["metadata"]);
    let names = names.map(|one| (text(&one["labels"]["insula.dev/tenant"]), text(&one["name"])));
    let named: Vec<(String, String)> = names.filter(|(tenant, _)| !tenant.is_empty()).collect();
    assert!(!named.is_empty(), "{list}");
    let tenants = insula.host().json(&["get", "tenants"]);
    let tenants = tenants["items"].as_array().unwrap().iter().map(|one| &one["metadata"]);
    named.into_iter().chain(tenants.map(|one| (text(&one["name"]), text(&one["uid"])))).collect()
}

/// Names, uids and versions of what no controller changes.
async fn untouched(client: &Client, own: &Own) -> Vec<String> {
    let mut found = Vec::new();
    for plural in ["secrets", "services", "limitranges", "podtemplates"] {
        let path = format!("/api/v1/namespaces/ns-{}/{plural}", own.word);
        let list = client.ask(Method::GET, &path, None).await.expect("an answer");
        for item in list.body["items"].as_array().expect("items") {
            let metadata = &item["metadata"];
            found.push(format!(
                "{plural} {} {} {}",
                metadata["name"], metadata["uid"], metadata["resourceVersion"]
            ));
        }
    }
    assert!(found.len() >= 4, "{found:?}");
    found
}

/// Something happens all the time, so that watches have something that they must not show.
async fn change(client: Client, own: Arc<Own>, busy: Arc<AtomicBool>) {
    let path = format!("/api/v1/namespaces/ns-{}/configmaps/{}", own.word, own.word);
    let mut number = 0;
    while busy.load(Ordering::Relaxed) {
        number += 1;
        let patch = json!({"data": {"number": number.to_string()}});
        client.ask(Method::PATCH, &path, Some(&patch)).await.expect("an answer");
        tokio::task::yield_now().await;
    }
}

async fn round(all: &[Arc<Asking>], seed: u64) {
    let left = Arc::new(AtomicU64::new(REQUESTS));
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let (all, left) = (all.to_vec(), left.clone());
        let mut dice = Dice::new(seed.wrapping_mul(1000) + number);
        workers.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                // Admins more often than others: they get further.
                let who = &all[[0, 0, 0, 1, 1, 2, 3][dice.below(7) as usize]];
                let attempt = attempt(&mut dice, &who.ours, &who.theirs);
                ask(who, &attempt, seed).await;
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.expect("no request shows anything");
    }
}

/// What an answer has of the other tenant, and the names and uids that tenants are not told.
fn found(bytes: &[u8], who: &Asking) -> Vec<String> {
    let theirs = &who.theirs;
    let words = [theirs.secret.clone(), BASE64_STANDARD.encode(&theirs.secret)];
    let mut found: Vec<String> =
        words.into_iter().chain(who.hidden.iter().cloned()).filter(|word| has(bytes, word)).collect();
    // Uids are many, and answers long: what looks like one is looked up.
    let dashes = |part: &&[u8]| [8, 13, 18, 23].iter().all(|at| part[*at] == b'-');
    let uids = bytes.windows(36).filter(dashes).filter_map(|part| std::str::from_utf8(part).ok());
    found.extend(uids.filter(|uid| theirs.uids.contains(*uid)).map(str::to_owned));
    found
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// What a continue token of the request says, in clear and as another token has it, wherever it stands there: the answer
/// to one that is too old has a new one with the same place.
fn within_token(path: &str) -> String {
    let token = path.split_once("continue=").map_or("", |(_, rest)| rest.split('&').next().unwrap_or(""));
    let Ok(said) = BASE64_URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')) else { return String::new() };
    let shifted = (0..3).filter_map(|by| Some(BASE64_STANDARD_NO_PAD.encode(said.get(by..)?)));
    shifted.chain([String::from_utf8_lossy(&said).into_owned()]).collect::<Vec<_>>().join(" ")
}

async fn ask(who: &Asking, attempt: &Attempt, seed: u64) {
    let asked = format!("{} {:?} {:?}", attempt.path, attempt.headers, attempt.body);
    let echoed = within_token(&attempt.path);
    // What cannot be sent is not refused by us.
    let Some((code, bytes)) = who.client.raw(attempt).await else { return };
    let own = has(&bytes, &who.ours.secret);
    {
        let mut answers = who.answers.lock();
        *answers.0.entry(code).or_default() += 1;
        answers.1 += u64::from(own);
    }
    for secret in found(&bytes, who) {
        assert!(
            asked.contains(&secret) || echoed.contains(&secret),
            "seed {seed}: {} asked {} {asked} and was answered {code} with {secret}:\n{}",
            who.name,
            attempt.method,
            String::from_utf8_lossy(&bytes[..bytes.len().min(3000)])
        );
    }
    // Kubernetes, too, answers bindings without a target with an error that is none of its own.
    let is_binding = attempt.path.contains("/binding") && has(&bytes, "target.");
    assert!(
        code != 500 || is_binding,
        "seed {seed}: {} asked {} {asked} and was answered 500: {}",
        who.name,
        attempt.method,
        String::from_utf8_lossy(&bytes)
    );
}
