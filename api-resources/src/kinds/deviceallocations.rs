//! The status of claims of devices: what was allocated, for whom, and what drivers tell of it.

use super::conditions::conditions;
use super::devicenames::{each, each_once, itself, label, label_key, opaque, pool};
use super::place::{Causes, Place, at_most, lookup, require, required_one_of};
use super::pods_affinity::node_selector;
use super::pods_volumes::driver_name;
use super::resourceclaims::{CONFIG_MAX, configuration, request_named, request_names, requests_named};
use crate::names;
use api_types::Cause;
use serde_json::Value;

const CONSUMERS_MAX: usize = 256;
const RESULTS_MAX: usize = 32;
const BINDING_MAX: usize = 4;
const CONDITIONS_MAX: usize = 8;
const DATA_MAX: usize = 10 * 1024;
const IPS_MAX: usize = 16;
const INTERFACE_MAX: usize = 256;
const HARDWARE_ADDRESS_MAX: usize = 128;

/// Defects of a change of the status: `(new, old)`.
pub(super) fn validate_status(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let (status, before) = (Place::root(new).field("status"), Place::root(old).field("status"));
    let names = request_names(lookup(new, "spec.devices"));
    each_once(
        &mut out,
        &status,
        "reservedFor",
        CONSUMERS_MAX,
        |user| user.text("uid"),
        |out, user| {
            for field in ["resource", "name", "uid"] {
                require(out, user, field);
            }
        },
    );
    let allocated: Vec<String> =
        status.field("allocation").field("devices").list("results").map(|r| id(&r)).collect();
    devices(&mut out, &status, &allocated);
    reservations(&mut out, new, &status, &before);
    match (before.present("allocation"), status.present("allocation")) {
        (Some(before), Some(now)) if before.value != now.value => {
            out.push(Cause::invalid(now.path, now.value, "field is immutable"));
        }
        (None, Some(now)) => allocation(&mut out, &now, &names),
        _ => {}
    }
    out
}

/// Which device is meant: driver, pool, device, and share of it.
fn id(at: &Place<'_>) -> String {
    let device = ["driver", "pool", "device"].map(|field| at.text(field)).join("/");
    match at.text("shareID") {
        "" => device,
        share => format!("{device}/{share}"),
    }
}

fn reservations(out: &mut Causes, new: &Value, status: &Place<'_>, before: &Place<'_>) {
    if status.lacks("reservedFor") {
        return;
    }
    let path = status.of("reservedFor");
    if !status.has("allocation") {
        out.push(Cause::forbidden(path, "may not be specified when `allocated` is not set"));
    } else if !lookup(new, "metadata.deletionTimestamp").is_null()
        && status
            .list("reservedFor")
            .any(|user| before.list("reservedFor").all(|old| old.value != user.value))
    {
        let message =
            "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        out.push(Cause::forbidden(path, message));
    }
}

fn allocation(out: &mut Causes, at: &Place<'_>, names: &[String]) {
    let devices = at.field("devices");
    each(out, &devices, "results", RESULTS_MAX, |out, result| {
        request_named(out, &result.field("request"), names);
        device(out, result);
        binding(out, result);
    });
    // Those of the class and those of the claim.
    each(out, &devices, "config", 2 * CONFIG_MAX, |out, config| {
        required_one_of(out, config, "source", &["FromClaim", "FromClass"]);
        requests_named(out, config, names);
        configuration(out, config);
    });
    if let Some(nodes) = at.present("nodeSelector") {
        node_selector(out, &nodes);
    }
}

fn device(out: &mut Causes, at: &Place<'_>) {
    driver_name(out, at, "driver");
    pool(out, &Place::new(at.of("pool"), &Value::from(at.text("pool"))));
    label(out, &Place::new(at.of("device"), &Value::from(at.text("device"))));
    if let Some(share) = at.present("shareID").filter(|share| !is_uuid(share.as_text())) {
        let length = share.as_text().len();
        // Also in braces, without dashes, or as a URN.
        let message = if matches!(length, 32 | 36 | 38 | 45) {
            "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters".to_owned()
        } else {
            format!("error validating uid: invalid UUID length: {length}")
        };
        out.push(Cause::invalid(share.path, share.value, &message));
    }
}

fn is_uuid(text: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || digit(c))
}

/// What must hold, and what must not, before a pod is bound; one needs the other.
pub(super) fn binding(out: &mut Causes, at: &Place<'_>) {
    let (holds, fails) = ("bindingConditions", "bindingFailureConditions");
    each_once(out, at, holds, BINDING_MAX, itself, label_key);
    each_once(out, at, fails, BINDING_MAX, itself, label_key);
    let both = at.list(fails).filter(|condition| at.texts(holds).contains(&condition.as_text()));
    let overlap = "bindingFailureConditions must not overlap with bindingConditions";
    out.extend(both.map(|condition| Cause::invalid(condition.path, condition.value, overlap)));
    for (there, missing) in [(fails, holds), (holds, fails)] {
        if !at.lacks(there) && at.lacks(missing) {
            let message = format!("{missing} are required to use {there}");
            out.push(Cause::invalid(at.of(missing), at.field(missing).value, &message));
        }
    }
}

fn devices(out: &mut Causes, status: &Place<'_>, allocated: &[String]) {
    let mut seen: Vec<String> = Vec::new();
    for at in status.list("devices") {
        device(out, &at);
        let id = id(&at);
        if !allocated.contains(&id) {
            let message = "must be an allocated device in the claim";
            out.push(Cause::invalid(&at.path, &Value::from(id.as_str()), message));
        }
        at_most(out, &at, "conditions", CONDITIONS_MAX);
        conditions(out, &at.field("conditions"));
        if let Some(data) = at.present("data") {
            opaque(out, &data, DATA_MAX);
        }
        network(out, &at.field("networkData"));
        if seen.contains(&id) {
            out.push(Cause::duplicate(&at.path, &Value::from(id.as_str())));
        }
        seen.push(id);
    }
}

fn network(out: &mut Causes, at: &Place<'_>) {
    for (field, max) in [("interfaceName", INTERFACE_MAX), ("hardwareAddress", HARDWARE_ADDRESS_MAX)] {
        if at.text(field).len() > max {
            out.push(Cause::too_long(at.of(field), max));
        }
    }
    each_once(out, at, "ips", IPS_MAX, itself, |out, ip| {
        let valid = ip.as_text().split_once('/').is_some_and(|(address, length)| {
            let bits = if address.contains(':') { 128 } else { 32 };
            names::ip(address).is_empty() && length.parse::<u8>().is_ok_and(|length| length <= bits)
        });
        if !valid {
            let message = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
            out.push(Cause::invalid(&ip.path, ip.value, message));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(status: Value, before: Value) -> Vec<String> {
        let claim = |status: Value| json!({"spec": {"devices": {"requests": [{"name": "r", "exactly": {}}]}}, "status": status});
        validate_status(&claim(status), &claim(before)).iter().map(Cause::to_string).collect()
    }

    #[test]
    fn allocations_name_their_requests_and_stay() {
        let result = json!({"request": "r", "driver": "a.b", "pool": "p", "device": "d"});
        let allocated = json!({"allocation": {"devices": {"results": [result]}}});
        assert_eq!(told(allocated.clone(), json!({})), [""; 0]);
        let mut other = allocated.clone();
        other["allocation"]["devices"]["results"][0]["device"] = json!("e");
        assert!(told(other, allocated.clone())[0].ends_with("field is immutable"));
        let mut odd = allocated.clone();
        odd["allocation"]["devices"]["results"][0]["request"] = json!("s");
        assert!(
            told(odd, json!({}))[0]
                .starts_with("status.allocation.devices.results[0].request: Invalid value")
        );
        let mut shared = allocated;
        shared["allocation"]["devices"]["results"][0]["shareID"] = json!("X");
        shared["allocation"]["devices"]["results"][0]["bindingConditions"] = json!(["a"]);
        assert_eq!(told(shared, json!({})).len(), 2);
    }

    #[test]
    fn consumers_need_an_allocation_and_drivers_tell_of_allocated_devices() {
        let user = json!({"resource": "pods", "name": "p", "uid": "u"});
        assert_eq!(
            told(json!({"reservedFor": [user]}), json!({})),
            ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]
        );
        let device =
            json!({"driver": "a.b", "pool": "p", "device": "d", "networkData": {"ips": ["10.0.0.1"]}});
        assert_eq!(
            told(json!({"devices": [device]}), json!({})),
            [
                "status.devices[0]: Invalid value: \"a.b/p/d\": must be an allocated device in the claim",
                "status.devices[0].networkData.ips[0]: Invalid value: \"10.0.0.1\": must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)",
            ]
        );
    }
}
