//! Series that are read by what differs from the one before them.

use proptest::prelude::*;

use super::*;
use crate::remote_write::tests::request;
use crate::remote_write::v1::Labels;

type Place = prop::sample::Index;

/// What makes a series of the one before it.
#[derive(Clone, Debug)]
enum Edit {
    Value(Place, Vec<u8>),
    Name(Place, Vec<u8>),
    Insert(Place, Vec<u8>, Vec<u8>),
    Remove(Place),
    Oddity(Place, Oddity),
    Payload(Vec<u8>),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let place = any::<Place>;
    prop_oneof![
        8 => (place(), any_text(102)).prop_map(|(at, value)| Edit::Value(at, value)),
        1 => (place(), any_text(92)).prop_map(|(at, name)| Edit::Name(at, name)),
        1 => (place(), any_text(92), any_text(102))
            .prop_map(|(at, name, value)| Edit::Insert(at, name, value)),
        1 => place().prop_map(Edit::Remove),
        1 => (place(), any_oddity()).prop_map(|(at, oddity)| Edit::Oddity(at, oddity)),
        2 => any_payload().prop_map(Edit::Payload),
    ]
}

#[derive(Clone, Debug, Default)]
struct Written {
    labels: Vec<(Vec<u8>, Vec<u8>, Option<Oddity>)>,
    payload: Vec<u8>,
}

impl Written {
    fn new(labels: Pairs) -> Self {
        let labels = labels.into_iter();
        Self {
            labels: labels.map(|(name, value)| (name, value, None)).collect(),
            payload: Vec::new(),
        }
    }

    fn edit(&mut self, edit: &Edit) {
        let count = self.labels.len();
        match edit {
            Edit::Payload(payload) => self.payload.clone_from(payload),
            Edit::Insert(at, name, value) => {
                let label = (name.clone(), value.clone(), None);
                self.labels.insert(at.index(count + 1), label);
            }
            _ if count == 0 => {}
            Edit::Value(at, value) => self.labels[at.index(count)].1.clone_from(value),
            Edit::Name(at, name) => self.labels[at.index(count)].0.clone_from(name),
            Edit::Remove(at) => drop(self.labels.remove(at.index(count))),
            Edit::Oddity(at, oddity) => self.labels[at.index(count)].2 = Some(*oddity),
        }
    }

    fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        for (name, value, oddity) in &self.labels {
            put_label(&mut message, name, value, *oddity);
        }
        message.extend(&self.payload);
        message
    }
}

/// The series of a request, each made of the one before it by some edits, some with one byte
/// changed.
fn any_messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let flip = prop::option::weighted(0.1, (any::<Place>(), any::<u8>()));
    let count = prop_oneof![2 => Just(0_usize), 8 => Just(1), 3 => Just(2)];
    let edits = count.prop_flat_map(|count| prop::collection::vec(any_edit(), count));
    let steps = prop::collection::vec((edits, flip), 1..24);
    (any_labels(), steps).prop_map(|(labels, steps)| {
        let mut written = Written::new(labels);
        let mut messages = Vec::new();
        for (edits, flip) in steps {
            for edit in &edits {
                written.edit(edit);
            }
            let mut message = written.message();
            if let Some((at, byte)) = flip.filter(|_| !message.is_empty()) {
                let at = at.index(message.len());
                message[at] = byte;
            }
            messages.push(message);
        }
        messages
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// The same is refused, and the same is read, as if each series stood alone; and what is said
    /// to have changed is all that has.
    #[test]
    fn a_series_is_read_as_if_it_were_alone(messages in any_messages()) {
        let request = request(&messages);
        let mut walker = Walker::new(&request, LIMITS);
        let mut series = Series::default();
        let mut before: Option<Vec<(String, String)>> = None;
        for (index, message) in messages.iter().enumerate() {
            let mut raw = Vec::new();
            put_bytes_field(&mut raw, 1, message);
            let (expected, _) = label_by_label(&raw, message, index);
            let read = walker.next_part(&mut series);
            prop_assert!(!matches!(read, Ok(None | Some(Part::Metadata(_) | Part::Unknown(_)))));
            let is_valid = read.is_ok();
            prop_assert_eq!(seen(&series, read.map(|_| ())), expected);

            let labels = series.labels.iter();
            let labels: Vec<_> = labels.map(|l| (l.name.to_owned(), l.value.to_owned())).collect();
            if let (true, Some(changed)) = (is_valid, series.labels.changed()) {
                let mut same = before.clone().unwrap_or_default();
                prop_assert!(changed < same.len());
                same[changed].1.clone_from(&labels[changed].1);
                prop_assert_eq!(&same, &labels);
            }
            before = is_valid.then_some(labels);
        }
        prop_assert!(matches!(walker.next_part(&mut series), Ok(None)));
    }
}

/// Which label each series is said to differ in from the one before it.
fn changes(series: &[&[(&str, &str)]]) -> Vec<Option<usize>> {
    let messages = series.iter().map(|labels| {
        let mut message = Vec::new();
        for (name, value) in *labels {
            put_label(&mut message, name.as_bytes(), value.as_bytes(), None);
        }
        message.extend([0x12, 2, 16, 7]);
        message
    });
    let request = request(&messages.collect::<Vec<_>>());
    let mut walker = Walker::new(&request, LIMITS);
    let mut series = Series::default();
    let mut changes = Vec::new();
    while walker.next_part(&mut series).unwrap().is_some() {
        changes.push(series.labels.changed());
    }
    changes
}

#[test]
fn one_value_that_differs_is_seen_wherever_it_stands() {
    let seen = changes(&[
        &[("a", "1"), ("b", "1"), ("c", "1")],
        &[("a", "2"), ("b", "1"), ("c", "1")],
        &[("a", "2"), ("b", "1"), ("c", "longer")],
        &[("a", "2"), ("b", "longer"), ("c", "longer")],
        &[("a", "2"), ("b", "l"), ("c", "longer")],
        // Nothing differs; then two values, a name, and a label more and less.
        &[("a", "2"), ("b", "l"), ("c", "longer")],
        &[("a", "3"), ("b", "m"), ("c", "longer")],
        &[("a", "3"), ("b", "m"), ("d", "longer")],
        &[("a", "3"), ("b", "m"), ("d", "longer"), ("e", "1")],
        &[("a", "3"), ("b", "m"), ("d", "longer")],
    ]);
    let one = [Some(0), Some(2), Some(1), Some(1), Some(1)];
    assert_eq!(seen[0], None, "there is none before it");
    assert_eq!(seen[1..6], one);
    assert_eq!(seen[6..], [None; 4]);
}

#[test]
fn a_label_behind_those_that_are_known_is_not_overlooked() {
    let mut known = Vec::new();
    put_label(&mut known, b"a", b"1", None);
    put_label(&mut known, b"b", b"1", None);
    let mut more = known.clone();
    put_label(&mut more, b"c", b"1", None);
    let (mut reader, mut labels) = (LabelReader::new(LIMITS), Labels::default());
    let end = Some(known.len());
    assert_eq!(reader.read_canonical(&mut labels, &known), end);
    assert_eq!(reader.read_alike(&mut labels, &known), end);
    assert_eq!(reader.read_alike(&mut labels, &more), None);
}

/// Where series never resemble each other they are compared now and then only.
#[test]
fn series_that_are_not_alike_are_not_compared_for_long() {
    let values: Vec<_> = (0..40).map(|value| value.to_string()).collect();
    let unlike = values
        .iter()
        .map(|value| [("a", value.as_str()), ("b", value)]);
    let unlike: Vec<_> = unlike.collect();
    let alike = values
        .iter()
        .map(|value| [("a", "x"), ("b", value.as_str())]);
    let alike: Vec<_> = alike.collect();
    let all = unlike.iter().chain(&alike).map(<[_; 2]>::as_slice);
    let seen = changes(&all.collect::<Vec<_>>());
    assert!(seen[..41].iter().all(Option::is_none), "{seen:?}");
    let first = seen[41..].iter().position(Option::is_some);
    assert!((1..12).contains(&first.unwrap()), "{seen:?}");
    assert!(
        seen[53..].iter().all(|changed| *changed == Some(1)),
        "{seen:?}"
    );
}
