//! What one request leaves for one route: series sorted into lanes, compressed into blocks.
//!
//! A series always takes the same lane (a hash of its labels as the route gets them), and a lane
//! has one request in flight: so several requests of a route can be under way at once and the
//! samples of a series still arrive in order.

use xxhash_rust::xxh3::xxh3_64;

use super::request::Request;
use crate::remote_write::block::{Block, Counts, Form};
use crate::remote_write::snappy::Compressor;
use crate::send::stream;

/// How large a block may be before compression, in bytes, unless one series alone is larger.
const BLOCK_BYTES: usize = 1024 * 1024;

/// What a lane keeps of its memory from request to request, in bytes.
const KEPT_BYTES: usize = 2 * BLOCK_BYTES;

/// A block of the request, still in the delivery's arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) stream: u16,
    pub(super) samples: u32,
    pub(super) bytes: std::ops::Range<usize>,
}

/// One route's share of the request being handled. Used again from request to request.
#[derive(Debug)]
pub(super) struct Outbox {
    lanes: Vec<Lane>,
    max_samples: u64,
    /// The form of the request being handled.
    form: Form,
    records: Vec<Record>,
}

#[derive(Debug, Default)]
struct Lane {
    raw: Vec<u8>,
    series: u64,
    samples: u64,
}

impl Outbox {
    /// For a route with so many samples per request.
    pub(super) fn new(max_samples: u64) -> Self {
        Self {
            lanes: Vec::new(),
            max_samples,
            form: Form::default(),
            records: Vec::new(),
        }
    }

    /// Begins a request in this form, sorted into so many lanes.
    pub(super) fn start(&mut self, form: Form, lanes: u8) {
        debug_assert!(
            self.is_empty(),
            "the request before it was finished or cleared"
        );
        self.form = form;
        self.lanes.resize_with(lanes.into(), Lane::default);
    }

    /// Forgets what is there: a request was refused, or its records were taken.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.lanes.iter_mut().for_each(Lane::empty);
    }

    /// Whether the request left nothing here so far.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.lanes.iter().all(|lane| lane.raw.is_empty())
    }

    /// The lane of a series with this encoded block of labels.
    #[inline]
    pub(super) fn lane_of(&self, label_block: &[u8]) -> usize {
        match self.lanes.len() {
            1 => 0,
            lanes => {
                let lanes = lanes as u64;
                usize::try_from(xxh3_64(label_block) % lanes).expect("lanes are at most 255")
            }
        }
    }

    /// Puts the field of a series of so many samples, which `encode` appends, into `lane`. Full
    /// blocks go to `arena` at once: so there is never more than one that a large series made.
    #[inline]
    pub(super) fn add_series(
        &mut self,
        lane: usize,
        samples: u64,
        (compressor, arena): (&mut Compressor, &mut Vec<u8>),
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.lanes[lane].samples + samples > self.max_samples {
            self.finish_lane(lane, None, compressor, arena);
        }
        let held = &mut self.lanes[lane];
        held.series += 1;
        held.samples += samples;
        encode(&mut held.raw);
        if held.raw.len() >= BLOCK_BYTES {
            self.finish_lane(lane, None, compressor, arena);
        }
    }

    /// Appends fields that belong to no series and are not known here.
    pub(super) fn add_field(
        &mut self,
        field: &[u8],
        compressor: &mut Compressor,
        arena: &mut Vec<u8>,
    ) {
        self.lanes[0].raw.extend_from_slice(field);
        if self.lanes[0].raw.len() >= BLOCK_BYTES {
            self.finish_lane(0, None, compressor, arena);
        }
    }

    /// Puts what `request` left in the lanes into `arena`, compressed, and hands over all records.
    pub(super) fn finish(
        &mut self,
        request: &Request<'_>,
        compressor: &mut Compressor,
        arena: &mut Vec<u8>,
    ) -> Vec<Record> {
        for lane in 0..self.lanes.len() {
            let elements = request.elements_of(&self.lanes[lane].raw);
            self.finish_lane(lane, elements, compressor, arena);
        }
        std::mem::take(&mut self.records)
    }

    /// Makes a block of what is in a lane, of which the compressed elements may be known.
    fn finish_lane(
        &mut self,
        index: usize,
        elements: Option<&[u8]>,
        compressor: &mut Compressor,
        arena: &mut Vec<u8>,
    ) {
        let lanes = u8::try_from(self.lanes.len()).expect("lanes are at most 255");
        let lane = &mut self.lanes[index];
        if lane.raw.is_empty() {
            return;
        }
        let counts = Counts {
            raw_len: lane.raw.len() as u64,
            series: lane.series,
            samples: lane.samples,
        };
        let start = arena.len();
        let elements = elements.unwrap_or_else(|| compressor.elements(&lane.raw));
        Block::encode(counts, self.form, elements, arena);
        self.records.push(Record {
            stream: stream(
                lanes,
                u8::try_from(index).expect("an index of at most 255 lanes"),
            ),
            samples: u32::try_from(lane.samples).unwrap_or(u32::MAX),
            bytes: start..arena.len(),
        });
        lane.empty();
    }
}

impl Lane {
    fn empty(&mut self) {
        self.raw.clear();
        self.raw.shrink_to(KEPT_BYTES);
        (self.series, self.samples) = (0, 0);
    }
}
