//! What is refused, and that refusing it costs no memory.

use super::super::{InvalidHistogram, InvalidReferences, InvalidSeries};
use super::*;
use crate::remote_write::wire::put_bytes_field;

fn encoded(change: impl FnOnce(&mut second::Request)) -> Vec<u8> {
    let mut request = full();
    change(&mut request);
    request.encode_to_vec()
}

/// Series 1 of the request must be what is refused, and why.
fn check_series(what: &str, change: impl FnOnce(&mut second::TimeSeries), expected: InvalidSeries) {
    let request = encoded(|request| {
        request.timeseries.swap(0, 1);
        change(&mut request.timeseries[1]);
    });
    match decode(&request).unwrap_err() {
        DecodeError::Series { first } => assert_eq!(first, [(1, expected)], "{what}"),
        other => panic!("{what}: {other:?}"),
    }
}

fn outside(reference: u64) -> InvalidReferences {
    let symbols = full().symbols.len();
    InvalidReferences::OutOfRange { reference, symbols }
}

#[test]
fn the_table_of_symbols_is_there_and_begins_with_the_empty_string() {
    let none = encoded(|request| request.symbols.clear());
    assert!(matches!(decode(&none), Err(DecodeError::NoSymbols)));
    let first = encoded(|request| request.symbols[0] = "x".to_owned());
    assert!(matches!(decode(&first), Err(DecodeError::FirstSymbol)));
    assert_eq!(decode(&[]).unwrap(), (vec![], Contents::default()));
}

#[test]
fn symbols_are_utf8() {
    let mut request = full().encode_to_vec();
    put_bytes_field(&mut request, 4, b"\xff");
    let error = decode(&request).unwrap_err();
    assert!(
        matches!(error, DecodeError::NotUtf8 { index: 9 }),
        "{error:?}"
    );
}

#[test]
fn every_reference_is_inside_the_table() {
    for reference in [9, 10, u32::MAX] {
        let outside = outside(reference.into());
        check_series(
            "a name",
            |series| series.labels_refs[2] = reference,
            InvalidSeries::Labels(outside),
        );
        check_series(
            "a value",
            |series| series.labels_refs[3] = reference,
            InvalidSeries::Labels(outside),
        );
        check_series(
            "of an exemplar",
            |series| series.exemplars[0].labels_refs[1] = reference,
            InvalidSeries::Exemplar(outside),
        );
        check_series(
            "help",
            |series| series.metadata.as_mut().unwrap().help_ref = reference,
            InvalidSeries::Metadata(outside),
        );
        check_series(
            "unit",
            |series| series.metadata.as_mut().unwrap().unit_ref = reference,
            InvalidSeries::Metadata(outside),
        );
    }
}

#[test]
fn a_reference_of_more_than_32_bits_is_not_cut_to_a_valid_one() {
    let mut request = second::Request {
        symbols: full().symbols,
        ..Default::default()
    }
    .encode_to_vec();
    // labels_refs = [1, 2^32 + 2], packed.
    let series = [0x0a, 6, 1, 0x82, 0x80, 0x80, 0x80, 0x10];
    put_bytes_field(&mut request, 5, &series);
    let expected = InvalidSeries::Labels(outside((1 << 32) + 2));
    match decode(&request).unwrap_err() {
        DecodeError::Series { first } => assert_eq!(first, [(0, expected)]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn references_come_in_pairs() {
    let odd = |count| InvalidReferences::Odd { count };
    check_series(
        "labels",
        |series| series.labels_refs.truncate(3),
        InvalidSeries::Labels(odd(3)),
    );
    check_series(
        "an exemplar's",
        |series| series.exemplars[0].labels_refs.truncate(1),
        InvalidSeries::Exemplar(odd(1)),
    );
}

#[test]
fn a_series_has_a_metric_name() {
    check_series(
        "no name",
        |series| series.labels_refs = vec![3, 4],
        InvalidSeries::NoName,
    );
    check_series(
        "an empty name",
        |series| series.labels_refs = vec![1, 0, 3, 4],
        InvalidSeries::NoName,
    );
}

#[test]
fn a_series_without_labels_is_left_to_the_walk() {
    let request = encoded(|request| request.timeseries[0].labels_refs.clear());
    assert!(decode(&request).is_ok());
}

#[test]
fn a_histogram_whose_buckets_do_not_add_up_is_refused() {
    let check = |histogram: second::Histogram, expected: Result<(), InvalidHistogram>| {
        let request = encoded(|request| request.timeseries[1].histograms = vec![histogram]);
        let found = match decode(&request) {
            Ok(_) => Ok(()),
            Err(DecodeError::Series { first }) => match first[..] {
                [(1, InvalidSeries::Histogram(why))] => Err(why),
                _ => panic!("{first:?}"),
            },
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(found, expected);
    };
    check(histogram(&[1, 2, 3], 6), Ok(()));
    check(histogram(&[], 0), Ok(()));
    let (count, buckets) = (7, 6);
    let expected = InvalidHistogram::Count { count, buckets };
    check(histogram(&[1, 2, 3], 7), Err(expected));
    let negative = InvalidHistogram::NegativeBucket;
    check(histogram(&[1, -2, 7], 6), Err(negative));
    check(
        histogram(&[i64::MAX; 3], 6),
        Err(InvalidHistogram::Overflow),
    );

    let mut spans = histogram(&[1, 2, 3], 6);
    spans.positive_spans[0].length = 4;
    let (in_spans, buckets) = (4, 3);
    let expected = InvalidHistogram::Spans {
        spans: in_spans,
        buckets,
    };
    check(spans, Err(expected));

    // Observations of NaN are in no bucket; a staleness marker has no buckets.
    let mut not_a_number = histogram(&[1, 2, 3], 7);
    not_a_number.sum = f64::NAN;
    check(not_a_number, Ok(()));
    let marker = second::Histogram {
        sum: f64::from_bits(0x7ff0_0000_0000_0002),
        ..Default::default()
    };
    check(marker, Ok(()));

    let mut float = histogram(&[], 0);
    float.count = Some(second::histogram::Count::CountFloat(7.0));
    float.positive_counts = vec![1.5];
    float.positive_spans[0].length = 1;
    check(float, Ok(()));
}

#[test]
fn all_invalid_series_have_an_empty_one_in_their_place_and_the_first_are_named() {
    let request = encoded(|request| {
        let bad = second::TimeSeries {
            labels_refs: vec![1],
            ..Default::default()
        };
        request.timeseries.extend(vec![bad; 5]);
    });
    let mut carried = Vec::new();
    let error = Decoder::default().decode(&request, LIMIT, &mut carried);
    let DecodeError::Series { first } = error.unwrap_err() else {
        panic!("not for its series")
    };
    let places: Vec<_> = first.iter().map(|&(index, _)| index).collect();
    assert_eq!(places, [2, 3, 4]);
    let carried = first::WriteRequest::decode(carried.as_slice()).unwrap();
    assert_eq!(carried.timeseries.len(), 7);
    assert!(
        carried.timeseries[2..]
            .iter()
            .all(|series| *series == first::TimeSeries::default())
    );
}

#[test]
fn a_1_0_request_under_the_content_type_of_2_0_is_no_empty_request() {
    let request = first::WriteRequest {
        timeseries: vec![plain_series("up")],
        ..Default::default()
    };
    let decoded = decode(&request.encode_to_vec());
    assert!(
        matches!(decoded, Err(DecodeError::OtherMessage)),
        "{decoded:?}"
    );
}

#[test]
fn known_fields_of_another_type_are_refused() {
    for number in [4, 5] {
        let request = [number << 3, 1];
        let error = decode(&request).unwrap_err();
        assert!(matches!(error, DecodeError::WrongType { .. }), "{error:?}");
    }
    for field in [
        [2 << 3, 1],
        [3 << 3, 1],
        [4 << 3, 1],
        [5 << 3, 1],
        [6 << 3 | 2, 0],
    ] {
        let mut request = full();
        request.timeseries.clear();
        let mut request = request.encode_to_vec();
        let series = [&[0x0a, 2, 1, 2][..], &field].concat();
        put_bytes_field(&mut request, 5, &series);
        let number = u32::from(field[0] >> 3);
        match decode(&request).unwrap_err() {
            DecodeError::Series { first } => {
                assert_eq!(first, [(0, InvalidSeries::WrongType { number })]);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_prefix_of_a_request_is_an_error_or_shorter() {
    let whole = full();
    let request = whole.encode_to_vec();
    for cut in 0..request.len() {
        if decode(&request[..cut]).is_ok() {
            let read = read(&request[..cut]);
            let series = read.timeseries.len();
            assert_eq!(read.timeseries, whole.timeseries[..series], "cut to {cut}");
        }
    }
}

#[test]
fn references_that_blow_a_request_up_take_no_more_memory_than_the_limit() {
    let large = "x".repeat(64 * 1024);
    let request = second::Request {
        symbols: vec![String::new(), "__name__".to_owned(), large],
        timeseries: vec![
            second::TimeSeries {
                labels_refs: [1, 2].repeat(10_000),
                ..Default::default()
            };
            100
        ],
    };
    let mut by_metadata = request.clone();
    for series in &mut by_metadata.timeseries {
        series.labels_refs.clear();
        series.metadata = Some(second::Metadata {
            help_ref: 2,
            ..Default::default()
        });
    }
    let mut by_exemplar = request.clone();
    for series in &mut by_exemplar.timeseries {
        series.exemplars = vec![second::Exemplar {
            labels_refs: std::mem::take(&mut series.labels_refs),
            ..Default::default()
        }];
    }
    for request in [request, by_metadata, by_exemplar] {
        let request = request.encode_to_vec();
        let mut carried = Vec::new();
        let decoded = Decoder::default().decode(&request, LIMIT, &mut carried);
        assert!(matches!(
            decoded,
            Err(DecodeError::TooLarge { limit: LIMIT })
        ));
        assert!(carried.capacity() <= LIMIT, "{}", carried.capacity());
    }
}

#[test]
fn many_empty_symbols_take_no_more_memory_than_the_limit() {
    let request = second::Request {
        symbols: vec![String::new(); LIMIT / 2],
        ..Default::default()
    };
    let decoded = decode(&request.encode_to_vec());
    assert!(
        matches!(decoded, Err(DecodeError::TooLarge { .. })),
        "{decoded:?}"
    );
}

#[test]
fn a_malformed_request_adds_nothing_to_what_is_encoded() {
    let request = full().encode_to_vec();
    let (carried, _) = decode(&request).unwrap();
    let mut encoder = Encoder::default();
    encoder.begin();
    encoder
        .add(Form::Carried, &carried, &nothing_known)
        .unwrap();
    let cut = &carried[..carried.len() - 1];
    assert!(encoder.add(Form::Carried, cut, &nothing_known).is_err());
    let mut again = Vec::new();
    let (sent, _) = encoder.finish(&mut again);
    assert_eq!(read(&again), full());
    assert_eq!((sent.samples, sent.histograms, sent.exemplars), (1, 1, 1));
}
