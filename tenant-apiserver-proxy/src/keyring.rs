//! Keys of a plane that follow one another: the one that signs, one that is to sign next, and former ones whose
//! signatures are still believed. Pure: the time is given.
//!
//! Guarantees: at any time one key signs; a former key is believed until its time, and its private half is forgotten as
//! soon as it signs no more.

use crate::pki::KeyedCertificate;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The most keys of a ring.
pub const MAX: usize = 8;

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its certificate, PEM; of a key that has none, the public key.
    pub certificate_pem: String,
    /// The private key, PEM; empty once it signs no more.
    pub key_pem: String,
    /// The same public key, certified by the key before it; empty where nobody needs that.
    pub crossed_pem: String,
    /// Since when it signs, in seconds since 1970.
    pub from: i64,
    /// Until when its signatures are believed; `None`: nothing ends it.
    pub until: Option<i64>,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is to sign later.
    Next,
    /// It signs.
    Current,
    /// It is believed, and signs no more.
    Old,
}

impl State {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Next => "next",
            State::Current => "current",
            State::Old => "old",
        }
    }
}

/// When a new key signs, and how long the former ones are believed after that, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// After how long the new one signs.
    pub after: i64,
    /// For how long from then on the former ones are believed. 0: no more, from now on.
    pub overlap: i64,
}

/// There are as many keys as a ring can have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{MAX} keys are believed already: wait until the time of one is over, or rotate with an overlap of 0s"
)]
pub struct Full;

/// The keys, the newest first. There is always one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    newest: Entry,
    others: Vec<Entry>,
    /// How often what its key signs was to be made anew, though the key stays.
    pub renewals: u64,
}

/// The name of a key: a hash of its certificate.
pub fn id(certificate_pem: &str) -> String {
    let digest = Sha256::digest(certificate_pem.as_bytes());
    digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

impl Entry {
    fn of(made: KeyedCertificate, crossed_pem: String, from: i64) -> Self {
        let KeyedCertificate { certificate_pem, key_pem } = made;
        Entry { certificate_pem, key_pem, crossed_pem, from, until: None }
    }

    /// The name of the key.
    pub fn id(&self) -> String {
        id(&self.certificate_pem)
    }

    /// Certificate and private key.
    pub fn keyed(&self) -> KeyedCertificate {
        KeyedCertificate { certificate_pem: self.certificate_pem.clone(), key_pem: self.key_pem.clone() }
    }

    fn stands(&self, now: i64) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn read(value: &Value) -> Option<Self> {
        let text = |field: &str| value[field].as_str().unwrap_or("").to_owned();
        Some(Entry {
            certificate_pem: value["certificate"].as_str()?.to_owned(),
            key_pem: text("key"),
            crossed_pem: text("crossed"),
            from: value["from"].as_i64().unwrap_or(0),
            until: value["until"].as_i64(),
        })
    }

    fn value(&self) -> Value {
        json!({"certificate": self.certificate_pem, "key": self.key_pem, "crossed": self.crossed_pem,
            "from": self.from, "until": self.until})
    }
}

impl Ring {
    /// A ring of one key.
    pub fn new(made: KeyedCertificate) -> Self {
        Ring { newest: Entry::of(made, String::new(), 0), others: Vec::new(), renewals: 0 }
    }

    /// A stored ring. What was stored before there were several keys is one.
    pub fn read(object: &Value) -> Option<Self> {
        let Some(keys) = object["keys"].as_array() else {
            return Some(Ring { newest: Entry::read(object)?, others: Vec::new(), renewals: 0 });
        };
        let mut keys = keys.iter().map(Entry::read);
        let renewals = object["renewals"].as_u64().unwrap_or(0);
        Some(Ring { newest: keys.next()??, others: keys.collect::<Option<_>>()?, renewals })
    }

    /// As it is stored, under a name.
    pub fn object(&self, name: &str) -> Value {
        let keys: Vec<Value> = self.all().map(Entry::value).collect();
        json!({"kind": "PlaneKey", "apiVersion": "insula.internal/v1", "metadata": {"name": name}, "keys": keys,
            "renewals": self.renewals})
    }

    /// Every key, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.newest).chain(&self.others)
    }

    /// The key that signs.
    pub fn current(&self, now: i64) -> &Entry {
        self.all().find(|entry| entry.from <= now && entry.stands(now)).unwrap_or(&self.newest)
    }

    /// The keys whose signatures are believed, and the next one, the newest first.
    pub fn standing(&self, now: i64) -> impl Iterator<Item = &Entry> {
        self.all().filter(move |entry| entry.stands(now))
    }

    /// What a key of the ring does.
    pub fn state(&self, entry: &Entry, now: i64) -> State {
        match () {
            () if entry == self.current(now) => State::Current,
            () if entry.from > now => State::Next,
            () => State::Old,
        }
    }

    /// Until when the key of a name is believed; `None`: no more.
    pub fn until(&self, id: &str, now: i64) -> Option<i64> {
        let entry = self.standing(now).find(|entry| entry.id() == id)?;
        Some(entry.until.unwrap_or(i64::MAX))
    }

    /// The certificates of all that are believed, one after the other.
    pub fn bundle(&self, now: i64) -> String {
        self.standing(now).map(|entry| entry.certificate_pem.as_str()).collect()
    }

    /// The same ring with a new key. A next one that waits is forgotten: it has signed nothing.
    ///
    /// # Errors
    /// There are as many keys as a ring can have.
    pub fn rotated(
        &self,
        made: KeyedCertificate,
        crossed_pem: String,
        schedule: Schedule,
        now: i64,
    ) -> Result<Self, Full> {
        let newest = Entry::of(made, crossed_pem, now + schedule.after);
        let until = now + schedule.after + schedule.overlap;
        let mut others: Vec<Entry> = self.all().filter(|entry| entry.from <= now).cloned().collect();
        for entry in &mut others {
            entry.until = Some(entry.until.map_or(until, |before| before.min(until)));
        }
        let ring = Ring { newest, others, renewals: self.renewals };
        let ring = ring.tidied(now).unwrap_or(ring);
        if ring.others.len() >= MAX { Err(Full) } else { Ok(ring) }
    }

    /// The same ring without what is over: keys that are believed no more, and the private halves of those that sign
    /// no more. `None`: nothing is over.
    pub fn tidied(&self, now: i64) -> Option<Self> {
        let current = self.current(now);
        let mut tidied = self.clone();
        tidied.others.retain(|entry| entry.stands(now));
        for entry in &mut tidied.others {
            if entry.from <= now && *entry != *current {
                entry.key_pem.clear();
            }
        }
        (tidied != *self).then_some(tidied)
    }

    /// When a key begins to sign, or is believed no more, for the next time.
    pub fn next_change(&self, now: i64) -> Option<i64> {
        let times = self.all().flat_map(|entry| [Some(entry.from), entry.until]);
        times.flatten().filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> KeyedCertificate {
        KeyedCertificate { certificate_pem: name.to_owned(), key_pem: format!("{name}-key") }
    }

    fn shown(ring: &Ring, now: i64) -> Vec<(String, &'static str, bool)> {
        let entry = |entry: &Entry| {
            let state = ring.state(entry, now).as_str();
            (entry.certificate_pem.clone(), state, !entry.key_pem.is_empty())
        };
        ring.standing(now).map(entry).collect()
    }

    fn rotated(ring: &Ring, name: &str, after: i64, overlap: i64, now: i64) -> Ring {
        ring.rotated(made(name), String::new(), Schedule { after, overlap }, now).unwrap()
    }

    #[test]
    fn a_former_key_is_believed_until_its_time_and_signs_no_more() {
        let ring = rotated(&Ring::new(made("a")), "b", 0, 100, 1_000);
        assert_eq!(ring.current(1_000).certificate_pem, "b");
        let all = [("b".to_owned(), "current", true), ("a".to_owned(), "old", false)];
        assert_eq!(shown(&ring, 1_000), all);
        assert_eq!(ring.bundle(1_099), "ba");
        assert_eq!((ring.until(&id("a"), 1_099), ring.until(&id("a"), 1_100)), (Some(1_100), None));
        assert_eq!(ring.until(&id("b"), 5_000), Some(i64::MAX));
        assert_eq!(ring.next_change(1_000), Some(1_100));
        assert_eq!((ring.tidied(1_099), ring.bundle(1_100).as_str()), (None, "b"));
        let tidied = ring.tidied(1_100).unwrap();
        assert_eq!((shown(&tidied, 1_100), tidied.next_change(1_100)), (all[..1].to_vec(), None));
        // A second rotation never gives a former key more time than it had.
        let again = rotated(&ring, "c", 0, 500, 1_010);
        assert_eq!(
            again.all().map(|entry| entry.until).collect::<Vec<_>>(),
            [None, Some(1_510), Some(1_100)]
        );
    }

    #[test]
    fn without_an_overlap_the_former_keys_are_gone() {
        let ring = rotated(&rotated(&Ring::new(made("a")), "b", 0, 100, 10), "c", 0, 0, 20);
        assert_eq!(shown(&ring, 20), [("c".to_owned(), "current", true)]);
        assert_eq!(ring.all().count(), 1);
    }

    #[test]
    fn a_next_key_signs_when_its_time_has_come() {
        let ring = rotated(&Ring::new(made("a")), "b", 50, 100, 1_000);
        let of = |second: &'static str, first: &'static str| {
            [("b".to_owned(), first, true), ("a".to_owned(), second, true)]
        };
        assert_eq!(shown(&ring, 1_049), of("current", "next"));
        assert_eq!(ring.tidied(1_049), None, "the one that signs needs its key");
        assert_eq!(shown(&ring, 1_050), of("old", "current"));
        let tidied = ring.tidied(1_050).unwrap();
        assert!(tidied.all().nth(1).unwrap().key_pem.is_empty());
        assert_eq!((ring.next_change(1_000), ring.next_change(1_050)), (Some(1_050), Some(1_150)));
        // Whoever rotates before that time does not keep what waits.
        let other = rotated(&ring, "c", 0, 10, 1_010);
        assert_eq!(shown(&other, 1_010).len(), 2);
        assert_eq!(other.bundle(1_010), "ca");
    }

    #[test]
    fn a_ring_has_an_end() {
        let mut ring = Ring::new(made("0"));
        for n in 1..MAX {
            ring = rotated(&ring, &n.to_string(), 0, 100, 10);
        }
        let schedule = Schedule { after: 0, overlap: 100 };
        assert_eq!(ring.rotated(made("x"), String::new(), schedule, 10), Err(Full));
        assert!(ring.rotated(made("x"), String::new(), Schedule::default(), 10).is_ok());
        assert!(ring.rotated(made("x"), String::new(), schedule, 200).is_ok(), "their time is over");
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let ring = rotated(&Ring::new(made("a")), "b", 5, 100, 1_000);
        assert_eq!(Ring::read(&ring.object("n")), Some(ring));
        let before = json!({"certificate": "a", "key": "a-key"});
        assert_eq!(Ring::read(&before), Some(Ring::new(made("a"))));
        for wrong in [json!({}), json!({"keys": []}), json!({"keys": [{}]})] {
            assert_eq!(Ring::read(&wrong), None, "{wrong}");
        }
    }
}
