//! `insula bench`, with few objects: what it measures has happened, and nothing of it stays.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use tests::Insula;

fn bench(insula: &Insula, arguments: &[&str]) -> Value {
    let said = insula.insula(&[&["bench"], arguments, &["-o", "json"]].concat());
    let report: Value = serde_json::from_str(&said).unwrap();
    for row in report["requests"].as_array().unwrap() {
        assert!(row["failed"].is_null(), "{row}");
        assert!(row["perSecond"].as_f64().unwrap() > 0.0, "{row}");
        assert!(
            row["p99Milliseconds"].as_f64().unwrap() >= row["p50Milliseconds"].as_f64().unwrap(),
            "{row}"
        );
    }
    report
}

/// How many requests of each kind there were.
fn counts(report: &Value) -> Vec<(String, u64)> {
    let rows = report["requests"].as_array().unwrap();
    rows.iter()
        .map(|row| (row["what"].as_str().unwrap().to_owned(), row["requests"].as_u64().unwrap()))
        .collect()
}

fn figure(report: &Value, what: &str) -> f64 {
    let figures = report["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["what"] == what).unwrap()["value"].as_f64().unwrap()
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()
}

#[test]
fn each_benchmark_measures_and_leaves_nothing() {
    let insula = Insula::start();
    let writes = bench(&insula, &["writes", "--objects", "90", "--streams", "4"]);
    assert_eq!(
        counts(&writes),
        pairs(&[("create ConfigMap", 90), ("patch ConfigMap", 90), ("delete ConfigMap", 90)])
    );
    assert!(writes["requests"][0]["serverCpuMicroseconds"].is_number(), "{writes}");
    let reads = bench(&insula, &["reads", "--objects", "20", "--requests", "200"]);
    assert_eq!(counts(&reads), pairs(&[("get Pod", 200)]));

    let list = bench(&insula, &["list", "--objects", "70", "--requests", "4", "--limit", "30"]);
    assert_eq!(counts(&list), pairs(&[("list 70 pods", 4), ("a page of 30", 3)]));
    assert!(figure(&list, "a list") > 70.0 * 500.0, "{list}");

    let watch =
        bench(&insula, &["watch", "--watchers", "12", "--tenants", "3", "--changes", "50", "--time", "1s"]);
    assert_eq!(counts(&watch), pairs(&[("patch a ConfigMap", 50), ("an event arrives", 200)]));
    assert_eq!(figure(&watch, "events that did not arrive"), 0.0);

    let tenants = bench(&insula, &["tenants", "--tenants", "5", "--settle", "0.1s"]);
    assert_eq!(
        counts(&tenants),
        pairs(&[
            ("create a tenant", 5),
            ("created, and its kubeconfig answers", 5),
            ("delete a tenant, until it is gone", 5)
        ])
    );
    let fairness = bench(
        &insula,
        &[
            "fairness",
            "--tenants",
            "2",
            "--pace",
            "10",
            "--connections",
            "2",
            "--streams",
            "2",
            "--time",
            "1s",
        ],
    );
    assert_eq!(
        counts(&fairness)[..6],
        pairs(&[
            ("regular tenants alone", 20),
            ("- their reads", 10),
            ("- their changes", 10),
            ("regular tenants beside it", 20),
            ("- their reads", 10),
            ("- their changes", 10),
        ])
    );

    let left = insula.host().json(&["get", "tenants"]);
    assert_eq!(left["items"].as_array().unwrap().len(), 0, "{left}");
}

/// What the stages of a part count, and the sum of their means.
fn stages(report: &Value, what: &str) -> (Vec<u64>, f64) {
    let parts = report["stages"].as_array().unwrap();
    let of = parts.iter().find(|part| part["what"] == what).unwrap()["stages"].as_array().unwrap();
    let names: Vec<&str> = of.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["queue down", "down", "super", "queue up", "up", "elsewhere"]);
    let known = |stage: &&Value| stage["pods"].is_number();
    for stage in of.iter().filter(known) {
        assert!(stage["p99Milliseconds"].as_f64() >= stage["p50Milliseconds"].as_f64(), "{stage}");
    }
    let pods = of.iter().filter(known).map(|stage| stage["pods"].as_u64().unwrap()).collect();
    (pods, of.iter().map(|stage| stage["meanMilliseconds"].as_f64().unwrap()).sum())
}

#[test]
fn pods_are_measured_in_tenants_and_below_and_leave_nothing() {
    let insula = Insula::start();
    let few = ["pods", "--tenants", "3", "--pods", "30", "--singles", "4", "--streams", "8"];
    let expected =
        pairs(&[("one by one: created, and Ready", 4), ("create a Pod", 30), ("created, and Ready", 30)]);
    let report = bench(&insula, &few);
    assert_eq!(report["place"], "3 tenants with controllers and sync");
    assert_eq!(counts(&report), expected);
    for (what, row, pods) in [("one by one", 0, 4), ("many at once", 2, 30)] {
        let (counted, sum) = stages(&report, what);
        assert_eq!(counted, [pods; 5], "{report}");
        let mean = report["requests"][row]["meanMilliseconds"].as_f64().unwrap();
        assert!((sum - mean).abs() < 0.001, "{sum} {mean}");
    }

    let direct = bench(&insula, &[&few[..], &["--direct"]].concat());
    assert_eq!(direct["place"], "3 namespaces of one cluster");
    assert_eq!(counts(&direct), expected);
    assert!(direct["stages"].is_null(), "{direct}");

    let fairness = ["sync-fairness", "--greedy", "2", "--greedy-pods", "20", "--regular", "3"];
    let report = bench(&insula, &[&fairness[..], &["--every", "0.05s", "--time", "0.5s"]].concat());
    let greedy = counts(&report).pop().unwrap();
    assert_eq!(greedy, ("greedy tenants: created, and Ready".to_owned(), 40));
    assert!(figure(&report, "mean beside / mean alone") > 0.0);

    let left = insula.host().json(&["get", "tenants"]);
    assert_eq!(left["items"].as_array().unwrap().len(), 0, "{left}");
    let left = insula.host().run(&["--context=local", "get", "namespaces", "--output=name"]);
    assert!(!left.contains("bench"), "{left}");
}

#[test]
fn any_kubernetes_is_measured_in_namespaces_of_its_own() {
    let insula = Insula::start();
    let acme = insula.tenant("acme");
    let kubeconfig = insula.scratch("acme.yaml");
    let of_acme = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let report = bench(&insula, &[&["reads", "--objects", "5", "--requests", "50"], &of_acme[..]].concat());
    assert_eq!(report["place"], "1 namespace of one cluster");
    assert_eq!(counts(&report), pairs(&[("get Pod", 50)]));
    let names = acme.run(&["get", "namespaces", "--output=name"]);
    assert!(!names.contains("bench"), "{names}");

    for asked in [&["bench", "tenants"][..], &["bench", "reads", "--with-controllers"], &["bench", "pods"]] {
        let refused = insula.try_insula(&[asked, &of_acme[..]].concat());
        assert!(!refused.status.success(), "{asked:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("has no tenants"), "{said}");
    }
}
