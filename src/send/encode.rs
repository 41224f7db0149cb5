//! From what a queue stores to what goes on the wire.
//!
//! A queue stores pieces of 1.0 requests, plain ones or such in the carried form, whatever the
//! route sends: so a queue that was filled under one setting is sent under another, and a refused
//! batch is halved the same way for both messages. Plain pieces on their way to a receiver of 1.0
//! join by concatenation and are not opened; everything else is written anew, for each batch.

use std::cell::RefCell;

use bytes::Bytes;
use thiserror::Error;
use tokio::task::spawn_blocking;

use super::exemplars;
use super::families::Known;
use crate::remote_write::block::{Block, Counts, Form};
use crate::remote_write::carried::{self, LeftOut};
use crate::remote_write::message::ProtobufMessage;
use crate::remote_write::snappy::{self, Compressor, DecompressError};
use crate::remote_write::v1::{self, Piece};
use crate::remote_write::v2::{Contents, Encoder};
use crate::remote_write::wire::WireError;

/// A request as it is stored: not yet in either message.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Joined blocks of one form each, in order.
    pub(super) runs: Vec<Block>,
    pub(super) counts: Counts,
}

/// A request as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) message: ProtobufMessage,
    pub(super) body: Bytes,
    /// What it holds, if it is a 2.0 request: the receiver says what it has written of that.
    pub(super) contents: Contents,
    /// What was stored and has no place in the message.
    pub(super) left_out: LeftOut,
    /// Whether there is nothing in it that could be sent.
    pub(super) is_empty: bool,
}

/// Why a stored request cannot be sent.
#[derive(Debug, Error)]
pub(super) enum EncodeError {
    #[error("cannot decompress a stored block")]
    Decompress(#[source] DecompressError),
    #[error("cannot read a stored block")]
    Read(#[source] WireError),
    /// Or it was cancelled, if the runtime ends.
    #[error("the encoder failed")]
    Panicked(#[source] tokio::task::JoinError),
}

/// What encoding needs, used again from request to request.
#[derive(Debug, Default)]
struct Tools {
    encoder: Encoder,
    compressor: Compressor,
    stored: Vec<u8>,
    raw: Vec<u8>,
}

/// Buffers larger than this are not kept for the next request, in bytes.
const KEPT_BUFFER_BYTES: usize = 16 * 1024 * 1024;

thread_local! {
    static TOOLS: RefCell<Tools> = RefCell::default();
}

impl Request {
    /// Writes the request as `message`; series without metadata of their own get what is `known`.
    pub(super) async fn encode(
        &self,
        message: ProtobufMessage,
        known: std::sync::Arc<Known>,
    ) -> Result<Wire, EncodeError> {
        if message == ProtobufMessage::V1 && self.runs.iter().all(|run| run.form == Form::Plain) {
            return Ok(self.join());
        }
        let request = self.clone();
        let encoding = spawn_blocking(move || {
            TOOLS.with_borrow_mut(|tools| {
                let wire = match message {
                    ProtobufMessage::V1 => tools.encode_v1(&request),
                    ProtobufMessage::V2 => tools.encode_v2(&request, &known),
                };
                tools.shrink();
                wire
            })
        });
        encoding.await.map_err(EncodeError::Panicked)?
    }

    fn join(&self) -> Wire {
        let elements = self.runs.iter().map(|run| run.elements.as_ref());
        Wire {
            message: ProtobufMessage::V1,
            body: snappy::join(self.counts.raw_len, elements).into(),
            contents: Contents::default(),
            left_out: LeftOut::default(),
            is_empty: false,
        }
    }

    /// Two requests with half of the series each; `None` if there is only one, or they cannot be
    /// read.
    pub(super) async fn halve(&self) -> Option<[Self; 2]> {
        if self.counts.series < 2 {
            return None;
        }
        let request = self.clone();
        let halving = spawn_blocking(move || request.cut(request.counts.series / 2));
        halving.await.ok().flatten()
    }

    /// Cuts it behind so many series.
    fn cut(&self, series: u64) -> Option<[Self; 2]> {
        let mut halves = [Self::empty(), Self::empty()];
        let mut before = 0;
        for run in &self.runs {
            let missing = series.saturating_sub(before);
            before += run.counts.series;
            if missing == 0 || run.counts.series <= missing {
                halves[usize::from(missing == 0)].push(run.clone());
                continue;
            }
            let mut buffer = Vec::new();
            let raw = decompress(run, &mut buffer).ok()?;
            let mut compressor = Compressor::default();
            let pieces = v1::cut(raw, missing).ok()?;
            for (half, Piece { range, counts }) in halves.iter_mut().zip(pieces) {
                half.push(Block {
                    counts,
                    form: run.form,
                    elements: Bytes::copy_from_slice(compressor.elements(&raw[range])),
                });
            }
        }
        halves
            .iter()
            .all(|half| half.counts.series > 0)
            .then_some(halves)
    }

    fn empty() -> Self {
        Self {
            runs: Vec::new(),
            counts: Counts::default(),
        }
    }

    fn push(&mut self, run: Block) {
        self.counts.add(run.counts);
        self.runs.push(run);
    }
}

impl Tools {
    fn encode_v1(&mut self, request: &Request) -> Result<Wire, EncodeError> {
        self.raw.clear();
        let mut left_out = LeftOut::default();
        for run in &request.runs {
            let stored = decompress(run, &mut self.stored)?;
            if run.form == Form::Plain {
                self.raw.extend_from_slice(stored);
                continue;
            }
            // What series say of their metrics was noted when they came.
            let said = |_name, _metadata| {};
            let more = carried::to_v1(stored, &mut self.raw, said).map_err(EncodeError::Read)?;
            add(&mut left_out, more);
        }
        Ok(self.finish(ProtobufMessage::V1, Contents::default(), left_out))
    }

    fn encode_v2(&mut self, request: &Request, known: &Known) -> Result<Wire, EncodeError> {
        self.encoder.begin();
        for run in &request.runs {
            let stored = decompress(run, &mut self.stored)?;
            let folded = exemplars::fold(stored).map_err(EncodeError::Read)?;
            let stored = folded.as_deref().unwrap_or(stored);
            let lookup = |name: &[u8]| known.metadata_of(name);
            let added = self.encoder.add(run.form, stored, &lookup);
            added.map_err(EncodeError::Read)?;
        }
        self.raw.clear();
        let (contents, left_out) = self.encoder.finish(&mut self.raw);
        let mut wire = self.finish(ProtobufMessage::V2, contents, left_out);
        wire.is_empty = contents == Contents::default();
        Ok(wire)
    }

    fn finish(&mut self, message: ProtobufMessage, contents: Contents, left_out: LeftOut) -> Wire {
        let elements = self.compressor.elements(&self.raw);
        let body = snappy::join(self.raw.len() as u64, std::iter::once(elements));
        Wire {
            message,
            body: body.into(),
            contents,
            left_out,
            is_empty: self.raw.is_empty(),
        }
    }

    fn shrink(&mut self) {
        if self.stored.capacity() + self.raw.capacity() > KEPT_BUFFER_BYTES {
            *self = Self::default();
        }
    }
}

fn decompress<'b>(run: &Block, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], EncodeError> {
    let block = snappy::join(run.counts.raw_len, std::iter::once(run.elements.as_ref()));
    snappy::decompress(&block, run.counts.raw_len, buffer).map_err(EncodeError::Decompress)
}

fn add(sum: &mut LeftOut, more: LeftOut) {
    sum.start_timestamps += more.start_timestamps;
    sum.unknown_fields += more.unknown_fields;
    sum.metadata += more.metadata;
    sum.series += more.series;
    sum.exemplars += more.exemplars;
}
