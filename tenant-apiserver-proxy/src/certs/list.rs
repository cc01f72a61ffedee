//! What there is: certificates and keys, a row each.

use super::{plane_name, shown};
use crate::keyring::{Entry, Ring, State};
use crate::plane_keys;
use crate::planes::{self, Plane, PlaneKind};
use crate::renewal::{self, kubeconfigs};
use crate::server::Server;
use crate::tenants;
use serde_json::{Value, json};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What some planes have.
pub fn items(server: &Server, planes: &[Arc<Plane>]) -> Vec<Value> {
    planes.iter().flat_map(|plane| of_plane(server, plane)).collect()
}

fn of_plane(server: &Server, plane: &Plane) -> Vec<Value> {
    let now = plane_keys::now();
    let name = plane_name(plane);
    let mut items = Vec::new();
    for ring_name in renewal::RINGS {
        let Some((ring, _)) = plane_keys::stored(&server.cache, plane.id, ring_name) else { continue };
        if ring_name == planes::SERVING_CA {
            let state = State::Current;
            items.push(certificate(&name, "serving-certificate", &server.serving.pem(), state, None));
        }
        items.extend(ring.standing(now).map(|entry| key(&name, ring_name, &ring, entry, now)));
    }
    let admin = admin(server, plane);
    if let Some(pem) = admin
        && let Some((ring, _)) = plane_keys::stored(&server.cache, plane.id, planes::CLIENT_CA)
    {
        let signer = kubeconfigs::signer(&pem, &ring);
        let entry = ring.standing(now).find(|entry| Some(entry.id()) == signer);
        let state = entry.map_or(State::Old, |entry| ring.state(entry, now));
        items.push(certificate(&name, "admin-certificate", &pem, state, entry.and_then(|entry| entry.until)));
    }
    items
}

/// The certificate of a plane's admin that the platform has written, PEM.
fn admin(server: &Server, plane: &Plane) -> Option<String> {
    let admins = server.renewal.admins();
    match plane.kind {
        PlaneKind::Host => Some(admins?.host.certificate_pem),
        PlaneKind::Super => Some(admins?.local?.certificate_pem),
        PlaneKind::Tenant => {
            let (secret, _) = kubeconfigs::stored(server, &tenants::kubeconfig_secret(&plane.name))?;
            Some(kubeconfigs::Kubeconfig::read(&secret["data"]["value"])?.certificate_pem)
        }
    }
}

fn key(plane: &str, ring_name: &str, ring: &Ring, entry: &Entry, now: i64) -> Value {
    let state = ring.state(entry, now);
    let mut item = certificate(plane, shown(ring_name), &entry.certificate_pem, state, entry.until);
    if state == State::Next {
        item["signsFrom"] = json!(renewal::shown(entry.from));
    }
    if ring_name == planes::TOKEN_KEY {
        item["subject"] = format!("kid={}", entry.id()).into();
        if entry.from > 0 {
            item["validFrom"] = json!(renewal::shown(entry.from));
        }
    }
    item
}

/// A row. `believed`: until when the key is believed that it is or that signed it.
fn certificate(plane: &str, what: &str, pem: &str, state: State, believed: Option<i64>) -> Value {
    let mut item = json!({"plane": plane, "what": what, "state": state.as_str()});
    if let Some(read) = read(pem) {
        item.as_object_mut().into_iter().for_each(|item| item.extend(read.clone()));
    }
    if let Some(until) = believed {
        item["believedUntil"] = json!(renewal::shown(until));
    }
    item
}

/// Subject and validity of the first certificate of a PEM; `None`: it is a key without one.
fn read(pem: &str) -> Option<serde_json::Map<String, Value>> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
    let subject = certificate.subject();
    let names = subject.iter_common_name().map(|name| ("CN", name));
    let organizations = subject.iter_organization().map(|name| ("O", name));
    let parts = names
        .chain(organizations)
        .filter_map(|(label, name)| Some(format!("{label}={}", name.as_str().ok()?)));
    let validity = certificate.validity();
    let value = json!({"subject": parts.collect::<Vec<_>>().join(","),
        "validFrom": renewal::shown(validity.not_before.timestamp()),
        "validUntil": renewal::shown(validity.not_after.timestamp())});
    value.as_object().cloned()
}
