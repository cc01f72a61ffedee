//! What a super cluster says to an object itself, in words for the tenant. Pure functions.
//!
//! Guarantees: neither the super namespace nor as whom the platform acts there is told.

use crate::translation::{Place, Refusal};
use api_types::{ApiError, Reason};

/// The words of refusals that are not the object's fault: rights that we lack, a namespace that is still being set up or
/// torn down.
const OTHERS: [&str; 5] = [
    "looking up service account",
    "token found for service account",
    "being terminated",
    "not found",
    "User \"",
];

/// True when the super cluster says no to the object itself, so that the tenant should read why: quotas, webhooks, its Pod
/// Security Standard, fields that it does not know.
pub fn is_answer(error: &ApiError) -> bool {
    matches!(error.reason(), Reason::Forbidden | Reason::Invalid | Reason::BadRequest)
        && !OTHERS.iter().any(|other| error.message().contains(other))
}

/// Such a no, for the tenant's eyes.
pub fn told(place: Place<'_>, error: &ApiError) -> Refusal {
    Refusal::new("SuperClusterRefused", place.scrub(error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::TenantView;
    use crate::translation::tests::shop;
    use api_types::GroupResource;

    #[test]
    fn tenants_read_what_is_about_their_object() {
        let services = GroupResource::new("", "services");
        let forbidden = |why: &str| ApiError::forbidden(&services, "web", why);
        for (error, expected) in [
            (forbidden("exceeded quota: q, used: services=5"), true),
            (forbidden("admission webhook \"a.b\" denied the request: no"), true),
            (ApiError::bad_request("strict decoding error: unknown field"), true),
            (
                forbidden("error looking up service account x/default: serviceaccount \"default\" not found"),
                false,
            ),
            (forbidden("User \"insula\" cannot create resource"), false),
            (forbidden("unable to create new content in namespace x because it is being terminated"), false),
            (ApiError::not_found(&services, "web"), false),
            (ApiError::too_many_requests("slow down", 1), false),
            (ApiError::internal("webhook timed out"), false),
        ] {
            assert_eq!(is_answer(&error), expected, "{error}");
        }
        let tenant = TenantView::for_tests("acme", 7);
        let refusal = told(shop(&tenant), &forbidden("no more in acme-shop-hash"));
        assert!(refusal.message.contains("no more in shop"), "{}", refusal.message);
    }
}
