//! The file of `insula up --node-template`.

use anyhow::{Context, anyhow, bail};
use builtin_controllers::Template;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Reads the templates of a file, in its order.
pub fn read(path: &Path) -> anyhow::Result<Vec<Template>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
    parse(&text).with_context(|| format!("{shown} has no templates of nodes"))
}

fn parse(text: &str) -> anyhow::Result<Vec<Template>> {
    let mut templates = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let number = templates.len() + 1;
        let node = Value::deserialize(document).with_context(|| format!("document {number} is not YAML"))?;
        if !node.is_null() {
            templates.push(Template::of(&node).map_err(|why| anyhow!("document {number}: {why}"))?);
        }
    }
    if templates.is_empty() {
        bail!("it is empty");
    }
    Ok(templates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_templates() {
        let zone = |zone: &str| {
            format!(
                "apiVersion: v1\nkind: Node\nmetadata: {{labels: {{topology.kubernetes.io/zone: {zone}}}}}\n"
            )
        };
        assert_eq!(parse(&zone("a")).unwrap().len(), 1);
        assert_eq!(parse(&format!("---\n{}---\n{}", zone("a"), zone("b"))).unwrap().len(), 2);
        for (bad, said) in [
            ("", "it is empty"),
            ("a: [", "document 1 is not YAML"),
            ("kind: Pod", "document 1: a template is a Node: apiVersion: v1, kind: Node"),
            (
                &format!("{}---\napiVersion: v1\nkind: Node\nmetadata: {{name: x}}\n", zone("a")),
                "document 2: metadata.name cannot be said of all nodes; what can: metadata.labels, \
                 metadata.annotations, spec.taints, status.capacity",
            ),
        ] {
            assert_eq!(parse(bad).unwrap_err().to_string(), said, "{bad}");
        }
    }
}
