use super::*;
use serde_json::json;

fn at(level: Level, minor: Option<u32>) -> LevelVersion {
    LevelVersion { level, version: minor.map_or(PolicyVersion::Latest, PolicyVersion::Minor) }
}

/// A pod that violates nothing, with a change.
fn hardened(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "a", "image": "i", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}});
    change(&mut pod);
    pod
}

#[test]
fn a_hardened_pod_violates_nothing() {
    for minor in [None, Some(0), Some(22), Some(36)] {
        assert_eq!(evaluate(at(Level::Restricted, minor), &hardened(|_| ())), []);
    }
}

#[test]
fn a_plain_pod_is_told_all_that_hardening_asks_for() {
    let pod = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
    assert_eq!(evaluate(at(Level::Baseline, None), &pod), []);
    assert_eq!(evaluate(at(Level::Privileged, None), &pod), []);
    assert_eq!(
        told(&evaluate(at(Level::Restricted, None), &pod)),
        "allowPrivilegeEscalation != false (containers \"a\", \"b\" must set \
         securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers \"a\", \"b\" must set \
         securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or containers \"a\", \"b\" must set \
         securityContext.runAsNonRoot=true), seccompProfile (pod or containers \"a\", \"b\" must set \
         securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
}

type Case = (Level, Option<u32>, fn(&mut Value), &'static str);

#[test]
fn each_check_finds_its_fault_from_its_version_on() {
    use Level::{Baseline, Restricted};
    let cases: &[Case] = &[
        (Baseline, None, |pod| pod["spec"]["hostPID"] = json!(true), "host namespaces (hostPID=true)"),
        (
            Baseline,
            None,
            |pod| pod["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true),
            "privileged (container \"a\" must not set securityContext.privileged=true)",
        ),
        (
            Baseline,
            None,
            |pod| pod["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/"}}]),
            "hostPath volumes (volume \"v\")",
        ),
        (
            Restricted,
            None,
            |pod| {
                pod["spec"]["volumes"] =
                    json!([{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "nfs": {}}])
            },
            "restricted volume types (volumes \"v\", \"w\" use restricted volume types \"hostPath\", \"nfs\")",
        ),
        (
            Baseline,
            None,
            |pod| pod["spec"]["containers"][0]["ports"] = json!([{"hostPort": 80}, {"containerPort": 1}]),
            "hostPort (container \"a\" uses hostPort 80)",
        ),
        (
            Baseline,
            None,
            |pod| {
                pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] =
                    json!(["NET_RAW", "CHOWN"])
            },
            "non-default capabilities (container \"a\" must not include \"NET_RAW\" in \
             securityContext.capabilities.add)",
        ),
        (
            Restricted,
            Some(22),
            |pod| pod["spec"]["containers"][0]["securityContext"]["capabilities"] = json!({"add": ["CHOWN"]}),
            "unrestricted capabilities (container \"a\" must set securityContext.capabilities.drop=[\"ALL\"]; \
             container \"a\" must not include \"CHOWN\" in securityContext.capabilities.add)",
        ),
        // Before 1.22 the level had no rule of its own for capabilities.
        (
            Restricted,
            Some(21),
            |pod| pod["spec"]["containers"][0]["securityContext"]["capabilities"] = json!({"add": ["CHOWN"]}),
            "",
        ),
        (
            Baseline,
            Some(34),
            |pod| pod["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"host": "h"}}),
            "probe or lifecycle host (container \"a\" uses probe or lifecycle host \"h\")",
        ),
        (
            Baseline,
            Some(33),
            |pod| pod["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"host": "h"}}),
            "",
        ),
        (
            Baseline,
            Some(34),
            |pod| {
                pod["spec"]["hostUsers"] = json!(false);
                pod["spec"]["containers"][0]["securityContext"]["procMount"] = json!("Unmasked");
            },
            "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")",
        ),
        (
            Baseline,
            Some(35),
            |pod| {
                pod["spec"]["hostUsers"] = json!(false);
                pod["spec"]["containers"][0]["securityContext"]["procMount"] = json!("Unmasked");
            },
            "",
        ),
        (
            Restricted,
            Some(35),
            |pod| {
                pod["spec"]["hostUsers"] = json!(false);
                pod["spec"]["containers"][0]["securityContext"]["procMount"] = json!("Unmasked");
            },
            "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")",
        ),
        (
            Baseline,
            None,
            |pod| pod["spec"]["securityContext"]["seLinuxOptions"] = json!({"type": "spc_t", "user": "u"}),
            "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"spc_t\"; user may not be set)",
        ),
        (
            Baseline,
            Some(30),
            |pod| pod["spec"]["securityContext"]["seLinuxOptions"] = json!({"type": "container_engine_t"}),
            "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"container_engine_t\")",
        ),
        (
            Baseline,
            Some(31),
            |pod| pod["spec"]["securityContext"]["seLinuxOptions"] = json!({"type": "container_engine_t"}),
            "",
        ),
        (
            Baseline,
            None,
            |pod| {
                pod["spec"]["containers"][0]["securityContext"]["seccompProfile"] =
                    json!({"type": "Unconfined"})
            },
            "seccompProfile (container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
        (
            Baseline,
            Some(18),
            |pod| {
                pod["metadata"]["annotations"] = json!({"seccomp.security.alpha.kubernetes.io/pod": "unconfined",
                    "container.seccomp.security.alpha.kubernetes.io/other": "unconfined"})
            },
            "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")",
        ),
        (
            Baseline,
            Some(28),
            |pod| {
                pod["spec"]["securityContext"]["sysctls"] = json!([{"name": "net.ipv4.tcp_fin_timeout"},
                    {"name": "net.ipv4.ip_local_reserved_ports"}])
            },
            "forbidden sysctls (net.ipv4.tcp_fin_timeout)",
        ),
        (
            Baseline,
            None,
            |pod| pod["spec"]["securityContext"]["windowsOptions"] = json!({"hostProcess": true}),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
        (
            Baseline,
            None,
            |pod| {
                pod["spec"]["securityContext"]["appArmorProfile"] = json!({"type": "Unconfined"});
                pod["metadata"]["annotations"] =
                    json!({"container.apparmor.security.beta.kubernetes.io/a": "unconfined"});
            },
            "forbidden AppArmor profiles (pod and annotation must not set AppArmor profile type to \"Unconfined\", \
             \"container.apparmor.security.beta.kubernetes.io/a=\"unconfined\"\")",
        ),
        (
            Restricted,
            None,
            |pod| pod["spec"]["containers"][0]["securityContext"]["runAsUser"] = json!(0),
            "runAsUser=0 (container \"a\" must not set runAsUser=0)",
        ),
        (
            Restricted,
            None,
            |pod| pod["spec"]["securityContext"]["runAsNonRoot"] = json!(false),
            "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)",
        ),
        (
            Restricted,
            Some(24),
            |pod| {
                pod["spec"]["os"] = json!({"name": "windows"});
                pod["spec"]["containers"][0]["securityContext"] = json!({});
            },
            "allowPrivilegeEscalation != false (container \"a\" must set \
             securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"a\" must set \
             securityContext.capabilities.drop=[\"ALL\"])",
        ),
        (
            Restricted,
            Some(25),
            |pod| {
                pod["spec"]["os"] = json!({"name": "windows"});
                pod["spec"]["containers"][0]["securityContext"] = json!({});
            },
            "",
        ),
    ];
    for (level, minor, change, expected) in cases {
        let pod = hardened(change);
        assert_eq!(told(&evaluate(at(*level, *minor), &pod)), *expected, "{level:?} {minor:?} {pod}");
    }
}

#[test]
fn labels_say_what_is_asked_for() {
    let read = |labels: &[(&str, &str)]| {
        let labels: Vec<(String, &str)> =
            labels.iter().map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), *value)).collect();
        let find = |key: &str| labels.iter().find(|(known, _)| known == key).map(|(_, value)| *value);
        let (policy, causes) = policy_of(find);
        let shown = format!("{} {} {}", policy.enforce, policy.audit, policy.warn);
        (shown, causes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    for (labels, policy, causes) in [
        (&[][..], "privileged:latest privileged:latest privileged:latest", ""),
        // Who enforces warns too.
        (
            &[("enforce", "baseline"), ("enforce-version", "v1.24")],
            "baseline:v1.24 privileged:latest baseline:v1.24",
            "",
        ),
        (
            &[("enforce", "restricted"), ("warn", "privileged"), ("audit", "baseline")],
            "restricted:latest baseline:latest privileged:latest",
            "",
        ),
        (
            &[("enforce", "x"), ("warn", "y"), ("audit-version", "v1.01")],
            "restricted:latest privileged:latest privileged:latest",
            "metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"x\": must be one of privileged, \
             baseline, restricted\n\
             metadata.labels[pod-security.kubernetes.io/audit-version]: Invalid value: \"v1.01\": must be \"latest\" or \
             \"v1.x\"\n\
             metadata.labels[pod-security.kubernetes.io/warn]: Invalid value: \"y\": must be one of privileged, \
             baseline, restricted",
        ),
    ] {
        assert_eq!(read(labels), (policy.to_owned(), causes.to_owned()), "{labels:?}");
    }
}

#[test]
fn only_other_containers_and_images_are_looked_at_again() {
    let old = hardened(|pod| pod["spec"]["ephemeralContainers"] = json!([{"name": "e", "image": "i"}]));
    let changed = |change: fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new);
        is_significant(&new, &old)
    };
    assert!(!changed(|pod| pod["metadata"]["labels"] = json!({"a": "b"})));
    assert!(!changed(|pod| pod["spec"]["ephemeralContainers"] = json!([])));
    assert!(changed(|pod| pod["spec"]["containers"][0]["image"] = json!("other")));
    assert!(changed(|pod| pod["spec"]["initContainers"] = json!([{"name": "n"}])));
    assert!(changed(|pod| pod["spec"]["ephemeralContainers"][0]["name"] = json!("f")));
}

/// A body of a few megabytes may have a hundred thousand of everything.
#[test]
fn many_faults_are_found_in_one_pass() {
    let many: Vec<String> = (0..100_000).map(|n| format!("CAP_{n:06}")).collect();
    let pod = hardened(|pod| {
        pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] = json!(many);
    });
    let found = evaluate(at(Level::Baseline, None), &pod);
    assert!(found[0].detail.contains("\"CAP_000000\", \"CAP_000001\""));
    let debuggers: Vec<Value> =
        (0..100_000).map(|n| json!({"name": format!("d{n}"), "image": "i"})).collect();
    let old = hardened(|pod| pod["spec"]["ephemeralContainers"] = json!(debuggers));
    assert!(!is_significant(&old, &old));
}
