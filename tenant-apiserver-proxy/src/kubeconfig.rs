//! Kubeconfig files.

use crate::pki::KeyedCertificate;
use base64::Engine;
use serde_json::{Value, json};

/// One context: a plane and a user of it.
pub struct Context<'a> {
    /// The name of context, cluster and (with the user's name before it) user.
    pub name: &'a str,
    /// The address of the plane.
    pub server: &'a str,
    /// The user.
    pub user: &'a str,
    /// Their certificate and key.
    pub credentials: &'a KeyedCertificate,
}

/// A kubeconfig with these contexts; the first is current.
pub fn render(contexts: &[Context<'_>], ca_pem: &str) -> String {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let user = |context: &Context<'_>| format!("{}@{}", context.user, context.name);
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": contexts.iter().map(|c| json!({"name": c.name, "cluster": {
            "server": c.server, "certificate-authority-data": encode(ca_pem)}})).collect::<Vec<_>>(),
        "users": contexts.iter().map(|c| json!({"name": user(c), "user": {
            "client-certificate-data": encode(&c.credentials.certificate_pem),
            "client-key-data": encode(&c.credentials.key_pem)}})).collect::<Vec<_>>(),
        "contexts": contexts.iter().map(|c| json!({"name": c.name, "context": {
            "cluster": c.name, "user": user(c), "namespace": "default"}})).collect::<Vec<_>>(),
        "current-context": contexts.first().map_or("", |c| c.name),
    });
    text(&config)
}

/// A kubeconfig as YAML that clients in Go read as it is meant, also with names such as `off`.
pub fn text(config: &Value) -> String {
    let yaml = api_schema::encode::yaml(config).unwrap_or_default();
    String::from_utf8(yaml).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_words_of_yaml_stay_names() {
        for name in ["off", "yes", "n", "null", "123", "1e3"] {
            let told = text(&json!({"current-context": name}));
            assert!(
                told == format!("current-context: \"{name}\"\n")
                    || told == format!("current-context: '{name}'\n"),
                "{told}"
            );
        }
        assert_eq!(text(&json!({"current-context": "acme"})), "current-context: acme\n");
    }
}
