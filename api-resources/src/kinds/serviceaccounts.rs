//! Service accounts.

use super::generic::plain;
use super::place::{each_mut, lookup};
use crate::resource::Strategy;
use serde_json::{Value, json};

/// How service accounts are written.
pub fn strategy() -> Strategy {
    Strategy {
        prepare_create: names_of_secrets,
        prepare_update: |new, _| names_of_secrets(new),
        warnings,
        ..plain()
    }
}

/// Of a reference to a secret only the name is kept.
fn names_of_secrets(account: &mut Value) {
    for secret in each_mut(account, "secrets") {
        *secret = json!({"name": lookup(secret, "name")});
    }
}

fn warnings(object: &Value) -> Vec<String> {
    let annotation = "kubernetes.io/enforce-mountable-secrets";
    let set = lookup(object, "metadata.annotations").get(annotation).is_some();
    let text = format!(
        "metadata.annotations[{annotation}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
    );
    set.then_some(text).into_iter().collect()
}
