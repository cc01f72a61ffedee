//! Whom the dialer believes: the certificates of a caBundle, else those that the system trusts.
//!
//! A certificate that is itself in the bundle is believed as it is, for its names and its time: bundles of one
//! self-signed certificate are common, and Kubernetes takes them. With `insecureSkipTLSVerify` whoever answers is
//! believed.

use super::DialError;
use crate::pki::KeyedCertificate;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, LazyLock};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What the system trusts, read once.
static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    Arc::new(roots)
});

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// Whom to believe, and who one is oneself.
#[derive(Clone, Copy)]
pub struct Trust<'a> {
    /// The certificates to believe, PEM; empty: those that the system trusts. `None`: everybody is believed.
    pub bundle: Option<&'a [u8]>,
    /// What is shown to who asks for a certificate.
    pub identity: Option<&'a Arc<CertifiedKey>>,
}

impl<'a> Trust<'a> {
    /// Who has a certificate of this bundle (empty: of the system) is believed.
    pub fn bundle(bundle: &'a [u8]) -> Self {
        Trust { bundle: Some(bundle), identity: None }
    }
}

/// A certificate and its key as they are shown.
pub fn identity(keyed: &KeyedCertificate) -> Result<Arc<CertifiedKey>, DialError> {
    let failed = |error: &dyn std::fmt::Display| DialError::Tls(format!("our own certificate: {error}"));
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(keyed.certificate_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::from_pem_slice(keyed.key_pem.as_bytes()).map_err(|error| failed(&error))?;
    let key = provider().key_provider.load_private_key(key).map_err(|error| failed(&error))?;
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// How to speak to who is to be believed.
pub(super) fn client(trust: Trust<'_>) -> Result<Arc<ClientConfig>, DialError> {
    let failed =
        |error: &dyn std::fmt::Display| DialError::Tls(format!("the caBundle cannot be used: {error}"));
    let mut pinned = Vec::new();
    let roots = match trust.bundle {
        None | Some([]) => SYSTEM.clone(),
        Some(bundle) => {
            let mut roots = RootCertStore::empty();
            for found in rustls_pemfile::certs(&mut &*bundle) {
                let found = found.map_err(|error| failed(&error))?;
                roots.add(found.clone()).map_err(|error| failed(&error))?;
                pinned.push(found);
            }
            if pinned.is_empty() {
                return Err(DialError::Bundle);
            }
            Arc::new(roots)
        }
    };
    let chain = WebPkiServerVerifier::builder_with_provider(roots, provider());
    let chain = chain.build().map_err(|error| failed(&error))?;
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.map_err(|error| failed(&error))?;
    let verifier = Arc::new(Verifier { chain, pinned, believes_all: trust.bundle.is_none() });
    let config = config.dangerous().with_custom_certificate_verifier(verifier);
    Ok(Arc::new(match trust.identity {
        Some(identity) => {
            config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.clone())))
        }
        None => config.with_no_client_auth(),
    }))
}

#[derive(Debug)]
struct Verifier {
    chain: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    believes_all: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.believes_all {
            return Ok(ServerCertVerified::assertion());
        }
        if !self.pinned.iter().any(|pinned| pinned.as_ref() == end_entity.as_ref()) {
            return self.chain.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        }
        let bad = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
        let (_, certificate) = X509Certificate::from_der(end_entity).map_err(bad)?;
        if !certificate.validity().is_valid() {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
