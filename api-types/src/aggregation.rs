//! APIServices (`apiregistration.k8s.io/v1`): their names, and the label of those that the server keeps by itself.

use crate::Resource;

/// The group of APIServices.
pub const GROUP: &str = "apiregistration.k8s.io";

/// APIServices.
pub const API_SERVICES: Resource = Resource::new(GROUP, "v1", "apiservices");

/// The label of APIServices that the server keeps by itself.
pub const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// Its value for the server's own groups.
pub const ON_START: &str = "onstart";

/// Its value for the groups of definitions.
pub const CONTINUOUSLY: &str = "true";

/// The priorities of the groups and of the versions of definitions.
pub const CUSTOM_PRIORITIES: (i64, i64) = (1_000, 100);

/// Namespace and name of the ConfigMap by which extension servers know who asks them.
pub const AUTHENTICATION: (&str, &str) = ("kube-system", "extension-apiserver-authentication");

/// The Role of those who may read it.
pub const AUTHENTICATION_READER: &str = "extension-apiserver-authentication-reader";

/// The name of the APIService of a group and version.
pub fn name(group: &str, version: &str) -> String {
    format!("{version}.{group}")
}
