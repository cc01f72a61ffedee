//! What rules see of a pod, and how they speak of its parts.

use serde_json::Value;
use std::collections::BTreeSet;

/// A pod, or a template of one.
#[derive(Clone, Copy)]
pub struct Pod<'a>(pub &'a Value);

/// The containers of all sorts that a rule finds fault with, and the values that it does not like.
#[derive(Default)]
pub struct Faults {
    /// The pod itself has the fault.
    pub pod: bool,
    /// The containers that have it, in their order.
    pub containers: Vec<String>,
    values: BTreeSet<String>,
}

impl<'a> Pod<'a> {
    pub fn spec(&self) -> &'a Value {
        &self.0["spec"]
    }

    pub fn annotations(&self) -> impl Iterator<Item = (&'a String, &'a str)> + use<'a> {
        let all = self.0["metadata"]["annotations"].as_object();
        all.into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_str()?)))
    }

    /// Containers of all sorts.
    pub fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let spec = self.spec();
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        lists.into_iter().flat_map(move |list| elements(&spec[list]))
    }

    pub fn is_windows(&self) -> bool {
        self.spec()["os"]["name"] == "windows"
    }

    /// True when its users are not those of the node.
    pub fn has_own_users(&self) -> bool {
        self.spec()["hostUsers"] == false
    }

    /// Asks a question of the security context of the pod.
    pub fn ask_pod(&self, faults: &mut Faults, is_bad: impl FnOnce(&'a Value, &mut Faults) -> bool) {
        faults.pod = is_bad(&self.spec()["securityContext"], faults);
    }

    /// Asks a question of each container.
    pub fn ask_containers(
        &self,
        faults: &mut Faults,
        mut is_bad: impl FnMut(&'a Value, &mut Faults) -> bool,
    ) {
        for container in self.containers() {
            if is_bad(container, faults) {
                faults.containers.push(text(&container["name"]).to_owned());
            }
        }
    }

    /// Asks the same question of the security contexts of the pod and of each container.
    pub fn ask_all(&self, mut is_bad: impl FnMut(&'a Value, &mut Faults) -> bool) -> Faults {
        let mut faults = Faults::default();
        self.ask_pod(&mut faults, &mut is_bad);
        self.ask_containers(&mut faults, |container, faults| is_bad(&container["securityContext"], faults));
        faults
    }
}

impl Faults {
    pub fn are_there(&self) -> bool {
        self.pod || !self.containers.is_empty()
    }

    /// Notes a value that is not liked, once.
    pub fn note(&mut self, value: &str) {
        self.values.insert(value.to_owned());
    }

    /// What is not liked, sorted.
    pub fn values(&self) -> Vec<String> {
        self.values.iter().cloned().collect()
    }

    /// Who has the fault: `pod and container "a"`.
    pub fn who(&self) -> String {
        let pod = self.pod.then(|| "pod".to_owned());
        let containers = (!self.containers.is_empty()).then(|| containers(&self.containers));
        pod.into_iter().chain(containers).collect::<Vec<_>>().join(" and ")
    }
}

/// `container "a"` or `containers "a", "b"`.
pub fn containers(names: &[String]) -> String {
    format!("{} {}", one_or_many(names.len(), "container", "containers"), quoted(names))
}

pub fn one_or_many<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// `"a", "b"`.
pub fn quoted(texts: &[String]) -> String {
    format!("\"{}\"", texts.join("\", \""))
}

pub fn elements(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
