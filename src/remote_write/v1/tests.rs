//! Series that are read in one go are read as they are label by label.

use proptest::prelude::*;

use super::canonical::is_ascii;
use super::labels::LabelReader;
use super::{Limits, Part, Series, Walker};
use crate::remote_write::wire::{put_bytes_field, put_varint};

mod alike;

/// More labels than there is room for at first. Names and values of which each has a length of one
/// byte, but not always both together.
const LIMITS: Limits = Limits {
    labels_per_series: 40,
    label_name_bytes: 90,
    label_value_bytes: 100,
};

/// What a reader makes of a series: what is wrong with it, or all that is known of it.
fn seen(series: &Series<'_>, read: Result<(), super::DecodeError>) -> String {
    match read {
        Ok(()) => {
            let labels: Vec<_> = series.labels.iter().collect();
            let found = series.labels.iter().map(|label| {
                let found = series.labels.find_near(label.name.as_bytes(), 0, 1);
                found.map(|(value, at)| (String::from_utf8_lossy(value).into_owned(), at))
            });
            let found: Vec<_> = found.collect();
            let counts = (series.samples, series.histograms, series.exemplars);
            let blocks = (series.canonical(), series.label_block());
            format!("{labels:?} {found:?} {counts:?} {blocks:?}")
        }
        Err(error) => format!("{error:?}"),
    }
}

/// The series in `message` as it is read label by label.
fn label_by_label(raw: &[u8], message: &[u8], index: usize) -> (String, bool) {
    let mut series = Series {
        raw,
        message,
        ..Series::default()
    };
    series.labels.start(message);
    let read = series.read_any(&mut LabelReader::new(LIMITS), index);
    let canonical = read.is_ok() && series.payload_start.is_some();
    (seen(&series, read), canonical)
}

/// Texts that share fronts with each other, have zeros, or end within a character.
fn any_text(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let front = prop::sample::select(vec![
        b"".as_slice(),
        b"",
        b"a",
        b"\0",
        b"aaaaaaa",
        b"aaaaaaaa",
        b"aaaaaaaaaaaaaaaa",
        b"aaaaaaa\0",
        "éééé".as_bytes(),
        b"\xc3",
        b"__name__",
    ]);
    let piece = prop::sample::select(vec![
        b"a".as_slice(),
        b"b",
        b"\0",
        b"\x7f",
        "é".as_bytes(),
        "\u{80}".as_bytes(),
    ]);
    let pieces = prop::collection::vec(piece, 0..4);
    let broken = prop::option::weighted(0.02, prop::sample::select(&[0x80, 0xa9, 0xc3, 0xff][..]));
    let more = prop_oneof![20 => Just(0), 1 => longest - 8..=longest];
    (front, pieces, broken, more).prop_map(|(front, pieces, broken, more)| {
        let mut text = front.to_vec();
        text.extend(pieces.concat());
        text.extend(broken);
        text.resize(text.len().max(more), b'x');
        text
    })
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Labels: some as they come, most in order, so that nothing is wrong but what is in them.
fn any_labels() -> impl Strategy<Value = Pairs> {
    let label = || (any_text(92), any_text(102));
    let count = prop_oneof![10 => 0..6_usize, 1 => 30..44_usize];
    let labels = count.prop_flat_map(move |count| prop::collection::vec(label(), count));
    let is_sorted = prop::bool::weighted(0.8);
    (labels, is_sorted).prop_map(|(mut labels, is_sorted)| {
        if is_sorted {
            labels.retain(|(name, value)| !name.is_empty() && !value.is_empty());
            labels.sort();
            labels.dedup_by(|one, other| one.0 == other.0);
        }
        labels
    })
}

/// How a label is written that is not written as it should be.
#[derive(Clone, Copy, Debug)]
enum Oddity {
    ValueFirst,
    NoValue,
    NameTwice,
    FieldBehind,
    LongLength,
    LengthWithCharacter,
}

fn put_label(message: &mut Vec<u8>, name: &[u8], value: &[u8], oddity: Option<Oddity>) {
    let mut label = Vec::new();
    if let Some(Oddity::ValueFirst) = oddity {
        put_bytes_field(&mut label, 2, value);
    }
    if let Some(Oddity::NameTwice) = oddity {
        put_bytes_field(&mut label, 1, b"other");
    }
    put_bytes_field(&mut label, 1, name);
    if !matches!(oddity, Some(Oddity::ValueFirst | Oddity::NoValue)) {
        put_bytes_field(&mut label, 2, value);
    }
    if let Some(Oddity::FieldBehind) = oddity {
        put_bytes_field(&mut label, 3, b"x");
    }
    match oddity {
        // A length of more bytes than it needs, which are no ASCII, or even a character.
        Some(Oddity::LongLength) if label.len() < 0x80 => {
            message.extend([0x0a, label.len().to_le_bytes()[0] | 0x80, 0]);
            message.extend(label);
        }
        Some(Oddity::LengthWithCharacter) if (0x42..0x60).contains(&label.len()) => {
            message.extend([0x0a, label.len().to_le_bytes()[0] | 0x80, 0x80, 0]);
            message.extend(label);
        }
        _ => put_bytes_field(message, 1, &label),
    }
}

fn any_oddity() -> impl Strategy<Value = Oddity> {
    prop::sample::select(vec![
        Oddity::ValueFirst,
        Oddity::NoValue,
        Oddity::NameTwice,
        Oddity::FieldBehind,
        Oddity::LongLength,
        Oddity::LengthWithCharacter,
    ])
}

/// What stands behind labels: mostly one sample, now and then without a value, with a timestamp of
/// any length, something behind it, two of them, cut off, or with more labels behind it.
fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    let sample = (any::<f64>(), any::<u64>(), 0..64_u32).prop_map(|(value, timestamp, shift)| {
        let mut sample = vec![9];
        sample.extend(value.to_le_bytes());
        sample.push(16);
        put_varint(&mut sample, timestamp >> shift);
        sample
    });
    let usual = any::<u64>().prop_map(|value| {
        let mut sample = vec![9];
        sample.extend(value.to_le_bytes());
        sample.push(16);
        put_varint(&mut sample, 1_700_000_000_000 + value % 1000);
        sample
    });
    let message = prop_oneof![
        4 => usual.boxed(),
        2 => sample.boxed(),
        1 => prop::collection::vec(any::<u8>(), 0..20).boxed(),
        1 => Just(b"\x0a\x01z\x12\x01z".to_vec()).boxed(),
    ];
    let number = prop_oneof![8 => Just(2), 1 => Just(3), 1 => Just(4), 1 => Just(1), 1 => Just(9)];
    let field = (number, message).prop_map(|(number, message)| {
        let mut field = Vec::new();
        put_bytes_field(&mut field, number, &message);
        field
    });
    let count = prop_oneof![6 => Just(1_usize), 1 => Just(0_usize), 1 => Just(2_usize)];
    let fields = count.prop_flat_map(move |count| prop::collection::vec(field.clone(), count));
    let flip = prop::option::weighted(0.1, (any::<prop::sample::Index>(), any::<u8>()));
    (fields, flip).prop_map(|(fields, flip)| {
        let mut payload = fields.concat();
        if let Some((at, byte)) = flip
            && !payload.is_empty()
        {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        payload
    })
}

/// A series' message, and whether its labels are written as they should be.
fn any_message() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let place = || any::<prop::sample::Index>();
    let odd = prop::option::weighted(0.2, (place(), any_oddity()));
    let flip = prop::option::weighted(0.2, (place(), any::<u8>()));
    let cut = prop::option::weighted(0.2, place());
    let parts = (any_labels(), odd, any_payload(), flip, cut);
    parts.prop_map(|(labels, odd, payload, flip, cut)| {
        let odd = odd.map(|(at, oddity)| (at.index(labels.len().max(1)), oddity));
        let mut message = Vec::new();
        for (index, (name, value)) in labels.iter().enumerate() {
            let oddity = odd.filter(|(at, _)| *at == index).map(|(_, oddity)| oddity);
            put_label(&mut message, name, value, oddity);
        }
        let labels_end = message.len();
        message.extend(payload);
        if let Some((at, byte)) = flip
            && labels_end > 0
        {
            message[at.index(labels_end)] = byte;
        }
        let is_cut = cut.is_some();
        if let Some(at) = cut {
            message.truncate(at.index(message.len() + 1));
        }
        (message, odd.is_none() && flip.is_none() && !is_cut)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// What is refused, its words, the labels, the counts and what is canonical: all is the same
    /// as that of a reader which takes nothing for granted. One series is read after another into
    /// the same place, as a walk does it.
    #[test]
    fn a_series_read_in_one_go_is_the_one_read_label_by_label(
        messages in prop::collection::vec(any_message(), 1..6),
    ) {
        let mut request = Vec::new();
        for (message, _) in &messages {
            put_bytes_field(&mut request, 1, message);
        }
        let mut walker = Walker::new(&request, LIMITS);
        let mut series = Series::default();
        for (index, (message, is_plain)) in messages.iter().enumerate() {
            let mut raw = Vec::new();
            put_bytes_field(&mut raw, 1, message);
            let (expected, canonical) = label_by_label(&raw, message, index);
            let read = walker.next_part(&mut series);
            prop_assert!(!matches!(read, Ok(None | Some(Part::Metadata(_) | Part::Unknown(_)))));
            prop_assert_eq!(seen(&series, read.map(|_| ())), expected);

            let end = LabelReader::new(LIMITS).read_canonical(&mut series.labels, message);
            if *is_plain && canonical {
                let block = label_by_label(&raw, message, index);
                prop_assert!(end.is_some(), "{:?} is read label by label", block);
            }
            series.labels.start(&[]);
        }
        prop_assert!(matches!(walker.next_part(&mut series), Ok(None)));
    }
}

#[test]
fn labels_in_order_are_read_in_one_go_up_to_the_limit() {
    let mut message = Vec::new();
    for count in 1..=LIMITS.labels_per_series + 1 {
        put_label(
            &mut message,
            format!("name{count:02}").as_bytes(),
            b"value",
            None,
        );
        let mut series = Series::default();
        let end = LabelReader::new(LIMITS).read_canonical(&mut series.labels, &message);
        let expected = (count <= LIMITS.labels_per_series).then_some(message.len());
        assert_eq!(end, expected, "{count} labels");
        assert!(end.is_none() || series.labels.iter().len() == count);
    }
}

#[test]
fn one_byte_that_is_no_ascii_is_seen_wherever_it_stands() {
    for length in 0..100 {
        let mut bytes = vec![0x7f; length];
        assert!(is_ascii(&bytes), "{length} bytes");
        for at in 0..length {
            bytes[at] = 0x80;
            assert!(!is_ascii(&bytes), "byte {at} of {length}");
            bytes[at] = 0x7f;
        }
    }
}

#[test]
fn a_sample_with_any_byte_changed_is_read_as_it_is_label_by_label() {
    let mut sample = vec![0x12, 16, 9, 1, 2, 3, 4, 5, 6, 7, 8, 16];
    put_varint(&mut sample, 1_700_000_000_000);
    assert!(super::payload::count_payload(&sample).is_some());
    for at in 0..sample.len() {
        for byte in 0..=u8::MAX {
            let mut message = Vec::new();
            put_label(&mut message, b"name", b"value", None);
            let place = message.len() + at;
            message.extend(&sample);
            message[place] = byte;
            let mut raw = Vec::new();
            put_bytes_field(&mut raw, 1, &message);
            let mut series = Series::default();
            let read = Walker::new(&raw, LIMITS).next_part(&mut series);
            let expected = label_by_label(&raw, &message, 0).0;
            assert_eq!(seen(&series, read.map(|_| ())), expected, "{byte} at {at}");
        }
    }
}

/// A series whose labels were not checked all together, behind one where they were.
#[test]
fn what_was_known_of_a_series_is_forgotten_with_it() {
    let mut request = Vec::new();
    for (names, length) in [(40, 50), (1, 100), (2, 60), (1, 100)] {
        let mut message = Vec::new();
        for name in 0..names {
            let name = format!("{name:045}");
            put_label(&mut message, name.as_bytes(), &vec![b'x'; length], None);
        }
        put_bytes_field(&mut request, 1, &message);
    }
    let mut walker = Walker::new(&request, LIMITS);
    let mut series = Series::default();
    for expected in [40, 1, 2, 1] {
        let read = walker.next_part(&mut series);
        assert!(matches!(read, Ok(Some(Part::Series))), "{read:?}");
        assert_eq!(series.labels.iter().count(), expected);
    }
}
