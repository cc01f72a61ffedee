//! insula
fn main() {}
