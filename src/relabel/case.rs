//! Case as Go's `strings.ToLower` and `ToUpper` map it.
//!
//! Go maps each character to one character by Unicode's simple mappings. Rust's `str` methods use
//! the full ones, in which `ß` becomes `SS` and a `Σ` at the end of a word `ς`.

/// Maps every character to its lowercase one.
pub(super) fn lower(text: &str) -> String {
    let single = |character: char| match character {
        // The only one whose full mapping is longer: `i` and a combining dot.
        'İ' => 'i',
        _ => only(character.to_lowercase()).unwrap_or(character),
    };
    text.chars().map(single).collect()
}

/// Maps every character to its uppercase one.
pub(super) fn upper(text: &str) -> String {
    let single = |character: char| {
        only(character.to_uppercase()).unwrap_or_else(|| match character {
            // Greek vowels with an iota below have a simple mapping beside the full one.
            '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => {
                shifted(character, 8)
            }
            '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => shifted(character, 9),
            _ => character,
        })
    };
    text.chars().map(single).collect()
}

fn only(mut mapped: impl ExactSizeIterator<Item = char>) -> Option<char> {
    mapped.next().filter(|_| mapped.len() == 0)
}

fn shifted(character: char, by: u32) -> char {
    char::from_u32(u32::from(character) + by).unwrap_or(character)
}
