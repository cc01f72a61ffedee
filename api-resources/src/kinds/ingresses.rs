//! Ingresses and their classes.

use super::generic::plain;
use super::place::{
    Causes, Place, domain_prefixed_path, invalid_all, lookup, one_of, require, set_default, text_stays,
};
use super::services_validation::known_or_ip;
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
const CONTROLLER_MAX: usize = 250;

/// How ingresses are written.
pub fn strategy() -> Strategy {
    Strategy {
        prepare_create: |object| object["status"] = json!({"loadBalancer": {}}),
        validate_create: |object| {
            let mut out = validate(object);
            let class = lookup(object, "spec.ingressClassName");
            let old = lookup(object, "metadata.annotations").get("kubernetes.io/ingress.class");
            if let Some(old) = old.filter(|old| !class.is_null() && *old != class) {
                let message = "must match `ingressClassName` when both are specified";
                out.push(Cause::invalid("annotations.kubernetes.io/ingress.class", old, message));
            }
            out
        },
        validate_update: |new, _| validate(new),
        validate_status,
        warnings: |object| {
            let annotation = "kubernetes.io/ingress.class";
            let set = lookup(object, "metadata.annotations").get(annotation).is_some()
                && lookup(object, "spec.ingressClassName").is_null();
            let text = format!(
                "annotation {annotation:?} is deprecated, please use 'spec.ingressClassName' instead"
            );
            set.then_some(text).into_iter().collect()
        },
        update_warnings: Some(|_, _| Vec::new()),
        generation: true,
        ..plain()
    }
}

/// How ingress classes are written.
pub fn class_strategy() -> Strategy {
    Strategy {
        default: |object| {
            let spec = object.get_mut("spec").and_then(|spec| spec.get_mut("parameters"));
            if let Some(parameters) = spec.filter(|p| p.is_object()) {
                set_default(parameters, "scope", "Cluster");
            }
        },
        validate_create: validate_class,
        validate_update: |new, old| {
            let mut out = Vec::new();
            text_stays(&mut out, new, old, "spec.controller");
            out.extend(validate_class(new));
            out
        },
        generation: true,
        ..plain()
    }
}

fn validate(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    if spec.lacks("rules") && !spec.has("defaultBackend") {
        let message = "either `defaultBackend` or `rules` must be specified";
        out.push(Cause::invalid(&spec.path, spec.field("rules").value, message));
    }
    if let Some(default) = spec.present("defaultBackend") {
        backend(&mut out, &default);
    }
    for rule in spec.list("rules") {
        let name = rule.text("host");
        if !name.is_empty() {
            if name.parse::<std::net::IpAddr>().is_ok() {
                let message = "must be a DNS name, not an IP address";
                out.push(Cause::invalid(rule.of("host"), &Value::from(name), message));
            }
            host(&mut out, &rule.field("host"));
        }
        if let Some(http) = rule.present("http") {
            require(&mut out, &http, "paths");
            http.list("paths").for_each(|at| path(&mut out, &at));
        }
    }
    for tls in spec.list("tls") {
        tls.list("hosts").for_each(|at| host(&mut out, &at));
        let secret = tls.text("secretName");
        if !secret.is_empty() {
            invalid_all(&mut out, &tls.of("secretName"), secret, names::dns_subdomain(secret));
        }
    }
    if let Some(class) = spec.present("ingressClassName") {
        invalid_all(&mut out, &class.path, class.as_text(), names::dns_subdomain(class.as_text()));
    }
    out
}

fn host(out: &mut Causes, at: &Place<'_>) {
    let name = at.as_text();
    let rule = if name.contains('*') { names::wildcard_subdomain } else { names::dns_subdomain };
    invalid_all(out, &at.path, name, rule(name));
}

fn path(out: &mut Causes, at: &Place<'_>) {
    let (kind, path) = (at.text("pathType"), at.text("path"));
    let value = Value::from(path);
    match kind {
        _ if !at.has("pathType") => {
            out.push(Cause::required(at.of("pathType"), "pathType must be specified"));
            return;
        }
        "Exact" | "Prefix" => {
            if !path.starts_with('/') {
                out.push(Cause::invalid(at.of("path"), &value, "must be an absolute path"));
            }
            for bad in ["//", "/./", "/../", "%2f", "%2F"].iter().filter(|bad| path.contains(**bad)) {
                out.push(Cause::invalid(at.of("path"), &value, &format!("must not contain '{bad}'")));
            }
            for bad in ["/..", "/."].iter().filter(|bad| path.ends_with(**bad)) {
                out.push(Cause::invalid(at.of("path"), &value, &format!("cannot end with '{bad}'")));
            }
        }
        "ImplementationSpecific" if !path.is_empty() && !path.starts_with('/') => {
            out.push(Cause::invalid(at.of("path"), &value, "must be an absolute path"));
        }
        _ => one_of(out, at, "pathType", PATH_TYPES),
    }
    backend(out, &at.field("backend"));
}

fn backend(out: &mut Causes, at: &Place<'_>) {
    let nothing = Value::from("");
    match (at.present("resource"), at.present("service")) {
        (Some(_), Some(_)) => {
            let message = "cannot set both resource and service backends";
            out.push(Cause::invalid(&at.path, &nothing, message));
        }
        (Some(resource), None) => reference(out, &resource),
        (None, Some(service)) => {
            if require(out, &service, "name") {
                let name = service.text("name");
                invalid_all(out, &service.of("name"), name, names::dns_label(name));
            }
            let port = service.field("port");
            let (name, number) = (port.text("name"), port.int("number").unwrap_or(0));
            match (name.is_empty(), number) {
                (false, 0) => invalid_all(out, &port.of("name"), name, names::port_name(name)),
                (true, 0) => out.push(Cause::required(&at.path, "port name or number is required")),
                (true, _) => super::services_validation::port_number(out, &port, "number"),
                (false, _) => {
                    let message = "cannot set both port name & port number";
                    out.push(Cause::invalid(&at.path, &nothing, message));
                }
            }
        }
        (None, None) => {
            let message = "resource or service backend is required";
            out.push(Cause::invalid(&at.path, &nothing, message));
        }
    }
}

/// An object by group, kind and name.
fn reference(out: &mut Causes, at: &Place<'_>) {
    if let Some(group) = at.present("apiGroup") {
        invalid_all(out, &group.path, group.as_text(), names::dns_subdomain(group.as_text()));
    }
    for field in ["kind", "name"] {
        if require(out, at, field) {
            invalid_all(out, &at.of(field), at.text(field), names::path_segment(at.text(field)));
        }
    }
}

fn validate_status(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let balancer = |object| Place::new("status.loadBalancer", lookup(object, "status.loadBalancer"));
    let known: Vec<&str> = balancer(old).list("ingress").map(|i| i.text("ip")).collect();
    for ingress in balancer(new).list("ingress") {
        if !ingress.lacks("ip") {
            known_or_ip(&mut out, &ingress.field("ip"), &known);
        }
        let name = ingress.text("hostname");
        if !name.is_empty() {
            invalid_all(&mut out, &ingress.of("hostname"), name, names::dns_subdomain(name));
            if name.parse::<std::net::IpAddr>().is_ok() {
                let message = "must be a DNS name, not an IP address";
                out.push(Cause::invalid(ingress.of("hostname"), &Value::from(name), message));
            }
        }
    }
    out
}

fn validate_class(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let controller = spec.text("controller");
    if controller.len() > CONTROLLER_MAX {
        out.push(Cause::too_long(spec.of("controller"), CONTROLLER_MAX));
    }
    domain_prefixed_path(&mut out, &spec.field("controller"));
    let Some(parameters) = spec.present("parameters") else { return out };
    reference(&mut out, &parameters);
    one_of(&mut out, &parameters, "scope", &["Cluster", "Namespace"]);
    let namespace = parameters.text("namespace");
    match parameters.text("scope") {
        "Namespace" if !parameters.has("namespace") => {
            let message = "`parameters.scope` is set to 'Namespace'";
            out.push(Cause::required(parameters.of("namespace"), message));
        }
        "Namespace" => {
            invalid_all(&mut out, &parameters.of("namespace"), namespace, names::dns_label(namespace));
        }
        "Cluster" if parameters.has("namespace") => {
            let message = "`parameters.scope` is set to 'Cluster'";
            out.push(Cause::forbidden(parameters.of("namespace"), message));
        }
        _ => {}
    }
    out
}
