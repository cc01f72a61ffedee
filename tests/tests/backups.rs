//! Backups by the clock, and in S3.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use backup_storage::{Credentials, Source, Storage};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use tests::{Insula, Moto, until};

fn status(insula: &Insula) -> Value {
    let size: Value = serde_json::from_str(&insula.insula(&["store", "status", "-o", "json"])).unwrap();
    size["backups"].clone()
}

/// The backups in a folder, by their names.
fn there(dir: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(dir).into_iter().flatten();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Waits until so many more were made.
fn made(insula: &Insula, more: u64) {
    let before = status(insula)["made"].as_u64().unwrap();
    until("more backups are made", || {
        let now = status(insula);
        if now["made"].as_u64().unwrap() >= before + more { Ok(()) } else { Err(now.to_string()) }
    });
}

#[test]
fn backups_are_made_by_the_clock_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let to = format!("--backup-to={}", kept.display());
    let flags = ["--backup-schedule=@every 1s", &to, "--backup-keep=2"];
    std::fs::create_dir(&kept).unwrap();
    let mine = ["mine.backup", "insula-before-upgrade.backup"];
    mine.iter().for_each(|name| std::fs::write(kept.join(name), "").unwrap());
    let mut insula = Insula::start_with(&flags, &[]);
    insula.tenant("acme").run(&["create", "configmap", "its"]);
    made(&insula, 4);
    let told = insula.insula(&["store", "status"]);
    assert!(told.contains("\"@every 1s\" in UTC, 2 kept") && told.contains("last backup"), "{told}");
    let metrics = insula.host().run(&["get", "--raw", "/metrics"]);
    assert!(metrics.contains("insula_backup_runs_total{result=\"failure\"} 0"), "{metrics}");
    assert!(metrics.contains("insula_backup_last_success_timestamp_seconds "), "{metrics}");

    // A place that cannot be used: the failure is seen, and what was kept before is still there.
    std::fs::rename(&kept, folder.path().join("away")).unwrap();
    std::fs::write(&kept, "no folder").unwrap();
    until("the failure is told", || {
        let told = status(&insula);
        let failure = told["failure"]["message"].as_str().unwrap_or("").to_owned();
        if failure.contains("cannot be used") && told["failed"] != 0 { Ok(()) } else { Err(told.to_string()) }
    });
    assert!(insula.insula(&["store", "status"]).contains("cannot be used"));
    until("it is logged", || {
        let said = insula.stderr();
        if said.contains("a backup by the clock failed") { Ok(()) } else { Err(said) }
    });
    assert!(insula.interrupt().success());
    std::fs::remove_file(&kept).unwrap();
    std::fs::rename(folder.path().join("away"), &kept).unwrap();

    // Two of ours at most beside what is not ours; each is whole.
    let mut left = there(&kept);
    mine.iter().for_each(|name| assert!(left.remove(*name), "{name} has gone"));
    left.retain(|name| !name.starts_with('.'));
    assert!((1..=3).contains(&left.len()), "{left:?}");
    let newest = kept.join(left.last().unwrap()).display().to_string();
    let dir = folder.path().join("restored");
    insula.insula(&["store", "restore", &newest, "--to", &dir.display().to_string()]);
    std::fs::remove_file(insula.data_dir().join("objects.redb")).unwrap();
    std::fs::rename(dir.join("objects.redb"), insula.data_dir().join("objects.redb")).unwrap();
    insula.start_again();
    insula.tenant_admin("acme").run(&["get", "configmap", "its"]);
    // What was missed is made up for, and retention goes on.
    made(&insula, 2);
    assert!(!there(&kept).contains(left.first().unwrap()));
}

#[test]
fn backups_are_kept_in_s3() {
    let moto = Moto::start();
    moto.bucket("backups");
    let environment = moto.environment();
    let flags = ["--backup-schedule=@every 1s", "--backup-to=s3://backups/clock/", "--backup-keep=2"];
    let insula = Insula::start_with(&flags, &environment);
    let acme = insula.tenant("acme");
    acme.run(&["create", "configmap", "its"]);
    made(&insula, 4);
    let listed = moto.ask("GET", "/backups?list-type=2&prefix=clock/");
    let count = listed.matches("<Key>clock/insula-").count();
    assert!((2..=3).contains(&count), "{listed}");

    // On demand, to an object of a name, and back; longer than one part, so that it comes in several.
    let large = insula.scratch("large").display().to_string();
    let mut text = String::new();
    while text.len() < 900 << 10 {
        text.push_str(&format!("{:x}", text.len()));
    }
    std::fs::write(&large, text).unwrap();
    for number in 0..20 {
        let name = format!("large-{number}");
        acme.run(&["create", "configmap", &name, &format!("--from-file=text={large}")]);
    }
    insula.insula(&["store", "backup", "s3://backups/now/all.backup"]);
    insula.insula(&["tenant", "backup", "acme", "s3://backups/now/acme.backup"]);
    insula.insula(&["tenant", "restore", "s3://backups/now/acme.backup", "--as", "again"]);
    let again = insula.tenant_admin("again");
    again.run(&["get", "configmap", "its", "large-19"]);
    let dir = insula.scratch("restored").display().to_string();
    insula.insula(&["store", "restore", "s3://backups/now/all.backup", "--to", &dir]);
    let missing = insula.try_insula(&["store", "restore", "s3://backups/now/other", "--to", &dir]);
    let why = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(!missing.status.success() && why.contains("NoSuchKey"), "{why}");
    let nowhere = insula.try_insula(&["store", "backup", "s3://nobodys/x"]);
    let why = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(!nowhere.status.success() && why.contains("NoSuchBucket"), "{why}");
}

fn source(pieces: Vec<std::io::Result<Bytes>>) -> Source {
    Box::pin(futures::stream::iter(pieces))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_whole_or_not_there() {
    let moto = Moto::start();
    moto.bucket("backups");
    let credentials = Credentials {
        access_key: "key".into(),
        secret_key: "secret".into(),
        session_token: None,
        region: "us-east-1".into(),
        endpoint: Some(moto.url()),
    };
    let address = "s3://backups/a b/+&é".parse().unwrap();
    let storage = Storage::open_with(&address, &credentials).unwrap();
    let name = |day: usize| format!("insula-202601{day:02}T000000Z.backup");
    let part = || Ok(Bytes::from(vec![7; 16 << 20]));
    let size =
        storage.put(&name(1), source(vec![part(), part(), Ok(Bytes::from_static(b"end"))])).await.unwrap();
    assert_eq!(size, (32 << 20) + 3);
    let mut read = storage.get(&name(1)).await.unwrap();
    let (mut bytes, mut last) = (0, Bytes::new());
    while let Some(piece) = read.next().await {
        last = piece.unwrap();
        bytes += last.len() as u64;
    }
    assert!(bytes == size && last.ends_with(b"end"));

    // What breaks off in the first part, or in a later one, leaves nothing.
    let broken = || Err(std::io::Error::other("broken off"));
    for pieces in [vec![Ok(Bytes::from_static(b"half")), broken()], vec![part(), part(), broken()]] {
        let error = storage.put(&name(2), source(pieces)).await.unwrap_err();
        assert_eq!(error.to_string(), "what was to be kept broke off");
    }
    assert_eq!(storage.backups().await.unwrap(), [name(1)]);
    let uploads = moto.ask("GET", "/backups?uploads");
    assert!(!uploads.contains("<UploadId>"), "{uploads}");
    storage.tidy().await.unwrap();
    for day in 2..=9 {
        storage.put(&name(day), source(vec![Ok(Bytes::from_static(b"x"))])).await.unwrap();
    }
    storage.put("mine", source(vec![])).await.unwrap();
    // More than one answer lists.
    let more: Vec<String> =
        (0..1_100).map(|n| format!("insula-20250101T00{:02}{:02}Z.backup", n / 60, n % 60)).collect();
    let putting = more.iter().map(|name| storage.put(name, source(vec![])));
    futures::stream::iter(putting)
        .buffer_unordered(16)
        .for_each(|put| async { assert_eq!(put.unwrap(), 0) })
        .await;
    assert_eq!(storage.backups().await.unwrap().len(), 9 + more.len());
    futures::stream::iter(more.iter().map(|name| storage.remove(name)))
        .buffer_unordered(16)
        .for_each(|removed| async { removed.unwrap() })
        .await;
    let all: Vec<String> = (1..=9).map(name).collect();
    assert_eq!(storage.backups().await.unwrap(), all);
    storage.remove(&name(1)).await.unwrap();
    storage.remove(&name(1)).await.unwrap();
    assert_eq!(storage.backups().await.unwrap(), all[1..]);
    let error = storage.get(&name(1)).await.err().unwrap().to_string();
    assert!(error.contains("NoSuchKey"), "{error}");
}
