//! Types generated from the files in `proto/`: the oracle of the tests, and what is not the hot
//! path.
//!
//! `cargo test --test it generated` fails when they are not what `proto/` says; with
//! `UPDATE_GENERATED=1` in the environment it writes them.

/// Remote write 1.0: `WriteRequest` and what is in it.
#[expect(clippy::must_use_candidate, clippy::doc_markdown, reason = "prost writes these lines")]
#[rustfmt::skip]
pub mod prometheus;
/// Remote write 2.0: `Request` and what is in it.
#[expect(clippy::must_use_candidate, clippy::doc_markdown, reason = "prost writes these lines")]
#[rustfmt::skip]
pub mod write_v2;
