//! `insula tenant backup` and `restore`: one tenant into a file, and a tenant out of one.

use crate::cli::Common;
use crate::cli::Server;
use crate::client::HostPlane;
use crate::copies::{self, Copy};
use crate::output::{self, Format};
use crate::progress::Progress;
use crate::store;
use anyhow::{Context, bail};
use backup_storage::Source;
use bytes::{Buf, Bytes, BytesMut};
use futures::TryStreamExt;
use http_body_util::BodyExt;
use indicatif::HumanBytes;
use object_store::backup::{Entry, Head};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Where the running server answers, before the name of a tenant.
const PATH: &str = "/insula/store/tenants";
/// The longest line of an answer.
const LINE: usize = 1 << 20;

/// `insula tenant backup`.
pub async fn backup(name: &str, file: &Path, server: &Server) -> anyhow::Result<()> {
    let plane = HostPlane::connect(server).await?;
    let mut copy = Copy::of_server(&plane, &format!("{PATH}/{name}")).await?;
    let (values, total) = store::keep(&mut copy, file).await?;
    output::error(&format!("{} has {values} values, {}", file.display(), HumanBytes(total)));
    output::error("next: keep a copy of the sealing keys elsewhere; without them its Secrets cannot be read");
    Ok(())
}

/// The tenant that a copy is of; `None`: it is one of everything.
pub fn of_tenant(head: &Head) -> Option<String> {
    let note: Value = serde_json::from_slice(&head.note).ok()?;
    note["tenant"]["metadata"]["name"].as_str().map(str::to_owned)
}

/// `insula tenant restore`.
pub async fn restore(file: &Path, name: Option<&str>, common: &Common) -> anyhow::Result<()> {
    let quiet = common.output != Format::Table;
    let progress = Arc::new(Progress::new(quiet));
    progress.step(&format!("checking {}", file.display()));
    let of = check(file).await?;
    let name = name.unwrap_or(&of);
    let plane = HostPlane::connect(&common.server).await?;
    progress.step(&format!("sending the backup of {of}"));
    let body = sent(file, progress.clone()).await?;
    let mut answer = plane.upload(&format!("{PATH}/{name}"), body).await?;
    progress.step(&format!("restoring {name}"));
    let mut waiting = BytesMut::new();
    let done = loop {
        let broken =
            "the server does not say any more what becomes of it: see the tenant's condition Restored";
        let frame = answer.frame().await.context(broken)?.context(broken)?;
        let Ok(data) = frame.into_data() else { continue };
        waiting.extend_from_slice(&data);
        if let Some(done) = last(&mut waiting, &progress)? {
            break done;
        }
        if waiting.len() > LINE {
            bail!("the answer of the server cannot be understood");
        }
    };
    progress.at("");
    if let Some(progress) = Arc::into_inner(progress) {
        progress.done();
    }
    if quiet {
        return output::value(&done, common.output);
    }
    tell(name, &done);
    Ok(())
}

/// Reads a file to its end: a backup of a tenant, and whole. Whose it is.
async fn check(file: &Path) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        bail!("a backup is read twice: it cannot come from standard input");
    }
    let mut copy = Copy::of_file(file).await?;
    let Entry::Head(head) = copy.entry().await? else { bail!("{} has no beginning", copy.shown()) };
    let Some(of) = of_tenant(&head) else {
        bail!(
            "{} is a backup of everything: it is put into an empty store by insula store restore",
            copy.shown()
        )
    };
    while !matches!(copy.entry().await?, Entry::End(_)) {}
    Ok(of)
}

/// The bytes of a file or an object, and how far they are.
async fn sent(file: &Path, progress: Arc<Progress>) -> anyhow::Result<Source> {
    let mut so_far = 0;
    let told = move |piece: &Bytes| {
        so_far += piece.len() as u64;
        progress.at(&format!("sending {}", HumanBytes(so_far)));
    };
    Ok(Box::pin(copies::open(file).await?.inspect_ok(told)))
}

/// Takes the lines that are whole; the last one says what was done.
fn last(waiting: &mut BytesMut, progress: &Progress) -> anyhow::Result<Option<Value>> {
    while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
        let line: Value =
            serde_json::from_slice(&waiting[..end]).context("the answer of the server cannot be read")?;
        waiting.advance(end + 1);
        if let Some(done) = line.get("done") {
            return Ok(Some(done.clone()));
        }
        if let Some(failed) = line.get("failed") {
            bail!("{}", failed["message"].as_str().unwrap_or("the restore failed"));
        }
        progress.at(&format!("restoring: {} of {} objects", line["objects"], line["of"]));
    }
    Ok(None)
}

/// What does not come back, in words.
const LEFT: &[(&str, &str)] = &[
    ("madeAnew", "are made anew by their controllers"),
    ("passing", "told of what was then (events, leases, nodes, certificate requests)"),
    ("ended", "were pods or databases that had ended"),
];

fn tell(name: &str, done: &Value) {
    output::line(&format!("tenant {name} restored: {} objects of {}", done["objects"], text(&done["made"])));
    for (why, words) in LEFT {
        if let Some(count) = done["left"][why].as_u64() {
            output::error(&format!("{count} others {words}"));
        }
    }
    for service in done["otherAddresses"].as_array().into_iter().flatten() {
        output::error(&format!("the Service {} has another address: its own is taken", text(service)));
    }
    output::error(&format!(
        "next: insula tenant kubeconfig {name} > {name}.yaml: former kubeconfigs are not valid"
    ));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
