//! What rules made of texts lately, so that a regex runs once for a text that comes again.
//!
//! A rule that changes labels mostly sees the same few texts: names of labels, addresses of
//! targets. The memory is bounded: a fixed number of places, of which a text's hash names the one
//! that it takes, whatever was there before. The hash has a seed that nobody outside knows, and a
//! place holds the text itself.

use xxhash_rust::xxh3::xxh3_64_with_seed;

const PLACES: usize = 1024;
/// What is longer, text and outcome together, is not kept: a full memory takes half a megabyte.
const PLACE_BYTES: usize = 512;

/// Two texts that a rule makes of one: what they mean is the rule's matter.
pub(super) type Made = Option<(String, String)>;

/// Remembers what rules made. Empty until it is used.
#[derive(Clone, Debug, Default)]
pub(super) struct Memo {
    seed: u64,
    places: Vec<Place>,
    /// The last one that was too long for a place.
    large: Made,
}

#[derive(Clone, Debug, Default)]
struct Place {
    /// Which rule; 0 if the place is empty.
    rule: u64,
    text: String,
    made: Made,
}

impl Memo {
    /// What `make` makes of `text`, from memory if the rule with this number was asked before.
    pub(super) fn recall(&mut self, rule: u64, text: &str, make: impl FnOnce() -> Made) -> &Made {
        if self.places.is_empty() {
            self.seed = rand::random();
            self.places.resize(PLACES, Place::default());
        }
        let hash = xxh3_64_with_seed(text.as_bytes(), self.seed ^ rule);
        let index = usize::try_from(hash % PLACES as u64).expect("there are few places");
        let held = &mut self.places[index];
        if held.rule != rule || held.text != text {
            let outcome = make();
            let texts = outcome.as_ref();
            let bytes = texts.map_or(0, |(one, two)| one.len() + two.len());
            if text.len() + bytes > PLACE_BYTES {
                self.large = outcome;
                return &self.large;
            }
            held.rule = rule;
            text.clone_into(&mut held.text);
            held.made = outcome;
        }
        &held.made
    }
}
