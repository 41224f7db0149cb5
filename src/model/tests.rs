use super::{Label, LabelSet};

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
