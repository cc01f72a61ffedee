//! `insula store …`: how large the store is, whether it is whole, copies of it, and the way from one engine to another.

use crate::cli::Common;
use crate::cli::store::{Backup as BackupFlags, Etcd, Restore as RestoreFlags};
use crate::client::HostPlane;
use crate::copies::{self, Copy};
use crate::output::{self, Format};
use crate::private_file;
use crate::progress::Progress;
use crate::store_address::StoreAddress;
use crate::tenant_copies;
use anyhow::{Context, bail};
use bytes::Bytes;
use futures::SinkExt;
use http::Method;
use indicatif::HumanBytes;
use object_store::backup::{Entry, Restore};
use serde_json::Value;
use std::io::Write;
use std::path::Path;

/// Where the running server answers.
const PATH: &str = "/insula/store";

/// `insula store status`.
pub async fn status(common: &Common) -> anyhow::Result<()> {
    let plane = HostPlane::connect(&common.server).await?;
    let size = plane.request(Method::GET, PATH, None).await?;
    if common.output != Format::Table {
        return output::value(&size, common.output);
    }
    let rows = [("engine", text(&size["engine"])), ("revision", text(&size["revision"]))];
    let more = [
        ("history from", text(&size["compacted"])),
        ("on disk", bytes(&size["diskBytes"])),
        ("in use", bytes(&size["usedBytes"])),
    ];
    let writes = match size["failure"].as_str() {
        None => "taken".to_owned(),
        Some(why) => format!("refused: {why}"),
    };
    let backups = backups(&size["backups"]);
    let all = rows.into_iter().chain(more).chain([("writes", writes)]).chain(backups);
    all.for_each(|(what, value)| output::line(&format!("{what:<14}{value}")));
    Ok(())
}

/// What is told of backups that are made by the clock.
fn backups(of: &Value) -> Vec<(&'static str, String)> {
    if of.is_null() {
        return vec![("backups", "none by the clock (insula up --backup-schedule)".to_owned())];
    }
    let plan = format!(
        "to {}, {:?} in {}, {} kept",
        text(&of["to"]),
        text(&of["schedule"]),
        text(&of["timeZone"]),
        of["keep"]
    );
    let mut rows = vec![("backups", plan)];
    let last = &of["last"];
    rows.push(match last.is_null() {
        true => ("last backup", "none since the start".to_owned()),
        false => (
            "last backup",
            format!(
                "{}, {}, in {:.2} s",
                text(&last["name"]),
                bytes(&last["bytes"]),
                last["seconds"].as_f64().unwrap_or(0.0)
            ),
        ),
    });
    let failure = &of["failure"];
    if !failure.is_null() {
        let (at, why) = (text(&failure["at"]), text(&failure["message"]));
        rows.push(("failed", format!("{at}: {why}; tried again every minute")));
    }
    let next = if of["underWay"] == true { "now".to_owned() } else { text(&of["next"]) };
    rows.push(("next backup", next));
    rows
}

/// `insula store check`.
pub async fn check(common: &Common) -> anyhow::Result<()> {
    let progress = Progress::new(common.output != Format::Table);
    progress.step("reading everything in the store");
    let plane = HostPlane::connect(&common.server).await?;
    let found = plane.request(Method::POST, &format!("{PATH}/check"), None).await?;
    progress.done();
    let faults = found["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
    if common.output == Format::Table {
        output::line(&format!(
            "{} keys of {} planes, {}, at revision {}",
            found["keys"],
            found["planes"],
            bytes(&found["bytes"]),
            found["revision"]
        ));
        faults.iter().for_each(|fault| output::line(&text(fault)));
    } else {
        output::value(&found, common.output)?;
    }
    let count = faults.len() as u64 + found["moreFaults"].as_u64().unwrap_or(0);
    if count > 0 {
        bail!("{count} faults: restore a backup, and keep this store until you have what you need of it");
    }
    if common.output == Format::Table {
        output::line("no faults");
    }
    Ok(())
}

/// `insula store compact`.
pub async fn compact(common: &Common) -> anyhow::Result<()> {
    let progress = Progress::new(common.output != Format::Table);
    progress.step("compacting the store");
    let plane = HostPlane::connect(&common.server).await?;
    let done = plane.request(Method::POST, &format!("{PATH}/compact"), None).await?;
    progress.done();
    if common.output != Format::Table {
        return output::value(&done, common.output);
    }
    let (before, after) = (bytes(&done["before"]["diskBytes"]), bytes(&done["after"]["diskBytes"]));
    output::line(&format!("{before} on disk before, {after} now"));
    if done["shrunk"] == Value::Bool(false) {
        output::error("etcd gives space back when its operators say so: etcdctl defrag");
    }
    Ok(())
}

/// `insula store backup`.
pub async fn backup(flags: &BackupFlags) -> anyhow::Result<()> {
    let mut copy = match &flags.from {
        Some(from) => Copy::of_store(from, &flags.etcd).await?,
        None => Copy::of_server(&HostPlane::connect(&flags.server).await?, &format!("{PATH}/backup")).await?,
    };
    let (values, total) = keep(&mut copy, &flags.file).await?;
    let shown = flags.file.display();
    output::error(&format!("{shown} has {values} values, {}", HumanBytes(total)));
    output::error("next: keep a copy of the sealing keys elsewhere; without them its Secrets cannot be read");
    Ok(())
}

/// Writes a copy into a file, or into an object of S3. How many values it has, and how many bytes.
pub async fn keep(copy: &mut Copy, file: &Path) -> anyhow::Result<(u64, u64)> {
    let progress = Progress::new(false);
    let kept = if copies::is_object(file) {
        keep_object(copy, file, &progress).await?
    } else {
        keep_file(copy, file, &progress).await?
    };
    copy.release().await;
    progress.done();
    Ok(kept)
}

async fn keep_file(copy: &mut Copy, file: &Path, progress: &Progress) -> anyhow::Result<(u64, u64)> {
    let shown = file.display();
    let mut file = private_file::begin(file)?;
    let mut read = Counted::default();
    while let Some(bytes) = read.next(copy, progress).await? {
        file.write_all(&bytes).with_context(|| format!("{shown} cannot be written"))?;
    }
    file.finish()?;
    Ok((read.values, read.bytes))
}

async fn keep_object(copy: &mut Copy, file: &Path, progress: &Progress) -> anyhow::Result<(u64, u64)> {
    let shown = file.display();
    let (storage, name) = copies::place(file)?;
    let (mut sender, receiver) = futures::channel::mpsc::channel(2);
    let mut read = Counted::default();
    let reading = async {
        loop {
            let next = read.next(copy, progress).await;
            let sent = match &next {
                Ok(Some(bytes)) => sender.send(Ok(bytes.clone())).await,
                Ok(None) => {
                    sender.close_channel();
                    return anyhow::Ok(());
                }
                Err(error) => sender.send(Err(std::io::Error::other(error.to_string()))).await,
            };
            // Who does not take more says why.
            if sent.is_err() {
                return Ok(());
            }
            next?;
        }
    };
    let (read_all, put) = tokio::join!(reading, storage.put(&name, Box::pin(receiver)));
    read_all?;
    put.with_context(|| format!("{shown} cannot be written"))?;
    Ok((read.values, read.bytes))
}

/// How much of a copy was read.
#[derive(Default)]
struct Counted {
    values: u64,
    bytes: u64,
}

impl Counted {
    /// The next bytes. They are checked as they are read: what is kept is known to be whole.
    async fn next(&mut self, copy: &mut Copy, progress: &Progress) -> anyhow::Result<Option<Bytes>> {
        let bytes = copy.bytes().await.context("the backup was broken off: see the log of the server")?;
        let Some(bytes) = bytes else { return Ok(None) };
        self.bytes += bytes.len() as u64;
        progress.at(&format!("backing up: {}", HumanBytes(self.bytes)));
        while let Some(entry) = copy.known()? {
            self.values += u64::from(matches!(entry, Entry::Item(_)));
        }
        Ok(Some(bytes))
    }
}

/// `insula store restore`.
pub async fn restore(flags: &RestoreFlags) -> anyhow::Result<()> {
    let copy = Copy::of_file(&flags.file).await?;
    fill(copy, &flags.to, &flags.etcd).await?;
    output::error(&format!("next: put the sealing keys of then in place, and start: {}", start(&flags.to)));
    Ok(())
}

/// `insula store migrate`.
pub async fn migrate(from: &StoreAddress, to: &StoreAddress, etcd: &Etcd) -> anyhow::Result<()> {
    if from == to {
        bail!("{from} is where it is already");
    }
    fill(Copy::of_store(from, etcd).await?, to, etcd).await?;
    output::error(&format!("next: start with the same sealing keys: {}", start(to)));
    Ok(())
}

/// Puts a copy into a store that holds nothing.
async fn fill(mut copy: Copy, to: &StoreAddress, etcd: &Etcd) -> anyhow::Result<()> {
    // What is no copy makes no store.
    let Entry::Head(head) = copy.entry().await? else { bail!("{} has no beginning", copy.shown()) };
    if let Some(tenant) = tenant_copies::of_tenant(&head) {
        bail!(
            "{} is a backup of the tenant {tenant}, not of everything: start a server, and insula tenant restore it",
            copy.shown()
        );
    }
    let store = to.open(etcd).await?;
    let progress = Progress::new(false);
    let refused = || format!("nothing can be put into {to}");
    let mut restore = Restore::begin(&*store, &head).await.with_context(refused)?;
    let mut values = 0;
    loop {
        match copy.entry().await? {
            Entry::Item(item) => {
                let what = format!("{} of plane {}", item.key, item.tenant);
                restore.put(item).await.with_context(|| format!("up to {what}"))?;
                values += 1;
                progress.at(&format!("restoring: {values} values"));
            }
            Entry::End(_) => break,
            Entry::Head(_) => bail!("{} has two beginnings", copy.shown()),
        }
    }
    restore.finish().await?;
    store.release().await;
    copy.release().await;
    progress.done();
    output::line(&format!("{values} values are in {to}"));
    Ok(())
}

/// How to start with a store.
fn start(to: &StoreAddress) -> String {
    match to {
        StoreAddress::Embedded(dir) => format!("insula up --data-dir {}", dir.display()),
        StoreAddress::Etcd(urls) => format!("insula up --etcd-servers {}", urls.join(",")),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn bytes(value: &Value) -> String {
    HumanBytes(value.as_u64().unwrap_or(0)).to_string()
}
