//! The `promrelay` binary.

fn main() {}
