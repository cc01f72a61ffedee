//! Definitions and declarations, joined and written in the table's format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::declarations::{Declarations, Declared};

/// Kinds in more groups than this belong to every group (`DeleteOptions`, `WatchEvent`).
const EVERYWHERE: usize = 8;

/// Definitions that are single values or any JSON, by the end of their names.
const SPECIAL: &[(&str, &str)] = &[
    (".pkg.apis.meta.v1.Time", "time"),
    (".pkg.apis.meta.v1.MicroTime", "microtime"),
    (".pkg.apis.meta.v1.Duration", "duration"),
    (".pkg.apis.meta.v1.FieldsV1", "any"),
    (".pkg.apis.meta.v1.Patch", "any"),
    (".pkg.api.resource.Quantity", "quantity"),
    (".pkg.util.intstr.IntOrString", "intorstring"),
    (".pkg.runtime.RawExtension", "any"),
    (".apiextensions.v1.JSON", "any"),
    (".apiextensions.v1.JSONSchemaPropsOrArray", "any"),
    (".apiextensions.v1.JSONSchemaPropsOrBool", "any"),
    (".apiextensions.v1.JSONSchemaPropsOrStringArray", "any"),
];

/// Writes the table of all definitions.
pub fn table(
    version: &str,
    definitions: &BTreeMap<String, Value>,
    declarations: &Declarations,
) -> Result<String> {
    let prefixes: BTreeSet<&str> =
        definitions.keys().filter_map(|name| name.rsplit_once('.')).map(|(prefix, _)| prefix).collect();
    let mut out = String::new();
    writeln!(
        out,
        "# Type facts of the Kubernetes {version} API. Written by `cargo xtask tables`; see README.md."
    )?;
    let mut shorts = BTreeMap::new();
    for prefix in &prefixes {
        let short = short(prefix);
        if shorts.values().any(|taken| *taken == short) {
            bail!("two packages would be called {short}");
        }
        writeln!(out, "use {short} {prefix}")?;
        shorts.insert(*prefix, short);
    }
    for prefix in &prefixes {
        writeln!(out, "\npackage {}", shorts[prefix])?;
        for (name, schema) in definitions {
            if let Some((of, last)) = name.rsplit_once('.')
                && of == *prefix
            {
                let writer = Writer { prefix, shorts: &shorts, declarations };
                writer.definition(&mut out, last, schema).with_context(|| format!("writing {name}"))?;
            }
        }
    }
    Ok(out)
}

/// A short name for a package: its last two parts, in one word and without `v1`.
fn short(prefix: &str) -> String {
    let parts: Vec<&str> = prefix.rsplit('.').take(2).collect();
    match parts.as_slice() {
        ["v1", group] => (*group).to_owned(),
        [version, group]
            if version.starts_with('v') && version[1..].starts_with(|c: char| c.is_ascii_digit()) =>
        {
            format!("{group}{version}")
        }
        parts => parts.iter().rev().copied().collect(),
    }
}

struct Writer<'a> {
    prefix: &'a str,
    shorts: &'a BTreeMap<&'a str, String>,
    declarations: &'a Declarations,
}

impl Writer<'_> {
    fn definition(&self, out: &mut String, name: &str, schema: &Value) -> Result<()> {
        write!(out, "{name}")?;
        let kinds =
            schema["x-kubernetes-group-version-kind"].as_array().map(Vec::as_slice).unwrap_or_default();
        if kinds.len() > EVERYWHERE {
            write!(out, " kind=*")?;
        } else {
            for kind in kinds {
                let part = |key: &str| kind[key].as_str().unwrap_or_default();
                write!(out, " kind={}/{}/{}", part("group"), part("version"), part("kind"))?;
            }
        }
        if schema["x-kubernetes-map-type"] == "atomic" {
            write!(out, " atomic")?;
        }
        let full = format!("{}.{name}", self.prefix);
        if let Some((_, special)) = SPECIAL.iter().find(|(suffix, _)| full.ends_with(suffix)) {
            writeln!(out, " is={special}")?;
            return Ok(());
        }
        writeln!(out)?;
        if schema["type"] != "object" {
            bail!("neither an object nor a known special definition");
        }
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
        let declared = self.declarations.fields(self.prefix, name).context("no struct declares it")?;
        for (field, property) in properties {
            let facts = declared.get(field).with_context(|| format!("no struct member declares {field}"))?;
            self.field(out, field, property, facts, required.contains(&field.as_str()))
                .with_context(|| format!("field {field}"))?;
        }
        Ok(())
    }

    fn field(
        &self,
        out: &mut String,
        name: &str,
        schema: &Value,
        facts: &Declared,
        required: bool,
    ) -> Result<()> {
        let path: Vec<String> = facts.path.iter().map(u32::to_string).collect();
        let path = if path.is_empty() { "0".to_owned() } else { path.join(".") };
        let pointer = facts.go.starts_with('*');
        let wrapped = schema["type"] == "array" && !facts.repeated && !facts.path.is_empty();
        let of = self.of(schema, facts.go.trim_start_matches('*'), wrapped)?;
        write!(out, " {name} {path} {of}")?;
        let written_when_zero = schema.get("$ref").is_some() && !pointer && !facts.omit_zero;
        if !facts.omit_empty && pointer {
            write!(out, " ?")?;
        } else if !facts.omit_empty || written_when_zero {
            write!(out, " +")?;
        } else if pointer {
            write!(out, " *")?;
        }
        if required {
            write!(out, " !")?;
        }
        if schema["x-kubernetes-map-type"] == "granular" {
            write!(out, " granular")?;
        }
        for (key, label) in
            [("x-kubernetes-patch-strategy", "patch"), ("x-kubernetes-patch-merge-key", "key")]
        {
            if let Some(value) = schema[key].as_str() {
                write!(out, " {label}={value}")?;
            }
        }
        if let Some(default) = &facts.default {
            let default: Value =
                serde_json::from_str(default).with_context(|| format!("default {default}"))?;
            write!(out, " default={default}")?;
        }
        writeln!(out)?;
        Ok(())
    }

    /// The type in the table's words.
    fn of(&self, schema: &Value, go: &str, wrapped: bool) -> Result<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let full = reference.trim_start_matches("#/definitions/");
            let (prefix, name) = full.rsplit_once('.').context("a reference without a package")?;
            if prefix == self.prefix {
                return Ok(name.to_owned());
            }
            let short = self.shorts.get(prefix).with_context(|| format!("no package {prefix}"))?;
            return Ok(format!("{short}.{name}"));
        }
        let underlying = self.declarations.underlying(self.prefix, go);
        let plain = underlying.unwrap_or(go);
        let alias = self.alias(go).map(|alias| format!("~{alias}")).unwrap_or_default();
        match schema["type"].as_str() {
            Some("array") => {
                let element = plain.strip_prefix("[]").unwrap_or(plain);
                let items = self.of(&schema["items"], element.trim_start_matches('*'), false)?;
                let kind = match schema["x-kubernetes-list-type"].as_str() {
                    Some("map") => {
                        let keys = schema["x-kubernetes-list-map-keys"].as_array().context("no map keys")?;
                        keys.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
                    }
                    Some("set") => "set".to_owned(),
                    _ => String::new(),
                };
                let wrapped = if wrapped { "@" } else { "" };
                Ok(format!("{wrapped}[{kind}{}]{items}", named(&alias)))
            }
            Some("object") if schema.get("additionalProperties").is_some() => {
                let (key, value) = plain
                    .strip_prefix("map[")
                    .and_then(|rest| rest.split_once(']'))
                    .with_context(|| format!("{go} is no map"))?;
                let inner = &schema["additionalProperties"];
                // A map's value cannot be repeated in protobuf: a named list gets a message of its own.
                let of = self.of(inner, value.trim_start_matches('*'), inner["type"] == "array")?;
                let atomic = if schema["x-kubernetes-map-type"] == "atomic" { "atomic" } else { "" };
                let alias = match (alias.as_str(), key) {
                    ("", "string") => String::new(),
                    ("", key) => format!("~map[{}]{}", self.qualified(key), self.qualified(value)),
                    _ => alias,
                };
                Ok(format!("{{{atomic}{}}}{of}", named(&alias)))
            }
            Some("object") => Ok("any".to_owned()),
            Some(scalar) => {
                let name = match (scalar, schema["format"].as_str()) {
                    ("string", None) => "string",
                    ("string", Some("byte")) => "bytes",
                    ("integer", Some("int32")) => "int32",
                    ("integer", Some("int64")) => "int64",
                    ("number", _) => "number",
                    ("boolean", None) => "boolean",
                    other => bail!("unknown scalar {other:?}"),
                };
                let values: Vec<&str> =
                    schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let values = if values.is_empty() {
                    String::new()
                } else {
                    format!("={}", values.join("|").replace(' ', "\\s"))
                };
                Ok(format!("{name}{alias}{values}"))
            }
            None => bail!("a schema without a type"),
        }
    }

    /// What errors call a type whose name is not that of its shape.
    fn alias(&self, go: &str) -> Option<String> {
        let basic = matches!(go, "string" | "bool" | "int32" | "int64" | "float64" | "int" | "[]byte");
        if basic || go.starts_with('[') || go.starts_with("map[") { None } else { Some(self.qualified(go)) }
    }

    /// A name with its package as Go prints it.
    fn qualified(&self, go: &str) -> String {
        let own = self.prefix.rsplit('.').next().unwrap_or_default();
        match go.split_once('.') {
            Some(("metav1" | "corev1", name)) => format!("v1.{name}"),
            Some(_) => go.to_owned(),
            None if go.starts_with(char::is_uppercase) => format!("{own}.{go}"),
            None => go.to_owned(),
        }
    }
}

/// A list's or a map's own name stands behind a semicolon in its brackets.
fn named(alias: &str) -> String {
    if alias.is_empty() { String::new() } else { format!(";{}", &alias[1..]) }
}
