//! Keys of spaces as keys of etcd.

use crate::operation::Space;
use api_types::TenantId;

/// The keys under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Ends with a slash.
    prefix: String,
}

impl Keys {
    /// The keys under a prefix, whose slashes at its end do not count.
    pub fn new(prefix: &str) -> Self {
        Keys { prefix: format!("{}/", prefix.trim_end_matches('/')) }
    }

    /// Where it is kept what is added to etcd's revisions: beside all keys.
    pub fn floor(&self) -> Vec<u8> {
        format!("{}.floor", self.prefix.trim_end_matches('/')).into_bytes()
    }

    /// Whose all keys are: beside them.
    pub fn claim(&self) -> Vec<u8> {
        format!("{}.claim", self.prefix.trim_end_matches('/')).into_bytes()
    }

    /// Where all keys start.
    pub fn start(&self) -> Vec<u8> {
        self.prefix.clone().into_bytes()
    }

    /// After all keys.
    pub fn end(&self) -> Vec<u8> {
        after_all(self.start())
    }

    /// The key of a key of a tenant's space; of the empty key: where the space starts.
    ///
    /// The UID is of fixed length and ends with a slash: no space is the prefix of another.
    pub fn key(&self, tenant: TenantId, key: &str) -> Vec<u8> {
        format!("{}{tenant}/{key}", self.prefix).into_bytes()
    }

    /// Where the keys that start with `prefix` begin and end.
    pub fn span(&self, tenant: TenantId, prefix: &str) -> (Vec<u8>, Vec<u8>) {
        let start = self.key(tenant, prefix);
        (start.clone(), after_all(start))
    }

    /// Where the keys of a range begin and end; over all spaces only without a prefix.
    pub fn whole(&self, space: Option<Space>, prefix: &str) -> (Vec<u8>, Vec<u8>) {
        match space {
            Some(space) => self.span(space.tenant(), prefix),
            None => (self.start(), self.end()),
        }
    }

    /// The first key after this one.
    pub fn just_after(&self, tenant: TenantId, key: &str) -> Vec<u8> {
        let mut bytes = self.key(tenant, key);
        bytes.push(0);
        bytes
    }

    /// Whose key it is; `None` for a key that this store did not write.
    pub fn parse(&self, key: &[u8]) -> Option<(TenantId, String)> {
        let text = std::str::from_utf8(key).ok()?.strip_prefix(&self.prefix)?;
        let (tenant, key) = text.split_once('/')?;
        let id = TenantId::parse(tenant)?;
        // Other spellings of a UID are other keys.
        (!key.is_empty() && id.to_string() == tenant).then(|| (id, key.to_owned()))
    }
}

/// The first key after all keys that start with `prefix`, which is text and so never ends with the byte 255.
fn after_all(mut prefix: Vec<u8>) -> Vec<u8> {
    if let Some(last) = prefix.last_mut() {
        *last += 1;
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    proptest! {
        #[test]
        fn keys_come_back_and_stay_in_their_space(a: u128, b: u128, key in ".{1,30}") {
            let keys = Keys::new("/insula");
            let (a, b) = (TenantId::new(Uuid::from_u128(a)), TenantId::new(Uuid::from_u128(b)));
            let bytes = keys.key(a, &key);
            prop_assert_eq!(keys.parse(&bytes), Some((a, key.clone())));
            let inside = |(start, end): (Vec<u8>, Vec<u8>)| start <= bytes && bytes < end;
            prop_assert!(inside(keys.span(a, "")));
            prop_assert!(inside(keys.whole(None, "")));
            prop_assert_eq!(inside(keys.span(b, "")), a == b);
            prop_assert!(bytes < keys.just_after(a, &key));
        }
    }

    #[test]
    fn foreign_keys_are_not_ours() {
        let keys = Keys::new("/insula/");
        let id = "00000000-0000-0000-0000-00000000000a";
        assert!(keys.parse(format!("/insula/{id}/x").as_bytes()).is_some());
        let foreign = [
            format!("/other/{id}/x"),
            format!("/insula/{}/x", id.to_uppercase()),
            format!("/insula/{id}/"),
            format!("/insula/{id}"),
            "/insula/version".to_owned(),
        ];
        for key in foreign {
            assert_eq!(keys.parse(key.as_bytes()), None, "{key}");
        }
        assert_eq!(keys.parse(b"/insula/\xff"), None);
    }
}
