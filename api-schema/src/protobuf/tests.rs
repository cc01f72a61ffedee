use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::builtin;
use crate::decode::{FieldValidation, decode_value};
use crate::graph::{ListKind, Presence, Scalar};
use crate::zero;

fn root(group: &str, kind: &str) -> TypeRef<'static> {
    builtin::graph().at(builtin::kind(group, "v1", kind).unwrap())
}

fn round_trip(group: &str, kind: &str, value: &Value) -> Value {
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    decode(&encode(value, root(group, kind), &version, kind).unwrap(), root(group, kind)).unwrap()
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let value =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let bytes = encode(&value, root("", "ConfigMap"), "v1", "ConfigMap").unwrap();
    let expected = [
        b"k8s\0".as_slice(),
        b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap",
        // Strings, numbers and times without a pointer are there when they are empty, too.
        b"\x12\x1b\x0a\x11\x0a\x01a\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x06\x0a\x01k\x12\x01v",
        b"\x1a\x00\x22\x00",
    ]
    .concat();
    assert_eq!(bytes, expected);
    assert_eq!(decode(&bytes, root("", "ConfigMap")).unwrap(), value);
    let envelope = envelope(&bytes).unwrap();
    assert_eq!((envelope.api_version.as_str(), envelope.kind.as_str()), ("v1", "ConfigMap"));
}

#[test]
fn all_sorts_of_values_survive() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "creationTimestamp": "2026-11-21T09:10:59Z", "labels": {"a": "b", "c": ""},
            "managedFields": [{"manager": "m", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}]},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                "ports": [{"containerPort": 80}], "securityContext": {"runAsUser": -1, "privileged": false},
                "livenessProbe": {"httpGet": {"port": "web", "path": "/"}, "periodSeconds": 5}}],
            "priority": 0, "hostUsers": false, "securityContext": {"supplementalGroups": [1, 2]},
            "volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}},
                {"name": "h", "hostPath": {"path": "/"}}],
            "tolerations": [{"tolerationSeconds": 0}]},
        "status": {"phase": "Running"}});
    assert_eq!(round_trip("", "Pod", &pod), pod);
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "status": {"loadBalancer": {}},
        "spec": {"ports": [{"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": "x"}]}});
    assert_eq!(round_trip("", "Service", &service), service);
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"k": "AQID", "e": ""}});
    assert_eq!(round_trip("", "Secret", &secret), secret);
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {},
        "spec": {"renewTime": "2026-11-21T09:10:59.000120Z", "leaseDurationSeconds": 15}});
    assert_eq!(round_trip("coordination.k8s.io", "Lease", &lease), lease);
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {"user": "u", "extra": {"scopes": ["a", "b"]}}, "status": {"allowed": true}});
    assert_eq!(round_trip("authorization.k8s.io", "SubjectAccessReview", &review), review);
    let list = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "5"},
        "items": [{"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "resources": {}}]},
            "status": {}}]});
    assert_eq!(round_trip("", "PodList", &list), list);
    let hook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {}, "webhooks": [{"name": "w", "sideEffects": "None", "clientConfig": {"caBundle": "AQ=="},
            "admissionReviewVersions": ["v1"], "rules": [{"operations": ["CREATE"], "apiGroups": [""]}]}]});
    assert_eq!(round_trip("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", &hook), hook);
}

#[test]
fn schemas_survive() {
    let schema = json!({"type": "object", "required": ["a"], "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"a": {"type": "array", "items": {"type": "string", "enum": ["x", 1, null]}},
            "b": {"additionalProperties": {"type": "integer", "minimum": 0.5, "maximum": 10}},
            "c": {"additionalProperties": false, "default": {"k": [1]}},
            "d": {"items": [{"type": "string"}, {"$ref": "#/x"}], "dependencies": {"e": ["f"], "g": {"type": "x"}}}}});
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {},
        "spec": {"group": "g", "scope": "Cluster", "names": {"plural": "ws", "kind": "W"},
            "versions": [{"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": schema}}]},
        "status": {}});
    let of = root("apiextensions.k8s.io", "CustomResourceDefinition");
    let mut again = round_trip("apiextensions.k8s.io", "CustomResourceDefinition", &crd);
    let mut stored = crd;
    zero::normalize(of, &mut again);
    zero::normalize(of, &mut stored);
    assert_eq!(again, stored);
}

#[test]
fn unknown_numbers_and_explicit_zeros_are_passed_over() {
    // `metadata` with an unknown number, `immutable` false by a pointer, and an unknown number of each wire type.
    let raw = b"\x0a\x05\x0a\x00\xf8\x07\x01\x28\x00\xf8\x07\x01\xfa\x07\x01x\xf9\x07\0\0\0\0\0\0\0\0\xfd\x07\0\0\0\0";
    let mut message = b"k8s\0\x12".to_vec();
    message.push(raw.len() as u8);
    message.extend_from_slice(raw);
    assert_eq!(decode(&message, root("", "Secret")), Ok(json!({"metadata": {}, "immutable": false})));
}

#[test]
fn what_is_no_message_is_refused() {
    let configmap = root("", "ConfigMap");
    assert_eq!(decode(b"{}", configmap), Err(ProtobufError::NoPrefix));
    assert_eq!(decode(b"k8s\0\x12\x05\x0a", configmap), Err(ProtobufError::Truncated));
    assert_eq!(
        decode(b"k8s\0\x12\x02\x08\x01", configmap),
        Err(ProtobufError::WireType { wire: 0, field: "metadata".to_owned() })
    );
    assert_eq!(
        decode(b"k8s\0\x22\x10application/json", configmap),
        Err(ProtobufError::Content("application/json".to_owned()))
    );
    let component = builtin::graph().at(builtin::kind("core.oam.dev", "v1alpha2", "Component").unwrap());
    assert!(!is_supported(component));
    assert!(matches!(encode(&json!({}), component, "", ""), Err(ProtobufError::NotMarshalable(_))));
}

#[test]
fn a_frame_has_its_length_in_front() {
    assert_eq!(watch_frame("ADDED", b"x"), b"\0\0\0\x0c\x0a\x05ADDED\x12\x03\x0a\x01x");
}

/// A value of a type: what [`decode_value`] gives and takes.
fn arbitrary(of: TypeRef<'static>, depth: u32) -> BoxedStrategy<Value> {
    let text = "[a-z]{1,4}";
    match of.shape() {
        Shape::Any => {
            let raw = ["RawExtension", "FieldsV1", "JSON"].iter().any(|end| of.node().name.ends_with(end));
            if raw {
                text.prop_map(|text| json!({ text: 1 })).boxed()
            } else {
                Just(json!({"type": "a"})).boxed()
            }
        }
        Shape::Scalar(scalar) => match scalar {
            Scalar::String => text.prop_map(Value::String).boxed(),
            Scalar::Bytes => Just(json!("AQID")).boxed(),
            Scalar::Time => (0i64..4_000_000_000)
                .prop_map(|second| json!(jiff::Timestamp::from_second(second).unwrap().to_string()))
                .boxed(),
            Scalar::MicroTime => (0i64..4_000_000_000_000_000)
                .prop_map(|micro| {
                    let at = jiff::Timestamp::from_microsecond(micro).unwrap();
                    json!(at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
                })
                .boxed(),
            Scalar::Quantity => (1u32..9000)
                .prop_map(|n| {
                    json!(
                        crate::quantity::Quantity::from_milli(
                            i64::from(n),
                            crate::quantity::Format::DecimalSi
                        )
                        .to_string()
                    )
                })
                .boxed(),
            Scalar::IntOrString => {
                prop_oneof![text.prop_map(Value::String), any::<i32>().prop_map(Value::from)].boxed()
            }
            Scalar::Int32 => any::<i32>().prop_map(Value::from).boxed(),
            Scalar::Int64 => any::<i64>().prop_map(Value::from).boxed(),
            Scalar::Number => {
                any::<i16>().prop_map(|n| crate::decode::scalar::float(f64::from(n) / 4.0).unwrap()).boxed()
            }
            Scalar::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
            Scalar::Duration => Just(json!("1s")).boxed(),
        },
        Shape::List(_, ListKind::Map(_) | ListKind::Set | ListKind::Atomic) if depth == 0 => {
            Just(json!([])).boxed()
        }
        Shape::List(element, _) => {
            prop::collection::vec(arbitrary(of.at(*element), depth - 1), 1..3).prop_map(Value::Array).boxed()
        }
        Shape::Map(_) if depth == 0 => Just(json!({})).boxed(),
        Shape::Map(member) => prop::collection::btree_map(text, arbitrary(of.at(*member), depth - 1), 1..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
            .boxed(),
        Shape::Object(_) if depth == 0 => Just(json!({})).boxed(),
        Shape::Object(fields) => fields
            .iter()
            .filter(|field| field.number > 0)
            .map(|field| {
                let value = arbitrary(of.at(field.of), depth - 1);
                prop::option::weighted(0.3, value.prop_map(|value| (field.name.to_string(), value)))
            })
            .collect::<Vec<_>>()
            .prop_map(|fields| Value::Object(fields.into_iter().flatten().collect()))
            .boxed(),
    }
}

fn any_kind() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("", "Pod"),
        ("", "Node"),
        ("", "Service"),
        ("", "PersistentVolume"),
        ("", "Event"),
        ("apps", "Deployment"),
        ("batch", "CronJob"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("networking.k8s.io", "Ingress"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("resource.k8s.io", "ResourceSlice"),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
        ("", "PodList"),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn values_survive(
        (group, kind, value) in any_kind().prop_flat_map(|(group, kind)| {
            (Just(group), Just(kind), arbitrary(root(group, kind), 6))
        })
    ) {
        let of = root(group, kind);
        // Canonical first: what is left out when empty cannot come back.
        let mut value = decode_value(&value, of, FieldValidation::Strict).unwrap().value;
        zero::normalize(of, &mut value);
        let mut back = round_trip(group, kind, &value);
        let object = back.as_object_mut().unwrap();
        object.remove("apiVersion");
        object.remove("kind");
        zero::normalize(of, &mut back);
        prop_assert_eq!(back, value);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..96), (group, kind) in any_kind()) {
        let _ = envelope(&bytes);
        let _ = decode(&[PREFIX.as_slice(), &bytes].concat(), root(group, kind));
        let _ = read::message(&bytes, root(group, kind), 0);
    }

    #[test]
    fn no_broken_message_panics(
        (group, kind, value) in any_kind().prop_flat_map(|(group, kind)| {
            (Just(group), Just(kind), arbitrary(root(group, kind), 4))
        }),
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = encode(&value, root(group, kind), "v1", kind).unwrap();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let _ = decode(&bytes, root(group, kind));
    }
}

#[test]
fn fields_that_are_always_written_come_back_empty() {
    let of = root("", "Pod");
    assert_eq!(of.field("spec").unwrap().presence, Presence::Always);
    let bytes = encode(&json!({}), of, "v1", "Pod").unwrap();
    let empty = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {}, "status": {}});
    assert_eq!(decode(&bytes, of), Ok(empty));
}

#[test]
fn a_map_of_messages_has_a_value_for_every_key() {
    let budget = json!({"status": {"disruptedPods": {"p": null}}});
    let bytes = encode(&budget, root("policy", "PodDisruptionBudget"), "", "").unwrap();
    let entry = b"\x12\x05\x0a\x01p\x12\x00";
    assert!(bytes.windows(entry.len()).any(|part| part == entry), "{bytes:?}");
}

/// A field with a length.
fn field(number: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value.as_slice()].concat()
}

#[test]
fn heads_are_those_of_the_items_and_the_rest_is_passed_over() {
    let first = field(
        1,
        &[
            &field(1, &[b"a"]),
            &field(2, &[]),
            &field(3, &[b"s"]),
            &field(5, &[b"u"]),
            &field(6, &[b"7"]),
            &[0x38, 5],
        ],
    );
    let second = field(1, &[&field(6, &[b"18"]), &field(5, &[b"vw"]), &field(1, &[b"b"])]);
    let status = field(3, &[&[0x08, 1]]);
    let list = [
        field(1, &[&field(2, &[b"12"])]),
        field(2, &[&first, &status]),
        vec![0x78, 0x12],
        field(2, &[&second]),
    ];
    let message =
        [b"k8s\0".to_vec(), field(1, &[&field(2, &[b"PodList"])]), field(2, &[&list.concat()])].concat();
    let head = |namespace, name, uid, resource_version| Head { namespace, name, uid, resource_version };
    assert_eq!(heads(&message).unwrap(), [head("s", "a", "u", "7"), head("", "b", "vw", "18")]);
    for cut in 0..message.len() {
        assert!(heads(&message[..cut]).is_err(), "what is cut off after {cut} is no list with fewer objects");
    }
    assert_eq!(heads(b"{}"), Err(ProtobufError::NoPrefix));
}

proptest! {
    #[test]
    fn heads_of_what_is_written_are_read(objects in proptest::collection::vec(("[a-z]{1,9}", "[a-z]{0,9}", "[0-9a-f]{8}", 1u32..), 0..9)) {
        let items: Vec<Value> = objects.iter().map(|(name, namespace, uid, version)| json!({"data": {"k": "v"},
            "metadata": {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": version.to_string()}})).collect();
        let list = json!({"metadata": {"resourceVersion": "99"}, "items": items});
        let bytes = encode(&list, root("", "ConfigMapList"), "v1", "ConfigMapList").unwrap();
        let read: Vec<_> = heads(&bytes).unwrap().into_iter().map(|head| (head.name.to_owned(), head.namespace.to_owned(), head.uid.to_owned(), head.resource_version.parse::<u32>().unwrap())).collect();
        prop_assert_eq!(read, objects);
    }
}

#[test]
fn a_list_says_where_it_goes_on_and_its_items_are_read_without_their_history() {
    let written_by = json!([{"manager": "m", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}}]);
    let object = |name: &str| json!({"metadata": {"name": name, "labels": {"a": "b"}, "finalizers": ["f"]}, "data": {"k": name}});
    let mut with_history = object("a");
    with_history["metadata"]["managedFields"] = written_by;
    let list = json!({"metadata": {"resourceVersion": "99", "continue": "on"}, "items": [with_history, object("b")]});
    let bytes = encode(&list, root("", "ConfigMapList"), "v1", "ConfigMapList").unwrap();
    let read = self::list(&bytes).unwrap();
    assert_eq!((read.api_version.as_str(), read.kind.as_str()), ("v1", "ConfigMapList"));
    assert_eq!((read.resource_version.as_str(), read.next.as_str()), ("99", "on"));
    let items: Vec<Value> =
        read.items.iter().map(|item| item_without_history(item, root("", "ConfigMap")).unwrap()).collect();
    assert_eq!(items, [object("a"), object("b")]);
    for cut in 0..bytes.len() - 4 {
        assert!(
            self::list(&bytes[..cut]).is_err(),
            "what is cut off after {cut} is no list with fewer objects"
        );
    }
    for cut in 0..read.items[0].len() {
        let _ = item_without_history(&read.items[0][..cut], root("", "ConfigMap"));
    }
    assert_eq!(self::list(b"{}"), Err(ProtobufError::NoPrefix));
}
