//! How a write is shown to the plane's guards, as Kubernetes shows it, and what of their changes is taken.

use super::{Place, create, metadata, update};
use crate::admission;
use crate::admission::guards::{self, Asked, Between};
use crate::handlers::scale;
use api_types::{ApiError, Cause};
use serde_json::Value;

/// What happens to a new object between two guards.
struct New<'a, 'b>(&'a Asked<'b>);

impl Between for New<'_, '_> {
    fn default(&self, object: &mut Value) {
        create::default_new(self.0.place, object);
    }

    fn admit(&self, object: &mut Value) -> Result<(), ApiError> {
        admission::create(self.0.server, self.0.auth, self.0.place, object)
    }
}

/// What the server sets in a new object, which mutating guards do not see.
const SET: [&str; 4] = ["uid", "creationTimestamp", "generation", "name"];

/// Shows a new object to mutating guards, which may name it where the request does not. `generated`: its name is made by
/// the server, and not known yet.
pub async fn mutate_new(asked: &Asked<'_>, object: &mut Value, generated: bool) -> Result<(), ApiError> {
    if !guards::are_there(asked) {
        return Ok(());
    }
    let hidden = if generated { &SET[..] } else { &SET[..3] };
    let before = metadata::of(object).clone();
    for field in hidden {
        metadata::of(object).remove(*field);
    }
    let mut place: Place = asked.place.clone();
    if generated {
        place.name = "".into();
    }
    let shown = Asked { place: &place, options: asked.options.clone(), ..*asked };
    guards::mutate(&shown, Some(object), None, &New(asked)).await?;
    let named = metadata::text(object, "name").to_owned();
    if asked.nameless && !generated && named.is_empty() {
        let why = "name or generateName is required";
        return Err(asked.place.invalid("", vec![Cause::required("metadata.name", why)]));
    }
    let metadata = metadata::of(object);
    let given = asked.nameless && !named.is_empty();
    let kept = SET.into_iter().filter(|field| !(given && *field == "name"));
    for field in kept.chain(["namespace"]) {
        match before.get(field) {
            Some(value) => metadata.insert(field.into(), value.clone()),
            None => metadata.remove(field),
        };
    }
    Ok(())
}

/// What happens to a changed object between two guards.
struct Changed<'a, 'b>(&'a Asked<'b>, &'a Value);

impl Between for Changed<'_, '_> {
    fn default(&self, object: &mut Value) {
        metadata::keep_old(object, self.1);
        update::default(self.0.place, object, self.1);
        show_version(object, self.1);
    }

    fn admit(&self, object: &mut Value) -> Result<(), ApiError> {
        admission::update(self.0.server, self.0.auth, self.0.place, object, self.1)
    }
}

/// What happens to a `Scale` between two guards: nothing.
struct Scaled;

impl Between for Scaled {
    fn default(&self, _object: &mut Value) {}
    fn admit(&self, _object: &mut Value) -> Result<(), ApiError> {
        Ok(())
    }
}

/// Guards see the version from which an update comes.
fn show_version(object: &mut Value, old: &Value) {
    metadata::of(object).insert("resourceVersion".into(), old["metadata"]["resourceVersion"].clone());
}

/// The `Scale` of a changed object, with the version from which the change comes.
fn scale_of(place: &Place, new: &Value, old: &Value) -> Value {
    let mut shown = scale::scale_of(place, new);
    show_version(&mut shown, old);
    shown
}

/// Shows a changed object to mutating guards.
pub async fn mutate_changed(asked: &Asked<'_>, new: &mut Value, old: &Value) -> Result<(), ApiError> {
    if !guards::are_there(asked) {
        return Ok(());
    }
    if asked.place.subresource == "scale" {
        let mut shown = scale_of(asked.place, new, old);
        guards::mutate(asked, Some(&mut shown), Some(&scale::scale_of(asked.place, old)), &Scaled).await?;
        return scale::set_replicas(asked.place, new, &shown);
    }
    show_version(new, old);
    guards::mutate(asked, Some(new), Some(old), &Changed(asked, old)).await?;
    metadata::keep_old(new, old);
    metadata::set_namespace(new, asked.place)
}

/// Shows a changed object to validating guards.
pub async fn validate_changed(asked: &Asked<'_>, new: &Value, old: &Value) -> Result<(), ApiError> {
    if !guards::are_there(asked) {
        return Ok(());
    }
    if asked.place.subresource == "scale" {
        let (new, old) = (scale_of(asked.place, new, old), scale::scale_of(asked.place, old));
        return guards::validate(asked, Some(&new), Some(&old)).await;
    }
    let mut shown = new.clone();
    show_version(&mut shown, old);
    guards::validate(asked, Some(&shown), Some(old)).await
}

/// Shows an object that is to be deleted to all guards.
pub async fn admit_deletion(asked: &Asked<'_>, old: &Value) -> Result<(), ApiError> {
    guards::mutate(asked, None, Some(old), &Scaled).await?;
    guards::validate(asked, None, Some(old)).await
}
