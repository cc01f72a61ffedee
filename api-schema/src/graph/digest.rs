//! What is worked out of each type once, so that walks along a value find fields fast and leave out what has nothing for
//! them.

use super::{Field, Presence, Shape, TypeId, TypeNode};

/// What is known of one type beside its node.
#[derive(Debug, Default)]
pub(super) struct Digest {
    places: Places,
    /// A field of it, or of what it refers to, has a default.
    pub(super) has_defaults: bool,
    /// A field of it, or of what it refers to, is always written.
    pub(super) is_filled: bool,
}

impl Digest {
    /// Of all types of a graph, by their numbers.
    pub(super) fn of_all(types: &[TypeNode]) -> Box<[Digest]> {
        let mut all: Box<[Digest]> = types
            .iter()
            .map(|node| match &node.shape {
                Shape::Object(fields) => Digest {
                    places: Places::of(fields),
                    has_defaults: fields.iter().any(|field| field.default.is_some()),
                    is_filled: fields
                        .iter()
                        .any(|field| matches!(field.presence, Presence::Always | Presence::OrNull)),
                },
                _ => Digest::default(),
            })
            .collect();
        spread(types, &mut all, |digest| &mut digest.has_defaults);
        spread(types, &mut all, |digest| &mut digest.is_filled);
        all
    }

    /// Which of the type's fields has this name.
    pub(super) fn find(&self, fields: &[Field], name: &str) -> Option<usize> {
        self.places.find(fields, name)
    }
}

/// Gives a property to all types that refer to one that has it, at any distance.
fn spread(types: &[TypeNode], all: &mut [Digest], property: fn(&mut Digest) -> &mut bool) {
    let mut users: Vec<Vec<u32>> = vec![Vec::new(); types.len()];
    for (user, node) in (0_u32..).zip(types) {
        each_member(&node.shape, |of| {
            if let Some(users) = users.get_mut(of.0 as usize) {
                users.push(user);
            }
        });
    }
    let have = (0_u32..).zip(all.iter_mut()).filter_map(|(id, digest)| property(digest).then_some(id));
    let mut fresh: Vec<u32> = have.collect();
    while let Some(id) = fresh.pop() {
        for user in &users[id as usize] {
            let known = property(&mut all[*user as usize]);
            if !*known {
                *known = true;
                fresh.push(*user);
            }
        }
    }
}

fn each_member(shape: &Shape, mut visit: impl FnMut(TypeId)) {
    match shape {
        Shape::Object(fields) => fields.iter().for_each(|field| visit(field.of)),
        Shape::Map(of) | Shape::List(of, _) => visit(*of),
        Shape::Scalar(_) | Shape::Any => {}
    }
}

/// Where the fields of an object are, by their names: a hash table with open addressing, of which at most half is taken.
/// An entry is the number of the field and one; 0 is free.
#[derive(Debug, Default)]
struct Places(Box<[u16]>);

impl Places {
    fn of(fields: &[Field]) -> Places {
        if fields.is_empty() || fields.len() >= usize::from(u16::MAX) {
            return Places::default();
        }
        let mut table = vec![0; (fields.len() * 2).next_power_of_two()];
        for (number, field) in (1_u16..).zip(fields) {
            let mut at = hash(&field.name) & (table.len() - 1);
            while table[at] != 0 {
                at = (at + 1) & (table.len() - 1);
            }
            table[at] = number;
        }
        Places(table.into_boxed_slice())
    }

    fn find(&self, fields: &[Field], name: &str) -> Option<usize> {
        if self.0.is_empty() {
            // None at all, or more than an entry can count.
            return fields.iter().position(|field| field.name == name);
        }
        let mut at = hash(name) & (self.0.len() - 1);
        loop {
            let number = usize::from(self.0[at]).checked_sub(1)?;
            if fields.get(number)?.name == name {
                return Some(number);
            }
            at = (at + 1) & (self.0.len() - 1);
        }
    }
}

/// Of the ends of a name and its length: what tells apart the names of fields. Whoever looks for a name chooses it, but not
/// the table, so that no choice makes a search longer than the names of the type make it.
fn hash(name: &str) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let bytes = name.as_bytes();
    let word = |bytes: &[u8]| bytes.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let (first, last) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (word(bytes), 0),
    };
    let mixed = (first ^ last.rotate_left(29) ^ bytes.len() as u64).wrapping_mul(ODD);
    (mixed >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;
    use proptest::prelude::*;

    fn fields(names: &[String]) -> Vec<Field> {
        names.iter().map(|name| Field { name: name.as_str().into(), ..Field::default() }).collect()
    }

    proptest! {
        #[test]
        fn a_field_is_found_by_its_name_and_no_other(
            names in proptest::collection::btree_set("[a-zA-Z]{0,20}", 0..60),
            others in proptest::collection::vec("\\PC{0,20}", 0..20),
        ) {
            let names: Vec<String> = names.into_iter().collect();
            let fields = fields(&names);
            let places = Places::of(&fields);
            for name in names.iter().chain(&others) {
                prop_assert_eq!(places.find(&fields, name), names.iter().position(|known| known == name));
            }
        }
    }

    #[test]
    fn more_fields_than_a_table_counts_are_found_too() {
        let names: Vec<String> = (0..70_000).map(|number| format!("f{number}")).collect();
        let fields = fields(&names);
        let places = Places::of(&fields);
        assert_eq!((places.find(&fields, "f69999"), places.find(&fields, "g")), (Some(69_999), None));
    }

    #[test]
    fn walks_know_what_has_nothing_for_them() {
        let graph = builtin::graph();
        for (kind, has_defaults, is_filled) in
            [("Pod", true, true), ("ConfigMap", false, true), ("Service", true, true)]
        {
            let of = graph.at(builtin::kind("", "v1", kind).unwrap());
            assert_eq!((of.has_defaults(), of.is_filled()), (has_defaults, is_filled), "{kind}");
        }
        let spec = graph.at(builtin::kind("", "v1", "Pod").unwrap()).member("spec").unwrap();
        let quiet = |field: &str| {
            let of = spec.member(field).unwrap();
            (of.has_defaults(), of.is_filled())
        };
        assert_eq!(quiet("tolerations"), (false, false));
        assert_eq!(quiet("nodeSelector"), (false, false));
        assert_eq!(quiet("containers"), (true, true));
    }

    #[test]
    fn few_fields_of_built_in_types_stand_beside_their_place() {
        let graph = builtin::graph();
        let (mut steps, mut all) = (0_usize, 0_usize);
        for (node, digest) in graph.types.iter().zip(&graph.digests) {
            let Shape::Object(fields) = &node.shape else { continue };
            let size = digest.places.0.len();
            for (number, field) in (1_u16..).zip(fields) {
                let at = digest.places.0.iter().position(|entry| *entry == number).unwrap();
                steps += (at + size - (hash(&field.name) & (size - 1))) % size;
                all += 1;
            }
        }
        assert!(steps * 2 < all, "{steps} steps for {all} fields");
    }
}
