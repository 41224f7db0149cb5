//! The bytes of a segment: its header, its records, its footer. Specified in [`super`].

use std::collections::BTreeMap;
use std::io;

use bytes::{Buf, BufMut};

use super::Tally;
use super::salt::salt_of_checksum;

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 32;
/// Bytes of a record before its payload.
pub(super) const RECORD_HEADER_BYTES: usize = 40;
/// Bytes after the footer record, at the very end of a sealed segment.
pub(super) const TRAILER_BYTES: usize = 8;
/// The first bytes of every record: what a search for the next whole record looks for.
pub(super) const RECORD_MARKER: [u8; 4] = [0xF5, b'P', b'r', 0xFA];

const SEGMENT_MAGIC: &[u8; 8] = b"prmrelyQ";
const TRAILER_MAGIC: &[u8; 4] = b"PrQ$";
const VERSION: u16 = 1;
const FOOTER_ENTRY_BYTES: usize = 64;

/// The first bytes of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Every checksum of the queue starts from it, so that bytes that only look like a record
    /// (inside another record's payload, say) are not taken for one.
    pub salt: u32,
    /// No record of the segment has a smaller position.
    pub first: u64,
}

impl SegmentHeader {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        bytes.put_slice(SEGMENT_MAGIC);
        bytes.put_u16_le(VERSION);
        bytes.put_u16_le(0);
        bytes.put_u32_le(self.salt);
        bytes.put_u64_le(self.first);
        bytes.put_u32_le(0);
        let checksum = crc32fast::hash(&bytes);
        bytes.put_u32_le(checksum);
        bytes
    }

    /// The header at the start of `bytes`; `None` if it is damaged.
    ///
    /// # Errors
    /// If it is of another version.
    pub(super) fn decode(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some((checked, mut checksum)) = bytes.split_at_checked(28) else {
            return Ok(None);
        };
        let is_whole = checksum.len() >= 4 && checksum.get_u32_le() == crc32fast::hash(checked);
        let Some(mut fields) = checked.strip_prefix(SEGMENT_MAGIC).filter(|_| is_whole) else {
            return Ok(None);
        };
        check_version(fields.get_u16_le(), VERSION)?;
        fields.advance(2);
        Ok(Some(Self {
            salt: fields.get_u32_le(),
            first: fields.get_u64_le(),
        }))
    }
}

/// Refuses what another version has written: it is whole, and to take it for damaged would be to
/// lose it.
pub(super) fn check_version(found: u16, known: u16) -> io::Result<()> {
    if found == known {
        return Ok(());
    }
    let message = format!(
        "it is in version {found} of the queue's format and this promrelay reads version {known}: \
         run the one that wrote it"
    );
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody's bytes.
    Data,
    /// The summary that ends a sealed segment.
    Footer,
}

/// A record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub kind: Kind,
    /// Bytes of the payload.
    pub length: u32,
    pub position: u64,
    pub appended_ms: i64,
    pub weight: u32,
    pub stream: u16,
    pub payload_checksum: u32,
}

impl RecordHeader {
    pub(super) fn encode_to(&self, salt: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_slice(&RECORD_MARKER);
        out.put_u32_le(self.length);
        out.put_u64_le(self.position);
        out.put_i64_le(self.appended_ms);
        out.put_u32_le(self.weight);
        out.put_u16_le(self.stream);
        out.put_u16_le(match self.kind {
            Kind::Data => 0,
            Kind::Footer => 1,
        });
        out.put_u32_le(self.payload_checksum);
        let checksum = checksum(salt, &out[start..]);
        out.put_u32_le(checksum);
    }

    /// The header at the start of `bytes`; `None` if there is no valid one.
    pub(super) fn decode(salt: u32, bytes: &[u8]) -> Option<Self> {
        let checked = bytes.get(..36)?;
        let sum = bytes.get(36..RECORD_HEADER_BYTES)?.get_u32_le();
        let mut fields = checked.strip_prefix(&RECORD_MARKER)?;
        if sum != checksum(salt, checked) {
            return None;
        }
        let length = fields.get_u32_le();
        let position = fields.get_u64_le();
        let appended_ms = fields.get_i64_le();
        let weight = fields.get_u32_le();
        let stream = fields.get_u16_le();
        let kind = match fields.get_u16_le() {
            0 => Kind::Data,
            1 => Kind::Footer,
            _ => return None,
        };
        Some(Self {
            kind,
            length,
            position,
            appended_ms,
            weight,
            stream,
            payload_checksum: fields.get_u32_le(),
        })
    }

    /// The same without knowing the salt, which comes with it; only the payload's checksum tells
    /// whether this is a record at all.
    pub(super) fn decode_with_salt(bytes: &[u8]) -> Option<(u32, Self)> {
        let checked = bytes.get(..36)?;
        let sum = bytes.get(36..RECORD_HEADER_BYTES)?.get_u32_le();
        let salt = salt_of_checksum(sum, checked);
        Self::decode(salt, bytes).map(|header| (salt, header))
    }

    /// Bytes of the whole record in the file.
    pub(super) fn stored_bytes(&self) -> u64 {
        RECORD_HEADER_BYTES as u64 + u64::from(self.length)
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            records: 1,
            weight: u64::from(self.weight),
            bytes: self.stored_bytes(),
        }
    }
}

/// The CRC-32 of `bytes`, started from the queue's salt.
pub(super) fn checksum(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

/// What a segment holds, per stream: enough to count a backlog without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub streams: BTreeMap<u16, StreamSummary>,
}

/// One stream's records in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamSummary {
    pub tally: Tally,
    pub first: u64,
    pub last: u64,
    pub oldest_ms: i64,
    pub newest_ms: i64,
}

impl Summary {
    pub(super) fn add(&mut self, header: &RecordHeader) {
        let stream = self
            .streams
            .entry(header.stream)
            .or_insert_with(|| StreamSummary {
                tally: Tally::default(),
                first: header.position,
                last: header.position,
                oldest_ms: header.appended_ms,
                newest_ms: header.appended_ms,
            });
        stream.tally += header.tally();
        stream.last = header.position;
        stream.oldest_ms = stream.oldest_ms.min(header.appended_ms);
        stream.newest_ms = stream.newest_ms.max(header.appended_ms);
    }

    /// The footer record and the trailer of a segment whose positions all lie below `end`.
    pub(super) fn encode_footer(&self, salt: u32, end: u64) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.streams.len() * FOOTER_ENTRY_BYTES);
        for (&stream, summary) in &self.streams {
            payload.put_u16_le(stream);
            payload.put_slice(&[0; 6]);
            payload.put_u64_le(summary.tally.records);
            payload.put_u64_le(summary.tally.weight);
            payload.put_u64_le(summary.tally.bytes);
            payload.put_u64_le(summary.first);
            payload.put_u64_le(summary.last);
            payload.put_i64_le(summary.oldest_ms);
            payload.put_i64_le(summary.newest_ms);
        }
        // There are at most 65536 streams, 64 bytes each: 4 MiB.
        let length = u32::try_from(payload.len()).expect("a footer has at most 4 MiB");
        let header = RecordHeader {
            kind: Kind::Footer,
            length,
            position: end,
            appended_ms: 0,
            weight: 0,
            stream: 0,
            payload_checksum: checksum(salt, &payload),
        };
        let mut out = Vec::with_capacity(RECORD_HEADER_BYTES + payload.len() + TRAILER_BYTES);
        header.encode_to(salt, &mut out);
        out.put_slice(&payload);
        let record_bytes = u32::try_from(out.len()).expect("a footer has at most 4 MiB");
        out.put_u32_le(record_bytes);
        out.put_slice(TRAILER_MAGIC);
        out
    }

    /// The summary in a footer record; `None` if it is damaged.
    pub(super) fn decode_footer(salt: u32, record: &[u8]) -> Option<(Self, u64)> {
        let header = RecordHeader::decode(salt, record)?;
        let mut payload = record.get(RECORD_HEADER_BYTES..)?;
        let whole = payload.len() as u64 == u64::from(header.length)
            && payload.len().is_multiple_of(FOOTER_ENTRY_BYTES);
        if header.kind != Kind::Footer
            || !whole
            || checksum(salt, payload) != header.payload_checksum
        {
            return None;
        }
        let mut streams = BTreeMap::new();
        while payload.has_remaining() {
            let stream = payload.get_u16_le();
            payload.advance(6);
            let summary = StreamSummary {
                tally: Tally {
                    records: payload.get_u64_le(),
                    weight: payload.get_u64_le(),
                    bytes: payload.get_u64_le(),
                },
                first: payload.get_u64_le(),
                last: payload.get_u64_le(),
                oldest_ms: payload.get_i64_le(),
                newest_ms: payload.get_i64_le(),
            };
            streams.insert(stream, summary);
        }
        Some((Self { streams }, header.position))
    }
}

/// Bytes of the footer record before this trailer; `None` if it is no trailer.
pub(super) fn decode_trailer(mut bytes: &[u8]) -> Option<u64> {
    let length = bytes.get(..4)?.get_u32_le();
    bytes.advance(4);
    (bytes == TRAILER_MAGIC).then_some(u64::from(length))
}
