//! `$(NAME)` in scalars, replaced by the environment variable of that name.
//!
//! As the Prometheus operator's config reloader does it, but in the values that were read and not
//! in the text: comments are left alone, a value cannot change the file's structure, and every
//! place in an error is one of the user's own file. Anything else that begins with `$`, like `$1`
//! and `${1}`, belongs to relabelling.

use super::MAX_TEXT_BYTES;
use super::typed::{Fault, MAX_FAULTS};
use super::yaml::{Content, Node};

/// Looks a variable up.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Replaces the variables of all scalars, keys too. What cannot be replaced is reported with the
/// reference as it is written, `$(NAME)`.
pub(super) fn expand(node: &mut Node, environment: Environment<'_>, faults: &mut Vec<Unset>) {
    let mut room = MAX_TEXT_BYTES;
    expand_in(node, environment, faults, &mut room);
}

/// `room` is what values may still take, in bytes: a short text can name a long variable often.
fn expand_in(
    node: &mut Node,
    environment: Environment<'_>,
    faults: &mut Vec<Unset>,
    room: &mut usize,
) {
    // As many as are told.
    if faults.len() >= MAX_FAULTS {
        return;
    }
    match &mut node.content {
        Content::Null => {}
        Content::Scalar(text) => {
            if text.contains("$(") {
                let before = faults.len();
                let expanded = expand_text(node.id, text, environment, faults, room);
                if faults.len() == before {
                    *text = expanded;
                }
            }
        }
        Content::Sequence(elements) => {
            for element in elements {
                expand_in(element, environment, faults, room);
            }
        }
        Content::Mapping(pairs) => {
            for (key, value) in pairs {
                expand_in(key, environment, faults, room);
                expand_in(value, environment, faults, room);
            }
        }
    }
}

/// A reference that cannot be replaced.
#[derive(Debug)]
pub(super) struct Unset {
    pub(super) fault: Fault,
    /// As it is written.
    pub(super) reference: String,
    /// How often it stands in its scalar before this one.
    pub(super) repetition: usize,
}

fn expand_text(
    node: usize,
    text: &str,
    environment: Environment<'_>,
    faults: &mut Vec<Unset>,
    room: &mut usize,
) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$(") {
        expanded.push_str(before);
        let Some((name, tail)) = after.split_once(')').filter(|(name, _)| is_name(name)) else {
            expanded.push_str("$(");
            rest = after;
            continue;
        };
        rest = tail;
        if faults.len() >= MAX_FAULTS {
            break;
        }
        let message = match environment(name) {
            Some(value) if value.len() > *room => format!(
                "the values of variables take more than {} MiB",
                MAX_TEXT_BYTES >> 20
            ),
            Some(value) if !value.contains(['\n', '\r']) => {
                expanded.push_str(&value);
                *room -= value.len();
                continue;
            }
            Some(_) => format!("the environment variable `{name}` has a line break in it"),
            None => format!("the environment variable `{name}` is not set"),
        };
        let reference = format!("$({name})");
        let same = |unset: &&Unset| unset.fault.node == node && unset.reference == reference;
        let repetition = faults.iter().filter(same).count();
        faults.push(Unset {
            fault: Fault { node, message },
            reference,
            repetition,
        });
    }
    expanded.push_str(rest);
    expanded
}

fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
