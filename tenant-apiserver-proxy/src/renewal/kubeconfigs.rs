//! Kubeconfigs that the platform wrote: whether they are as they should be, and what they become.

use crate::cache::feed::store_key;
use crate::keyring::Ring;
use crate::kubeconfig;
use crate::pki::{self, KeyedCertificate, PkiError};
use crate::server::Server;
use api_types::{ResourceKey, TenantId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use object_store::{Precondition, Space};
use serde_json::Value;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

/// An object of the host plane, and what must hold for it to be replaced.
pub fn stored(server: &Server, key: &ResourceKey) -> Option<(Value, Precondition)> {
    let record = server.cache.get(TenantId::HOST, &key.resource, &key.object)?;
    let expected = Space::new(TenantId::HOST).expect(store_key(key), record.expected());
    Some((record.value().ok()?, expected))
}

/// The kubeconfig of one user of one plane.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    config: Value,
    /// The user's certificate, PEM.
    pub certificate_pem: String,
    /// The serving CAs that it names, PEM.
    ca_pem: String,
}

fn decoded(value: &Value) -> Option<String> {
    String::from_utf8(STANDARD.decode(value.as_str()?).ok()?).ok()
}

impl Kubeconfig {
    /// Reads one, base64. `None`: it has not one cluster and one user with a certificate, as the platform writes it.
    pub fn read(encoded: &Value) -> Option<Self> {
        let config: Value = serde_yaml_ng::from_str(&decoded(encoded)?).ok()?;
        let one = |list: &str| config[list].as_array().is_some_and(|all| all.len() == 1);
        if !one("clusters") || !one("users") {
            return None;
        }
        let certificate_pem = decoded(&config["users"][0]["user"]["client-certificate-data"])?;
        let ca_pem = decoded(&config["clusters"][0]["cluster"]["certificate-authority-data"])?;
        Some(Kubeconfig { config, certificate_pem, ca_pem })
    }

    /// As it is stored.
    pub fn encoded(&self) -> String {
        STANDARD.encode(kubeconfig::text(&self.config))
    }

    /// When its certificate is due.
    pub fn renewal(&self) -> Option<i64> {
        pki::renewal(&self.certificate_pem)
    }

    fn with(&self, user: Option<&KeyedCertificate>, ca_pem: &str) -> Self {
        let mut changed = self.clone();
        ca_pem.clone_into(&mut changed.ca_pem);
        changed.config["clusters"][0]["cluster"]["certificate-authority-data"] =
            STANDARD.encode(ca_pem).into();
        if let Some(user) = user {
            user.certificate_pem.clone_into(&mut changed.certificate_pem);
            let fields = &mut changed.config["users"][0]["user"];
            fields["client-certificate-data"] = STANDARD.encode(&user.certificate_pem).into();
            fields["client-key-data"] = STANDARD.encode(&user.key_pem).into();
        }
        changed
    }
}

/// True for a certificate that the key signed which signs now, and that is not due.
pub fn is_current(certificate_pem: &str, ring: &Ring, now: i64) -> bool {
    let at = pki::renewal(certificate_pem);
    at.is_some_and(|at| now < at)
        && signer(certificate_pem, ring).is_some_and(|id| id == ring.current(now).id())
}

/// The name of the key of a ring that signed a certificate, as the certificate itself says (RFC 5280, 4.2.1.1): the
/// platform wrote it, and nothing is let in by this. One that does not say is tried with each.
pub fn signer(certificate_pem: &str, ring: &Ring) -> Option<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
    let said = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    });
    let signed = |authority: &str| {
        let (_, pem) = x509_parser::pem::parse_x509_pem(authority.as_bytes()).ok()?;
        let (_, authority) = X509Certificate::from_der(&pem.contents).ok()?;
        let own = authority.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
            _ => None,
        });
        match (said, own) {
            (Some(said), Some(own)) => (said == own).then_some(()),
            _ => certificate.verify_signature(Some(authority.public_key())).ok(),
        }
    };
    ring.all().find(|entry| signed(&entry.certificate_pem).is_some()).map(crate::keyring::Entry::id)
}

/// The kubeconfig with what is due made anew; `None`: nothing is.
///
/// # Errors
/// A certificate cannot be signed.
pub fn renewed(
    found: &Kubeconfig,
    ring: &Ring,
    bundle: &str,
    now: i64,
) -> Result<Option<Kubeconfig>, PkiError> {
    if is_current(&found.certificate_pem, ring, now) {
        return Ok((found.ca_pem != bundle).then(|| found.with(None, bundle)));
    }
    let authority = ring.current(now).keyed();
    let user = pki::sign_client(&authority, "admin", Some("system:masters"), pki::CLIENT_VALID)?;
    Ok(Some(found.with(Some(&user), bundle)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Schedule;
    use crate::kubeconfig::{self, Context};
    use serde_json::json;

    #[test]
    fn what_is_due_is_made_anew_and_nothing_else_changes() {
        let now = crate::plane_keys::now();
        let ring = Ring::new(pki::make_authority("insula:a").unwrap());
        let sign = |ring: &Ring| {
            pki::sign_client(&ring.current(now).keyed(), "admin", None, pki::CLIENT_VALID).unwrap()
        };
        let user = sign(&ring);
        let context = Context { name: "a", server: "https://x/tenants/a", user: "admin", credentials: &user };
        let text = kubeconfig::render(&[context], "CA\n");
        let found = Kubeconfig::read(&json!(STANDARD.encode(text))).unwrap();
        assert!(renewed(&found, &ring, "CA\n", now).unwrap().is_none());

        let both = renewed(&found, &ring, "CA\nNEW\n", now).unwrap().unwrap();
        assert_eq!(
            (both.certificate_pem.as_str(), both.ca_pem.as_str()),
            (&*user.certificate_pem, "CA\nNEW\n")
        );
        let read = Kubeconfig::read(&both.encoded().into()).unwrap();
        assert_eq!(
            (&read.config["users"], &read.config["contexts"]),
            (&found.config["users"], &found.config["contexts"])
        );
        assert_eq!(read.config["clusters"][0]["cluster"]["server"], "https://x/tenants/a");

        // A third of its time is left.
        let at = found.renewal().unwrap();
        assert!(
            is_current(&user.certificate_pem, &ring, at - 1) && !is_current(&user.certificate_pem, &ring, at)
        );
        assert_ne!(
            renewed(&found, &ring, "CA\n", at).unwrap().unwrap().certificate_pem,
            user.certificate_pem
        );

        let made = pki::make_authority("insula:a").unwrap();
        let ring = ring.rotated(made, String::new(), Schedule { after: 10, overlap: 100 }, now).unwrap();
        assert!(renewed(&found, &ring, "CA\n", now).unwrap().is_none(), "the next one does not sign yet");
        let after = renewed(&found, &ring, "CA\n", now + 10).unwrap().unwrap();
        assert_eq!(signer(&after.certificate_pem, &ring), Some(ring.current(now + 10).id()));
        assert_eq!(signer(&user.certificate_pem, &ring), Some(ring.current(now).id()));
    }

    #[test]
    fn what_the_platform_did_not_write_is_left_alone() {
        for text in ["", "a: [", "users: []", "clusters: [{}]\nusers: [{user: {token: x}}]"] {
            assert!(Kubeconfig::read(&json!(STANDARD.encode(text))).is_none(), "{text}");
        }
        assert!(Kubeconfig::read(&json!("?")).is_none());
    }
}
