//! Hashes of what targets say: nobody outside can work them out.

use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

use crate::scrape::hashes::{Spelling, hash_labels};
use crate::scrape::metadata::Family;

#[test]
fn hashes_of_series_and_families_have_a_seed() {
    let text = b"a_metric{label=\"value\"}";
    assert_ne!(Spelling::of(text), Spelling(xxh3_128(text)));
    assert_ne!(hash_labels(text), xxh3_64(text));
    let family = Family {
        metric: "a_metric".into(),
        ..Family::default()
    };
    let mut unseeded = Xxh3::new();
    for text in ["unknown", "a_metric", "", ""] {
        unseeded.update(text.as_bytes());
        unseeded.update(&[0xff]);
    }
    assert_ne!(family.hash(), unseeded.digest());
}
