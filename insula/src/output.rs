//! What goes to the terminal: results to standard output, everything else to standard error.

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::Value;
use std::io::Write;

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people
    Table,
    /// JSON, for programs
    Json,
    /// YAML
    Yaml,
}

/// A line of a result. A closed pipe is no error of ours.
pub fn line(text: &str) {
    raw(text.as_bytes());
    raw(b"\n");
}

/// Bytes of a result.
pub fn raw(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}

/// A line beside the result.
pub fn error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A value as JSON or YAML.
pub fn value(value: &Value, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Yaml => raw(&api_schema::encode::yaml(value).context("it cannot be written as YAML")?),
        _ => line(&serde_json::to_string_pretty(value)?),
    }
    Ok(())
}

/// Rows under headings.
pub fn table(headings: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for text in table.lines() {
        // Cells are padded on both sides.
        line(text.strip_prefix(' ').unwrap_or(&text).trim_end());
    }
}
