//! Events, upward: what the super cluster says about a tenant's objects, in the tenant's names.

use crate::kinds::Kind;
use crate::ownership::Identity;
use crate::translation::text;
use serde_json::{Value, json};

/// Which object an event of a super cluster is about: its kind, super namespace and name. `None` for kinds that are
/// not synced.
pub fn about(event: &Value) -> Option<(Kind, &str, &str)> {
    let object = &event["involvedObject"];
    let kind = Kind::named(text(object, "kind"))?;
    matches!(kind, Kind::Pod | Kind::Service | Kind::Claim | Kind::Ingress)
        .then(|| (kind, text(object, "namespace"), text(object, "name")))
}

/// The event in the tenant; `identity` is that of the object which it is about. `shown` gives a text of the super cluster
/// without its names.
pub fn upward(identity: &Identity, event: &Value, shown: impl Fn(&str) -> String) -> Value {
    let mut out = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event["metadata"]["name"], "namespace": identity.namespace.as_str()},
        "involvedObject": {
            "apiVersion": event["involvedObject"]["apiVersion"].as_str().unwrap_or("v1"),
            "kind": event["involvedObject"]["kind"],
            "namespace": identity.namespace.as_str(),
            "name": identity.name.as_str(),
            "uid": identity.uid.as_str(),
        },
        "message": shown(text(event, "message")),
    });
    if let Some(path) = event["involvedObject"]["fieldPath"].as_str() {
        out["involvedObject"]["fieldPath"] = json!(path);
    }
    for field in [
        "reason",
        "type",
        "count",
        "firstTimestamp",
        "lastTimestamp",
        "eventTime",
        "series",
        "action",
        "source",
        "reportingComponent",
        "reportingInstance",
    ] {
        if let Some(value) = event.get(field).filter(|v| !v.is_null()) {
            out[field] = value.clone();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::TenantView;
    use crate::translation::tests::shop;

    #[test]
    fn events_are_about_the_tenants_object() {
        let tenant = TenantView::for_tests("acme", 7);
        let identity = Identity {
            tenant: tenant.id,
            namespace: "shop".into(),
            name: "web".into(),
            uid: "tenant-uid".into(),
        };
        let event = json!({"metadata": {"name": "web.17", "namespace": "acme-shop-hash", "uid": "x"},
            "involvedObject": {"kind": "Pod", "namespace": "acme-shop-hash", "name": "web", "uid": "super-uid",
                "fieldPath": "spec.containers{c}", "resourceVersion": "9"},
            "reason": "Scheduled", "type": "Normal", "count": 1,
            "message": "Successfully assigned acme-shop-hash/web to n1", "source": {"component": "default-scheduler"}});
        assert_eq!(about(&event), Some((Kind::Pod, "acme-shop-hash", "web")));
        assert_eq!(
            upward(&identity, &event, |text| shop(&tenant).scrub(text)),
            json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "web.17", "namespace": "shop"},
                "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web",
                    "uid": "tenant-uid", "fieldPath": "spec.containers{c}"},
                "reason": "Scheduled", "type": "Normal", "count": 1,
                "message": "Successfully assigned shop/web to n1", "source": {"component": "default-scheduler"}})
        );
        assert_eq!(about(&json!({"involvedObject": {"kind": "Node", "name": "n"}})), None);
        // As Ingress controllers tell what becomes of an Ingress.
        let of_ingress = json!({"involvedObject": {"kind": "Ingress", "apiVersion": "networking.k8s.io/v1",
            "namespace": "acme-shop-hash", "name": "web"}, "reason": "Sync", "message": "Scheduled for sync"});
        assert_eq!(about(&of_ingress), Some((Kind::Ingress, "acme-shop-hash", "web")));
        let up = upward(&identity, &of_ingress, str::to_owned);
        assert_eq!(up["involvedObject"]["apiVersion"], "networking.k8s.io/v1");
    }
}
