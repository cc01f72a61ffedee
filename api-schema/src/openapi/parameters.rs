//! The query parameters of the API.

/// A parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) of: &'static str,
    pub(super) description: &'static str,
}

const fn parameter(name: &'static str, of: &'static str, description: &'static str) -> Parameter {
    Parameter { name, of, description }
}

const CONTINUE: Parameter = parameter("continue", "string", "The token of a list's previous page.");
const DRY_RUN: Parameter =
    parameter("dryRun", "string", "`All`: everything is checked and nothing is stored.");
const FIELD_SELECTOR: Parameter =
    parameter("fieldSelector", "string", "Only objects whose fields have these values.");
const LABEL_SELECTOR: Parameter = parameter("labelSelector", "string", "Only objects whose labels match.");
const LIMIT: Parameter = parameter("limit", "integer", "How many objects a page has at most.");
const RESOURCE_VERSION: Parameter =
    parameter("resourceVersion", "string", "The version to read at, or to watch from.");
const RESOURCE_VERSION_MATCH: Parameter =
    parameter("resourceVersionMatch", "string", "How `resourceVersion` is meant: `Exact` or `NotOlderThan`.");
const SEND_INITIAL_EVENTS: Parameter = parameter(
    "sendInitialEvents",
    "boolean",
    "A watch begins with the objects that are there, then a bookmark.",
);
const SHARD_SELECTOR: Parameter =
    parameter("shardSelector", "string", "Not served in this release: all objects are sent.");
const IGNORE_STORE: Parameter = parameter(
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "boolean",
    "For objects that cannot be read any more. Not served in this release.",
);
const TIMEOUT: Parameter = parameter("timeoutSeconds", "integer", "After how many seconds the request ends.");
const FIELD_MANAGER: Parameter =
    parameter("fieldManager", "string", "Who is recorded as the manager of the fields that change.");
const FIELD_VALIDATION: Parameter = parameter(
    "fieldValidation",
    "string",
    "What to do about unknown and duplicate fields: `Ignore`, `Warn` or `Strict`.",
);
const FORCE: Parameter = parameter("force", "boolean", "An apply takes fields from other managers.");
const GRACE: Parameter =
    parameter("gracePeriodSeconds", "integer", "How many seconds the object has to end; 0 is at once.");
const ORPHAN: Parameter =
    parameter("orphanDependents", "boolean", "Deprecated for `propagationPolicy`: keep dependents.");
const PROPAGATION: Parameter = parameter(
    "propagationPolicy",
    "string",
    "What becomes of dependents: `Orphan`, `Background` or `Foreground`.",
);

/// Of every path.
pub(super) const PRETTY: Parameter = parameter("pretty", "string", "`true`: the output is indented.");

/// Of `list`.
pub(super) const LIST: &[Parameter] = &[
    parameter("allowWatchBookmarks", "boolean", "A watch may send bookmarks."),
    CONTINUE,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    LIMIT,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL_EVENTS,
    SHARD_SELECTOR,
    TIMEOUT,
    parameter("watch", "boolean", "Changes are sent as they happen, instead of a list."),
];

/// Of `get` of custom resources.
pub(super) const READ_CUSTOM: &[Parameter] = &[RESOURCE_VERSION];

/// Of `create` and `update`.
pub(super) const WRITE: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];

/// Of `patch`.
pub(super) const PATCH: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];

/// Of `delete`.
pub(super) const DELETE: &[Parameter] = &[DRY_RUN, GRACE, IGNORE_STORE, ORPHAN, PROPAGATION];

/// Of `deletecollection`.
pub(super) const DELETE_COLLECTION: &[Parameter] = &[
    CONTINUE,
    DRY_RUN,
    FIELD_SELECTOR,
    GRACE,
    IGNORE_STORE,
    LABEL_SELECTOR,
    LIMIT,
    ORPHAN,
    PROPAGATION,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL_EVENTS,
    SHARD_SELECTOR,
    TIMEOUT,
];

const CONTAINER: Parameter =
    parameter("container", "string", "The container; may be left out when the pod has one.");

const STREAM: &[Parameter] = &[
    CONTAINER,
    parameter("stderr", "boolean", "Send the standard error output."),
    parameter("stdin", "boolean", "Take standard input."),
    parameter("stdout", "boolean", "Send the standard output."),
    parameter("tty", "boolean", "The container has a terminal."),
];

const EXEC: &[Parameter] = &[
    parameter("command", "string", "The command; repeated for its arguments."),
    CONTAINER,
    parameter("stderr", "boolean", "Send the standard error output."),
    parameter("stdin", "boolean", "Take standard input."),
    parameter("stdout", "boolean", "Send the standard output."),
    parameter("tty", "boolean", "Make a terminal for the command."),
];

const LOG: &[Parameter] = &[
    CONTAINER,
    parameter("follow", "boolean", "Go on with what is logged from now on."),
    parameter("insecureSkipTLSVerifyBackend", "boolean", "Do not check the kubelet's certificate."),
    parameter("limitBytes", "integer", "How many bytes are sent at most."),
    parameter("previous", "boolean", "The logs of the container's previous run."),
    parameter("sinceSeconds", "integer", "Only what is not older than so many seconds."),
    parameter("stream", "string", "`All`, `Stdout` or `Stderr`."),
    parameter("tailLines", "integer", "Only so many lines from the end."),
    parameter("timestamps", "boolean", "Each line begins with its time."),
];

const PORTS: &[Parameter] = &[parameter("ports", "integer", "The ports to forward.")];
const PATH: &[Parameter] = &[parameter("path", "string", "The path behind the proxy.")];

/// Subresources that are no objects, with their parameters; true for connections.
pub(super) const RAW: &[(&str, bool, &[Parameter])] = &[
    ("attach", true, STREAM),
    ("exec", true, EXEC),
    ("log", false, LOG),
    ("portforward", true, PORTS),
    ("proxy", true, PATH),
];
