//! The sealing keys: their file, and `insula sealing …`, which asks the server about them.

use crate::cli::Common;
use crate::client::HostPlane;
use crate::output::{self, Format};
use crate::private_file;
use anyhow::Context;
use http::Method;
use object_store::SealingKeys;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tenant_apiserver_proxy::sealing::{PATH, Sealing};

/// The keys of a file, and the way to keep others there. A file that is not there is made, with a new key.
pub fn open(path: &Path) -> anyhow::Result<Sealing> {
    let shown = path.display();
    let keys = match std::fs::read_to_string(path) {
        Ok(text) => SealingKeys::parse(&text)
            .with_context(|| format!("the file of sealing keys {shown} cannot be used"))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let keys = SealingKeys::generate().context("there is no sealing key")?;
            private_file::write(path, &keys.text())?;
            keys
        }
        Err(error) => {
            return Err(error).with_context(|| format!("the file of sealing keys {shown} cannot be read"));
        }
    };
    let path: PathBuf = path.to_owned();
    let keep = move |keys: &SealingKeys| {
        private_file::write(&path, &keys.text()).map_err(|error| format!("{error:#}"))
    };
    Ok(Sealing::new(keys, keep))
}

/// `insula sealing list`.
pub async fn list(common: &Common) -> anyhow::Result<()> {
    let plane = HostPlane::connect(&common.server).await?;
    show(&plane.request(Method::GET, PATH, None).await?, common.output)
}

/// `insula sealing rotate`.
pub async fn rotate(common: &Common) -> anyhow::Result<()> {
    let plane = HostPlane::connect(&common.server).await?;
    show(&plane.request(Method::POST, PATH, None).await?, common.output)?;
    if common.output == Format::Table {
        output::error("next: copy the file of sealing keys to where its copy is kept");
    }
    Ok(())
}

fn show(answer: &Value, format: Format) -> anyhow::Result<()> {
    if format != Format::Table {
        return output::value(answer, format);
    }
    let keys = answer["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |(number, key): (usize, &Value)| {
        let does = if number == 0 { "seals" } else { "opens" };
        vec![key["name"].as_str().unwrap_or("").to_owned(), does.to_owned(), key["planes"].to_string()]
    };
    output::table(&["KEY", "DOES", "PLANES"], keys.iter().enumerate().map(row).collect());
    Ok(())
}
