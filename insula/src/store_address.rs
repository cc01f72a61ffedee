//! Where a store is: a folder, or etcd.

use crate::cli::store::Etcd;
use anyhow::{Context, bail};
use object_store::{EmbeddedOptions, EmbeddedStore, ObjectStore, StoreError, backup};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The engine of a store, and where it keeps things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// The embedded one in a data directory.
    Embedded(PathBuf),
    /// etcd at these URLs.
    Etcd(Vec<String>),
}

impl std::str::FromStr for StoreAddress {
    type Err = String;

    /// A folder, or URLs with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return Ok(StoreAddress::Embedded(text.into()));
        }
        let urls: Vec<String> = text.split(',').map(str::to_owned).collect();
        match urls.iter().find(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            Some(url) => Err(format!("{url:?} is not a URL of etcd, such as https://127.0.0.1:2379")),
            None => Ok(StoreAddress::Etcd(urls)),
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreAddress::Embedded(dir) => dir.display().fmt(f),
            StoreAddress::Etcd(urls) => f.write_str(&urls.join(",")),
        }
    }
}

impl StoreAddress {
    /// Opens it; an embedded one is made when it is not there.
    pub async fn open(&self, etcd: &Etcd) -> anyhow::Result<Arc<dyn ObjectStore>> {
        let store: Arc<dyn ObjectStore> = match self {
            StoreAddress::Embedded(dir) => {
                let path = dir.clone();
                let store = tokio::task::spawn_blocking(move || open_embedded(&path)).await?;
                let shown = dir.display();
                Arc::new(store.with_context(|| format!("the data directory {shown} cannot be used"))?)
            }
            StoreAddress::Etcd(urls) => open_etcd(urls, etcd).await?,
        };
        Ok(store)
    }

    /// Opens one that is whole.
    pub async fn open_whole(&self, etcd: &Etcd) -> anyhow::Result<Arc<dyn ObjectStore>> {
        let store = self.open(etcd).await?;
        let unfinished = backup::is_unfinished(&*store).await;
        if !matches!(unfinished, Ok(false)) {
            store.release().await;
        }
        if unfinished? {
            bail!("a restore into {self} was not finished: empty it, and restore it again");
        }
        Ok(store)
    }

    /// The same, of a store that must be there.
    pub async fn open_existing(&self, etcd: &Etcd) -> anyhow::Result<Arc<dyn ObjectStore>> {
        if let StoreAddress::Embedded(dir) = self
            && !EmbeddedStore::is_in(dir)
        {
            bail!("there is no store in {}", dir.display());
        }
        self.open(etcd).await
    }
}

/// Opens the store. A damaged file may make the library panic; the store turns that into an error, which is all that is
/// to be seen of it.
fn open_embedded(dir: &Path) -> Result<EmbeddedStore, StoreError> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let opened = EmbeddedStore::open(dir, EmbeddedOptions::default());
    std::panic::set_hook(hook);
    opened
}

#[cfg(feature = "etcd")]
async fn open_etcd(urls: &[String], flags: &Etcd) -> anyhow::Result<Arc<dyn ObjectStore>> {
    use object_store::{CLAIM_SECONDS, EtcdOptions, EtcdStore, EtcdTls};
    use std::time::{Duration, Instant};
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let mut options = EtcdOptions::new(urls.to_vec(), &flags.etcd_prefix);
    let identity = flags.etcd_certfile.as_deref().zip(flags.etcd_keyfile.as_deref());
    if let Some(ca) = &flags.etcd_cafile {
        let identity = identity.map(|(certificate, key)| anyhow::Ok((read(certificate)?, read(key)?)));
        options.tls = Some(EtcdTls { ca: read(ca)?, identity: identity.transpose()? });
    } else if urls.iter().any(|url| url.starts_with("https://")) {
        bail!("--etcd-cafile is needed for etcd at https");
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    options.claim = Some(format!("process {} of {}", std::process::id(), host.trim()));
    let shown = urls.join(",");
    // The claim of a process that was killed ends by itself.
    let until = Instant::now() + Duration::from_secs(CLAIM_SECONDS + 2);
    loop {
        match EtcdStore::connect(options.clone()).await {
            Ok(store) => return Ok(Arc::new(store)),
            Err(StoreError::InUse { .. }) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(error).with_context(|| format!("etcd at {shown} cannot be used")),
        }
    }
}

#[cfg(not(feature = "etcd"))]
async fn open_etcd(_urls: &[String], _flags: &Etcd) -> anyhow::Result<Arc<dyn ObjectStore>> {
    bail!(
        "this insula was built without etcd: build it with `cargo build --release --features etcd`, which needs protoc"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_folders_or_urls() {
        let etcd = |urls: &[&str]| Ok(StoreAddress::Etcd(urls.iter().map(|url| url.to_string()).collect()));
        let table = [
            (".insula", Ok(StoreAddress::Embedded(".insula".into()))),
            ("/var/lib/insula", Ok(StoreAddress::Embedded("/var/lib/insula".into()))),
            ("http://127.0.0.1:2379", etcd(&["http://127.0.0.1:2379"])),
            ("https://a:2379,https://b:2379", etcd(&["https://a:2379", "https://b:2379"])),
            (
                "https://a:2379,b",
                Err(r#""b" is not a URL of etcd, such as https://127.0.0.1:2379"#.to_owned()),
            ),
            (
                "s3://bucket",
                Err(r#""s3://bucket" is not a URL of etcd, such as https://127.0.0.1:2379"#.to_owned()),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }
}
