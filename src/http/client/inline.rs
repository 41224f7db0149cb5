//! A client's keys beside those of whoever has the client, without buffering either: every mistake
//! keeps the place where it stands.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};

use super::config::ClientConfig;

/// `T` and the configuration of an HTTP client in one mapping, as Prometheus has them in a scrape
/// config or an entry of `http_sd_configs`.
///
/// `T` derives `Deserialize` with `deny_unknown_fields` for its own keys, and names them in
/// [`BesideClient`]. What [`ClientConfig::check`] finds is an error of the mapping.
///
/// A scrape config: `type ScrapeConfig = WithClient<OwnKeys>`, with the fields that Prometheus has
/// beside the client's in `OwnKeys`. The names of the client's own types in tables of keys are
/// `BasicAuth`, `Authorization`, `OAuth2`, `TlsConfig` and `HeaderValues`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WithClient<T> {
    /// The keys beside the client's.
    pub own: T,
    /// The client's.
    pub client: ClientConfig,
}

/// A type whose keys stand beside a client's.
pub trait BesideClient {
    /// The type's name, for messages and for tables of keys.
    const NAME: &'static str;
    /// The type's keys and the client's: `&beside_client(["url", "refresh_interval"])`, with as
    /// many as there are of both.
    const KEYS: &'static [&'static str];

    /// What the client's keys are where nothing is written.
    #[must_use]
    fn client() -> ClientConfig {
        ClientConfig::default()
    }

    /// Says what does not go together with the client's configuration, if anything does.
    ///
    /// # Errors
    /// If something does not.
    fn check(&self, client: &ClientConfig) -> Result<(), String> {
        let _ = client;
        Ok(())
    }
}

/// `own` keys and those of [`ClientConfig`]; `ALL` is `OWN + 13`.
#[must_use]
pub const fn beside_client<const OWN: usize, const ALL: usize>(
    own: [&'static str; OWN],
) -> [&'static str; ALL] {
    let clients = ClientConfig::KEYS;
    assert!(
        OWN + clients.len() == ALL,
        "the list is as long as both together"
    );
    let mut all = [""; ALL];
    let mut index = 0;
    while index < ALL {
        all[index] = if index < OWN {
            own[index]
        } else {
            clients[index - OWN]
        };
        index += 1;
    }
    all
}

impl<'de, T: Deserialize<'de> + BesideClient> Deserialize<'de> for WithClient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct(T::NAME, T::KEYS, Visitor(PhantomData))
    }
}

struct Visitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + BesideClient> de::Visitor<'de> for Visitor<T> {
    type Value = WithClient<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WithClient<T>, A::Error> {
        let mut client = T::client();
        let rest = Rest {
            map,
            client: &mut client,
        };
        let own = T::deserialize(MapAccessDeserializer::new(rest))?;
        client
            .check()
            .map_err(|mistake| mistake.to_string())
            .and_then(|()| own.check(&client))
            .map_err(de::Error::custom)?;
        Ok(WithClient { own, client })
    }
}

/// The pairs that are not the client's.
struct Rest<'c, A> {
    map: A,
    client: &'c mut ClientConfig,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            if !self.client.read(&key, &mut self.map)? {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

impl<T: Serialize> Serialize for WithClient<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        // This keeps the order of keys.
        let own = serde_yaml::to_value(&self.own).map_err(S::Error::custom)?;
        let client = serde_yaml::to_value(&self.client).map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        for part in [&own, &client] {
            for (key, value) in part.as_mapping().into_iter().flatten() {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}
