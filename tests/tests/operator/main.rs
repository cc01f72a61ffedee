//! An operator built on kube-rs, in two tenants that define the same kind differently: each has two versions, a conversion
//! webhook and admission webhooks, and sees nothing of the other.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

mod controller;
mod hooks;

use controller::Operator;
use hooks::Hooks;
use serde_json::{Value, json};
use tests::{Insula, Kubectl, until};
use tokio::runtime::Runtime;

/// What a tenant means by a widget.
pub struct Meaning {
    /// Its name.
    pub tenant: &'static str,
    /// The schema of `spec` in the first version, and in the second.
    schemas: fn() -> [Value; 2],
    /// `spec` of the first version as one of the second.
    pub second: fn(&Value) -> Value,
    /// `spec` of the second version as one of the first.
    pub first: fn(&Value) -> Value,
    /// What the operator writes about a widget, of which it sees the second version.
    pub describe: fn(&Value) -> String,
    /// A first and a second value of `spec` in the first version, and what the operator writes of each.
    values: fn() -> [(Value, &'static str); 2],
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

const ACME: Meaning = Meaning {
    tenant: "acme",
    schemas: || {
        let of = |field: &str, kind: &str| json!({"type": "object", "properties": {field: {"type": kind}}, "required": [field]});
        [of("size", "integer"), of("width", "string")]
    },
    second: |spec| json!({"width": format!("{} mm", spec["size"])}),
    first: |spec| json!({"size": text(&spec["width"]).trim_end_matches(" mm").parse::<i64>().unwrap()}),
    describe: |spec| format!("as wide as {}", text(&spec["width"])),
    values: || [(json!({"size": 3}), "as wide as 3 mm"), (json!({"size": 4}), "as wide as 4 mm")],
};

const GLOBEX: Meaning = Meaning {
    tenant: "globex",
    schemas: || {
        let color = json!({"type": "string", "enum": ["red", "blue", "green"]});
        [
            json!({"type": "object", "properties": {"color": color.clone()}, "required": ["color"]}),
            json!({"type": "object", "required": ["colors"], "properties": {"colors": {"type": "array",
                "items": color, "minItems": 1, "x-kubernetes-list-type": "set"}}}),
        ]
    },
    second: |spec| json!({"colors": [spec["color"]]}),
    first: |spec| json!({"color": spec["colors"][0]}),
    describe: |spec| format!("painted {}", text(&spec["colors"][0])),
    values: || [(json!({"color": "red"}), "painted red"), (json!({"color": "blue"}), "painted blue")],
};

fn definition(meaning: &Meaning, hooks: &Hooks) -> Value {
    let [first, second] = (meaning.schemas)();
    let version = |name: &str, spec: Value, storage: bool| {
        json!({"name": name, "served": true, "storage": storage, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec,
                "status": {"type": "object", "properties": {"described": {"type": "string"}}}}}}})
    };
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.dev"}, "spec": {"group": "example.dev", "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
            "clientConfig": hooks.client_config(meaning.tenant, "convert")}},
        "versions": [version("v1", first, true), version("v2", second, false)]}})
}

fn guards(meaning: &Meaning, hooks: &Hooks) -> Value {
    let configuration = |kind: &str, path: &str| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "widgets"},
            "webhooks": [{"name": format!("{path}.example.dev"), "sideEffects": "None",
                "admissionReviewVersions": ["v1"], "clientConfig": hooks.client_config(meaning.tenant, path),
                // Asked for all versions alike, in the second one.
                "rules": [{"apiGroups": ["example.dev"], "apiVersions": ["v2"], "resources": ["widgets"],
                    "operations": ["CREATE", "UPDATE"]}]}]})
    };
    json!({"apiVersion": "v1", "kind": "List", "items": [
        configuration("MutatingWebhookConfiguration", "mutate"),
        configuration("ValidatingWebhookConfiguration", "validate")]})
}

fn widget(meaning: &Meaning, name: &str, spec: &Value) -> String {
    json!({"apiVersion": "example.dev/v1", "kind": "Widget", "spec": spec, "metadata": {"name": name,
        "annotations": {"tenant": meaning.tenant}}})
    .to_string()
}

/// A tenant that may reach the webhooks of this test, with the definition, the guards and a running operator.
fn tenant(insula: &Insula, hooks: &Hooks, runtime: &Runtime, meaning: &'static Meaning) -> Kubectl {
    let name = meaning.tenant;
    let file = insula.scratch(&format!("{name}-tenant.yaml"));
    let object = json!({"apiVersion": "tenancy.insula.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name},
        "spec": {"egress": {"allowedCIDRs": ["127.0.0.1/32"]}}});
    std::fs::write(&file, object.to_string()).unwrap();
    insula.insula(&["tenant", "create", name, "-f", file.to_str().unwrap(), "--wait"]);
    let kubectl = insula.tenant_admin(name);
    kubectl.apply(&definition(meaning, hooks).to_string());
    kubectl.apply(&guards(meaning, hooks).to_string());
    let kubeconfig = insula.scratch(&format!("{name}.yaml"));
    runtime.spawn(async move { Operator::connect(meaning, &kubeconfig).await.run().await });
    kubectl
}

/// Waits until the operator has written something about a widget, and has said so in its status.
fn described(kubectl: &Kubectl, name: &str, expected: &str) {
    until(&format!("{name} is {expected}"), || {
        let made = kubectl.look(&["get", "configmap", name])?;
        let seen = kubectl.look(&["get", "widgets.v1.example.dev", name])?;
        match (text(&made["data"]["described"]), text(&seen["status"]["described"])) {
            (made, seen) if made == expected && seen == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[test]
fn operators_of_two_tenants_serve_kinds_of_one_name() {
    let runtime = Runtime::new().unwrap();
    let hooks = runtime.block_on(Hooks::start(&[&ACME, &GLOBEX]));
    let insula = Insula::start();
    let tenants = [&ACME, &GLOBEX].map(|meaning| (meaning, tenant(&insula, &hooks, &runtime, meaning)));

    for (meaning, kubectl) in &tenants {
        let [(spec, _), _] = (meaning.values)();
        kubectl.apply(&widget(meaning, "a", &spec));
        let refused = kubectl.refused_with_input(&["apply", "-f", "-"], &widget(meaning, "forbidden", &spec));
        assert!(refused.contains(&format!("{} forbids it", meaning.tenant)), "{refused}");
    }
    for (meaning, kubectl) in &tenants {
        let [(spec, first), _] = (meaning.values)();
        described(kubectl, "a", first);
        let object = kubectl.json(&["get", "widgets.v2.example.dev", "a"]);
        assert_eq!(object["spec"], (meaning.second)(&spec));
        assert_eq!(object["metadata"]["labels"]["mutated-by"], meaning.tenant);
    }
    // The other tenant's value is nothing that this one knows.
    for ((_, kubectl), (other, _)) in tenants.iter().zip(tenants.iter().rev()) {
        let [(spec, _), _] = (other.values)();
        kubectl.refused_with_input(&["apply", "-f", "-"], &widget(other, "strange", &spec));
    }

    // What is stored changes its version under the running operators.
    for (meaning, kubectl) in &tenants {
        let stored = json!([{"op": "replace", "path": "/spec/versions/0/storage", "value": false},
            {"op": "replace", "path": "/spec/versions/1/storage", "value": true}]);
        kubectl.run(&["patch", "crd", "widgets.example.dev", "--type=json", "-p", &stored.to_string()]);
        let [_, (spec, second)] = (meaning.values)();
        kubectl.apply(&widget(meaning, "a", &spec));
        kubectl.apply(&widget(meaning, "b", &spec));
        described(kubectl, "a", second);
        described(kubectl, "b", second);
        let stored = kubectl.json(&["get", "crd", "widgets.example.dev"]);
        assert_eq!(stored["status"]["storedVersions"], json!(["v1", "v2"]));
    }

    for (_, kubectl) in &tenants {
        // Waits for the operator's finalizer.
        kubectl.run(&["delete", "widgets.example.dev", "a", "--timeout=60s"]);
        until("the operator cleans up", || match kubectl.look(&["get", "configmap", "a"]) {
            Ok(found) => Err(found.to_string()),
            Err(gone) if gone.contains("NotFound") => Ok(()),
            Err(other) => Err(other),
        });
        let left = kubectl.json(&["get", "widgets.example.dev"]);
        assert_eq!(left["items"].as_array().unwrap().len(), 1, "{left}");
    }
    for (path, tenant) in hooks.seen() {
        assert!(path.starts_with(&format!("/{tenant}/")), "{path} has seen an object of {tenant}");
    }
}
