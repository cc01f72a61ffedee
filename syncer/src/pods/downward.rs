//! A tenant's pod as the super cluster gets it.

use crate::kinds::Kind;
use crate::ownership;
use crate::pods::dns::{self, PodDns};
use crate::pods::environment::{self, ApiAddress};
use crate::pods::priority::{self, PriorityWanted};
use crate::pods::volumes::{self, TokenWanted, named};
use crate::pods::{affinity, fields};
use crate::policies::open::Open;
use crate::translation::{Place, Refusal, list, list_mut, meta_text, remove, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a pod's translation needs beside the pod.
pub struct PodContext<'a> {
    /// Where it is.
    pub place: Place<'a>,
    /// Where it reaches the tenant's API.
    pub api: &'a ApiAddress,
    /// The services of its namespace.
    pub services: &'a [Value],
    /// In which directions no policy of the tenant selects it.
    pub open: Open,
    /// The DNS server of tenants' pods; `None`: that of their super cluster.
    pub dns: Option<&'a PodDns>,
}

/// A pod for the super cluster, and what it needs there.
#[derive(Debug)]
pub struct TranslatedPod {
    /// The pod.
    pub object: Value,
    /// The tokens that its token Secret must hold.
    pub tokens: Vec<TokenWanted>,
    /// ConfigMaps, Secrets and claims that it refers to, by their names in the tenant.
    pub references: BTreeSet<(Kind, String)>,
    /// The class of its priority, which must be there before.
    pub priority: Option<PriorityWanted>,
}

/// Fields that the super cluster decides: the priority follows from a class of its own, overhead from the runtime
/// class.
const DECIDED_THERE: &[&str] = &[
    "nodeName",
    "serviceAccount",
    "priority",
    "priorityClassName",
    "preemptionPolicy",
    "overhead",
    "schedulerName",
    "ephemeralContainers",
];

/// Lists of containers in a pod's spec.
pub const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Translates a pod, or says why it cannot run.
pub fn downward(pod: &Value, context: &PodContext<'_>) -> Result<TranslatedPod, Refusal> {
    let place = context.place;
    let mut spec = pod["spec"].clone();
    refuse(&spec)?;
    let references = references(pod);
    let class = priority::published(place.tenant, &spec);
    let priority = match class {
        Some(_) => None,
        None => priority::wanted(&spec, place.tenant.spec.scheduling.max_priority),
    };
    remove(&mut spec, DECIDED_THERE);
    spec["serviceAccountName"] = json!("default");
    spec["automountServiceAccountToken"] = json!(false);
    if let Some(class) = class.or(priority.as_ref().map(|priority| priority.class.as_str())) {
        spec["priorityClassName"] = json!(class);
    }
    runtime_class(place, &mut spec)?;
    scheduling(place, &mut spec);
    affinity::confine(place, &mut spec);
    dns::resolver(context.dns, place, &mut spec);
    dns::host_name(context.dns, place, meta_text(pod, "name"), &mut spec)?;
    let mut tokens = Vec::new();
    volumes::downward(place, &mut spec, &pod["metadata"], &mut tokens)?;
    containers(context, &mut spec)?;
    let mut metadata = metadata(place, pod, &spec)?;
    for (key, value) in context.open.labels() {
        metadata["labels"][key] = json!(value);
    }
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    Ok(TranslatedPod { object, tokens, references, priority })
}

/// The metadata of the super pod. `spec` is the translated one.
pub fn metadata(place: Place<'_>, pod: &Value, spec: &Value) -> Result<Value, Refusal> {
    let name = meta_text(pod, "name");
    let mut metadata =
        ownership::downward(place.tenant, place.super_namespace, &place.super_name(Kind::Pod, name)?, pod);
    for (key, value) in fields::annotations(pod, spec) {
        metadata["annotations"][key] = json!(value);
    }
    Ok(metadata)
}

fn refuse(spec: &Value) -> Result<(), Refusal> {
    let scheduler = text(spec, "schedulerName");
    if !scheduler.is_empty() && scheduler != "default-scheduler" {
        return Err(Refusal::new(
            "SchedulerNotSupported",
            format!("spec.schedulerName {scheduler:?}: pods are scheduled by the platform's scheduler only"),
        ));
    }
    if !list(spec, "resourceClaims").is_empty() {
        return Err(Refusal::new("ResourceClaimsNotSupported", "spec.resourceClaims are not supported yet"));
    }
    Ok(())
}

fn runtime_class(place: Place<'_>, spec: &mut Value) -> Result<(), Refusal> {
    let runtime = &place.tenant.spec.runtime;
    let asked = text(spec, "runtimeClassName");
    if asked.is_empty() {
        if !runtime.class_name.is_empty() {
            spec["runtimeClassName"] = json!(runtime.class_name);
        }
    } else if runtime.enforce && asked != runtime.class_name {
        return Err(Refusal::new(
            "RuntimeClassForbidden",
            format!(
                "spec.runtimeClassName {asked:?} is not allowed: the platform enforces {:?}",
                runtime.class_name
            ),
        ));
    }
    Ok(())
}

/// The tenant's node selector and tolerations, over the pod's own.
fn scheduling(place: Place<'_>, spec: &mut Value) {
    let scheduling = &place.tenant.spec.scheduling;
    if !scheduling.node_selector.is_empty() {
        if !spec["nodeSelector"].is_object() {
            spec["nodeSelector"] = json!({});
        }
        for (key, value) in &scheduling.node_selector {
            spec["nodeSelector"][key] = json!(value);
        }
    }
    if !scheduling.tolerations.is_empty() {
        let mut all = list(spec, "tolerations").to_vec();
        all.extend(scheduling.tolerations.iter().filter(|t| !list(spec, "tolerations").contains(t)).cloned());
        spec["tolerations"] = all.into();
    }
}

fn containers(context: &PodContext<'_>, spec: &mut Value) -> Result<(), Refusal> {
    let links = spec["enableServiceLinks"].as_bool().unwrap_or(true);
    let variables = environment::of_services(context.services.iter(), context.api, links);
    // What the kubelet would add are the super cluster's services.
    spec["enableServiceLinks"] = json!(false);
    for field in CONTAINERS {
        for container in list_mut(spec, field).into_iter().flatten() {
            container_down(context.place, container)?;
            environment::put(container, &variables);
        }
    }
    Ok(())
}

/// Translates the references in one container.
pub fn container_down(place: Place<'_>, container: &mut Value) -> Result<(), Refusal> {
    for source in list_mut(container, "envFrom").into_iter().flatten() {
        named(place, Kind::ConfigMap, source.get_mut("configMapRef"), "name")?;
        named(place, Kind::Secret, source.get_mut("secretRef"), "name")?;
    }
    for variable in list_mut(container, "env").into_iter().flatten() {
        let Some(from) = variable.get_mut("valueFrom") else { continue };
        named(place, Kind::ConfigMap, from.get_mut("configMapKeyRef"), "name")?;
        named(place, Kind::Secret, from.get_mut("secretKeyRef"), "name")?;
        if let Some(reference) = from.get_mut("fieldRef") {
            fields::field_ref(reference);
        }
    }
    Ok(())
}

/// The ConfigMaps, Secrets and claims that a pod refers to, by their names in the tenant.
pub fn references(pod: &Value) -> BTreeSet<(Kind, String)> {
    let spec = &pod["spec"];
    let mut out = BTreeSet::new();
    let mut note = |kind: Kind, holder: &Value, field: &str| {
        if let Some(name) = holder[field].as_str() {
            out.insert((kind, name.to_owned()));
        }
    };
    for volume in list(spec, "volumes") {
        if let Some(claim) = volumes::own_claim(&pod["metadata"], volume) {
            note(Kind::Claim, &json!({"claimName": claim}), "claimName");
        }
        note(Kind::ConfigMap, &volume["configMap"], "name");
        note(Kind::Secret, &volume["secret"], "secretName");
        note(Kind::Claim, &volume["persistentVolumeClaim"], "claimName");
        note(Kind::Secret, &volume["csi"]["nodePublishSecretRef"], "name");
        for source in list(&volume["projected"], "sources") {
            note(Kind::ConfigMap, &source["configMap"], "name");
            note(Kind::Secret, &source["secret"], "name");
        }
    }
    for secret in list(spec, "imagePullSecrets") {
        note(Kind::Secret, secret, "name");
    }
    for container in CONTAINERS.iter().flat_map(|field| list(spec, field)) {
        for source in list(container, "envFrom") {
            note(Kind::ConfigMap, &source["configMapRef"], "name");
            note(Kind::Secret, &source["secretRef"], "name");
        }
        for variable in list(container, "env") {
            note(Kind::ConfigMap, &variable["valueFrom"]["configMapKeyRef"], "name");
            note(Kind::Secret, &variable["valueFrom"]["secretKeyRef"], "name");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;
    use crate::tenants::TenantView;
    use crate::translation::tests::shop;

    fn pod(spec: Value) -> Value {
        let mut pod = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u1",
            "labels": {"app": "web"}, "ownerReferences": [{"uid": "rs"}]}, "spec": spec});
        if pod["spec"]["containers"].is_null() {
            pod["spec"]["containers"] = json!([{"name": "c", "image": "i"}]);
        }
        pod
    }

    fn translate(tenant: &TenantView, spec: Value) -> Result<TranslatedPod, Refusal> {
        let api = ApiAddress { host: "10.0.0.1".into(), port: 7443 };
        let services = [json!({"metadata": {"name": "db"}, "spec": {"clusterIP": "10.1.0.9",
            "ports": [{"port": 5432, "protocol": "TCP"}]}})];
        downward(
            &pod(spec),
            &PodContext {
                place: shop(tenant),
                api: &api,
                services: &services,
                open: Open { ingress: true, egress: false },
                dns: None,
            },
        )
    }

    fn tenant() -> TenantView {
        TenantView::for_tests("acme", 7)
    }

    #[test]
    fn the_super_cluster_gets_no_identity_of_its_own() {
        let down = translate(
            &tenant(),
            json!({"serviceAccountName": "builder", "serviceAccount": "builder", "nodeName": "n",
                "priorityClassName": "system-node-critical", "priority": 2_000_001_000_i64,
                "hostname": "h", "subdomain": "s", "dnsPolicy": "ClusterFirst", "dnsConfig": {"options": []}}),
        )
        .unwrap()
        .object;
        let spec = &down["spec"];
        assert_eq!(spec["serviceAccountName"], "default");
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["enableServiceLinks"], false);
        assert_eq!(spec["priorityClassName"], "insula-1000000", "cut to the tenant's highest");
        for gone in ["serviceAccount", "nodeName", "priority"] {
            assert!(spec.get(gone).is_none(), "{gone}");
        }
        for (kept, value) in [("hostname", "h"), ("subdomain", "s"), ("dnsPolicy", "ClusterFirst")] {
            assert_eq!(spec[kept], value);
        }
        assert!(down["metadata"].get("ownerReferences").is_none());
        assert_eq!(down["metadata"]["labels"]["app"], "web");
        assert_eq!(down["metadata"]["labels"]["insula.dev/ingress"], "open");
        assert_eq!(down["metadata"]["labels"]["insula.dev/egress"], "closed");
    }

    #[test]
    fn tokens_come_from_a_secret_of_ours() {
        let down = translate(
            &tenant(),
            json!({"volumes": [{"name": "kube-api-access-x", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            ]}}]}),
        )
        .unwrap();
        assert_eq!(
            down.object["spec"]["volumes"][0]["projected"]["sources"],
            json!([
                {"secret": {"name": names::token_secret("u1"), "items": [{"key": "token-0", "path": "token"}]}},
                {"configMap": {"name": "insula-sync-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace",
                    "fieldRef": {"fieldPath": "metadata.annotations['insula.dev/namespace']"}}]}},
            ])
        );
        assert_eq!(
            down.tokens,
            [TokenWanted { key: "token-0".into(), audience: String::new(), expiration: 3607 }]
        );
        assert_eq!(down.references, [(Kind::ConfigMap, "kube-root-ca.crt".to_owned())].into());
    }

    #[test]
    fn runtime_classes_are_enforced_by_the_tenants_spec() {
        let cases = [
            ("", false, None, Ok(None)),
            ("", false, Some("gvisor"), Ok(Some("gvisor"))),
            ("kata", false, None, Ok(Some("kata"))),
            ("kata", false, Some("gvisor"), Ok(Some("gvisor"))),
            ("kata", true, None, Ok(Some("kata"))),
            ("kata", true, Some("kata"), Ok(Some("kata"))),
            ("kata", true, Some("gvisor"), Err("RuntimeClassForbidden")),
            ("", true, Some("gvisor"), Err("RuntimeClassForbidden")),
        ];
        for (class, enforce, asked, expected) in cases {
            let mut tenant = tenant();
            tenant.spec.runtime.class_name = class.to_owned();
            tenant.spec.runtime.enforce = enforce;
            let spec = asked.map_or(json!({}), |a| json!({"runtimeClassName": a}));
            let got = translate(&tenant, spec);
            let got = got
                .as_ref()
                .map(|t| t.object["spec"]["runtimeClassName"].as_str())
                .map_err(|refusal| refusal.reason);
            assert_eq!(got, expected, "{class:?} {enforce} {asked:?}");
        }
    }

    #[test]
    fn scheduling_of_the_tenant_is_over_the_pods_own() {
        let mut tenant = tenant();
        tenant.spec.scheduling.node_selector = [("pool".to_owned(), "tenants".to_owned())].into();
        tenant.spec.scheduling.tolerations = vec![json!({"key": "t", "operator": "Exists"})];
        let down = translate(
            &tenant,
            json!({"nodeSelector": {"pool": "system", "disk": "ssd"}, "tolerations": [{"key": "own"}]}),
        )
        .unwrap();
        let spec = &down.object["spec"];
        assert_eq!(spec["nodeSelector"], json!({"pool": "tenants", "disk": "ssd"}));
        assert_eq!(spec["tolerations"], json!([{"key": "own"}, {"key": "t", "operator": "Exists"}]));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (spec, reason) in [
            (json!({"schedulerName": "mine"}), "SchedulerNotSupported"),
            (json!({"resourceClaims": [{"name": "gpu"}]}), "ResourceClaimsNotSupported"),
            (
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"podCertificate": {}}]}}]}),
                "VolumeNotSupported",
            ),
            (
                json!({"volumes": [{"name": "v", "secret": {"secretName": "insula-sync-token-z"}}]}),
                "ReservedName",
            ),
        ] {
            assert_eq!(translate(&tenant(), spec.clone()).unwrap_err().reason, reason, "{spec}");
        }
    }

    #[test]
    fn references_are_found_wherever_they_are() {
        let spec = json!({
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [{"configMap": {"name": "cm-volume"}}, {"secret": {"secretName": "secret-volume"}},
                {"persistentVolumeClaim": {"claimName": "data"}}, {"name": "scratch", "ephemeral": {}},
                {"projected": {"sources": [{"secret": {"name": "secret-projected"}}]}}],
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "cm-from"}}]}],
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "secret-key", "key": "k"}}}]}],
        });
        let expected = [
            (Kind::ConfigMap, "cm-from"),
            (Kind::ConfigMap, "cm-volume"),
            (Kind::Secret, "pull"),
            (Kind::Secret, "secret-key"),
            (Kind::Secret, "secret-projected"),
            (Kind::Secret, "secret-volume"),
            (Kind::Claim, "data"),
            (Kind::Claim, "web-scratch"),
        ];
        let found = references(&json!({"metadata": {"name": "web"}, "spec": spec}));
        assert_eq!(found.iter().map(|(k, n)| (*k, n.as_str())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn containers_read_the_tenants_services() {
        let down = translate(&tenant(), json!({})).unwrap();
        let env = &down.object["spec"]["containers"][0]["env"];
        let host = list(&down.object["spec"]["containers"][0], "env")
            .iter()
            .find(|v| v["name"] == "DB_SERVICE_HOST")
            .map(|v| v["value"].as_str());
        assert_eq!(host, Some(Some("10.1.0.9")), "{env}");
    }
}
