//! Where a part of the file stands.
//!
//! The YAML library tells line and column of an error and of nothing else; so the text is read
//! once more along the path to the part, and an error raised just there.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};

/// One step on the way into the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Which end of a path is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// The key that the path ends in.
    Key,
    /// What stands there.
    Value,
}

/// Line and column, from 1, of what `path` leads to in `text`; of the nearest part around it if
/// the path leads nowhere.
pub(super) fn locate(text: &str, path: &[Step], at: At) -> (usize, usize) {
    for length in (0..=path.len()).rev() {
        let at = if length == path.len() { at } else { At::Value };
        let seek = Seek {
            path: &path[..length],
            at,
        };
        let result = seek.deserialize(serde_yaml::Deserializer::from_str(text));
        let location = result
            .err()
            .filter(|error| error.to_string().contains(FOUND));
        if let Some(location) = location.and_then(|error| error.location()) {
            return (location.line(), location.column());
        }
    }
    (1, 1)
}

/// What the error that is raised on arrival says.
const FOUND: &str = "the place that was looked for";

struct Seek<'p> {
    path: &'p [Step],
    at: At,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Seek<'_> {
    fn arrive<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.path.is_empty() {
            Err(E::custom(FOUND))
        } else {
            Ok(())
        }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.arrive()?;
        while let Some(key) = map.next_key_seed(Key {
            path: self.path,
            at: self.at,
        })? {
            match self.path.split_first() {
                Some((Step::Key(wanted), path)) if is_same(wanted, &key) => {
                    return map.next_value_seed(Seek { path, at: self.at });
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        self.arrive()?;
        let Some((Step::Index(wanted), path)) = self.path.split_first() else {
            return Ok(());
        };
        for _ in 0..*wanted {
            if sequence.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        sequence
            .next_element_seed(Seek { path, at: self.at })
            .map(|_| ())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(FOUND))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.arrive()
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.arrive()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.arrive()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.arrive()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.arrive()
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.arrive()
    }
}

/// Reads a key, and arrives at it if it is the one that is looked for.
struct Key<'p> {
    path: &'p [Step],
    at: At,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        match self.path {
            [Step::Key(wanted)] if self.at == At::Key && is_same(wanted, key) => {
                Err(E::custom(FOUND))
            }
            _ => Ok(key.to_owned()),
        }
    }
}

/// Whether two keys are one in the two spellings, `remote_write` and `remoteWrite`.
fn is_same(one: &str, other: &str) -> bool {
    let letters = |key: &'_ str| {
        key.chars()
            .filter(|&c| c != '_')
            .map(|c| c.to_ascii_lowercase())
            .collect::<String>()
    };
    one == other || letters(one) == letters(other)
}
