//! Reviews: questions that are asked by creating an object, answered in its status, and not stored.

use super::{Incoming, review_rules};
use crate::admission::guards::{self, Asked, Operation};
use crate::authentication::User;
use crate::authorization::{self, Attributes};
use crate::decoding;
use crate::gateway::{Place, metadata};
use crate::negotiation::{Accept, Format, Offer, View};
use crate::planes::Plane;
use crate::reply::Reply;
use crate::request_info::{RequestInfo, ResourceRequest};
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, Cause};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Answers a review.
pub async fn create(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let mode = decoding::field_validation(auth.call(), place)?;
    let decoded = decoding::object(place, &body.payload()?, mode)?;
    decoded.warnings.iter().for_each(|warning| auth.warn(warning));
    let mut review = decoded.value;
    api_schema::zero::trim(place.root(), &mut review);
    let plane = auth.plane();
    metadata::set_namespace(&mut review, place)?;
    for field in ["uid", "creationTimestamp"] {
        metadata::of(&mut review).remove(field);
    }
    own(auth, place, (&place.row.group, &place.version.name, &place.row.kind), &mut review);
    let dry_run = super::write::options(auth.call())?.dry_run;
    let asked = Asked::to_write(server, auth, place, Operation::Create, dry_run);
    guards::admit_body(&asked, &mut review).await?;
    match place.row.plural.as_str() {
        "selfsubjectaccessreviews" => {
            valid(place, review_rules::question(&review))?;
            access(server, plane, auth.user(), &mut review);
        }
        "subjectaccessreviews" => {
            valid(place, review_rules::question_about_somebody(&review))?;
            let user = subject(&review["spec"]);
            access(server, plane, &user, &mut review);
        }
        "localsubjectaccessreviews" => {
            valid(place, review_rules::question_in_a_namespace(&review, &place.namespace))?;
            let user = subject(&review["spec"]);
            access(server, plane, &user, &mut review);
        }
        "selfsubjectreviews" => {
            review["metadata"] = json!({"creationTimestamp": metadata::timestamp(jiff::Timestamp::now())});
            review["status"] = json!({"userInfo": user_info(auth.user())});
        }
        "selfsubjectrulesreviews" => {
            let namespace = review["spec"]["namespace"].as_str().unwrap_or("").to_owned();
            if namespace.is_empty() {
                return Err(ApiError::bad_request("no namespace on request"));
            }
            // The answer does not repeat the question.
            (review["metadata"], review["spec"]) = (json!({}), json!({}));
            review["status"] = crate::rbac::rules_for(server, plane, auth.user(), &namespace);
        }
        "tokenreviews" if review["spec"]["token"].as_str().is_none_or(str::is_empty) => {
            return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
        }
        "tokenreviews" => {
            review["status"] = super::token_reviews::status(server, auth, &review["spec"]).await;
        }
        other => return Err(ApiError::internal(format_args!("the review {other} is not implemented"))),
    }
    answer(auth, &place.row.group, &place.version.name, &place.row.kind, &review)
}

/// Records who asks, as a write of a stored object would. A review without fields has no owner.
pub fn own(auth: &Authorized, place: &Place, kind: (&str, &str, &str), review: &mut Value) {
    let (group, version, kind) = kind;
    let Some(id) = api_schema::builtin::kind(group, version, kind) else { return };
    let Ok(options) = super::write::options(auth.call()) else { return };
    let api_version = api_types::GroupVersion::new(group, version).to_string();
    let writer = api_schema::managed_fields::Writer {
        manager: &options.manager,
        api_version: &api_version,
        kind,
        subresource: &place.subresource,
        reset: &[&["status"]],
        now: jiff::Timestamp::now(),
        versions: None,
    };
    api_schema::managed_fields::update(api_schema::builtin::graph().at(id), None, review, &writer);
}

/// 201 with an object of a kind that is not stored.
pub fn answer(
    auth: &Authorized,
    group: &str,
    version: &str,
    kind: &str,
    object: &Value,
) -> Result<Reply, ApiError> {
    let Accept { rendering, view } = auth.call().wish().accept(Offer::Review)?;
    if let View::Metadata(version) = view {
        let metadata = super::get::metadata_only(object, version);
        let content =
            super::get::meta_content(rendering.format, version, "PartialObjectMetadata", &metadata)?;
        return Ok(Reply::with(StatusCode::CREATED, content).rendered(rendering));
    }
    let api_version = api_types::GroupVersion::new(group, version).to_string();
    if rendering.format == Format::Protobuf
        && let Some(id) = api_schema::builtin::kind(group, version, kind)
    {
        let root = api_schema::builtin::graph().at(id);
        let content = super::get::protobuf(root, &api_version, kind, object)?;
        return Ok(Reply::with(StatusCode::CREATED, content));
    }
    Ok(Reply::value(object).code(StatusCode::CREATED).rendered(rendering))
}

/// The texts of a list.
pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn valid(place: &Place, mut causes: Vec<Cause>) -> Result<(), ApiError> {
    api_resources::internal::show_values(place.root(), &mut causes);
    // Kubernetes does not say of which kind.
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid(&place.row.group, "", "", causes)) }
}

fn subject(spec: &Value) -> User {
    let extra: BTreeMap<String, Vec<String>> = spec["extra"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), texts(value)))
        .collect();
    User {
        name: spec["user"].as_str().unwrap_or("").to_owned(),
        uid: spec["uid"].as_str().unwrap_or("").to_owned(),
        groups: texts(&spec["groups"]),
        extra,
    }
}

/// May the user do what the review's `spec` asks about?
fn access(server: &Server, plane: &Plane, user: &User, review: &mut Value) {
    let spec = &review["spec"];
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let info = if spec["resourceAttributes"].is_object() {
        let asked = &spec["resourceAttributes"];
        RequestInfo::Resource(ResourceRequest {
            verb: text(&asked["verb"]).into(),
            group: text(&asked["group"]).into(),
            version: text(&asked["version"]).into(),
            namespace: text(&asked["namespace"]).into(),
            resource: text(&asked["resource"]).into(),
            name: text(&asked["name"]).into(),
            subresource: text(&asked["subresource"]).into(),
        })
    } else {
        let asked = &spec["nonResourceAttributes"];
        RequestInfo::Path { path: text(&asked["path"]), verb: text(&asked["verb"]) }
    };
    let decision = authorization::decide(server, plane, user, &Attributes::of(&info));
    let ignored = review_rules::ignored(spec);
    review["status"] = json!({"allowed": decision.allowed});
    if !ignored.is_empty() {
        review["status"]["evaluationError"] = ignored.into();
    }
    if !decision.reason.is_empty() {
        review["status"]["reason"] = decision.reason.into();
    }
}

/// A user as reviews show it.
pub fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.clone().into();
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}
