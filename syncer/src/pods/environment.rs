//! The environment variables that a kubelet would set for services, from the tenant's services.
//!
//! Kubernetes sets them for each service with a cluster IP in the pod's namespace (unless
//! `enableServiceLinks: false`) and always for the API server. A variable that the pod defines itself wins.

use crate::translation::{list, meta_text, text};
use serde_json::{Value, json};

/// Where pods reach the tenant's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAddress {
    /// A name or an IP address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The variables for the pods of a namespace with these services, in the order of their names.
pub fn of_services<'a>(
    services: impl Iterator<Item = &'a Value>,
    api: &ApiAddress,
    service_links: bool,
) -> Vec<(String, String)> {
    let mut out = Vec::new();
    if service_links {
        for service in services {
            one_service(service, &mut out);
        }
    }
    out.retain(|(name, _)| !name.starts_with("KUBERNETES_"));
    variables("kubernetes", &api.host, &[("https", "TCP", i64::from(api.port))], &mut out);
    out.sort();
    out
}

fn one_service(service: &Value, out: &mut Vec<(String, String)>) {
    let address = text(&service["spec"], "clusterIP");
    if address.is_empty() || address == "None" || service["spec"]["type"] == "ExternalName" {
        return;
    }
    let ports: Vec<(&str, &str, i64)> = list(&service["spec"], "ports")
        .iter()
        .map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            (text(port, "name"), protocol, port["port"].as_i64().unwrap_or(0))
        })
        .collect();
    variables(meta_text(service, "name"), address, &ports, out);
}

fn variables(name: &str, host: &str, ports: &[(&str, &str, i64)], out: &mut Vec<(String, String)>) {
    let prefix = name.to_uppercase().replace('-', "_");
    let Some((_, first_protocol, first_port)) = ports.first() else {
        return;
    };
    let mut add = |name: String, value: String| out.push((name, value));
    let joined = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    add(format!("{prefix}_SERVICE_HOST"), host.to_owned());
    add(format!("{prefix}_SERVICE_PORT"), first_port.to_string());
    let first = first_protocol.to_lowercase();
    add(format!("{prefix}_PORT"), format!("{first}://{joined}:{first_port}"));
    for (port_name, protocol, port) in ports {
        if !port_name.is_empty() {
            let port_name = port_name.to_uppercase().replace('-', "_");
            add(format!("{prefix}_SERVICE_PORT_{port_name}"), port.to_string());
        }
        let link = format!("{prefix}_PORT_{port}_{protocol}");
        let lower = protocol.to_lowercase();
        add(link.clone(), format!("{lower}://{joined}:{port}"));
        add(format!("{link}_PROTO"), lower);
        add(format!("{link}_PORT"), port.to_string());
        add(format!("{link}_ADDR"), host.to_owned());
    }
}

/// Puts variables before a container's own, but for those that it defines.
pub fn put(container: &mut Value, variables: &[(String, String)]) {
    let own: Vec<Value> = list(container, "env").to_vec();
    let mut env: Vec<Value> = variables
        .iter()
        .filter(|(name, _)| !own.iter().any(|v| v["name"] == name.as_str()))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    env.extend(own);
    if !env.is_empty() {
        container["env"] = env.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api() -> ApiAddress {
        ApiAddress { host: "10.0.0.1".into(), port: 7443 }
    }

    fn service(name: &str, ip: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"clusterIP": ip,
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}})
    }

    #[test]
    fn a_service_gives_the_variables_of_a_kubelet() {
        let services = [service("my-web", "10.1.1.1"), service("headless", "None")];
        let variables = of_services(services.iter(), &api(), true);
        let get = |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        for (name, expected) in [
            ("MY_WEB_SERVICE_HOST", Some("10.1.1.1")),
            ("MY_WEB_SERVICE_PORT", Some("80")),
            ("MY_WEB_SERVICE_PORT_HTTP", Some("80")),
            ("MY_WEB_PORT", Some("tcp://10.1.1.1:80")),
            ("MY_WEB_PORT_80_TCP", Some("tcp://10.1.1.1:80")),
            ("MY_WEB_PORT_80_TCP_PROTO", Some("tcp")),
            ("MY_WEB_PORT_80_TCP_PORT", Some("80")),
            ("MY_WEB_PORT_80_TCP_ADDR", Some("10.1.1.1")),
            ("MY_WEB_PORT_53_UDP", Some("udp://10.1.1.1:53")),
            ("HEADLESS_SERVICE_HOST", None),
            ("KUBERNETES_SERVICE_HOST", Some("10.0.0.1")),
            ("KUBERNETES_SERVICE_PORT", Some("7443")),
            ("KUBERNETES_SERVICE_PORT_HTTPS", Some("7443")),
            ("KUBERNETES_PORT_7443_TCP_ADDR", Some("10.0.0.1")),
        ] {
            assert_eq!(get(name), expected, "{name}");
        }
    }

    #[test]
    fn without_links_only_the_api_server_is_there() {
        let services = [service("web", "10.1.1.1"), service("kubernetes", "10.1.1.2")];
        for links in [false, true] {
            let variables = of_services(services.iter(), &api(), links);
            assert_eq!(variables.iter().any(|(n, _)| n.starts_with("WEB_")), links);
            assert!(variables.iter().all(|(_, v)| !v.contains("10.1.1.2")));
        }
    }

    #[test]
    fn the_containers_own_variables_win_and_come_last() {
        let mut container = json!({"env": [{"name": "A", "value": "mine"}, {"name": "Z", "value": "$(B)"}]});
        put(&mut container, &[("A".into(), "theirs".into()), ("B".into(), "b".into())]);
        assert_eq!(
            container["env"],
            json!([{"name": "B", "value": "b"}, {"name": "A", "value": "mine"}, {"name": "Z", "value": "$(B)"}])
        );
    }
}
