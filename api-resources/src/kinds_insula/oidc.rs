//! The issuers of a tenant's users, by the rules that Kubernetes has for `jwt` authenticators.

use super::unique;
use crate::kinds::admission::client_config::ca_bundle_defect;
use crate::kinds::place::{Place, at_most, domain_prefixed_path};
use api_schema::cel::{Declared, Expression, Gives};
use api_types::Cause;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// The most issuers of one tenant.
const MAX: usize = 64;
const BOTH: &str = "claim and expression can't both be set";

/// Defects of `authentication.oidc`.
pub(super) fn issuers(out: &mut Vec<Cause>, authentication: &Place<'_>) {
    at_most(out, authentication, "oidc", MAX);
    let all: Vec<Place<'_>> = authentication.list("oidc").collect();
    for authenticator in &all {
        issuer(out, &authenticator.field("issuer"));
        claim_rules(out, authenticator);
        mappings(out, authenticator);
        user_rules(out, authenticator);
    }
    for field in ["url", "discoveryURL"] {
        let named = all.iter().map(|one| one.field("issuer").field(field));
        unique(out, named.filter(|at| !at.as_text().is_empty()).map(|at| (at.path.clone(), at.as_text())));
    }
}

fn issuer(out: &mut Vec<Cause>, issuer: &Place<'_>) {
    let (url, discovery) = (issuer.field("url"), issuer.field("discoveryURL"));
    address(out, &url);
    address(out, &discovery);
    let bare = |at: &Place<'_>| at.as_text().trim_end_matches('/').to_owned();
    if !discovery.as_text().is_empty() && bare(&url) == bare(&discovery) {
        out.push(Cause::invalid(&discovery.path, discovery.value, "discoveryURL must be different from URL"));
    }
    let audiences: Vec<Place<'_>> = issuer.list("audiences").collect();
    if issuer.has("audiences") && audiences.is_empty() {
        let path = issuer.of("audiences");
        let why = format!("at least one {path} is required");
        out.push(Cause::required(path, &why));
    }
    for audience in audiences.iter().filter(|audience| audience.as_text().is_empty()) {
        out.push(Cause::required(&audience.path, ""));
    }
    unique(out, audiences.iter().map(|audience| (audience.path.clone(), audience.as_text())));
    let policy = issuer.field("audienceMatchPolicy");
    match (audiences.len(), policy.as_text()) {
        (_, "MatchAny") | (0 | 1, "") => {}
        (0 | 1, _) => {
            let why = "audienceMatchPolicy must be empty or MatchAny for single audience";
            out.push(Cause::invalid(&policy.path, &policy.as_text().into(), why));
        }
        _ => {
            let why = "audienceMatchPolicy must be MatchAny for multiple audiences";
            out.push(Cause::invalid(&policy.path, &policy.as_text().into(), why));
        }
    }
    let authority = issuer.field("certificateAuthority");
    if let Some(why) = ca_bundle_defect(&STANDARD.encode(authority.as_text())) {
        out.push(Cause::invalid(&authority.path, &json!("<omitted>"), &why));
    }
}

/// An address of an issuer, where there is one.
fn address(out: &mut Vec<Cause>, at: &Place<'_>) {
    let url = at.as_text();
    if url.is_empty() {
        return;
    }
    let mut refuse = |why: &str| out.push(Cause::invalid(&at.path, at.value, why));
    let Some(rest) = url.strip_prefix("https://") else { return refuse("URL scheme must be https") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or("");
    if host.contains('@') {
        refuse("URL must not contain a username or password");
    }
    if url.contains('?') {
        refuse("URL must not contain a query");
    }
    if url.contains('#') {
        refuse("URL must not contain a fragment");
    }
    if host.is_empty() || url.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        refuse("must be an address of the form https://host[:port][/path]");
    }
}

fn expression(out: &mut Vec<Cause>, at: &Place<'_>, name: &str, gives: Gives) {
    let declared = Declared { names: &[name], ..Declared::default() };
    if let Err(why) = Expression::compile(at.as_text(), declared, gives) {
        out.push(Cause::invalid(&at.path, at.value, &why));
    }
}

fn claim_rules(out: &mut Vec<Cause>, authenticator: &Place<'_>) {
    let rules: Vec<Place<'_>> = authenticator.list("claimValidationRules").collect();
    for rule in &rules {
        match (rule.text("claim"), rule.text("expression")) {
            ("", "") => out.push(Cause::required(&rule.path, "claim or expression is required")),
            (_, "") if !rule.lacks("message") => {
                let why = "may not be specified when claim is set";
                out.push(Cause::invalid(rule.of("message"), rule.field("message").value, why));
            }
            (_, "") => {}
            ("", _) => {
                if !rule.lacks("requiredValue") {
                    let value = rule.field("requiredValue");
                    let why = "may not be specified when expression is set";
                    out.push(Cause::invalid(&value.path, value.value, why));
                }
                expression(out, &rule.field("expression"), "claims", Gives::Bool);
            }
            (claim, _) => out.push(Cause::invalid(&rule.path, &claim.into(), BOTH)),
        }
    }
    for field in ["claim", "expression"] {
        let said = rules.iter().filter(|rule| !rule.lacks(field));
        unique(out, said.map(|rule| (rule.of(field), rule.text(field))));
    }
}

fn mappings(out: &mut Vec<Cause>, authenticator: &Place<'_>) {
    let mappings = authenticator.field("claimMappings");
    let username = mappings.field("username");
    if username.value.is_object() && username.lacks("claim") && username.lacks("expression") {
        out.push(Cause::required(&username.path, "claim or expression is required"));
    }
    for (field, gives) in [("username", Gives::Text), ("groups", Gives::Any), ("uid", Gives::Text)] {
        let mapping = mappings.field(field);
        match (mapping.text("claim"), mapping.text("expression")) {
            ("", "") => {}
            ("", _) => {
                if let Some(prefix) = mapping.present("prefix") {
                    let why = "may not be specified when expression is set";
                    out.push(Cause::invalid(&prefix.path, prefix.value, why));
                }
                expression(out, &mapping.field("expression"), "claims", gives);
            }
            (_, "") if field != "uid" && !mapping.has("prefix") => {
                let why = "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
                out.push(Cause::required(mapping.of("prefix"), why));
            }
            (_, "") => {}
            _ => out.push(Cause::invalid(&mapping.path, &json!(""), BOTH)),
        }
    }
    let extra: Vec<Place<'_>> = mappings.list("extra").collect();
    for mapping in &extra {
        let key = mapping.field("key");
        let text = key.as_text();
        if !text.is_empty() {
            domain_prefixed_path(out, &key);
        }
        if text != text.to_lowercase() {
            out.push(Cause::invalid(&key.path, key.value, "must be lowercase"));
        }
        let domain = text.split('/').next().unwrap_or("");
        let reserved = |of: &str| domain == of || domain.ends_with(&format!(".{of}"));
        if reserved("k8s.io") || reserved("kubernetes.io") {
            let why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use";
            out.push(Cause::invalid(&key.path, key.value, why));
        }
        if !mapping.lacks("valueExpression") {
            expression(out, &mapping.field("valueExpression"), "claims", Gives::Any);
        }
    }
    unique(out, extra.iter().map(|mapping| (mapping.of("key"), mapping.text("key"))));
    verified_mail(out, authenticator, &mappings);
}

/// Whose name comes of a mail address has to have proved that it is theirs.
fn verified_mail(out: &mut Vec<Cause>, authenticator: &Place<'_>, mappings: &Place<'_>) {
    let username = mappings.field("username").field("expression");
    let rules = authenticator.list("claimValidationRules").map(|rule| rule.text("expression"));
    let extra = mappings.list("extra").map(|mapping| mapping.text("valueExpression"));
    let mut all = rules.chain(extra).chain([username.as_text()]);
    if reads(username.as_text(), "email") && !all.any(|text| reads(text, "email_verified")) {
        let why = "claims.email_verified must be used in claimMappings.username.expression or \
                   claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is \
                   used in claimMappings.username.expression";
        out.push(Cause::invalid(&username.path, username.value, why));
    }
}

/// True when an expression reads a claim, as `claims.NAME` or `claims.?NAME`.
fn reads(expression: &str, claim: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    [format!("claims.{claim}"), format!("claims.?{claim}")].iter().any(|read| {
        expression.match_indices(read.as_str()).any(|(at, _)| ends(&expression[at + read.len()..]))
    })
}

fn user_rules(out: &mut Vec<Cause>, authenticator: &Place<'_>) {
    let rules: Vec<Place<'_>> = authenticator.list("userValidationRules").collect();
    for rule in rules.iter().filter(|rule| !rule.lacks("expression")) {
        expression(out, &rule.field("expression"), "user", Gives::Bool);
    }
    unique(out, rules.iter().map(|rule| (rule.of("expression"), rule.text("expression"))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn told(change: Value) -> Vec<String> {
        let mut authenticator = json!({"issuer": {"url": "https://issuer.example.com", "audiences": ["insula"]},
            "claimMappings": {"username": {"claim": "sub", "prefix": ""}}});
        merge(&mut authenticator, change);
        let object = json!({"oidc": [authenticator]});
        let mut out = Vec::new();
        issuers(&mut out, &Place::root(&object));
        out.iter().map(Cause::to_string).collect()
    }

    fn merge(into: &mut Value, change: Value) {
        match change {
            Value::Object(fields) if into.is_object() => {
                fields.into_iter().for_each(|(name, value)| merge(&mut into[name], value));
            }
            change => *into = change,
        }
    }

    #[test]
    fn issuers_are_refused_as_kubernetes_refuses_them() {
        assert_eq!(told(json!({})), [""; 0]);
        let email = json!({"claimMappings": {"username": {"claim": null, "prefix": null,
            "expression": "claims.email"}}});
        let mut verified = email.clone();
        verified["claimValidationRules"] = json!([{"expression": "claims.email_verified == true"}]);
        assert_eq!(told(verified), [""; 0]);
        for (change, expected) in [
            (json!({"issuer": {"url": "http://a.example.com"}}), "URL scheme must be https"),
            (
                json!({"issuer": {"url": "https://u:p@a.example.com"}}),
                "URL must not contain a username or password",
            ),
            (json!({"issuer": {"url": "https://a.example.com?x"}}), "URL must not contain a query"),
            (json!({"issuer": {"url": "https://a.example.com#x"}}), "URL must not contain a fragment"),
            (
                json!({"issuer": {"discoveryURL": "https://issuer.example.com/"}}),
                "discoveryURL must be different from URL",
            ),
            (json!({"issuer": {"audiences": []}}), "at least one oidc[0].issuer.audiences is required"),
            (
                json!({"issuer": {"audiences": ["a", "a"], "audienceMatchPolicy": "MatchAny"}}),
                "Duplicate value",
            ),
            (json!({"issuer": {"audiences": ["a", "b"]}}), "must be MatchAny for multiple audiences"),
            (
                json!({"issuer": {"audienceMatchPolicy": "All"}}),
                "must be empty or MatchAny for single audience",
            ),
            (json!({"issuer": {"certificateAuthority": "no"}}), "<omitted>"),
            (json!({"claimMappings": {"username": {"claim": ""}}}), "claim or expression is required"),
            (
                json!({"claimMappings": {"username": {"prefix": null}}}),
                "prefix is required when claim is set",
            ),
            (json!({"claimMappings": {"username": {"expression": "claims.sub"}}}), BOTH),
            (email, "claims.email_verified must be used"),
            (json!({"claimMappings": {"uid": {"expression": "claims."}}}), "compilation failed"),
            (json!({"claimMappings": {"groups": {"expression": "user.name"}}}), "compilation failed"),
            (
                json!({"claimMappings": {"extra": [{"key": "foo", "valueExpression": "claims.sub"}]}}),
                "must be a domain-prefixed path",
            ),
            (
                json!({"claimMappings": {"extra": [{"key": "a.k8s.io/x", "valueExpression": "claims.sub"}]}}),
                "reserved for Kubernetes use",
            ),
            (json!({"claimValidationRules": [{}]}), "claim or expression is required"),
            (json!({"claimValidationRules": [{"claim": "a", "message": "m"}]}), "when claim is set"),
            (json!({"claimValidationRules": [{"expression": "1 + 1"}]}), "must evaluate to bool"),
            (json!({"userValidationRules": [{"expression": "claims.x == 'y'"}]}), "compilation failed"),
        ] {
            let told = told(change.clone());
            assert!(told.iter().any(|why| why.contains(expected)), "{change}: {told:?}");
        }
    }
}
