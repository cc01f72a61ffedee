//! Delete: at once, or marked until finalizers and the grace period are over.

use super::{Extra, Place, Refused, TRIES, Written, commit, guarding, live, metadata, remove};
use crate::admission;
use crate::admission::guards::{self, Asked};
use crate::cache::record::{self, Record};
use crate::conversion::{self, Caller};
use crate::planes::Plane;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::ApiError;
use jiff::{SignedDuration, Timestamp};
use plane_client::Propagation;
use serde_json::{Value, json};
use std::sync::Arc;

/// Makes the garbage collector delete dependents first.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Makes the garbage collector take dependents' owner away.
pub const ORPHAN: &str = "orphan";

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Only the object with this UID.
    pub uid: Option<String>,
    /// Only at this `resourceVersion`.
    pub resource_version: Option<String>,
    /// Seconds; `None`: the resource's default.
    pub grace_period_seconds: Option<i64>,
    /// What becomes of dependents; `None`: the resource's default.
    pub propagation: Option<Propagation>,
    /// Dependents are to go, and it was said in the old way: `orphanDependents: false`.
    pub cascades: bool,
    /// Do everything but commit.
    pub dry_run: bool,
    /// The plane's guards have admitted it as something else: an eviction.
    pub admitted: bool,
}

/// Deletes the object of a place, or marks it.
pub async fn delete(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    options: &DeleteOptions,
) -> Result<Written, ApiError> {
    let resource = place.asked();
    let caller = Caller::of(server, auth);
    let mut options = options.clone();
    for _ in 0..TRIES {
        let record = live(server, auth, place).ok_or_else(|| ApiError::not_found(&resource, &place.name))?;
        let old = record.value().map_err(ApiError::internal)?;
        check_preconditions(place, &old, &options)?;
        admission::delete(server, auth, place, &old)?;
        if !options.admitted {
            let asked = Asked::to_delete(server, auth, place, &options);
            if guards::are_there(&asked) {
                guarding::admit_deletion(&asked, &conversion::written_form(&caller, place, &record).await?)
                    .await?;
            }
        }
        let mut new = old.clone();
        metadata::of(&mut new).remove("resourceVersion");
        let plane = auth.plane();
        // Whether it has objects is seen once nobody can create any more.
        if admission::definitions::is_definition(place) {
            add_finalizer(&mut new, api_resources::crd::CLEANUP_FINALIZER);
        }
        set_propagation(&mut new, options.propagation, default_propagation(auth, place));
        let removed = mark(place, &mut new, &options, Timestamp::now());
        let done = |object, removed| Written { object, created: false, removed, warnings: Vec::new() };
        let marked = as_stored(&record, &new)?;
        // What goes is not shown, and the platform's own parts look at nothing.
        let shown = match removed || auth.is_platform() {
            true => marked,
            false => conversion::shown_one(&caller, place, marked).await?,
        };
        if options.dry_run {
            let unmarked = removed && !is_told_of_grace(&old, &new);
            return Ok(done(if unmarked { record } else { shown }, removed));
        }
        // As in Kubernetes, watchers of what knows grace see that there is none before they see the end. The platform's
        // own parts remove what is over anyhow.
        let first_marked = removed && !auth.is_platform() && is_told_of_grace(&old, &new);
        let committed = if removed && !first_marked {
            let extra = consequences(server, plane, place, &old);
            remove(server, plane, place, &record, extra).await
        } else if metadata::is_same(&new, &old) {
            // Marked already, and nothing is sooner.
            return Ok(done(shown, false));
        } else {
            let (expected, object) = (record.expected(), (&new, record.schema));
            let written = commit(server, plane, place, &place.name, expected, object, Extra::default()).await;
            written.map(|written| written.revision)
        };
        match committed {
            Ok(_) if first_marked => (options.resource_version, options.admitted) = (None, true),
            Ok(revision) => return Ok(done(Arc::new(shown.at(revision)), removed)),
            Err(Refused::Object | Refused::Extra) => {}
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
    Err(ApiError::stale(&resource, &place.name))
}

/// The record of a marked object, in the form in which the other is stored.
fn as_stored(record: &Record, object: &Value) -> Result<Arc<Record>, ApiError> {
    let bytes = record::encode(object, record.meta.fields.clone(), record.schema);
    let made = record::decode(record.name.clone(), &bytes, record.revision).map_err(ApiError::internal)?;
    Ok(Arc::new(made))
}

fn add_finalizer(object: &mut Value, name: &str) {
    if !metadata::finalizers(object).contains(&name) {
        let mut finalizers: Vec<Value> =
            object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        finalizers.push(name.into());
        metadata::of(object).insert("finalizers".into(), finalizers.into());
    }
}

/// Refuses an object that is not the one that is meant.
pub fn check_preconditions(place: &Place, old: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    let conflict = |what: &str, wanted: &str, found: &str| {
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object \
             might have been deleted and then recreated"
        );
        let why = if what == "UID" { why } else { why.replace("deleted and then recreated", "modified") };
        ApiError::conflict(
            &api_types::GroupResource::new(&place.row.group, &place.row.kind),
            &place.name,
            &why,
        )
    };
    let (uid, version) = (metadata::text(old, "uid"), metadata::text(old, "resourceVersion"));
    match (&options.uid, &options.resource_version) {
        (Some(wanted), _) if wanted != uid => Err(conflict("UID", wanted, uid)),
        (_, Some(wanted)) if wanted != version => Err(conflict("ResourceVersion", wanted, version)),
        _ => Ok(()),
    }
}

/// Marks the object as deletion asks; true when nothing holds it and it is to be removed now.
fn mark(place: &Place, object: &mut Value, options: &DeleteOptions, now: Timestamp) -> bool {
    let held = !metadata::finalizers(object).is_empty() || has_spec_finalizers(object);
    let default_grace = (place.row.strategy.grace)(object);
    if object["metadata"]["deletionTimestamp"].is_string() {
        let over = default_grace.is_none() || shorten(object, options.grace_period_seconds, now);
        return over && !held;
    }
    let grace = match default_grace {
        // What need not wait does not wait, whatever is asked.
        None | Some(0) => 0,
        Some(default) => positive(options.grace_period_seconds.unwrap_or(default)),
    };
    let removed = grace == 0 && !held;
    // What is removed at once is shown as it was, unless its kind knows grace.
    if removed && default_grace.is_none() {
        return true;
    }
    let generation = object["metadata"]["generation"].as_i64();
    let namespace = place.row.group.is_empty() && place.row.plural == "namespaces";
    let definition = admission::definitions::is_definition(place);
    let tenant = crate::tenants::is_tenant(place);
    let fields = metadata::of(object);
    let at = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    fields.insert("deletionTimestamp".into(), metadata::timestamp(at).into());
    if namespace {
        object["status"]["phase"] = "Terminating".into();
        return removed;
    }
    if definition {
        return removed;
    }
    fields.insert("deletionGracePeriodSeconds".into(), grace.into());
    if let Some(generation) = generation.filter(|generation| *generation > 0) {
        fields.insert("generation".into(), (generation + 1).into());
    }
    if tenant {
        crate::tenants::tell_state(object, now);
    }
    removed
}

/// True for what knows grace, and has another one now.
fn is_told_of_grace(old: &Value, new: &Value) -> bool {
    old["metadata"]["deletionGracePeriodSeconds"] != new["metadata"]["deletionGracePeriodSeconds"]
}

/// As in Kubernetes, a negative grace is the shortest that is none.
fn positive(seconds: i64) -> i64 {
    if seconds < 0 { 1 } else { seconds }
}

/// Makes the grace of a marked object shorter, if that is asked; true when it is over. Who names none changes none.
fn shorten(object: &mut Value, asked: Option<i64>, now: Timestamp) -> bool {
    let pending = object["metadata"]["deletionGracePeriodSeconds"].as_i64().map_or(0, positive);
    if pending == 0 {
        return true;
    }
    let Some(mut seconds) = asked.map(positive).filter(|asked| *asked < pending) else { return false };
    // It counts from when the object was marked.
    let end = object["metadata"]["deletionTimestamp"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let at = end.and_then(|end| end.checked_sub(SignedDuration::from_secs(pending - seconds)).ok());
    let at = at.filter(|at| *at >= now).unwrap_or_else(|| {
        seconds = seconds.min(1);
        now
    });
    let fields = metadata::of(object);
    fields.insert("deletionTimestamp".into(), metadata::timestamp(at).into());
    fields.insert("deletionGracePeriodSeconds".into(), seconds.into());
    seconds == 0
}

/// What becomes of dependents when nobody says it: kinds whose dependents stay (`Some(Orphan)`), and kinds that have
/// none, for which it cannot be said either (`None`).
const DEPENDENTS: &[(&str, &str, Option<Propagation>)] = &[
    ("", "replicationcontrollers", Some(Propagation::Orphan)),
    ("batch", "jobs", Some(Propagation::Orphan)),
    ("", "events", None),
];

/// What becomes of the dependents of a place's objects when a client says nothing; `None`: there are none. The
/// platform's own parts always mean what they say.
fn default_propagation(auth: &Authorized, place: &Place) -> Option<Propagation> {
    let resource = place.resource();
    let known =
        DEPENDENTS.iter().find(|(group, plural, _)| resource.group == *group && resource.resource == *plural);
    match known {
        Some((.., Some(_))) if auth.is_platform() => Some(Propagation::Background),
        Some((.., propagation)) => *propagation,
        None => Some(Propagation::Background),
    }
}

/// What a client is told that deletes a kind whose dependents stay, and does not say whether they shall.
pub fn warning(place: &Place, options: &DeleteOptions) -> Option<String> {
    let jobs = place.row.group == "batch" && place.row.plural == "jobs";
    (jobs && options.propagation.is_none()).then(|| {
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or \
         set propagationPolicy=Orphan to suppress this warning"
            .to_owned()
    })
}

/// Sets what becomes of dependents: what is asked, else what the object says already, else the default.
fn set_propagation(object: &mut Value, asked: Option<Propagation>, default: Option<Propagation>) {
    let mut finalizers: Vec<String> = metadata::finalizers(object).into_iter().map(str::to_owned).collect();
    let said = finalizers.iter().find_map(|finalizer| match finalizer.as_str() {
        ORPHAN => Some(Propagation::Orphan),
        FOREGROUND => Some(Propagation::Foreground),
        _ => None,
    });
    let propagation = default.and_then(|default| asked.or(said).or(Some(default)));
    let before = finalizers.len();
    finalizers.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
    match propagation {
        Some(Propagation::Foreground) => finalizers.push(FOREGROUND.into()),
        Some(Propagation::Orphan) => finalizers.push(ORPHAN.into()),
        Some(Propagation::Background) | None => {}
    }
    if finalizers.is_empty() {
        if before > 0 {
            metadata::of(object).remove("finalizers");
        }
    } else {
        metadata::of(object).insert("finalizers".into(), json!(finalizers));
    }
}

/// Namespaces have finalizers of their own in `spec`.
fn has_spec_finalizers(object: &Value) -> bool {
    object["kind"] == "Namespace"
        && object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

/// True when a marked object has nothing left that holds it.
pub fn is_over(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
        && metadata::finalizers(object).is_empty()
        && !has_spec_finalizers(object)
        && object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

/// What goes with the object, in the same commit.
pub(super) fn consequences(server: &Server, plane: &Plane, place: &Place, object: &Value) -> Extra {
    admission::release(server, plane, place, object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn grace_is_only_made_shorter_and_counts_from_the_mark() {
        // Pending and asked seconds, seconds since the mark; the new pending seconds, the end since the mark, over.
        let table = [
            (30, None, 5, 30, 30, false),
            (30, Some(30), 5, 30, 30, false),
            (30, Some(60), 5, 30, 30, false),
            (30, Some(10), 5, 10, 10, false),
            // What it would have ended by is past.
            (30, Some(10), 20, 1, 20, false),
            (30, Some(-1), 20, 1, 20, false),
            (30, Some(0), 5, 0, 5, true),
            (0, None, 5, 0, 0, true),
            (0, Some(30), 5, 0, 0, true),
        ];
        for (pending, asked, now, left, end, over) in table {
            let mut object = json!({"metadata": {"deletionGracePeriodSeconds": pending,
                "deletionTimestamp": metadata::timestamp(at(pending))}});
            let why = format!("{pending} {asked:?} {now}");
            assert_eq!(shorten(&mut object, asked, at(now)), over, "{why}");
            assert_eq!(object["metadata"]["deletionGracePeriodSeconds"], left, "{why}");
            assert_eq!(object["metadata"]["deletionTimestamp"], metadata::timestamp(at(end)), "{why}");
        }
    }

    #[test]
    fn what_is_asked_goes_before_what_is_said_and_that_before_the_default() {
        use Propagation::{Background, Foreground, Orphan};
        // Asked, finalizers before, default; finalizers after.
        let table = [
            (None, vec![], Some(Background), vec![]),
            (None, vec![], Some(Orphan), vec![ORPHAN]),
            (None, vec![FOREGROUND, "a/b"], Some(Orphan), vec!["a/b", FOREGROUND]),
            (None, vec![ORPHAN], Some(Background), vec![ORPHAN]),
            (Some(Background), vec![ORPHAN, "a/b"], Some(Orphan), vec!["a/b"]),
            (Some(Foreground), vec![], Some(Orphan), vec![FOREGROUND]),
            (Some(Orphan), vec![FOREGROUND], Some(Background), vec![ORPHAN]),
            (Some(Foreground), vec!["a/b"], None, vec!["a/b"]),
        ];
        for (asked, before, default, after) in table {
            let mut object = json!({"metadata": {"finalizers": before}});
            set_propagation(&mut object, asked, default);
            assert_eq!(metadata::finalizers(&object), after, "{asked:?} {before:?} {default:?}");
        }
    }
}
