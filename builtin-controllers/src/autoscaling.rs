//! Horizontal pod autoscaling: how many replicas metrics ask for ([`usage`]), and how many of them are given ([`limits`]).
//!
//! Pure functions only. Not there yet: the controller that reads metrics and writes scales.

pub mod limits;
pub mod usage;
