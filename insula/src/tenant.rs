//! `insula tenant …`: thin commands over the `Tenant` kind of the host plane.

use crate::cli::{Common, Server};
use crate::client::HostPlane;
use crate::output::{self, Format};
use crate::up::write_private;
use anyhow::{Context, bail};
use base64::Engine;
use http::Method;
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const API_VERSION: &str = "tenancy.insula.dev/v1alpha1";
const TENANTS: &str = "/apis/tenancy.insula.dev/v1alpha1/tenants";
/// How long `--wait` waits.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often `--wait` looks.
const INTERVAL: Duration = Duration::from_millis(100);

fn path(name: &str) -> String {
    format!("{TENANTS}/{name}")
}

/// `insula tenant create`.
pub async fn create(name: &str, file: Option<PathBuf>, wait: bool, common: &Common) -> anyhow::Result<()> {
    let mut tenant = match file {
        None => json!({}),
        Some(file) => {
            let shown = file.display();
            let text = std::fs::read_to_string(&file).with_context(|| format!("{shown} cannot be read"))?;
            let value: Value =
                serde_yaml_ng::from_str(&text).with_context(|| format!("{shown} is not YAML"))?;
            let given = value["metadata"]["name"].as_str().unwrap_or(name);
            if given != name {
                bail!("{shown} is the tenant {given:?}, not {name:?}");
            }
            if !matches!(value["kind"].as_str(), None | Some("Tenant")) {
                bail!("{shown} is not a Tenant but a {}", value["kind"]);
            }
            if !matches!(value["apiVersion"].as_str(), None | Some(API_VERSION)) {
                bail!("{shown} is of {}: a tenant is of {API_VERSION:?}", value["apiVersion"]);
            }
            value
        }
    };
    tenant["apiVersion"] = API_VERSION.into();
    tenant["kind"] = "Tenant".into();
    tenant["metadata"]["name"] = name.into();
    let plane = HostPlane::connect(&common.server).await?;
    let mut tenant =
        plane.request(Method::POST, &format!("{TENANTS}?fieldManager=insula"), Some(&tenant)).await?;
    if wait {
        tenant = until(&plane, name, |tenant| tenant["status"]["phase"] == "Ready").await?;
    }
    match common.output {
        Format::Table => {
            output::line(&format!(
                "tenant {name} created: {}",
                tenant["status"]["endpoint"].as_str().unwrap_or("pending")
            ));
            output::error(&format!("next: insula tenant kubeconfig {name} > {name}.yaml"));
            Ok(())
        }
        format => output::value(&tenant, format),
    }
}

async fn until(plane: &HostPlane, name: &str, done: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let tenant = plane.request(Method::GET, &path(name), None).await?;
        if done(&tenant) {
            return Ok(tenant);
        }
        if tokio::time::Instant::now() >= deadline {
            bail!("the tenant {name} is still {} after {} s", phase(&tenant), PATIENCE.as_secs());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn phase(tenant: &Value) -> &str {
    if tenant["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating";
    }
    tenant["status"]["phase"].as_str().unwrap_or("Pending")
}

fn row(tenant: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    vec![
        text(&tenant["metadata"]["name"]),
        phase(tenant).to_owned(),
        text(&tenant["status"]["superCluster"]),
        text(&tenant["status"]["endpoint"]),
        text(&tenant["metadata"]["creationTimestamp"]),
    ]
}

const HEADINGS: &[&str] = &["NAME", "PHASE", "SUPER CLUSTER", "ENDPOINT", "CREATED"];

/// `insula tenant list`.
pub async fn list(common: &Common) -> anyhow::Result<()> {
    let plane = HostPlane::connect(&common.server).await?;
    let list = plane.request(Method::GET, TENANTS, None).await?;
    let tenants = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    match common.output {
        Format::Table if tenants.is_empty() => {
            output::error("no tenants; make one: insula tenant create NAME")
        }
        Format::Table => output::table(HEADINGS, tenants.iter().map(row).collect()),
        format => output::value(&list, format)?,
    }
    Ok(())
}

/// `insula tenant get`.
pub async fn get(name: &str, common: &Common) -> anyhow::Result<()> {
    let plane = HostPlane::connect(&common.server).await?;
    let tenant = plane.request(Method::GET, &path(name), None).await?;
    match common.output {
        Format::Table => output::table(HEADINGS, vec![row(&tenant)]),
        format => output::value(&tenant, format)?,
    }
    Ok(())
}

/// `insula tenant kubeconfig`.
pub async fn kubeconfig(name: &str, merge: bool, server: &Server) -> anyhow::Result<()> {
    let plane = HostPlane::connect(server).await?;
    let tenant = plane.request(Method::GET, &path(name), None).await?;
    let reference = &tenant["status"]["kubeconfigSecret"];
    let part = |field: &str| {
        reference[field].as_str().with_context(|| format!("the tenant {name} is not ready yet"))
    };
    let (namespace, secret, key) = (part("namespace")?, part("name")?, part("key")?);
    let secret =
        plane.request(Method::GET, &format!("/api/v1/namespaces/{namespace}/secrets/{secret}"), None).await?;
    let encoded = secret["data"][key].as_str().context("the tenant's kubeconfig secret is empty")?;
    let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded)?)?;
    if !merge {
        output::raw(text.as_bytes());
        return Ok(());
    }
    let target = kubectl_config()?;
    let theirs: Kubeconfig = serde_yaml_ng::from_str(&text)?;
    let current = theirs.current_context.clone();
    let mut merged = if target.exists() {
        let shown = target.display();
        let existing = Kubeconfig::read_from(&target).with_context(|| format!("{shown} cannot be read"))?;
        // Entries of the same name are replaced: the new ones come first, and the first of a name wins.
        theirs.merge(existing)?
    } else {
        theirs
    };
    merged.current_context = current;
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
    }
    write_private(&target, &serde_yaml_ng::to_string(&merged)?)?;
    output::error(&format!("context {name} is current in {}", target.display()));
    Ok(())
}

/// The file that kubectl writes to: the first of `$KUBECONFIG`, else the one in the home directory.
fn kubectl_config() -> anyhow::Result<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty())
    {
        return Ok(first);
    }
    let home = std::env::var_os("HOME").context("neither KUBECONFIG nor HOME is set")?;
    Ok(PathBuf::from(home).join(".kube").join("config"))
}

/// `insula tenant delete`.
pub async fn delete(name: &str, wait: bool, server: &Server) -> anyhow::Result<()> {
    let plane = HostPlane::connect(server).await?;
    plane.request(Method::DELETE, &path(name), None).await?;
    if !wait {
        output::line(&format!("tenant {name} is being deleted"));
        return Ok(());
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match plane.request(Method::GET, &path(name), None).await {
            Err(failure) if failure.code == 404 => break,
            Err(failure) => return Err(failure.into()),
            Ok(tenant) if tokio::time::Instant::now() >= deadline => {
                let held = &tenant["metadata"]["finalizers"];
                bail!("the tenant {name} is still there after {} s; held by {held}", PATIENCE.as_secs());
            }
            Ok(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
    output::line(&format!("tenant {name} deleted"));
    Ok(())
}
