//! `cargo xtask tables OPENAPI DIR`: writes `api-schema/tables/kubernetes-X.Y.types` from API descriptions.
//!
//! OPENAPI is a server's OpenAPI v2 document in JSON. DIR holds, in their source folders, the `generated.proto`,
//! `types*.go` and `watch.go` files of the same release: the struct tags join JSON names with protobuf numbers and say which
//! fields are written when empty, and the proto files confirm the numbers. Only facts are taken; descriptions
//! stay where they are. The format is described in `api-schema/tables/README.md`.

mod declarations;
mod render;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use declarations::Declarations;

/// Runs the subcommand with its two arguments.
pub fn run(openapi: &Path, sources: &Path) -> Result<()> {
    let text = std::fs::read_to_string(openapi).with_context(|| format!("reading {}", openapi.display()))?;
    let document: Value =
        serde_json::from_str(&text).with_context(|| format!("parsing {}", openapi.display()))?;
    let version = document["info"]["version"].as_str().context("the document has no info.version")?;
    let mut parts = version.trim_start_matches('v').split('.');
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
        bail!("the document's version {version:?} is not of the form vX.Y.Z");
    };
    let definitions: BTreeMap<String, Value> = document["definitions"]
        .as_object()
        .context("the document has no definitions")?
        .iter()
        .map(|(name, schema)| (name.clone(), schema.clone()))
        .collect();
    let declarations = Declarations::read(sources)?;
    let table = render::table(&format!("{major}.{minor}"), &definitions, &declarations)?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../api-schema/tables")
        .join(format!("kubernetes-{major}.{minor}.types"));
    std::fs::write(&target, table).with_context(|| format!("writing {}", target.display()))?;
    Ok(())
}
