//! `insula tenant …`: thin commands over the `Tenant` kind of the host plane.

use crate::cli::{Common, Server};
use crate::client::HostPlane;
use crate::output::{self, Format};
use crate::{kubeconfigs, private_file};
use anyhow::{Context, bail};
use http::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const API_VERSION: &str = "tenancy.insula.dev/v1alpha1";
const TENANTS: &str = "/apis/tenancy.insula.dev/v1alpha1/tenants";
/// How long `--wait` waits.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often `--wait` looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// Where a tenant is in the host plane.
pub fn path(name: &str) -> String {
    format!("{TENANTS}/{name}")
}

/// `insula tenant create`.
pub async fn create(name: &str, file: Option<PathBuf>, wait: bool, common: &Common) -> anyhow::Result<()> {
    let mut tenant = match file {
        None => json!({}),
        Some(file) => {
            let (shown, text) = if file.as_os_str() == "-" {
                let read = std::io::read_to_string(std::io::stdin());
                ("standard input".to_owned(), read.context("standard input cannot be read")?)
            } else {
                let shown = file.display().to_string();
                let text = std::fs::read_to_string(&file);
                (shown.clone(), text.with_context(|| format!("{shown} cannot be read"))?)
            };
            from_file(name, &shown, &text)?
        }
    };
    tenant["apiVersion"] = API_VERSION.into();
    tenant["kind"] = "Tenant".into();
    tenant["metadata"]["name"] = name.into();
    let plane = HostPlane::connect(&common.server).await?;
    let mut tenant =
        plane.request(Method::POST, &format!("{TENANTS}?fieldManager=insula"), Some(&tenant)).await?;
    if wait {
        tenant = until(&plane, name, |tenant| ["Ready", "Suspended"].contains(&phase(tenant))).await?;
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

/// The tenant that a file has, which may leave out what the command line says.
fn from_file(name: &str, shown: &str, text: &str) -> anyhow::Result<Value> {
    let value: Value = serde_yaml_ng::from_str(text)
        .with_context(|| format!("{shown} is not one object in YAML or JSON"))?;
    if !value.is_object() {
        bail!("{shown} is not a Tenant: it has no fields");
    }
    for (field, expected) in [("kind", "Tenant"), ("apiVersion", API_VERSION)] {
        if !value[field].is_null() && value[field] != expected {
            bail!("{shown} is not a Tenant of {API_VERSION}: its {field} is {}", value[field]);
        }
    }
    let metadata = &value["metadata"];
    if !(metadata.is_null() || metadata.is_object()) {
        bail!("{shown} is not a Tenant: its metadata has no fields");
    }
    if !metadata["name"].is_null() && metadata["name"] != name {
        bail!("{shown} is the tenant {}, not {name:?}", metadata["name"]);
    }
    Ok(value)
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
    let text = plane.tenant_kubeconfig(name).await?;
    if !merge {
        output::raw(text.as_bytes());
        return Ok(());
    }
    let target = kubectl_config()?;
    let shown = target.display();
    let there = match std::fs::read_to_string(&target) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("{shown} cannot be read"))?,
    };
    let merged = kubeconfigs::merge(&there, &text)
        .with_context(|| format!("the tenant cannot be put into {shown}"))?;
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
    }
    private_file::write(&target, &merged)?;
    output::error(&format!("context {name} is current in {shown}"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_tenant_and_that_of_the_command_line() {
        let of = |text| from_file("acme", "f.yaml", text);
        for good in
            ["spec: {weight: 2}", "kind: Tenant", "{\"metadata\": {\"name\": \"acme\"}}", "metadata: null"]
        {
            assert!(of(good).is_ok(), "{good}");
        }
        for (bad, said) in [
            ("", "f.yaml is not a Tenant: it has no fields"),
            ("- kind: Tenant", "f.yaml is not a Tenant: it has no fields"),
            ("metadata: acme", "f.yaml is not a Tenant: its metadata has no fields"),
            ("kind: Pod", "f.yaml is not a Tenant of tenancy.insula.dev/v1alpha1: its kind is \"Pod\""),
            (
                "kind: [Tenant]",
                "f.yaml is not a Tenant of tenancy.insula.dev/v1alpha1: its kind is [\"Tenant\"]",
            ),
            (
                "apiVersion: v1",
                "f.yaml is not a Tenant of tenancy.insula.dev/v1alpha1: its apiVersion is \"v1\"",
            ),
            ("metadata: {name: other}", "f.yaml is the tenant \"other\", not \"acme\""),
            ("metadata: {name: 3}", "f.yaml is the tenant 3, not \"acme\""),
            ("a: [", "f.yaml is not one object in YAML or JSON"),
            ("kind: Tenant\n---\nkind: Tenant\n", "f.yaml is not one object in YAML or JSON"),
        ] {
            assert_eq!(of(bad).unwrap_err().to_string(), said, "{bad}");
        }
    }
}
