use bytes::Bytes;

use super::block::{Block, BlockError, Counts, Form};
use super::snappy::{self, Compressor, DecompressError};
use super::v1::{DecodeError, InvalidLabels, Limits, Part, Series, Walker, encode_labels};
use super::wire::{Fields, Value, WireError, put_bytes_field, put_varint, read_varint, varint_len};
use crate::model::Label;

const LIMITS: Limits = Limits {
    labels_per_series: 100,
    label_name_bytes: 64,
    label_value_bytes: 1024,
};

/// A series message: labels as given, then one sample.
fn series(labels: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut message = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        put_bytes_field(&mut label, 1, name);
        put_bytes_field(&mut label, 2, value);
        put_bytes_field(&mut message, 1, &label);
    }
    let mut sample = vec![9];
    sample.extend_from_slice(&f64::from_bits(0x7ff0_0000_0000_0002).to_le_bytes());
    sample.extend_from_slice(&[16, 42]);
    put_bytes_field(&mut message, 2, &sample);
    message
}

/// A request of series with these messages.
pub(super) fn request(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut request = Vec::new();
    for message in messages {
        put_bytes_field(&mut request, 1, message);
    }
    request
}

type Labels = Vec<(String, String)>;

/// Walks a request and writes every series again, as the router does with rewritten ones.
fn walk(request: &[u8]) -> Result<(Vec<Labels>, Vec<u8>), DecodeError> {
    let mut walker = Walker::new(request, LIMITS);
    let (mut series, mut seen, mut again) = (Series::default(), Vec::new(), Vec::new());
    while let Some(part) = walker.next_part(&mut series)? {
        match part {
            Part::Series => {
                let label = |label: Label<'_>| (label.name.to_owned(), label.value.to_owned());
                seen.push(series.labels.iter().map(label).collect());
                let mut block = Vec::new();
                encode_labels(series.labels.iter(), &mut block);
                series.encode_with(&block, &mut again);
            }
            Part::Metadata(field) | Part::Unknown(field) => again.extend_from_slice(field),
        }
    }
    Ok((seen, again))
}

fn check_invalid(labels: &[(&[u8], &[u8])], expected: &InvalidLabels) {
    let error = walk(&request(&[series(&[(b"a", b"b")]), series(labels)])).unwrap_err();
    let DecodeError::Labels {
        index: 1, source, ..
    } = &error
    else {
        panic!("{error:?} for {labels:?}");
    };
    assert_eq!(source, expected, "{labels:?}");
}

#[test]
fn varints_read_as_they_were_written() {
    for value in [
        0,
        1,
        127,
        128,
        300,
        16_383,
        16_384,
        u64::from(u32::MAX),
        u64::MAX,
    ] {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        assert_eq!(read_varint(&bytes), Ok((value, bytes.len())));
        assert_eq!(varint_len(value), bytes.len(), "{value}");
        for cut in 0..bytes.len() {
            assert!(read_varint(&bytes[..cut]).is_err(), "{value} cut to {cut}");
        }
    }
    assert!(read_varint(&[0xff; 11]).is_err());
    assert!(read_varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).is_err());
}

#[test]
fn a_length_beyond_the_message_is_an_error_and_not_a_slice() {
    for length in [2, u64::from(u32::MAX), 1 << 63, u64::MAX] {
        let mut message = vec![0x0a];
        put_varint(&mut message, length);
        message.push(0);
        let error = Fields::new(&message).next_field().unwrap_err();
        assert_eq!(error, WireError::CutOff { offset: 0 }, "{length}");
    }
}

#[test]
fn groups_and_field_zero_are_refused() {
    for tag in [0x00, 0x02, 0x0b, 0x0c, 0x0e, 0x0f] {
        let error = Fields::new(&[tag, 0]).next_field().unwrap_err();
        assert!(
            matches!(error, WireError::BadTag { .. }),
            "{tag:#x}: {error:?}"
        );
    }
}

#[test]
fn a_canonical_series_comes_out_as_it_went_in() {
    let mut request = request(&[series(&[(b"__name__", b"up"), (b"job", "ü".as_bytes())])]);
    put_bytes_field(&mut request, 3, b"metadata");
    put_bytes_field(&mut request, 99, b"unknown");
    let (seen, again) = walk(&request).unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(again, request);
}

#[test]
fn unknown_fields_between_labels_survive() {
    let mut message = Vec::new();
    put_bytes_field(&mut message, 1, b"\x0a\x01b\x12\x011");
    put_bytes_field(&mut message, 17, b"kept");
    put_bytes_field(&mut message, 1, b"\x0a\x01a\x12\x012");
    let (seen, again) = walk(&request(&[message])).unwrap();
    assert_eq!(
        seen[0],
        [
            ("a".to_owned(), "2".to_owned()),
            ("b".to_owned(), "1".to_owned())
        ]
    );
    let mut fields = Fields::new(&again);
    let Value::Bytes(message) = fields.next_field().unwrap().unwrap().value else {
        panic!()
    };
    let mut fields = Fields::new(message);
    let mut numbers = Vec::new();
    while let Some(field) = fields.next_field().unwrap() {
        numbers.push(field.number);
    }
    assert_eq!(numbers, [1, 1, 17]);
}

#[test]
fn unsorted_and_empty_labels_are_put_in_order() {
    let (seen, again) = walk(&request(&[series(&[
        (b"z", b"1"),
        (b"empty", b""),
        (b"a", b"2"),
    ])]))
    .unwrap();
    assert_eq!(
        seen[0],
        [
            ("a".to_owned(), "2".to_owned()),
            ("z".to_owned(), "1".to_owned())
        ]
    );
    assert_eq!(again, request(&[series(&[(b"a", b"2"), (b"z", b"1")])]));
}

#[test]
fn invalid_labels_are_refused_by_reason() {
    check_invalid(&[], &InvalidLabels::None);
    check_invalid(&[(b"a", b"")], &InvalidLabels::None);
    check_invalid(&[(b"", b"x")], &InvalidLabels::EmptyName);
    check_invalid(
        &[(b"a", b"1"), (b"a", b"2")],
        &InvalidLabels::Duplicate("a".to_owned()),
    );
    check_invalid(&[(b"a", b"\xff")], &InvalidLabels::NotUtf8);
    check_invalid(&[(b"\xc3", b"x")], &InvalidLabels::NotUtf8);
    let long = [b'x'; 2000];
    check_invalid(
        &[(&long[..65], b"x")],
        &InvalidLabels::NameTooLong {
            length: 65,
            limit: 64,
        },
    );
    check_invalid(
        &[(b"a", &long)],
        &InvalidLabels::ValueTooLong {
            name: "a".to_owned(),
            length: 2000,
            limit: 1024,
        },
    );
    let names: Vec<_> = (0..101)
        .map(|index| format!("l{index:03}").into_bytes())
        .collect();
    let labels: Vec<_> = names
        .iter()
        .map(|name| (name.as_slice(), b"x".as_slice()))
        .collect();
    check_invalid(
        &labels,
        &InvalidLabels::TooMany {
            count: 101,
            limit: 100,
        },
    );
}

#[test]
fn an_error_names_the_series() {
    let error = walk(&request(&[series(&[
        (b"__name__", b"up"),
        (b"a", b"\xff"),
    ])]))
    .unwrap_err();
    assert!(
        error.to_string().contains("series 0 ({__name__=\"up\", a="),
        "{error}"
    );
}

/// The bytes around labels can complete characters that a label has only half of: the check of all
/// labels at once must not be fooled by that.
#[test]
fn half_a_character_at_the_edge_of_a_label_is_not_utf8() {
    // A name of 0xa9 alone, behind a length that ends in 0xc3 … as far as that can be had.
    let mut label = Vec::new();
    put_bytes_field(&mut label, 1, &[b'n'; 1]);
    put_bytes_field(&mut label, 2, b"\xa9\xc3");
    let mut message = Vec::new();
    put_bytes_field(&mut message, 1, &label);
    assert!(walk(&request(&[message])).is_err());
}

#[test]
fn labels_longer_than_127_bytes_are_read_beside_multibyte_ones() {
    let long = "é".repeat(150);
    let (seen, _) = walk(&request(&[series(&[
        (b"a", long.as_bytes()),
        (b"b", b"\xf0\x9f\x98\x80"),
        (b"c", &[b'x'; 200]),
    ])]))
    .unwrap();
    assert_eq!(seen[0][0].1, long);
    assert_eq!(seen[0][1].1, "😀");
}

#[test]
fn every_prefix_of_a_request_is_an_error_or_shorter() {
    let request = request(&[series(&[(b"__name__", b"up")]), series(&[(b"a", b"b")])]);
    for cut in 0..request.len() {
        if let Ok((_, again)) = walk(&request[..cut]) {
            assert_eq!(again, request[..cut], "cut to {cut}");
        }
    }
}

#[test]
fn a_broken_sample_is_refused_here_and_not_by_the_receiver() {
    let mut message = series(&[(b"a", b"b")]);
    put_bytes_field(&mut message, 2, &[9, 0, 0]);
    assert!(matches!(
        walk(&request(&[message])),
        Err(DecodeError::Series { index: 0, .. })
    ));
}

#[test]
fn a_block_that_lies_about_its_length_allocates_nothing() {
    let mut buffer = Vec::new();
    for (block, expected) in [
        (vec![], "NoLength"),
        (vec![0xff; 12], "NoLength"),
        (vec![0xff, 0xff, 0xff, 0x7f, 0], "TooLarge"),
        (vec![0xff, 0x7f, 0], "Impossible"),
    ] {
        let error = snappy::decompress(&block, 1 << 20, &mut buffer).unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        assert_eq!(buffer.capacity(), 0);
    }
    let error = snappy::decompress(&[5, 0, b'x'], 1 << 20, &mut buffer).unwrap_err();
    assert!(matches!(error, DecompressError::Corrupt(_)));
}

#[test]
fn joined_blocks_are_one_block_of_the_joined_bytes() {
    let mut compressor = Compressor::default();
    let parts: Vec<Vec<u8>> = vec![
        b"abcabcabcabcabcabcabc".to_vec(),
        vec![],
        (0..200_000u32)
            .map(|index| (index % 251).to_le_bytes()[0])
            .collect(),
        vec![7; 70_000],
    ];
    let elements: Vec<_> = parts
        .iter()
        .map(|part| compressor.elements(part).to_vec())
        .collect();
    let raw_len = parts.iter().map(|part| part.len() as u64).sum();
    let joined = snappy::join(raw_len, elements.iter().map(Vec::as_slice));
    let mut buffer = Vec::new();
    let raw = snappy::decompress(&joined, 1 << 30, &mut buffer).unwrap();
    assert_eq!(raw, parts.concat());
}

#[test]
fn a_used_buffer_gives_only_what_was_decompressed() {
    let mut buffer = vec![9; 100];
    let block = snap::raw::Encoder::new().compress_vec(b"short").unwrap();
    assert_eq!(
        snappy::decompress(&block, 1 << 20, &mut buffer).unwrap(),
        b"short"
    );
}

#[test]
fn blocks_read_as_they_were_written() {
    let counts = Counts {
        raw_len: 70_000,
        series: 300,
        samples: 301,
    };
    let mut bytes = Vec::new();
    for form in [Form::Plain, Form::Carried] {
        bytes.clear();
        Block::encode(counts, form, b"elements", &mut bytes);
        let block = Block::decode(Bytes::copy_from_slice(&bytes)).unwrap();
        let expected = Block {
            counts,
            form,
            elements: Bytes::from_static(b"elements"),
        };
        assert_eq!(block, expected);
    }
    assert_eq!(Block::decode(Bytes::new()), Err(BlockError::BadHeader));
    assert_eq!(
        Block::decode(Bytes::from_static(&[3, 0, 0, 0])),
        Err(BlockError::UnknownVersion(3))
    );
}
