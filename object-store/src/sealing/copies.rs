//! Opening what is sealed in a copy of a store, wherever the copy was made.

use super::SealedStore;
use super::cipher::sealed_by;
use super::data_keys::{DATA_KEY, DataKeys, broken};
use super::keys::SealingKeys;
use crate::engine::{Item, StoreError};
use bytes::Bytes;

/// Opens the values of a copy by the data keys in it, which come before what is sealed with them.
pub struct CopyOpener(DataKeys);

impl SealedStore {
    /// Opens copies by the installation's keys of now.
    pub fn opener(&self) -> CopyOpener {
        CopyOpener::new(self.keys())
    }
}

impl CopyOpener {
    /// Opens by these keys.
    pub fn new(keys: SealingKeys) -> Self {
        CopyOpener(DataKeys::new(keys))
    }

    /// The next value as it was before it was sealed; `None` for a data key. What is not sealed comes as it is.
    pub fn open(&self, item: &Item) -> Result<Option<Bytes>, StoreError> {
        if item.key == DATA_KEY {
            self.0.learn(item.tenant, &item.value, item.modified)?;
            return Ok(None);
        }
        if sealed_by(&item.value).is_none() {
            return Ok(Some(item.value.clone()));
        }
        let key = self.0.known(item.tenant);
        let key = key.ok_or_else(|| broken(item.tenant, &item.key, &"the plane's data key is missing"))?;
        key.open(item.tenant, &item.key, &item.value).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::{Revision, TenantId};
    use uuid::Uuid;

    #[test]
    fn a_copy_opens_with_its_data_key_and_the_installations() {
        let tenant = TenantId::new(Uuid::from_u128(1));
        let keys = SealingKeys::generate().unwrap();
        let (key, stored) = DataKeys::new(keys.clone()).make(tenant).unwrap();
        let sealed = key.seal(tenant, "/secrets/a/b", b"secret").unwrap();
        let item = |key: &str, value: &Bytes| Item {
            tenant,
            key: key.to_owned(),
            value: value.clone(),
            modified: Revision::ZERO,
        };
        let (data_key, secret) = (item(DATA_KEY, &stored), item("/secrets/a/b", &sealed));
        let told = |opener: &CopyOpener, item: &Item| opener.open(item).map_err(|error| error.to_string());

        let opener = CopyOpener::new(keys);
        assert!(told(&opener, &secret).unwrap_err().contains("the plane's data key is missing"));
        let open = item("/configmaps/a/b", &Bytes::from_static(b"open"));
        assert_eq!(told(&opener, &open).unwrap().unwrap(), &b"open"[..]);
        assert_eq!(told(&opener, &data_key), Ok(None));
        assert_eq!(told(&opener, &secret).unwrap().unwrap(), &b"secret"[..]);
        assert!(told(&opener, &item("/secrets/a/c", &sealed)).unwrap_err().contains("another place"));
        let others = CopyOpener::new(SealingKeys::generate().unwrap());
        assert!(told(&others, &data_key).unwrap_err().contains("which is not among the sealing keys"));
    }
}
