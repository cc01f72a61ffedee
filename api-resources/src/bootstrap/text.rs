//! Reads roles and bindings from their text form; see `kubernetes.txt` for the form.

use crate::rbac::GROUP;
use serde_json::{Map, Value, json};

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];

/// The objects of a text, in its order.
pub(super) fn objects(text: &str) -> Vec<Value> {
    let mut namespace = "";
    let mut out: Vec<Value> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (line.starts_with(' '), words.as_slice()) {
            (true, words) => {
                let role = out.last_mut().and_then(|role| role["rules"].as_array_mut());
                if let (Some(rules), Some(rule)) = (role, rule(words)) {
                    rules.push(rule);
                }
            }
            (false, ["namespace", name]) => namespace = if *name == "-" { "" } else { name },
            (false, ["role", name, marks @ ..]) => out.push(role(namespace, name, marks)),
            (false, ["binding", name, words @ ..]) => out.push(binding(namespace, name, words)),
            _ => {}
        }
    }
    out
}

fn object(namespace: &str, kind: &str, name: &str) -> Value {
    let kind = if namespace.is_empty() { format!("Cluster{kind}") } else { kind.to_owned() };
    let mut metadata = Map::new();
    metadata.insert("name".into(), name.into());
    if !namespace.is_empty() {
        metadata.insert("namespace".into(), namespace.into());
    }
    metadata.insert("labels".into(), json!({"kubernetes.io/bootstrapping": "rbac-defaults"}));
    metadata.insert("annotations".into(), json!({"rbac.authorization.kubernetes.io/autoupdate": "true"}));
    json!({"kind": kind, "apiVersion": format!("{GROUP}/v1"), "metadata": metadata})
}

fn role(namespace: &str, name: &str, marks: &[&str]) -> Value {
    let mut role = object(namespace, "Role", name);
    role["rules"] = json!([]);
    let label = |of: &str| format!("{GROUP}/aggregate-to-{of}");
    let mut selectors = Vec::new();
    for mark in marks {
        if let Some(of) = mark.strip_prefix("to-") {
            role["metadata"]["labels"][label(of)] = "true".into();
        }
        if let Some(of) = mark.strip_prefix("from-") {
            selectors.push(json!({"matchLabels": {label(of): "true"}}));
        }
    }
    if !selectors.is_empty() {
        role["aggregationRule"] = json!({"clusterRoleSelectors": selectors});
    }
    role
}

fn rule(words: &[&str]) -> Option<Value> {
    let list = |text: &str| -> Vec<String> { text.split(',').map(str::to_owned).collect() };
    Some(match words {
        ["path", urls, verb_list] => json!({"nonResourceURLs": list(urls), "verbs": verbs(verb_list)}),
        [groups, resources, verb_list, rest @ ..] => {
            let groups: Vec<&str> = groups.split(',').map(|g| if g == "core" { "" } else { g }).collect();
            let mut rule = json!({"apiGroups": groups, "resources": list(resources)});
            if let Some(names) = rest.first().and_then(|word| word.strip_prefix("names=")) {
                rule["resourceNames"] = json!(list(names));
            }
            rule["verbs"] = json!(verbs(verb_list));
            rule
        }
        _ => return None,
    })
}

/// Verbs in the order of the alphabet.
fn verbs(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for word in text.split(',') {
        match word {
            "read" => out.extend(READ),
            "write" => out.extend(WRITE),
            verb => out.push(verb),
        }
    }
    out.sort_unstable();
    out
}

fn binding(namespace: &str, name: &str, words: &[&str]) -> Value {
    let mut binding = object(namespace, "RoleBinding", name);
    let of = words.iter().find_map(|word| word.strip_prefix("of=")).unwrap_or(name);
    let (kind, role) = match of.strip_prefix("role:") {
        Some(role) => ("Role", role),
        None => ("ClusterRole", of),
    };
    binding["roleRef"] = json!({"apiGroup": GROUP, "kind": kind, "name": role});
    let subjects: Vec<Value> = words.iter().filter_map(|word| subject(word)).collect();
    if !subjects.is_empty() {
        binding["subjects"] = Value::Array(subjects);
    }
    binding
}

fn subject(word: &str) -> Option<Value> {
    let (kind, name) = word.split_once(':')?;
    Some(match kind {
        "group" => json!({"kind": "Group", "apiGroup": GROUP, "name": name}),
        "user" => json!({"kind": "User", "apiGroup": GROUP, "name": name}),
        "account" => {
            let (namespace, name) = name.split_once('/')?;
            json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood() {
        for text in [super::super::KUBERNETES, super::super::TENANT, super::super::HOST] {
            let lines = || text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
            let heads = lines().filter(|l| l.starts_with("role ") || l.starts_with("binding ")).count();
            let rules = lines().filter(|l| l.starts_with(' ')).count();
            let namespaces = lines().filter(|l| l.starts_with("namespace ")).count();
            assert_eq!(heads + rules + namespaces, lines().count());
            let objects = objects(text);
            assert_eq!(objects.len(), heads);
            let read: usize = objects.iter().filter_map(|o| o["rules"].as_array()).map(Vec::len).sum();
            assert_eq!(read, rules);
            for line in lines().filter(|l| l.starts_with("binding ")) {
                let who = line.split_whitespace().skip(2).filter(|w| !w.starts_with("of="));
                who.for_each(|word| assert!(subject(word).is_some(), "{word}"));
            }
        }
    }

    #[test]
    fn words_mean_what_they_say() {
        let text = "namespace n\nrole r to-edit from-view\n core,apps a,b read,create names=x\n path /a,/b get\nnamespace -\nbinding b of=r user:u";
        let objects = objects(text);
        assert_eq!(objects[0]["metadata"]["namespace"], "n");
        assert_eq!(objects[0]["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"], "true");
        assert_eq!(
            objects[0]["rules"],
            json!([{"apiGroups": ["", "apps"], "resources": ["a", "b"], "resourceNames": ["x"],
                "verbs": ["create", "get", "list", "watch"]}, {"nonResourceURLs": ["/a", "/b"], "verbs": ["get"]}])
        );
        assert_eq!(objects[1]["kind"], "ClusterRoleBinding");
    }
}
