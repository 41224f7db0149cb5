//! What must hold for any input, by target. The fuzzer looks for one that breaks it; the ordinary
//! tests replay what it found.

pub mod configuration;
mod damage;
pub mod exposition;
pub mod http_handler;
pub mod journal_recovery;
pub mod queue_recovery;
pub mod regex;
pub mod relabel;
pub mod remote_write;
pub mod snappy;

/// A target's name, and what it checks of an input: it panics if that does not hold.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 10] = [
    ("configuration", configuration::run),
    ("exposition", exposition::run),
    ("http_handler", http_handler::run),
    ("journal_recovery", journal_recovery::run),
    ("queue_recovery", queue_recovery::run),
    ("regex", regex::run),
    ("relabel", relabel::run),
    ("snappy", snappy::run),
    ("walk_v1", remote_write::walk_v1),
    ("decode_v2", remote_write::decode_v2),
];
