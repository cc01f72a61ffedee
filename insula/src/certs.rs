//! `insula certs …`, which asks the server about certificates and keys.

use crate::cli::{Common, Plane, Rotate};
use crate::client::HostPlane;
use crate::output::{self, Format};
use anyhow::bail;
use clap::ValueEnum;
use http::Method;
use serde_json::Value;
use tenant_apiserver_proxy::certs::PATH;

/// What can be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// The authority that clients believe when they connect
    ServingCa,
    /// The certificate that the server shows
    ServingCertificate,
    /// The authority of a plane's client certificates
    ClientCa,
    /// The key of a plane's service account tokens
    TokenKey,
    /// The authority by which a plane's extension servers know who asks them
    FrontProxyCa,
}

impl What {
    /// As the server calls it.
    fn name(self) -> &'static str {
        match self {
            What::ServingCa => "serving-ca",
            What::ServingCertificate => "serving-certificate",
            What::ClientCa => "client-ca",
            What::TokenKey => "token-key",
            What::FrontProxyCa => "front-proxy-ca",
        }
    }

    fn is_of_installation(self) -> bool {
        matches!(self, What::ServingCa | What::ServingCertificate)
    }
}

/// A time such as `24h`, in seconds.
pub fn seconds(text: &str) -> Result<u64, String> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let found = units.iter().find_map(|(unit, of)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*of)
    });
    found.ok_or_else(|| "a number and one of s, m, h and d are needed, such as 24h".to_owned())
}

/// The plane that flags name, as the server calls it.
fn named(plane: &Plane) -> Option<String> {
    match plane {
        Plane { tenant: Some(name), .. } => Some(format!("tenants/{name}")),
        Plane { host: true, .. } => Some("host".to_owned()),
        Plane { local: true, .. } => Some("supers/local".to_owned()),
        Plane { .. } => None,
    }
}

fn path(pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{query}") }
}

/// `insula certs list`.
pub async fn list(plane: &Plane, common: &Common) -> anyhow::Result<()> {
    let named = named(plane);
    let pairs: Vec<(&str, &str)> = named.iter().map(|name| ("plane", name.as_str())).collect();
    let host = HostPlane::connect(&common.server).await?;
    show(&host.request(Method::GET, &path(&pairs), None).await?, common.output)
}

/// `insula certs rotate`.
pub async fn rotate(flags: &Rotate) -> anyhow::Result<()> {
    let named = named(&flags.plane);
    let what = flags.what.name();
    match (flags.what.is_of_installation(), named.is_some() || flags.all_tenants) {
        (true, true) => bail!("the {what} is the whole installation's: leave out whose it is"),
        (false, false) => bail!("whose {what}? Say --tenant NAME, --all-tenants, --host or --local"),
        _ => {}
    }
    let (overlap, after) = (flags.overlap.to_string(), flags.after.to_string());
    let mut pairs = vec![("what", what), ("overlap", overlap.as_str()), ("after", after.as_str())];
    pairs.extend(named.iter().map(|name| ("plane", name.as_str())));
    let host = HostPlane::connect(&flags.common.server).await?;
    show(&host.request(Method::POST, &path(&pairs), None).await?, flags.common.output)
}

fn show(answer: &Value, format: Format) -> anyhow::Result<()> {
    if format != Format::Table {
        return output::value(answer, format);
    }
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    output::table(
        &["PLANE", "WHAT", "SUBJECT", "VALID FROM", "VALID UNTIL", "STATE"],
        items.iter().map(row).collect(),
    );
    Ok(())
}

fn row(item: &Value) -> Vec<String> {
    let text = |field: &str| item[field].as_str().unwrap_or("-").to_owned();
    let state = match (item["signsFrom"].as_str(), item["believedUntil"].as_str()) {
        (Some(from), _) => format!("{}, signs from {from}", text("state")),
        (None, Some(until)) => format!("{}, until {until}", text("state")),
        (None, None) => text("state"),
    };
    vec![text("plane"), text("what"), text("subject"), text("validFrom"), text("validUntil"), state]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        for (text, expected) in
            [("0s", Some(0)), ("90m", Some(5_400)), ("24h", Some(86_400)), ("7d", Some(604_800))]
        {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
        for text in ["", "h", "24", "-1h", "1.5h", "24h30m", "99999999999999999999d", "213503982334602d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_row_says_until_when_a_former_one_is_believed() {
        let item = serde_json::json!({"plane": "host", "what": "client-ca", "state": "old",
            "believedUntil": "2026-01-02T00:00:00Z"});
        assert_eq!(row(&item)[5], "old, until 2026-01-02T00:00:00Z");
        assert_eq!(row(&item)[3], "-");
    }
}
