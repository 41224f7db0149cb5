//! A `labelmap` does what its words say, however it is done.

use proptest::prelude::*;

use super::{Labels, apply, rules};
use crate::re2::{Regex, Template};

const NAMES: [&str; 5] = ["a", "b", "ab", "bb", "c"];
const REGEXES: [&str; 7] = [
    "a", "a|b|c", "(a)|(b)", "(a|b)b?", "(a|b|bb)", "(.*)", "(a|b).*",
];
const REPLACEMENTS: [&str; 6] = ["c", "d", "$1", "${1}b", "b$2", "$2"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// All names are matched before any label is set; of those that are mapped to one name, the
    /// last stays.
    #[test]
    fn every_label_is_copied_to_the_name_that_its_own_is_mapped_to(
        names in prop::sample::subsequence(NAMES.to_vec(), 0..=5),
        regex in prop::sample::select(&REGEXES[..]),
        replacement in prop::sample::select(&REPLACEMENTS[..]),
    ) {
        let value = |name: &str| format!("value of {name}");
        let labels: Labels = names.iter().map(|&name| (name.to_owned(), value(name))).collect();
        let mut expected = labels.clone();
        let (compiled, template) = (Regex::new(regex).unwrap(), Template::new(replacement));
        for (name, value) in &labels {
            if let Some([mapped]) = compiled.expand(name, [&template])
                && !mapped.is_empty()
            {
                expected.insert(mapped, value.clone());
            }
        }
        let rule = format!("[{{action: labelmap, regex: {regex}, replacement: '{replacement}'}}]");
        prop_assert_eq!(apply(&rules(&rule), &labels).1, expected);
    }
}
