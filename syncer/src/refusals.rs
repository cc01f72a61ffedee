//! What a super cluster says to an object itself, in words for the tenant. Pure functions.
//!
//! Guarantees: no super namespace, the tenant's or another's, is told, nor as whom the platform acts there.

use crate::kinds::Kind;
use crate::translation::Refusal;
use api_types::{ApiError, Reason};

/// The words of refusals that are not the object's fault: rights that we lack, a namespace that is still being set up or
/// torn down.
const OTHERS: [&str; 4] =
    ["looking up service account", "token found for service account", "being terminated", "User \""];

/// Why a super cluster does not take an object.
#[derive(Clone, Debug)]
pub enum No {
    /// It says so.
    Said(ApiError),
    /// An object of this kind stands there already, which is not the tenant's. By its name in the tenant; `None` for what
    /// the tenant does not name.
    Taken(Kind, Option<String>),
}

impl No {
    /// In words for the tenant. `shown` gives a text of the super cluster without its names.
    pub fn told(&self, shown: impl Fn(&str) -> String) -> Refusal {
        match self {
            No::Said(error) => Refusal::new("SuperClusterRefused", shown(error.message())),
            No::Taken(Kind::Namespace, _) => Refusal::new(
                "NameTaken",
                "where pods run, the place of this namespace is taken by what is not yours: ask the platform's admin",
            ),
            No::Taken(kind, Some(name)) => Refusal::new(
                "NameTaken",
                format!(
                    "where pods run, the {} {name:?} is another one, which is not yours: choose another name, or ask the \
                     platform's admin to remove it",
                    kind.name()
                ),
            ),
            No::Taken(kind, None) => Refusal::new(
                "NameTaken",
                format!(
                    "where pods run, a {} that the platform needs for this is another one: ask the platform's admin to \
                     remove it",
                    kind.name()
                ),
            ),
        }
    }
}

/// True when the super cluster says no to the object itself, so that the tenant should read why: quotas, webhooks, its Pod
/// Security Standard, fields that it does not know, what is too large for it.
pub fn is_answer(error: &ApiError) -> bool {
    let is_no = matches!(
        error.reason(),
        Reason::Forbidden | Reason::Invalid | Reason::BadRequest | Reason::RequestEntityTooLarge
    );
    is_no && !OTHERS.iter().any(|other| error.message().contains(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::GroupResource;

    #[test]
    fn tenants_read_what_is_about_their_object() {
        let services = GroupResource::new("", "services");
        let forbidden = |why: &str| ApiError::forbidden(&services, "web", why);
        for (error, expected) in [
            (forbidden("exceeded quota: q, used: services=5"), true),
            (forbidden("admission webhook \"a.b\" denied the request: no"), true),
            (ApiError::bad_request("strict decoding error: unknown field"), true),
            (forbidden("pod rejected: RuntimeClass \"kata\" not found"), true),
            (ApiError::new(Reason::RequestEntityTooLarge, "limit is 3145728"), true),
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
        let refusal = No::Said(forbidden("no more in acme-shop-hash"))
            .told(|text| text.replace("acme-shop-hash", "shop"));
        assert!(refusal.message.contains("no more in shop"), "{}", refusal.message);
        let taken = No::Taken(Kind::Service, Some("web".to_owned())).told(str::to_owned);
        assert!(
            taken.reason == "NameTaken" && taken.message.contains("the Service \"web\""),
            "{}",
            taken.message
        );
    }
}
