//! What an object is in the versions in which its managers own fields.
//!
//! Ownership is computed without waiting, and a webhook has to be waited for. So a conversion that is not known yet is
//! noted, and the computation is done again once it is: what came of it before counts for nothing.

use super::Caller;
use crate::gateway::Place;
use api_types::ApiError;
use compact_str::CompactString;
use parking_lot::Mutex;
use serde_json::Value;

/// The conversions of one request: a handful, gone with it.
#[derive(Default)]
pub struct Known(Mutex<State>);

#[derive(Default)]
struct State {
    /// Object, version, the object in the version.
    known: Vec<(Value, CompactString, Value)>,
    wanted: Vec<(Value, CompactString)>,
}

impl Known {
    /// An object in a version; `None`: it is not known yet, which is noted.
    pub fn find(&self, object: &Value, version: &str) -> Option<Value> {
        let mut state = self.0.lock();
        let found = state.known.iter().find(|(from, to, _)| to == version && from == object);
        if let Some((.., converted)) = found {
            return Some(converted.clone());
        }
        state.wanted.push((object.clone(), version.into()));
        None
    }

    /// Learns what has been noted. True: something was, and what was computed without it has to be computed again.
    pub async fn learn(&self, caller: &Caller<'_>, place: &Place) -> Result<bool, ApiError> {
        let wanted = std::mem::take(&mut self.0.lock().wanted);
        if wanted.is_empty() {
            return Ok(false);
        }
        for (object, name) in wanted {
            let Some(version) = place.row.known_version(&name) else { continue };
            let converted = super::convert_one(caller, &place.row, version, object.clone()).await?;
            self.0.lock().known.push((object, name, converted));
        }
        Ok(true)
    }
}
