//! Which fields a value has.

use super::form::{Form, Ty, list_element};
use super::path::PathElement;
use super::set::FieldSet;
use crate::graph::{ListKind, Shape, TypeRef};
use serde_json::Value;

/// The fields that a value of this type has, as a manager that applies it owns them.
pub fn fields_of(of: TypeRef<'_>, value: &Value) -> FieldSet {
    fields(Ty::of(of), value).1
}

/// Whether the value is owned as one, and the set of what is below it.
pub(super) fn fields(ty: Ty<'_>, value: &Value) -> (bool, FieldSet) {
    match ty.form([Some(value), None]) {
        Form::Leaf => (!value.is_null() || !matches!(ty, Ty::Deduced), FieldSet::default()),
        Form::Map(ty) => {
            let mut set = FieldSet::default();
            for (name, value) in value.as_object().into_iter().flatten() {
                let (of, declared) = ty.field_or_deduced(name);
                let (owned, below) = fields(of, value);
                let nothing = value.is_null() || value.as_object().is_some_and(|m| m.is_empty());
                set.add(PathElement::field(name), owned || nothing || !declared, below);
            }
            (false, set)
        }
        Form::List(kind, element) => {
            (false, value.as_array().map_or_else(FieldSet::default, |items| list(kind, element, items)))
        }
    }
}

fn list(kind: &ListKind, element: TypeRef<'_>, items: &[Value]) -> FieldSet {
    let mut set = FieldSet::default();
    let mut steps: Vec<(PathElement, &Value)> =
        items.iter().filter_map(|i| Some((list_element(kind, element, i).ok()?, i))).collect();
    steps.sort_by(|a, b| a.0.cmp(&b.0));
    let mut steps = steps.into_iter().peekable();
    while let Some((step, item)) = steps.next() {
        let mut below = fields(Ty::of(element), item).1;
        // Elements that cannot be told apart are owned as one.
        while steps.next_if(|next| next.0 == step).is_some() {
            below = FieldSet::default();
        }
        set.add(step, true, below);
    }
    set
}

/// The set with all declared fields in it that are on the way to a path of it.
pub(super) fn with_named_fields(ty: Ty<'_>, set: &FieldSet) -> FieldSet {
    let mut out = FieldSet::default();
    for (step, member, below) in set.steps() {
        let (child, declared) = match (step, ty) {
            (PathElement::Field(name), _) => ty.field_or_deduced(name),
            (PathElement::Key(_), Ty::Known(known)) => match known.shape() {
                Shape::List(element, _) => (Ty::of(known.at(*element)), false),
                _ => (Ty::Untyped, false),
            },
            _ => (Ty::Untyped, false),
        };
        out.add(step.clone(), member || (declared && !below.is_empty()), with_named_fields(child, below));
    }
    out
}

/// The set after a change of the schema: what has become atomic is owned as one.
pub(super) fn reconciled(ty: Ty<'_>, set: &FieldSet) -> Option<FieldSet> {
    // Most sets need nothing, and are not copied.
    if !outdated(ty, set) {
        return None;
    }
    let mut out = FieldSet::default();
    for (step, member, below) in set.steps() {
        match child(ty, step) {
            Some(of) if is_atomic(of) && !below.is_empty() => {
                out.add(step.clone(), true, FieldSet::default())
            }
            Some(of) => {
                out.add(step.clone(), member, reconciled(of, below).unwrap_or_else(|| below.clone()));
            }
            None => out.add(step.clone(), member, below.clone()),
        }
    }
    Some(out)
}

fn outdated(ty: Ty<'_>, set: &FieldSet) -> bool {
    set.steps().any(|(step, _, below)| {
        !below.is_empty() && child(ty, step).is_some_and(|of| is_atomic(of) || outdated(of, below))
    })
}

fn child<'a>(ty: Ty<'a>, step: &PathElement) -> Option<Ty<'a>> {
    let known = ty.known()?;
    match (step, known.shape()) {
        (PathElement::Field(name), _) => ty.field(name).map(|f| f.0),
        (PathElement::Key(_) | PathElement::Value(_), Shape::List(element, _)) => {
            Some(Ty::of(known.at(*element)))
        }
        _ => None,
    }
}

fn is_atomic(ty: Ty<'_>) -> bool {
    match ty {
        Ty::Untyped => true,
        Ty::Deduced | Ty::Granular(_) => false,
        Ty::Known(known) => {
            !matches!(known.shape(), Shape::Scalar(_)) && matches!(ty.form([None, None]), Form::Leaf)
        }
    }
}
