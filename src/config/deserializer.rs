//! serde's view of a tree: names, numbers and lists as a configuration means them, both spellings
//! of every key, and mistakes in words that say what to do.

use std::collections::HashSet;
use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::foreign;
use super::spelling::{self, snake_case};
use super::typed::Findings;
use super::yaml::{Content, Node};

/// The type of a relabel rule. Elsewhere a key without a value is as good as none, but in a rule
/// null is empty and not the default, as in Prometheus.
const TELLS_NULL: &str = "Written";

/// A mistake that stops the reading of a value.
#[derive(Debug)]
pub(super) struct Error {
    node: Option<usize>,
    pub(super) message: String,
}

impl Error {
    fn at(mut self, node: &Node) -> Self {
        self.node.get_or_insert(node.id);
        self
    }

    /// The node that is wrong.
    pub(super) fn node<'n>(&self, root: &'n Node) -> &'n Node {
        self.node.and_then(|id| find(root, id)).unwrap_or(root)
    }
}

fn find(node: &Node, id: usize) -> Option<&Node> {
    if node.id == id {
        return Some(node);
    }
    let below = node
        .pairs()
        .iter()
        .map(|(_, value)| value)
        .chain(node.elements());
    below.into_iter().find_map(|child| find(child, id))
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            node: None,
            message: message.to_string(),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("`{field}` is missing"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let choices: Vec<_> = expected
            .iter()
            .map(|choice| format!("`{choice}`"))
            .collect();
        Self::custom(format!(
            "unknown value `{variant}`, write {}",
            choices.join(" or ")
        ))
    }
}

/// A node that is read.
#[derive(Clone, Copy)]
pub(super) struct NodeDeserializer<'n> {
    pub(super) node: &'n Node,
    pub(super) findings: &'n Findings,
}

impl<'n> NodeDeserializer<'n> {
    fn mismatch(self, expected: &str) -> Error {
        let found = match &self.node.content {
            Content::Null => "nothing",
            // Not the text itself: it could be a secret.
            Content::Scalar(_) => "a text",
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "a mapping",
        };
        de::Error::custom(format!("expected {expected}, found {found}"))
    }

    fn text(self) -> Result<&'n str, Error> {
        if let Content::Mapping(pairs) = &self.node.content
            && pairs.iter().any(|(key, _)| key.text() == Some("key"))
        {
            let message = "a reference to a Kubernetes secret, which promrelay does not read: \
                           write the text here, or mount the secret and name its file in the \
                           key that ends in `_file`";
            return Err(de::Error::custom(message));
        }
        match self.node.content {
            // As in Go.
            Content::Null => Ok(""),
            _ => self.node.text().ok_or_else(|| self.mismatch("a text")),
        }
    }

    /// What is expected of a scalar that is something else.
    fn wrong_scalar(self, expected: &str) -> Error {
        match self.node.content {
            Content::Scalar(_) => de::Error::custom(format!("expected {expected}")),
            _ => self.mismatch(expected),
        }
    }

    fn of(self, node: &'n Node) -> Self {
        Self {
            node,
            findings: self.findings,
        }
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::Null => visitor.visit_unit(),
            Content::Scalar(text) => visitor.visit_str(text),
            Content::Sequence(_) => self.deserialize_seq(visitor),
            Content::Mapping(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // What YAML 1.1 takes for booleans, as Prometheus does.
        match self
            .node
            .text()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "true" | "yes" | "on" => visitor.visit_bool(true),
            "false" | "no" | "off" => visitor.visit_bool(false),
            _ => Err(self.wrong_scalar("true or false")),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // YAML 1.1 takes a number that begins with a zero for octal, and nobody means that.
        let text = self.node.text();
        let text = text.filter(|text| text.len() == 1 || !text.starts_with('0'));
        let number = text.and_then(|text| text.parse().ok());
        visitor.visit_u64(number.ok_or_else(|| self.wrong_scalar("a whole number, 0 or more"))?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.content {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::Null | Content::Sequence(_) => visitor.visit_seq(Elements {
                rest: self.node.elements().iter(),
                list: self,
            }),
            _ => Err(self.mismatch("a list")),
        }
    }

    /// A mapping whose keys are the user's own.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (Content::Null | Content::Mapping(_)) = &self.node.content else {
            return Err(self.mismatch("a mapping"));
        };
        let mut pairs: Vec<(&str, &Node, &Node)> = Vec::new();
        let mut seen = HashSet::new();
        for (key, value) in self.node.pairs() {
            let Some(name) = key.text() else {
                self.findings
                    .note(key.id, "a key must be a text".to_owned());
                continue;
            };
            if !seen.insert(name) {
                self.findings
                    .note(key.id, format!("`{name}` is given twice"));
                continue;
            }
            pairs.push((name, key, value));
        }
        visitor.visit_map(Pairs::new(self, pairs))
    }

    /// A mapping whose keys are known.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (Content::Null | Content::Mapping(_)) = &self.node.content else {
            return Err(self.mismatch("a mapping"));
        };
        let mut pairs: Vec<(&str, &Node, &Node)> = Vec::new();
        for (key, value) in self.node.pairs() {
            let written = key.text().unwrap_or_default();
            let snake = snake_case(written);
            if let Some(verdict) = foreign::verdict(name, &snake, written, value) {
                if let Err(message) = verdict {
                    self.findings.note(key.id, message);
                }
                continue;
            }
            let Some(field) = fields.iter().find(|field| **field == snake) else {
                self.findings
                    .note(key.id, spelling::unknown_key(written, fields));
                continue;
            };
            if pairs.iter().any(|(seen, ..)| seen == field) {
                self.findings
                    .note(key.id, format!("`{written}` is given twice"));
                continue;
            }
            let is_null = matches!(value.content, Content::Null);
            if !is_null || name == TELLS_NULL {
                pairs.push((field, key, value));
            }
        }
        visitor.visit_map(Pairs::new(self, pairs))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.text()?.into_deserializer())
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

/// The elements of a list.
struct Elements<'n> {
    rest: std::slice::Iter<'n, Node>,
    list: NodeDeserializer<'n>,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let findings = self.list.findings;
        let Some(node) = self.rest.by_ref().find(|node| findings.reads(node)) else {
            return Ok(None);
        };
        if let Content::Null = node.content {
            let message = "empty or null list entry: fill it in or remove the `-`";
            return Err(<Error as de::Error>::custom(message).at(node));
        }
        seed.deserialize(self.list.of(node))
            .map(Some)
            .map_err(|error| error.at(node))
    }
}

/// The pairs of a mapping.
struct Pairs<'n> {
    rest: std::vec::IntoIter<(&'n str, &'n Node, &'n Node)>,
    value: Option<&'n Node>,
    mapping: NodeDeserializer<'n>,
}

impl<'n> Pairs<'n> {
    fn new(mapping: NodeDeserializer<'n>, mut pairs: Vec<(&'n str, &'n Node, &'n Node)>) -> Self {
        pairs
            .retain(|(_, key, value)| mapping.findings.reads(key) && mapping.findings.reads(value));
        Self {
            rest: pairs.into_iter(),
            value: None,
            mapping,
        }
    }
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((name, key, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        let name: de::value::StrDeserializer<'_, Error> = name.into_deserializer();
        seed.deserialize(name)
            .map(Some)
            .map_err(|error| error.at(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let node = self
            .value
            .take()
            .expect("a value is asked for after its key");
        seed.deserialize(self.mapping.of(node))
            .map_err(|error| error.at(node))
    }
}
