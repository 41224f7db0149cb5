//! `<<`, YAML's merge key: a mapping takes the pairs of others.

use std::collections::HashSet;

use super::yaml::{Content, Node};

const MERGE_KEY: &str = "<<";

/// Resolves `<<`: the pairs of the mappings that it names, unless the mapping has them itself.
pub(super) fn merge(node: &mut Node) {
    match &mut node.content {
        Content::Null | Content::Scalar(_) => {}
        Content::Sequence(elements) => elements.iter_mut().for_each(merge),
        Content::Mapping(pairs) => {
            for (_, value) in pairs.iter_mut() {
                merge(value);
            }
            let mergeable = |(key, value): &mut (Node, Node)| {
                let mappings = match &value.content {
                    Content::Sequence(elements) => elements.iter().all(Node::is_mapping),
                    _ => value.is_mapping(),
                };
                key.text() == Some(MERGE_KEY) && mappings
            };
            let sources: Vec<_> = pairs
                .extract_if(.., mergeable)
                .map(|(_, value)| value)
                .collect();
            if sources.is_empty() {
                return;
            }
            let text = |key: &Node| key.text().map(str::to_owned);
            let mut taken: HashSet<_> = pairs.iter().map(|(key, _)| text(key)).collect();
            for source in sources {
                merge_from(pairs, &mut taken, source);
            }
        }
    }
}

/// `taken` are the texts of the keys that `pairs` has.
fn merge_from(pairs: &mut Vec<(Node, Node)>, taken: &mut HashSet<Option<String>>, source: Node) {
    match source.content {
        Content::Sequence(elements) => {
            for element in elements {
                merge_from(pairs, taken, element);
            }
        }
        Content::Mapping(merged) => {
            for (key, value) in merged {
                if taken.insert(key.text().map(str::to_owned)) {
                    pairs.push((key, value));
                }
            }
        }
        Content::Null | Content::Scalar(_) => {}
    }
}
