use super::*;
use crate::story_tests::harness::cluster;
use serde_json::json;

#[test]
fn what_is_listed_waits_until_all_of_the_super_cluster_is_known() {
    let (state, cluster) = (State::default(), cluster("one"));
    state.put_super_cluster(cluster.clone());
    let id = TenantId::new(uuid::Uuid::from_u128(7));
    let key = || Key::object(Kind::Pod, "shop", "web");
    let heard = |news: News| {
        state.heard(Direction::Up, news, [(id, key())]);
        state.queue.try_next().map(|lease| lease.done(None)).is_some()
    };
    assert!(!heard(News::Listed), "nobody knows the tenant");
    let metadata = json!({"name": "acme", "uid": id.to_string(), "resourceVersion": "1"});
    let tenant = json!({"metadata": metadata, "spec": {}, "status": {"superCluster": "one"}});
    assert!(state.take_tenant(tenant).is_some());
    state.queue.try_next().unwrap().done(None);
    assert!(!heard(News::Listed) && heard(News::Changed), "all becomes due when it is known");
    Kind::ALL.into_iter().for_each(|kind| drop(cluster.cache.synced(kind)));
    assert!(heard(News::Listed));
}

#[test]
fn what_ends_what_was_begun_comes_first() {
    let pod = || Key::object(Kind::Pod, "shop", "web");
    let node = || Key::object(Kind::Node, "", "n");
    for (key, direction, news, expected) in [
        (pod(), Direction::Up, News::Changed, Rank::First),
        (pod(), Direction::Up, News::OnItsWay, Rank::Usual),
        (pod(), Direction::Up, News::Listed, Rank::Last),
        (pod(), Direction::Down, News::Changed, Rank::Usual),
        (node(), Direction::Up, News::Changed, Rank::Last),
        (Key::object(Kind::Service, "shop", "web"), Direction::Up, News::Changed, Rank::Usual),
    ] {
        assert_eq!(rank(&key, direction, news), expected, "{key:?} {direction:?} {news:?}");
    }
}

#[test]
fn an_event_that_comes_again_does_not_replace_a_newer_one() {
    let cluster = cluster("one");
    let take = || cluster.take_event("s", "web.1");
    assert!(cluster.keep_event("s", "web.1", json!({"count": 1})));
    let older = take().unwrap();
    assert!(cluster.keep_event("s", "web.1", json!({"count": 2})));
    cluster.give_event_back("s", "web.1", older.clone());
    assert_eq!(take(), Some(json!({"count": 2})));
    cluster.give_event_back("s", "web.1", older.clone());
    assert_eq!((take(), take()), (Some(older), None));
}

fn tenant(id: TenantId, weight: u32, version: u32) -> Value {
    json!({"metadata": {"name": format!("t-{id}"), "uid": id.to_string(), "resourceVersion": version.to_string()},
        "spec": {"weight": weight}, "status": {"superCluster": "one"}})
}

#[test]
fn a_tenant_with_nothing_below_has_no_work_for_its_namespaces() {
    let (state, cluster) = (State::default(), cluster("one"));
    state.put_super_cluster(cluster.clone());
    Kind::ALL.into_iter().for_each(|kind| drop(cluster.cache.synced(kind)));
    let id = TenantId::new(uuid::Uuid::from_u128(7));
    let view = state.take_tenant(tenant(id, 1, 1)).unwrap();
    state.queue.try_next().unwrap().done(None);
    let heard = |kind: Kind, namespace: &str, name: &str| {
        state.heard(Direction::Down, News::Changed, [(id, Key::object(kind, namespace, name))]);
        state.queue.try_next().map(|lease| lease.done(None)).is_some()
    };
    assert!(!heard(Kind::Namespace, "", "shop") && !heard(Kind::ConfigMap, "shop", "settings"));
    assert!(heard(Kind::Pod, "shop", "web"));
    let own = json!({"metadata": {"name": "shop", "uid": "u"}});
    let mut there = crate::namespaces::downward(&view, &own);
    there["metadata"]["uid"] = json!("u-below");
    cluster.cache.apply(Kind::Namespace, there);
    assert!(heard(Kind::Namespace, "", "shop") && heard(Kind::ConfigMap, "shop", "settings"));
    // Its policies may choose others by their labels.
    assert!(heard(Kind::Namespace, "", "other") && !heard(Kind::ConfigMap, "other", "settings"));
}

#[test]
fn shares_hold_in_the_lines_of_every_super_cluster() {
    let (state, old, new) = (State::default(), cluster("one"), cluster("two"));
    let id = |number: u128| TenantId::new(uuid::Uuid::from_u128(number));
    state.put_super_cluster(old.clone());
    for (of, weight) in [(7, 3), (8, 1)] {
        assert!(state.take_tenant(tenant(id(of), weight, 1)).is_some());
    }
    state.put_super_cluster(new.clone());
    let taken_of_first = |line: &Keys| {
        for number in 0..6 {
            for of in [7, 8] {
                line.add(id(of), Key::object(Kind::Pod, "shop", format!("{number}")));
            }
        }
        let taken = (0..8).filter(|_| {
            let lease = line.try_next().unwrap();
            let is_first = lease.tenant == id(7);
            lease.done(None);
            is_first
        });
        let count = taken.count();
        line.hand_over(&Keys::default(), usize::MAX);
        count
    };
    for line in [old.lines(), new.lines()].concat() {
        assert_eq!(taken_of_first(line), 6);
    }
    assert!(state.take_tenant(tenant(id(7), 1, 2)).is_some());
    for line in [old.lines(), new.lines()].concat() {
        assert_eq!(taken_of_first(line), 4);
    }
}
