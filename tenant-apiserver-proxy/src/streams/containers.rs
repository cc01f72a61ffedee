//! Of which container of a pod something is asked.

use api_types::ApiError;
use serde_json::Value;

/// The lists of containers, in the order in which they are named.
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The container of a name; without one the only one of the pod.
pub fn choose(pod: &Value, given: &str) -> Result<String, ApiError> {
    let name = pod["metadata"]["name"].as_str().unwrap_or("");
    let refused = |why: String| Err(ApiError::bad_request(why));
    let all: Vec<&str> = LISTS.iter().flat_map(|list| names(pod, list)).collect();
    if !given.is_empty() {
        if all.contains(&given) {
            return Ok(given.to_owned());
        }
        return refused(format!("container {given} is not valid for pod {name}"));
    }
    match names(pod, "containers").collect::<Vec<_>>().as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => refused(format!("a container name must be specified for pod {name}")),
        _ => {
            let all = all.join(" ");
            refused(format!("a container name must be specified for pod {name}, choose one of: [{all}]"))
        }
    }
}

fn names<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    let containers = pod["spec"][list].as_array().into_iter().flatten();
    containers.filter_map(|container| container["name"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_is_chosen_or_named() {
        let one = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}],
            "initContainers": [{"name": "i"}]}});
        let mut two = one.clone();
        two["spec"]["containers"] = json!([{"name": "c"}, {"name": "d"}]);
        two["spec"]["ephemeralContainers"] = json!([{"name": "e"}]);
        for (pod, given, expected) in [
            (&one, "", Ok("c")),
            (&one, "i", Ok("i")),
            (&one, "x", Err("container x is not valid for pod p")),
            (&two, "e", Ok("e")),
            (&two, "", Err("a container name must be specified for pod p, choose one of: [i c d e]")),
            (&json!({"metadata": {"name": "p"}}), "", Err("a container name must be specified for pod p")),
        ] {
            let found = choose(pod, given).map_err(|error| error.message().to_owned());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{given}");
        }
    }
}
