//! What a request leaves for one route: lanes, and blocks.

use proptest::prelude::*;

use super::super::outbox::Outbox;
use super::super::request::Request;
use crate::remote_write::block::{Block, Form};
use crate::remote_write::snappy::{self, Compressor};
use crate::send::lane_of;

#[test]
fn a_series_always_takes_the_same_lane_and_blocks_keep_their_limit() {
    let mut outbox = Outbox::new(10);
    outbox.start(Form::Plain, 4);
    let (mut compressor, mut arena) = (Compressor::default(), Vec::new());
    for index in 0..100u32 {
        let block = (index % 7).to_le_bytes();
        let lane = outbox.lane_of(&block);
        assert_eq!(lane, outbox.lane_of(&block));
        outbox.add_series(lane, 1, (&mut compressor, &mut arena), |buffer| {
            buffer.extend_from_slice(&block);
        });
    }
    let request = Request::new(Form::Plain, &[]);
    let records = outbox.finish(&request, &mut compressor, &mut arena);
    assert!(
        records.iter().all(|record| record.samples <= 10),
        "{records:?}"
    );
    assert_eq!(
        records.iter().map(|record| record.samples).sum::<u32>(),
        100
    );
    assert!(outbox.is_empty());
}

proptest! {
    /// A route that takes all of a request as it came gets it as it was compressed, any other
    /// compresses what it takes; and what it gets is what it takes.
    #[test]
    fn a_request_is_compressed_again_only_in_part(
        series in prop::collection::vec((0_u8..4, prop::bool::weighted(0.9)), 1..20),
        lanes in 1_u8..=2,
        max_samples in prop::sample::select(&[3, 100][..]),
        is_dense in prop::bool::weighted(0.8),
    ) {
        let piece = |kind: u8| [kind; 100];
        let raw: Vec<u8> = series.iter().flat_map(|&(kind, _)| piece(kind)).collect();
        let mut compressor = Compressor::default();
        // In two parts, as nobody here would compress it, or hardly.
        let (left, right) = raw.split_at(raw.len() / 2);
        let literal = |bytes: &[u8]| [&[49 << 2], bytes].concat();
        let parts = [left, right].map(|part| {
            if is_dense {
                return compressor.elements(part).to_vec();
            }
            part.chunks(50).flat_map(literal).collect()
        });
        let sent = snappy::join(raw.len() as u64, parts.iter().map(Vec::as_slice));
        let request = Request::new(Form::Plain, &raw).decompressed_from(&sent);

        let mut outbox = Outbox::new(max_samples);
        outbox.start(Form::Plain, lanes);
        let mut arena = Vec::new();
        let mut taken = vec![Vec::new(); lanes.into()];
        for &(kind, _) in series.iter().filter(|(_, is_kept)| *is_kept) {
            let lane = outbox.lane_of(&piece(kind));
            taken[lane].extend(piece(kind));
            let output = (&mut compressor, &mut arena);
            outbox.add_series(lane, 1, output, |buffer| buffer.extend(piece(kind)));
        }
        let records = outbox.finish(&request, &mut compressor, &mut arena);

        let mut got = vec![Vec::new(); lanes.into()];
        for record in &records {
            let bytes = arena[record.bytes.clone()].to_vec();
            let block = Block::decode(bytes.into()).unwrap();
            let is_whole = block.counts.raw_len == raw.len() as u64;
            prop_assert_eq!(block.elements == snappy::elements(&sent), is_whole && is_dense);
            let elements = std::iter::once(block.elements.as_ref());
            let block = snappy::join(block.counts.raw_len, elements);
            let (_, lane) = lane_of(record.stream);
            got[usize::from(lane)].extend_from_slice(
                snappy::decompress(&block, 1 << 20, &mut Vec::new()).unwrap(),
            );
        }
        prop_assert_eq!(got, taken);
    }
}
