//! What a path and a method ask for.

use crate::stages::Query;
use api_resources::selectors::FieldSelector;
use api_types::ApiError;
use compact_str::CompactString;
use http::Method;
use percent_encoding::percent_decode_str;

/// What a request asks for, once its plane's prefix is taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestInfo {
    /// A resource.
    Resource(ResourceRequest),
    /// Anything else: `/version`, discovery, `/healthz`.
    Path {
        /// The path.
        path: String,
        /// The method in lower case, which is the verb for RBAC.
        verb: String,
    },
}

/// A request for a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceRequest {
    /// The verb as RBAC names it.
    pub verb: CompactString,
    /// The group; empty for the core group.
    pub group: CompactString,
    /// The version.
    pub version: CompactString,
    /// The namespace; empty for none.
    pub namespace: CompactString,
    /// The plural.
    pub resource: CompactString,
    /// The object; empty for the collection.
    pub name: CompactString,
    /// The rest of the path: `status`, `proxy/a/b`; empty for the object itself.
    pub subresource: CompactString,
}

/// Which plane's prefix a path has, and what is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanePath<'a> {
    /// No prefix: the host plane, or the plane of the credential.
    Root(&'a str),
    /// `/tenants/NAME`.
    Tenant(&'a str, &'a str),
    /// `/supers/NAME`.
    Super(&'a str, &'a str),
}

/// Takes a plane's prefix off a path.
pub fn plane_of(path: &str) -> PlanePath<'_> {
    for (prefix, make) in
        [("/tenants/", PlanePath::Tenant as fn(_, _) -> _), ("/supers/", PlanePath::Super as fn(_, _) -> _)]
    {
        if let Some(rest) = path.strip_prefix(prefix) {
            let end = rest.find('/').unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            return make(name, if rest.is_empty() { "/" } else { rest });
        }
    }
    PlanePath::Root(path)
}

/// Reads method, path (without the plane's prefix) and query. Follows kube-apiserver's rules for what is a
/// resource request. `None` for a path with a `%` and no two hexadecimal digits after it.
pub fn parse(method: &Method, path: &str, query: &str) -> Option<RequestInfo> {
    let encoded = |rest: &str| rest.len() > 1 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !path.split('%').skip(1).all(encoded) {
        return None;
    }
    let everywhere = of_no_namespace(method, own_part(path));
    let own = everywhere.as_deref().unwrap_or_else(|| own_part(path));
    let segments: Vec<CompactString> = own
        .split('/')
        .filter(|segment| !segment.is_empty())
        // What is no text is no object's name either.
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into())
        .collect();
    // An empty segment names nothing.
    let inside = own.trim_end_matches('/');
    let other = || RequestInfo::Path { path: path.to_owned(), verb: method.as_str().to_ascii_lowercase() };
    let (group, version, mut rest) = match segments.as_slice() {
        _ if inside.contains("//") || segments.iter().any(|segment| segment.contains('/')) => {
            return Some(other());
        }
        [api, version, rest @ ..] if api == "api" && !rest.is_empty() => ("".into(), version.clone(), rest),
        [apis, group, version, rest @ ..] if apis == "apis" && !rest.is_empty() => {
            (group.clone(), version.clone(), rest)
        }
        _ => return Some(other()),
    };
    let mut info = ResourceRequest { group, version, ..ResourceRequest::default() };
    let query = Query::parse(query);
    let wants_watch = query.is_true("watch");
    let mut watching = false;
    if rest.first().is_some_and(|first| first == "watch") && rest.len() > 1 {
        watching = true;
        rest = &rest[1..];
    }
    match rest {
        // A namespace itself, or one of its subresources.
        [namespaces] if namespaces == "namespaces" => info.resource = namespaces.clone(),
        [namespaces, name] if namespaces == "namespaces" => {
            info.resource = namespaces.clone();
            info.name = name.clone();
            info.namespace = name.clone();
        }
        [namespaces, name, sub] if namespaces == "namespaces" && (sub == "status" || sub == "finalize") => {
            info.resource = namespaces.clone();
            info.name = name.clone();
            info.namespace = name.clone();
            info.subresource = sub.clone();
        }
        [namespaces, namespace, resource, rest @ ..] if namespaces == "namespaces" => {
            info.namespace = namespace.clone();
            info.resource = resource.clone();
            info.set_object(rest);
        }
        [resource, rest @ ..] => {
            info.resource = resource.clone();
            info.set_object(rest);
        }
        [] => return Some(other()),
    }
    info.verb = match *method {
        // The old form of a watch says so in its path, whatever the method is.
        _ if watching => "watch",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if info.name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        // Of one object there is a watch only under the old path.
        Method::GET | Method::HEAD if info.name.is_empty() && wants_watch => "watch",
        Method::GET | Method::HEAD if info.name.is_empty() => "list",
        Method::GET | Method::HEAD => "get",
        // No verb: nobody is given a right to it, and no resource does anything.
        _ => "",
    }
    .into();
    if info.name.is_empty() && matches!(info.verb.as_str(), "list" | "watch") {
        info.name = selected_name(&query).unwrap_or_default();
    }
    Some(RequestInfo::Resource(info))
}

/// The path of a list in all namespaces that is asked for as one in a namespace without a name, as clients do that
/// leave the name out. Only for reads: what is meant by a write nobody can know.
fn of_no_namespace(method: &Method, own: &str) -> Option<String> {
    let (api, resource) = own.split_once("/namespaces//")?;
    let is_one = !resource.is_empty() && !resource.contains('/');
    (is_one && matches!(*method, Method::GET | Method::HEAD)).then(|| format!("{api}/{resource}"))
}

/// What of a path names a resource. What follows the `proxy` of a pod, a service or a node is somebody else's to read.
fn own_part(path: &str) -> &str {
    let is_proxy =
        |segment: &str| percent_decode_str(segment).decode_utf8().is_ok_and(|text| text == "proxy");
    let segments: Vec<&str> = path.splitn(9, '/').collect();
    let named = match segments.as_slice() {
        ["", "api", _, "namespaces", _, _, _, sub, _] if is_proxy(sub) => 8,
        ["", "api", _, "nodes", _, sub, _, ..] if is_proxy(sub) => 6,
        _ => return path,
    };
    let length: usize = segments[..named].iter().map(|segment| segment.len() + 1).sum();
    &path[..length - 1]
}

/// What follows the `proxy` in a path that names one, with its slash; empty when nothing does.
pub fn proxied_part(path: &str) -> &str {
    &path[own_part(path).len()..]
}

/// Checks `timeout`, which is a duration as Go writes it: `1h30m`, `1.5s`.
pub fn check_timeout(text: &str) -> Result<(), ApiError> {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut known = rest == "0";
    while !known && !rest.is_empty() {
        let number =
            rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        let unit = after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
        let units = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
        if digits.parse::<f64>().is_err() || !units.contains(&&after[..unit]) {
            break;
        }
        rest = &after[unit..];
        known = rest.is_empty();
    }
    if known {
        return Ok(());
    }
    let why = format!("time: invalid duration {text:?}");
    Err(ApiError::bad_request(format!("invalid timeout specified in the request URL - {why}")))
}

impl RequestInfo {
    /// True for what says nothing of a plane's objects: version, health, discovery, OpenAPI.
    pub fn is_about_the_server(&self) -> bool {
        const ROOTS: &[&str] = &["version", "healthz", "livez", "readyz", "api", "apis", "openapi"];
        let RequestInfo::Path { path, .. } = self else { return false };
        path.split('/').find(|segment| !segment.is_empty()).is_some_and(|root| ROOTS.contains(&root))
    }
}

impl ResourceRequest {
    fn set_object(&mut self, rest: &[CompactString]) {
        if let [name, sub @ ..] = rest {
            self.name = name.clone();
            self.subresource = sub.join("/").into();
        }
    }
}

/// The name that a field selector asks for: a list of that one object, which RBAC may allow by its name.
fn selected_name(query: &Query) -> Option<CompactString> {
    let selector = FieldSelector::parse(query.get("fieldSelector")?).ok()?;
    let name = selector.name()?;
    let is_segment = !matches!(name, "" | "." | "..") && !name.contains(['/', '%']);
    is_segment.then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_name_what_rbac_knows() {
        // method, path, query → verb group/version namespace resource name subresource
        let table = [
            ("GET", "/api/v1/pods", "", "list /v1  pods  "),
            ("GET", "/api/v1/pods", "watch=true", "watch /v1  pods  "),
            ("GET", "/api/v1/pods", "watch", "watch /v1  pods  "),
            ("GET", "/api/v1/pods", "watch=false", "list /v1  pods  "),
            ("GET", "/api/v1/pods", "fieldSelector=metadata.name%3Dp", "list /v1  pods p "),
            ("GET", "/api/v1/pods", "watch=1&fieldSelector=metadata.name%3Dp", "watch /v1  pods p "),
            ("GET", "/api/v1/pods", "fieldSelector=metadata.name!%3Dp", "list /v1  pods  "),
            (
                "DELETE",
                "/api/v1/namespaces/a/pods",
                "fieldSelector=metadata.name%3Dp",
                "deletecollection /v1 a pods  ",
            ),
            ("GET", "/api/v1/watch/pods", "", "watch /v1  pods  "),
            ("GET", "/api/v1/namespaces", "", "list /v1  namespaces  "),
            ("GET", "/api/v1/namespaces/a/pods/p", "watch=true", "get /v1 a pods p "),
            ("GET", "/api/v1/watch/namespaces/a/pods/p", "", "watch /v1 a pods p "),
            ("POST", "/api/v1/watch/namespaces/a/pods", "", "watch /v1 a pods  "),
            ("HEAD", "/api/v1/namespaces/a/pods", "", "list /v1 a pods  "),
            ("GET", "/api/v1/namespaces//pods", "", "list /v1  pods  "),
            ("GET", "/apis/apps/v1/namespaces//deployments", "watch=1", "watch apps/v1  deployments  "),
            ("OPTIONS", "/api/v1/namespaces/a/pods", "", " /v1 a pods  "),
            ("GET", "/api/v1/watch/namespaces/a", "", "watch /v1 a namespaces a "),
            ("GET", "/api/v1/namespaces/a", "", "get /v1 a namespaces a "),
            ("PUT", "/api/v1/namespaces/a/finalize", "", "update /v1 a namespaces a finalize"),
            ("GET", "/api/v1/namespaces/a/pods/p/log", "", "get /v1 a pods p log"),
            ("DELETE", "/api/v1/namespaces/a/pods", "", "deletecollection /v1 a pods  "),
            ("DELETE", "/api/v1/namespaces/a/pods/p", "", "delete /v1 a pods p "),
            ("POST", "/apis/apps/v1/namespaces/a/deployments", "", "create apps/v1 a deployments  "),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "",
                "patch apps/v1 a deployments d scale",
            ),
            ("GET", "/api/v1/nodes/n/proxy/a/b", "", "get /v1  nodes n proxy"),
            ("PUT", "/api/v1/namespaces/a/pods/p:80/proxy/a//b%2F/%ff/", "", "update /v1 a pods p:80 proxy"),
            ("GET", "/api/v1/namespaces/a/services/s/proxy/", "", "get /v1 a services s proxy"),
            ("GET", "/api/v1/namespaces/a/pods/p/log/x", "", "get /v1 a pods p log/x"),
            (
                "GET",
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "",
                "get rbac.authorization.k8s.io/v1  clusterroles system:node ",
            ),
        ];
        for (method, path, query, expected) in table {
            let method: Method = method.parse().unwrap();
            let Some(RequestInfo::Resource(r)) = parse(&method, path, query) else { panic!("{path}") };
            let found = format!(
                "{} {}/{} {} {} {} {}",
                r.verb, r.group, r.version, r.namespace, r.resource, r.name, r.subresource
            );
            assert_eq!(found, expected, "{path}");
        }
        for path in ["/", "/version", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz"] {
            assert!(matches!(parse(&Method::GET, path, ""), Some(RequestInfo::Path { .. })), "{path}");
        }
        for path in ["/%", "/api/v1/pods/%a", "/api/v1/pods/a%2", "/apis/%g0", "/api/v1/nodes/n/proxy/%zz"] {
            assert!(parse(&Method::GET, path, "").is_none(), "{path}");
        }
    }

    #[test]
    fn what_is_proxied_is_as_it_was_sent() {
        for (path, rest) in [
            ("/api/v1/nodes/n/proxy", ""),
            ("/api/v1/nodes/n/proxy/", "/"),
            ("/api/v1/namespaces/a/pods/p/proxy/a//b%2F/../c/", "/a//b%2F/../c/"),
            ("/api/v1/namespaces/a/pods/p/log", ""),
            ("/api/v1/namespaces/a/pods/p/%70roxy/x", "/x"),
        ] {
            assert_eq!(proxied_part(path), rest, "{path}");
        }
    }

    #[test]
    fn a_plane_is_the_first_two_segments() {
        assert_eq!(plane_of("/tenants/acme/api/v1"), PlanePath::Tenant("acme", "/api/v1"));
        assert_eq!(plane_of("/tenants/acme"), PlanePath::Tenant("acme", "/"));
        assert_eq!(plane_of("/supers/local/version"), PlanePath::Super("local", "/version"));
        assert_eq!(plane_of("/api/v1"), PlanePath::Root("/api/v1"));
    }
}
