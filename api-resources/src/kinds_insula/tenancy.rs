//! Tenants, their profiles, rules for more kinds to sync.

use super::required::required;
use super::{Row, Rules, not_yet, unique, unless_same_spec, within};
use crate::audit::Policy;
use crate::kinds::place::{Place, immutable, invalid_all, one_of, positive, set_default};
use crate::names;
use crate::selectors::LabelSelector;
use api_schema::quantity::Quantity;
use api_types::Cause;
use api_types::tenancy::{
    ALL_CONTROLLERS, CONTROLLERS, GROUP, OLD_NAMES, TENANT_NAME_MAX, TenantProfileSpec, TenantSpec,
};
use base64::Engine;
use serde_json::{Value, json};

pub(super) const STRATEGIES: &[Row] = &[
    (
        GROUP,
        "Tenant",
        Rules {
            // A tenant keeps what it was given: what it leaves out comes from its profile, and follows it.
            default: |_| {},
            validate_create: tenant,
            validate_update: |new, old| unless_same_spec(new, old, tenant),
            name: Some(tenant_name),
        },
    ),
    (
        GROUP,
        "TenantProfile",
        Rules {
            default: |_| {},
            validate_create: profile,
            validate_update: |new, old| unless_same_spec(new, old, profile),
            name: None,
        },
    ),
    (
        GROUP,
        "SyncRule",
        Rules {
            default: |object| {
                if let Some(spec) = object.get_mut("spec") {
                    set_default(spec, "direction", "down");
                }
            },
            validate_create: sync_rule,
            validate_update: |new, old| {
                unless_same_spec(new, old, |new| {
                    let mut out = sync_rule(new);
                    immutable(&mut out, new, old, "spec.resource");
                    out
                })
            },
            name: None,
        },
    ),
];

fn tenant_name(name: &str) -> Vec<String> {
    let mut out = names::dns_label(name);
    if name.len() > TENANT_NAME_MAX {
        out.push(format!("must be no more than {TENANT_NAME_MAX} bytes"));
    }
    out
}

fn tenant(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "Tenant", object);
    let spec = Place::root(object).field("spec");
    tenant_spec(&mut out, &spec);
    if out.is_empty() && !spec.value.is_null() {
        decodes::<TenantSpec>(&mut out, &spec);
    }
    out
}

fn profile(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "TenantProfile", object);
    let spec = Place::root(object).field("spec");
    for part in ["defaults", "ceilings"] {
        let part = spec.field(part);
        tenant_spec(&mut out, &part);
        if part.path.ends_with("ceilings")
            && part.value.as_object().is_some_and(|ceilings| !ceilings.is_empty())
        {
            not_yet(&mut out, &part, "ceilings are", LEAVE_OUT);
        }
        for field in ["profile", "suspended"] {
            if part.has(field) {
                out.push(Cause::forbidden(part.of(field), "is a tenant's own"));
            }
        }
        if out.is_empty() && !part.value.is_null() {
            decodes::<TenantSpec>(&mut out, &part);
        }
    }
    if out.is_empty() && !spec.value.is_null() {
        decodes::<TenantProfileSpec>(&mut out, &spec);
    }
    out
}

/// The last word: what the platform's own types cannot read is invalid, whatever the rules above overlooked.
fn decodes<T: serde::de::DeserializeOwned>(out: &mut Vec<Cause>, at: &Place<'_>) {
    if let Err(error) = serde_json::from_value::<T>(at.value.clone()) {
        out.push(Cause::invalid(at.path.clone(), &json!("object"), &error.to_string()));
    }
}

/// The rules of a whole tenant spec, and of the partial ones of a profile.
fn tenant_spec(out: &mut Vec<Cause>, spec: &Place<'_>) {
    within(out, spec, "weight", 1, 1000);
    let limits = spec.field("limits");
    for name in ["requestsPerSecond", "concurrentRequests", "watches", "streams", "objects"] {
        positive(out, &limits, name);
    }
    let bytes = limits.field("bytes");
    let positive_bytes = || Quantity::parse(bytes.as_text()).is_ok_and(|q| !q.is_zero() && !q.is_negative());
    if limits.has("bytes") && !positive_bytes() {
        out.push(Cause::invalid(bytes.path.clone(), bytes.value, "must be a quantity greater than 0"));
    }
    let selector = spec.field("placement").field("superClusterSelector");
    if let Err(error) = LabelSelector::from_json(selector.value) {
        out.push(Cause::invalid(selector.path, selector.value, &error.to_string()));
    }
    network(out, &spec.field("network"));
    let runtime = spec.field("runtime");
    if runtime.flag("enforce") && runtime.lacks("className") {
        out.push(Cause::required(runtime.of("className"), "when enforce is true"));
    }
    classes(out, &spec.field("storage"), "classes");
    let scheduling = spec.field("scheduling");
    classes(out, &scheduling, "priorityClasses");
    one_of(out, &scheduling, "podSecurity", &["privileged", "baseline", "restricted"]);
    for (key, value) in scheduling.map("nodeSelector") {
        invalid_all(out, &scheduling.of("nodeSelector"), key, names::qualified_name(key));
        let value = value.as_str().unwrap_or("");
        invalid_all(out, &scheduling.of("nodeSelector"), value, names::label_value(value));
    }
    for toleration in scheduling.list("tolerations") {
        let key = toleration.text("key");
        if !key.is_empty() {
            invalid_all(out, &toleration.of("key"), key, names::qualified_name(key));
        } else if toleration.text("operator") != "Exists" {
            let why =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            out.push(Cause::invalid(toleration.of("operator"), toleration.field("operator").value, why));
        }
        one_of(out, &toleration, "operator", &["", "Equal", "Exists"]);
        one_of(out, &toleration, "effect", &["", "NoSchedule", "PreferNoSchedule", "NoExecute"]);
        if toleration.text("operator") == "Exists" && !toleration.lacks("value") {
            let why = "value must be empty when `operator` is 'Exists'";
            out.push(Cause::invalid(toleration.of("operator"), toleration.field("value").value, why));
        }
        if toleration.has("tolerationSeconds") && toleration.text("effect") != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            out.push(Cause::invalid(toleration.of("effect"), toleration.field("effect").value, why));
        }
    }
    let sync = spec.field("sync");
    one_of(out, &sync, "nodes", &["all", "used", "selector"]);
    one_of(out, &sync, "publish", &["all", "referenced"]);
    let disabled: Vec<Place<'_>> = spec.field("controllers").list("disabled").collect();
    let controllers: Vec<&str> = CONTROLLERS
        .iter()
        .copied()
        .chain(OLD_NAMES.iter().map(|(old, _)| *old))
        .chain([ALL_CONTROLLERS])
        .collect();
    for name in disabled.iter().filter(|name| !controllers.contains(&name.as_text())) {
        out.push(Cause::not_supported(name.path.clone(), name.value, &controllers));
    }
    unique(out, disabled.iter().map(|name| (name.path.clone(), name.as_text())));
    let egress: Vec<Place<'_>> = spec.field("egress").list("allowedCIDRs").collect();
    for network in &egress {
        invalid_all(out, &network.path, network.as_text(), names::cidr(network.as_text()));
    }
    unique(out, egress.iter().map(|network| (network.path.clone(), network.as_text())));
    super::oidc::issuers(out, &spec.field("authentication"));
    let cloud = spec.field("cloud");
    unique(out, cloud.list("accounts").map(|account| (account.path.clone(), account.as_text())));
    audit(out, &spec.field("audit"));
    refused_options(out, spec);
}

fn audit(out: &mut Vec<Cause>, audit: &Place<'_>) {
    let (policy, webhook) = (audit.field("policy"), audit.field("webhook"));
    let fields = policy.value.as_object().filter(|fields| !fields.is_empty());
    for defect in fields.and_then(|fields| Policy::parse(fields).err()).into_iter().flatten() {
        out.push(Cause::invalid(policy.of(&defect.field), policy.value, &defect.why));
    }
    let url = webhook.text("url");
    let https = url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if !url.is_empty() && !https {
        out.push(Cause::invalid(webhook.of("url"), &json!(url), "must be https://HOST[:PORT][/PATH]"));
    }
    if fields.is_some() && url.is_empty() {
        out.push(Cause::required(webhook.of("url"), "when there is a policy"));
    }
    if fields.is_none() && !url.is_empty() {
        out.push(Cause::required(policy.of("rules"), "when there is a webhook"));
    }
    let bundle = webhook.text("caBundle");
    let decoded = base64::engine::general_purpose::STANDARD.decode(bundle).unwrap_or_default();
    if !bundle.is_empty() && !decoded.starts_with(b"-----BEGIN CERTIFICATE-----") {
        out.push(Cause::invalid(
            webhook.of("caBundle"),
            &json!("…"),
            "must be certificates in PEM, in base64",
        ));
    }
}

fn network(out: &mut Vec<Cause>, network: &Place<'_>) {
    one_of(out, network, "driver", &["networkPolicy", "kubeOvn", "template"]);
    classes(out, network, "ingressClasses");
    if let Some(vpc) = network.present("vpc") {
        let cidr = vpc.text("cidr");
        if !cidr.is_empty() {
            invalid_all(out, &vpc.of("cidr"), cidr, names::cidr(cidr));
        }
    }
}

/// Classes of the super cluster, each under a name of the tenant's, but for priorities that Kubernetes keeps for itself.
fn classes(out: &mut Vec<Cause>, of: &Place<'_>, field: &str) {
    let classes: Vec<Place<'_>> = of.list(field).collect();
    unique(out, classes.iter().map(|class| (class.of("tenant"), class.text("tenant"))));
    for class in &classes {
        if field == "priorityClasses" && class.text("tenant").starts_with("system-") {
            let name = json!(class.text("tenant"));
            out.push(Cause::invalid(class.of("tenant"), &name, "system- is Kubernetes' own"));
        }
        for name in ["tenant", "super"] {
            let text = class.text(name);
            if !text.is_empty() {
                invalid_all(out, &class.of(name), text, names::dns_subdomain(text));
            }
        }
    }
    for class in classes.iter().filter(|class| class.flag("default")).skip(1) {
        out.push(Cause::invalid(class.of("default"), &json!(true), "only one class can be the default"));
    }
}

/// What to do about an option that can be done without.
const LEAVE_OUT: &str = "leave it out";

/// Options that the API has and this release has not.
fn refused_options(out: &mut Vec<Cause>, spec: &Place<'_>) {
    let network = spec.field("network");
    if ["kubeOvn", "template"].contains(&network.text("driver")) {
        not_yet(out, &network.field("driver"), "this network driver is", "use networkPolicy");
    }
    for (group, field, what) in
        [("network", "vpc", "VPCs of tenants are"), ("quota", "hard", "quota over all namespaces is")]
    {
        let group = spec.field(group);
        if !group.lacks(field) {
            not_yet(out, &group.field(field), what, LEAVE_OUT);
        }
    }
}

fn sync_rule(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "SyncRule", object);
    let spec = Place::root(object).field("spec");
    one_of(&mut out, &spec, "direction", &["down", "up", "both"]);
    if let Err(error) = LabelSelector::from_json(spec.field("tenantSelector").value) {
        out.push(Cause::invalid(
            spec.of("tenantSelector"),
            spec.field("tenantSelector").value,
            &error.to_string(),
        ));
    }
    not_yet(&mut out, &spec, "rules for more kinds to sync are", "delete the rule");
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::fields;
    use super::*;

    fn tenant_fields(spec: Value) -> Vec<String> {
        fields(GROUP, "Tenant", &json!({"metadata": {"name": "acme"}, "spec": spec}))
    }

    #[test]
    fn names_of_tenants_are_short_labels() {
        for (name, good) in [
            ("acme", true),
            ("a".repeat(40).as_str(), true),
            ("a".repeat(41).as_str(), false),
            ("a.b", false),
            ("A", false),
        ] {
            assert_eq!(tenant_name(name).is_empty(), good, "{name}");
        }
    }

    #[test]
    fn a_tenant_of_the_documentation_is_good() {
        assert_eq!(tenant_fields(Value::Null), Vec::<String>::new());
        let spec = json!({"profile": "standard", "suspended": false, "weight": 1,
            "limits": {"requestsPerSecond": 500, "concurrentRequests": 50, "watches": 500, "streams": 100, "objects": 100_000, "bytes": "1Gi"},
            "placement": {"superClusterSelector": {"matchLabels": {"region": "hangzhou"}}},
            "network": {"driver": "networkPolicy", "ingressClasses": [{"tenant": "web", "super": "nginx"}]}, "runtime": {"className": "kata", "enforce": true},
            "storage": {"classes": [{"tenant": "standard", "super": "cloud-ssd", "default": true}]},
            "scheduling": {"nodeSelector": {}, "tolerations": [], "maxPriority": 1_000_000, "podSecurity": "baseline", "priorityClasses": [{"tenant": "a", "super": "b"}]},
            "controllers": {"disabled": []}, "sync": {"disabled": false, "nodes": "used", "publish": "all"},
            "oam": {"disabled": false}, "cloud": {"accounts": ["aliyun-main", "datacenter"]},
            "authentication": {"oidc": []}, "egress": {"allowedCIDRs": ["10.9.0.0/16", "fd00:9::/32"]}});
        assert_eq!(tenant_fields(spec), Vec::<String>::new());
    }

    #[test]
    fn defects_of_tenants_are_named() {
        for (spec, field) in [
            (json!({"weight": 0}), "spec.weight"),
            (json!({"weight": 1001}), "spec.weight"),
            (json!({"limits": {"watches": 0}}), "spec.limits.watches"),
            (json!({"limits": {"streams": 0}}), "spec.limits.streams"),
            (json!({"limits": {"bytes": "lots"}}), "spec.limits.bytes"),
            (
                json!({"placement": {"superClusterSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}}),
                "spec.placement.superClusterSelector",
            ),
            (json!({"network": {"driver": "magic"}}), "spec.network.driver"),
            (json!({"network": {"driver": "kubeOvn"}}), "spec.network.driver"),
            (json!({"runtime": {"enforce": true}}), "spec.runtime.className"),
            (json!({"storage": {"classes": [{"tenant": "a"}]}}), "spec.storage.classes[0].super"),
            (
                json!({"storage": {"classes": [{"tenant": "a", "super": "b"}, {"tenant": "a", "super": "c"}]}}),
                "spec.storage.classes[1].tenant",
            ),
            (json!({"scheduling": {"podSecurity": "loose"}}), "spec.scheduling.podSecurity"),
            (
                json!({"scheduling": {"priorityClasses": [{"tenant": "system-x", "super": "b"}]}}),
                "spec.scheduling.priorityClasses[0].tenant",
            ),
            (json!({"sync": {"nodes": "none"}}), "spec.sync.nodes"),
            (json!({"cloud": {"accounts": ["a", "a"]}}), "spec.cloud.accounts[1]"),
            (
                json!({"authentication": {"oidc": [{"issuer": {"url": "https://a", "audiences": []},
                    "claimMappings": {"username": {"claim": "sub", "prefix": ""}}}]}}),
                "spec.authentication.oidc[0].issuer.audiences",
            ),
            (json!({"quota": {"hard": {"pods": "1"}}}), "spec.quota.hard"),
            (json!({"controllers": {"disabled": ["deployment"]}}), "spec.controllers.disabled[0]"),
            (
                json!({"controllers": {"disabled": ["*", "deployment-controller", "*"]}}),
                "spec.controllers.disabled[2]",
            ),
            (
                json!({"scheduling": {"tolerations": [{"operator": "Equal"}]}}),
                "spec.scheduling.tolerations[0].operator",
            ),
            (
                json!({"scheduling": {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}}),
                "spec.scheduling.tolerations[0].operator",
            ),
            (
                json!({"scheduling": {"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 3}]}}),
                "spec.scheduling.tolerations[0].effect",
            ),
            (json!({"egress": {"allowedCIDRs": ["10.0.0.0/8", "10.0.0.1"]}}), "spec.egress.allowedCIDRs[1]"),
            (json!({"egress": {"allowedCIDRs": ["10.0.0.1/8"]}}), "spec.egress.allowedCIDRs[0]"),
            (
                json!({"egress": {"allowedCIDRs": ["10.0.0.0/8", "10.0.0.0/8"]}}),
                "spec.egress.allowedCIDRs[1]",
            ),
            (json!({"network": {"vpc": {"id": "v"}}}), "spec.network.vpc"),
            (json!({"audit": {"policy": {"rules": [{"level": "Metadata"}]}}}), "spec.audit.webhook.url"),
            (json!({"audit": {"webhook": {"url": "https://a"}}}), "spec.audit.policy.rules"),
            (
                json!({"audit": {"policy": {"rules": [{"level": "All"}]}, "webhook": {"url": "https://a"}}}),
                "spec.audit.policy.rules[0]",
            ),
            (
                json!({"audit": {"policy": {"rules": [{"level": "None"}]}, "webhook": {"url": "http://a"}}}),
                "spec.audit.webhook.url",
            ),
            (
                json!({"audit": {"policy": {"rules": [{"level": "None"}]},
                    "webhook": {"url": "https://a", "caBundle": "eA=="}}}),
                "spec.audit.webhook.caBundle",
            ),
            (json!({"wait": 1}), "spec"),
        ] {
            assert_eq!(tenant_fields(spec.clone()), [field], "{spec}");
        }
    }

    #[test]
    fn profiles_hold_partial_specs() {
        let profile =
            |spec| fields(GROUP, "TenantProfile", &json!({"metadata": {"name": "p"}, "spec": spec}));
        assert_eq!(profile(json!({"defaults": {"weight": 3}, "ceilings": {}})), Vec::<String>::new());
        assert_eq!(profile(json!({"defaults": {"weight": 0}})), ["spec.defaults.weight"]);
        assert_eq!(profile(json!({"ceilings": {"weight": 10}})), ["spec.ceilings"]);
        assert_eq!(profile(json!({"defaults": {"profile": "p"}})), ["spec.defaults.profile"]);
    }

    #[test]
    fn what_was_accepted_before_can_still_be_let_go() {
        let strategy = super::super::strategy(GROUP, "Tenant");
        let old = json!({"metadata": {"name": "acme", "finalizers": ["a/b"]},
            "spec": {"controllers": {"disabled": ["unheard-of"]}}});
        let mut new = old.clone();
        new["metadata"]["finalizers"] = json!([]);
        assert_eq!((strategy.validate_update)(&new, &old), []);
        new["spec"]["weight"] = json!(2);
        assert_eq!((strategy.validate_update)(&new, &old)[0].field, "spec.controllers.disabled[0]");
    }
}
