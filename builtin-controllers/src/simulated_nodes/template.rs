//! What nodes are made like that are registered at the start.

use super::nodes::node;
use api_resources::{kinds, metadata};
use api_schema::builtin;
use api_schema::decode::{FieldValidation, decode_value};
use api_schema::default::apply_defaults;
use api_schema::quantity::Quantity;
use serde_json::{Map, Value};

/// What is said of a node before it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub(super) labels: Map<String, Value>,
    pub(super) annotations: Map<String, Value>,
    pub(super) taints: Vec<Value>,
    /// By resource, in place of what all have.
    pub(super) capacity: Map<String, Value>,
}

/// What may be said, by path; everything else is refused.
const KNOWN: &[&str] =
    &["apiVersion", "kind", "metadata.labels", "metadata.annotations", "spec.taints", "status.capacity"];

impl Template {
    /// Reads a `Node`. The error says what is wrong and where.
    pub fn of(node: &Value) -> Result<Template, String> {
        let top = node.as_object().ok_or("a template is a Node (apiVersion: v1, kind: Node)")?;
        if node["apiVersion"] != "v1" || node["kind"] != "Node" {
            return Err("a template is a Node: apiVersion: v1, kind: Node".to_owned());
        }
        for (field, value) in top {
            let below = ["metadata", "spec", "status"].contains(&field.as_str());
            let inner = value.as_object().filter(|_| below).into_iter().flatten();
            let paths: Vec<String> = match below {
                true => inner.map(|(name, _)| format!("{field}.{name}")).collect(),
                false => vec![field.clone()],
            };
            if let Some(unknown) = paths.iter().find(|path| !KNOWN.contains(&path.as_str())) {
                return Err(format!(
                    "{unknown} cannot be said of all nodes; what can: {}",
                    KNOWN[2..].join(", ")
                ));
            }
        }
        let texts = |field: &str| match &node["metadata"][field] {
            Value::Null => Ok(Map::new()),
            Value::Object(map) if map.values().all(Value::is_string) => Ok(map.clone()),
            _ => Err(format!("metadata.{field} is a map of texts")),
        };
        let capacity = match &node["status"]["capacity"] {
            Value::Null => Map::new(),
            Value::Object(map) => map.clone(),
            _ => return Err("status.capacity is a map of amounts".to_owned()),
        };
        let mut amounts = Map::new();
        for (resource, amount) in capacity {
            // YAML reads `cpu: 4` as a number.
            let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
            if Quantity::parse(&text).map_or(true, |amount| amount.billionths() < 0) {
                return Err(format!(
                    "status.capacity.{resource}: {text:?} is not an amount such as 4 or 8Gi"
                ));
            }
            amounts.insert(resource, text.into());
        }
        let taints = match &node["spec"]["taints"] {
            Value::Null => Vec::new(),
            Value::Array(taints) => taints.clone(),
            _ => return Err("spec.taints is a list".to_owned()),
        };
        let (labels, annotations) = (texts("labels")?, texts("annotations")?);
        let template = Template { labels, annotations, taints, capacity: amounts };
        template.check()?;
        Ok(template)
    }

    /// Says why the API server would not take a node like this.
    fn check(&self) -> Result<(), String> {
        let mut node = node(0, self);
        if !self.capacity.is_empty() {
            node["status"]["capacity"] = self.capacity.clone().into();
        }
        let Some(kind) = builtin::kind("", "v1", "Node") else { return Ok(()) };
        let root = builtin::graph().at(kind);
        let decoded =
            decode_value(&node, root, FieldValidation::Strict).map_err(|error| error.to_string())?;
        node = decoded.value;
        apply_defaults(root, &mut node);
        let strategy = kinds::strategy("", "Node");
        (strategy.default)(&mut node);
        (strategy.prepare_create)(&mut node);
        let mut causes = metadata::validate_create(&node, false, strategy.validate_name);
        causes.extend((strategy.validate_create)(&node));
        let told: Vec<String> = causes.iter().map(ToString::to_string).collect();
        // Kubernetes' own words have taints at another place.
        let told = told.join("; ").replace("metadata.taints[", "spec.taints[");
        if told.is_empty() { Ok(()) } else { Err(told) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(mut node: Value) -> Result<Template, String> {
        node["apiVersion"] = "v1".into();
        node["kind"] = "Node".into();
        Template::of(&node)
    }

    #[test]
    fn templates_are_read() {
        let template = of(json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}, "status": {"capacity": {"cpu": 4, "memory": "8Gi"}}}));
        let template = template.unwrap();
        assert_eq!((&template.labels["a"], &template.annotations["c"]), (&json!("b"), &json!("d")));
        assert_eq!(Value::from(template.capacity), json!({"cpu": "4", "memory": "8Gi"}));
        assert_eq!(template.taints.len(), 1);
        assert_eq!(of(json!({})), Ok(Template::default()));
    }

    #[test]
    fn what_cannot_be_said_is_refused_by_name() {
        for (node, why) in [
            (json!({"metadata": {"name": "x"}}), "metadata.name"),
            (json!({"spec": {"podCIDR": "10.0.0.0/24"}}), "spec.podCIDR"),
            (json!({"status": {"conditions": []}}), "status.conditions"),
            (json!({"data": {}}), "data"),
            (json!({"status": {"capacity": {"cpu": "much"}}}), "status.capacity.cpu"),
            (json!({"metadata": {"labels": {"a": 1}}}), "metadata.labels"),
            (json!({"spec": {"taints": {}}}), "spec.taints"),
            (json!({"spec": {"taints": [{"key": "k", "effect": "Sometimes"}]}}), "spec.taints[0].effect"),
            (json!({"spec": {"taints": [{"effect": "NoSchedule"}]}}), "spec.taints[0].key"),
            (
                json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule", "until": "noon"}]}}),
                "strict decoding error: unknown field \"spec.taints[0].until\"",
            ),
            (json!({"metadata": {"labels": {"a b": "c"}}}), "metadata.labels"),
            (json!({"metadata": {"labels": {"a": "b c"}}}), "metadata.labels"),
            (json!({"metadata": {"annotations": {"a b": "c"}}}), "metadata.annotations"),
        ] {
            let told = of(node).unwrap_err();
            assert!(told.starts_with(why), "{told}");
        }
        assert!(Template::of(&json!({"kind": "Pod", "apiVersion": "v1"})).is_err());
        assert!(Template::of(&json!([])).is_err());
    }
}
