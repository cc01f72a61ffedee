//! A disk that is full: writes are refused with a reason, all else goes on, and nothing is lost.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use tests::{Insula, Kubectl, until};

/// What the disk has, and what it has afterwards.
const MEGABYTES: [u32; 2] = [16, 64];
/// Of one ConfigMap.
const SIZE: usize = 900_000;

fn config_map(number: usize) -> String {
    let name = format!("filler-{number}");
    format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{x: {}}}}}",
        "x".repeat(SIZE)
    )
}

/// Fills the disk; how many ConfigMaps were acknowledged, and what the first one that was not was told.
fn fill(acme: &Kubectl) -> (usize, String) {
    for number in 0..1000 {
        let said = acme.say_with_input(&["create", "--filename=-"], &config_map(number));
        if said.code != Some(0) {
            return (number, said.stderr);
        }
    }
    panic!("the disk is not full");
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let mut insula = Insula::start_on_small_disk(MEGABYTES[0]);
    let acme = insula.tenant("acme");
    let template = "--output=jsonpath={.type} {.object.metadata.name}{'\\n'}";
    let watch = ["get", "configmaps", "--watch-only", "--output-watch-events", template];
    let mut watch = acme.start(&watch, &insula.scratch("watched"));
    let (count, refused) = fill(&acme);
    assert!(count > 5, "{count}");
    // The first one may be there or not; from then on it is known that nothing is written.
    let words = ["it is not known whether the request was carried out", "the store cannot be written"];
    assert!(words.iter().any(|words| refused.contains(words)), "{refused}");
    for name in ["one", "two"] {
        let said = acme.refused(&["create", "configmap", name]);
        assert!(said.contains(words[1]), "{said}");
    }
    let said = acme.refused(&["delete", "configmap", "filler-0"]);
    assert!(said.contains(words[1]), "{said}");

    // Everybody is told why.
    let ready = insula.host().refused(&["get", "--raw=/readyz"]);
    assert!(ready.contains("[-]etcd failed"), "{ready}");
    let status = insula.insula(&["store", "status"]);
    let why = status.lines().find_map(|line| line.strip_prefix("writes")).expect("a line").trim();
    assert!(
        why.starts_with("refused: ") && why.contains("objects.redb: ") && why.contains(" failed: "),
        "{status}"
    );
    assert!(
        insula.stderr().contains("the store commits nothing any more: start it again"),
        "{}",
        insula.stderr()
    );

    // Reads go on, of what is on disk too, and watches are open and show just what was acknowledged.
    let there = names(&acme.json(&["get", "configmaps"]));
    let acknowledged: Vec<String> = (0..count).map(|number| format!("filler-{number}")).collect();
    assert!(acknowledged.iter().all(|name| there.contains(name)), "{there:?}");
    insula.insula(&["store", "check"]);
    let backup = insula.scratch("full.backup").display().to_string();
    insula.insula(&["store", "backup", &backup]);
    until("the watch shows what was acknowledged", || {
        let last = format!("ADDED filler-{}\n", count - 1);
        if watch.printed().contains(&last) { Ok(()) } else { Err(watch.printed()) }
    });
    assert!(!watch.has_ended(), "{}", watch.printed());
    assert!(!watch.printed().contains(&format!("filler-{count}\n")), "{}", watch.printed());

    // With more room, everything that was acknowledged is there, and work goes on.
    insula.kill();
    insula.grow_disk(MEGABYTES[1]);
    insula.start_again();
    let there = names(&acme.json(&["get", "configmaps"]));
    assert!(acknowledged.iter().all(|name| there.contains(name)), "{there:?}");
    assert_eq!(insula.host().run(&["get", "--raw=/readyz"]), "ok");
    assert!(insula.insula(&["store", "status"]).contains("taken"));
    acme.run(&["create", "configmap", "afterwards"]);
    assert!(insula.insula(&["store", "check"]).contains("no faults"));
}
