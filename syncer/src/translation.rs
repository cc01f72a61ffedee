//! What every translation between a tenant and its super cluster needs.

use crate::kinds::Kind;
use crate::names;
use crate::tenants::TenantView;
use api_types::ObjectName;
use api_types::condition::whole_seconds;
use jiff::Timestamp;
use serde_json::Value;

/// Why an object does not go to the super cluster. Tenants read it: it names nothing of the super cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One CamelCase word; `docs/reasons.md` explains it.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// A reason and its explanation.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Refusal { reason, message: message.into() }
    }

    /// For names that the syncer uses itself.
    pub fn reserved(kind: Kind, name: &str) -> Self {
        Refusal::new("ReservedName", format!("the {} name {name:?} is reserved by the platform", kind.name()))
    }
}

/// One tenant namespace, as translations need it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Whose.
    pub tenant: &'a TenantView,
    /// The tenant's namespace.
    pub namespace: &'a str,
    /// Its super namespace.
    pub super_namespace: &'a str,
}

impl Place<'_> {
    /// The name of an object in the super namespace.
    pub fn super_name(&self, kind: Kind, name: &str) -> Result<String, Refusal> {
        names::super_name(kind, name).ok_or_else(|| Refusal::reserved(kind, name))
    }

    /// A text of the super cluster as the tenant may read it: without the super namespace's name.
    pub fn scrub(&self, text: &str) -> String {
        text.replace(self.super_namespace, self.namespace)
    }

    /// The same, for every string of a value.
    pub fn scrub_all(&self, value: &mut Value) {
        match value {
            Value::String(text) if text.contains(self.super_namespace) => *text = self.scrub(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.scrub_all(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.scrub_all(field)),
            _ => {}
        }
    }
}

/// A list inside a value; empty when it is not there.
pub fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

/// A list inside a value, to change; `None` when it is not there.
pub fn list_mut<'a>(value: &'a mut Value, field: &str) -> Option<&'a mut Vec<Value>> {
    value.get_mut(field)?.as_array_mut()
}

/// A text inside a value; empty when it is not there.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("")
}

/// A text of an object's metadata; empty when it is not there.
pub fn meta_text<'a>(object: &'a Value, field: &str) -> &'a str {
    text(&object["metadata"], field)
}

/// Namespace and name of an object.
pub fn name_of(object: &Value) -> ObjectName {
    ObjectName::new(meta_text(object, "namespace"), meta_text(object, "name"))
}

/// True when a condition of the type has the status.
pub fn has_condition(object: &Value, kind: &str, status: &str) -> bool {
    list(&object["status"], "conditions").iter().any(|c| c["type"] == kind && c["status"] == status)
}

/// Takes fields away.
pub fn remove(value: &mut Value, fields: &[&str]) {
    if let Some(map) = value.as_object_mut() {
        for field in fields {
            map.remove(*field);
        }
    }
}

/// The time now, as `metav1.Time`.
pub fn now_text() -> String {
    whole_seconds(Timestamp::now())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// The place `shop` of the tenant `acme`, for tests of translations.
    pub(crate) fn shop(tenant: &TenantView) -> Place<'_> {
        Place { tenant, namespace: "shop", super_namespace: "acme-shop-hash" }
    }

    #[test]
    fn no_super_namespace_is_read_by_the_tenant() {
        let tenant = TenantView::for_tests("acme", 7);
        let mut value = json!({"a": ["pod acme-shop-hash/web failed", 1], "b": {"c": "fine"}});
        shop(&tenant).scrub_all(&mut value);
        assert_eq!(value, json!({"a": ["pod shop/web failed", 1], "b": {"c": "fine"}}));
    }
}
