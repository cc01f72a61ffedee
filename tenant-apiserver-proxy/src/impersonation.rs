//! Who acts as somebody else: the `Impersonate-*` headers, and who may send them.
//!
//! Two ways lead there, as in Kubernetes 1.36. Who may `impersonate` a user may do all that the user may. Who may
//! `impersonate:MODE` a user may do what `impersonate-on:MODE:VERB` allows on top, and no more (constrained impersonation,
//! KEP-5284). The mode by which somebody was let through last is tried first, which decides what a refusal tells.

use crate::authentication::User;
use crate::authorization::{self, Attributes};
use crate::request_info::{RequestInfo, ResourceRequest};
use crate::server::Server;
use crate::stages::{Call, PLATFORM};
use api_resources::names;
use api_types::ApiError;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};

const AUTHENTICATION: &str = "authentication.k8s.io";
const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// With so many groups or values it is first asked whether all are allowed.
const MANY: usize = 4;
/// The most users of a plane of whom it is known how they were let through.
const MAX_KNOWN: usize = 1_024;

/// Who the request is made as.
#[derive(Debug)]
pub struct Acting {
    /// The user.
    pub user: User,
    /// The verb that allowed it, when it was constrained.
    pub constraint: Option<&'static str>,
}

/// By which mode users of a plane were let through last.
#[derive(Default)]
pub struct LastModes(Mutex<HashMap<String, usize>>);

impl LastModes {
    fn get(&self, user: &str) -> Option<usize> {
        self.0.lock().get(user).copied()
    }

    fn set(&self, user: &str, mode: usize) {
        let mut known = self.0.lock();
        if known.len() >= MAX_KNOWN && !known.contains_key(user) {
            known.clear();
        }
        known.insert(user.to_owned(), mode);
    }
}

/// A way to become somebody.
struct Mode {
    /// Its name; empty for the one that is not constrained.
    name: &'static str,
    /// The verb by which somebody may be impersonated.
    verb: &'static str,
    /// Whether it is meant for what is wanted, by who asks.
    applies: fn(&User, &User) -> bool,
    /// Nodes are asked about all at once.
    any_node: bool,
}

const MODES: &[Mode] = &[
    Mode {
        name: "associated-node",
        verb: "impersonate:associated-node",
        applies: |wanted, requestor| {
            let its_own = requestor.extra.get(NODE_NAME).is_some_and(
                |names| matches!(names.as_slice(), [name] if node_of(&wanted.name) == Some(name.as_str())),
            );
            only_named(wanted) && its_own && account_of(&requestor.name).is_some()
        },
        any_node: true,
    },
    Mode {
        name: "arbitrary-node",
        verb: "impersonate:arbitrary-node",
        applies: |wanted, _| only_named(wanted) && node_of(&wanted.name).is_some(),
        any_node: false,
    },
    Mode {
        name: "serviceaccount",
        verb: "impersonate:serviceaccount",
        applies: |wanted, _| only_named(wanted) && account_of(&wanted.name).is_some(),
        any_node: false,
    },
    Mode {
        name: "user-info",
        verb: "impersonate:user-info",
        applies: |wanted, _| node_of(&wanted.name).is_none() && account_of(&wanted.name).is_none(),
        any_node: false,
    },
    Mode { name: "", verb: "impersonate", applies: |_, _| true, any_node: false },
];

/// Namespace and name of the service account that a user is.
fn account_of(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (names::dns_label(namespace).is_empty() && names::dns_subdomain(name).is_empty())
        .then_some((namespace, name))
}

/// The name of the node that a user is.
fn node_of(user: &str) -> Option<&str> {
    user.strip_prefix("system:node:").filter(|name| names::dns_subdomain(name).is_empty())
}

fn only_named(user: &User) -> bool {
    user.uid.is_empty() && user.groups.is_empty() && user.extra.is_empty()
}

/// The user that the headers name, if the authenticated user may be that one; else the same user.
pub fn act(server: &Server, call: &Call, requestor: User) -> Result<Acting, ApiError> {
    let Some(wanted) = wanted(call)? else { return Ok(Acting { user: requestor, constraint: None }) };
    let (plane, asking) = (&call.plane, Asking { server, call, requestor: &requestor, wanted: &wanted });
    let last = plane.impersonations.get(&requestor.name);
    let others = (0..MODES.len()).filter(|mode| Some(*mode) != last);
    let mut refusal = None;
    for (index, mode) in last.into_iter().chain(others).map(|index| (index, &MODES[index])) {
        if !(mode.applies)(&wanted, &requestor) {
            continue;
        }
        match asking.by(mode) {
            Ok(user) => {
                plane.impersonations.set(&requestor.name, index);
                return Ok(Acting { user, constraint: (!mode.name.is_empty()).then_some(mode.verb) });
            }
            Err(why) => refusal = refusal.or(Some(why)),
        }
    }
    Err(refusal.unwrap_or_else(|| ApiError::internal("all impersonation modes failed")))
}

/// Whom the headers name; `None`: nobody.
fn wanted(call: &Call) -> Result<Option<User>, ApiError> {
    let values = |header: &str| -> Result<Vec<String>, ApiError> {
        let all = call.headers.get_all(header).into_iter();
        // What cannot be read must not be passed over: the request would be made as someone else.
        all.map(|value| String::from_utf8(value.as_bytes().to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|_| ApiError::bad_request(format!("the header {header} is not UTF-8")))
    };
    let first = |header: &str| Ok::<_, ApiError>(values(header)?.into_iter().next().unwrap_or_default());
    let mut user = User {
        name: first("impersonate-user")?,
        uid: first("impersonate-uid")?,
        groups: values("impersonate-group")?,
        extra: BTreeMap::new(),
    };
    for key in call.headers.keys() {
        if let Some(name) = key.as_str().strip_prefix("impersonate-extra-") {
            let decoded = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
            user.extra.insert(decoded, values(key.as_str())?);
        }
    }
    match (user.name.is_empty(), only_named(&user)) {
        (false, _) => Ok(Some(user)),
        (true, true) => Ok(None),
        (true, false) => {
            let asked = unnamed(&user);
            Err(ApiError::bad_request(format!("requested {asked} without impersonating a user name")))
        }
    }
}

/// What was asked for without a user's name, as Kubernetes prints it.
fn unnamed(user: &User) -> String {
    let list = |texts: &[String]| {
        let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
        format!("[]string{{{}}}", quoted.join(", "))
    };
    let groups = if user.groups.is_empty() { "[]string(nil)".to_owned() } else { list(&user.groups) };
    let pairs: Vec<String> =
        user.extra.iter().map(|(key, values)| format!("{key:?}:{}", list(values))).collect();
    let extra = if pairs.is_empty() { "(nil)".to_owned() } else { format!("{{{}}}", pairs.join(", ")) };
    let uid = &user.uid;
    format!("&user.DefaultInfo{{Name:\"\", UID:{uid:?}, Groups:{groups}, Extra:map[string][]string{extra}}}")
}

struct Asking<'a> {
    server: &'a Server,
    call: &'a Call,
    requestor: &'a User,
    wanted: &'a User,
}

impl Asking<'_> {
    fn check(&self, what: &Attributes<'_>) -> Result<(), ApiError> {
        authorization::check(self.server, &self.call.plane, self.requestor, what).map(drop)
    }

    /// Asks whether a mode allows it, and gives who the user is then.
    fn by(&self, mode: &Mode) -> Result<User, ApiError> {
        if !mode.name.is_empty() {
            self.check_request(mode)?;
        }
        let groups = self.check_name(mode)?;
        if !self.wanted.uid.is_empty() {
            self.may(mode, AUTHENTICATION, "uids", "", "", &self.wanted.uid)?;
        }
        self.check_groups(mode)?;
        self.check_extra(mode)?;
        Ok(User { groups: complete(&self.wanted.name, groups), ..self.wanted.clone() })
    }

    /// Whether the very request may be made in this mode.
    fn check_request(&self, mode: &Mode) -> Result<(), ApiError> {
        let verb = |verb: &str| format!("impersonate-on:{}:{verb}", mode.name);
        match &self.call.info {
            RequestInfo::Resource(request) => {
                let on = ResourceRequest { verb: verb(&request.verb).into(), ..request.clone() };
                self.check(&Attributes::Resource(&on))
            }
            RequestInfo::Path { path, verb: method } => {
                self.check(&Attributes::Path { path, verb: &verb(method) })
            }
        }
    }

    fn request(
        mode: &Mode,
        group: &str,
        resource: &str,
        sub: &str,
        namespace: &str,
        name: &str,
    ) -> ResourceRequest {
        ResourceRequest {
            verb: mode.verb.into(),
            group: group.into(),
            version: "v1".into(),
            namespace: namespace.into(),
            resource: resource.into(),
            name: name.into(),
            subresource: sub.into(),
        }
    }

    fn may(
        &self,
        mode: &Mode,
        group: &str,
        resource: &str,
        sub: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(), ApiError> {
        self.check(&Attributes::Resource(&Self::request(mode, group, resource, sub, namespace, name)))
    }

    /// Whether the name is allowed. Gives the groups that come with it.
    fn check_name(&self, mode: &Mode) -> Result<Vec<String>, ApiError> {
        let (name, constrained) = (&self.wanted.name, !mode.name.is_empty());
        let mut groups = self.wanted.groups.clone();
        let of_users = group_of(mode);
        if let Some(node) = node_of(name).filter(|_| constrained) {
            groups = vec!["system:nodes".to_owned()];
            self.may(mode, of_users, "nodes", "", "", if mode.any_node { "*" } else { node })?;
        } else if let Some((namespace, account)) = account_of(name) {
            if groups.is_empty() {
                groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
            }
            self.may(mode, of_users, "serviceaccounts", "", namespace, account)?;
        } else {
            self.may(mode, of_users, "users", "", "", name)?;
        }
        Ok(groups)
    }

    fn check_groups(&self, mode: &Mode) -> Result<(), ApiError> {
        let (groups, constrained) = (&self.wanted.groups, !mode.name.is_empty());
        let of_users = group_of(mode);
        if constrained {
            for (group, why) in [
                ("", "impersonating the empty string group is not allowed"),
                (MASTERS, "impersonating the system:masters group is not allowed"),
            ] {
                if groups.iter().any(|wanted| wanted == group) {
                    let asked = Self::request(mode, of_users, "groups", "", "", group);
                    return Err(authorization::refusal(self.requestor, &Attributes::Resource(&asked), why));
                }
            }
            if groups.len() >= MANY && self.may(mode, of_users, "groups", "", "", "*").is_ok() {
                return Ok(());
            }
        }
        groups.iter().try_for_each(|group| self.may(mode, of_users, "groups", "", "", group))
    }

    fn check_extra(&self, mode: &Mode) -> Result<(), ApiError> {
        let extra = &self.wanted.extra;
        if !mode.name.is_empty() && !extra.is_empty() {
            if let Some(why) = wrong_extra(extra) {
                let asked = Self::request(mode, AUTHENTICATION, "userextras", "", "", "");
                return Err(authorization::refusal(self.requestor, &Attributes::Resource(&asked), &why));
            }
            let many = extra.len() >= MANY || extra.values().map(Vec::len).sum::<usize>() >= MANY;
            if many && self.may(mode, AUTHENTICATION, "userextras", "*", "", "*").is_ok() {
                return Ok(());
            }
        }
        for (key, values) in extra {
            for value in values {
                self.may(mode, AUTHENTICATION, "userextras", key, "", value)?;
            }
        }
        Ok(())
    }
}

/// In which API group users, groups and accounts are asked about.
fn group_of(mode: &Mode) -> &'static str {
    if mode.name.is_empty() { "" } else { AUTHENTICATION }
}

/// Why no one may have these in a constrained mode.
fn wrong_extra(extra: &BTreeMap<String, Vec<String>>) -> Option<String> {
    extra.iter().find_map(|(key, values)| {
        if key.is_empty() {
            return Some("impersonating the empty string key in extra is not allowed".to_owned());
        }
        if let Some((part, why)) = no_path_in_a_domain(key) {
            let why = format!("extra.key: Invalid value: {part:?}: {why}");
            return Some(format!("impersonating an invalid key in extra is not allowed: {why}"));
        }
        if *key != key.to_lowercase() {
            return Some(format!("impersonating a non-lowercase key in extra is not allowed: {key:?}"));
        }
        let empty = |why: &str| Some(format!("impersonating {why} in extra is not allowed"));
        match values.as_slice() {
            [] => empty("empty values"),
            values if values.iter().any(String::is_empty) => empty("the empty string value"),
            _ => None,
        }
    })
}

/// The part of a key that keeps it from being a path in a domain, and why.
fn no_path_in_a_domain(key: &str) -> Option<(&str, String)> {
    let parts = key.split_once('/').filter(|(domain, path)| !domain.is_empty() && !path.is_empty());
    let Some((domain, path)) = parts else {
        return Some((key, "must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned()));
    };
    let of = |part, rule: fn(&str) -> Vec<String>| rule(part).into_iter().next().map(|why| (part, why));
    of(domain, names::dns_subdomain).or_else(|| of(path, names::http_path))
}

/// The groups of a user of a name with those that everybody has. The platform's is nobody else's.
fn complete(name: &str, mut groups: Vec<String>) -> Vec<String> {
    groups.retain(|group| group != PLATFORM);
    let has = |groups: &[String], group: &str| groups.iter().any(|of| of == group);
    let of_all = if name == "system:anonymous" { UNAUTHENTICATED } else { AUTHENTICATED };
    let known_as_nobody = of_all == AUTHENTICATED && has(&groups, UNAUTHENTICATED);
    if !has(&groups, of_all) && !known_as_nobody {
        groups.push(of_all.to_owned());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_could_be_are_accounts_and_nodes() {
        for (user, account, node) in [
            ("system:serviceaccount:ns:a", Some(("ns", "a")), None),
            ("system:serviceaccount:ns:", None, None),
            ("system:serviceaccount::a", None, None),
            ("system:serviceaccount:NS:a", None, None),
            ("system:serviceaccount:ns:a:b", None, None),
            ("system:node:n-1.x", None, Some("n-1.x")),
            ("system:node:", None, None),
            ("system:node:N", None, None),
            ("ann", None, None),
        ] {
            assert_eq!((account_of(user), node_of(user)), (account, node), "{user}");
        }
    }

    #[test]
    fn everybody_has_a_group_of_all() {
        let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (name, given, expected) in [
            ("ann", &["dev"][..], &["dev", AUTHENTICATED][..]),
            ("ann", &[AUTHENTICATED, "dev"], &[AUTHENTICATED, "dev"]),
            ("ann", &[UNAUTHENTICATED], &[UNAUTHENTICATED]),
            ("ann", &[PLATFORM], &[AUTHENTICATED]),
            ("system:anonymous", &[], &[UNAUTHENTICATED]),
            ("system:anonymous", &[AUTHENTICATED], &[AUTHENTICATED, UNAUTHENTICATED]),
        ] {
            assert_eq!(complete(name, all(given)), all(expected), "{name} {given:?}");
        }
    }

    #[test]
    fn extras_of_constrained_users_have_sound_keys_and_values() {
        for (key, values, wrong) in [
            ("example.com/team", &["a"][..], None),
            ("", &["a"], Some("the empty string key")),
            ("team", &["a"], Some("an invalid key")),
            ("example.com/Team", &["a"], Some("a non-lowercase key")),
            ("example.com/team", &[], Some("empty values")),
            ("example.com/team", &["a", ""], Some("the empty string value")),
        ] {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            let why = wrong_extra(&BTreeMap::from([(key.to_owned(), values)]));
            assert_eq!(why.is_some(), wrong.is_some(), "{key}");
            assert!(why.unwrap_or_default().contains(wrong.unwrap_or("")), "{key}");
        }
    }

    #[test]
    fn only_so_many_are_known() {
        let known = LastModes::default();
        for n in 0..3 * MAX_KNOWN {
            known.set(&n.to_string(), 1);
            assert!(known.0.lock().len() <= MAX_KNOWN);
        }
        assert_eq!((known.get("0"), known.get(&(3 * MAX_KNOWN - 1).to_string())), (None, Some(1)));
    }
}
