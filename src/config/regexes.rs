//! All regexes of a file together: each may be large, but not as often as a file can name one.
//!
//! Reading compiles every regex and keeps it. So they are compiled here first, one by one and kept
//! nowhere, and the first that is too much for the file is a mistake; it and those after it are
//! left out of the reading.

use super::typed::Findings;
use super::yaml::Node;
use crate::re2::Regex;

/// What all regexes of a file may take when compiled, in bytes: 32,000 short ones. What the engine
/// keeps beside the compiled pattern is some three times as much.
pub(super) const MAX_BYTES: usize = 128 << 20;

/// Notes the regex below `root` with which they become too much.
pub(super) fn check(root: &Node, findings: &mut Findings) {
    let mut left = Some(MAX_BYTES);
    check_below(root, &mut left, findings);
}

fn check_below(node: &Node, left: &mut Option<usize>, findings: &mut Findings) {
    for (key, value) in node.pairs() {
        match value.text() {
            Some(text) if key.text() == Some("regex") && findings.reads(value) => {
                check_regex(value, text, left, findings);
            }
            _ => check_below(value, left, findings),
        }
    }
    for element in node.elements() {
        check_below(element, left, findings);
    }
}

fn check_regex(node: &Node, text: &str, left: &mut Option<usize>, findings: &mut Findings) {
    let Some(before) = *left else {
        findings.prune(node.id);
        return;
    };
    // What is wrong with one alone is said where it is read.
    let Ok(regex) = Regex::new(text) else {
        return;
    };
    *left = before.checked_sub(regex.size_bytes());
    if left.is_none() {
        let message = format!(
            "the regexes of the file up to this one take more than {} MiB when compiled",
            MAX_BYTES >> 20
        );
        findings.note(node.id, message);
        findings.prune(node.id);
    }
}
