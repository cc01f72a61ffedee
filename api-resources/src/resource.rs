//! One row of the table: all that the server knows of a resource.

use crate::catalog::PlaneKind;
use crate::columns::about::About;
use crate::json_path::JsonPath;
use api_schema::crd::Verdict;
use api_schema::{TypeGraph, TypeId};
use api_types::{Cause, GroupResource};
use compact_str::CompactString;
use serde_json::Value;
use std::sync::Arc;

/// All that the server knows of a resource. Built-in ones are rows of the table; a CRD makes one at run time.
pub struct ResourceRow {
    /// The API group; empty for the core group.
    pub group: CompactString,
    /// `Deployment`.
    pub kind: CompactString,
    /// `DeploymentList`.
    pub list_kind: CompactString,
    /// `deployments`.
    pub plural: CompactString,
    /// `deployment`.
    pub singular: CompactString,
    /// `deploy`.
    pub short_names: Vec<CompactString>,
    /// `all`.
    pub categories: Vec<CompactString>,
    /// False for cluster-scoped resources.
    pub namespaced: bool,
    /// The served versions, preferred first.
    pub versions: Vec<Version>,
    /// The versions that are not served: objects may be stored in them.
    pub unserved: Vec<Version>,
    /// The version that is stored; one of `versions` or `unserved`.
    pub storage_version: CompactString,
    /// Who turns objects of a CRD into other versions; `None`: versions differ in what their schemas know.
    pub conversion: Option<Arc<ConversionWebhook>>,
    /// Whose objects it shows, when they are another group's: `events` of `events.k8s.io` are those of the core group.
    pub alias_of: Option<Alias>,
    /// What can be done with it. Reviews such as `tokenreviews` have only `create` and store nothing.
    pub verbs: Vec<Verb>,
    /// What else its path offers.
    pub subresources: Vec<Subresource>,
    /// How it is written.
    pub strategy: Strategy,
    /// The values that field selectors can name, beside `metadata.name` and `metadata.namespace`.
    pub selectable_fields: Vec<SelectableField>,
    /// The values that are kept of each object for that; empty: those of `selectable_fields`.
    pub kept_fields: Vec<SelectableField>,
    /// What it is through versions that have other subresources or selectable fields than the preferred one.
    pub through: Vec<(CompactString, Arc<ResourceRow>)>,
    /// The columns of `Table` after `Name`; when the first is itself called `Name`, it stands for that one, and
    /// when any other is, there is none in front.
    pub columns: Vec<Column>,
    /// The kinds of planes that serve it.
    pub planes: &'static [PlaneKind],
}

impl ResourceRow {
    /// Group and plural.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(&self.group, &self.plural)
    }

    /// Group and plural under which its objects are stored, and which errors name.
    pub fn stored_resource(&self) -> GroupResource {
        GroupResource::new(self.stored_group(), &self.plural)
    }

    /// The group of its stored objects.
    pub fn stored_group(&self) -> &str {
        self.alias_of.as_ref().map_or(&self.group, |alias| &alias.group)
    }

    /// `apiVersion` of its stored objects.
    pub fn stored_api_version(&self) -> String {
        let version = self.alias_of.as_ref().map_or(&self.storage_version, |alias| &alias.version.name);
        api_types::GroupVersion::new(self.stored_group(), version).to_string()
    }

    /// The version of its stored objects.
    pub fn stored_version(&self) -> Option<&Version> {
        match &self.alias_of {
            Some(alias) => Some(&alias.version),
            None => self.known_version(&self.storage_version),
        }
    }

    /// The name by which a stored object has the value of a field that selectors of this resource name.
    pub fn stored_field<'a>(&'a self, path: &'a str) -> &'a str {
        let renamed =
            self.alias_of.as_ref().and_then(|alias| alias.fields.iter().find(|(own, _)| *own == path));
        renamed.map_or(path, |(_, stored)| stored)
    }

    /// A served version.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|v| v.name == name)
    }

    /// A version, served or not.
    pub fn known_version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().chain(&self.unserved).find(|v| v.name == name)
    }

    /// What it is through a version.
    pub fn of_version(&self, name: &str) -> Option<&Arc<ResourceRow>> {
        self.through.iter().find(|(version, _)| version == name).map(|(_, row)| row)
    }

    /// True when the verb is offered.
    pub fn has(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// A subresource.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// True for a kind that a CRD made.
    pub fn is_custom(&self) -> bool {
        self.versions.iter().chain(&self.unserved).any(|version| version.schema.is_some())
    }

    /// True when the status is written through a subresource of its own.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }
}

/// The webhook that converts objects of a CRD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversionWebhook {
    /// Where it is.
    pub target: WebhookTarget,
    /// The certificates to believe, PEM; empty: those that the system trusts.
    pub ca_bundle: Vec<u8>,
    /// The version of the reviews that it is sent: `v1` or `v1beta1`.
    pub review_version: CompactString,
}

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookTarget {
    /// At an address.
    Url(String),
    /// Behind a Service.
    Service {
        /// The Service's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The path.
        path: String,
        /// The port.
        port: u16,
    },
}

/// One version.
#[derive(Clone)]
pub struct Version {
    /// `v1`.
    pub name: CompactString,
    /// The types.
    pub graph: Arc<TypeGraph>,
    /// The type of the object in it.
    pub root: TypeId,
    /// What a CRD's schema demands beside its types; `None` for built-in kinds.
    pub schema: Option<Arc<dyn CustomSchema>>,
    /// Tells schemas apart: objects that were stored under another one are brought into the form of this one when
    /// they are read. 0 for built-in kinds.
    pub schema_hash: u64,
    /// What turns its objects into their stored form and back; `None` when only `apiVersion` differs.
    pub converter: Option<Converter>,
    /// Where `scale` reads and writes; `None`: `spec.replicas`, `status.replicas` and the object's own selector.
    pub scale: Option<ScalePaths>,
    /// Its own columns; `None`: those of the resource.
    pub columns: Option<Vec<Column>>,
    /// What clients are warned of that still use it.
    pub deprecation: Option<String>,
}

/// The resource of another group whose objects a resource shows.
#[derive(Clone)]
pub struct Alias {
    /// Its group.
    pub group: CompactString,
    /// The version that is stored.
    pub version: Version,
    /// The fields that selectors name otherwise: the name here, the name there.
    pub fields: &'static [(&'static str, &'static str)],
    /// What its field selectors can name.
    pub selectable_fields: Vec<SelectableField>,
}

/// Between a version and the stored one, `apiVersion` aside.
#[derive(Clone, Copy)]
pub struct Converter {
    /// Into the stored form.
    pub to_stored: fn(&mut Value),
    /// Out of the stored form.
    pub from_stored: fn(&mut Value),
}

/// The rules of a CRD's version.
pub trait CustomSchema: Send + Sync {
    /// Drops the fields that the schema does not declare, and gives their paths (`spec.bogus`), sorted.
    fn prune(&self, object: &mut Value) -> Vec<String>;
    /// Sets the schema's defaults.
    fn default(&self, object: &mut Value);
    /// Drops nulls where the schema has neither null nor a default.
    fn drop_nulls(&self, object: &mut Value);
    /// What is said about an object of this version; with the old object, about the change.
    fn judge(&self, new: &Value, old: Option<&Value>) -> Verdict;
    /// The defects of a new object whose metadata has these.
    fn judge_new(&self, new: &Value, of_metadata: &[Cause]) -> Vec<Cause>;
    /// The same for a change through `status`.
    fn judge_status(&self, new: &Value, old: Option<&Value>) -> Verdict;
}

/// Where the `scale` subresource of a custom resource reads and writes: JSON paths (`.spec.replicas`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// The wanted number.
    pub spec_replicas_path: CompactString,
    /// The current number.
    pub status_replicas_path: CompactString,
    /// The selector as text; empty for none.
    pub label_selector_path: CompactString,
}

/// What can be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the verbs of the Kubernetes API
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// As discovery and RBAC write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Patch => "patch",
            Verb::Update => "update",
            Verb::Watch => "watch",
        }
    }
}

/// A path below an object: `status`, `scale`, `binding`, `eviction`, `token`, `log`, `exec`, …
#[derive(Clone, Debug)]
pub struct Subresource {
    /// Its name.
    pub name: CompactString,
    /// Group, version and kind of its body, as discovery says them. Empty group and version: the resource's own.
    pub group: CompactString,
    /// See `group`.
    pub version: CompactString,
    /// See `group`.
    pub kind: CompactString,
    /// What can be done with it.
    pub verbs: Vec<Verb>,
}

/// How a resource is written: pure functions over the object in its stored version, called in this order:
/// schema defaults, `default`, `prepare_*`, admission, `validate_*`.
#[derive(Clone)]
pub struct Strategy {
    /// Sets what the schema's defaults cannot say (those that depend on other fields).
    pub default: fn(&mut Value),
    /// Clears what a client may not set at creation, and sets first values (`status.phase: Pending`).
    pub prepare_create: fn(&mut Value),
    /// The same for an update of the main resource: `(new, old)`.
    pub prepare_update: fn(&mut Value, &Value),
    /// The same for an update through `status`: `(new, old)`. All but status, labels and annotations is the old
    /// object's already.
    pub prepare_status: fn(&mut Value, &Value),
    /// Defects of a new object, beside those of metadata.
    pub validate_create: fn(&Value) -> Vec<Cause>,
    /// Defects of a change of the main resource, beside those of metadata: `(new, old)`. Includes the rules for
    /// a new object.
    pub validate_update: fn(&Value, &Value) -> Vec<Cause>,
    /// Defects of a change through `status`: `(new, old)`.
    pub validate_status: fn(&Value, &Value) -> Vec<Cause>,
    /// Defects of `metadata.name`, without the field: the messages.
    pub validate_name: fn(&str) -> Vec<String>,
    /// `Warning` headers for a new object, before [`Strategy::warnings`].
    pub create_warnings: fn(&Value) -> Vec<String>,
    /// `Warning` headers for a written object, new or changed; not for a change through a subresource.
    pub warnings: fn(&Value) -> Vec<String>,
    /// A new object without any name gets one from the server.
    pub named_by_server: bool,
    /// `Warning` headers for a change of the main resource, `(new, old)`, when they are not those of `warnings`.
    pub update_warnings: Option<fn(&Value, &Value) -> Vec<String>>,
    /// `metadata.generation` counts changes: those of which `counted` says so.
    pub generation: bool,
    /// Whether a change counts, `(new, old)`: mostly when anything but metadata and status differs.
    pub counted: fn(&Value, &Value) -> bool,
    /// The fields of `metadata` that a write of the status leaves alone, beside owners and finalizers.
    pub status_keeps: &'static [&'static str],
    /// A plain deletion waits for this many seconds (pods: `spec.terminationGracePeriodSeconds`); `None`: at once.
    pub grace: fn(&Value) -> Option<i64>,
    /// PUT of an object that is not there creates it.
    pub create_on_update: bool,
    /// An update without `resourceVersion` is let through.
    pub unconditional_update: bool,
}

/// A value that field selectors can name.
#[derive(Clone)]
pub struct SelectableField {
    /// `spec.nodeName`.
    pub path: CompactString,
    /// Reads it; absent reads as the empty string.
    pub read: Read,
}

/// Reads one value of an object.
#[derive(Clone)]
pub enum Read {
    /// A function of a built-in kind.
    Code(fn(&Value) -> String),
    /// A simple JSON path (`.spec.size`), for CRDs.
    Path(CompactString),
}

/// One column of a `Table`.
#[derive(Clone)]
pub struct Column {
    /// `Ready`.
    pub name: CompactString,
    /// `string`, `integer`, `number`, `boolean`, `date`.
    pub of: CompactString,
    /// `name` or empty.
    pub format: CompactString,
    /// What it shows.
    pub description: ColumnText,
    /// 0 is always shown; more only in wide output.
    pub priority: i32,
    /// Reads the cell.
    pub cell: Cell,
}

/// What a column says of itself.
#[derive(Clone)]
pub enum ColumnText {
    /// Of a built-in kind.
    About(About),
    /// Of a CRD.
    Own(CompactString),
}

impl ColumnText {
    /// The text that clients see.
    pub fn text(&self) -> &str {
        match self {
            ColumnText::About(about) => about.text(),
            ColumnText::Own(text) => text,
        }
    }
}

/// Reads the cell of a column.
#[derive(Clone)]
pub enum Cell {
    /// A function of a built-in kind: `(object, now)`.
    Code(fn(&Value, jiff::Timestamp) -> Value),
    /// A JSON path, for CRDs. `None` reads nothing.
    Path(Option<JsonPath>),
}
