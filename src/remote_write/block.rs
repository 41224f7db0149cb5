//! A block: a compressed piece of a `WriteRequest` on its way to one lane of one route.
//!
//! It is what a route's queue stores. The layout, all integers varints:
//!
//! ```text
//! version | raw_len | series | samples | snappy elements …
//! ```
//!
//! Version 1 is a piece of a 1.0 request as it is, version 2 one in [`Form::Carried`].
//! `raw_len` is the length of the piece before compression, in bytes; `series` and `samples` count
//! what it holds (samples include histograms). Blocks of one lane join to one request by
//! concatenation of their elements, see [`super::snappy::join`].

use bytes::Bytes;
use thiserror::Error;

use super::wire::{put_varint, read_varint};

/// What the bytes of a request say beyond remote write 1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Nothing: it is a 1.0 request.
    #[default]
    Plain,
    /// It came as 2.0: see [`super::carried`].
    Carried,
}

/// What a block holds, without its elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The length before compression, in bytes.
    pub raw_len: u64,
    /// Series, each with any number of samples.
    pub series: u64,
    /// Samples and histograms.
    pub samples: u64,
}

impl Counts {
    /// Adds what another piece holds.
    pub fn add(&mut self, other: Self) {
        self.raw_len += other.raw_len;
        self.series += other.series;
        self.samples += other.samples;
    }
}

/// A block as read back from a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// What it holds.
    pub counts: Counts,
    /// What kind of request the elements are a piece of.
    pub form: Form,
    /// Its snappy elements.
    pub elements: Bytes,
}

/// Why stored bytes are no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BlockError {
    /// The header is cut off or no varints.
    #[error("block has no valid header")]
    BadHeader,
    /// Written by another version of promrelay.
    #[error("block has version {0}, which this promrelay cannot read")]
    UnknownVersion(u64),
}

impl Form {
    fn version(self) -> u64 {
        match self {
            Self::Plain => 1,
            Self::Carried => 2,
        }
    }
}

impl Block {
    /// Appends a block to `buffer`.
    pub fn encode(counts: Counts, form: Form, elements: &[u8], buffer: &mut Vec<u8>) {
        for number in [
            form.version(),
            counts.raw_len,
            counts.series,
            counts.samples,
        ] {
            put_varint(buffer, number);
        }
        buffer.extend_from_slice(elements);
    }

    /// Appends this block to `buffer`.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        Self::encode(self.counts, self.form, &self.elements, buffer);
    }

    /// Reads a block; the elements share `bytes`' memory.
    ///
    /// # Errors
    /// If the header is malformed or of another version.
    pub fn decode(mut bytes: Bytes) -> Result<Self, BlockError> {
        let mut number = || {
            let (value, length) = read_varint(&bytes).map_err(|_why| BlockError::BadHeader)?;
            bytes = bytes.slice(length..);
            Ok(value)
        };
        let form = match number()? {
            1 => Form::Plain,
            2 => Form::Carried,
            other => return Err(BlockError::UnknownVersion(other)),
        };
        let counts = Counts {
            raw_len: number()?,
            series: number()?,
            samples: number()?,
        };
        Ok(Self {
            counts,
            form,
            elements: bytes,
        })
    }
}
