//! The `scale` subresource: replicas and selector of anything that has them.

use super::patch::{self, PatchType};
use super::{Incoming, get, write};
use crate::conversion::{self, Caller};
use crate::decoding;
use crate::gateway::update::Wanted;
use crate::gateway::{self, Place, metadata};
use crate::negotiation::{self, Accept, Format, Offer, View};
use crate::reply::{Content, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::columns;
use api_schema::TypeRef;
use api_schema::decode::{self, Decoded, FieldValidation};
use api_schema::managed_fields::{self, Writer};
use api_schema::strategic::go_format;
use api_types::{ApiError, Cause};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What stands for replicas that an object does not say, while its `Scale` is written.
const NO_REPLICAS: i64 = i32::MIN as i64;

/// Where an object keeps what `Scale` shows: paths of fields.
struct Paths {
    spec: Vec<String>,
    status: Vec<String>,
    selector: Option<Vec<String>>,
}

fn split(path: &str) -> Vec<String> {
    path.trim_start_matches('.').split('.').map(str::to_owned).collect()
}

fn paths(place: &Place) -> Paths {
    match &place.version.scale {
        Some(scale) => Paths {
            spec: split(&scale.spec_replicas_path),
            status: split(&scale.status_replicas_path),
            selector: (!scale.label_selector_path.is_empty()).then(|| split(&scale.label_selector_path)),
        },
        None => Paths { spec: split("spec.replicas"), status: split("status.replicas"), selector: None },
    }
}

fn at<'a>(object: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(object, |value, key| &value[key.as_str()])
}

/// `Scale` of an object.
pub(crate) fn scale_of(place: &Place, object: &Value) -> Value {
    let paths = paths(place);
    let metadata = &object["metadata"];
    let mut shown = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !metadata[field].is_null() {
            shown[field] = metadata[field].clone();
        }
    }
    let mut spec = json!({});
    if let Some(replicas) = at(object, &paths.spec).as_i64().filter(|replicas| *replicas != 0) {
        spec["replicas"] = replicas.into();
    }
    let mut status = json!({"replicas": at(object, &paths.status).as_i64().unwrap_or(0)});
    let selector = match &paths.selector {
        Some(path) => at(object, path).as_str().unwrap_or("").to_owned(),
        None if place.row.is_custom() => String::new(),
        None => selector_text(&object["spec"]["selector"]),
    };
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status})
}

/// A label selector as the query parameter that selects the same; a plain map of labels is one too.
fn selector_text(selector: &Value) -> String {
    let structured = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let wrapped = if structured { selector.clone() } else { json!({"matchLabels": selector}) };
    api_resources::selectors::LabelSelector::from_json(&wrapped).map(|s| s.to_string()).unwrap_or_default()
}

/// GET.
pub async fn get(server: &Server, auth: &Authorized, place: &Place) -> Result<Reply, ApiError> {
    get::check_options(auth)?;
    let found = server.cache.get(auth.plane().id, &place.resource(), &place.object());
    let record = found.ok_or_else(|| ApiError::not_found(&place.resource(), &place.name))?;
    let record = conversion::shown_one(&Caller::of(server, auth), place, record).await?;
    let object = get::shown_value(place, &record)?;
    if place.row.is_custom() && at(&object, &paths(place).spec).is_null() {
        let path = place.version.scale.as_ref().map_or("", |scale| scale.spec_replicas_path.as_str());
        return Err(ApiError::internal(format!("the spec replicas field {path:?} does not exist")));
    }
    answer(auth, place, &object)
}

fn answer(auth: &Authorized, place: &Place, object: &Value) -> Result<Reply, ApiError> {
    let scale = scale_of(place, object);
    let call = auth.call();
    let Accept { rendering, view } = call.wish().accept(Offer::Objects { protobuf: true })?;
    let content = match view {
        View::Object => None,
        View::Metadata(version) => {
            let metadata = get::metadata_only(&scale, version);
            Some(get::meta_content(rendering.format, version, "PartialObjectMetadata", &metadata)?)
        }
        View::MetadataList(_) => {
            return Err(negotiation::misfit("PartialObjectMetadataList", "not a list (*autoscaling.Scale)"));
        }
        View::Table(version) => {
            let options = get::table_options(call.query.get("includeObject").unwrap_or("Metadata"), false)?;
            let mut table = columns::scale_table(&scale, place.row.is_custom(), options);
            table["metadata"] = json!({"resourceVersion": scale["metadata"]["resourceVersion"]});
            Some(Content::Json(get::in_version(table, version).to_string().into()))
        }
    };
    if let Some(content) = content {
        return Ok(Reply::with(StatusCode::OK, content).rendered(rendering));
    }
    if rendering.format == Format::Protobuf
        && let Some(id) = api_schema::builtin::kind("autoscaling", "v1", "Scale")
    {
        let root = api_schema::builtin::graph().at(id);
        let content = get::protobuf(root, "autoscaling/v1", "Scale", &scale)?;
        return Ok(Reply::with(StatusCode::OK, content));
    }
    Ok(Reply::value(&scale).rendered(rendering))
}

/// PUT and PATCH: the number of replicas is the only thing that changes. Who owns it changes as for any other field,
/// on the `Scale`, and then on the object.
pub async fn write(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let patching = auth.resource().is_some_and(|request| request.verb == "patch");
    let mode = decoding::field_validation(auth.call(), place)?;
    let (mut options, mut force) = (write::options(auth.call())?, false);
    let mut warnings = Vec::new();
    let sent = if patching {
        let of = PatchType::parse(&body.content_type, place.row.is_custom())?;
        if gateway::live(server, auth, place).is_none() {
            return Err(ApiError::not_found(&place.asked(), &place.name));
        }
        if of == PatchType::Apply {
            (options, force) = patch::apply_options(auth)?;
            let config = patch::read_config(body, mode)?;
            warnings = config.warnings;
            Sent::Config(config.value)
        } else {
            Sent::Patch(of, patch::read(of, &body.bytes, mode)?)
        }
    } else {
        let scale = decoding::of_kind("Scale", "autoscaling/v1", root()?, &body.payload()?, mode)?;
        warnings = scale.warnings;
        let mut value = scale.value;
        let named = metadata::set_namespace(&mut value, place);
        let named = named.and_then(|()| metadata::check_name(&value, place));
        named.map_err(|error| error.with_warnings(warnings.clone()))?;
        Sent::Whole(value)
    };
    let written = gateway::update::update(server, auth, place, &options, false, |old| {
        let writer = Writer {
            manager: &options.manager,
            api_version: "autoscaling/v1",
            kind: "Scale",
            subresource: "scale",
            reset: &[],
            now: Timestamp::now(),
            versions: None,
        };
        let before = before(place, old)?;
        let (mut scale, more) = sent.onto(&before, &writer, force, mode)?;
        if !more.is_empty() {
            warnings = more;
        }
        metadata::check_name(&scale, place)?;
        metadata::set_namespace(&mut scale, place)?;
        let causes = api_resources::metadata::kube_finalizers(&scale);
        if !causes.is_empty() {
            return Err(ApiError::invalid("autoscaling", "Scale", &place.name, causes));
        }
        if !matches!(sent, Sent::Config(_)) {
            managed_fields::update(root()?, Some(&before), &mut scale, &writer);
        }
        wanted(place, old, &scale)
    })
    .await;
    match written {
        Ok(written) => {
            warnings.extend(written.warnings);
            Ok(answer(auth, place, &get::value(&written.object)?)?.warnings(warnings))
        }
        Err(error) => Err(error.with_warnings(warnings)),
    }
}

/// The type of `Scale`.
fn root() -> Result<TypeRef<'static>, ApiError> {
    let id = api_schema::builtin::kind("autoscaling", "v1", "Scale");
    let id = id.ok_or_else(|| ApiError::internal("the type of Scale is not known"))?;
    Ok(api_schema::builtin::graph().at(id))
}

/// What a client sends to change a `Scale`.
enum Sent {
    /// PUT.
    Whole(Value),
    /// A patch.
    Patch(PatchType, Decoded),
    /// Server-side apply.
    Config(Value),
}

impl Sent {
    /// The new `Scale`, and what is to be warned of.
    fn onto(
        &self,
        before: &Value,
        writer: &Writer<'_>,
        force: bool,
        mode: FieldValidation,
    ) -> Result<(Value, Vec<String>), ApiError> {
        match self {
            Sent::Whole(scale) => Ok((scale.clone(), Vec::new())),
            Sent::Patch(of, patch) => {
                let patched = patch::apply_patch(*of, root()?, before, &patch.value);
                let patched = patched.map_err(|error| error.to_api_error())?;
                let (decoded, shown) = match of {
                    PatchType::Strategic => {
                        (decode::restore(&patched, root()?, mode), go_format(&patch.value))
                    }
                    _ => (decode::decode_value(&patched, root()?, mode), patched.to_string()),
                };
                let decoded = decoded.map_err(|error| patch::unfit(&shown, &error.to_string()))?;
                let mut warnings = patch.warnings.clone();
                warnings.extend(decoded.warnings);
                Ok((decoded.value, warnings))
            }
            Sent::Config(config) => {
                let merged = managed_fields::apply(root()?, Some(before), config, writer, force);
                let merged = merged.map_err(|error| error.to_api_error())?;
                let restored = decode::restore(&merged, root()?, FieldValidation::Ignore);
                let restored =
                    restored.map_err(|error| ApiError::new(api_types::Reason::Unknown, error.to_string()))?;
                Ok((restored.value, Vec::new()))
            }
        }
    }
}

/// The `Scale` that is written, with the owners of the replicas.
fn before(place: &Place, old: &Value) -> Result<Value, ApiError> {
    let mut scale = scale_of(place, old);
    if place.row.is_custom() && at(old, &paths(place).spec).is_null() {
        scale["spec"]["replicas"] = NO_REPLICAS.into();
    }
    let owners = managed_fields::to_scale(&old["metadata"]["managedFields"], &replicas_paths(place));
    if let Some(owners) = owners.map_err(ApiError::internal)? {
        scale["metadata"]["managedFields"] = owners;
    }
    Ok(scale)
}

/// Where each version keeps its replicas.
fn replicas_paths(place: &Place) -> Vec<(String, Option<Vec<String>>)> {
    let path = |version: &api_resources::Version| match &version.scale {
        Some(scale) => Some(split(&scale.spec_replicas_path)),
        None if place.row.is_custom() => None,
        None => Some(split("spec.replicas")),
    };
    let named = |version: &api_resources::Version| {
        api_types::GroupVersion::new(&place.row.group, &version.name).to_string()
    };
    place.row.versions.iter().map(|version| (named(version), path(version))).collect()
}

/// The old object with the replicas of a `Scale`, and their owners.
fn wanted(place: &Place, old: &Value, scale: &Value) -> Result<Wanted, ApiError> {
    let path = paths(place).spec;
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas == NO_REPLICAS {
        let path = place.version.scale.as_ref().map_or("", |scale| scale.spec_replicas_path.as_str());
        return Err(ApiError::bad_request(format!("the spec replicas field {path:?} cannot be empty")));
    }
    // Custom resources are checked as what they are.
    if replicas < 0 && !place.row.is_custom() {
        let cause = Cause::invalid("spec.replicas", &json!(replicas), "must be greater than or equal to 0");
        return Err(ApiError::invalid("autoscaling", "Scale", &place.name, vec![cause]));
    }
    let mut object = old.clone();
    // A version or UID that the `Scale` names is checked like that of the object itself.
    metadata::check_uid(scale, old, place)?;
    let version = metadata::text(scale, "resourceVersion");
    if !version.is_empty() {
        object["metadata"]["resourceVersion"] = version.into();
    }
    let paths = replicas_paths(place);
    let (before, after) = (&old["metadata"]["managedFields"], &scale["metadata"]["managedFields"]);
    let owners = managed_fields::from_scale(before, after, &paths, &place.api_version());
    match owners.map_err(ApiError::internal)? {
        Some(owners) => object["metadata"]["managedFields"] = owners,
        None => drop(metadata::of(&mut object).remove("managedFields")),
    }
    put(place, &mut object, replicas, &path)?;
    Ok(Wanted { object, owned: true })
}

/// Gives an object the replicas of a `Scale` that guards have seen.
pub(crate) fn set_replicas(place: &Place, object: &mut Value, scale: &Value) -> Result<(), ApiError> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    let path = paths(place).spec;
    if at(object, &path).as_i64().unwrap_or(0) == replicas {
        return Ok(());
    }
    put(place, object, replicas, &path)
}

fn put(place: &Place, object: &mut Value, replicas: i64, path: &[String]) -> Result<(), ApiError> {
    let mut target = object;
    for key in path {
        if !(target.is_object() || target.is_null()) {
            let cause = Cause::invalid(path.join("."), &json!(replicas), "the object has no such field");
            return Err(place.invalid(&place.name, vec![cause]));
        }
        target = &mut target[key.as_str()];
    }
    *target = replicas.into();
    Ok(())
}
