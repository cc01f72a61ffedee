//! APIServices: which server answers for a group and version.
//!
//! [`registration`] keeps one for each group and version of custom resources, [`availability`] says of those of other
//! servers whether they answer, and [`trust`] publishes how such servers know who asks them. None of the three can be
//! switched off: in Kubernetes they are parts of the API server.

pub(crate) mod availability;
pub(crate) mod registration;
pub(crate) mod trust;
