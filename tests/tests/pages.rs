//! The README and the pages of `docs/` as their readers follow them: every command that they are told to type.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tests::pages::{Block, Mark, Reader, blocks};
use tests::{Insula, Postgres, tools};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page(name: &str) -> Vec<Block> {
    blocks(&std::fs::read_to_string(root().join(name)).unwrap())
}

/// The folder of a reader: the examples of the project, the data of a server that runs, kubectl and psql.
fn folder(insula: &Insula) -> PathBuf {
    let folder = insula.scratch("project");
    for dir in ["docs/examples", "bin", "target/release"] {
        std::fs::create_dir_all(folder.join(dir)).unwrap();
    }
    copy(&root().join("docs/examples"), &folder.join("docs/examples"));
    symlink(insula.data_dir(), folder.join(".insula")).unwrap();
    symlink(tools::kubectl_path(), folder.join("bin/kubectl")).unwrap();
    symlink(tests::postgres::client(), folder.join("bin/psql")).unwrap();
    symlink(tools::insula_binary(), folder.join("target/release/insula")).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// The page of a reader who has put the address and the password of their PostgreSQL where the page tells them to.
fn filled_in(mut page: Vec<Block>, postgres: &Postgres) -> Vec<Block> {
    let mut account = None;
    for block in page.iter_mut().filter(|block| matches!(block.mark, Mark::File(_))) {
        if !block.text.contains("kind: CloudAccount") {
            continue;
        }
        for (given, ours) in [
            ("host: 127.0.0.1", format!("host: {}", postgres.host())),
            ("port: 5432", format!("port: {}", postgres.port())),
            ("username: postgres", format!("username: {}", tests::postgres::USER)),
            ("password: change-me", format!("password: {}", postgres.password())),
        ] {
            assert_eq!(block.text.matches(given).count(), 1, "line {}: {given}", block.line);
            block.text = block.text.replace(given, &ours);
        }
        account = Some(block.line);
    }
    assert!(account.is_some(), "the page has an account in a file");
    page
}

#[test]
fn the_story_of_the_readme() {
    let postgres = Postgres::start();
    let insula = Insula::start();
    let page = filled_in(page("README.md"), &postgres);
    let run = Reader::new(&folder(&insula)).follow("README.md", &page);
    assert!(run >= 8, "the story has more than {run} blocks");
    nothing_is_left(&insula, &postgres);
}

/// The story ends with its tenants deleted, and with them everything elsewhere.
fn nothing_is_left(insula: &Insula, postgres: &Postgres) {
    assert_eq!(insula.host().run(&["get", "tenants", "--output=name"]), "");
    assert_eq!(insula.super_cluster().run(&["get", "pods", "--all-namespaces", "--output=name"]), "");
    let made = "select count(*) from pg_database where datname like 'insula%'";
    assert_eq!(postgres.query("postgres", made), "0");
}

#[test]
fn the_account_in_the_readme_is_the_example() {
    let blocks = page("README.md");
    let shown = blocks.iter().find(|block| block.text.contains("kind: CloudAccount")).unwrap();
    let example = std::fs::read_to_string(root().join("docs/examples/story/cloud-account.yaml")).unwrap();
    let (comment, rest) = example.split_once('\n').unwrap();
    assert!(comment.starts_with('#'), "{comment}");
    assert_eq!(shown.text, rest);
}

/// Pages that need more than a server, with what they need.
const NEEDS: &[(&str, Needs)] = &[
    ("admission.md", Needs::Tenant),
    ("aggregation.md", Needs::Tenant),
    ("api-compatibility.md", Needs::Tenant),
    ("applications.md", Needs::Tenant),
    ("autoscaling.md", Needs::Tenant),
    ("databases.md", Needs::Postgres),
    ("dns.md", Needs::Dns),
    ("quota.md", Needs::Tenant),
    ("simulation.md", Needs::Tenant),
    ("super-clusters.md", Needs::Tenant),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// The tenant acme and its kubeconfig, as the README makes them.
    Tenant,
    /// The same, and a PostgreSQL server.
    Postgres,
    /// The same as the first, and DNS for pods, at a port that is free in place of the page's.
    Dns,
}

#[test]
fn the_pages_of_docs() {
    let mut pages: Vec<String> = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .collect();
    pages.sort();
    for (name, _) in NEEDS {
        assert!(pages.iter().any(|page| page == name), "{name} is not there any more");
    }
    for name in pages {
        follow(&name);
    }
}

fn follow(name: &str) {
    let path = format!("docs/{name}");
    let mut page = page(&path);
    if page.iter().all(|block| block.language != "sh") {
        return;
    }
    let needs = NEEDS.iter().find(|(page, _)| *page == name).map(|(_, needs)| *needs);
    let insula = match needs {
        Some(Needs::Dns) => {
            let listen = format!("127.0.0.1:{}", tools::free_port());
            page.iter_mut().for_each(|block| {
                block.text = block.text.replace("-p 5353", &listen.replace("127.0.0.1:", "-p "))
            });
            Insula::start_with(&["--dns-listen", &listen, "--dns-upstream", "192.0.2.53"], &[])
        }
        _ => Insula::start(),
    };
    let folder = folder(&insula);
    symlink(tools::insula_binary(), folder.join("bin/insula")).unwrap();
    let postgres = (needs == Some(Needs::Postgres)).then(Postgres::start);
    if let Some(postgres) = &postgres {
        page = filled_in(page, postgres);
    }
    if needs.is_some() {
        let tenant = folder.join("docs/examples/story/tenant.yaml");
        insula.insula(&["tenant", "create", "acme", "-f", tenant.to_str().unwrap(), "--wait"]);
        let kubeconfig = insula.insula(&["tenant", "kubeconfig", "acme"]);
        std::fs::write(folder.join("acme.kubeconfig"), kubeconfig).unwrap();
    }
    let kubeconfig = insula.kubeconfig().display().to_string();
    let run = Reader::new(&folder).with("KUBECONFIG", &kubeconfig).follow(&path, &page);
    let reasons = page.iter().filter(|block| matches!(block.mark, Mark::NotRun(_))).count();
    assert!(run + reasons > 0, "{path}: nothing is run");
}
