//! Cloud kinds against public and private clouds, and their connection secrets.
