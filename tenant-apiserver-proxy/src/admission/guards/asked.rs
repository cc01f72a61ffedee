//! A request as guards see it.

use crate::conversion::{self, Caller};
use crate::gateway::delete::DeleteOptions;
use crate::gateway::{Place, metadata};
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::kinds::admission::GROUP;
use api_resources::{ResourceRow, Version};
use api_types::ApiError;
use plane_client::Propagation;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long all guards of one write may take together.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the operations of admission
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// As rules write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// A request.
pub struct Asked<'a> {
    /// The server.
    pub server: &'a Server,
    /// Who asks.
    pub auth: &'a Authorized,
    /// For what.
    pub place: &'a Place,
    /// To do what.
    pub operation: Operation,
    /// Nothing is stored.
    pub dry_run: bool,
    /// The request does not name the object, which is new: a mutation may give it another name.
    pub nameless: bool,
    /// `CreateOptions`, `UpdateOptions` or `DeleteOptions`.
    pub options: Value,
    /// Until when guards have to be done.
    pub deadline: Instant,
}

/// One of the equivalent forms of the resource of a request: other versions, other groups.
#[derive(Clone)]
pub struct Form {
    /// The resource.
    pub row: Arc<ResourceRow>,
    /// The version.
    pub version: Version,
}

impl<'a> Asked<'a> {
    /// A request to create or to update.
    pub fn to_write(
        server: &'a Server,
        auth: &'a Authorized,
        place: &'a Place,
        operation: Operation,
        dry_run: bool,
    ) -> Self {
        let kind = if operation == Operation::Create { "CreateOptions" } else { "UpdateOptions" };
        let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
        if dry_run {
            options["dryRun"] = json!(["All"]);
        }
        for field in ["fieldManager", "fieldValidation"] {
            if let Some(text) = auth.call().query.get(field).filter(|_| !auth.is_platform()) {
                options[field] = text.into();
            }
        }
        Asked {
            server,
            auth,
            place,
            operation,
            dry_run,
            nameless: false,
            options,
            deadline: Instant::now() + PATIENCE,
        }
    }

    /// A request to delete.
    pub fn to_delete(
        server: &'a Server,
        auth: &'a Authorized,
        place: &'a Place,
        given: &DeleteOptions,
    ) -> Self {
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"});
        if let Some(seconds) = given.grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        for (field, text) in [("uid", &given.uid), ("resourceVersion", &given.resource_version)] {
            if let Some(text) = text {
                options["preconditions"][field] = text.as_str().into();
            }
        }
        if let Some(propagation) = given.propagation {
            options["propagationPolicy"] = match propagation {
                Propagation::Background => "Background".into(),
                Propagation::Foreground => "Foreground".into(),
                Propagation::Orphan => "Orphan".into(),
            };
        }
        if given.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        let (operation, dry_run) = (Operation::Delete, given.dry_run);
        Asked {
            server,
            auth,
            place,
            operation,
            dry_run,
            nameless: false,
            options,
            deadline: Instant::now() + PATIENCE,
        }
    }

    /// A request to be connected. Its object are the options of the connection.
    pub fn to_connect(server: &'a Server, auth: &'a Authorized, place: &'a Place) -> Self {
        let (operation, options) = (Operation::Connect, Value::Null);
        Asked {
            server,
            auth,
            place,
            operation,
            dry_run: false,
            nameless: false,
            options,
            deadline: Instant::now() + PATIENCE,
        }
    }

    /// The namespace; that of a namespace is itself.
    pub fn namespace(&self) -> &str {
        if self.is_namespace() { &self.place.name } else { &self.place.namespace }
    }

    /// The request is for a namespace itself.
    pub fn is_namespace(&self) -> bool {
        self.place.row.group.is_empty() && self.place.row.plural == "namespaces"
    }

    /// Webhooks are asked: not about guards, so that a bad one can always be removed.
    pub fn is_for_webhooks(&self) -> bool {
        self.place.row.group != GROUP
    }

    /// Policies are asked: not about policies, and not about questions by which others find out who may do what.
    pub fn is_for_policies(&self) -> bool {
        let row = &self.place.row;
        let is_policy = row.group == GROUP && row.plural.contains("admissionpolic");
        let is_review = ["authentication.k8s.io", "authorization.k8s.io"].contains(&row.group.as_str())
            && row.plural.ends_with("reviews");
        !is_policy && !is_review
    }

    /// The name; a deletion of many names none.
    pub fn name(&self) -> &str {
        if self.is_of_many() { "" } else { &self.place.name }
    }

    /// The name as refusals tell it.
    pub fn told_name(&self) -> &str {
        if self.is_of_many() { "Unknown" } else { &self.place.name }
    }

    fn is_of_many(&self) -> bool {
        self.auth.resource().is_some_and(|request| request.verb == "deletecollection")
    }

    /// The form of the request itself.
    pub fn own_form(&self) -> Form {
        Form { row: self.place.row.clone(), version: self.place.version.clone() }
    }

    /// The other forms of the same resource.
    pub fn equivalent_forms(&self) -> Vec<Form> {
        let row = &self.place.row;
        let catalog = self.auth.plane().catalog.load();
        let alias = row.alias_of.as_ref().and_then(|alias| catalog.resource(&alias.group, &row.plural));
        let shown_by = catalog.base_rows().filter(|other| {
            other.plural == row.plural
                && other.alias_of.as_ref().is_some_and(|alias| alias.group == row.group)
        });
        let rows = [row.clone()].into_iter().chain(alias).chain(shown_by.cloned());
        let forms = rows.flat_map(|row| {
            row.versions.clone().into_iter().map(move |version| Form { row: row.clone(), version })
        });
        let sub = &self.place.subresource;
        let own = |form: &Form| form.row.group == row.group && form.version.name == self.place.version.name;
        forms.filter(|form| !own(form) && (sub.is_empty() || form.row.subresource(sub).is_some())).collect()
    }

    /// Group, version and kind of the body of a subresource that is not the object itself.
    fn body_kind(&self, form: &Form) -> Option<(String, String, String)> {
        let sub = form.row.subresource(&self.place.subresource).filter(|sub| sub.kind != form.row.kind)?;
        let or = |given: &str, own: &str| if given.is_empty() { own.to_owned() } else { given.to_owned() };
        let group = if sub.version.is_empty() { form.row.group.to_string() } else { sub.group.to_string() };
        Some((group, or(&sub.version, &form.version.name), sub.kind.to_string()))
    }

    /// An object in a form. The body of an action has one form only.
    pub async fn show(&self, object: &Value, form: &Form) -> Result<Value, ApiError> {
        let object = object.clone();
        if self.body_kind(form).is_some() || self.is_review() {
            return Ok(object);
        }
        self.in_form(object, form).await
    }

    async fn in_form(&self, mut object: Value, form: &Form) -> Result<Value, ApiError> {
        if self.place.row.is_custom() {
            return conversion::convert_one(
                &Caller::of(self.server, self.auth),
                &form.row,
                &form.version,
                object,
            )
            .await;
        }
        api_resources::convert::from_stored(&form.row, &form.version, &mut object);
        Ok(object)
    }

    /// An object or null in a form.
    pub async fn show_if(&self, object: Option<&Value>, form: &Form) -> Result<Value, ApiError> {
        match object {
            Some(object) => self.show(object, form).await,
            None => Ok(Value::Null),
        }
    }

    /// What a guard has made of an object in a form, as it is written. What it cannot have is dropped, as of a body.
    pub async fn take(&self, made: &Value, form: &Form) -> Result<Value, ApiError> {
        if self.operation == Operation::Connect {
            // Whoever connects reads what it understands of its options.
            return Ok(made.clone());
        }
        let bytes = serde_json::to_vec(made).map_err(ApiError::internal)?;
        let payload = crate::decoding::Payload { bytes: bytes.into(), media: crate::decoding::Media::Json };
        let mode = api_schema::decode::FieldValidation::Ignore;
        if let Some((group, version, kind)) = self.body_kind(form) {
            let Some(id) = api_schema::builtin::kind(&group, &version, &kind) else {
                return Err(ApiError::internal(format_args!("the type of {kind} is not known")));
            };
            let root = api_schema::builtin::graph().at(id);
            let api_version = api_types::GroupVersion::new(&group, &version).to_string();
            return Ok(crate::decoding::of_kind(&kind, &api_version, root, &payload, mode)?.value);
        }
        let place = Place { row: form.row.clone(), version: form.version.clone(), ..self.place.clone() };
        let decoded = crate::decoding::object(&place, &payload, mode)?.value;
        if self.is_review() {
            return Ok(decoded);
        }
        if place.row.is_custom() {
            return self.in_form(decoded, &self.own_form()).await;
        }
        Ok(place.to_written(decoded))
    }

    /// Reviews are not stored: they have the version of the request.
    fn is_review(&self) -> bool {
        self.place.row.verbs == [api_resources::Verb::Create]
    }

    /// A mutation may not make another object of an object.
    pub fn check_identity(&self, object: &Value) -> Result<(), ApiError> {
        let (name, namespace) = (metadata::text(object, "name"), metadata::text(object, "namespace"));
        if !(self.nameless || name.is_empty() || self.place.name.is_empty() || name == self.place.name) {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                self.place.name
            )));
        }
        if !(namespace.is_empty() || namespace == self.place.namespace) {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        Ok(())
    }

    /// The request without its objects: `AdmissionRequest` of `admission.k8s.io/v1`, but for the `uid`.
    pub fn request(&self, form: &Form) -> Map<String, Value> {
        let own = self.own_form();
        let kind = |form: &Form| {
            let (group, version, kind) = self.body_kind(form).unwrap_or_else(|| {
                (form.row.group.to_string(), form.version.name.to_string(), form.row.kind.to_string())
            });
            json!({"group": group, "version": version, "kind": kind})
        };
        let resource = |form: &Form| json!({"group": form.row.group, "version": form.version.name, "resource": form.row.plural});
        let mut out = Map::new();
        out.insert("kind".into(), kind(form));
        out.insert("resource".into(), resource(form));
        out.insert("requestKind".into(), kind(&own));
        out.insert("requestResource".into(), resource(&own));
        for (field, text) in [
            ("subResource", self.place.subresource.as_str()),
            ("requestSubResource", &self.place.subresource),
            ("name", self.name()),
            ("namespace", self.namespace()),
        ] {
            if !text.is_empty() {
                out.insert(field.into(), text.into());
            }
        }
        out.insert("operation".into(), self.operation.as_str().into());
        out.insert("userInfo".into(), self.user_info());
        out.insert("dryRun".into(), self.dry_run.into());
        out.insert("options".into(), self.options.clone());
        out
    }

    fn user_info(&self) -> Value {
        let user = self.auth.user();
        let mut info = json!({"username": user.name});
        if !user.uid.is_empty() {
            info["uid"] = user.uid.as_str().into();
        }
        let groups: Vec<&String> =
            user.groups.iter().filter(|group| *group != crate::stages::PLATFORM).collect();
        if !groups.is_empty() {
            info["groups"] = json!(groups);
        }
        if !user.extra.is_empty() {
            info["extra"] = json!(user.extra);
        }
        info
    }
}
