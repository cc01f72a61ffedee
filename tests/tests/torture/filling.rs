//! A tenant with an object of every kind, each with words that belong to nobody else.

use crate::client::Client;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The API of a plane.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    pub root: String,
    /// `GROUP/VERSION`.
    pub version: String,
    pub plural: String,
    pub kind: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
}

/// What belongs to a tenant alone.
#[derive(Clone, Debug)]
pub struct Own {
    pub tenant: &'static str,
    /// In most names, which others may guess, and write into their own objects.
    pub word: String,
    /// In every object, and nowhere else; some have it as their name too. Nobody can guess it.
    pub secret: String,
    pub names: Vec<String>,
    pub uids: BTreeSet<String>,
    /// One of them that others know, and may write into their own objects.
    pub known: String,
    /// Of lists.
    pub tokens: Vec<String>,
    pub resources: Vec<Resource>,
}

/// What a plane serves.
pub async fn discover(client: &Client) -> Vec<Resource> {
    let mut roots = vec!["/api/v1".to_owned()];
    let groups = client.ask(Method::GET, "/apis", None).await.expect("an answer").body;
    for group in groups["groups"].as_array().expect("groups") {
        for version in group["versions"].as_array().expect("versions") {
            roots.push(format!("/apis/{}", version["groupVersion"].as_str().expect("a version")));
        }
    }
    let mut found = Vec::new();
    for root in roots {
        let list = client.ask(Method::GET, &root, None).await.expect("an answer").body;
        for one in list["resources"].as_array().expect("resources") {
            let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
            let verbs = one["verbs"].as_array().map(Vec::as_slice).unwrap_or_default();
            found.push(Resource {
                root: root.clone(),
                version: list["groupVersion"].as_str().unwrap_or("v1").to_owned(),
                plural: text("name"),
                kind: text("kind"),
                namespaced: one["namespaced"] == true,
                verbs: verbs.iter().filter_map(|verb| verb.as_str().map(str::to_owned)).collect(),
            });
        }
    }
    found
}

impl Resource {
    /// Where the resource is in a namespace, which matters only when it is in one.
    pub fn path(&self, namespace: &str) -> String {
        match self.namespaced && !namespace.is_empty() {
            true => format!("{}/namespaces/{namespace}/{}", self.root, self.plural),
            false => format!("{}/{}", self.root, self.plural),
        }
    }
}

/// Fills a tenant, and returns what is its own.
pub async fn fill(client: &Client, tenant: &'static str) -> Own {
    let word = format!("word-of-{tenant}-{}", "qz".repeat(4));
    // Of a length that base64 needs no padding for.
    let mut secret = format!("secret-of-{tenant}-kjhgfd");
    while secret.len() % 3 != 0 {
        secret.push('x');
    }
    let namespace = format!("ns-{word}");
    let space = json!({"metadata": {"name": namespace, "labels": {"l": secret}}});
    post(client, "/api/v1/namespaces", &space).await.expect("a namespace");
    let definition = definition(&word, &secret);
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    post(client, crds, &definition).await.expect("a definition");
    let resources = discover(client).await;
    assert!(resources.iter().any(|one| one.kind == "Thing"), "the tenant's own kind is not served");
    for plural in ["configmaps", "secrets", "serviceaccounts"] {
        let object = json!({"metadata": {"name": secret, "labels": {"l": secret}}});
        post(client, &format!("/api/v1/namespaces/default/{plural}"), &object).await.expect("an object");
    }
    let mut made = BTreeSet::new();
    let creatable =
        |one: &&Resource| one.verbs.iter().any(|verb| verb == "create") && !one.plural.contains('/');
    for resource in resources.iter().filter(creatable) {
        let mut object = body(&resource.kind, &word, &secret);
        object["apiVersion"] = json!(resource.version);
        object["kind"] = json!(resource.kind);
        object["metadata"]["name"] =
            object["metadata"]["name"].as_str().map_or_else(|| json!(word), |name| json!(name));
        object["metadata"]["labels"]["l"] = json!(secret);
        object["metadata"]["annotations"]["a"] = json!(secret);
        if post(client, &resource.path(&namespace), &object).await.is_some() {
            made.insert(resource.kind.clone());
        }
    }
    eprintln!("{tenant} has {} kinds: {}", made.len(), made.iter().cloned().collect::<Vec<_>>().join(" "));
    assert!(made.len() > 35, "only {made:?}");
    let mut own = Own {
        tenant,
        word,
        secret,
        names: Vec::new(),
        uids: BTreeSet::new(),
        known: String::new(),
        tokens: Vec::new(),
        resources,
    };
    own.look(client).await;
    assert!(own.uids.len() > 45 && own.tokens.len() > 5, "{own:?}");
    own
}

impl Own {
    /// Takes note of all that is there now.
    pub async fn look(&mut self, client: &Client) {
        for resource in self.resources.clone() {
            if !resource.verbs.iter().any(|verb| verb == "list") {
                continue;
            }
            let Ok(list) = client.ask(Method::GET, &resource.path(""), None).await else { continue };
            for item in list.body["items"].as_array().into_iter().flatten() {
                let metadata = &item["metadata"];
                let name = metadata["name"].as_str().unwrap_or_default();
                // What a plane begins with is the same in each.
                if let Some(uid) =
                    metadata["uid"].as_str().filter(|_| item.to_string().contains(&self.secret))
                {
                    self.uids.insert(uid.to_owned());
                    if name != self.secret {
                        self.names.push(name.to_owned());
                    }
                }
            }
            let page = client.ask(Method::GET, &format!("{}?limit=1", resource.path("")), None).await;
            if let Some(token) =
                page.as_ref().ok().and_then(|page| page.body["metadata"]["continue"].as_str())
            {
                self.tokens.push(token.to_owned());
            }
        }
        self.known = self.uids.pop_first().unwrap_or_default();
        self.names.sort();
        self.names.dedup();
    }
}

async fn post(client: &Client, path: &str, object: &Value) -> Option<Value> {
    let answer = client.ask(Method::POST, path, Some(object)).await.expect("an answer");
    (answer.code == 201).then_some(answer.body)
}

fn definition(word: &str, secret: &str) -> Value {
    let group = format!("{word}.example.com");
    json!({"metadata": {"name": format!("things.{group}")}, "spec": {"group": group, "scope": "Namespaced",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
            "description": secret, "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

/// What an object of a kind must have besides metadata.
fn body(kind: &str, word: &str, secret: &str) -> Value {
    let pod = json!({"containers": [{"name": "c", "image": format!("{word}:1"), "env": [{"name": "E", "value": secret}]}]});
    let once = json!({"containers": pod["containers"], "restartPolicy": "Never"});
    let template = |spec: &Value| json!({"metadata": {"labels": {"l": secret}}, "spec": spec});
    let selected =
        json!({"replicas": 1, "selector": {"matchLabels": {"l": secret}}, "template": template(&pod)});
    let rules = json!([{"apiGroups": [""], "resources": [word], "verbs": ["get"]}]);
    let subjects = json!([{"kind": "User", "name": secret, "apiGroup": "rbac.authorization.k8s.io"}]);
    let role = |kind: &str| json!({"kind": kind, "name": word, "apiGroup": "rbac.authorization.k8s.io"});
    let hook = json!([{"name": format!("{word}.example.com"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": format!("https://{word}.example.com/")}, "failurePolicy": "Ignore",
        "rules": [{"apiGroups": ["none.example.com"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]}]}]);
    let policy = json!({"validations": [{"expression": "true", "message": secret}], "matchConstraints": {"resourceRules": [
        {"apiGroups": ["none.example.com"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]}]}});
    match kind {
        "ConfigMap" => json!({"data": {"v": secret}}),
        "Secret" => json!({"stringData": {"v": secret}}),
        "Event" => {
            json!({"metadata": {"namespace": format!("ns-{word}")}, "message": secret, "note": secret, "reason": "R",
            "type": "Normal", "action": "A", "reportingController": "example.com/c", "reportingInstance": "i",
            "eventTime": "2026-01-01T00:00:00.000000Z", "involvedObject": {"kind": "Pod", "name": word, "namespace": format!("ns-{word}")},
            "regarding": {"kind": "Pod", "name": word, "namespace": format!("ns-{word}")}})
        }
        "Pod" => json!({"spec": pod}),
        "PodTemplate" => json!({"template": template(&pod)}),
        "ReplicationController" => {
            json!({"spec": {"replicas": 0, "selector": {"l": secret}, "template": template(&pod)}})
        }
        "Deployment" | "ReplicaSet" => json!({"spec": selected}),
        "StatefulSet" => {
            let mut spec = selected;
            spec["serviceName"] = json!("s");
            json!({"spec": spec})
        }
        "DaemonSet" => json!({"spec": {"selector": selected["selector"], "template": selected["template"]}}),
        "Job" => json!({"spec": {"template": {"spec": once}}}),
        "CronJob" => {
            json!({"spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": once}}}}})
        }
        "Service" => json!({"spec": {"ports": [{"port": 80}], "selector": {"l": secret}}}),
        "Endpoints" => {
            json!({"subsets": [{"addresses": [{"ip": "10.1.2.3", "hostname": "h"}], "ports": [{"port": 80}]}]})
        }
        "EndpointSlice" => {
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"]}], "ports": [{"port": 80}]})
        }
        "Ingress" => json!({"spec": {"defaultBackend": {"service": {"name": word, "port": {"number": 80}}}}}),
        "IngressClass" => json!({"spec": {"controller": "example.com/c"}}),
        "NetworkPolicy" => json!({"spec": {"podSelector": {"matchLabels": {"l": secret}}}}),
        "PersistentVolumeClaim" => {
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
        }
        "PersistentVolume" => {
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": format!("/{secret}")}}})
        }
        "StorageClass" => json!({"provisioner": "example.com/p", "parameters": {"p": secret}}),
        "Role" | "ClusterRole" => json!({"rules": rules}),
        "RoleBinding" => json!({"subjects": subjects, "roleRef": role("Role")}),
        "ClusterRoleBinding" => json!({"subjects": subjects, "roleRef": role("ClusterRole")}),
        "ResourceQuota" => json!({"spec": {"hard": {"count/secrets": "100"}}}),
        "LimitRange" => json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "100"}}]}}),
        "HorizontalPodAutoscaler" => {
            json!({"spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": word, "apiVersion": "apps/v1"}}})
        }
        "PodDisruptionBudget" => {
            json!({"spec": {"minAvailable": 0, "selector": {"matchLabels": {"l": secret}}}})
        }
        "PriorityClass" => json!({"value": 5, "description": secret}),
        "RuntimeClass" => json!({"handler": "h"}),
        "Lease" => json!({"spec": {"holderIdentity": secret}}),
        "ControllerRevision" => json!({"revision": 1, "data": {"v": secret}}),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => json!({"webhooks": hook}),
        "ValidatingAdmissionPolicy" => json!({"spec": policy}),
        "ValidatingAdmissionPolicyBinding" => {
            json!({"spec": {"policyName": word, "validationActions": ["Deny"]}})
        }
        "CSIDriver" | "CSINode" => json!({"spec": {"drivers": []}}),
        "FlowSchema" => json!({"spec": {"priorityLevelConfiguration": {"name": "exempt"}}}),
        "Thing" => json!({"spec": {"v": secret}}),
        _ => json!({"spec": {}}),
    }
}
