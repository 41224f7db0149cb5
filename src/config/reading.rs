//! From YAML to the types of the file, with every mistake on the way.
//!
//! A deserializer stops at the first mistake. So the part with the mistake is taken out of the
//! parsed tree and the rest is read again, until nothing is wrong with what is left. What is wrong
//! only because a part was taken out is not reported.

use std::collections::BTreeMap;

use serde_path_to_error::Segment;
use serde_yaml::Value;

use super::Finding;
use super::environment::Expanded;
use super::file::File;
use super::keys;
use super::locate::{At, Step, locate};

/// How many mistakes are reported at the most.
const FINDINGS: usize = 100;

/// A mistake at a place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) path: Vec<Step>,
    pub(super) at: At,
    pub(super) message: String,
}

/// Finds the places of mistakes in one file.
pub(super) struct Places<'e> {
    expanded: &'e Expanded,
}

/// Reads the file.
///
/// # Errors
/// All mistakes, in the order of the file.
pub(super) fn read(expanded: &Expanded) -> Result<(File, Places<'_>), Vec<Finding>> {
    let places = Places { expanded };
    let parsed: Result<Value, _> = serde_yaml::from_str(expanded.text());
    let mut tree = parsed.map_err(|error| vec![places.syntax(&error)])?;
    if let Err(error) = tree.apply_merge() {
        return Err(vec![places.syntax(&error)]);
    }
    let mut mistakes = Vec::new();
    clean(&mut tree, &mut Vec::new(), &mut mistakes);
    let file = Reader {
        tree,
        mistakes,
        removed: BTreeMap::new(),
    }
    .read();
    file.map(|file| (file, Places { expanded }))
        .map_err(|mistakes| places.find(mistakes))
}

impl Places<'_> {
    /// Puts lines and columns to mistakes, and sorts them.
    pub(super) fn find(&self, mistakes: Vec<Mistake>) -> Vec<Finding> {
        let find = |Mistake { path, at, message }| {
            let (line, column) = locate(self.expanded.text(), &path, at);
            Finding {
                line,
                column: self.expanded.column(line, column),
                message,
            }
        };
        let mut findings: Vec<_> = mistakes.into_iter().map(find).collect();
        findings.sort();
        findings
    }

    fn syntax(&self, error: &serde_yaml::Error) -> Finding {
        let (line, column) = error
            .location()
            .map_or((1, 1), |location| (location.line(), location.column()));
        let column = self.expanded.column(line, column);
        Finding {
            line,
            column,
            message: format!("not valid YAML: {}", without_place(error)),
        }
    }
}

/// The error's text without the place that the library puts behind it.
fn without_place(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let end = text.find(" at line ").unwrap_or(text.len());
    text.get(..end).unwrap_or(&text).to_owned()
}

/// Makes the tree as Prometheus reads it: a key without a value is as if it were not there. Tags
/// mean nothing here, so they are mistakes.
fn clean(tree: &mut Value, path: &mut Vec<Step>, mistakes: &mut Vec<Mistake>) {
    match tree {
        Value::Mapping(mapping) => {
            // Of an action Prometheus says that it must not be empty.
            mapping.retain(|key, value| !value.is_null() || key.as_str() == Some("action"));
            for (key, value) in mapping.iter_mut() {
                let Some(key) = key.as_str() else { continue };
                path.push(Step::Key(key.to_owned()));
                clean(value, path, mistakes);
                path.pop();
            }
        }
        Value::Sequence(sequence) => {
            for (index, value) in sequence.iter_mut().enumerate() {
                path.push(Step::Index(index));
                clean(value, path, mistakes);
                path.pop();
            }
        }
        Value::Tagged(tagged) => {
            let message = format!(
                "the tag `{}` is not supported: write the value itself",
                tagged.tag
            );
            mistakes.push(Mistake {
                path: path.clone(),
                at: At::Value,
                message,
            });
            *tree = tagged.value.clone();
        }
        _ => {}
    }
}

struct Reader {
    tree: Value,
    mistakes: Vec<Mistake>,
    /// The elements that were taken out of each list, by their places in the file.
    removed: BTreeMap<Vec<Step>, Vec<usize>>,
}

impl Reader {
    fn read(mut self) -> Result<File, Vec<Mistake>> {
        loop {
            let error = match serde_path_to_error::deserialize::<_, File>(&self.tree) {
                Ok(file) if self.mistakes.is_empty() => return Ok(file),
                Ok(_) => return Err(self.mistakes),
                Err(error) => error,
            };
            let path = steps(error.path());
            if !self.take_out(path, &without_place(error.inner()))
                || self.mistakes.len() >= FINDINGS
            {
                return Err(self.mistakes);
            }
        }
    }

    /// Notes a mistake and takes its part out of the tree. False if that is all of it.
    fn take_out(&mut self, mut path: Vec<Step>, message: &str) -> bool {
        let mut at = At::Value;
        if let Some((key, known)) = unknown_field(message) {
            if path.last() != Some(&Step::Key(key.to_owned())) {
                path.push(Step::Key(key.to_owned()));
            }
            at = At::Key;
            let message = keys::unknown(key, &known);
            self.note(&path, at, message);
        } else if !(message.starts_with("missing field") && self.lacks_part_of(&path)) {
            self.note(&path, at, reword(message, &path));
        }
        remove(&mut self.tree, &path) && {
            if let Some((Step::Index(_), list)) = path.split_last() {
                let list = self.original(list);
                let Some(Step::Index(index)) = self.original(&path).pop() else {
                    return true;
                };
                let removed = self.removed.entry(list).or_default();
                removed.push(index);
                removed.sort_unstable();
            }
            true
        }
    }

    fn note(&mut self, path: &[Step], at: At, message: String) {
        let path = self.original(path);
        self.mistakes.push(Mistake { path, at, message });
    }

    /// Whether a part of what `path` leads to was taken out before.
    fn lacks_part_of(&self, path: &[Step]) -> bool {
        let path = self.original(path);
        let within =
            |mistake: &Mistake| mistake.path.len() > path.len() && mistake.path.starts_with(&path);
        self.mistakes.iter().any(within)
    }

    /// The path in the file of a path in the tree as it is now.
    fn original(&self, path: &[Step]) -> Vec<Step> {
        let mut original = Vec::new();
        for step in path {
            let step = match step {
                Step::Key(key) => Step::Key(key.clone()),
                Step::Index(index) => {
                    let removed = self.removed.get(&original).map_or(&[][..], Vec::as_slice);
                    let at = removed
                        .iter()
                        .fold(*index, |at, &removed| at + usize::from(removed <= at));
                    Step::Index(at)
                }
            };
            original.push(step);
        }
        original
    }
}

fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(step).collect()
}

/// The key, and the known ones, of serde's message about an unknown field.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let (_, after) = message.split_once("unknown field `")?;
    let (key, known) = after.split_once('`')?;
    let known = known.split('`').skip(1).step_by(2).collect();
    Some((key, known))
}

/// serde's messages in the words of the file.
fn reword(message: &str, path: &[Step]) -> String {
    let of_list = |wanted: &str| matches!(path, [.., Step::Key(key), Step::Index(_)] if key.eq_ignore_ascii_case(wanted));
    let null = message.contains("unit value") || message.contains("null");
    if null && (of_list("remote_write") || of_list("remoteWrite")) {
        return "empty or null remote write config section".to_owned();
    }
    if null && (of_list("write_relabel_configs") || of_list("writeRelabelConfigs")) {
        return "empty or null relabeling rule in remote write config".to_owned();
    }
    if message == "missing field `url`" {
        return "url for remote_write is empty".to_owned();
    }
    if let Some(rest) = message.strip_prefix("unknown variant `")
        && let Some((given, expected)) = rest.split_once("`, expected ")
    {
        return match path.last() {
            Some(Step::Key(key)) if key == "protobuf_message" || key == "messageVersion" => {
                format!(
                    "invalid protobuf_message value: unknown type for remote write protobuf message \
                 {given}, supported: prometheus.WriteRequest, io.prometheus.write.v2.Request"
                )
            }
            _ => format!("`{given}` is not possible here, expected {expected}"),
        };
    }
    message.to_owned()
}

/// Takes what `path` leads to out of the tree. False if it is not there or the whole tree.
fn remove(tree: &mut Value, path: &[Step]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let mut parent = tree;
    for step in parents {
        let child = match (step, parent) {
            (Step::Key(key), Value::Mapping(mapping)) => mapping.get_mut(key.as_str()),
            (Step::Index(index), Value::Sequence(sequence)) => sequence.get_mut(*index),
            _ => None,
        };
        let Some(child) = child else { return false };
        parent = child;
    }
    match (last, parent) {
        (Step::Key(key), Value::Mapping(mapping)) => mapping.remove(key.as_str()).is_some(),
        (Step::Index(index), Value::Sequence(sequence)) if *index < sequence.len() => {
            sequence.remove(*index);
            true
        }
        _ => false,
    }
}
