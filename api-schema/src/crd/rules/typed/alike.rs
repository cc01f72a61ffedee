//! Lists and maps that are written down have elements of one type. The checker lets them mix; this is looked at once
//! nothing else is wrong.

use super::check::Checked;
use super::tree::{Kind, Part};
use super::types::Type;

/// Functions below which types may mix.
const MIXING: &[&str] = &["format"];

/// Elements of another type than those before them.
pub fn problems(root: &Part, checked: &Checked<'_>) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    look(root, checked, &mut found);
    found
}

fn look(part: &Part, checked: &Checked<'_>, found: &mut Vec<(usize, String)>) {
    match &part.kind {
        Kind::Call { function, .. } if MIXING.contains(&function.as_str()) => return,
        Kind::List(elements) => {
            found.extend(elements.iter().find_map(|element| other(elements.first()?, element, checked)));
        }
        Kind::Map(entries) => {
            let first = entries.first();
            for (key, value) in entries {
                found.extend(first.and_then(|(first, _)| other(first, key, checked)));
                found.extend(first.and_then(|(_, first)| other(first, value, checked)));
            }
        }
        _ => {}
    }
    part.each(&mut |below| look(below, checked, found));
}

/// What is wrong with an element beside the first one.
fn other(first: &Part, element: &Part, checked: &Checked<'_>) -> Option<(usize, String)> {
    let (wanted, given): (&Type<'_>, &Type<'_>) = (checked.of_part(first), checked.of_part(element));
    let told = || (element.at, format!("expected type '{wanted}' but found '{given}'"));
    (!wanted.is(given)).then(told)
}
