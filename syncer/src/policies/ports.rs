//! Ports of NetworkPolicies, and what two lists of them have in common.

use crate::translation::text;
use serde_json::{Value, json};

/// What both lists allow; `None` when that is nothing. An empty list allows every port. What has no common form (a
/// number beside a name) is taken to have nothing in common.
pub fn meet(a: &[Value], b: &[Value]) -> Option<Vec<Value>> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => Some(b.to_vec()),
        (_, true) => Some(a.to_vec()),
        _ => {
            let mut out: Vec<Value> = Vec::new();
            for port in a.iter().flat_map(|a| b.iter().filter_map(|b| common(a, b))) {
                if !out.contains(&port) {
                    out.push(port);
                }
            }
            (!out.is_empty()).then_some(out)
        }
    }
}

/// Ports of a rule about DNS servers, where those that every cluster's server has by name are numbers.
pub fn of_dns(ports: &[Value]) -> Vec<Value> {
    let numbered = |port: &Value| match port["port"].as_str() {
        Some("dns" | "dns-tcp") => json!({"port": 53, "protocol": protocol(port)}),
        _ => port.clone(),
    };
    ports.iter().map(numbered).collect()
}

fn common(a: &Value, b: &Value) -> Option<Value> {
    if protocol(a) != protocol(b) {
        return None;
    }
    match (is_any(a), is_any(b)) {
        (true, _) => return Some(b.clone()),
        (_, true) => return Some(a.clone()),
        _ => {}
    }
    if a["port"].is_string() || b["port"].is_string() {
        return (a["port"] == b["port"]).then(|| a.clone());
    }
    let (from_a, to_a) = numbers(a)?;
    let (from_b, to_b) = numbers(b)?;
    let (from, to) = (from_a.max(from_b), to_a.min(to_b));
    if from > to {
        return None;
    }
    let mut out = json!({"port": from, "protocol": protocol(a)});
    if to > from {
        out["endPort"] = json!(to);
    }
    Some(out)
}

fn is_any(port: &Value) -> bool {
    port["port"].is_null()
}

fn numbers(port: &Value) -> Option<(u64, u64)> {
    let first = port["port"].as_u64()?;
    Some((first, port["endPort"].as_u64().unwrap_or(first)))
}

fn protocol(port: &Value) -> &str {
    match text(port, "protocol") {
        "" => "TCP",
        said => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_allow() {
        let tcp = |port: Value| json!({"port": port, "protocol": "TCP"});
        for (a, b, expected) in [
            (json!([]), json!([tcp(json!(80))]), Some(json!([tcp(json!(80))]))),
            (json!([tcp(json!(80))]), json!([tcp(json!(80)), tcp(json!(81))]), Some(json!([tcp(json!(80))]))),
            (json!([{"port": 80}]), json!([tcp(json!(80))]), Some(json!([tcp(json!(80))]))),
            (json!([{"port": 80, "protocol": "UDP"}]), json!([tcp(json!(80))]), None),
            (
                json!([{"port": 8000, "endPort": 9000}]),
                json!([{"port": 8500, "endPort": 9500}]),
                Some(json!([{"port": 8500, "endPort": 9000, "protocol": "TCP"}])),
            ),
            (json!([{"port": 1, "endPort": 65535}]), json!([{"port": 53}]), Some(json!([tcp(json!(53))]))),
            (
                json!([{"protocol": "UDP"}]),
                json!([{"port": 53, "protocol": "UDP"}, {"port": 53}]),
                Some(json!([{"port": 53, "protocol": "UDP"}])),
            ),
            (json!([tcp(json!("web"))]), json!([tcp(json!("web"))]), Some(json!([tcp(json!("web"))]))),
            (json!([tcp(json!("web"))]), json!([tcp(json!(80))]), None),
        ] {
            let list = |value: &Value| value.as_array().unwrap().clone();
            assert_eq!(meet(&list(&a), &list(&b)).map(Value::from), expected, "{a} {b}");
        }
    }
}
