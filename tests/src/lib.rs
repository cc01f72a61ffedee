//! Whole-system tests: the binary, real kubectl, a real PostgreSQL.
