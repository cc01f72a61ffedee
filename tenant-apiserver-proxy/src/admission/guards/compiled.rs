//! The guards of a plane, read from its cache and compiled when one of their six collections changes. What has not
//! changed since is not compiled again.

use super::asked::Asked;
use super::conditions::Condition;
use super::matching::Matching;
use super::parameters::ParamRef;
use crate::cache::record::Record;
use crate::dialer::webhooks::ClientConfig;
use api_resources::kinds::admission::{CONDITION_NAMES, GROUP, POLICY_NAMES};
use api_schema::cel::{Declared, Expression, Gives, Variable};
use api_types::{ApiError, GroupResource, GroupVersion, Revision};
use arc_swap::ArcSwapOption;
use compact_str::CompactString;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// What was read last.
pub type GuardsCell = ArcSwapOption<Guards>;

/// A compiled expression, or why it is none.
pub type Compiled = Result<Expression, String>;

/// The guards of a plane, in the order in which they are asked.
pub struct Guards {
    versions: [u64; 6],
    kept: HashMap<(usize, CompactString), (Revision, Made)>,
    pub mutating_webhooks: Vec<Arc<Webhook>>,
    pub validating_webhooks: Vec<Arc<Webhook>>,
    pub mutating_policies: Vec<Bound>,
    pub validating_policies: Vec<Bound>,
    /// Guards that cannot be read: resource and name.
    unreadable: Vec<String>,
}

/// A policy and its bindings, of which there is at least one.
pub struct Bound {
    pub policy: Arc<Policy>,
    pub bindings: Vec<Arc<Binding>>,
}

/// One webhook.
pub struct Webhook {
    pub name: String,
    /// Tells it apart from all others of the plane.
    pub id: String,
    pub matching: Matching,
    pub conditions: Vec<Condition>,
    pub client: ClientConfig,
    pub timeout: Duration,
    /// A call that fails counts as allowed.
    pub ignores_failure: bool,
    pub allows_dry_run: bool,
    pub if_needed: bool,
    /// How it wants to be asked.
    pub review: Review,
}

/// The versions of `AdmissionReview`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    V1,
    V1Beta1,
}

impl Review {
    /// The `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self {
            Review::V1 => "admission.k8s.io/v1",
            Review::V1Beta1 => "admission.k8s.io/v1beta1",
        }
    }

    /// The first version of a list that is known. Validation lets no list pass without one.
    fn first_of(versions: &Value) -> Review {
        let known = |version: &Value| match version.as_str() {
            Some("v1") => Some(Review::V1),
            Some("v1beta1") => Some(Review::V1Beta1),
            _ => None,
        };
        list(versions).iter().find_map(known).unwrap_or(Review::V1)
    }
}

/// One policy.
pub struct Policy {
    pub name: String,
    pub matching: Matching,
    pub conditions: Vec<Condition>,
    pub variables: Vec<Variable>,
    /// Group, version and kind of the parameters.
    pub param_kind: Option<(GroupVersion, String)>,
    pub ignores_failure: bool,
    pub if_needed: bool,
    pub validations: Vec<Validation>,
    pub annotations: Vec<(String, Compiled)>,
    pub mutations: Vec<Mutation>,
    /// How deep the deepest expression is nested.
    pub depth: usize,
}

/// What must hold.
pub struct Validation {
    pub expression: Compiled,
    pub text: String,
    pub message: String,
    pub message_expression: Option<Compiled>,
    pub reason: String,
}

/// How an object is changed.
pub struct Mutation {
    pub expression: Compiled,
    /// A JSON patch; else what is applied.
    pub is_patch: bool,
}

/// One binding.
pub struct Binding {
    pub name: String,
    pub policy: String,
    pub matching: Matching,
    pub params: Option<ParamRef>,
    pub actions: Vec<String>,
}

#[derive(Clone)]
enum Made {
    Webhooks(Vec<Arc<Webhook>>),
    Policy(Arc<Policy>),
    Binding(Arc<Binding>),
}

/// The resources, and whether they mutate.
const RESOURCES: [(&str, bool); 6] = [
    ("mutatingwebhookconfigurations", true),
    ("validatingwebhookconfigurations", false),
    ("mutatingadmissionpolicies", true),
    ("validatingadmissionpolicies", false),
    ("mutatingadmissionpolicybindings", true),
    ("validatingadmissionpolicybindings", false),
];

/// The same as the cache knows them: every write looks.
static KEYS: LazyLock<[GroupResource; 6]> =
    LazyLock::new(|| RESOURCES.map(|(name, _)| GroupResource::new(GROUP, name)));

/// The guards that a request has to pass; `None`: there are none.
pub fn of(asked: &Asked<'_>) -> Option<Arc<Guards>> {
    if !asked.is_for_webhooks() && !asked.is_for_policies() {
        return None;
    }
    let plane = asked.auth.plane();
    let collections = std::array::from_fn::<_, 6, _>(|at| asked.server.cache.existing(plane.id, &KEYS[at]));
    if collections.iter().flatten().all(|collection| collection.is_empty()) {
        // Nothing is kept for a plane that has none any more.
        if plane.guards.load().is_some() {
            plane.guards.store(None);
        }
        return None;
    }
    let versions = [0, 1, 2, 3, 4, 5].map(|at: usize| collections[at].as_ref().map_or(0, |c| c.version()));
    let before = plane.guards.load_full();
    if let Some(guards) = &before
        && guards.versions == versions
    {
        return before;
    }
    let records = collections.map(|collection| collection.map_or_else(Vec::new, |c| c.list("")));
    let guards = Arc::new(Guards::read(versions, &records, before.as_deref()));
    plane.guards.store(Some(guards.clone()));
    Some(guards)
}

impl Guards {
    fn read(versions: [u64; 6], records: &[Vec<Arc<Record>>; 6], before: Option<&Guards>) -> Guards {
        let mut kept = HashMap::new();
        let mut made: [Vec<Made>; 6] = Default::default();
        let mut unreadable = Vec::new();
        for (at, list) in records.iter().enumerate() {
            for record in list {
                let key = (at, record.name.name.clone());
                let same = before.and_then(|guards| guards.kept.get(&key));
                let one = match same.filter(|(revision, _)| *revision == record.revision) {
                    Some((_, one)) => one.clone(),
                    None => {
                        let Ok(object) = record.value() else {
                            unreadable.push(format!("{} {:?}", RESOURCES[at].0, record.name.name));
                            continue;
                        };
                        make(at, &object)
                    }
                };
                kept.insert(key, (record.revision, one.clone()));
                made[at].push(one);
            }
        }
        let [mutating, validating, policies_m, policies_v, bindings_m, bindings_v] = made;
        let hooks = |list: Vec<Made>| -> Vec<Arc<Webhook>> {
            list.into_iter()
                .flat_map(|one| if let Made::Webhooks(hooks) = one { hooks } else { Vec::new() })
                .collect()
        };
        Guards {
            versions,
            kept,
            mutating_webhooks: hooks(mutating),
            validating_webhooks: hooks(validating),
            mutating_policies: bind(policies_m, bindings_m),
            validating_policies: bind(policies_v, bindings_v),
            unreadable,
        }
    }

    /// Nothing passes while it is not known what a guard would say of it.
    pub fn check(&self) -> Result<(), ApiError> {
        let Some(guard) = self.unreadable.first() else { return Ok(()) };
        tracing::error!(%guard, "a stored guard cannot be read, so that it refuses everything");
        Err(ApiError::internal(format_args!(
            "what is stored of {guard} cannot be read, and what it guards is not known: delete it, or write it again"
        )))
    }
}

fn bind(policies: Vec<Made>, bindings: Vec<Made>) -> Vec<Bound> {
    let bindings: Vec<Arc<Binding>> = bindings
        .into_iter()
        .filter_map(|one| if let Made::Binding(one) = one { Some(one) } else { None })
        .collect();
    let bound = policies.into_iter().filter_map(|one| {
        let Made::Policy(policy) = one else { return None };
        let bindings: Vec<_> = bindings.iter().filter(|b| b.policy == policy.name).cloned().collect();
        // A policy without a binding does nothing.
        (!bindings.is_empty()).then_some(Bound { policy, bindings })
    });
    bound.collect()
}

fn make(at: usize, object: &Value) -> Made {
    match at {
        0 | 1 => Made::Webhooks(webhooks(object)),
        2 | 3 => Made::Policy(Arc::new(policy(object, RESOURCES[at].1))),
        _ => Made::Binding(Arc::new(binding(object))),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn conditions(holder: &Value, names: &[&str]) -> Vec<Condition> {
    let declared = Declared { names, ..Declared::default() };
    let read = |condition: &Value| {
        let expression = Expression::compile(text(&condition["expression"]).trim(), declared, Gives::Bool);
        Condition { expression }
    };
    list(&holder["matchConditions"]).iter().map(read).collect()
}

fn webhooks(object: &Value) -> Vec<Arc<Webhook>> {
    let configuration = text(&object["metadata"]["name"]);
    let make = |(at, hook): (usize, &Value)| {
        Arc::new(Webhook {
            name: text(&hook["name"]),
            id: format!("{configuration}/{at}/{}", text(&hook["name"])),
            matching: Matching::of_webhook(hook),
            conditions: conditions(hook, CONDITION_NAMES),
            client: ClientConfig::read(&hook["clientConfig"]),
            timeout: Duration::from_secs(hook["timeoutSeconds"].as_u64().unwrap_or(10)),
            ignores_failure: hook["failurePolicy"] == "Ignore",
            allows_dry_run: matches!(hook["sideEffects"].as_str(), Some("None" | "NoneOnDryRun")),
            if_needed: hook["reinvocationPolicy"] == "IfNeeded",
            review: Review::first_of(&hook["admissionReviewVersions"]),
        })
    };
    list(&object["webhooks"]).iter().enumerate().map(make).collect()
}

fn policy(object: &Value, mutating: bool) -> Policy {
    let spec = &object["spec"];
    let param_kind = spec["paramKind"].as_object().map(|kind| {
        let version = GroupVersion::parse(kind["apiVersion"].as_str().unwrap_or(""));
        (version.unwrap_or_else(|| GroupVersion::new("", "")), text(&kind["kind"]))
    });
    let names: Vec<&str> =
        POLICY_NAMES.iter().copied().filter(|name| *name != "params" || param_kind.is_some()).collect();
    let mut own: Vec<&str> = Vec::new();
    let mut variables = Vec::new();
    for variable in list(&spec["variables"]) {
        let expression = Expression::compile(
            &text(&variable["expression"]),
            Declared { names: &names, own: &own, constructs: mutating, ..Declared::default() },
            Gives::Any,
        );
        variables.push(Variable { name: text(&variable["name"]), expression });
        own.push(variable["name"].as_str().unwrap_or(""));
    }
    let declared = Declared { names: &names, own: &own, constructs: mutating, ..Declared::default() };
    let compile = |expression: &Value, gives| Expression::compile(&text(expression), declared, gives);
    let validation = |of: &Value| Validation {
        expression: compile(&of["expression"], Gives::Bool),
        text: text(&of["expression"]),
        message: text(&of["message"]),
        message_expression: of["messageExpression"]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(|_| compile(&of["messageExpression"], Gives::Text)),
        reason: text(&of["reason"]),
    };
    let mutation = |of: &Value| {
        let is_patch = of["patchType"] == "JSONPatch";
        let holder = if is_patch { &of["jsonPatch"] } else { &of["applyConfiguration"] };
        let expression = Expression::compile(text(&holder["expression"]).trim(), declared, Gives::Any);
        Mutation { expression, is_patch }
    };
    let mut policy = Policy {
        name: text(&object["metadata"]["name"]),
        matching: Matching::of_resources(&spec["matchConstraints"]),
        conditions: conditions(spec, &names),
        validations: list(&spec["validations"]).iter().map(validation).collect(),
        annotations: list(&spec["auditAnnotations"])
            .iter()
            .map(|of| (text(&of["key"]), compile(&of["valueExpression"], Gives::TextOrNull)))
            .collect(),
        mutations: list(&spec["mutations"]).iter().map(mutation).collect(),
        variables,
        param_kind,
        ignores_failure: spec["failurePolicy"] == "Ignore",
        if_needed: spec["reinvocationPolicy"] == "IfNeeded",
        depth: 0,
    };
    policy.depth = deepest(&policy);
    policy
}

fn deepest(policy: &Policy) -> usize {
    let depth = |compiled: &Compiled| compiled.as_ref().map_or(0, Expression::depth);
    let all = policy
        .conditions
        .iter()
        .map(|c| &c.expression)
        .chain(policy.variables.iter().map(|v| &v.expression))
        .chain(policy.validations.iter().map(|v| &v.expression))
        .chain(policy.validations.iter().filter_map(|v| v.message_expression.as_ref()))
        .chain(policy.annotations.iter().map(|(_, value)| value))
        .chain(policy.mutations.iter().map(|m| &m.expression));
    all.map(depth).max().unwrap_or(0)
}

fn binding(object: &Value) -> Binding {
    let spec = &object["spec"];
    Binding {
        name: text(&object["metadata"]["name"]),
        policy: text(&spec["policyName"]),
        matching: Matching::of_resources(&spec["matchResources"]),
        params: spec["paramRef"].is_object().then(|| ParamRef::of(&spec["paramRef"])),
        actions: list(&spec["validationActions"]).iter().map(text).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::record;
    use api_types::ObjectName;
    use serde_json::json;

    #[test]
    fn a_guard_that_cannot_be_read_lets_nothing_pass() {
        let hook = json!({"name": "a.b.c", "clientConfig": {"url": "https://x"}});
        let object = json!({"metadata": {"name": "strict"}, "webhooks": [hook]});
        let stored = record::encode(&object, Vec::new(), 0);
        let mut torn = stored.to_vec();
        torn.pop();
        let read = |bytes: &[u8], revision, before: Option<&Guards>| {
            let name = ObjectName::cluster("strict");
            let bytes = bytes::Bytes::copy_from_slice(bytes);
            let record = record::decode(name, &bytes, Revision(revision)).unwrap();
            let mut records: [Vec<Arc<Record>>; 6] = Default::default();
            records[1].push(Arc::new(record));
            Guards::read([0; 6], &records, before)
        };
        let guards = read(&torn, 1, None);
        let why = guards.check().unwrap_err();
        assert_eq!(why.code(), 500);
        assert!(why.message().contains("validatingwebhookconfigurations \"strict\""), "{why}");
        let mended = read(&stored, 2, Some(&guards));
        assert!(mended.check().is_ok());
        assert_eq!(mended.validating_webhooks.len(), 1);
    }
}
