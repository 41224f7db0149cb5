//! From a tree to the types that know their keys, with every mistake on the way.
//!
//! serde stops at the first mistake. So what is wrong is noted, taken out of the tree and reading
//! begins again, until nothing is wrong with what is left; mistakes that only come of something
//! having been taken out are not noted. Unknown keys need no second reading: they are noted and
//! passed over.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use super::deserializer::NodeDeserializer;
use super::spelling::snake_case;
use super::yaml::Node;

/// How many mistakes are told; whoever has more corrects these first.
pub(super) const MAX_FAULTS: usize = 50;

/// A mistake at a node.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) node: usize,
    pub(super) message: String,
}

/// What is known of the mistakes while a tree is read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Nodes that are not read any more.
    pruned: BTreeSet<usize>,
    /// By node, so that reading again says nothing twice.
    faults: RefCell<BTreeMap<usize, String>>,
}

impl Findings {
    /// Notes a mistake that does not stop the reading.
    pub(super) fn note(&self, node: usize, message: String) {
        self.faults.borrow_mut().entry(node).or_insert(message);
    }

    /// Leaves a node out.
    pub(super) fn prune(&mut self, node: usize) {
        self.pruned.insert(node);
    }

    /// Whether a node is read.
    pub(super) fn reads(&self, node: &Node) -> bool {
        !self.pruned.contains(&node.id)
    }

    /// Whether something right below a node was left out, so that what else is wrong with it may
    /// come of that.
    pub(super) fn is_incomplete(&self, node: &Node) -> bool {
        node.pairs().iter().any(|(_, value)| !self.reads(value))
            || node.elements().iter().any(|element| !self.reads(element))
    }

    /// Whether there is a mistake.
    pub(super) fn has_faults(&self) -> bool {
        !self.faults.borrow().is_empty()
    }

    /// The mistakes, the first ones if they are too many.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        let faults = self.faults.into_inner().into_iter();
        faults
            .take(MAX_FAULTS)
            .map(|(node, message)| Fault { node, message })
            .collect()
    }

    /// Whether more mistakes would not be told.
    pub(super) fn are_enough(&self) -> bool {
        self.faults.borrow().len() >= MAX_FAULTS
    }
}

/// Reads what can be read of a tree. `None` if that is nothing.
pub(super) fn read<T: DeserializeOwned>(root: &Node, findings: &mut Findings) -> Option<T> {
    while !findings.are_enough() {
        let error = match T::deserialize(NodeDeserializer {
            node: root,
            findings,
        }) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let node = error.node(root);
        let named = child_named_in(node, &error.message).filter(|child| findings.reads(child));
        let wrong = named.unwrap_or(node);
        if !findings.is_incomplete(node) {
            findings.note(wrong.id, error.message);
        }
        if wrong.id == root.id {
            return None;
        }
        findings.prune(wrong.id);
    }
    None
}

/// A message about a mapping that begins with one of its keys is about the value that stands there.
fn child_named_in<'n>(node: &'n Node, message: &str) -> Option<&'n Node> {
    let quoted = message
        .strip_prefix('`')
        .or_else(|| message.strip_prefix('\''))?;
    let key = quoted.split(['`', '\'']).next()?;
    let mut pairs = node.pairs().iter();
    pairs
        .find(|(name, _)| {
            name.text()
                .is_some_and(|name| snake_case(name) == snake_case(key))
        })
        .map(|(_, value)| value)
}
