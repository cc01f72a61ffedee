//! The extension servers of a plane, read from its APIServices when one of them changes.

use super::idle::Idle;
use super::openapi::OpenApi;
use crate::dialer::services::ServicePort;
use crate::planes::Plane;
use crate::request_info::RequestInfo;
use crate::server::Server;
use api_resources::aggregation::{API_SERVICES, AUTOMANAGED, is_remote};
use api_resources::discovery::Foreign;
use api_types::aggregation::CONTINUOUSLY;
use api_types::{GroupVersion, ObjectName};
use arc_swap::ArcSwapOption;
use base64::Engine;
use compact_str::CompactString;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The most extension servers of one plane.
pub const MAX_EXTENSIONS: usize = 100;

/// What was read last.
pub type ExtensionsCell = ArcSwapOption<Extensions>;

/// The extension servers of a plane.
pub struct Extensions {
    version: u64,
    all: Vec<Arc<Extension>>,
}

/// Who answers for one group and version.
pub struct Extension {
    /// The name of its APIService.
    pub name: ObjectName,
    /// The group and the version.
    pub of: GroupVersion,
    /// Where it is.
    pub service: ServicePort,
    /// The certificates to believe, PEM; empty: those that the system trusts.
    pub ca_bundle: Vec<u8>,
    /// Whoever answers is believed.
    pub is_insecure: bool,
    /// `groupPriorityMinimum` and `versionPriority`.
    pub priorities: (i64, i64),
    /// Requests are sent to it: its condition `Available`.
    pub is_available: bool,
    /// What is known of it for as long as its `spec` is the same.
    pub known: Arc<Known>,
    spec: Value,
}

/// What has been learnt of an extension server.
#[derive(Default)]
pub struct Known {
    /// `resources` of its `APIResourceList`, JSON.
    discovered: Mutex<Arc<Vec<u8>>>,
    answers: AtomicBool,
    openapi: Mutex<OpenApi>,
    /// Connections to it that wait.
    pub(super) idle: Idle,
    /// How to speak to it, and as whom.
    pub(super) peer: super::call::PeerCell,
}

impl Known {
    /// It answered with these resources.
    pub fn set(&self, resources: Vec<u8>) {
        *self.discovered.lock() = Arc::new(resources);
        self.answers.store(true, Ordering::Relaxed);
    }

    /// It did not answer; what it said last stays.
    pub fn set_stale(&self) {
        self.answers.store(false, Ordering::Relaxed);
    }

    /// What OpenAPI is known of it.
    pub fn openapi(&self) -> OpenApi {
        self.openapi.lock().clone()
    }

    /// Keeps what OpenAPI is known of it.
    pub fn set_openapi(&self, openapi: OpenApi) {
        *self.openapi.lock() = openapi;
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.discovered.lock().len()
    }
}

/// The extension servers of a plane; `None`: it has none.
pub fn of(server: &Server, plane: &Plane) -> Option<Arc<Extensions>> {
    let collection = server.cache.existing(plane.id, &API_SERVICES).filter(|c| !c.is_empty());
    let Some(collection) = collection else {
        // Nothing is kept for a plane that has none any more.
        if plane.extensions.load().is_some() {
            plane.extensions.store(None);
        }
        return None;
    };
    let version = collection.version();
    let before = plane.extensions.load_full();
    if let Some(extensions) = before.as_ref().filter(|extensions| extensions.version == version) {
        return (!extensions.all.is_empty()).then(|| extensions.clone());
    }
    let kept = before.as_ref().map(|extensions| extensions.all.as_slice()).unwrap_or_default();
    let records = collection.list("");
    let remote = records
        .iter()
        // Those that the server keeps by itself are most, and its own.
        .filter(|record| !record.shared && record.meta.label(AUTOMANAGED) != Some(CONTINUOUSLY))
        .filter_map(|record| record.value().ok())
        .filter(|object| {
            is_remote(object) && !is_ours(plane, object["spec"]["group"].as_str().unwrap_or(""))
        });
    let all: Vec<Arc<Extension>> =
        remote.take(MAX_EXTENSIONS).map(|object| Arc::new(Extension::read(&object, kept))).collect();
    let extensions = Arc::new(Extensions { version, all });
    plane.extensions.store(Some(extensions.clone()));
    (!extensions.all.is_empty()).then_some(extensions)
}

/// True for the groups that this server answers for by itself, whatever an APIService says.
pub fn is_ours(plane: &Plane, group: &str) -> bool {
    plane.catalog.load().base_has_group(group) || crate::crds::is_reserved(group)
}

/// Who answers a request instead of this server.
pub fn find(server: &Server, plane: &Plane, info: &RequestInfo) -> Option<Arc<Extension>> {
    let (group, version) = match info {
        // Nobody else answers for the core group, which most requests are for.
        RequestInfo::Resource(request) if request.group.is_empty() => return None,
        RequestInfo::Resource(request) => (request.group.as_str(), request.version.as_str()),
        RequestInfo::Path { path, .. } => {
            // What describes it is where it is itself, below the path of OpenAPI.
            let path = path.strip_prefix("/openapi/v3").unwrap_or(path);
            let mut segments = path.trim_matches('/').split('/');
            match (segments.next(), segments.next(), segments.next(), segments.next()) {
                (Some("apis"), Some(group), Some(version), None) => (group, version),
                _ => return None,
            }
        }
    };
    let extensions = of(server, plane)?;
    extensions.all.iter().find(|one| one.of.group == group && one.of.version == version).cloned()
}

/// What the plane's extension servers serve, for discovery.
pub fn foreign(server: &Server, plane: &Plane) -> Vec<Foreign> {
    let Some(extensions) = of(server, plane) else { return Vec::new() };
    extensions.all.iter().map(|one| one.discovered()).collect()
}

impl Extensions {
    /// The one of an APIService.
    pub fn named(&self, name: &str) -> Option<&Arc<Extension>> {
        self.all.iter().find(|one| one.name.name == name)
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<Extension>] {
        &self.all
    }
}

impl Extension {
    fn read(object: &Value, kept: &[Arc<Extension>]) -> Extension {
        let spec = object["spec"].clone();
        let text = |field: &str| spec[field].as_str().unwrap_or("");
        let name = ObjectName::cluster(object["metadata"]["name"].as_str().unwrap_or(""));
        let known = kept.iter().find(|one| one.name == name && one.spec == spec);
        let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        Extension {
            name,
            of: GroupVersion::new(text("group"), text("version")),
            service: ServicePort::read(&spec["service"]),
            ca_bundle: base64::engine::general_purpose::STANDARD.decode(text("caBundle")).unwrap_or_default(),
            is_insecure: spec["insecureSkipTLSVerify"] == true,
            priorities: (
                spec["groupPriorityMinimum"].as_i64().unwrap_or(0),
                spec["versionPriority"].as_i64().unwrap_or(0),
            ),
            is_available: conditions.iter().any(|c| c["type"] == "Available" && c["status"] == "True"),
            known: known.map_or_else(Arc::default, |one| one.known.clone()),
            spec,
        }
    }

    /// `/apis/GROUP/VERSION`.
    pub fn path(&self) -> String {
        format!("/apis/{}/{}", self.of.group, self.of.version)
    }

    fn discovered(&self) -> Foreign {
        let bytes = self.known.discovered.lock().clone();
        Foreign {
            group: CompactString::from(&*self.of.group).into(),
            version: CompactString::from(&*self.of.version).into(),
            group_priority: self.priorities.0,
            version_priority: self.priorities.1,
            // What was kept is JSON.
            resources: serde_json::from_slice(&bytes).unwrap_or_default(),
            current: self.is_available && self.known.answers.load(Ordering::Relaxed),
        }
    }
}
