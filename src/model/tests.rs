use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Label, LabelSet, is_same};

fn set(labels: &[(&'static str, &'static str)]) -> LabelSet<'static> {
    labels
        .iter()
        .map(|&(name, value)| Label { name, value })
        .collect()
}

fn names<'a>(set: &'a LabelSet<'_>) -> Vec<&'a str> {
    set.iter().map(|label| label.name).collect()
}

#[test]
fn labels_come_out_sorted_whatever_order_they_went_in() {
    assert_eq!(
        names(&set(&[
            ("b", "1"),
            ("a", "2"),
            ("__name__", "x"),
            ("c", "3")
        ])),
        ["__name__", "a", "b", "c"]
    );
}

#[test]
fn an_empty_value_is_no_label() {
    let mut labels = set(&[("a", ""), ("b", "1")]);
    assert_eq!(names(&labels), ["b"]);
    labels.set("b", "");
    assert!(labels.is_empty());
    labels.set("c", "");
    assert!(!labels.contains("c"));
}

#[test]
fn the_last_value_of_a_repeated_name_stays() {
    assert_eq!(set(&[("a", "1"), ("b", "1"), ("a", "2")]).get("a"), "2");
}

proptest! {
    #[test]
    fn a_set_holds_what_a_map_does(
        changes in prop::collection::vec(("[ab]{0,2}", "[01]?", any::<bool>()), 0..30),
    ) {
        let (mut set, mut map) = (LabelSet::new(), BTreeMap::new());
        for (name, value, is_set) in changes {
            if is_set {
                map.insert(name.clone(), value.clone());
                map.retain(|_, value| !value.is_empty());
                set.set(name.clone(), value);
            } else {
                map.remove(&name);
                set.remove(&name);
            }
            let held = set.iter().map(|Label { name, value }| (name.to_owned(), value.to_owned()));
            prop_assert_eq!(held.collect::<Vec<_>>(), map.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(set.get(&name), map.get(&name).map_or("", String::as_str));
            let value = set.get_held(&name).map(AsRef::as_ref);
            prop_assert_eq!(value, map.get(&name).map(String::as_str));
        }
    }

    #[test]
    fn texts_are_the_same_if_all_their_bytes_are(
        one in prop::collection::vec(0..2_u8, 0..40),
        flip in prop::option::of(any::<prop::sample::Index>()),
        longer in 0..2_usize,
    ) {
        let mut other = one.clone();
        other.resize(one.len() + longer, 0);
        if let Some(at) = flip
            && !other.is_empty()
        {
            let at = at.index(other.len());
            other[at] ^= 1;
        }
        prop_assert_eq!(is_same(&one, &other), one == other);
    }
}
