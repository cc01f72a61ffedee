//! Pods: the translation down and up, piece by piece.

pub mod environment;

pub mod dns;

pub mod fields;

pub mod volumes;

pub mod affinity;

pub mod priority;

pub mod downward;

pub mod update;

pub mod upward;
