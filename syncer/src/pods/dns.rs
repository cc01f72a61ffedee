//! How a pod's resolver is set up, and what the pod is called in its own eyes. Pure.
//!
//! With a DNS server of the platform ([`PodDns`]), a pod that asks its cluster first gets the configuration that a kubelet
//! of the tenant's cluster would write (`pkg/kubelet/network/dns` of Kubernetes), in the tenant's namespace. Without one,
//! it asks the super cluster's, where the short names of its own namespace are found too, since Services have their names
//! there. Caveat: the search domains of the node, which a kubelet adds, are not known here.

use crate::translation::{Place, Refusal, list, text};
use serde_json::{Value, json};
use std::net::IpAddr;

/// The domain of every tenant's cluster.
const DOMAIN: &str = "cluster.local";
/// The most search domains that Kubernetes lets a pod have, and characters of them with spaces between.
const SEARCHES: (usize, usize) = (32, 2_048);
/// The longest host name that a kubelet does not cut.
const HOST_NAME: usize = 63;

/// The DNS server of tenants' pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodDns {
    /// Its addresses as pods reach it, at port 53; at most [`PodDns::MOST`].
    pub servers: Vec<IpAddr>,
}

impl PodDns {
    /// The most nameservers that Kubernetes lets a pod have, and that resolvers look at.
    pub const MOST: usize = 3;
}

/// Sets up the resolver of a translated pod's spec.
pub fn resolver(dns: Option<&PodDns>, place: Place<'_>, spec: &mut Value) {
    let Some(dns) = dns.filter(|_| asks_cluster(spec)) else { return };
    let domains = [format!("{}.svc.{DOMAIN}", place.namespace), format!("svc.{DOMAIN}"), DOMAIN.to_owned()];
    let own = &spec["dnsConfig"];
    let servers = dns.servers.iter().map(IpAddr::to_string).chain(texts(own, "nameservers"));
    let mut servers = without_doubles(servers);
    servers.truncate(PodDns::MOST);
    let searches = fitting(without_doubles(domains.into_iter().chain(texts(own, "searches"))));
    let config =
        json!({"nameservers": servers, "searches": searches, "options": options(list(own, "options"))});
    spec["dnsPolicy"] = json!("None");
    spec["dnsConfig"] = config;
}

/// Whether a kubelet would make a pod ask its cluster's DNS server first. A pod on the network of its node has an address
/// that is not its own, by which nobody can tell whose it is.
fn asks_cluster(spec: &Value) -> bool {
    let is_on_node = spec["hostNetwork"] == true;
    matches!(text(spec, "dnsPolicy"), "" | "ClusterFirst" | "ClusterFirstWithHostNet") && !is_on_node
}

fn texts<'a>(config: &'a Value, field: &str) -> impl Iterator<Item = String> + use<'a> {
    list(config, field).iter().filter_map(Value::as_str).map(str::to_owned)
}

fn without_doubles(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for one in all {
        if !out.contains(&one) {
            out.push(one);
        }
    }
    out
}

/// What Kubernetes takes of search domains: those at the end are left out.
fn fitting(mut searches: Vec<String>) -> Vec<String> {
    let (count, length) = SEARCHES;
    searches.truncate(count);
    while searches.iter().map(|search| search.len() + 1).sum::<usize>() > length + 1 {
        searches.pop();
    }
    searches
}

/// A kubelet's option, and the pod's own over it.
fn options(own: &[Value]) -> Vec<Value> {
    let mut all: Vec<(String, Value)> = vec![("ndots".to_owned(), json!({"name": "ndots", "value": "5"}))];
    for option in own {
        let name = text(option, "name").to_owned();
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = option.clone(),
            None => all.push((name, option.clone())),
        }
    }
    all.into_iter().map(|(_, option)| option).collect()
}

/// Gives a translated pod's spec the host name that the pod has in the tenant's cluster: a kubelet would make the full
/// one of the super namespace.
pub fn host_name(
    dns: Option<&PodDns>,
    place: Place<'_>,
    pod_name: &str,
    spec: &mut Value,
) -> Result<(), Refusal> {
    let subdomain = text(spec, "subdomain").to_owned();
    if subdomain.is_empty() || spec["hostNetwork"] == true {
        return Ok(());
    }
    let is_full = spec["setHostnameAsFQDN"] == true;
    let host = match text(spec, "hostname") {
        // As a kubelet cuts it.
        "" => pod_name.chars().take(HOST_NAME).collect::<String>().trim_end_matches(['-', '.']).to_owned(),
        host => host.to_owned(),
    };
    let Some(fields) = spec.as_object_mut() else { return Ok(()) };
    if is_full && !fields.get("hostnameOverride").is_some_and(Value::is_string) {
        let full = format!("{host}.{subdomain}.{}.svc.{DOMAIN}", place.namespace);
        if full.len() > HOST_NAME {
            return Err(Refusal::new(
                "HostnameTooLong",
                format!(
                    "spec.setHostnameAsFQDN: {full:?} is longer than the {HOST_NAME} characters that a host name can have"
                ),
            ));
        }
        fields.insert("hostnameOverride".into(), json!(full));
        fields.remove("setHostnameAsFQDN");
    }
    if dns.is_some() {
        // The pod is found by what the tenant's own EndpointSlices say. Here it would only give a name in the super
        // namespace to the pod itself.
        fields.remove("subdomain");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::TenantView;
    use crate::translation::tests::shop;

    const OWN: [&str; 3] = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"];

    fn dns() -> PodDns {
        PodDns { servers: vec!["10.9.0.53".parse().unwrap()] }
    }

    fn set_up(dns: Option<&PodDns>, mut spec: Value) -> Value {
        let tenant = TenantView::for_tests("acme", 7);
        resolver(dns, shop(&tenant), &mut spec);
        spec
    }

    /// A kubelet's `resolv.conf` of a pod whose policy is `None`.
    fn resolv_conf(spec: &Value) -> String {
        assert_eq!(spec["dnsPolicy"], "None");
        let config = &spec["dnsConfig"];
        let all = |field: &str| texts(config, field).collect::<Vec<_>>().join(" ");
        let option = |option: &Value| match option["value"].as_str() {
            Some(value) => format!("{}:{value}", text(option, "name")),
            None => text(option, "name").to_owned(),
        };
        let options: Vec<String> = list(config, "options").iter().map(option).collect();
        format!("{} | {} | {}", all("nameservers"), all("searches"), options.join(" "))
    }

    #[test]
    fn pods_that_ask_their_cluster_get_what_a_kubelet_of_it_would_write() {
        let own = OWN.join(" ");
        for (spec, expected) in [
            (json!({}), format!("10.9.0.53 | {own} | ndots:5")),
            (json!({"dnsPolicy": "ClusterFirst"}), format!("10.9.0.53 | {own} | ndots:5")),
            (json!({"dnsPolicy": "ClusterFirstWithHostNet"}), format!("10.9.0.53 | {own} | ndots:5")),
            (
                json!({"dnsConfig": {"nameservers": ["192.0.2.1", "10.9.0.53"], "searches": ["example.com", "cluster.local"],
                    "options": [{"name": "edns0"}, {"name": "ndots", "value": "2"}]}}),
                format!("10.9.0.53 192.0.2.1 | {own} example.com | ndots:2 edns0"),
            ),
            (
                json!({"dnsConfig": {"nameservers": ["192.0.2.1", "192.0.2.2", "192.0.2.3"]}}),
                format!("10.9.0.53 192.0.2.1 192.0.2.2 | {own} | ndots:5"),
            ),
            (json!({"dnsConfig": {"options": [{"name": "ndots"}]}}), format!("10.9.0.53 | {own} | ndots")),
        ] {
            assert_eq!(resolv_conf(&set_up(Some(&dns()), spec.clone())), expected, "{spec}");
        }
    }

    #[test]
    fn all_other_pods_are_left_as_they_are() {
        let config = json!({"nameservers": ["192.0.2.1"], "searches": ["a.example"]});
        for spec in [
            json!({"dnsPolicy": "Default"}),
            json!({"dnsPolicy": "Default", "dnsConfig": config}),
            json!({"dnsPolicy": "None", "dnsConfig": config}),
            json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}),
            json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true, "dnsConfig": config}),
        ] {
            assert_eq!(set_up(Some(&dns()), spec.clone()), spec);
        }
        for policy in ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] {
            let spec = json!({"dnsPolicy": policy, "dnsConfig": config});
            assert_eq!(set_up(None, spec.clone()), spec, "without a DNS server of the platform");
        }
    }

    #[test]
    fn search_domains_are_no_more_than_kubernetes_takes() {
        let many: Vec<String> = (0..40).map(|n| format!("d{n}.example")).collect();
        let spec = set_up(Some(&dns()), json!({"dnsConfig": {"searches": many}}));
        assert_eq!(list(&spec["dnsConfig"], "searches").len(), 32);
        let long: Vec<String> = (0..20).map(|n| format!("{n}{}", ".very-long-domain".repeat(10))).collect();
        let spec = set_up(Some(&dns()), json!({"dnsConfig": {"searches": long}}));
        let line = texts(&spec["dnsConfig"], "searches").collect::<Vec<_>>().join(" ");
        assert!(line.len() <= 2_048 && line.len() > 1_800, "{}", line.len());
    }

    #[test]
    fn pods_have_the_host_names_of_their_tenants_cluster() {
        let full = "web-0.db.shop.svc.cluster.local";
        for (has_dns, spec, expected) in [
            (true, json!({"hostname": "h"}), json!({"hostname": "h"})),
            (true, json!({"hostname": "h", "subdomain": "db"}), json!({"hostname": "h"})),
            (false, json!({"hostname": "h", "subdomain": "db"}), json!({"hostname": "h", "subdomain": "db"})),
            (true, json!({"setHostnameAsFQDN": true}), json!({"setHostnameAsFQDN": true})),
            (true, json!({"subdomain": "db", "setHostnameAsFQDN": true}), json!({"hostnameOverride": full})),
            (
                false,
                json!({"subdomain": "db", "setHostnameAsFQDN": true}),
                json!({"subdomain": "db", "hostnameOverride": full}),
            ),
            (
                true,
                json!({"subdomain": "db", "hostname": "h", "setHostnameAsFQDN": false}),
                json!({"hostname": "h", "setHostnameAsFQDN": false}),
            ),
            (
                true,
                json!({"subdomain": "db", "hostnameOverride": "mine"}),
                json!({"hostnameOverride": "mine"}),
            ),
            (
                true,
                json!({"subdomain": "db", "hostNetwork": true, "setHostnameAsFQDN": true}),
                json!({"subdomain": "db", "hostNetwork": true, "setHostnameAsFQDN": true}),
            ),
            (
                true,
                json!({"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a"]}]}),
                json!({"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a"]}]}),
            ),
        ] {
            let tenant = TenantView::for_tests("acme", 7);
            let mut got = spec.clone();
            let dns = Some(dns()).filter(|_| has_dns);
            host_name(dns.as_ref(), shop(&tenant), "web-0", &mut got).unwrap();
            assert_eq!(got, expected, "{spec}");
        }
    }

    #[test]
    fn a_full_host_name_that_no_machine_can_have_is_refused() {
        let tenant = TenantView::for_tests("acme", 7);
        let mut spec = json!({"subdomain": "s".repeat(40), "setHostnameAsFQDN": true});
        let refusal = host_name(Some(&dns()), shop(&tenant), "web-0", &mut spec).unwrap_err();
        assert_eq!(refusal.reason, "HostnameTooLong");
    }
}
