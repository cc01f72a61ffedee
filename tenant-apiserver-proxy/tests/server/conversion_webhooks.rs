//! Custom resources of several versions, which a webhook converts.

use crate::custom_resources::DEFINITIONS;
use crate::harness::{Client, Installation, TENANTS, names, tenant, text};
use crate::hooks::Hook;
use api_types::{GroupResource, Resource};
use plane_client::{Actor, Delete, PlaneClient, Target, Write};
use serde_json::{Value, json};
use tenant_apiserver_proxy::in_process::InProcess;

const V1: &str = "/apis/example.dev/v1/widgets";
const V2: &str = "/apis/example.dev/v2/widgets";
const DEFINITION: &str = "widgets.example.dev";
const APPLY: &str = "application/apply-patch+yaml";

/// A definition with `spec.size` in v1, which is stored, and `spec.width` in v2.
fn definition(hook: &Hook, path: &str) -> Value {
    let version = |name: &str, field: &str, schema: Value, storage: bool| {
        json!({"name": name, "served": true, "storage": storage,
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.count",
                "statusReplicasPath": ".status.count"}},
            "additionalPrinterColumns": [{"name": "Is", "type": "string", "jsonPath": format!(".spec.{field}")}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {field: schema, "count": {"type": "integer"}}},
                "status": {"type": "object", "properties": {"count": {"type": "integer"}}}}}}})
    };
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": DEFINITION}, "spec": {"group": "example.dev", "scope": "Cluster",
        "names": {"plural": "widgets", "kind": "Widget"},
        "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {
            "url": format!("{}{path}", hook.url), "caBundle": hook.ca_bundle}}},
        "versions": [version("v1", "size", json!({"type": "integer", "maximum": 9}), true),
            version("v2", "width", json!({"type": "string", "maxLength": 5}), false)]}})
}

fn first(name: &str, size: i64) -> Value {
    json!({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": size}})
}

fn second(name: &str, width: &str) -> Value {
    json!({"apiVersion": "example.dev/v2", "kind": "Widget", "metadata": {"name": name}, "spec": {"width": width}})
}

/// A tenant that may reach the webhooks of the test, and has the definition.
async fn defined(insula: &Installation, name: &str, hook: &Hook, path: &str) -> Client {
    let mut object = tenant(name);
    object["spec"] = json!({"egress": {"allowedCIDRs": ["127.0.0.1/32"]}});
    insula.admin().await.post(TENANTS, &object).await.expect_code(201);
    let admin = insula.tenant_admin(name).await;
    admin.post(DEFINITIONS, &definition(hook, path)).await.expect_code(201);
    admin
}

/// Lets another path of the webhook convert.
async fn convert_at(admin: &Client, hook: &Hook, path: &str) {
    let url = json!({"spec": {"conversion": {"webhook": {"clientConfig": {"url": format!("{}{path}", hook.url)}}}}});
    admin.merge(&format!("{DEFINITIONS}/{DEFINITION}"), &url).await.expect_code(200);
}

#[tokio::test]
async fn an_object_is_read_and_written_in_each_version() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let admin = defined(&insula, "acme", &hook, "/convert").await;
    // What is stored as it is asks nobody.
    admin.post(V1, &first("a", 2)).await.expect_code(201);
    assert_eq!(admin.get(&format!("{V1}/a")).await.json()["spec"], json!({"size": 2}));
    assert_eq!(hook.count(), 0);

    let read = admin.get(&format!("{V2}/a")).await.expect_code(200).json();
    assert_eq!((text(&read["apiVersion"]), &read["spec"]), ("example.dev/v2", &json!({"width": "xx"})));
    let asked = hook.last();
    assert_eq!(asked["desiredAPIVersion"], "example.dev/v2");
    assert_eq!(asked["objects"][0]["spec"], json!({"size": 2}));

    let made = admin.post(V2, &second("b", "xxx")).await.expect_code(201).json();
    assert_eq!((&made["spec"], text(&made["apiVersion"])), (&json!({"width": "xxx"}), "example.dev/v2"));
    assert_eq!(admin.get(&format!("{V1}/b")).await.json()["spec"], json!({"size": 3}));
    // Each version has rules of its own.
    admin.post(V2, &second("c", "xxxxxx")).await.expect_code(422);
    let dry = admin.post(&format!("{V2}?dryRun=All"), &second("c", "x")).await.expect_code(201).json();
    assert_eq!((&dry["spec"], dry["metadata"].get("resourceVersion")), (&json!({"width": "x"}), None));

    let list = admin.get(V2).await.expect_code(200).json();
    assert_eq!((text(&list["apiVersion"]), names(&list)), ("example.dev/v2", vec!["a", "b"]));
    assert_eq!(list["items"][1]["spec"]["width"], "xxx");
    let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = admin.with("accept", metadata).get(V2).await.expect_code(200).json();
    assert_eq!(names(&list), ["a", "b"]);
    let table = admin.with("accept", "application/json;as=Table;g=meta.k8s.io;v=v1").get(V2).await.json();
    assert_eq!(table["rows"][1]["cells"], json!(["b", "xxx"]));

    let path = format!("{V2}/a");
    let patched = admin.merge(&path, &json!({"spec": {"width": "xxxx"}})).await.expect_code(200).json();
    assert_eq!((&patched["spec"]["width"], &patched["metadata"]["generation"]), (&json!("xxxx"), &json!(2)));
    let mut whole = patched.clone();
    whole["spec"]["width"] = json!("x");
    let put = admin.put(&path, &whole).await.expect_code(200).json();
    assert_eq!((&put["spec"]["width"], &put["metadata"]["generation"]), (&json!("x"), &json!(3)));
    // Nothing changes: nothing is written.
    let again = admin.put(&path, &put).await.expect_code(200).json();
    assert_eq!(again["metadata"]["resourceVersion"], put["metadata"]["resourceVersion"]);
    let status = admin.merge(&format!("{path}/status"), &json!({"status": {"count": 4}})).await;
    assert_eq!(status.expect_code(200).json()["status"]["count"], 4);
    let scale = admin.merge(&format!("{path}/scale"), &json!({"spec": {"replicas": 6}})).await;
    let scale = scale.expect_code(200).json();
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(6), &json!(4)));
    let object = admin.get(&format!("{V1}/a")).await.expect_code(200).json();
    assert_eq!(object["spec"], json!({"size": 1, "count": 6}));

    let gone = admin.delete(&path).await.expect_code(200).json();
    assert_eq!(text(&gone["status"]), "Success");
    let left = admin.delete(V2).await.expect_code(200).json();
    assert_eq!((names(&left), text(&left["items"][0]["apiVersion"])), (vec!["b"], "example.dev/v2"));
}

#[tokio::test]
async fn a_service_of_the_tenant_leads_to_the_webhook() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let admin = defined(&insula, "acme", &hook, "/nowhere").await;
    admin.post(V1, &first("a", 2)).await.expect_code(201);
    let port: u16 = hook.url.rsplit(':').next().unwrap().parse().unwrap();
    let service = json!({"namespace": "default", "name": "hook", "port": port, "path": "/convert"});
    let by_service =
        json!({"spec": {"conversion": {"webhook": {"clientConfig": {"url": null, "service": service}}}}});
    admin.merge(&format!("{DEFINITIONS}/{DEFINITION}"), &by_service).await.expect_code(200);
    let refused = admin.get(&format!("{V2}/a")).await.expect_code(500).json();
    assert!(text(&refused["message"]).contains("service \"hook\" not found"), "{refused}");
    assert_eq!(hook.count(), 0);
    let by_name = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"},
        "spec": {"type": "ExternalName", "externalName": "localhost"}});
    admin.post("/api/v1/namespaces/default/services", &by_name).await.expect_code(201);
    let read = admin.get(&format!("{V2}/a")).await.expect_code(200).json();
    assert_eq!(read["spec"], json!({"width": "xx"}));
    admin.post(V2, &second("b", "xxx")).await.expect_code(201);
    assert_eq!(admin.get(&format!("{V1}/b")).await.json()["spec"], json!({"size": 3}));
    assert_eq!(names(&admin.get(V2).await.json()), ["a", "b"]);
    let asked = hook.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.starts_with("/convert")), "{asked:?}");
}

#[tokio::test]
async fn who_applies_in_one_version_owns_fields_seen_in_the_other() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let admin = defined(&insula, "acme", &hook, "/convert").await;
    let apply = |base: &'static str, by: &'static str, object: Value| {
        let admin = admin.clone();
        async move {
            let path = format!("{base}/a?fieldManager={by}");
            admin.send("PATCH", &path, APPLY, object.to_string()).await
        }
    };
    apply(V1, "one", first("a", 2)).await.expect_code(201);
    // The field that `one` owns is called `width` in v2.
    let conflict = apply(V2, "two", second("a", "xxx")).await.expect_code(409).json();
    assert!(text(&conflict["message"]).contains("conflict with \"one\": .spec.size"), "{conflict}");
    let same = apply(V2, "two", second("a", "xx")).await.expect_code(200).json();
    assert_eq!(same["metadata"]["managedFields"].as_array().unwrap().len(), 2);
    let changed =
        admin.merge(&format!("{V2}/a?fieldManager=three"), &json!({"spec": {"width": "xxxx"}})).await;
    let managers = changed.expect_code(200).json()["metadata"]["managedFields"].clone();
    let owners: Vec<&str> =
        managers.as_array().unwrap().iter().map(|entry| text(&entry["manager"])).collect();
    assert_eq!(owners, ["three"], "a value that another sets is no longer theirs: {managers}");
}

#[tokio::test]
async fn a_watch_shows_each_change_in_its_version_and_asks_once_for_all_who_see_it() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let admin = defined(&insula, "acme", &hook, "/convert").await;
    admin.post(V1, &first("a", 1)).await.expect_code(201);
    let path = format!("{V2}?watch=true");
    let (mut one, mut two) = (admin.watch(&path).await, admin.watch(&path).await);
    let everything =
        format!("{path}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
    let mut all = admin.watch(&everything).await;
    for watch in [&mut one, &mut two, &mut all] {
        let seen = watch.next().await.unwrap();
        assert_eq!((text(&seen["type"]), &seen["object"]["spec"]), ("ADDED", &json!({"width": "x"})));
    }
    assert_eq!(all.next().await.unwrap()["type"], "BOOKMARK");
    hook.asked();
    admin.post(V1, &first("b", 2)).await.expect_code(201);
    for watch in [&mut one, &mut two, &mut all] {
        let seen = watch.next().await.unwrap();
        assert_eq!((text(&seen["type"]), &seen["object"]["spec"]), ("ADDED", &json!({"width": "xx"})));
        assert_eq!(seen["object"]["apiVersion"], "example.dev/v2");
    }
    assert_eq!(hook.count(), 1);
    admin.delete(&format!("{V1}/b")).await.expect_code(200);
    assert_eq!(one.next().await.unwrap()["type"], "DELETED");
    // A definition that changes ends the watches: what they show would no longer be what it says.
    convert_at(&admin, &hook, "/convert/sad").await;
    assert!(one.next().await.is_none());
    let mut late = admin.watch(&path).await;
    let error = late.next().await.unwrap();
    assert_eq!((text(&error["type"]), &error["object"]["code"]), ("ERROR", &json!(500)));
    assert!(late.next().await.is_none());
}

#[tokio::test]
async fn a_webhook_that_fails_fails_the_request_and_nothing_else() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let admin = defined(&insula, "acme", &hook, "/convert").await;
    admin.post(V1, &first("a", 1)).await.expect_code(201);
    let from = |version: &str| format!("conversion webhook for example.dev/{version}, Kind=Widget");
    for (path, to_second) in [
        ("/convert/sad", "failed: no such size"),
        ("/convert/few", "returned 0 objects, expected 1"),
        ("/convert/renamed", "returned invalid object: must have the same name: a != other"),
        (
            "/allow",
            "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got",
        ),
    ] {
        convert_at(&admin, &hook, path).await;
        let object = format!("{V2}/a");
        let told = [
            admin.get(&object).await,
            admin.get(V2).await,
            admin.merge(&object, &json!({"spec": {"width": "xx"}})).await,
            admin.get(&format!("{object}/scale")).await,
            admin.delete(V2).await,
        ];
        for answer in told {
            let status = answer.expect_code(500).json();
            let expected = format!("{} {to_second}", from("v1"));
            assert!(text(&status["message"]).starts_with(&expected), "{path}: {status}");
            assert_eq!(status.get("reason"), None, "{status}");
        }
        let made = admin.post(V2, &second("b", "x")).await.expect_code(500).json();
        assert!(text(&made["message"]).starts_with(&from("v2")), "{made}");
        // What needs no conversion goes on, and nothing has been written.
        let list = admin.get(V1).await.expect_code(200).json();
        assert_eq!((names(&list), &list["items"][0]["spec"]["size"]), (vec!["a"], &json!(1)));
    }
    // Nobody answers there, and the tenant may not reach it.
    for (url, why) in [
        (
            "https://127.0.0.1:1/x",
            "Post \"https://127.0.0.1:1/x?timeout=30s\": dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (
            "https://10.0.0.1/x",
            "which is not public: a platform admin allows it with spec.egress.allowedCIDRs",
        ),
    ] {
        let url = json!({"spec": {"conversion": {"webhook": {"clientConfig": {"url": url}}}}});
        admin.merge(&format!("{DEFINITIONS}/{DEFINITION}"), &url).await.expect_code(200);
        let status = admin.get(&format!("{V2}/a")).await.expect_code(500).json();
        assert!(text(&status["message"]).contains(why), "{status}");
    }
    // What is deleted is not shown, and so goes without the webhook.
    admin.delete(&format!("{V2}/a")).await.expect_code(200);
}

#[tokio::test]
async fn labels_and_annotations_are_all_of_the_metadata_that_a_conversion_changes() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let admin = defined(&insula, "acme", &hook, "/convert/labels").await;
    admin.post(V1, &first("a", 1)).await.expect_code(201);
    let read = admin.get(&format!("{V2}/a")).await.expect_code(200).json();
    assert_eq!(read["metadata"]["labels"], json!({"converted": "yes"}));
    assert_eq!(read["metadata"]["generation"], 1);
}

#[tokio::test]
async fn the_stored_version_changes_and_objects_move_when_they_are_written() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let admin = defined(&insula, "acme", &hook, "/convert").await;
    admin.post(V1, &first("a", 2)).await.expect_code(201);
    let path = format!("{DEFINITIONS}/{DEFINITION}");
    let mut changed = admin.get(&path).await.json();
    changed["spec"]["versions"][0]["storage"] = json!(false);
    changed["spec"]["versions"][1]["storage"] = json!(true);
    let changed = admin.put(&path, &changed).await.expect_code(200).json();
    assert_eq!(changed["status"]["storedVersions"], json!(["v1", "v2"]));
    hook.asked();
    let stored = admin.get(&format!("{V1}/a")).await.expect_code(200).json();
    assert_eq!((&stored["spec"], hook.count()), (&json!({"size": 2}), 0), "it is stored in v1 yet");
    // A write that changes nothing stores it in the new version.
    let moved = admin.put(&format!("{V1}/a"), &stored).await.expect_code(200).json();
    assert_ne!(moved["metadata"]["resourceVersion"], stored["metadata"]["resourceVersion"]);
    assert_eq!(moved["metadata"]["generation"], stored["metadata"]["generation"]);
    hook.asked();
    let read = admin.get(&format!("{V2}/a")).await.expect_code(200).json();
    assert_eq!((&read["spec"], hook.count()), (&json!({"width": "xx"}), 0), "it is stored in v2 now");
    // The old version may go once nothing is stored in it.
    let mut without = admin.get(&path).await.json();
    without["spec"]["versions"].as_array_mut().unwrap().remove(0);
    let refused = admin.put(&path, &without).await.expect_code(422).json();
    assert_eq!(text(&refused["details"]["causes"][0]["field"]), "status.storedVersions[0]");
    let status = admin.merge(&format!("{path}/status"), &json!({"status": {"storedVersions": ["v2"]}})).await;
    without["metadata"]["resourceVersion"] =
        status.expect_code(200).json()["metadata"]["resourceVersion"].clone();
    admin.put(&path, &without).await.expect_code(200);
    admin.get(V1).await.expect_code(404);
    assert_eq!(names(&admin.get(V2).await.expect_code(200).json()), ["a"]);
}

#[tokio::test]
async fn a_stored_version_that_is_not_served_is_reached_through_the_others() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let admin = defined(&insula, "acme", &hook, "/convert").await;
    admin.post(V1, &first("a", 2)).await.expect_code(201);
    let path = format!("{DEFINITIONS}/{DEFINITION}");
    let mut changed = admin.get(&path).await.json();
    changed["spec"]["versions"][0]["served"] = json!(false);
    admin.put(&path, &changed).await.expect_code(200);
    admin.get(&format!("{V1}/a")).await.expect_code(404);
    assert_eq!(admin.get(&format!("{V2}/a")).await.expect_code(200).json()["spec"], json!({"width": "xx"}));
    admin.post(V2, &second("b", "xxx")).await.expect_code(201);
    assert_eq!(hook.last()["objects"][0]["spec"], json!({"size": 3}));
}

#[tokio::test]
async fn who_waits_for_a_webhook_holds_up_nobody() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let admin = defined(&insula, "acme", &hook, "/convert/slow").await;
    let (_, other) = insula.tenant("other").await;
    admin.post(V1, &first("a", 1)).await.expect_code(201);
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let admin = admin.clone();
            tokio::spawn(async move { admin.get(V2).await.expect_code(200).json() })
        })
        .collect();
    while hook.count() < 8 {
        tokio::task::yield_now().await;
    }
    admin.merge(&format!("{V1}/a"), &json!({"spec": {"size": 2}})).await.expect_code(200);
    other.get("/api/v1/namespaces/default/configmaps").await.expect_code(200);
    hook.go.add_permits(8);
    for answer in waiting {
        // A list shows what there was when it began.
        assert_eq!(answer.await.unwrap()["items"][0]["spec"]["width"], "x");
    }
}

#[tokio::test]
async fn the_platform_cleans_up_what_nobody_can_reach() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let admin = defined(&insula, "acme", &hook, "/convert/sad").await;
    admin.post(V1, &first("a", 2)).await.expect_code(201);
    let path = format!("{DEFINITIONS}/{DEFINITION}");
    let mut changed = admin.get(&path).await.json();
    for version in changed["spec"]["versions"].as_array_mut().unwrap() {
        version["served"] = json!(false);
    }
    admin.put(&path, &changed).await.expect_code(200);
    admin.get(V1).await.expect_code(404);
    let plane =
        insula.server.planes.named(tenant_apiserver_proxy::planes::PlaneKind::Tenant, "acme").unwrap();
    let client = InProcess::new(insula.server.clone());
    let resource = Resource { group: "example.dev".into(), version: "v1".into(), resource: "widgets".into() };
    let target = Target::new(plane.id, &resource, "", "a");
    client.write(&Actor::Platform("cleanup"), &target, Write::Delete(Delete::default())).await.unwrap();
    let left = client.list(plane.id, &GroupResource::new("example.dev", "widgets"), "").await.unwrap();
    assert!(left.is_empty());
    assert_eq!(hook.count(), 0, "nobody is asked");
}
