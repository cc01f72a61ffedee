//! Kubeconfig files of users: read with an error of one line, and merged without losing anything.

use anyhow::{Context, bail};
use kube::config::Kubeconfig;
use serde_yaml_ng::{Mapping, Value};
use std::path::Path;
use tenant_apiserver_proxy::kubeconfig;

/// Reads a kubeconfig. Paths in it become those of its own folder.
pub fn read(path: &Path) -> anyhow::Result<Kubeconfig> {
    // Its library says in several lines what these say in one.
    let text = std::fs::read_to_string(path)?;
    let _: Value = serde_yaml_ng::from_str(&text).context("it is not YAML")?;
    Ok(Kubeconfig::read_from(path)?)
}

/// One kubeconfig put into another, as YAML: entries of the same name are replaced, its current context becomes the
/// current one. Everything else stays as it is.
pub fn merge(into: &str, from: &str) -> anyhow::Result<String> {
    let mut merged = match serde_yaml_ng::from_str(into).context("it is not YAML")? {
        Value::Mapping(mapping) => mapping,
        Value::Null => Mapping::new(),
        _ => bail!("it is not a kubeconfig"),
    };
    let Value::Mapping(from) = serde_yaml_ng::from_str(from)? else {
        bail!("the tenant's is not a kubeconfig")
    };
    for (key, new) in from {
        match (merged.get_mut(&key), new) {
            (Some(Value::Sequence(there)), Value::Sequence(new)) => put_all(there, new),
            (Some(there), new) if is_list(&key) || key == "current-context" => {
                if !(there.is_null() || there.is_string() && new.is_string()) {
                    bail!("{key:?} of it is not that of a kubeconfig");
                }
                *there = new;
            }
            (Some(_), _) => {}
            (None, new) => drop(merged.insert(key, new)),
        }
    }
    Ok(kubeconfig::text(&serde_json::to_value(&merged)?))
}

fn is_list(key: &Value) -> bool {
    ["clusters", "users", "contexts"].iter().any(|list| key == list)
}

fn put_all(there: &mut Vec<Value>, new: Vec<Value>) {
    for entry in new {
        match there.iter_mut().find(|other| other.get("name") == entry.get("name")) {
            Some(other) => *other = entry,
            None => there.push(entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "apiVersion: v1\nkind: Config\nclusters:\n- name: acme\n  cluster: {server: https://new}\n\
        users: []\ncontexts:\n- name: acme\n  context: {cluster: acme}\ncurrent-context: acme\n";

    #[test]
    fn nothing_of_the_file_is_lost() {
        let into = "kind: Config\npreferences: {colors: true}\nclusters:\n\
            - name: mine\n  cluster: {server: https://mine, certificate-authority: certs/ca.pem, unheard-of: 1}\n\
            - name: acme\n  cluster: {server: https://old}\nusers: null\ncurrent-context: mine\n";
        let merged: Value = serde_yaml_ng::from_str(&merge(into, FROM).unwrap()).unwrap();
        assert_eq!(merged["preferences"]["colors"], Value::from(true));
        assert_eq!(merged["clusters"][0]["cluster"]["certificate-authority"], Value::from("certs/ca.pem"));
        assert_eq!(merged["clusters"][0]["cluster"]["unheard-of"], Value::from(1));
        assert_eq!(merged["clusters"][1]["cluster"]["server"], Value::from("https://new"));
        assert_eq!(merged["clusters"].as_sequence().unwrap().len(), 2);
        assert_eq!(merged["contexts"][0]["name"], Value::from("acme"));
        assert_eq!(merged["current-context"], Value::from("acme"));
        let again = merge(&merge(into, FROM).unwrap(), FROM).unwrap();
        assert_eq!(again, merge(into, FROM).unwrap());
    }

    #[test]
    fn an_empty_file_becomes_the_tenants() {
        let merged: Value = serde_yaml_ng::from_str(&merge("", FROM).unwrap()).unwrap();
        assert_eq!(merged, serde_yaml_ng::from_str::<Value>(FROM).unwrap());
    }

    #[test]
    fn what_is_no_kubeconfig_is_left_alone() {
        for into in ["- a\n", "text\n", "a: [", "clusters: text\n", "current-context: {}\n"] {
            assert!(merge(into, FROM).is_err(), "{into}");
        }
    }
}
