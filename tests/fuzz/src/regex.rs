//! Go's regexps on Rust's engine: no panic, and a list of texts is what the regexp matches.

use promrelay::re2::{Regex, Template};

/// Up to the first line break a regexp, then a template, then a text.
pub fn run(bytes: &[u8]) {
    let Ok(input) = str::from_utf8(bytes) else {
        return;
    };
    let mut parts = input.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (source, template, text) = (part(), part(), part());
    let Ok(regex) = Regex::new(source) else {
        return;
    };
    assert_eq!(regex.as_str(), source);
    let template = Template::new(template);
    let expanded = regex.expand(text, [&template]);
    assert_eq!(
        expanded.is_some(),
        regex.is_match(text),
        "{source:?} on {text:?}"
    );
    if let Some([expanded]) = expanded
        && let Some(literal) = template.literal()
    {
        assert_eq!(expanded, literal);
    }
    for finite in regex.finite().unwrap_or_default() {
        assert!(regex.is_match(finite), "{source:?} lists {finite:?}");
    }
}
