//! The remote-write protocol on the wire.
//!
//! The relay opens labels and nothing else: a request is walked as slices of its own bytes, and
//! what is not a label (samples, exemplars, histograms, fields that are not known here) is carried
//! on as it came. Two facts of the formats make this cheap:
//!
//! - Two encoded `WriteRequest`s, one after the other, are one valid `WriteRequest`.
//! - Two raw snappy blocks join too: without their length preambles, behind the sum of the
//!   lengths, their elements concatenate, because back-references are relative and each stays
//!   within its own block ([snappy format], sections 1 and 2).
//!
//! So a request is compressed once, where it is handled, and batches join by copying.
//!
//! A 2.0 request has a symbol table and does not join. It becomes a 1.0 request where it comes in,
//! with what 1.0 has no place for in fields of our own: the *carried* form ([`carried`]). All that
//! the relay does, it does with this one form; what goes out as 2.0 is translated for each batch.
//!
//! Specifications: [remote write 1.0], [remote write 2.0].
//!
//! [remote write 1.0]: https://prometheus.io/docs/specs/prw/remote_write_spec/
//! [remote write 2.0]: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/
//! [snappy format]: https://github.com/google/snappy/blob/main/format_description.txt

pub mod block;
pub mod carried;
pub mod generated;
pub mod message;
pub mod snappy;
pub mod v1;
pub mod v2;
pub mod wire;

pub use message::ProtobufMessage;

#[cfg(test)]
mod tests;
