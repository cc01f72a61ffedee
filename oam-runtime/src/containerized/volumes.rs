//! Volumes of a pod: directories that containers ask for, and config files.

use super::container::quantity;
use crate::names::{digest, fit};
use api_types::oam::{OamConfigFile, OamContainer, OamVolume};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The name of a workload's ConfigMap.
pub(super) fn config_name(workload: &str) -> String {
    fit(&format!("{workload}-config"), 253)
}

/// The volumes of a pod while its containers are translated.
pub(super) struct PodVolumes {
    config_map: String,
    /// By name.
    volumes: BTreeMap<String, Value>,
    /// Content of the ConfigMap.
    files: BTreeMap<String, String>,
    /// Secrets that config files come from, and the keys of each.
    secrets: BTreeMap<String, BTreeSet<String>>,
}

impl PodVolumes {
    pub fn new(workload: &str) -> Self {
        PodVolumes {
            config_map: config_name(workload),
            volumes: BTreeMap::new(),
            files: BTreeMap::new(),
            secrets: BTreeMap::new(),
        }
    }

    /// The mounts of a container; its volumes and files are noted.
    pub fn mounts(&mut self, field: &str, container: &OamContainer, faults: &mut Vec<String>) -> Vec<Value> {
        let mut mounts = Vec::new();
        let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
        let volumes = container.resources.as_ref().map(|r| r.volumes.as_slice()).unwrap_or_default();
        for (position, volume) in volumes.iter().enumerate() {
            let field = format!("{field}.resources.volumes[{position}]");
            if volume.name.is_empty() || !names.insert(volume.name.as_str()) {
                faults.push(format!("{field}.name: a name of its own is required"));
            }
            let path = volume.mount_path.trim_end_matches('/');
            if !path.starts_with('/') || !paths.insert(path.to_owned()) {
                faults.push(format!("{field}.mountPath: an absolute path of its own is required"));
            }
            mounts.push(self.volume(&field, &container.name, volume, faults));
        }
        for (position, file) in container.config.iter().enumerate() {
            let field = format!("{field}.config[{position}]");
            let name = file.path.rsplit('/').next().unwrap_or("");
            if !file.path.starts_with('/') || name.is_empty() || !paths.insert(file.path.clone()) {
                faults.push(format!("{field}.path: the absolute path of a file of its own is required"));
            }
            mounts.extend(self.file(&field, &container.name, file, faults));
        }
        mounts
    }

    fn volume(
        &mut self,
        field: &str,
        container: &str,
        volume: &OamVolume,
        faults: &mut Vec<String>,
    ) -> Value {
        let shared = match volume.sharing_policy.as_deref() {
            None | Some("Exclusive") => false,
            Some("Shared") => true,
            Some(other) => {
                faults.push(format!("{field}.sharingPolicy: {other:?} is not \"Exclusive\" or \"Shared\""));
                false
            }
        };
        let read_only = match volume.access_mode.as_deref() {
            None | Some("RW") => false,
            Some("RO") => true,
            Some(other) => {
                faults.push(format!("{field}.accessMode: {other:?} is not \"RO\" or \"RW\""));
                false
            }
        };
        let mut directory = json!({});
        if let Some(disk) = &volume.disk {
            if disk.ephemeral != Some(true) {
                faults.push(format!(
                    "{field}.disk: a disk that outlives the pod is not implemented; set ephemeral: true, or use a \
                     StatefulSet with volumeClaimTemplates"
                ));
            }
            directory["sizeLimit"] = quantity(&format!("{field}.disk.required"), &disk.required, faults);
        }
        // Names may have dashes, so joining them alone would not keep ("a-b", "c") and ("a", "b-c") apart.
        let name = if shared {
            format!("shared-{}", volume.name)
        } else {
            format!("own-{}-{}", digest(&[container, &volume.name], 8), volume.name)
        };
        let key = fit(&name, 63);
        let body = json!({"name": key, "emptyDir": directory});
        let known = self.volumes.entry(key.clone()).or_insert_with(|| body.clone());
        if *known != body {
            faults.push(format!(
                "{field}.disk: differs from that of the other container that shares {:?}",
                volume.name
            ));
        }
        let mut mount = json!({"name": key, "mountPath": volume.mount_path});
        if read_only {
            mount["readOnly"] = true.into();
        }
        mount
    }

    fn file(
        &mut self,
        field: &str,
        container: &str,
        file: &OamConfigFile,
        faults: &mut Vec<String>,
    ) -> Option<Value> {
        match (&file.value, &file.from_secret) {
            (Some(value), None) => {
                let key = digest(&[container, &file.path], 16);
                self.files.insert(key.clone(), value.clone());
                Some(json!({"name": "config", "mountPath": file.path, "subPath": key, "readOnly": true}))
            }
            (None, Some(secret)) if !secret.name.is_empty() && !secret.key.is_empty() => {
                self.secrets.entry(secret.name.clone()).or_default().insert(secret.key.clone());
                Some(
                    json!({"name": secret_volume(&secret.name), "mountPath": file.path, "subPath": secret.key,
                    "readOnly": true}),
                )
            }
            _ => {
                faults
                    .push(format!("{field}: exactly one of value and fromSecret (name and key) is required"));
                None
            }
        }
    }

    /// The pod's volumes, and the content of the ConfigMap.
    pub fn finish(self) -> (Vec<Value>, BTreeMap<String, String>) {
        let mut volumes: Vec<Value> = self.volumes.into_values().collect();
        if !self.files.is_empty() {
            volumes.push(json!({"name": "config", "configMap": {"name": self.config_map}}));
        }
        for (secret, keys) in self.secrets {
            let items: Vec<Value> = keys.into_iter().map(|key| json!({"key": key, "path": key})).collect();
            volumes.push(
                json!({"name": secret_volume(&secret), "secret": {"secretName": secret, "items": items}}),
            );
        }
        (volumes, self.files)
    }
}

fn secret_volume(secret: &str) -> String {
    // A label has no dots; the digest keeps "a.b" and "a-b" apart.
    let plain = secret.replace('.', "-");
    if plain == secret {
        fit(&format!("secret-{secret}"), 63)
    } else {
        format!("{}-{}", fit(&format!("secret-{plain}"), 52), digest(&[secret], 10))
    }
}
