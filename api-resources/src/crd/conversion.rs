//! `spec.conversion` of a definition: who converts, and what is wrong with how it is said.

use crate::kinds::admission::client_config::{ca_bundle_defect, target};
use crate::kinds::place::{Causes, Place, required_one_of};
use crate::names;
use crate::resource::{ConversionWebhook, WebhookTarget};
use api_types::Cause;
use base64::Engine;
use serde_json::{Value, json};

/// The versions of `ConversionReview` that the server speaks.
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];

/// Defects of `conversion`, in the internal form. `known_reviews`: the webhook has to take a version that the server
/// speaks. `any_bundle`: its caBundle need not be one.
pub(super) fn validate(out: &mut Causes, conversion: &Place<'_>, known_reviews: bool, any_bundle: bool) {
    if conversion.value.is_null() {
        return;
    }
    required_one_of(out, conversion, "strategy", &["None", "Webhook"]);
    let versions = conversion.texts("conversionReviewVersions");
    if conversion.text("strategy") == "Webhook" {
        match conversion.present("webhookClientConfig") {
            None => {
                let why = "required when strategy is set to Webhook";
                out.push(Cause::required(conversion.of("webhookClientConfig"), why));
            }
            Some(config) => {
                target(out, &config);
                let bundle = config.field("caBundle");
                if let Some(why) = ca_bundle_defect(bundle.as_text()).filter(|_| !any_bundle) {
                    out.push(Cause::invalid(bundle.path, bundle.value, &why));
                }
            }
        }
        reviews(out, conversion, &versions, known_reviews);
        return;
    }
    let set = [
        ("webhookClientConfig", conversion.has("webhookClientConfig")),
        ("conversionReviewVersions", !versions.is_empty()),
    ];
    for (field, _) in set.into_iter().filter(|(_, set)| *set) {
        let why = "should not be set when strategy is not set to Webhook";
        out.push(Cause::forbidden(conversion.of(field), why));
    }
}

fn reviews(out: &mut Causes, conversion: &Place<'_>, versions: &[&str], known: bool) {
    let field = conversion.of("conversionReviewVersions");
    if versions.is_empty() {
        out.push(Cause::required(field, ""));
        return;
    }
    for (at, version) in versions.iter().enumerate() {
        let mut wrong =
            |why: &str| out.push(Cause::invalid(format!("{field}[{at}]"), &Value::from(*version), why));
        if versions[..at].contains(version) {
            wrong("duplicate version");
            continue;
        }
        names::dns_1035_label(version).iter().for_each(|why| wrong(why));
    }
    if known && !versions.iter().any(|version| REVIEWS.contains(version)) {
        let why = format!("must include at least one of {}", REVIEWS.join(", "));
        out.push(Cause::invalid(field, &json!(versions), &why));
    }
}

/// True unless the webhook of a definition takes only reviews that the server does not speak.
pub(super) fn has_known_reviews(crd: &Value) -> bool {
    let versions = crd["spec"]["conversion"]["webhook"]["conversionReviewVersions"].as_array();
    versions.is_none_or(|versions| {
        versions.is_empty()
            || versions.iter().filter_map(Value::as_str).any(|version| REVIEWS.contains(&version))
    })
}

/// True for a definition whose change may say any caBundle: one that is not in use, or has no good one already.
pub(super) fn may_have_any_bundle(crd: &Value) -> bool {
    let bundle = crd["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"].as_str().unwrap_or("");
    !super::is_established(crd) || (!bundle.is_empty() && ca_bundle_defect(bundle).is_some())
}

/// The webhook of `spec.conversion`, which has been found valid.
pub(super) fn read(conversion: &Value) -> Option<ConversionWebhook> {
    if conversion["strategy"] != "Webhook" {
        return None;
    }
    let webhook = &conversion["webhook"];
    let config = &webhook["clientConfig"];
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let found = match config["url"].as_str() {
        Some(url) => WebhookTarget::Url(url.to_owned()),
        None => WebhookTarget::Service {
            namespace: text(&config["service"]["namespace"]),
            name: text(&config["service"]["name"]),
            path: text(&config["service"]["path"]),
            port: config["service"]["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443),
        },
    };
    let bundle =
        base64::engine::general_purpose::STANDARD.decode(text(&config["caBundle"])).unwrap_or_default();
    let listed = webhook["conversionReviewVersions"].as_array().into_iter().flatten();
    let known = listed.filter_map(Value::as_str).find(|version| REVIEWS.contains(version));
    Some(ConversionWebhook {
        target: found,
        // One of white space alone is none.
        ca_bundle: if bundle.iter().all(u8::is_ascii_whitespace) { Vec::new() } else { bundle },
        review_version: known.unwrap_or_default().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_needs_an_address_and_a_version_that_is_spoken() {
        let config = json!({"url": "https://example.com/convert"});
        for (conversion, wrong) in [
            (json!({"strategy": "None"}), &[][..]),
            (
                json!({"strategy": "Webhook", "webhookClientConfig": config, "conversionReviewVersions": ["v2", "v1"]}),
                &[],
            ),
            (json!({"strategy": ""}), &["conversion.strategy: Required value"]),
            (
                json!({"strategy": "None", "webhookClientConfig": config, "conversionReviewVersions": ["v1"]}),
                &[
                    "conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook",
                    "conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook",
                ],
            ),
            (
                json!({"strategy": "Webhook"}),
                &[
                    "conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
                    "conversion.conversionReviewVersions: Required value",
                ],
            ),
            (
                json!({"strategy": "Webhook", "webhookClientConfig": {}, "conversionReviewVersions": ["v9", "v9"]}),
                &[
                    "conversion.webhookClientConfig: Required value: exactly one of url or service is required",
                    "conversion.conversionReviewVersions[1]: Invalid value: \"v9\": duplicate version",
                    "conversion.conversionReviewVersions: Invalid value: [\"v9\",\"v9\"]: must include at least one \
                     of v1, v1beta1",
                ],
            ),
            (
                json!({"strategy": "Webhook", "webhookClientConfig": {"url": "http://x", "caBundle": "eHg="},
                    "conversionReviewVersions": ["v1"]}),
                &[
                    "conversion.webhookClientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL \
                     scheme; desired format: https://host[/path]",
                    "conversion.webhookClientConfig.caBundle: Invalid value: \"eHg=\": unable to load root certificates: \
                     unable to parse bytes as PEM block",
                ],
            ),
        ] {
            let mut out = Vec::new();
            validate(&mut out, &Place::new("conversion", &conversion), true, false);
            let told: Vec<String> = out.iter().map(Cause::to_string).collect();
            assert_eq!(told, wrong, "{conversion}");
        }
    }

    #[test]
    fn the_first_version_that_is_spoken_is_sent() {
        let webhook = |versions: Value| {
            let conversion = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": versions,
                "clientConfig": {"service": {"namespace": "n", "name": "s", "path": "/p", "port": 8443}}}});
            read(&conversion).unwrap()
        };
        let found = webhook(json!(["v2", "v1beta1", "v1"]));
        assert_eq!(found.review_version, "v1beta1");
        let (namespace, name, path) = ("n".to_owned(), "s".to_owned(), "/p".to_owned());
        assert_eq!(found.target, WebhookTarget::Service { namespace, name, path, port: 8443 });
        assert_eq!(webhook(json!(["v2"])).review_version, "");
        assert!(read(&json!({"strategy": "None"})).is_none());
    }
}
