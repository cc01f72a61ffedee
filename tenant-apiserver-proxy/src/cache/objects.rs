//! Records in order of name, of which a copy costs nothing: what is copied does not change when the original does.
//!
//! They stand in chunks that copies share. A change makes the one chunk anew that it is in, and the list of chunks,
//! when a copy still has them; else it changes them in place.

use super::record::Record;
use api_types::ObjectName;
use std::sync::Arc;

/// The most records in a chunk; a fuller one is split in two. Near the root of the most objects that one resource of
/// one plane usually has: a change that a copy looks on copies a chunk and the list of chunks.
const CHUNK: usize = 256;
/// Two neighbours that have no more than this together become one.
const JOINED: usize = CHUNK / 2;

type Chunk = Arc<Vec<Arc<Record>>>;

/// Records in order of name.
#[derive(Clone, Default)]
pub struct Objects {
    /// None is empty.
    chunks: Arc<Vec<Chunk>>,
    len: usize,
}

/// A place between two records: the chunk, and how many of its records are before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    chunk: usize,
    before: usize,
}

impl Objects {
    /// How many.
    pub fn count(&self) -> usize {
        self.len
    }

    /// One of them.
    pub fn get(&self, name: &ObjectName) -> Option<&Arc<Record>> {
        let at = self.position(|other| other < name);
        self.chunks.get(at.chunk)?.get(at.before).filter(|record| record.name == *name)
    }

    /// Puts one in, and gives back the one of the same name.
    pub fn insert(&mut self, record: Arc<Record>) -> Option<Arc<Record>> {
        let at = self.position(|other| *other < record.name);
        let chunks = Arc::make_mut(&mut self.chunks);
        if let Some(found) = chunks.get_mut(at.chunk)
            && found.get(at.before).is_some_and(|there| there.name == record.name)
        {
            return Arc::make_mut(found).get_mut(at.before).map(|there| std::mem::replace(there, record));
        }
        self.len += 1;
        // Between two chunks, and after the last one: to the end of the earlier.
        let (index, before) = match at.before.checked_sub(1) {
            None if at.chunk > 0 => (at.chunk - 1, chunks[at.chunk - 1].len()),
            _ => (at.chunk, at.before),
        };
        if chunks.is_empty() {
            chunks.push(Arc::default());
        }
        let chunk = Arc::make_mut(&mut chunks[index]);
        if chunk.len() < CHUNK {
            chunk.insert(before, record);
        } else if before == CHUNK {
            // Names that come in order leave full chunks.
            chunks.insert(index + 1, Arc::new(vec![record]));
        } else {
            let mut later = chunk.split_off(CHUNK / 2);
            match before.checked_sub(CHUNK / 2) {
                Some(before) => later.insert(before, record),
                None => chunk.insert(before, record),
            }
            chunks.insert(index + 1, Arc::new(later));
        }
        None
    }

    /// Takes one out.
    pub fn remove(&mut self, name: &ObjectName) -> Option<Arc<Record>> {
        let at = self.position(|other| other < name);
        self.chunks.get(at.chunk)?.get(at.before).filter(|record| record.name == *name)?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at.chunk]);
        let removed = chunk.remove(at.before);
        self.len -= 1;
        if chunk.is_empty() {
            chunks.remove(at.chunk);
        } else {
            // With the chunk after it, else with the one before it.
            for earlier in [Some(at.chunk), at.chunk.checked_sub(1)].into_iter().flatten() {
                let Some(pair) = chunks.get(earlier..earlier + 2) else { continue };
                if pair[0].len() + pair[1].len() <= JOINED {
                    let later = chunks.remove(earlier + 1);
                    Arc::make_mut(&mut chunks[earlier]).extend(later.iter().cloned());
                    break;
                }
            }
        }
        Some(removed)
    }

    /// Those of a namespace (empty: of all), and of them those after `after`.
    pub fn slice(&self, namespace: &str, after: Option<&ObjectName>) -> Slice {
        let end = if namespace.is_empty() {
            Position { chunk: self.chunks.len(), before: 0 }
        } else {
            self.position(|other| other.namespace.as_str() <= namespace)
        };
        let start = match after {
            Some(after) => self.position(|other| other.namespace.as_str() < namespace || other <= after),
            None => self.position(|other| other.namespace.as_str() < namespace),
        };
        Slice { objects: self.clone(), start: start.min(end), end }
    }

    /// Before the first record whose name is not `before`, which holds for the first names and for no others.
    fn position(&self, before: impl Fn(&ObjectName) -> bool) -> Position {
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| before(&last.name)));
        let within = self.chunks.get(chunk).map_or(0, |chunk| chunk.partition_point(|r| before(&r.name)));
        Position { chunk, before: within }
    }
}

/// Neighbours.
#[derive(Clone)]
pub struct Slice {
    objects: Objects,
    start: Position,
    end: Position,
}

impl Slice {
    /// How many.
    pub fn count(&self) -> usize {
        let chunks = &self.objects.chunks[self.start.chunk..self.end.chunk];
        chunks.iter().map(|chunk| chunk.len()).sum::<usize>() + self.end.before - self.start.before
    }

    /// In order of name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Record>> {
        let (start, end) = (self.start, self.end);
        let last = (end.before > 0).then_some(end.chunk);
        let chunks = start.chunk..last.map_or(end.chunk, |last| last + 1);
        chunks.flat_map(move |index| {
            let from = if index == start.chunk { start.before } else { 0 };
            let records = &self.objects.chunks[index];
            let to = if index == end.chunk { end.before } else { records.len() };
            records[from..to].iter()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::record;
    use super::*;
    use api_types::Revision;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::ops::Bound;

    fn make(name: &ObjectName, revision: u64) -> Arc<Record> {
        let stored = record::encode(&json!({"metadata": {}}), Vec::new(), 0);
        Arc::new(record::decode(name.clone(), &stored, Revision(revision)).unwrap())
    }

    fn text<'a>(records: impl Iterator<Item = &'a Arc<Record>>) -> Vec<String> {
        records.map(|record| format!("{}@{}", record.name, record.revision)).collect()
    }

    /// What a map says of the same.
    fn slice_of(
        map: &BTreeMap<ObjectName, Arc<Record>>,
        namespace: &str,
        after: Option<&ObjectName>,
    ) -> Vec<String> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let wanted = |name: &ObjectName| namespace.is_empty() || name.namespace == namespace;
        text(map.range((from, Bound::Unbounded)).filter(|(name, _)| wanted(name)).map(|(_, record)| record))
    }

    fn name(number: u16) -> ObjectName {
        ObjectName::new(["", "a", "b"][usize::from(number % 3)], format!("n{}", number / 3))
    }

    fn check(objects: &Objects, map: &BTreeMap<ObjectName, Arc<Record>>, probe: u16) {
        assert_eq!(objects.count(), map.len());
        assert!(objects.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
        let after = name(probe);
        for (namespace, after) in
            [("", None), ("a", None), ("b", Some(&after)), ("", Some(&after)), ("c", None)]
        {
            let slice = objects.slice(namespace, after);
            assert_eq!(text(slice.iter()), slice_of(map, namespace, after), "{namespace} {after:?}");
            assert_eq!(slice.count(), slice.iter().count());
        }
        assert_eq!(objects.get(&after).map(|r| r.revision), map.get(&after).map(|r| r.revision));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn it_is_a_map_whose_copies_stay(
            steps in proptest::collection::vec((0u16..1_500, any::<bool>()), 0..600),
            filled in 0u16..1_500,
            probe in 0u16..1_500,
        ) {
            let (mut objects, mut map) = (Objects::default(), BTreeMap::new());
            for number in 0..filled {
                prop_assert!(objects.insert(make(&name(number), 0)).is_none());
                map.insert(name(number), make(&name(number), 0));
            }
            let mut kept = Vec::new();
            for (index, (number, put)) in steps.into_iter().enumerate() {
                if index % 200 == 0 {
                    kept.push((objects.clone(), map.clone()));
                }
                let name = name(number);
                let (ours, theirs) = if put {
                    let record = make(&name, index as u64 + 1);
                    (objects.insert(record.clone()), map.insert(name, record))
                } else {
                    (objects.remove(&name), map.remove(&name))
                };
                prop_assert_eq!(ours.map(|r| r.revision), theirs.map(|r| r.revision));
            }
            kept.push((objects, map));
            for (objects, map) in &kept {
                check(objects, map, probe);
            }
        }
    }

    #[test]
    fn names_in_order_fill_chunks_and_what_is_taken_out_leaves_none_behind() {
        let mut objects = Objects::default();
        let names: Vec<ObjectName> = (0..10_000).map(|n| ObjectName::new("a", format!("{n:05}"))).collect();
        for name in &names {
            objects.insert(make(name, 1));
        }
        assert_eq!(objects.chunks.len(), 10_000_usize.div_ceil(CHUNK));
        for name in names.iter().filter(|name| !name.name.ends_with("00")) {
            objects.remove(name);
        }
        assert_eq!(objects.count(), 100);
        assert!(objects.chunks.len() <= 3, "{} chunks", objects.chunks.len());
        for name in &names {
            objects.remove(name);
        }
        assert!(objects.chunks.is_empty());
    }
}
