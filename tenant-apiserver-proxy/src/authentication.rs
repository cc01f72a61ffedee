//! Who makes a request: a client certificate or a token, verified with the plane's own keys only.

use crate::pki;
use crate::planes::{Plane, PlaneKind};
use crate::secret_tokens::{self, Remarks};
use crate::server::Server;
use crate::standing::Standing;
use crate::tokens::{self, Claims};
use api_types::ApiError;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use x509_parser::der_parser::Oid;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

/// The user of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The UID; empty when unknown.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// More, by key.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// The user of a request without credentials.
    pub fn anonymous() -> Self {
        User {
            name: "system:anonymous".into(),
            groups: vec!["system:unauthenticated".into()],
            ..User::default()
        }
    }

    /// True for the user of a request without credentials.
    pub fn is_anonymous(&self) -> bool {
        self.name == "system:anonymous"
    }

    /// A user that proved who it is. Whoever proved to be nobody, or says of itself whether it is known, is left so.
    pub fn authenticated(name: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        const KNOWN: &str = "system:authenticated";
        let mut user = User { name: name.into(), groups: groups.into_iter().collect(), ..User::default() };
        let says = |group: &String| matches!(group.as_str(), KNOWN | "system:unauthenticated");
        if !user.is_anonymous() && !user.groups.iter().any(says) {
            user.groups.push(KNOWN.into());
        }
        user
    }

    /// May do everything in its plane.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == "system:masters")
    }
}

/// What a request carries to prove who makes it.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The client certificate of the connection, DER.
    pub certificate: Option<Arc<Vec<u8>>>,
    /// The bearer token.
    pub token: Option<String>,
}

/// The plane that the credentials belong to by their own, unverified word; `None`: they name none of ours.
pub fn claimed_plane(server: &Server, credentials: &Credentials) -> Option<Arc<Plane>> {
    if let Some(plane) = credentials.certificate.as_ref().and_then(|der| plane_of_certificate(server, der)) {
        return Some(plane);
    }
    if let Some(token) = &credentials.token {
        let issuer = tokens::unverified_issuer(token)?;
        let path = match issuer.as_str() {
            secret_tokens::ISSUER => secret_tokens::unverified_path(token)?,
            issuer => server.addresses.path_of(issuer)?.to_owned(),
        };
        return match crate::request_info::plane_of(&path) {
            crate::request_info::PlanePath::Tenant(name, _) => server.planes.named(PlaneKind::Tenant, name),
            crate::request_info::PlanePath::Super(name, _) => server.planes.named(PlaneKind::Super, name),
            crate::request_info::PlanePath::Root(_) => None,
        };
    }
    None
}

fn plane_of_certificate(server: &Server, der: &[u8]) -> Option<Arc<Plane>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let issuer = certificate.issuer().iter_common_name().next()?.as_str().ok()?.to_owned();
    let id = issuer.strip_prefix(AUTHORITY_PREFIX)?;
    server.planes.get(api_types::TenantId::parse(id)?)
}

/// The common name of a plane's client CA is this and the plane's UID.
pub const AUTHORITY_PREFIX: &str = "insula:";

/// Who makes a request, and until when the credentials prove it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user.
    pub user: User,
    /// In seconds since 1970; `None`: nothing expires.
    pub expires: Option<i64>,
    /// What they stand on.
    pub standing: Standing,
}

/// Finds out who makes the request. A certificate that proves somebody comes before a token, as in Kubernetes. Wrong
/// credentials are 401, no credentials are the anonymous user.
pub async fn authenticate(
    server: &Server,
    plane: &Plane,
    credentials: &Credentials,
    remarks: &mut Remarks,
) -> Result<Identity, ApiError> {
    let certificate = credentials.certificate.as_ref();
    if let Some(identity) = certificate.and_then(|der| certificate_identity(server, plane, der)) {
        return Ok(identity);
    }
    if let Some(token) = &credentials.token {
        if secret_tokens::is_one(token) {
            let found = secret_token_user(server, plane, token, remarks).await;
            return found.map_err(|_| ApiError::unauthorized());
        }
        return match user_of_issuer(server, plane, token).await {
            Some(answered) => answered,
            None => token_user(server, plane, token, remarks).ok_or_else(ApiError::unauthorized),
        };
    }
    match certificate {
        Some(_) => Err(ApiError::unauthorized()),
        None => Ok(Identity { user: User::anonymous(), expires: None, standing: Standing::Nothing }),
    }
}

/// The user of a token of one of the tenant's issuers, or why it is not taken; `None` when none of them is said to have
/// issued it. The plane's own tokens are nobody else's.
pub async fn user_of_issuer(
    server: &Server,
    plane: &Plane,
    token: &str,
) -> Option<Result<Identity, ApiError>> {
    if plane.oidc.is_empty() {
        return None;
    }
    let issuer = tokens::unverified_issuer(token)?;
    let found = plane.oidc.of(&issuer)?;
    if server.addresses.issuers(plane).contains(&issuer) {
        return None;
    }
    Some(found.authenticate(&plane.dialer, token).await)
}

/// Whether the credentials have been proved before, and nothing says that they expired: finding that out costs next to
/// nothing.
pub fn is_known(plane: &Plane, credentials: &Credentials) -> bool {
    let now = Timestamp::now().as_second();
    if credentials.certificate.as_ref().is_some_and(|certificate| plane.certificates.knows(certificate, now))
    {
        return true;
    }
    match &credentials.token {
        Some(token) => {
            plane.tokens.knows(token.as_bytes(), now)
                || plane.secret_tokens.knows(token.as_bytes(), now)
                || plane.oidc.knows(token, now)
        }
        None => credentials.certificate.is_none(),
    }
}

/// The user of a token for the plane's own audience. Its signature is verified once.
fn token_user(server: &Server, plane: &Plane, token: &str, remarks: &mut Remarks) -> Option<Identity> {
    let now = Timestamp::now().as_second();
    let verify = || {
        let issuers = server.addresses.issuers(plane);
        let keys = server.stored_token_keys(plane)?;
        let proved = tokens::verify(&keys.1, token, &issuers, &issuers, now).ok()?;
        let expires = proved.claims.exp;
        Some((proved, expires))
    };
    let proved = plane.tokens.get(token.as_bytes(), now, verify)?;
    remarks.stale(&proved.claims, now);
    let identity = Identity {
        user: service_account(&proved.claims),
        expires: Some(proved.claims.exp),
        standing: Standing::Token(proved),
    };
    stands(server, plane, &identity.standing)?;
    Some(identity)
}

/// The user of a token that a Secret holds, or why it is not taken. Its signature is verified once.
pub async fn secret_token_user(
    server: &Server,
    plane: &Plane,
    token: &str,
    remarks: &mut Remarks,
) -> Result<Identity, String> {
    let now = Timestamp::now().as_second();
    let verify = || Some((secret_tokens::verify(server, plane, token, now)?, i64::MAX));
    let kept = plane.secret_tokens.get(token.as_bytes(), now, verify);
    let unsigned = || "go-jose/go-jose: error in cryptographic primitive".to_owned();
    let kept = kept.ok_or_else(unsigned)?;
    kept.take(server, plane, remarks).await?;
    let identity = Identity { user: kept.user(), expires: None, standing: Standing::Secret(kept) };
    // Its key may be believed no more.
    stands(server, plane, &identity.standing).ok_or_else(unsigned)?;
    Ok(identity)
}

/// What credentials stand on is there.
fn stands(server: &Server, plane: &Plane, standing: &Standing) -> Option<()> {
    let until = standing.until(server, plane)?;
    (Timestamp::now().as_second() < until).then_some(())
}

/// By what a user has proved who it is.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// The user of a verified token.
pub fn service_account(claims: &Claims) -> User {
    let bound = &claims.bound;
    let mut user = User::authenticated(
        format!("system:serviceaccount:{}:{}", bound.namespace, bound.serviceaccount.name),
        ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{}", bound.namespace)],
    );
    user.uid = bound.serviceaccount.uid.clone();
    user.extra.insert(CREDENTIAL.into(), vec![format!("JTI={}", claims.jti)]);
    if let Some(pod) = &bound.pod {
        user.extra.insert("authentication.kubernetes.io/pod-name".into(), vec![pod.name.clone()]);
        user.extra.insert("authentication.kubernetes.io/pod-uid".into(), vec![pod.uid.clone()]);
    }
    if let Some(node) = &bound.node {
        user.extra.insert("authentication.kubernetes.io/node-name".into(), vec![node.name.clone()]);
        if !node.uid.is_empty() {
            user.extra.insert("authentication.kubernetes.io/node-uid".into(), vec![node.uid.clone()]);
        }
    }
    user
}

/// The user of a client certificate. Its signature is verified once.
fn certificate_identity(server: &Server, plane: &Plane, der: &[u8]) -> Option<Identity> {
    let verify = || {
        let identity = certificate_user(server, plane, der)?;
        let expires = identity.expires.unwrap_or(i64::MAX);
        Some((identity, expires))
    };
    let identity = plane.certificates.get(der, Timestamp::now().as_second(), verify)?;
    stands(server, plane, &identity.standing)?;
    Some((*identity).clone())
}

/// The user of a client certificate: signed by the plane's client CA, for clients, and now.
fn certificate_user(server: &Server, plane: &Plane, der: &[u8]) -> Option<Identity> {
    let authorities = server.client_authorities(plane)?;
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let mut believed = authorities.1.standing(Timestamp::now().as_second());
    let signer = believed.find(|authority| has_signed(&authority.key.0, &certificate))?;
    let usage = certificate.extended_key_usage().ok()??;
    let for_clients = usage.value.client_auth || usage.value.any;
    if !for_clients || certificate.is_ca() || !certificate.validity().is_valid() {
        return None;
    }
    let subject = certificate.subject();
    let expires = Some(certificate.validity().not_after.timestamp());
    let standing = Standing::Certificate(signer.id.clone());
    // Of several names the last one counts. A certificate without one is nobody's.
    let name = subject.iter_common_name().last().map_or(Ok(""), |name| name.as_str()).ok()?;
    if name.is_empty() {
        return Some(Identity { user: User::anonymous(), expires, standing });
    }
    let organizations = subject.iter_organization().filter_map(|o| o.as_str().ok().map(str::to_owned));
    let groups = organizations.filter(|group| group != crate::stages::PLATFORM);
    let mut user = User::authenticated(name, groups);
    user.uid = uid_of(subject)?;
    // Those of admins are the platform's, which renews them: which one it was tells nobody anything.
    if user.is_master() {
        return Some(Identity { user, expires, standing });
    }
    let digest: String = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
    user.extra.insert(CREDENTIAL.into(), vec![format!("X509SHA256={digest}")]);
    Some(Identity { user, expires, standing })
}

/// Whether an authority signed a certificate.
fn has_signed(authority: &[u8], certificate: &X509Certificate<'_>) -> bool {
    let Ok((_, authority)) = X509Certificate::from_der(authority) else { return false };
    // Only keys that we make ourselves sign: anything else is no client CA of ours.
    matches!(authority.public_key().parsed(), Ok(PublicKey::EC(_)))
        && certificate.verify_signature(Some(authority.public_key())).is_ok()
}

/// The UID that a subject says, empty when it says none; `None` when it says more than one, or none that is text.
fn uid_of(subject: &X509Name<'_>) -> Option<String> {
    let attribute = Oid::from(pki::UID_ATTRIBUTE).ok()?;
    let mut said = subject.iter_by_oid(&attribute);
    let uid = said.next().map_or(Some(""), |uid| uid.as_str().ok())?;
    said.next().is_none().then(|| uid.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_somebody_belongs_to_all_who_are() {
        for (name, groups, expected) in [
            ("ann", &["dev"][..], &["dev", "system:authenticated"][..]),
            ("ann", &["system:authenticated", "dev"], &["system:authenticated", "dev"]),
            ("ann", &["system:unauthenticated"], &["system:unauthenticated"]),
            ("system:anonymous", &["dev"], &["dev"]),
        ] {
            let user = User::authenticated(name, groups.iter().map(|group| (*group).to_owned()));
            assert_eq!(user.groups, expected, "{name}");
        }
    }
}
