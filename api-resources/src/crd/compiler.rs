//! Compiling schemas, each once: equal schemas of many tenants share what was compiled.

use super::row::{CompiledSchema, SchemaCompiler};
use crate::resource::CustomSchema;
use api_schema::GroupVersionKind;
use api_schema::crd::{CrdSchema, Verdict, compile};
use api_types::Cause;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

impl CustomSchema for CrdSchema {
    fn prune(&self, object: &mut Value) -> Vec<String> {
        CrdSchema::prune(self, object)
    }

    fn default(&self, object: &mut Value) {
        CrdSchema::default(self, object);
    }

    fn drop_nulls(&self, object: &mut Value) {
        CrdSchema::drop_nulls(self, object);
    }

    fn judge(&self, new: &Value, old: Option<&Value>) -> Verdict {
        CrdSchema::judge(self, new, old)
    }

    fn judge_new(&self, new: &Value, of_metadata: &[Cause]) -> Vec<Cause> {
        CrdSchema::judge_new(self, new, of_metadata)
    }

    fn judge_status(&self, new: &Value, old: Option<&Value>) -> Verdict {
        CrdSchema::judge_status(self, new, old)
    }
}

/// Compiles schemas and keeps them by the hash of their text for as long as any row uses them.
#[derive(Default)]
pub struct Compiler {
    kept: Mutex<HashMap<[u8; 32], Weak<CrdSchema>>>,
}

impl Compiler {
    /// How many different schemas are in use.
    pub fn in_use(&self) -> usize {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values().filter(|schema| schema.strong_count() > 0).count()
    }
}

impl SchemaCompiler for Compiler {
    fn compile(&self, _kind: &GroupVersionKind, schema: &Value) -> Result<CompiledSchema, Vec<Cause>> {
        let hash: [u8; 32] = Sha256::digest(schema.to_string()).into();
        let known = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|_, schema| schema.strong_count() > 0);
            kept.get(&hash).and_then(Weak::upgrade)
        };
        // Compiled without the lock: a large schema must not hold up other tenants. Two may compile the same; the
        // first to come back wins.
        let compiled = match known {
            Some(known) => known,
            None => {
                let fresh = Arc::new(compile(schema, false)?);
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                match kept.get(&hash).and_then(Weak::upgrade) {
                    Some(first) => first,
                    None => {
                        kept.insert(hash, Arc::downgrade(&fresh));
                        fresh
                    }
                }
            }
        };
        // 0 is that of what has no schema of its own.
        let short = hash.iter().take(8).fold(0u64, |short, byte| short << 8 | u64::from(*byte)).max(1);
        Ok(CompiledSchema {
            graph: compiled.graph.clone(),
            root: compiled.root,
            rules: compiled,
            hash: short,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind() -> GroupVersionKind {
        GroupVersionKind { group: "x.y".into(), version: "v1".into(), kind: "Z".into() }
    }

    #[test]
    fn equal_schemas_are_kept_once_and_no_longer_than_used() {
        let compiler = Compiler::default();
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object"}}});
        let first = compiler.compile(&kind(), &schema).unwrap();
        let second = compiler.compile(&kind(), &schema.clone()).unwrap();
        assert!(Arc::ptr_eq(&first.graph, &second.graph));
        let other = compiler.compile(&kind(), &json!({"type": "object"})).unwrap();
        assert_eq!(compiler.in_use(), 2);
        drop((first, second, other));
        assert_eq!(compiler.in_use(), 0);
    }

    #[test]
    fn a_compiled_schema_prunes_defaults_and_validates() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["size"],
            "properties": {"size": {"type": "integer", "minimum": 1, "default": 3}}}}});
        let rules = Compiler::default().compile(&kind(), &schema).unwrap().rules;
        let mut object =
            json!({"apiVersion": "x.y/v1", "kind": "Z", "metadata": {"name": "z"}, "spec": {"bogus": 1}});
        assert_eq!(rules.prune(&mut object), ["spec.bogus"]);
        rules.default(&mut object);
        assert_eq!(object["spec"], json!({"size": 3}));
        assert_eq!(rules.judge(&object, None).causes, []);
        object["spec"]["size"] = json!(0);
        assert_eq!(rules.judge(&object, None).causes[0].field, "spec.size");
    }

    #[test]
    fn defects_begin_at_the_schema() {
        let wrong = Compiler::default().compile(&kind(), &json!({"type": "string"})).err().unwrap();
        assert!(wrong[0].field.starts_with("openAPIV3Schema"), "{}", wrong[0].field);
    }
}
