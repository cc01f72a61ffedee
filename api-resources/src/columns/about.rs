//! What columns say of themselves: words of their own, or the description of the field that they show.

use api_schema::openapi::Descriptions;
use std::collections::HashMap;
use std::sync::OnceLock;

/// What a column of a built-in kind says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum About {
    /// These words.
    Words(&'static str),
    /// What a field's description says: the type below `io.k8s.api`, the field.
    Field(&'static str, &'static str),
    /// What the description of this field of the metadata says.
    Metadata(&'static str),
}

/// Of the columns that show the name.
pub const NAME: About = metadata("name");

/// Of the columns that show the age.
pub const CREATED: About = metadata("creationTimestamp");

pub(super) const fn words(text: &'static str) -> About {
    About::Words(text)
}

pub(super) const fn field(of: &'static str, field: &'static str) -> About {
    About::Field(of, field)
}

pub(super) const fn metadata(field: &'static str) -> About {
    About::Metadata(field)
}

impl About {
    /// The text that clients see.
    pub fn text(self) -> &'static str {
        match self {
            About::Words(text) => text,
            About::Field(..) | About::Metadata(_) => described().get(&self).map_or("", String::as_str),
        }
    }

    fn described(self, descriptions: &Descriptions) -> Option<&str> {
        match self {
            About::Words(_) => None,
            About::Field(of, field) => descriptions.of_field(&format!("io.k8s.api.{of}"), field),
            About::Metadata(field) => {
                descriptions.of_field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", field)
            }
        }
    }
}

/// The descriptions that columns show. All descriptions take megabytes: the others are dropped at once.
fn described() -> &'static HashMap<About, String> {
    static OF_COLUMNS: OnceLock<HashMap<About, String>> = OnceLock::new();
    OF_COLUMNS.get_or_init(|| {
        let descriptions = Descriptions::collect();
        let columns = super::kinds().flat_map(|(_, _, columns)| columns.iter()).map(|column| column.about);
        columns
            .chain([NAME, CREATED])
            .chain(super::scale::ABOUT)
            .filter_map(|about| Some((about, about.described(&descriptions)?.to_owned())))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_that_shows_a_field_has_its_description() {
        for (group, plural, columns) in super::super::kinds() {
            for column in columns.iter().filter(|column| !matches!(column.about, About::Words(_))) {
                assert_ne!(column.about.text(), "", "{group}/{plural}: {}", column.name);
            }
        }
        assert!(NAME.text().starts_with("Name must be unique within a namespace."));
        assert!(CREATED.text().contains("RFC3339"));
        assert_eq!(words("Its size.").text(), "Its size.");
    }
}
