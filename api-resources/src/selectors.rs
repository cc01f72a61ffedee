//! Label and field selectors: parsing with Kubernetes' messages, and matching against what caches keep of an
//! object ([`Meta`](api_types::Meta)).

mod field;
mod label;
mod label_parser;

pub use field::{FieldSelector, FieldTerm, fields_of};
pub use label::{LabelSelector, Operator, Requirement};

use api_types::ApiError;
use std::fmt;

/// Why a selector is not understood, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError(pub(crate) String);

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SelectorError {}

/// 400 with the same words.
impl From<SelectorError> for ApiError {
    fn from(error: SelectorError) -> Self {
        ApiError::bad_request(error.0)
    }
}
