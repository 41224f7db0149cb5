//! Remote write of both versions: decompressed requests as they come from outside.

use promrelay::remote_write::block::Form;
use promrelay::remote_write::carried::{LeftOut, SeriesMetadata, to_v1};
use promrelay::remote_write::generated::write_v2;
use promrelay::remote_write::v1::{Limits, Part, Series, Walker, count, encode_labels, halve};
use promrelay::remote_write::v2::{Contents, Decoder, Encoder};
use prost::Message as _;

const LIMITS: Limits = Limits {
    labels_per_series: 8,
    label_name_bytes: 16,
    label_value_bytes: 64,
};
/// What a decoded request may take, in bytes.
const LIMIT: usize = 64 * 1024;

/// A 1.0 request: what the walk takes, it takes again after the labels were written anew; counting
/// and halving see the same; and it goes into a 2.0 request with all its samples.
pub fn walk_v1(request: &[u8]) {
    let Some((samples, again)) = rewrite(request) else {
        return;
    };
    assert_eq!(rewrite(&again), Some((samples, again.clone())));
    let counts = count(request).expect("the walk took it");
    assert_eq!(counts.samples, samples);
    if let Some(halves) = halve(request).expect("the walk took it") {
        let series: u64 = halves.iter().map(|half| half.counts.series).sum();
        let bytes: usize = halves.iter().map(|half| half.range.len()).sum();
        assert_eq!((series, bytes), (counts.series, request.len()));
    }
    // Inside exemplars there may be what the walk did not look at.
    if let Some((_, contents, left_out)) = encode(Form::Plain, request) {
        assert!(left_out.series > 0 || counts.series == 0 || contents != Contents::default());
        assert_eq!(contents.samples + contents.histograms, samples);
    }
}

/// A 2.0 request: what is taken has as many samples as generated types find in it, takes no more
/// memory than it may, and comes out of the encoder as something that is taken again, the same.
pub fn decode_v2(request: &[u8]) {
    let mut carried = Vec::new();
    let decoded = Decoder::default().decode(request, LIMIT, &mut carried);
    assert!(carried.capacity() <= LIMIT);
    // It is walked even if it was refused, to count what is invalid.
    let _walked = rewrite(&carried);
    let Ok(contents) = decoded else {
        return;
    };
    if let Ok(read) = write_v2::Request::decode(request) {
        assert_eq!(contents, contents_of(&read));
    }
    let counts = count(&carried).expect("what the decoder writes is valid");
    assert_eq!(counts.samples, contents.samples + contents.histograms);

    let (again, sent, left_out) =
        encode(Form::Carried, &carried).expect("what the decoder writes is valid");
    assert_eq!(
        (sent.samples, sent.histograms),
        (contents.samples, contents.histograms)
    );
    assert_eq!(sent.exemplars + left_out.exemplars, contents.exemplars);
    assert_eq!((left_out.start_timestamps, left_out.metadata), (0, 0));
    let read = write_v2::Request::decode(again.as_slice());
    if write_v2::Request::decode(request).is_ok() {
        assert_eq!(contents_of(&read.expect("as valid as what came")), sent);
    }

    let mut carried_again = Vec::new();
    let decoded = Decoder::default().decode(&again, 4 * LIMIT, &mut carried_again);
    assert_eq!(decoded.expect("what the encoder writes is valid"), sent);
    let (twice, sent_twice, _) =
        encode(Form::Carried, &carried_again).expect("what the decoder writes is valid");
    // Of series that are left out the symbols stay.
    if left_out.series == 0 {
        assert_eq!((&twice, sent_twice), (&again, sent));
    }

    let mut first = Vec::new();
    to_v1(&carried, &mut first, |_, _| {}).expect("what the decoder writes is valid");
    let counts = count(&first).expect("what the decoder writes is valid");
    assert_eq!(counts.samples, contents.samples + contents.histograms);
}

/// Walks a request and writes its series anew; `None` if it is refused.
fn rewrite(request: &[u8]) -> Option<(u64, Vec<u8>)> {
    let mut walker = Walker::new(request, LIMITS);
    let (mut series, mut labels) = (Series::default(), Vec::new());
    let (mut samples, mut again) = (0, Vec::new());
    while let Some(part) = walker.next_part(&mut series).ok()? {
        match part {
            Part::Series => {
                samples += series.samples;
                labels.clear();
                encode_labels(series.labels.iter(), &mut labels);
                series.encode_with(&labels, &mut again);
            }
            Part::Metadata(field) | Part::Unknown(field) => again.extend_from_slice(field),
        }
    }
    Some((samples, again))
}

fn encode(form: Form, request: &[u8]) -> Option<(Vec<u8>, Contents, LeftOut)> {
    let mut encoder = Encoder::default();
    encoder.begin();
    let nothing_known = |_: &[u8]| None::<SeriesMetadata<'static>>;
    encoder.add(form, request, &nothing_known).ok()?;
    let mut bytes = Vec::new();
    let (contents, left_out) = encoder.finish(&mut bytes);
    Some((bytes, contents, left_out))
}

fn contents_of(request: &write_v2::Request) -> Contents {
    let sum = |count: fn(&write_v2::TimeSeries) -> usize| {
        request.timeseries.iter().map(count).sum::<usize>() as u64
    };
    Contents {
        samples: sum(|series| series.samples.len()),
        histograms: sum(|series| series.histograms.len()),
        exemplars: sum(|series| series.exemplars.len()),
    }
}
