//! Kubeconfig files.

use crate::pki::KeyedCertificate;
use base64::Engine;
use serde_json::Value;

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
///
/// It is put together here, and only its names are left to a writer of YAML: certificates and keys are plain texts in any
/// case, and a writer, which has to find that out, takes longer for them than it takes to make them.
pub fn render(contexts: &[Context<'_>], ca_pem: &str) -> String {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let ca = encode(ca_pem);
    let [mut clusters, mut users, mut entries] = [String::new(), String::new(), String::new()];
    for context in contexts {
        let (name, server) = (scalar(context.name), scalar(context.server));
        let user = scalar(&format!("{}@{}", context.user, context.name));
        let certificate = encode(&context.credentials.certificate_pem);
        let key = encode(&context.credentials.key_pem);
        clusters += &format!(
            "- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: {name}\n"
        );
        entries += &format!(
            "- context:\n    cluster: {name}\n    namespace: default\n    user: {user}\n  name: {name}\n"
        );
        users += &format!(
            "- name: {user}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n"
        );
    }
    let current = scalar(contexts.first().map_or("", |context| context.name));
    format!(
        "apiVersion: v1\nclusters:\n{clusters}contexts:\n{entries}current-context: {current}\nkind: Config\nusers:\n{users}"
    )
}

/// A text as YAML has it in a line.
fn scalar(of: &str) -> String {
    text(&Value::from(of)).trim_end().to_owned()
}

/// A kubeconfig as YAML that clients in Go read as it is meant, also with names such as `off`.
pub fn text(config: &Value) -> String {
    let yaml = api_schema::encode::yaml(config).unwrap_or_default();
    String::from_utf8(yaml).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_what_a_writer_of_yaml_makes_of_the_same() {
        let keyed = |what: &str| KeyedCertificate {
            certificate_pem: format!("certificate of {what}"),
            key_pem: format!("key of {what}"),
        };
        let names = ["acme", "off", "123"];
        let credentials = names.map(keyed);
        let contexts: Vec<Context<'_>> = names
            .iter()
            .zip(&credentials)
            .map(|(name, credentials)| Context {
                name,
                server: "https://[::1]:7443/tenants/a",
                user: "admin",
                credentials,
            })
            .collect();
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "acme",
            "clusters": names.map(|name| json!({"name": name, "cluster": {
                "server": "https://[::1]:7443/tenants/a", "certificate-authority-data": base64("CA\n")}})),
            "users": names.map(|name| json!({"name": format!("admin@{name}"), "user": {
                "client-certificate-data": base64(&keyed(name).certificate_pem),
                "client-key-data": base64(&keyed(name).key_pem)}})),
            "contexts": names.map(|name| json!({"name": name, "context": {
                "cluster": name, "user": format!("admin@{name}"), "namespace": "default"}})),
        });
        assert_eq!(render(&contexts, "CA\n"), text(&config));
    }

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
