//! The types of the variables of a request, as CEL's checker knows them.

const REQUEST: &str = "kubernetes.AdmissionRequest";
const NAMESPACE: &str = "kubernetes.Namespace";
const METADATA: &str = "kubernetes.NamespaceMetadata";
const USER: &str = "kubernetes.UserInfo";
const KIND: &str = "kubernetes.GroupVersionKind";
const RESOURCE: &str = "kubernetes.GroupVersionResource";
const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
/// The authorizer, asked about the resource of the request.
pub(super) const REQUEST_RESOURCE: &str = "authorizer.requestResource";
/// The type of that.
pub(super) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";

/// The fields of structures.
const FIELDS: &[(&str, &str, &str)] = &[
    (REQUEST, "kind", KIND),
    (REQUEST, "resource", RESOURCE),
    (REQUEST, "subResource", "string"),
    (REQUEST, "requestKind", KIND),
    (REQUEST, "requestResource", RESOURCE),
    (REQUEST, "requestSubResource", "string"),
    (REQUEST, "name", "string"),
    (REQUEST, "namespace", "string"),
    (REQUEST, "operation", "string"),
    (REQUEST, "userInfo", USER),
    (REQUEST, "dryRun", "bool"),
    (REQUEST, "options", "dyn"),
    (USER, "username", "string"),
    (USER, "uid", "string"),
    (USER, "groups", "list(string)"),
    (USER, "extra", "map(string, list(string))"),
    (KIND, "group", "string"),
    (KIND, "version", "string"),
    (KIND, "kind", "string"),
    (RESOURCE, "group", "string"),
    (RESOURCE, "version", "string"),
    (RESOURCE, "resource", "string"),
    (NAMESPACE, "metadata", METADATA),
    (NAMESPACE, "spec", "kubernetes.NamespaceSpec"),
    (NAMESPACE, "status", "kubernetes.NamespaceStatus"),
    ("kubernetes.NamespaceSpec", "finalizers", "list(string)"),
    ("kubernetes.NamespaceStatus", "phase", "string"),
    (METADATA, "name", "string"),
    (METADATA, "generateName", "string"),
    (METADATA, "namespace", "string"),
    (METADATA, "labels", "map(string, string)"),
    (METADATA, "annotations", "map(string, string)"),
    (METADATA, "UID", "string"),
    (METADATA, "creationTimestamp", "timestamp"),
    (METADATA, "deletionGracePeriodSeconds", "int"),
    (METADATA, "deletionTimestamp", "timestamp"),
    (METADATA, "generation", "int"),
    (METADATA, "resourceVersion", "string"),
    (METADATA, "finalizers", "list(string)"),
];

/// The structure of a policy's own variables, whatever they are.
pub(super) const OWN_VARIABLES: &str = "kubernetes.variables";

/// The structure of a name.
pub(crate) fn structure(name: &str) -> Option<&'static str> {
    let all = FIELDS.iter().map(|(of, _, _)| *of).chain([OWN_VARIABLES]);
    all.into_iter().find(|known| *known == name)
}

/// True for the name of a structure.
pub(crate) fn is_structure(name: &str) -> bool {
    structure(name).is_some()
}

/// The type of a field of a structure; `None`: there is no such field.
pub(crate) fn structure_field(name: &str, field: &str) -> Option<&'static str> {
    FIELDS.iter().find(|(of, own, _)| *of == name && *own == field).map(|(.., kind)| *kind)
}

/// The type of a variable of a request; `None`: it is another variable.
pub(super) fn variable_type(name: &str) -> Option<&'static str> {
    Some(match name {
        "request" => REQUEST,
        "namespaceObject" => NAMESPACE,
        "authorizer" => AUTHORIZER,
        "object" | "oldObject" | "params" => "dyn",
        _ => return None,
    })
}

/// True for the name of a variable that a request may have.
pub(crate) fn is_variable(name: &str) -> bool {
    variable_type(name).is_some()
}
