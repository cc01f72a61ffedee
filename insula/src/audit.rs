//! The audit policy of the installation, from the files that flags name.

use crate::cli::Audit;
use crate::kubeconfigs;
use anyhow::{Context, bail};
use api_resources::audit::{Defect, Policy};
use base64::Engine;
use kube::config::Kubeconfig;
use serde_json::Value;
use std::path::Path;
use tenant_apiserver_proxy::audit::Installation;
use tenant_apiserver_proxy::audit::log::{Limits, Log};
use tenant_apiserver_proxy::audit::webhook::Destination;
use tenant_apiserver_proxy::pki::KeyedCertificate;

/// What is to be written down. `None`: nothing.
pub fn open(flags: &Audit) -> anyhow::Result<Option<Installation>> {
    let Some(path) = &flags.audit_policy_file else { return Ok(None) };
    let shown = path.display();
    let policy = policy(path).with_context(|| format!("the audit policy {shown} cannot be used"))?;
    if flags.audit_log_path.is_none() && flags.audit_webhook_config_file.is_none() {
        bail!("--audit-policy-file needs --audit-log-path, --audit-webhook-config-file, or both");
    }
    let bytes = flags.audit_log_maxsize.saturating_mul(1 << 20);
    let limits = Limits { bytes, files: flags.audit_log_maxbackup, days: flags.audit_log_maxage };
    let log = flags.audit_log_path.as_ref().map(|path| {
        Log::open(path, limits).with_context(|| format!("the audit log {} cannot be opened", path.display()))
    });
    let webhook = flags.audit_webhook_config_file.as_ref().map(|path| {
        destination(path).with_context(|| format!("the audit webhook of {} cannot be used", path.display()))
    });
    Ok(Some(Installation { policy, log: log.transpose()?, webhook: webhook.transpose()? }))
}

fn policy(path: &Path) -> anyhow::Result<Policy> {
    let text = std::fs::read_to_string(path)?;
    let object: Value = serde_yaml_ng::from_str(&text).context("it is not one object in YAML or JSON")?;
    Policy::of_object(&object).map_err(|defects| {
        let told = |Defect { field, why }: Defect| {
            if field.is_empty() { why } else { format!("{field}: {why}") }
        };
        anyhow::anyhow!(defects.into_iter().map(told).collect::<Vec<_>>().join("; "))
    })
}

fn destination(path: &Path) -> anyhow::Result<Destination> {
    let config = kubeconfigs::read(path)?;
    let destination = read(&config)?;
    destination.check()?;
    Ok(destination)
}

/// What the current context of a kubeconfig says.
fn read(config: &Kubeconfig) -> anyhow::Result<Destination> {
    let current = config.current_context.as_deref().unwrap_or("");
    let context = config.contexts.iter().find(|context| context.name == current);
    let context = context.and_then(|context| context.context.as_ref());
    let context = context.with_context(|| format!("it has no context {current:?}"))?;
    let cluster = config.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.and_then(|cluster| cluster.cluster.as_ref());
    let cluster = cluster.with_context(|| format!("it has no cluster {:?}", context.cluster))?;
    let mut destination = Destination {
        url: cluster.server.clone().context("its cluster has no server")?,
        bundle: bytes(
            cluster.certificate_authority.as_deref(),
            cluster.certificate_authority_data.as_deref(),
        )?
        .unwrap_or_default(),
        ..Destination::default()
    };
    if cluster.insecure_skip_tls_verify == Some(true) {
        bail!("insecure-skip-tls-verify is refused: name its certificate-authority");
    }
    let named = context.user.as_deref().unwrap_or("");
    let user = config.auth_infos.iter().find(|user| user.name == named);
    let Some(user) = user.and_then(|user| user.auth_info.as_ref()) else { return Ok(destination) };
    if user.exec.is_some() || user.auth_provider.is_some() || user.username.is_some() {
        bail!("its user may have a token or a client certificate, and nothing else");
    }
    let key = user.client_key_data.as_ref().map(secrecy::ExposeSecret::expose_secret);
    let certificate = bytes(user.client_certificate.as_deref(), user.client_certificate_data.as_deref())?;
    let key = bytes(user.client_key.as_deref(), key)?;
    destination.identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(KeyedCertificate {
            certificate_pem: String::from_utf8(certificate).context("its client certificate is not PEM")?,
            key_pem: String::from_utf8(key).context("its client key is not PEM")?,
        }),
        (None, None) => None,
        _ => bail!("its user has a client certificate without its key, or a key without its certificate"),
    };
    let token = bytes(user.token_file.as_deref(), None)?.map(String::from_utf8).transpose()?;
    let written = user.token.as_ref().map(|token| secrecy::ExposeSecret::expose_secret(token).to_owned());
    destination.token = written.or(token).map(|token| token.trim().to_owned());
    Ok(destination)
}

/// What is in a file, or written in base64.
fn bytes(file: Option<&str>, data: Option<&str>) -> anyhow::Result<Option<Vec<u8>>> {
    if let Some(data) = data {
        let decoded = base64::engine::general_purpose::STANDARD.decode(data.trim());
        return decoded.map(Some).context("its data is not base64");
    }
    let Some(file) = file else { return Ok(None) };
    std::fs::read(file).map(Some).with_context(|| format!("{file} cannot be read"))
}
