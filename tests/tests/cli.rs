//! The command line: what it prints, and what it says when it cannot.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use redb::TableDefinition;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tests::insula::command;
use tests::{Insula, Kubectl, tools, until};

/// A process that does not outlive a test that fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended, as it should.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `insula up`, which must refuse, and returns the line that it says.
#[track_caller]
fn refused(home: &Path, arguments: &[&str]) -> String {
    let mut child = command(home)
        .arg("up")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("insula up has refused", || child.try_wait().unwrap().ok_or_else(|| "it runs".to_owned()));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("insula:")).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert_eq!(stderr.lines().last(), lines.first().copied(), "{stderr}");
    lines[0].to_owned()
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[test]
fn up_says_in_a_line_why_it_cannot_start() {
    let insula = Insula::start();
    let home = tempfile::tempdir().unwrap();
    let dir = |name: &str| home.path().join(name).display().to_string();
    let any = "--listen=127.0.0.1:0";

    let used = insula.data_dir().display().to_string();
    assert_has(&refused(home.path(), &["--data-dir", &used, any]), &[&used, "in use by another process"]);

    let port = format!("127.0.0.1:{}", insula.port());
    let said = refused(home.path(), &["--data-dir", &dir("port"), "--listen", &port]);
    assert_has(&said, &["cannot listen on", &port, "in use", "--listen"]);

    std::fs::create_dir(dir("corrupt")).unwrap();
    std::fs::write(home.path().join("corrupt/objects.redb"), "this is not a store").unwrap();
    let said = refused(home.path(), &["--data-dir", &dir("corrupt"), any]);
    assert_has(&said, &["corrupt/objects.redb", "is corrupt"]);

    std::fs::write(home.path().join("no.keys"), "# a key\nsecret\n").unwrap();
    let said = refused(home.path(), &["--data-dir", &dir("keys"), "--sealing-keys", &dir("no.keys"), any]);
    assert_has(&said, &["no.keys cannot be used", "line 2 is not 32 bytes in base64"]);

    std::fs::write(home.path().join("file"), "").unwrap();
    assert_has(
        &refused(home.path(), &["--data-dir", &dir("file"), any]),
        &["the data directory", "cannot be made"],
    );

    let said = refused(home.path(), &["--data-dir", &dir("new"), any, "--super-kubeconfig", &dir("nowhere")]);
    assert_has(&said, &["the kubeconfig", "nowhere cannot be read", "No such file"]);
    let said = refused(home.path(), &["--data-dir", &dir("new"), any, "--super-kubeconfig", &dir("file")]);
    assert_has(&said, &["the kubeconfig", "file"]);
    assert!(!Path::new(&dir("new")).exists(), "nothing is made when a flag is wrong");
}

#[test]
fn addresses_and_log_filters_that_mean_nothing_are_refused() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, parts) in [
        (["--listen", "7443"], &["--listen", "127.0.0.1:7443"][..]),
        (["--listen", "localhost:7443"], &["--listen", "127.0.0.1:7443"]),
        (["--external-address", "https://insula.example.com"], &["--external-address", "without https://"]),
        (["--external-address", "insula.example.com:0"], &["--external-address", "between 1 and 65535"]),
        (["--external-address", ""], &["--external-address"]),
        (["--data-dir", ""], &["--data-dir"]),
        (["--nodes", "5001"], &["--nodes", "1..=5000"]),
        (["--output", "xml"], &["--output", "table, json, yaml"]),
    ] {
        let output = command(home.path()).arg("up").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert_has(&text(&output), parts);
    }
    let output = command(home.path())
        .args(["up", "--listen=127.0.0.1:0"])
        .env("INSULA_LOG", "loud=x=y")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_has(&text(&output), &["INSULA_LOG \"loud=x=y\" is not a filter of logs"]);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing is made");
}

#[test]
fn tenant_commands_find_the_server_by_its_data_directory() {
    let insula = Insula::start();
    let home = tempfile::tempdir().unwrap();
    let list = || {
        let mut list = command(home.path());
        list.args(["tenant", "list", "--output=json"]);
        list
    };
    let found = list().env("INSULA_DATA_DIR", insula.data_dir()).output().unwrap();
    assert!(found.status.success(), "{found:?}");
    let nowhere = list().output().unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
    assert_has(&text(&nowhere), &["there is no admin kubeconfig .insula/kubeconfig", "insula up"]);
}

#[test]
fn a_damaged_store_and_one_of_a_newer_release_are_left_alone() {
    let mut insula = Insula::start();
    insula.tenant("acme");
    assert!(insula.interrupt().success());
    let file = insula.data_dir().join("objects.redb");
    let home = tempfile::tempdir().unwrap();
    let arguments =
        ["--data-dir", insula.data_dir().to_str().unwrap(), "--listen=127.0.0.1:0"].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 3]).unwrap();
    assert_has(&refused(home.path(), &arguments), &["objects.redb", "is corrupt"]);
    assert_eq!(std::fs::read(&file).unwrap().len(), whole.len() / 3);

    std::fs::write(&file, &whole).unwrap();
    let database = redb::Database::open(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    transaction.open_table(meta).unwrap().insert("format", 999).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert_has(&refused(home.path(), &arguments), &["objects.redb", "format 999", "use the newer release"]);
}

#[test]
fn tenants_are_made_listed_shown_and_deleted() {
    let insula = Insula::start();
    let none = insula.try_insula(&["tenant", "list"]);
    assert_has(&text(&none), &["no tenants"]);
    let made: Value =
        serde_json::from_str(&insula.insula(&["tenant", "create", "acme", "--wait", "-o", "json"])).unwrap();
    assert_eq!((&made["kind"], &made["status"]["phase"]), (&"Tenant".into(), &"Ready".into()));
    insula.insula(&["tenant", "create", "globex", "--wait"]);

    let table = insula.insula(&["tenant", "list"]);
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["NAME", "PHASE", "SUPER", "CLUSTER", "ENDPOINT", "CREATED"]);
    let row = lines.next().unwrap();
    assert_eq!(row[..4], ["acme", "Ready", "local", &insula.tenant_url("acme")], "{table}");
    assert_eq!(lines.next().unwrap()[0], "globex");

    let list: Value = serde_json::from_str(&insula.insula(&["tenant", "list", "--output", "json"])).unwrap();
    assert_eq!((list["kind"].as_str(), list["items"].as_array().unwrap().len()), (Some("TenantList"), 2));
    let yaml = insula.insula(&["tenant", "get", "acme", "--output", "yaml"]);
    assert_has(&yaml, &["kind: Tenant", "name: acme", "phase: Ready"]);
    assert_has(&insula.insula(&["tenant", "get", "acme"]), &["acme", "Ready"]);

    assert_has(&insula.insula(&["tenant", "delete", "acme", "--wait"]), &["tenant acme deleted"]);
    assert!(!insula.insula(&["tenant", "list"]).contains("acme"));
}

#[test]
fn names_that_are_words_of_yaml_stay_names() {
    let insula = Insula::start();
    insula.insula(&["tenant", "create", "off", "--wait"]);
    let yaml = insula.insula(&["tenant", "get", "off", "--output", "yaml"]);
    assert_has(&yaml, &["name: \"off\""]);
    let of_tenant = insula.scratch("off.yaml");
    std::fs::write(&of_tenant, insula.insula(&["tenant", "kubeconfig", "off"])).unwrap();
    let kubectl = Kubectl::new(&of_tenant, of_tenant.parent().unwrap());
    assert_eq!(kubectl.run(&["config", "current-context"]).trim(), "off");
    assert_has(&kubectl.run(&["get", "namespaces"]), &["default"]);
    // What was shown can be given back.
    let shown = insula.scratch("tenant.yaml");
    std::fs::write(&shown, yaml).unwrap();
    insula.host().run(&["apply", "--dry-run=server", "--filename", shown.to_str().unwrap()]);
}

#[test]
fn tenant_commands_say_in_a_line_what_is_wrong() {
    let insula = Insula::start();
    insula.tenant("acme");
    let file = insula.scratch("other.yaml");
    std::fs::write(&file, "kind: Tenant\nmetadata: {name: other}\n").unwrap();
    let bad = insula.scratch("bad.yaml");
    std::fs::write(&bad, "kind: Tenant\nspec: {wieght: 3}\n").unwrap();
    let old = insula.scratch("old.yaml");
    std::fs::write(&old, "apiVersion: tenancy.x-k8s.io/v1\nkind: Tenant\n").unwrap();
    let list = insula.scratch("list.yaml");
    std::fs::write(&list, "- kind: Tenant\n").unwrap();
    let broken = insula.scratch("broken.yaml");
    std::fs::write(&broken, "clusters: [\n\n").unwrap();
    let long = "a".repeat(41);
    for (arguments, parts) in [
        (&["get", "nobody"][..], &["tenants.tenancy.insula.dev \"nobody\" not found"][..]),
        (&["delete", "nobody"], &["tenants.tenancy.insula.dev \"nobody\" not found"]),
        (&["kubeconfig", "nobody"], &["tenants.tenancy.insula.dev \"nobody\" not found"]),
        (&["create", "acme"], &["tenants.tenancy.insula.dev \"acme\" already exists"]),
        (&["create", "Acme"], &["metadata.name: Invalid value: \"Acme\""]),
        (&["create", &long], &["metadata.name", "40"]),
        (
            &["create", "third", "-f", file.to_str().unwrap()],
            &["other.yaml is the tenant \"other\", not \"third\""],
        ),
        (&["create", "third", "-f", bad.to_str().unwrap()], &["wieght"]),
        (
            &["create", "third", "-f", old.to_str().unwrap()],
            &[
                "is not a Tenant of tenancy.insula.dev/v1alpha1: its apiVersion is \"tenancy.x-k8s.io/v1\"",
                "tenancy.insula.dev/v1alpha1",
            ],
        ),
        (&["create", "third", "-f", "/nowhere.yaml"], &["/nowhere.yaml cannot be read"]),
        (
            &["list", "--kubeconfig", "/nowhere"],
            &["there is no admin kubeconfig /nowhere", "insula up", "--kubeconfig"],
        ),
        (
            &["create", "third", "-f", list.to_str().unwrap()],
            &["list.yaml is not a Tenant: it has no fields"],
        ),
        (
            &["list", "--kubeconfig", broken.to_str().unwrap()],
            &["the admin kubeconfig", "broken.yaml cannot be read: it is not YAML"],
        ),
    ] {
        let output = insula.try_insula(&[&["tenant"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.trim_end().lines().count(), 1, "{arguments:?}: {stderr}");
        assert_has(&stderr, parts);
    }
    let usage = insula.try_insula(&["tenant", "create"]);
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
}

#[test]
fn a_server_that_is_not_there_is_said() {
    let mut insula = Insula::start();
    insula.kill();
    let output = insula.try_insula(&["tenant", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert_has(&text(&output), &["cannot be reached"]);
}

#[test]
fn a_kubeconfig_is_merged_into_the_one_that_kubectl_uses() {
    let insula = Insula::start();
    insula.tenant("acme");
    insula.tenant("globex");
    let target = insula.scratch("home/.kube/config");
    let merge = |tenant: &str| {
        let mut run = command(&insula.scratch("home"));
        run.args(["tenant", "kubeconfig", tenant, "--merge"]).env("INSULA_KUBECONFIG", insula.kubeconfig());
        let output = run.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    // The file that was there is a link, with what only its owner knows.
    std::fs::create_dir_all(insula.scratch("home/.kube")).unwrap();
    let real = insula.scratch("home/real");
    let mine =
        "{name: mine, cluster: {server: https://mine, certificate-authority: certs/ca.pem, unheard-of: 1}}";
    std::fs::write(&real, format!("preferences: {{colors: true}}\nclusters: [{mine}]\n")).unwrap();
    std::os::unix::fs::symlink(&real, &target).unwrap();
    merge("acme");
    assert!(std::fs::symlink_metadata(&target).unwrap().is_symlink());
    let written = std::fs::read_to_string(&real).unwrap();
    assert_has(&written, &["colors: true", "certificate-authority: certs/ca.pem", "unheard-of: 1"]);
    let kubectl = Kubectl::new(&target, &insula.scratch("home"));
    let context = || kubectl.run(&["config", "current-context"]).trim().to_owned();
    assert_eq!(context(), "acme");
    assert_has(&kubectl.run(&["get", "namespaces"]), &["default"]);
    merge("globex");
    assert_eq!(context(), "globex");
    for tenant in ["acme", "globex"] {
        kubectl.with(&format!("--context={tenant}")).run(&["create", "configmap", &format!("of-{tenant}")]);
        let names = insula.tenant_admin(tenant).run(&["get", "configmaps", "--output=name"]);
        assert_has(&names, &[&format!("of-{tenant}")]);
    }
    let before = std::fs::read_to_string(&target).unwrap();
    merge("globex");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), before);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&target).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_version_the_help_and_the_completions_are_printed() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = command(home.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["version"]), format!("insula {}\n", env!("CARGO_PKG_VERSION")));
    for (shell, part) in
        [("bash", "complete -F _insula"), ("zsh", "#compdef insula"), ("fish", "complete -c insula")]
    {
        assert_has(&run(&["completions", shell]), &[part, "tenant"]);
    }
    for arguments in
        [&["--help"][..], &["up", "--help"], &["tenant", "--help"], &["tenant", "create", "--help"]]
    {
        assert_has(&run(arguments), &["Usage: insula"]);
    }
    assert_has(
        &run(&["up", "--help"]),
        &["--data-dir", "--listen", "--external-address", "--nodes", "--super-kubeconfig"],
    );
}

/// What is promised for Ctrl-C.
const END: Duration = Duration::from_secs(5);

#[test]
fn ctrl_c_ends_it_while_clients_watch() {
    let mut insula = Insula::start();
    let acme = insula.tenant("acme");
    let watch = acme.start(&["get", "configmaps", "--watch"], &insula.scratch("watched"));
    until("the watch is there", || {
        if watch.printed().contains("kube-root-ca.crt") { Ok(()) } else { Err(watch.printed()) }
    });
    let pressed = Instant::now();
    let status = insula.interrupt();
    assert!(status.success(), "{status}: {}", insula.stderr());
    assert!(pressed.elapsed() < END, "it took {:?}", pressed.elapsed());
    assert!(!insula.stderr().contains("panicked"), "{}", insula.stderr());
    assert!(!insula.stderr().contains("given up"), "{}", insula.stderr());
}

#[test]
fn ctrl_c_ends_it_while_it_still_settles() {
    let mut insula = Insula::start();
    let pressed = Instant::now();
    let status = insula.interrupt();
    assert!(status.success(), "{status}: {}", insula.stderr());
    assert!(pressed.elapsed() < END, "it took {:?}", pressed.elapsed());
    assert!(!insula.stderr().contains("given up"), "{}", insula.stderr());
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let mut insula = Insula::start();
    // A request whose body does not end. So much of it cannot be in pipes: it is under way.
    let mut request =
        insula.host().command(&["create", "--raw=/api/v1/namespaces/default/configmaps", "-f", "-"]);
    let mut request = Killed(request.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut body = request.0.stdin.take().unwrap();
    body.write_all(" ".repeat(512 << 10).as_bytes()).unwrap();
    insula.press_ctrl_c();
    until("it is stopping", || {
        if insula.stderr().contains("Ctrl-C again") { Ok(()) } else { Err(insula.stderr()) }
    });
    insula.press_ctrl_c();
    let status = insula.end();
    assert_eq!(status.code(), Some(130), "{status}: {}", insula.stderr());
    drop(body);
}

#[test]
fn nodes_and_names_are_as_the_flags_say() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let port = tools::free_port();
    let stdout = home.path().join("stdout");
    let child = command(home.path())
        .args(["up", "--nodes=5", "--external-address=localhost", "--listen", &format!("127.0.0.1:{port}")])
        .args(["--data-dir", dir.to_str().unwrap()])
        .stdout(std::fs::File::create(&stdout).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let shown = until("it says what to do next", || {
        let printed = std::fs::read_to_string(&stdout).unwrap();
        if printed.contains("get namespaces") { Ok(printed) } else { Err(printed) }
    });
    assert_has(
        &shown,
        &[
            &format!("https://localhost:{port}"),
            "admin kubeconfig",
            "5 nodes are simulated",
            "insula tenant create",
        ],
    );
    // What it says is to be done next works as it is typed, from another folder too.
    let (_, steps) = shown.split_once("another terminal:").unwrap();
    let programs = [tools::insula_binary(), tools::kubectl_path()];
    let path: Vec<String> =
        programs.iter().map(|program| program.parent().unwrap().display().to_string()).collect();
    let steps = Command::new("bash")
        .args(["-euc", steps])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", path.join(":")))
        .env("HOME", home.path())
        .current_dir(home.path())
        .output()
        .unwrap();
    assert!(steps.status.success(), "{steps:?}");
    assert_has(&String::from_utf8(steps.stdout).unwrap(), &["tenant acme created", "kube-system"]);
    let kubectl = Kubectl::new(&dir.join("kubeconfig"), home.path());
    let nodes = until("the nodes are there", || {
        let nodes = kubectl.with("--context=local").look(&["get", "nodes"])?;
        if nodes["items"].as_array().unwrap().len() == 5 { Ok(nodes) } else { Err(nodes.to_string()) }
    });
    assert_eq!(nodes["items"][0]["metadata"]["labels"]["insula.dev/simulated"], "true", "{nodes:#}");
    let server =
        kubectl.run(&["config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}"]);
    assert_eq!(server, format!("https://localhost:{port}"));
    assert!(Command::new("kill").args(["-TERM", &child.0.id().to_string()]).status().unwrap().success());
    let status = until("it ends", || child.0.try_wait().unwrap().ok_or_else(|| "it runs".to_owned()));
    assert!(status.success(), "{status}");
}
