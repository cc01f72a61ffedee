//! Whose token it is, as a TokenReview asks, and in Kubernetes' words why it is nobody's.

use crate::authentication::{self, User};
use crate::planes::Plane;
use crate::secret_tokens::{self, Remarks};
use crate::server::Server;
use crate::stages::Authorized;
use crate::standing;
use crate::tokens::{self, Claims};
use serde_json::{Value, json};

/// Whose a token is, and for which of the audiences that were asked for.
type Found = (User, Vec<String>);

/// The `status` of a review.
pub async fn status(server: &Server, auth: &Authorized, spec: &Value) -> Value {
    let plane = auth.plane();
    let own = server.addresses.issuers(plane);
    let mut audiences = super::reviews::texts(&spec["audiences"]);
    if audiences.is_empty() {
        audiences.clone_from(&own);
    }
    // The token is read as that of a request is.
    let sent = format!("Bearer {}", spec["token"].as_str().unwrap_or(""));
    let Some(token) = sent.trim().split(' ').nth(1).filter(|token| !token.is_empty()) else {
        return json!({"user": {}});
    };
    let mut remarks = Remarks::default();
    let found = find(server, plane, token, &audiences, &own, &mut remarks).await;
    remarks.notes.into_iter().for_each(|(key, value)| auth.note(key, value));
    remarks.warning.into_iter().for_each(|warning| auth.warn(warning));
    match found {
        Some(Ok((user, audiences))) => {
            json!({"authenticated": true, "user": super::reviews::user_info(&user), "audiences": audiences})
        }
        Some(Err(why)) => json!({"user": {}, "error": format!("[invalid bearer token, {why}]")}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    }
}

/// `None`: nobody says anything of such a token.
async fn find(
    server: &Server,
    plane: &Plane,
    token: &str,
    audiences: &[String],
    own: &[String],
    remarks: &mut Remarks,
) -> Option<Result<Found, String>> {
    let issuer = tokens::unverified_issuer(token)?;
    // A token of a tenant's issuer is for the plane, whatever its audience is called there, and so is one in a Secret.
    let of_plane: Vec<String> = audiences.iter().filter(|asked| own.contains(asked)).cloned().collect();
    if issuer == secret_tokens::ISSUER {
        return Some(if of_plane.is_empty() {
            Err(tokens::wrong_audience(own, audiences))
        } else {
            let found = authentication::secret_token_user(server, plane, token, remarks).await;
            found.map(|identity| (identity.user, of_plane))
        });
    }
    if own.contains(&issuer) {
        return Some(bound(server, plane, token, audiences, own));
    }
    if of_plane.is_empty() {
        return None;
    }
    let found = authentication::user_of_issuer(server, plane, token).await?.ok()?;
    Some(Ok((found.user, of_plane)))
}

fn bound(
    server: &Server,
    plane: &Plane,
    token: &str,
    audiences: &[String],
    own: &[String],
) -> Result<Found, String> {
    let keys = server.stored_token_keys(plane).ok_or("invalid signature, no keys found")?;
    let now = crate::plane_keys::now();
    let claims = tokens::verify(&keys.1, token, own, audiences, now)?.claims;
    stand(server, plane, &claims, now)?;
    let matching = audiences.iter().filter(|asked| claims.aud.contains(asked)).cloned().collect();
    Ok((authentication::service_account(&claims), matching))
}

/// What a token is bound to is there.
fn stand(server: &Server, plane: &Plane, claims: &Claims, now: i64) -> Result<(), String> {
    let namespace = &claims.bound.namespace;
    for (object, uid) in standing::bonds(claims) {
        let (resource, name) = (&object.resource.resource, &object.object.name);
        let of_account = resource == "serviceaccounts";
        let Some(found) = server.cache.get(plane.id, &object.resource, &object.object) else {
            return Err(match of_account {
                true => format!("serviceaccounts {name:?} not found"),
                false => "service account token has been invalidated".to_owned(),
            });
        };
        if found.meta.uid != uid {
            let kind = resource.trim_end_matches('s');
            return Err(match of_account {
                true => format!("service account UID ({}) does not match claim ({uid})", found.meta.uid),
                false => {
                    let of = format!("service account {kind} ref claim ({uid})");
                    format!("{kind} UID ({}) does not match {of}", found.meta.uid)
                }
            });
        }
        if standing::until(server, plane, &object, uid).is_none_or(|until| until <= now) {
            return Err(match of_account {
                true => format!("service account {namespace}/{name} has been deleted"),
                false => "service account token has been invalidated".to_owned(),
            });
        }
    }
    Ok(())
}
