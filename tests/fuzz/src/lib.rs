//! What must hold for any input, by target. The fuzzer looks for one that breaks it; the ordinary
//! tests replay what it found.

pub mod remote_write;

/// A target's name, and what it checks of an input: it panics if that does not hold.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 2] = [
    ("walk_v1", remote_write::walk_v1),
    ("decode_v2", remote_write::decode_v2),
];
