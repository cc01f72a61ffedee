//! Admission policies, validating and mutating.

use crate::harness::{CONFIGMAPS, Client, Installation, configmap, text};
use serde_json::{Value, json};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

fn policy(kind: &str, name: &str, spec: &Value) -> Value {
    let mut whole = json!({"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}]}});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": whole})
}

fn binding(kind: &str, name: &str, change: &Value) -> Value {
    let mut spec = json!({"policyName": name});
    if kind.starts_with("Validating") {
        spec["validationActions"] = json!(["Deny"]);
    }
    for (field, value) in change.as_object().unwrap() {
        spec[field] = value.clone();
    }
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

async fn validate_with(admin: &Client, name: &str, spec: Value, bound: Value) {
    let made = policy("ValidatingAdmissionPolicy", name, &spec);
    admin.post(&format!("{GROUP}/validatingadmissionpolicies"), &made).await.expect_code(201);
    let made = binding("ValidatingAdmissionPolicyBinding", name, &bound);
    admin.post(&format!("{GROUP}/validatingadmissionpolicybindings"), &made).await.expect_code(201);
}

async fn mutate_with(admin: &Client, name: &str, spec: Value) {
    let made = policy("MutatingAdmissionPolicy", name, &spec);
    admin.post(&format!("{GROUP}/mutatingadmissionpolicies"), &made).await.expect_code(201);
    let made = binding("MutatingAdmissionPolicyBinding", name, &json!({}));
    admin.post(&format!("{GROUP}/mutatingadmissionpolicybindings"), &made).await.expect_code(201);
}

async fn forget(admin: &Client, kind: &str, name: &str) {
    for resource in [format!("{kind}admissionpolicybindings"), format!("{kind}admissionpolicies")] {
        admin.delete(&format!("{GROUP}/{resource}/{name}")).await.expect_code(200);
    }
}

#[tokio::test]
async fn what_does_not_hold_is_denied_warned_of_or_neither() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let spec = json!({"validations": [
        {"expression": "object.metadata.name.startsWith('a')"},
        {"expression": "!has(object.data) || size(object.data) < 2", "reason": "Forbidden",
            "message": "too much", "messageExpression": "'there are ' + string(size(object.data))"}]});
    validate_with(&admin, "p", spec.clone(), json!({})).await;
    admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    let status = admin.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(422).json();
    let told = "configmaps \"b\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: failed \
                expression: object.metadata.name.startsWith('a')";
    assert_eq!((text(&status["message"]), text(&status["reason"])), (told, "Invalid"));
    let status =
        admin.merge(&format!("{CONFIGMAPS}/a"), &json!({"data": {"x": "y"}})).await.expect_code(403).json();
    assert!(text(&status["message"]).ends_with("denied request: there are 2"), "{status}");
    assert_eq!(status["reason"], "Forbidden");
    forget(&admin, "validating", "p").await;

    validate_with(&admin, "p", spec, json!({"validationActions": ["Warn", "Audit"]})).await;
    let answer = admin.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(201);
    let told = "299 - \"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p': failed expression: \
                object.metadata.name.startsWith('a')\"";
    assert_eq!(answer.header("warning"), told);
    // Other planes have their own.
    insula.admin().await.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(201);
}

#[tokio::test]
async fn expressions_see_all_of_the_request() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let limits = configmap("limits", json!({"most": "1"}));
    admin.post(CONFIGMAPS, &limits).await.expect_code(201);
    for (name, expression) in [
        ("user", "request.userInfo.username == 'admin' && request.operation == 'CREATE'"),
        ("namespace", "namespaceObject.metadata.name == request.namespace"),
        ("old", "oldObject == null"),
        ("may", "authorizer.group('').resource('configmaps').namespace('default').check('delete').allowed()"),
        ("same", "authorizer.requestResource.check('create').allowed()"),
        ("variable", "variables.most <= 1 && variables.twice == 2"),
        ("params", "params.data.most == '1'"),
    ] {
        let holds = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "variables": [{"name": "most", "expression": "int(params.data.most)"},
                {"name": "twice", "expression": "variables.most * 2"}],
            "validations": [{"expression": expression, "message": "it does not hold"}]});
        let params = json!({"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}});
        validate_with(&admin, name, holds.clone(), params.clone()).await;
        admin.post(CONFIGMAPS, &configmap(name, json!({}))).await.expect_code(201);
        forget(&admin, "validating", name).await;
        let mut not = holds;
        not["validations"][0]["expression"] = json!(format!("!({expression})"));
        validate_with(&admin, name, not, params).await;
        let status = admin.post(CONFIGMAPS, &configmap("z", json!({}))).await.expect_code(422).json();
        assert!(text(&status["message"]).ends_with("denied request: it does not hold"), "{status}");
        forget(&admin, "validating", name).await;
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_decided_by_the_failure_policy() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let range = "[1,2,3,4,5,6,7,8,9,10]";
    let endless = (0..8).fold("true".to_owned(), |inner, at| format!("{range}.all(x{at}, {inner})"));
    let bad = json!({"validations": [{"expression": "object.data.nothing == 'x'"}]});
    let long = json!({"validations": [{"expression": endless}]});
    let condition = json!({"validations": [{"expression": "false"}],
        "matchConditions": [{"name": "c", "expression": "object.data.nothing == 'x'"}]});
    let elsewhere = json!({"validations": [{"expression": "false"}],
        "matchConditions": [{"name": "c", "expression": "object.metadata.name == 'elsewhere'"}]});
    let param = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "validations": [{"expression": "true"}]});
    let missing = json!({"paramRef": {"name": "none", "parameterNotFoundAction": "Deny"}});
    let allowed = json!({"paramRef": {"name": "none", "parameterNotFoundAction": "Allow"}});
    for (case, spec, bound, told) in [
        ("key", &bad, json!({}), Some("no such key: nothing")),
        ("cost", &long, json!({}), Some("cost limit exceeded")),
        ("condition", &condition, json!({}), Some("no such key: nothing")),
        ("elsewhere", &elsewhere, json!({}), None),
        (
            "param",
            &param,
            missing,
            Some("failed to configure binding: no params found for policy binding with `Deny`"),
        ),
        ("allowed", &param, allowed, None),
    ] {
        for (policy, ignore) in [("Fail", false), ("Ignore", true)] {
            let mut spec = spec.clone();
            spec["failurePolicy"] = json!(policy);
            validate_with(&admin, "p", spec, bound.clone()).await;
            let name = format!("{case}-{ignore}");
            let answer = admin.post(CONFIGMAPS, &configmap(&name, json!({"k": "v"}))).await;
            match told.filter(|_| !ignore) {
                Some(told) => {
                    let status = answer.expect_code(422).json();
                    assert!(text(&status["message"]).contains(told), "{case}: {status}");
                }
                None => drop(answer.expect_code(201)),
            }
            forget(&admin, "validating", "p").await;
        }
    }
}

#[tokio::test]
async fn bad_policies_are_not_written() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    for (spec, field) in [
        (json!({"validations": [{"expression": "object.x("}]}), "spec.validations[0].expression"),
        (json!({"validations": [{"expression": "nothing == 1"}]}), "spec.validations[0].expression"),
        (json!({"validations": [{"expression": "params.x == 1"}]}), "spec.validations[0].expression"),
        (json!({"validations": [{"expression": "'text'"}]}), "spec.validations[0].expression"),
        (json!({"validations": []}), "spec.validations"),
        (json!({"validations": [{"expression": "true", "reason": "Sun"}]}), "spec.validations[0].reason"),
        (
            json!({"validations": [{"expression": "true"}], "variables": [{"name": "1", "expression": "1"}]}),
            "spec.variables[0].name",
        ),
        (json!({"validations": [{"expression": "true"}], "matchConstraints": {}}), "resourceRules"),
    ] {
        let made = policy("ValidatingAdmissionPolicy", "p", &spec);
        let status =
            admin.post(&format!("{GROUP}/validatingadmissionpolicies"), &made).await.expect_code(422).json();
        assert!(text(&status["message"]).contains(field), "{spec}: {status}");
    }
    let made =
        binding("ValidatingAdmissionPolicyBinding", "p", &json!({"validationActions": ["Deny", "Warn"]}));
    let at = format!("{GROUP}/validatingadmissionpolicybindings");
    let status = admin.post(&at, &made).await.expect_code(422).json();
    assert!(text(&status["message"]).contains("must not contain both Deny and Warn"), "{status}");
}

#[tokio::test]
async fn objects_are_changed_by_policies() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let apply = json!({"reinvocationPolicy": "Never", "mutations": [{"patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": "Object{metadata: Object.metadata{labels: {'by': 'policy'}}, data: \
            {'size': string(size(object.data))}}"}}]});
    mutate_with(&admin, "apply", apply).await;
    let patch = json!({"reinvocationPolicy": "IfNeeded",
        "matchConditions": [{"name": "c", "expression": "has(object.metadata.labels)"}],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression":
            "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: 'c'}]"}}]});
    mutate_with(&admin, "patch", patch).await;
    let made = admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201).json();
    assert_eq!(made["data"], json!({"k": "v", "size": "1"}));
    assert_eq!(made["metadata"]["labels"], json!({"by": "policy", "a/b": "c"}));
    // Validating policies see what came of it.
    validate_with(
        &admin,
        "v",
        json!({"validations": [{"expression": "object.data.size == '0'"}]}),
        json!({}),
    )
    .await;
    admin.post(CONFIGMAPS, &configmap("b", json!({"k": "v"}))).await.expect_code(422);
    forget(&admin, "validating", "v").await;
    forget(&admin, "mutating", "patch").await;
    forget(&admin, "mutating", "apply").await;

    for (expression, told) in [
        ("Object{spec: Object.spec{a: 1}}", "field not declared in schema"),
        (
            "Object{metadata: Object.metadata{ownerReferences: []}, data: {'k': object.nothing}}",
            "no such key: nothing",
        ),
    ] {
        let bad = json!({"reinvocationPolicy": "Never", "mutations": [{"patchType": "ApplyConfiguration",
            "applyConfiguration": {"expression": expression}}]});
        mutate_with(&admin, "bad", bad).await;
        let status = admin.post(CONFIGMAPS, &configmap("c", json!({}))).await.expect_code(403).json();
        let message = text(&status["message"]);
        assert!(message.starts_with("policy 'bad' with binding 'bad' denied request: "), "{message}");
        assert!(message.contains(told), "{message}");
        forget(&admin, "mutating", "bad").await;
    }
}

#[tokio::test]
async fn no_policy_gives_a_user_more_rights_than_they_have() {
    let insula = Installation::start().await;
    let (acme, admin) = insula.tenant("acme").await;
    let bound = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "mallory"},
        "subjects": [{"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}});
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    admin.post(&format!("{rbac}/rolebindings"), &bound).await.expect_code(201);
    let mallory = insula.user(acme, "/tenants/acme", "mallory", None).await;

    let change = |group: &str, resource: &str, patch: &str| {
        json!({"matchConstraints": {"resourceRules": [{"apiGroups": [group], "apiVersions": ["*"],
            "operations": ["CREATE", "UPDATE"], "resources": [resource]}]},
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}]})
    };
    let more = "[JSONPatch{op: 'add', path: '/rules/0/verbs/-', value: 'escalate'}]";
    mutate_with(&admin, "more", change("rbac.authorization.k8s.io", "roles", more)).await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]});
    let status = mallory.post(&format!("{rbac}/roles"), &role).await.expect_code(403).json();
    assert!(text(&status["message"]).contains("attempting to grant RBAC permissions"), "{status}");
    admin.post(&format!("{rbac}/roles"), &role).await.expect_code(201);

    let author = api_types::labels::AUTHOR;
    let claim = format!(
        "[JSONPatch{{op: 'add', path: '/metadata/annotations', value: {{'{author}': '{{\"user\":\"admin\",\
         \"groups\":[\"system:masters\"]}}'}}}}]"
    );
    mutate_with(&admin, "claim", change("core.oam.dev", "components", &claim)).await;
    let component = json!({"apiVersion": "core.oam.dev/v1alpha2", "kind": "Component", "metadata": {"name": "c"},
        "spec": {"workload": {"apiVersion": "core.oam.dev/v1alpha2", "kind": "ContainerizedWorkload",
            "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let path = "/apis/core.oam.dev/v1alpha2/namespaces/default/components";
    let made = mallory.post(path, &component).await.expect_code(201).json();
    let by = text(&made["metadata"]["annotations"][author]);
    assert!(by.contains("\"user\":\"mallory\"") && !by.contains("masters"), "{by}");
}

#[tokio::test]
async fn who_writes_a_policy_can_read_its_parameters() {
    let insula = Installation::start().await;
    let (id, admin) = insula.tenant("acme").await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "guards"}, "rules": [
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]});
    admin.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", &role).await.expect_code(201);
    let bound = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "guards"}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "guards"}});
    admin.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &bound).await.expect_code(201);
    let eve = insula.user(id, "/tenants/acme", "eve", None).await;
    let policies = format!("{GROUP}/validatingadmissionpolicies");
    let of = |name: &str, kind: &str| {
        let spec =
            json!({"paramKind": {"apiVersion": "v1", "kind": kind}, "validations": [{"expression": "true"}]});
        policy("ValidatingAdmissionPolicy", name, &spec)
    };
    eve.post(&policies, &of("maps", "ConfigMap")).await.expect_code(201);
    let refused = eve.post(&policies, &of("secrets", "Secret")).await.expect_code(422).json();
    let why = "spec.paramKind: Forbidden: user \"eve\" must have \"get\" permission on all objects of the referenced \
               paramKind (kind=Secret, apiVersion=v1)";
    assert!(text(&refused["message"]).contains(why), "{refused}");
    let path = format!("{policies}/maps");
    let secret = json!({"spec": {"paramKind": {"kind": "Secret"}}});
    eve.merge(&path, &secret).await.expect_code(422);
    admin.merge(&path, &secret).await.expect_code(200);
    // What another has chosen may stay.
    eve.merge(&path, &json!({"spec": {"failurePolicy": "Ignore"}})).await.expect_code(200);
    let bindings = format!("{GROUP}/validatingadmissionpolicybindings");
    let reference = |reference: serde_json::Value| {
        binding("ValidatingAdmissionPolicyBinding", "maps", &json!({"paramRef": reference}))
    };
    let named = json!({"name": "x", "namespace": "default", "parameterNotFoundAction": "Deny"});
    let refused = eve.post(&bindings, &reference(named.clone())).await.expect_code(422).json();
    let why = "does not have \"get\" permission on the object referenced by paramRef";
    assert!(text(&refused["message"]).contains(why), "{refused}");
    admin.merge(&path, &json!({"spec": {"paramKind": {"kind": "ConfigMap"}}})).await.expect_code(200);
    eve.post(&bindings, &reference(named)).await.expect_code(201);
    let all = json!({"paramRef": {"name": null, "selector": {}}});
    let refused = eve.merge(&format!("{bindings}/maps"), &json!({"spec": all})).await.expect_code(422).json();
    assert!(text(&refused["message"]).contains("\"list\" permission"), "{refused}");
}

#[tokio::test]
async fn what_guards_say_comes_before_that_a_name_is_taken() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let mut wrong = configmap("a", json!({"not a key": "v"}));
    admin.post(CONFIGMAPS, &wrong).await.expect_code(422);
    wrong["data"] = json!({});
    admin.post(CONFIGMAPS, &wrong).await.expect_code(409);
    validate_with(&admin, "no", json!({"validations": [{"expression": "false"}]}), json!({})).await;
    admin.post(CONFIGMAPS, &wrong).await.expect_code(422);
}

#[tokio::test]
async fn a_policy_of_everything_leaves_the_way_to_mend_it_open() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let all = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]);
    let spec = json!({"matchConstraints": {"resourceRules": all},
        "validations": [{"expression": "false", "message": "no"}]});
    validate_with(&admin, "none", spec, json!({})).await;
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(422);
    let webhooks = format!("{GROUP}/validatingwebhookconfigurations");
    admin.post(&webhooks, &json!({"metadata": {"name": "w"}})).await.expect_code(422);
    // Questions of who may do what, and who somebody is, are answered.
    let question = json!({"resourceAttributes": {"verb": "get", "resource": "pods"}});
    for (path, spec) in [
        ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", question),
        ("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", json!({"namespace": "default"})),
        ("/apis/authentication.k8s.io/v1/tokenreviews", json!({"token": "x"})),
    ] {
        admin.post(path, &json!({"spec": spec})).await.expect_code(201);
    }
    admin.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).await.expect_code(201);
    let token = "/api/v1/namespaces/default/serviceaccounts/default/token";
    admin.post(token, &json!({"spec": {}})).await.expect_code(422);
    // Of many objects none is named.
    let told = admin.delete(CONFIGMAPS).await.expect_code(422).json();
    assert_eq!(
        text(&told["message"]),
        "configmaps \"Unknown\" is forbidden: ValidatingAdmissionPolicy 'none' with binding 'none' denied request: no"
    );
    forget(&admin, "validating", "none").await;
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
}

#[tokio::test]
async fn what_mutations_give_is_checked() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let apply = |expression: &str| json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
    let patch = |expression: &str| json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
    for (mutation, refused) in [
        (apply("1"), Some("must evaluate to Object but got int")),
        (patch("1"), Some("must evaluate to list(JSONPatch) but got int")),
        (patch("[]"), Some("must evaluate to list(JSONPatch) but got list(dyn)")),
        (patch("[1]"), Some("must evaluate to list(JSONPatch) but got list(int)")),
        (apply("Object{}"), None),
        (patch("true ? [JSONPatch{op: 'add', path: '/a', value: 1}] : []"), None),
    ] {
        let spec = json!({"mutations": [mutation], "reinvocationPolicy": "Never"});
        let made = policy("MutatingAdmissionPolicy", "p", &spec);
        let path = format!("{GROUP}/mutatingadmissionpolicies?dryRun=All");
        let answer = admin.post(&path, &made).await.expect_code(if refused.is_some() { 422 } else { 201 });
        let told = answer.json();
        assert!(refused.is_none_or(|refused| text(&told["message"]).contains(refused)), "{told}");
    }
    let spec = json!({"mutations": [apply("Object{data: {'x': 5}}")], "reinvocationPolicy": "Never"});
    mutate_with(&admin, "p", spec).await;
    let told = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(403).json();
    let expected =
        "policy 'p' with binding 'p' denied request: error applying patch: failed to convert patch object";
    assert!(text(&told["message"]).starts_with(expected), "{told}");
}

#[tokio::test]
async fn parameters_of_a_kind_that_is_not_there_are_the_policys_fault() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let spec = json!({"paramKind": {"apiVersion": "example.com/v1", "kind": "Limit"},
        "validations": [{"expression": "params.spec.most > 1"}]});
    let reference = json!({"paramRef": {"name": "p", "parameterNotFoundAction": "Deny"}});
    validate_with(&admin, "p", spec, reference).await;
    let told = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(422).json();
    let expected = "denied request: failed to configure policy: failed to find resource referenced by paramKind: \
                    'example.com/v1, Kind=Limit'";
    assert!(text(&told["message"]).ends_with(expected), "{told}");
}

#[tokio::test]
async fn expressions_are_checked_for_the_kinds_that_a_policy_names() {
    use plane_client::PolicyTypes;
    let insula = Installation::start().await;
    let (id, admin) = insula.tenant("acme").await;
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer"}, "any": {"x-kubernetes-int-or-string": true}}}}});
    let definition = json!({"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com",
        "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    admin.post(definitions, &definition).await.expect_code(201);
    let rule = |group: &str, resources: Value| json!({"apiGroups": [group], "apiVersions": ["v1"], "operations": ["*"], "resources": resources});
    let rules = json!([
        rule("apps", json!(["deployments", "deployments/scale"])),
        rule("example.com", json!(["widgets"])),
        rule("*", json!(["pods"])),
        rule("nobody.example.com", json!(["things"]))
    ]);
    let spec = json!({"matchConstraints": {"resourceRules": rules},
        "variables": [{"name": "size", "expression": "object.spec.size"}],
        "validations": [
            {"expression": "object.spec.replicas > 1"},
            {"expression": "object.spec.size == 'x'", "messageExpression": "string(object.metadata.nam)"},
            {"expression": "object.metadata.name == 'x'"},
            {"expression": "object.spec.any == 'x' || variables.size > 1"}]});
    let server = tenant_apiserver_proxy::in_process::InProcess::new(insula.server.clone());
    let found = server.warnings(id, &policy("ValidatingAdmissionPolicy", "p", &spec)).await;
    let told: Vec<(&str, Vec<&str>)> = found
        .iter()
        .map(|found| {
            let lines = found.warning.lines().filter(|line| line.contains("ERROR"));
            (found.field.as_str(), lines.collect())
        })
        .collect();
    let (deployment, widget) =
        ("apps/v1, Kind=Deployment: ERROR: <input>:1", "example.com/v1, Kind=Widget: ERROR: <input>:1");
    let lines = [
        format!("{widget}:12: undefined field 'replicas'"),
        format!("{deployment}:12: undefined field 'size'"),
        format!("{widget}:18: found no matching overload for '_==_' applied to '(int, string)'"),
        format!("{deployment}:23: undefined field 'nam'"),
        format!("{widget}:23: undefined field 'nam'"),
        format!("{deployment}:12: undefined field 'any'"),
    ];
    let [replicas, no_size, size, name, of_widget, any] = lines.each_ref().map(String::as_str);
    assert_eq!(
        told,
        [
            ("spec.validations[0].expression", vec![replicas]),
            ("spec.validations[1].expression", vec![no_size, size]),
            ("spec.validations[1].messageExpression", vec![name, of_widget]),
            ("spec.validations[3].expression", vec![any]),
        ]
    );
}

#[tokio::test]
async fn a_mutation_names_new_objects_where_the_request_does_not() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let renamed = "[JSONPatch{op: 'add', path: '/metadata/name', value: 'renamed'}]";
    let patch = |expression: &str| json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
    let spec = |expression: &str| json!({"failurePolicy": "Fail", "reinvocationPolicy": "Never", "mutations": [patch(expression)]});
    mutate_with(&admin, "m", spec(renamed)).await;
    let mut made = configmap("asked", json!({}));
    let stored = admin.post(CONFIGMAPS, &made).await.expect_code(201).json();
    assert_eq!(text(&stored["metadata"]["name"]), "renamed");
    admin.get(&format!("{CONFIGMAPS}/renamed")).await.expect_code(200);
    admin.get(&format!("{CONFIGMAPS}/asked")).await.expect_code(404);
    // It is taken now, whatever is asked for.
    admin.post(CONFIGMAPS, &made).await.expect_code(409);
    admin.delete(&format!("{CONFIGMAPS}/renamed")).await.expect_code(200);
    made["metadata"] = json!({"generateName": "asked-"});
    let stored = admin.post(CONFIGMAPS, &made).await.expect_code(201).json();
    assert_eq!(text(&stored["metadata"]["name"]), "renamed");
    // What the request names stays.
    let other = configmap("other", json!({})).to_string();
    let path = format!("{CONFIGMAPS}/other?fieldManager=f");
    let applied = admin.send("PATCH", &path, "application/apply-patch+yaml", other).await;
    let status = applied.expect_code(400).json();
    assert!(text(&status["message"]).contains("does not match the name on the URL (other)"), "{status}");
    forget(&admin, "mutating", "m").await;

    // Fields that the kind does not have are dropped.
    let unknown = "[JSONPatch{op: 'add', path: '/unknown', value: 1}, JSONPatch{op: 'add', path: '/data', value: {'a': 'b'}}]";
    mutate_with(&admin, "m", spec(unknown)).await;
    let stored = admin.post(CONFIGMAPS, &configmap("plain", json!({}))).await.expect_code(201).json();
    assert_eq!((&stored["unknown"], &stored["data"]), (&Value::Null, &json!({"a": "b"})));
}
