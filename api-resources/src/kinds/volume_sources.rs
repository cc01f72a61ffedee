//! The sources that volumes of pods and persistent volumes share: which fields each needs, and that there is only one.
//!
//! The plugins of many were removed from Kubernetes; their rules are still those of its API.

use super::place::{Causes, Place, invalid_all, one_of, require, require_with};
use crate::names;
use api_types::Cause;
use serde_json::Value;

const MORE_THAN_ONE: &str = "may not specify more than 1 volume type";

/// The rules of a source.
pub(super) type Rule = fn(&mut Causes, &Place<'_>);

/// The field of a source and its rules.
pub(super) type Source = (&'static str, Rule);

/// Where Kubernetes reports a source under another name: its field, as one too many, as the place of its rules.
const NAMES: &[(&str, &str, &str)] = &[
    ("gcePersistentDisk", "gcePersistentDisk", "persistentDisk"),
    ("cephfs", "cephFS", "cephfs"),
    ("downwardAPI", "downwarAPI", "downwardAPI"),
];

/// Sources that only need some fields to be there.
const NEEDS: &[(&str, &[&str])] = &[
    ("cephfs", &["monitors"]),
    ("glusterfs", &["endpoints", "path"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("rbd", &["monitors", "image"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("vsphereVolume", &["volumePath"]),
];

/// Sees to it that a volume has one source, in the order of `sources`, and applies its rules. A source in
/// `uncounted` is no second one. Gives the field of the first.
pub(super) fn only_one(
    out: &mut Causes,
    at: &Place<'_>,
    sources: &[Source],
    uncounted: &str,
) -> Option<&'static str> {
    let mut found = None;
    for (field, rule) in sources {
        let Some(source) = at.present(field) else { continue };
        let (twice, own) =
            NAMES.iter().find(|(name, ..)| name == field).map_or((*field, *field), |row| (row.1, row.2));
        if found.is_some() && *field != uncounted {
            out.push(Cause::forbidden(at.of(twice), MORE_THAN_ONE));
            continue;
        }
        found = found.or(Some(*field));
        let source = Place::new(at.of(own), source.value);
        for needed in NEEDS.iter().filter(|(name, _)| name == field).flat_map(|(_, fields)| *fields) {
            require(out, &source, needed);
        }
        rule(out, &source);
    }
    if found.is_none() {
        out.push(Cause::required(&at.path, "must specify a volume type"));
    }
    found
}

/// A source without rules beside those of the table above.
pub(super) fn plain(_: &mut Causes, _: &Place<'_>) {}

/// A disk of a cloud: by name or id, perhaps one of its partitions.
fn disk(out: &mut Causes, at: &Place<'_>, id: &str) {
    require(out, at, id);
    if let Some(partition) = at.int("partition").filter(|p| !(0..=255).contains(p)) {
        let message = names::range_message(1, 255);
        out.push(Cause::invalid(at.of("partition"), &Value::from(partition), &message));
    }
}

pub(super) fn gce(out: &mut Causes, at: &Place<'_>) {
    disk(out, at, "pdName");
}

pub(super) fn aws(out: &mut Causes, at: &Place<'_>) {
    disk(out, at, "volumeID");
}

/// A path on the node and the kind of file there.
pub(super) fn host_path(out: &mut Causes, at: &Place<'_>) {
    if !require(out, at, "path") {
        return;
    }
    super::pods_volumes::no_backsteps(out, &at.of("path"), at.text("path"));
    let types =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    one_of(out, at, "type", &types);
}

/// A server and a path there.
pub(super) fn nfs(out: &mut Causes, at: &Place<'_>) {
    require(out, at, "server");
    require(out, at, "path");
    if !at.text("path").starts_with('/') {
        out.push(Cause::invalid(at.of("path"), &Value::from(at.text("path")), "must be an absolute path"));
    }
}

/// A disk over iSCSI in a pod, where a name of an unknown kind is told which kinds there are.
pub(super) fn iscsi(out: &mut Causes, at: &Place<'_>) {
    iscsi_with(out, at, "must be valid format starting with iqn, eui, or naa");
}

/// The same in a persistent volume.
pub(super) fn iscsi_persistent(out: &mut Causes, at: &Place<'_>) {
    iscsi_with(out, at, "must be valid format");
    secret_name(out, at, false);
}

fn iscsi_with(out: &mut Causes, at: &Place<'_>, unknown: &str) {
    require(out, at, "targetPortal");
    let name = |out: &mut Causes, field: &str, shown: &str| {
        let name = at.text(field);
        let wrong = match name.get(..3) {
            Some("iqn" | "eui" | "naa") if is_iscsi_name(name) => return,
            Some("iqn" | "eui" | "naa") => "must be valid format",
            _ => unknown,
        };
        out.push(Cause::invalid(at.of(shown), &Value::from(name), wrong));
    };
    if require(out, at, "iqn") {
        name(out, "iqn", "iqn");
    }
    let lun = at.int("lun").unwrap_or(0);
    lun_in_range(out, at, lun);
    if (at.flag("chapAuthDiscovery") || at.flag("chapAuthSession")) && !at.has("secretRef") {
        out.push(Cause::required(at.of("secretRef"), ""));
    }
    if at.has("initiatorName") {
        name(out, "initiatorName", "initiatorname");
    }
}

/// What a volume with an initiator is told whose name and portal make too long a name together.
pub(super) fn iscsi_name_too_long(iscsi: &Place<'_>, volume: &str) -> Option<&'static str> {
    let length = volume.len() + 1 + iscsi.text("targetPortal").len();
    (iscsi.has("initiatorName") && length > 64).then_some(
        "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.",
    )
}

/// `iqn.YYYY-MM.domain:rest`, `eui.` and 16 characters, or `naa.` and 32 (RFC 3720, RFC 3980).
fn is_iscsi_name(name: &str) -> bool {
    let Some((kind, rest)) = name.split_at_checked(4) else { return false };
    let id = |length: usize| rest.len() == length && rest.bytes().all(|b| b.is_ascii_alphanumeric());
    match kind {
        "iqn." => is_dated_name(rest),
        _ if kind.starts_with("eui") => id(16),
        _ if kind.starts_with("naa") => id(32),
        _ => false,
    }
}

fn is_dated_name(text: &str) -> bool {
    let Some((name, rest)) = text.split_once(':') else { return false };
    let digits = |part: Option<&str>, count: usize| {
        part.is_some_and(|p| p.len() == count && p.bytes().all(|b| b.is_ascii_digit()))
    };
    let domain = name.get(8..).unwrap_or("");
    digits(name.get(..4), 4)
        && name.get(4..5) == Some("-")
        && digits(name.get(5..7), 2)
        && name.get(7..8) == Some(".")
        && !domain.is_empty()
        && domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        && !rest.is_empty()
        && !rest.contains(|c: char| c.is_whitespace() || ",;*&$|".contains(c))
}

fn lun_in_range(out: &mut Causes, at: &Place<'_>, lun: i64) {
    for message in names::in_range(lun, 0, 255) {
        out.push(Cause::invalid(at.of("lun"), &Value::from(lun), &message));
    }
}

/// Fibre channel.
pub(super) fn fc(out: &mut Causes, at: &Place<'_>) {
    match (at.lacks("targetWWNs"), at.lacks("wwids")) {
        (true, true) => out.push(Cause::required(
            at.of("targetWWNs"),
            "must specify either targetWWNs or wwids, but not both",
        )),
        (false, false) => out.push(Cause::invalid(
            at.of("targetWWNs"),
            at.field("targetWWNs").value,
            "targetWWNs and wwids can not be specified simultaneously",
        )),
        _ => {}
    }
    if !at.lacks("targetWWNs") {
        match at.int("lun") {
            None => out.push(Cause::required(at.of("lun"), "lun is required if targetWWNs is specified")),
            Some(lun) => lun_in_range(out, at, lun),
        }
    }
}

pub(super) fn flocker(out: &mut Causes, at: &Place<'_>) {
    match (at.lacks("datasetName"), at.lacks("datasetUUID")) {
        (true, true) => {
            out.push(Cause::required(&at.path, "one of datasetName and datasetUUID is required"));
        }
        (false, false) => out.push(Cause::invalid(
            &at.path,
            &Value::from("resource"),
            "datasetName and datasetUUID can not be specified simultaneously",
        )),
        _ => {}
    }
    if at.text("datasetName").contains('/') {
        let name = at.field("datasetName");
        out.push(Cause::invalid(name.path, name.value, "must not contain '/'"));
    }
}

pub(super) fn quobyte(out: &mut Causes, at: &Place<'_>) {
    let message = "must be a host:port pair or multiple pairs separated by commas";
    let registry = at.text("registry");
    if !require_with(out, at, "registry", message) {
    } else if at.text("tenant").len() > 64 {
        out.push(Cause::required(
            at.of("tenant"),
            "must be a UUID and may not exceed a length of 64 characters",
        ));
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_and_port(pair)) {
            out.push(Cause::invalid(at.of("registry"), &Value::from(registry), message));
        }
    }
    require(out, at, "volume");
}

/// `host:port`, with brackets around a host that has colons itself.
fn is_host_and_port(text: &str) -> bool {
    let plain = |part: &str| !part.contains(['[', ']']);
    match (text.strip_prefix('['), text.rsplit_once(':')) {
        (Some(rest), Some(_)) => rest.split_once(']').is_some_and(|(host, port)| {
            plain(host) && port.strip_prefix(':').is_some_and(|p| plain(p) && !p.contains(':'))
        }),
        (None, Some((host, port))) => plain(host) && plain(port) && !host.contains(':'),
        _ => false,
    }
}

pub(super) fn cinder(out: &mut Causes, at: &Place<'_>) {
    require(out, at, "volumeID");
    secret_name(out, at, false);
}

pub(super) fn cinder_persistent(out: &mut Causes, at: &Place<'_>) {
    require(out, at, "volumeID");
    secret_name(out, at, true);
}

fn secret_name(out: &mut Causes, at: &Place<'_>, and_namespace: bool) {
    if let Some(secret) = at.present("secretRef") {
        require(out, &secret, "name");
        if and_namespace {
            require(out, &secret, "namespace");
        }
    }
}

pub(super) fn flex(out: &mut Causes, at: &Place<'_>) {
    require(out, at, "driver");
    for (option, _) in at.map("options") {
        let namespace = option.split_once('/').map_or(option.as_str(), |(namespace, _)| namespace);
        let dotted = format!(".{}", namespace.to_lowercase());
        if dotted.ends_with(".kubernetes.io") || dotted.ends_with(".k8s.io") {
            let message = "kubernetes.io and k8s.io namespaces are reserved";
            out.push(Cause::invalid(
                at.field("options").key(option).path,
                &Value::from(option.as_str()),
                message,
            ));
        }
    }
}

pub(super) fn azure_file(out: &mut Causes, at: &Place<'_>) {
    require(out, at, "secretName");
    require(out, at, "shareName");
    if at.has("secretNamespace") {
        require(out, at, "secretNamespace");
    }
}

pub(super) fn azure_disk(out: &mut Causes, at: &Place<'_>) {
    require(out, at, "diskName");
    require(out, at, "diskURI");
    one_of(out, at, "cachingMode", &["None", "ReadOnly", "ReadWrite"]);
    one_of(out, at, "kind", &["Dedicated", "Managed", "Shared"]);
    if !at.has("kind") {
        return;
    }
    let (start, form) = if at.text("kind") == "Managed" {
        (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        )
    } else {
        ("https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd")
    };
    let address = at.text("diskURI");
    if !address.starts_with(start) {
        out.push(Cause::not_supported(at.of("diskURI"), &Value::from(address), &[form]));
    }
}

pub(super) fn storage_os(out: &mut Causes, at: &Place<'_>) {
    storage_os_with(out, at, false);
}

pub(super) fn storage_os_persistent(out: &mut Causes, at: &Place<'_>) {
    storage_os_with(out, at, true);
}

fn storage_os_with(out: &mut Causes, at: &Place<'_>, persistent: bool) {
    if require(out, at, "volumeName") {
        invalid_all(
            out,
            &at.of("volumeName"),
            at.text("volumeName"),
            names::dns_label(at.text("volumeName")),
        );
    }
    let namespace = at.text("volumeNamespace");
    if !namespace.is_empty() {
        invalid_all(out, &at.of("volumeNamespace"), namespace, names::dns_label(namespace));
    }
    secret_name(out, at, persistent);
}

/// A path on one node, of a persistent volume.
pub(super) fn local(out: &mut Causes, at: &Place<'_>) {
    if require(out, at, "path") {
        super::pods_volumes::no_backsteps(out, &at.of("path"), at.text("path"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Source, its value, what is wrong with it.
    #[test]
    fn sources_say_what_they_need() {
        let sources: &[Source] = &[
            ("gcePersistentDisk", gce),
            ("iscsi", iscsi),
            ("flocker", flocker),
            ("rbd", plain),
            ("cephfs", plain),
            ("quobyte", quobyte),
            ("fc", fc),
            ("flexVolume", flex),
            ("azureDisk", azure_disk),
            ("storageos", storage_os),
        ];
        let table = [
            (json!({}), vec!["v: Required value: must specify a volume type"]),
            (json!({"gcePersistentDisk": {}}), vec!["v.persistentDisk.pdName: Required value"]),
            (
                json!({"rbd": {"monitors": ["m"], "image": "i"}, "cephfs": {}}),
                vec!["v.cephFS: Forbidden: may not specify more than 1 volume type"],
            ),
            (
                json!({"iscsi": {"targetPortal": "p", "iqn": "iqn.2001-04.com.example", "lun": 256}}),
                vec![
                    "v.iscsi.iqn: Invalid value: \"iqn.2001-04.com.example\": must be valid format",
                    "v.iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
                ],
            ),
            (
                json!({"iscsi": {"targetPortal": "p", "iqn": "eui.0123456789abcdef", "initiatorName": "x"}}),
                vec![
                    "v.iscsi.initiatorname: Invalid value: \"x\": must be valid format starting with iqn, eui, or naa",
                ],
            ),
            (
                json!({"flocker": {}}),
                vec!["v.flocker: Required value: one of datasetName and datasetUUID is required"],
            ),
            (
                json!({"quobyte": {"registry": "a:1,b", "volume": "v"}}),
                vec![
                    "v.quobyte.registry: Invalid value: \"a:1,b\": must be a host:port pair or multiple pairs separated by commas",
                ],
            ),
            (
                json!({"fc": {"targetWWNs": ["w"]}}),
                vec!["v.fc.lun: Required value: lun is required if targetWWNs is specified"],
            ),
            (
                json!({"flexVolume": {"driver": "d", "options": {"x.k8s.io/a": "b"}}}),
                vec![
                    "v.flexVolume.options[x.k8s.io/a]: Invalid value: \"x.k8s.io/a\": kubernetes.io and k8s.io namespaces are reserved",
                ],
            ),
            (
                json!({"azureDisk": {"diskName": "d", "diskURI": "/x", "kind": "Managed"}}),
                vec![
                    "v.azureDisk.diskURI: Unsupported value: \"/x\": supported values: \"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}\"",
                ],
            ),
            (
                json!({"storageos": {"secretRef": {}}}),
                vec!["v.storageos.volumeName: Required value", "v.storageos.secretRef.name: Required value"],
            ),
        ];
        for (volume, expected) in table {
            let mut out = Vec::new();
            only_one(&mut out, &Place::new("v", &volume), sources, "");
            assert_eq!(out.iter().map(Cause::to_string).collect::<Vec<_>>(), expected, "{volume}");
        }
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, good) in [
            ("a:1", true),
            ("a:", true),
            ("[::1]:80", true),
            ("a", false),
            ("::1:80", false),
            ("[::1]", false),
            ("[a]b:1", false),
        ] {
            assert_eq!(is_host_and_port(text), good, "{text}");
        }
    }
}
