use super::*;
use crate::scheduler::cluster::tests::{cluster, put};
use crate::scheduler::cycle::{Asked, Outcome};
use crate::scheduler::pod::tests::pod;
use serde_json::json;

const ZONE: &str = "topology.kubernetes.io/zone";

fn nodes() -> crate::scheduler::cluster::Cluster {
    cluster(&[("a", json!({"labels": {ZONE: "1"}})), ("b", json!({"labels": {ZONE: "2"}}))])
}

fn volume(name: &str, size: &str, zone: &str) -> Value {
    let term = json!({"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]});
    json!({"metadata": {"name": name}, "status": {"phase": "Available"},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "slow",
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}})
}

fn claim(size: &str) -> Value {
    json!({"metadata": {"namespace": "default", "name": "c", "uid": "u"}, "spec": {"storageClassName": "slow",
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}})
}

fn look(volumes: &Volumes, spec: Value, there: Option<Value>) -> Result<String, String> {
    let mut cluster = nodes();
    if let Some(there) = there {
        put(&mut cluster, pod("there", there), "a");
    }
    let info = pod("p", spec);
    let cycle = Cycle::new(&Asked { pod: &info, volumes }, &cluster);
    match cycle.map(|cycle| cycle.look(None, 0)) {
        Ok(Outcome::Fits { node, .. }) => Ok(node.to_string()),
        Ok(Outcome::Nowhere(nowhere)) | Err(nowhere) => Err(nowhere.message()),
    }
}

#[test]
fn bound_volumes_draw_pods_to_where_they_are() {
    let bound = |volume: Option<Value>| Volumes {
        bound: vec![volume.as_ref().map(Volume::of)],
        ..Volumes::default()
    };
    assert_eq!(look(&bound(Some(volume("v", "1Gi", "2"))), json!({}), None).unwrap(), "b");
    let why = look(&bound(Some(volume("v", "1Gi", "3"))), json!({}), None).unwrap_err();
    assert_eq!(why, "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.");
    let why = look(&bound(None), json!({}), None).unwrap_err();
    assert_eq!(
        why,
        "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)."
    );
    let labelled = |zones: &str| json!({"metadata": {"name": "v", "labels": {"failure-domain.beta.kubernetes.io/zone": zones}}});
    assert_eq!(look(&bound(Some(labelled("2"))), json!({}), None).unwrap(), "b");
    assert_eq!(look(&bound(Some(labelled("1__2"))), json!({}), None).unwrap(), "a");
    let why = look(&bound(Some(labelled("3"))), json!({}), None).unwrap_err();
    assert_eq!(why, "0/2 nodes are available: 2 node(s) had no available volume zone.");
}

#[test]
fn claims_that_wait_get_the_smallest_volume_that_suits_or_a_new_one() {
    let makes = |provisioner: &str, zone: &str| {
        let term = json!([{"matchLabelExpressions": [{"key": ZONE, "values": [zone]}]}]);
        json!({"provisioner": provisioner, "allowedTopologies": if zone.is_empty() { json!([]) } else { term }})
    };
    let none = makes("kubernetes.io/no-provisioner", "");
    let mut selected = claim("1Gi");
    selected["metadata"]["annotations"] = json!({SELECTED: "b"});
    let mut meant = volume("meant", "9Gi", "2");
    meant["spec"]["claimRef"] = json!({"namespace": "default", "name": "c"});
    let mut choosy = claim("1Gi");
    choosy["spec"]["selector"] = json!({"matchLabels": {"x": "y"}});
    let mut many = claim("1Gi");
    many["spec"]["accessModes"] = json!(["ReadWriteMany"]);
    let free = || vec![volume("large", "5Gi", "1"), volume("small", "2Gi", "1"), volume("other", "2Gi", "2")];
    let bind = |volume: &str| Some(Bindings { bind: vec![("c".into(), volume.into())], provision: vec![] });
    let provision = Some(Bindings { bind: vec![], provision: vec!["c".into()] });
    for (case, claim, class, free, node, expected) in [
        ("the smallest", claim("1Gi"), &none, free(), "a", bind("small")),
        ("large enough", claim("3Gi"), &none, free(), "a", bind("large")),
        ("of the node", claim("1Gi"), &none, free(), "b", bind("other")),
        ("none large enough", claim("3Gi"), &none, free(), "b", None),
        ("of a selector", choosy, &none, free(), "a", None),
        ("of all modes", many, &none, free(), "a", None),
        ("meant for it", claim("1Gi"), &none, vec![meant.clone()], "b", bind("meant")),
        ("meant for it, elsewhere", claim("1Gi"), &none, vec![meant], "a", None),
        ("a new one", claim("3Gi"), &makes("x.dev/p", ""), free(), "b", provision.clone()),
        ("a new one, not here", claim("3Gi"), &makes("x.dev/p", "1"), free(), "b", None),
        ("begun on the node", selected.clone(), &makes("x.dev/p", ""), free(), "b", provision),
        ("begun elsewhere", selected, &makes("x.dev/p", ""), free(), "a", None),
    ] {
        let cluster = nodes();
        let volumes = Volumes {
            waiting: vec![Waiting::of(&claim, class)],
            free: free.iter().map(Volume::of).collect(),
            ..Volumes::default()
        };
        assert_eq!(volumes.serve(cluster.node(node).unwrap()), expected, "{case}");
        if expected.is_none() {
            let why =
                look(&volumes, json!({"nodeSelector": {"kubernetes.io/hostname": node}}), None).unwrap_err();
            assert!(
                why.contains("1 node(s) didn't find available persistent volumes to bind"),
                "{case}: {why}"
            );
        }
    }
}

#[test]
fn two_claims_get_two_volumes() {
    let none = json!({"provisioner": "kubernetes.io/no-provisioner"});
    let two = |count: usize| Volumes {
        waiting: vec![Waiting::of(&claim("1Gi"), &none), Waiting::of(&claim("1Gi"), &none)],
        free: (0..count).map(|index| Volume::of(&volume(&format!("v{index}"), "1Gi", "1"))).collect(),
        ..Volumes::default()
    };
    let cluster = nodes();
    let node = cluster.node("a").unwrap();
    assert_eq!(two(2).serve(node).unwrap().bind.len(), 2);
    assert_eq!(two(1).serve(node), None);
}

#[test]
fn what_one_pod_alone_may_use() {
    let volumes = Volumes { exclusive: vec!["c".into()], ..Volumes::default() };
    let user = json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]});
    assert_eq!(look(&volumes, user.clone(), None).unwrap(), "a");
    let why = look(&volumes, user.clone(), Some(user)).unwrap_err();
    assert_eq!(
        why,
        "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod."
    );
    let disk = |read_only: bool| json!({"volumes": [{"name": "v", "gcePersistentDisk": {"pdName": "d", "readOnly": read_only}}]});
    let none = Volumes::default();
    for (case, own, other, expected) in [("both write", false, false, "b"), ("both read", true, true, "b")] {
        // With the pod there, the other node is the better one anyway; the first is refused only where both write.
        assert_eq!(look(&none, disk(own), Some(disk(other))).unwrap(), expected, "{case}");
        let mut there = disk(own);
        there["nodeSelector"] = json!({ZONE: "1"});
        assert_eq!(look(&none, there, Some(disk(other))).is_ok(), own, "{case}");
    }
    let refused = Volumes {
        refusal: Some("pod has unbound immediate PersistentVolumeClaims".into()),
        ..Volumes::default()
    };
    let why = look(&refused, json!({}), None).unwrap_err();
    assert_eq!(why, "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.");
}
