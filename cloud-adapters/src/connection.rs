//! What a tenant needs to use a database, and the Secret that tells it. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng;
use rand::distr::Alphanumeric;
use serde_json::{Map, Value};
use std::fmt;

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A password. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// A password that was read.
    pub fn new(text: impl Into<String>) -> Self {
        Password(text.into())
    }

    /// 40 letters and digits: 238 bits.
    pub fn random() -> Self {
        Password(rand::rng().sample_iter(Alphanumeric).take(40).map(char::from).collect())
    }

    /// The text, for those who log in.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How a database is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// A host name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The role.
    pub username: String,
    /// Its password.
    pub password: Password,
    /// The database.
    pub database: String,
    /// `sslmode` of the URI: `disable`, `prefer` or `require`.
    pub ssl_mode: &'static str,
}

impl Connection {
    /// `host:port`, with brackets around an IPv6 address.
    pub fn endpoint(&self) -> String {
        endpoint(&self.host, self.port)
    }

    /// The connection URI of libpq. Everything that is not plain is percent-encoded.
    pub fn uri(&self) -> String {
        let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        format!(
            "postgresql://{}:{}@{}/{}?sslmode={}",
            encode(&self.username),
            encode(self.password.reveal()),
            self.endpoint(),
            encode(&self.database),
            self.ssl_mode
        )
    }

    /// `data` of the Secret.
    pub fn secret_data(&self) -> Map<String, Value> {
        [
            ("host", self.host.clone()),
            ("port", self.port.to_string()),
            ("username", self.username.clone()),
            ("password", self.password.reveal().to_owned()),
            ("database", self.database.clone()),
            ("uri", self.uri()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), STANDARD.encode(value).into()))
        .collect()
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub fn endpoint(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// One key of a Secret as text.
pub fn secret_text(secret: &Value, key: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(secret["data"][key].as_str()?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn connection(host: &str, password: &str) -> Connection {
        Connection {
            host: host.to_owned(),
            port: 5432,
            username: "insula-acme_shop_orders~1".to_owned(),
            password: Password::new(password),
            database: "insula-acme-orders".to_owned(),
            ssl_mode: "prefer",
        }
    }

    #[test]
    fn a_uri_keeps_odd_characters_apart() {
        assert_eq!(
            connection("db.example.com", "p@ss:w/rd?#[% ü").uri(),
            "postgresql://insula-acme_shop_orders~1:p%40ss%3Aw%2Frd%3F%23%5B%25%20%C3%BC@db.example.com:5432\
             /insula-acme-orders?sslmode=prefer"
        );
        assert!(connection("::1", "x").uri().contains("@[::1]:5432/"));
    }

    #[test]
    fn a_secret_has_the_documented_keys() {
        let secret = json!({"data": connection("h", "p").secret_data()});
        for (key, value) in
            [("host", "h"), ("port", "5432"), ("password", "p"), ("database", "insula-acme-orders")]
        {
            assert_eq!(secret_text(&secret, key).as_deref(), Some(value));
        }
        assert_eq!(secret["data"].as_object().unwrap().len(), 6);
        assert_eq!(secret_text(&secret, "missing"), None);
    }

    #[test]
    fn passwords_are_random_and_not_printed() {
        let many: BTreeSet<String> = (0..50).map(|_| Password::random().0).collect();
        assert!(many.len() == 50 && many.iter().all(|p| p.len() == 40));
        assert!(!format!("{:?}", connection("h", "hush")).contains("hush"));
    }

    proptest! {
        #[test]
        fn a_client_reads_back_what_was_written(password in "\\PC{1,30}", host in "[a-z]{1,8}\\.example") {
            let connection = connection(&host, &password);
            let read: tokio_postgres::Config = connection.uri().parse().unwrap();
            prop_assert_eq!(read.get_password(), Some(password.as_bytes()));
            prop_assert_eq!(read.get_user(), Some(connection.username.as_str()));
            prop_assert_eq!(read.get_dbname(), Some(connection.database.as_str()));
        }
    }
}
