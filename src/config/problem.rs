//! What is wrong with a file, and where.

use std::fmt;
use std::string::FromUtf8Error;

use super::environment::Unset;
use super::typed::{Fault, MAX_FAULTS};
use super::yaml::{self, Content, Node, Place, SyntaxError};

/// A text of more bytes is large, and a few of its mistakes have to do.
const LARGE_BYTES: usize = 256 << 10;
const FAULTS_OF_LARGE: usize = 10;

/// One thing that is wrong with a file. Its `Display` is `file:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(formatter, "{file}:{line}:{column}: {message}")
    }
}

/// The problems of one text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Problems<'t> {
    pub(super) name: &'t str,
    pub(super) text: &'t str,
}

impl Problems<'_> {
    pub(super) fn at_start(&self, message: String) -> Problem {
        self.at(Place { line: 1, column: 1 }, message)
    }

    pub(super) fn of_syntax(&self, error: SyntaxError) -> Problem {
        self.at(error.place, error.message)
    }

    /// The problems, sorted by place: as many as can be told soon, as each is looked for in the
    /// text from its beginning.
    pub(super) fn of_faults(&self, root: &Node, faults: &[Fault], unset: &[Unset]) -> Vec<Problem> {
        let told = if self.text.len() > LARGE_BYTES {
            FAULTS_OF_LARGE
        } else {
            MAX_FAULTS
        };
        let faults = faults.get(..told).unwrap_or(faults);
        let unset = unset.get(..told).unwrap_or(unset);
        let fault = |fault: &Fault| self.at(self.place_of(root, fault.node), fault.message.clone());
        let mut problems: Vec<_> = faults.iter().map(fault).collect();
        problems.extend(unset.iter().map(|unset| {
            let place = self.place_of(root, unset.fault.node);
            let place = self.reference(place, &unset.reference, unset.repetition);
            self.at(place, unset.fault.message.clone())
        }));
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.truncate(told);
        problems
    }

    fn at(&self, place: Place, message: String) -> Problem {
        let Place { line, column } = place;
        Problem {
            file: self.name.to_owned(),
            line,
            column,
            message,
        }
    }

    /// Where a node stands; the key of one that is empty.
    fn place_of(&self, root: &Node, id: usize) -> Place {
        yaml::locate(self.text, visible(root, id).unwrap_or(id))
    }

    /// Where a reference that a scalar holds stands, if the scalar begins at `place`.
    fn reference(&self, place: Place, reference: &str, repetition: usize) -> Place {
        let mut left = repetition;
        for (index, line) in self.text.lines().enumerate().skip(place.line - 1) {
            let before = if index + 1 == place.line {
                place.column - 1
            } else {
                0
            };
            for (at, _) in line.match_indices(reference) {
                let column = line.get(..at).unwrap_or_default().chars().count();
                if column < before {
                    continue;
                }
                if left == 0 {
                    return Place {
                        line: index + 1,
                        column: column + 1,
                    };
                }
                left -= 1;
            }
        }
        place
    }
}

/// The key of the node `id` if that node is an empty value.
fn visible(node: &Node, id: usize) -> Option<usize> {
    for (key, value) in node.pairs() {
        if value.id == id && matches!(value.content, Content::Null) {
            return Some(key.id);
        }
        if let Some(found) = visible(value, id) {
            return Some(found);
        }
    }
    node.elements()
        .iter()
        .find_map(|element| visible(element, id))
}

/// The problem of a file that is no UTF-8 text.
pub(super) fn not_utf8(name: &str, error: &FromUtf8Error) -> Problem {
    let valid = error
        .as_bytes()
        .get(..error.utf8_error().valid_up_to())
        .unwrap_or_default();
    let valid = String::from_utf8_lossy(valid);
    let last = valid.rsplit('\n').next().unwrap_or_default();
    Problem {
        file: name.to_owned(),
        line: valid.matches('\n').count() + 1,
        column: last.chars().count() + 1,
        message: "not UTF-8: save the file as UTF-8".to_owned(),
    }
}
