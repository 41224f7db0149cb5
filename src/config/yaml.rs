//! A YAML document as a tree in which every node can be found again in the text.
//!
//! The YAML library says where something stands only when an error is raised there. So each node
//! has a number, given in the order of reading; to find a node, the text is read once more and an
//! error raised at its number ([`locate`]). Scalars keep their text as it was written, because
//! `1.10` is a label value as much as it is a number.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::merge::merge;
use super::{MAX_TEXT_BYTES, nesting};

/// What a document may hold, aliases counted as often as they are used.
const MAX_NODES: usize = 500_000;
/// How messages of this module begin, for where the library puts a path before them.
const OWN_MESSAGES: [&str; 2] = ["a YAML tag", "the file holds"];

/// A value, a list or a mapping of a document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its number in the order of reading.
    pub(super) id: usize,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    /// The text as it was written, without quotes.
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// A place in a text, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Why a text is not one YAML document.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) message: String,
}

impl Node {
    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.content, Content::Mapping(_))
    }

    /// The pairs of a mapping; none if it is something else.
    pub(super) fn pairs(&self) -> &[(Node, Node)] {
        match &self.content {
            Content::Mapping(pairs) => pairs,
            _ => &[],
        }
    }

    /// The elements of a list; none if it is something else.
    pub(super) fn elements(&self) -> &[Node] {
        match &self.content {
            Content::Sequence(elements) => elements,
            _ => &[],
        }
    }
}

/// Reads a text as one document.
pub(super) fn read(text: &str) -> Result<Node, SyntaxError> {
    nesting::check(text)?;
    let counter = Cell::new(0);
    let text_bytes = Cell::new(0);
    let seed = Seed {
        counter: &counter,
        text_bytes: &text_bytes,
        stop_at: None,
    };
    let error = |error: serde_yaml::Error| SyntaxError::new(&error, text);
    let mut node = seed
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(error)?;
    text_bytes.set(0);
    let respell = Respell {
        node: &mut node,
        text_bytes: &text_bytes,
    };
    respell
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(error)?;
    merge(&mut node);
    Ok(node)
}

/// Where the node `id` stands in the text that it was read from.
pub(super) fn locate(text: &str, id: usize) -> Place {
    let counter = Cell::new(0);
    let text_bytes = Cell::new(0);
    let seed = Seed {
        counter: &counter,
        text_bytes: &text_bytes,
        stop_at: Some(id),
    };
    let stopped = seed
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .err();
    let location = stopped.and_then(|error| error.location());
    location.map_or(Place { line: 1, column: 1 }, |location| Place {
        line: location.line(),
        column: location.column(),
    })
}

/// Reads a node, and stops with an error at a wanted one.
#[derive(Clone, Copy)]
struct Seed<'c> {
    counter: &'c Cell<usize>,
    text_bytes: &'c Cell<usize>,
    stop_at: Option<usize>,
}

impl Seed<'_> {
    fn node<E: serde::de::Error>(self, content: Content) -> Result<Node, E> {
        Ok(Node {
            id: self.enter()?,
            content,
        })
    }

    fn enter<E: serde::de::Error>(self) -> Result<usize, E> {
        let id = self.counter.get();
        self.counter.set(id + 1);
        if self.stop_at == Some(id) {
            return Err(E::custom("the node that was looked for"));
        }
        if id >= MAX_NODES {
            return Err(E::custom(format!(
                "the file holds more than {MAX_NODES} values"
            )));
        }
        Ok(id)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.node(Content::Null)
    }

    /// What an empty document is.
    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.node(Content::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        self.node(Content::Scalar(value.to_string()))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        self.node(Content::Scalar(value.to_string()))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Node, E> {
        self.node(Content::Scalar(value.to_string()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        self.node(Content::Scalar(value.to_string()))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Node, E> {
        self.node(Content::Scalar(value.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        self.node(Content::Scalar(value.to_string()))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Node, E> {
        count_text(self.text_bytes, text)?;
        self.node(Content::Scalar(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let id = self.enter()?;
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(Node {
            id,
            content: Content::Sequence(elements),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Node, A::Error> {
        let id = self.enter()?;
        let mut pairs = Vec::new();
        while let Some(key) = mapping.next_key_seed(self)? {
            pairs.push((key, mapping.next_value_seed(self)?));
        }
        Ok(Node {
            id,
            content: Content::Mapping(pairs),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        let (_tag, content) = tagged.variant::<IgnoredAny>()?;
        content.newtype_variant::<IgnoredAny>()?;
        // Not the tag itself: it can be a password that begins with `!`.
        let message =
            "a YAML tag means nothing here: remove it, or quote a text that begins with !";
        Err(A::Error::custom(message))
    }
}

/// Counts a text before it is copied: with aliases a short file can have long texts very often.
fn count_text<E: serde::de::Error>(text_bytes: &Cell<usize>, text: &str) -> Result<(), E> {
    text_bytes.set(text_bytes.get() + text.len());
    if text_bytes.get() > MAX_TEXT_BYTES {
        return Err(E::custom(format!(
            "the file holds more than {} MiB of text, with aliases written out",
            MAX_TEXT_BYTES >> 20
        )));
    }
    Ok(())
}

/// Puts the text of scalars as it was written into a tree that was read from the same document.
struct Respell<'n> {
    node: &'n mut Node,
    /// Counted anew: a number can be written longer than it was read.
    text_bytes: &'n Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Respell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.node.content {
            Content::Null => deserializer.deserialize_ignored_any(self),
            Content::Scalar(_) => deserializer.deserialize_str(self),
            Content::Sequence(_) => deserializer.deserialize_seq(self),
            Content::Mapping(_) => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Respell<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("what was read before")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        count_text(self.text_bytes, text)?;
        if let Content::Scalar(scalar) = &mut self.node.content
            && scalar != text
        {
            text.clone_into(scalar);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let text_bytes = self.text_bytes;
        if let Content::Sequence(elements) = &mut self.node.content {
            for node in elements {
                sequence.next_element_seed(Respell { node, text_bytes })?;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<(), A::Error> {
        let text_bytes = self.text_bytes;
        if let Content::Mapping(pairs) = &mut self.node.content {
            for (node, value) in pairs {
                mapping.next_key_seed(Respell { node, text_bytes })?;
                let node = value;
                mapping.next_value_seed(Respell { node, text_bytes })?;
            }
        }
        Ok(())
    }
}

impl SyntaxError {
    fn new(error: &serde_yaml::Error, text: &str) -> Self {
        let words = error.to_string();
        if words.contains("more than one document") {
            let message = "a second YAML document begins: the file is one document".to_owned();
            return Self {
                place: second_document(text),
                message,
            };
        }
        let Some(location) = error.location() else {
            return Self {
                place: Place { line: 1, column: 1 },
                message: words,
            };
        };
        let place = Place {
            line: location.line(),
            column: location.column(),
        };
        if character(text, place) == Some('\t') {
            let message = "a tab: YAML is indented with spaces".to_owned();
            return Self { place, message };
        }
        let again = format!(" at line {} column {}", place.line, place.column);
        let words = words.replacen(&again, "", 1);
        let own = OWN_MESSAGES.iter().find_map(|begin| words.find(begin));
        let message = match own {
            Some(own) => words.get(own..).unwrap_or_default().to_owned(),
            None => format!("not valid YAML: {words}"),
        };
        Self { place, message }
    }
}

fn character(text: &str, place: Place) -> Option<char> {
    text.lines()
        .nth(place.line - 1)?
        .chars()
        .nth(place.column - 1)
}

/// The `---` after something that is neither empty nor a comment.
fn second_document(text: &str) -> Place {
    let mut begun = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("---") && begun {
            return Place {
                line: index + 1,
                column: 1,
            };
        }
        let blank = line.trim().is_empty() || line.starts_with('#') || line.starts_with('%');
        begun |= !blank;
    }
    Place { line: 1, column: 1 }
}
