//! What the syncer asks of a super cluster: plain Kubernetes API, nothing installed in it.

use api_types::{ApiError, ObjectName, Resource};
use async_trait::async_trait;
use compact_str::CompactString;
use plane_client::{Delete, Duplex, Patch, PodAnswer, PodRequest};
use serde_json::Value;
use tokio::sync::mpsc;

/// The API of one super cluster. Objects come without `metadata.managedFields`, or with them: nobody looks at them. Errors are what its API server answered; they may name objects of the super
/// cluster and are not for tenants' eyes.
#[async_trait]
pub trait SuperApi: Send + Sync + 'static {
    /// The version, such as `v1.36.1`; fails when the cluster cannot be reached or does not know us.
    async fn version(&self) -> Result<String, ApiError>;

    /// One object; `None` when it is not there.
    async fn get(&self, resource: &Resource, at: &At) -> Result<Option<Value>, ApiError>;

    /// All objects that a label selector selects (the empty one: all), in one namespace or, when that is empty, in
    /// all. Read page by page.
    async fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<Value>, ApiError>;

    /// Of all objects that a label selector selects, in all namespaces: which they are and in which version. It may be
    /// a little behind, and costs the cluster no look into its store.
    async fn heads(&self, resource: &Resource, selector: &str) -> Result<Vec<Head>, ApiError>;

    /// Creates; gives the object as it was created. With a subresource in `at`, posts to it. Fields that the cluster does
    /// not know are refused (`BadRequest`).
    async fn create(&self, resource: &Resource, at: &At, body: &Value) -> Result<Value, ApiError>;

    /// Patches; gives the object as it is then.
    async fn patch(&self, resource: &Resource, at: &At, patch: &Patch) -> Result<Value, ApiError>;

    /// Deletes. An object that is not there is an error (`is_not_found`).
    async fn delete(&self, resource: &Resource, at: &At, how: &Delete) -> Result<(), ApiError>;

    /// Opens a connection to a TCP port of a pod.
    async fn connect(&self, pod: &At, port: u16) -> Result<Box<dyn Duplex>, ApiError>;

    /// Asks a subresource of a pod; what it answers comes as it comes.
    async fn open(&self, pod: &At, request: PodRequest) -> Result<PodAnswer, ApiError>;

    /// As whom the cluster knows us.
    async fn user(&self) -> Result<String, ApiError>;

    /// Lists, then watches, for ever: made again when it breaks, until the receiver is dropped.
    fn list_watch(&self, resource: &Resource, selector: &str) -> mpsc::Receiver<SuperItem>;
}

/// Which object it is, and in which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its name.
    pub at: ObjectName,
    /// Its UID.
    pub uid: CompactString,
    /// Its revision.
    pub version: CompactString,
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// The name; empty to create with the name in the body.
    pub name: String,
    /// `ephemeralcontainers`, …; empty for the object itself.
    pub subresource: &'static str,
}

impl At {
    /// An object.
    pub fn new(namespace: &str, name: &str) -> Self {
        At { namespace: namespace.to_owned(), name: name.to_owned(), subresource: "" }
    }

    /// The same object's subresource.
    #[must_use]
    pub fn subresource(mut self, name: &'static str) -> Self {
        self.subresource = name;
        self
    }
}

/// What a watch of a super cluster says.
#[derive(Clone, Debug)]
pub enum SuperItem {
    /// A list begins: what is not in it, up to `Synced`, is gone.
    Restart,
    /// The object is there, as it is now.
    Applied(Value),
    /// The object was removed; as it was last.
    Deleted(Value),
    /// Everything that was live has been sent.
    Synced,
    /// The cluster cannot be read now; it is tried again.
    Failed(ApiError),
}
