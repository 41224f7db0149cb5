//! There and back again: equal up to what the target cannot carry.

use std::collections::HashMap;

use proptest::prelude::*;

use super::model::{
    Meaning, any_first, any_second, meaning_of_first, meaning_of_second, without_start_timestamps,
};
use super::*;
use crate::remote_write::carried::to_v1;

type Known = HashMap<String, (i32, String, String)>;

/// A 1.0 request of what is carried, what was left out, and what series said of their metrics.
fn first_of(carried: &[u8]) -> (Vec<u8>, LeftOut, Known) {
    let (mut request, mut known) = (Vec::new(), Known::new());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let left_out = to_v1(carried, &mut request, |name, said| {
        let metric_type = i32::try_from(said.metric_type).unwrap();
        let said = (metric_type, text(said.help), text(said.unit));
        known.insert(text(name), said);
    });
    (request, left_out.unwrap(), known)
}

fn second_of(request: &[u8], known: &Known) -> (Vec<u8>, Contents, LeftOut) {
    let lookup = |name: &[u8]| {
        let (metric_type, help, unit) = known.get(std::str::from_utf8(name).unwrap())?;
        Some(SeriesMetadata {
            metric_type: u64::try_from(*metric_type).unwrap(),
            help: help.as_bytes(),
            unit: unit.as_bytes(),
        })
    };
    let mut encoder = Encoder::default();
    encoder.begin();
    encoder.add(Form::Plain, request, &lookup).unwrap();
    let mut second = Vec::new();
    let (contents, left_out) = encoder.finish(&mut second);
    (second, contents, left_out)
}

fn contents_of(series: &[Meaning]) -> Contents {
    let sum = |count: fn(&Meaning) -> usize| series.iter().map(count).sum::<usize>() as u64;
    Contents {
        samples: sum(|series| series.samples.len()),
        histograms: sum(|series| series.histograms.len()),
        exemplars: sum(|series| series.exemplars.len()),
    }
}

/// As 2.0 has it: none without data, and none with samples and histograms.
fn split(series: Vec<Meaning>) -> Vec<Meaning> {
    let halves = |series: Meaning| {
        let mut second = Meaning {
            histograms: series.histograms.clone(),
            ..series.clone()
        };
        let mut first = series;
        if !first.samples.is_empty() && !second.histograms.is_empty() {
            first.histograms.clear();
            second.samples.clear();
            second.exemplars.clear();
            return vec![first, second];
        }
        vec![first]
    };
    let has_data = |series: &Meaning| !series.samples.is_empty() || !series.histograms.is_empty();
    series
        .into_iter()
        .filter(has_data)
        .flat_map(halves)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_2_0_request_comes_out_as_it_went_in(request in any_second()) {
        let meaning = meaning_of_second(&request);
        let (carried, contents) = decode(&request.encode_to_vec()).unwrap();
        prop_assert_eq!(contents, contents_of(&meaning));
        let (again, sent, left_out) = encode(&[(Form::Carried, &carried)]).unwrap();
        prop_assert_eq!(meaning_of_second(&read(&again)), meaning);
        prop_assert_eq!(sent, contents);
        prop_assert_eq!(left_out, LeftOut::default());
    }

    #[test]
    fn what_is_carried_is_a_1_0_request(request in any_second()) {
        let (carried, _) = decode(&request.encode_to_vec()).unwrap();
        let (_, without) = without_start_timestamps(&request);
        let read = first::WriteRequest::decode(carried.as_slice()).unwrap();
        let expected: Vec<_> = meaning_of_second(&without)
            .into_iter()
            .map(|series| Meaning { metadata: None, ..series })
            .collect();
        prop_assert_eq!(meaning_of_first(&read), expected);
    }

    #[test]
    fn from_2_0_to_1_0_and_back_only_start_timestamps_are_lost(request in any_second()) {
        let (carried, contents) = decode(&request.encode_to_vec()).unwrap();
        let (first, left_out, known) = first_of(&carried);
        let (start_timestamps, without) = without_start_timestamps(&request);
        prop_assert_eq!(left_out, LeftOut { start_timestamps, ..LeftOut::default() });
        let (again, sent, left_out) = second_of(&first, &known);
        prop_assert_eq!(left_out, LeftOut::default());
        prop_assert_eq!(sent, contents);
        let mut expected = meaning_of_second(&without);
        for series in &mut expected {
            series.metadata = known.get(series.name()).cloned();
        }
        prop_assert_eq!(meaning_of_second(&read(&again)), expected);
    }

    #[test]
    fn from_1_0_to_2_0_and_back_nothing_is_lost(request in any_first()) {
        let meaning = meaning_of_first(&request);
        let (second, sent, left_out) = second_of(&request.encode_to_vec(), &Known::new());
        let expected = split(meaning.clone());
        prop_assert_eq!(&meaning_of_second(&read(&second)), &expected);
        prop_assert_eq!(sent, contents_of(&expected));
        let whole = contents_of(&meaning);
        prop_assert_eq!(left_out.exemplars, whole.exemplars - sent.exemplars);
        let has_none = |s: &&Meaning| s.samples.is_empty() && s.histograms.is_empty();
        prop_assert_eq!(left_out.series, meaning.iter().filter(has_none).count() as u64);
        let (carried, received) = decode(&second).unwrap();
        prop_assert_eq!(received, sent);
        let (again, left_out, _) = first_of(&carried);
        prop_assert_eq!(left_out, LeftOut::default());
        let again = first::WriteRequest::decode(again.as_slice()).unwrap();
        prop_assert_eq!(meaning_of_first(&again), expected);
    }

    #[test]
    fn requests_of_both_forms_join_to_one_with_each_string_once(
        parts in proptest::collection::vec((any_second(), any_first()), 0..3),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (second, first) in &parts {
            bytes.push((Form::Carried, decode(&second.encode_to_vec()).unwrap().0));
            bytes.push((Form::Plain, first.encode_to_vec()));
            expected.extend(meaning_of_second(second));
            expected.extend(split(meaning_of_first(first)));
        }
        let parts: Vec<_> = bytes.iter().map(|(form, part)| (*form, part.as_slice())).collect();
        let (request, sent, _) = encode(&parts).unwrap();
        let request = read(&request);
        prop_assert_eq!(meaning_of_second(&request), expected);
        prop_assert_eq!(sent, contents_of(&meaning_of_second(&request)));
        let mut symbols = request.symbols.clone();
        prop_assert_eq!(symbols.first().map(String::as_str), Some(""));
        symbols.sort_unstable();
        symbols.dedup();
        prop_assert_eq!(symbols.len(), request.symbols.len());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((carried, contents)) = decode(&bytes) {
            let (again, sent, left_out) = encode(&[(Form::Carried, &carried)]).unwrap();
            prop_assert_eq!(contents.samples, sent.samples);
            prop_assert_eq!(contents.exemplars, sent.exemplars + left_out.exemplars);
            prop_assert!(decode(&again).is_ok());
        }
    }
}
