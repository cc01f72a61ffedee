//! Columns of services and what is around them.

use super::about::{self, field, words};
use super::core::name_with_default;
use super::{AGE, Col, Kind, joined, labels, list, number, selector, string, string_or, text, wide};
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[
    ("", "services", SERVICES),
    ("", "endpoints", ENDPOINTS),
    ("discovery.k8s.io", "endpointslices", ENDPOINT_SLICES),
    ("networking.k8s.io", "ingresses", INGRESSES),
    ("networking.k8s.io", "ingressclasses", INGRESS_CLASSES),
    ("networking.k8s.io", "networkpolicies", NETWORK_POLICIES),
    ("networking.k8s.io", "ipaddresses", IP_ADDRESSES),
    ("networking.k8s.io", "servicecidrs", SERVICE_CIDRS),
];

const SERVICES: &[Col] = &[
    text("Type", field("core.v1.ServiceSpec", "type"), |o, _| string(&o["spec"]["type"])),
    text("Cluster-IP", field("core.v1.ServiceSpec", "clusterIP"), |o, _| {
        string_or(&o["spec"]["clusterIPs"][0], "<none>")
    }),
    text("External-IP", field("core.v1.ServiceSpec", "externalIPs"), |o, _| Value::from(external_ip(o))),
    text("Port(s)", field("core.v1.ServiceSpec", "ports"), |o, _| Value::from(ports(o))),
    AGE,
    wide("Selector", field("core.v1.ServiceSpec", "selector"), |o, _| {
        Value::from(labels(&o["spec"]["selector"]))
    }),
];

fn external_ip(service: &Value) -> String {
    let chosen: Vec<&str> = list(&service["spec"]["externalIPs"]).iter().filter_map(Value::as_str).collect();
    match service["spec"]["type"].as_str().unwrap_or("") {
        "ClusterIP" | "NodePort" if chosen.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => chosen.join(","),
        "LoadBalancer" => {
            let mut all = balancers(service);
            all.extend(chosen.iter().map(|ip| (*ip).to_owned()));
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => service["spec"]["externalName"].as_str().unwrap_or("").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// The addresses or names that a load balancer gave, sorted.
fn balancers(object: &Value) -> Vec<String> {
    let ingress = list(&object["status"]["loadBalancer"]["ingress"]).iter();
    let mut all: Vec<String> = ingress
        .filter_map(|point| {
            let text = |name: &str| point[name].as_str().filter(|s| !s.is_empty());
            text("ip").or(text("hostname")).map(str::to_owned)
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

fn ports(service: &Value) -> String {
    let ports = list(&service["spec"]["ports"]);
    if ports.is_empty() {
        return "<none>".to_owned();
    }
    let one = |port: &Value| {
        let protocol = port["protocol"].as_str().unwrap_or("");
        match number(&port["nodePort"]) {
            0 => format!("{}/{protocol}", number(&port["port"])),
            node => format!("{}:{node}/{protocol}", number(&port["port"])),
        }
    };
    ports.iter().map(one).collect::<Vec<_>>().join(",")
}

/// At most three, then how many more there are; `none` when there is none.
fn first_three(all: &[String], none: &str) -> String {
    match all.len() {
        0 => none.to_owned(),
        1..=3 => all.join(","),
        count => format!("{} + {} more...", all[..3].join(","), count - 3),
    }
}

const ENDPOINTS: &[Col] =
    &[text("Endpoints", field("core.v1.Endpoints", "subsets"), |o, _| Value::from(endpoints(o))), AGE];

fn endpoints(object: &Value) -> String {
    let subsets = list(&object["subsets"]);
    if subsets.is_empty() {
        return "<none>".to_owned();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let addresses: Vec<&str> =
            list(&subset["addresses"]).iter().filter_map(|a| a["ip"].as_str()).collect();
        if list(&subset["ports"]).is_empty() {
            all.extend(addresses.iter().map(|ip| (*ip).to_owned()));
        }
        for port in list(&subset["ports"]) {
            let port = number(&port["port"]);
            all.extend(addresses.iter().map(|ip| match ip.contains(':') {
                true => format!("[{ip}]:{port}"),
                false => format!("{ip}:{port}"),
            }));
        }
    }
    first_three(&all, "")
}

const ENDPOINT_SLICES: &[Col] = &[
    text("AddressType", field("discovery.v1.EndpointSlice", "addressType"), |o, _| string(&o["addressType"])),
    text("Ports", field("discovery.v1.EndpointSlice", "ports"), |o, _| Value::from(slice_ports(o))),
    text("Endpoints", field("discovery.v1.EndpointSlice", "endpoints"), |o, _| {
        let addresses = list(&o["endpoints"]).iter().flat_map(|e| list(&e["addresses"]));
        let all: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
        Value::from(first_three(&all, "<unset>"))
    }),
    AGE,
];

fn slice_ports(slice: &Value) -> String {
    let one = |port: &Value| match (port["port"].as_i64(), port["name"].as_str()) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let text = first_three(&list(&slice["ports"]).iter().map(one).collect::<Vec<_>>(), "");
    if text.is_empty() { "<unset>".to_owned() } else { text }
}

const INGRESSES: &[Col] = &[
    text(
        "Class",
        words("The name of the IngressClass resource that should be used for additional configuration"),
        |o, _| Value::from(o["spec"]["ingressClassName"].as_str().unwrap_or("<none>")),
    ),
    text(
        "Hosts",
        words("Hosts that incoming requests are matched against before the ingress rule"),
        |o, _| Value::from(hosts(o)),
    ),
    text("Address", words("Address is a list containing ingress points for the load-balancer"), |o, _| {
        Value::from(balancers(o).join(","))
    }),
    text("Ports", words("Ports of TLS configurations that open"), |o, _| {
        Value::from(if list(&o["spec"]["tls"]).is_empty() { "80" } else { "80, 443" })
    }),
    AGE,
];

fn hosts(ingress: &Value) -> String {
    let rules = list(&ingress["spec"]["rules"]);
    let named: Vec<String> = rules
        .iter()
        .filter_map(|r| r["host"].as_str())
        .filter(|h| !h.is_empty())
        .map(str::to_owned)
        .collect();
    match named.len() {
        0 => "*".to_owned(),
        1..=3 => named.join(","),
        _ => format!("{} + {} more...", named[..3].join(","), rules.len() - 3),
    }
}

const INGRESS_CLASSES: &[Col] = &[
    text("Name", about::NAME, |o, _| name_with_default(o, "ingressclass.kubernetes.io/is-default-class")),
    text("Controller", words("Controller that is responsible for handling this class"), |o, _| {
        string(&o["spec"]["controller"])
    }),
    text("Parameters", words("A reference to a resource with additional parameters"), |o, _| {
        let parameters = &o["spec"]["parameters"];
        if !parameters.is_object() {
            return Value::from("<none>");
        }
        let kind = parameters["kind"].as_str().unwrap_or("");
        let group = parameters["apiGroup"].as_str().map(|g| format!(".{g}")).unwrap_or_default();
        Value::from(format!("{kind}{group}/{}", parameters["name"].as_str().unwrap_or("")))
    }),
    AGE,
];

const NETWORK_POLICIES: &[Col] = &[
    text("Pod-Selector", field("networking.v1.NetworkPolicySpec", "podSelector"), |o, _| {
        Value::from(match &o["spec"]["podSelector"] {
            Value::Null => "<none>".to_owned(),
            pods => selector(pods),
        })
    }),
    AGE,
];

const IP_ADDRESSES: &[Col] = &[
    text("ParentRef", field("networking.v1.IPAddressSpec", "parentRef"), |o, _| {
        let parent = &o["spec"]["parentRef"];
        let field = |name: &str| parent[name].as_str().unwrap_or("");
        if !parent.is_object() {
            return Value::from("<none>");
        }
        let dotted = [field("resource"), field("group")].into_iter().filter(|s| !s.is_empty());
        let path = [field("namespace"), field("name")].into_iter().filter(|s| !s.is_empty());
        let resource = dotted.collect::<Vec<_>>().join(".").to_lowercase();
        Value::from(path.fold(resource, |text, part| format!("{text}/{part}")))
    }),
    AGE,
];

const SERVICE_CIDRS: &[Col] = &[
    text("CIDRs", field("networking.v1.ServiceCIDRSpec", "cidrs"), |o, _| {
        Value::from(joined(list(&o["spec"]["cidrs"]).iter().filter_map(Value::as_str)))
    }),
    AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn services_show_how_they_are_reached() {
        for (service, text) in [
            (json!({"spec": {"type": "ClusterIP"}}), "<none>"),
            (json!({"spec": {"type": "NodePort", "externalIPs": ["1.1.1.1", "2.2.2.2"]}}), "1.1.1.1,2.2.2.2"),
            (json!({"spec": {"type": "LoadBalancer"}}), "<pending>"),
            (
                json!({"spec": {"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]},
                "status": {"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}, {"hostname": "a.b"}, {"ip": "1.1.1.1"}]}}}),
                "1.1.1.1,2.2.2.2,a.b,9.9.9.9",
            ),
            (json!({"spec": {"type": "ExternalName", "externalName": "x.y"}}), "x.y"),
            (json!({"spec": {}}), "<unknown>"),
        ] {
            assert_eq!(external_ip(&service), text, "{service}");
        }
        let service = json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"},
            {"port": 53, "nodePort": 30053, "protocol": "UDP"}]}});
        assert_eq!(ports(&service), "80/TCP,53:30053/UDP");
        assert_eq!(ports(&json!({})), "<none>");
    }

    #[test]
    fn endpoints_show_at_most_three() {
        let addresses: Vec<Value> = (1..=2).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect();
        let of = |ports: Value| endpoints(&json!({"subsets": [{"addresses": addresses, "ports": ports}]}));
        assert_eq!(of(json!([{"port": 80}])), "10.0.0.1:80,10.0.0.2:80");
        assert_eq!(
            of(json!([{"port": 80}, {"port": 81}])),
            "10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more..."
        );
        assert_eq!(of(json!([])), "10.0.0.1,10.0.0.2");
        assert_eq!(endpoints(&json!({})), "<none>");
    }

    #[test]
    fn slices_and_hosts_are_told() {
        assert_eq!(slice_ports(&json!({"ports": [{"port": 80}, {"name": "x"}, {}]})), "80,x,*");
        assert_eq!(slice_ports(&json!({})), "<unset>");
        assert_eq!(hosts(&json!({"spec": {"rules": [{"host": "a"}, {}]}})), "a");
        assert_eq!(hosts(&json!({})), "*");
        let many: Vec<Value> = "abcde".chars().map(|c| json!({"host": c.to_string()})).collect();
        assert_eq!(hosts(&json!({"spec": {"rules": many}})), "a,b,c + 2 more...");
    }
}
