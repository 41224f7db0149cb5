//! What is not known here is carried from 2.0 to 2.0, and never mistaken for something else.

use super::*;
use crate::remote_write::carried::{put_family, read_family, to_v1};
use crate::remote_write::wire::{Fields, Value, put_bytes_field, put_varint_field};

/// The field `number` of a message, as often as it is there.
fn all(message: &[u8], number: u32) -> Vec<Vec<u8>> {
    let mut fields = Fields::new(message);
    let fields = std::iter::from_fn(|| fields.next_field().unwrap());
    let of_number = fields.filter(|field| field.number == number);
    of_number
        .map(|field| match field.value {
            Value::Bytes(bytes) => bytes.to_vec(),
            _ => field.raw.to_vec(),
        })
        .collect()
}

/// A 2.0 request with a field that nobody knows in each of its messages.
fn with_unknown_fields() -> Vec<u8> {
    let unknown = |mut message: Vec<u8>| {
        put_bytes_field(&mut message, 77, b"new");
        message
    };
    let whole = full();
    let series = &whole.timeseries[0];
    let mut message = vec![0x0a, 4, 1, 2, 3, 4];
    put_bytes_field(&mut message, 2, &unknown(series.samples[0].encode_to_vec()));
    put_bytes_field(
        &mut message,
        4,
        &unknown(series.exemplars[0].encode_to_vec()),
    );
    put_bytes_field(
        &mut message,
        5,
        &unknown(series.metadata.unwrap().encode_to_vec()),
    );
    put_varint_field(&mut message, 6, 5);
    let mut other = vec![0x0a, 2, 1, 2];
    let histogram = &whole.timeseries[1].histograms[0];
    put_bytes_field(&mut other, 3, &unknown(histogram.encode_to_vec()));
    let mut request = second::Request {
        timeseries: Vec::new(),
        ..whole
    }
    .encode_to_vec();
    put_bytes_field(&mut request, 5, &unknown(message));
    put_bytes_field(&mut request, 5, &other);
    unknown(request)
}

#[test]
fn unknown_fields_of_every_message_go_from_2_0_to_2_0() {
    let request = with_unknown_fields();
    let (carried, _) = decode(&request).unwrap();
    let (again, _, left_out) = encode(&[(Form::Carried, &carried)]).unwrap();
    assert_eq!(left_out, LeftOut::default());
    assert_eq!(read(&again), full());
    let new = [b"new".to_vec()];
    assert_eq!(all(&again, 77), new);
    let series = all(&again, 5);
    assert_eq!(all(&series[0], 77), new);
    for number in [2, 4, 5] {
        assert_eq!(all(&all(&series[0], number)[0], 77), new, "{number}");
    }
    assert_eq!(all(&all(&series[1], 3)[0], 77), new);
}

#[test]
fn a_1_0_request_gets_none_of_them_and_they_are_counted() {
    let (carried, _) = decode(&with_unknown_fields()).unwrap();
    let mut request = Vec::new();
    let mut said = Vec::new();
    let left_out = to_v1(&carried, &mut request, |name, metadata| {
        said.push((name.to_vec(), metadata.help.to_vec()));
    });
    let expected = LeftOut {
        // Of the series, its sample, and the histogram.
        start_timestamps: 3,
        unknown_fields: 6,
        ..LeftOut::default()
    };
    assert_eq!(left_out.unwrap(), expected);
    assert_eq!(said, [(b"up".to_vec(), b"help".to_vec())]);
    let read = first::WriteRequest::decode(request.as_slice()).unwrap();
    assert_eq!(read.encode_to_vec(), request, "nothing but what 1.0 knows");
    assert_eq!(read.timeseries.len(), 2);
}

#[test]
fn a_1_0_request_with_our_own_field_numbers_is_not_mistaken_for_ours() {
    let mut message = plain_series("up").encode_to_vec();
    put_bytes_field(&mut message, 1001, b"\x08\x01");
    put_varint_field(&mut message, 1002, 9);
    put_bytes_field(&mut message, 1003, b"\x9a\x03\x01x");
    let mut request = Vec::new();
    put_bytes_field(&mut request, 1, &message);
    put_bytes_field(&mut request, 1003, b"\x9a\x03\x01x");
    let (again, _, left_out) = encode(&[(Form::Plain, &request)]).unwrap();
    assert_eq!(left_out.unknown_fields, 4);
    let read = read(&again);
    assert_eq!(read.encode_to_vec(), again, "nothing but what is known");
    assert_eq!(read.timeseries[0].metadata, None);
    assert_eq!(read.timeseries[0].created_timestamp, 0);
}

#[test]
fn what_1_0_messages_have_beyond_1_0_does_not_become_a_start_timestamp() {
    let mut message = plain_series("up").encode_to_vec();
    put_bytes_field(&mut message, 2, &[0x10, 5, 0x18, 7]);
    let mut request = Vec::new();
    put_bytes_field(&mut request, 1, &message);
    let (again, _, left_out) = encode(&[(Form::Plain, &request)]).unwrap();
    let samples = &read(&again).timeseries[0].samples;
    assert_eq!((samples[1].timestamp, samples[1].start_timestamp), (5, 0));
    assert_eq!(left_out.start_timestamps, 1);
}

#[test]
fn references_are_read_packed_and_not_and_in_pieces_and_before_their_symbols() {
    let mut request = Vec::new();
    // [1], [2, 3] packed, 4: one piece behind the sample.
    let series = [0x08, 1, 0x0a, 2, 2, 3, 0x12, 2, 0x10, 1, 0x08, 4];
    put_bytes_field(&mut request, 5, &series);
    for symbol in full().symbols {
        put_bytes_field(&mut request, 4, symbol.as_bytes());
    }
    let (carried, contents) = decode(&request).unwrap();
    assert_eq!(contents.samples, 1);
    let (again, ..) = encode(&[(Form::Carried, &carried)]).unwrap();
    let again = read(&again);
    assert_eq!(again.symbols, ["", "__name__", "up", "job", "a"]);
    assert_eq!(again.timeseries[0].labels_refs, [1, 2, 3, 4]);
}

#[test]
fn a_series_with_samples_and_histograms_becomes_two() {
    let mut request = full();
    let histograms = request.timeseries.remove(1).histograms;
    request.timeseries[0].histograms = histograms;
    let (carried, _) = decode(&request.encode_to_vec()).unwrap();
    let (again, sent, _) = encode(&[(Form::Carried, &carried)]).unwrap();
    let again = read(&again).timeseries;
    assert_eq!(again.len(), 2);
    assert_eq!(again[0].labels_refs, again[1].labels_refs);
    assert_eq!(again[0].metadata, again[1].metadata);
    assert!(again[0].histograms.is_empty() && again[1].samples.is_empty());
    assert_eq!(again[0].exemplars.len() + again[1].exemplars.len(), 1);
    assert_eq!((sent.samples, sent.histograms, sent.exemplars), (1, 1, 1));
}

#[test]
fn metadata_entries_of_1_0_are_counted_and_series_ask_for_theirs() {
    let mut request = first::WriteRequest {
        timeseries: vec![plain_series("up")],
        ..Default::default()
    }
    .encode_to_vec();
    let known = SeriesMetadata {
        metric_type: 2,
        help: b"whether",
        unit: b"",
    };
    put_family(&mut request, b"up", known);
    let entry = all(&request, 3).remove(0);
    assert_eq!(read_family(&entry).unwrap(), (b"up".as_slice(), known));

    let mut encoder = Encoder::default();
    for _ in 0..2 {
        encoder.begin();
        let lookup = |name: &[u8]| (name == b"up").then_some(known);
        encoder.add(Form::Plain, &request, &lookup).unwrap();
        let mut again = Vec::new();
        let (_, left_out) = encoder.finish(&mut again);
        assert_eq!(left_out.metadata, 1);
        let again = read(&again);
        assert_eq!(again.symbols, ["", "__name__", "up", "whether"]);
        let metadata = again.timeseries[0].metadata.unwrap();
        assert_eq!(
            (metadata.r#type, metadata.help_ref, metadata.unit_ref),
            (2, 3, 0)
        );
    }
}

#[test]
fn a_series_that_says_something_of_its_metadata_is_not_told_otherwise() {
    let (carried, _) = decode(&full().encode_to_vec()).unwrap();
    let mut encoder = Encoder::default();
    encoder.begin();
    let lookup = |_: &[u8]| {
        Some(SeriesMetadata {
            metric_type: 7,
            help: b"other",
            unit: b"",
        })
    };
    encoder.add(Form::Carried, &carried, &lookup).unwrap();
    let mut again = Vec::new();
    encoder.finish(&mut again);
    let types: Vec<_> = read(&again)
        .timeseries
        .iter()
        .map(|series| series.metadata.unwrap().r#type)
        .collect();
    assert_eq!(types, [1, 7]);
}
