//! `config/promrelay.yml` has every key, and the defaults it states are the defaults.

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::{accepted, repository_file};
use crate::config::file::{File, Global, Queue, RemoteWrite, Storage};
use crate::config::yaml::{self, Content, Node};
use crate::discovery;
use crate::http::client::{
    Authorization, BasicAuth, BesideClient as _, ClientConfig, HeaderValues, OAuth2, TlsConfig,
};
use crate::receive;
use crate::relabel::RuleConfig;
use crate::scrape::ScrapeConfig;
use crate::send::RejectionConfig;
use crate::send::config::{MetadataConfig, QueueConfig};

const REFERENCE: &str = "config/promrelay.yml";

/// The reference with the keys that are behind a `#` in the first column.
fn everything() -> Node {
    let text = repository_file(REFERENCE);
    let lines = text.lines().map(|line| match line.strip_prefix("#  ") {
        Some(rest) => format!("  {rest}\n"),
        None => format!("{line}\n"),
    });
    yaml::read(&lines.collect::<String>()).unwrap()
}

/// What `path` leads to; a number is an index.
fn at<'n>(node: &'n Node, path: &str) -> &'n Node {
    path.split('/')
        .filter(|step| !step.is_empty())
        .fold(node, |node, step| {
            let mut pairs = node.pairs().iter();
            let named = pairs.find(|(key, _)| key.text() == Some(step));
            let element = || node.elements().get(step.parse::<usize>().ok()?);
            let found = named.map(|(_, value)| value).or_else(element);
            found.unwrap_or_else(|| panic!("no {path} in the reference"))
        })
}

/// Learns which keys serde knows for a type: it is asked for the type and fails with its keys.
struct Keys;

#[derive(Debug)]
struct Known(Vec<&'static str>);

impl std::fmt::Display for Known {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl std::error::Error for Known {}

impl de::Error for Known {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self(Vec::new())
    }
}

impl<'de> Deserializer<'de> for Keys {
    type Error = Known;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Known> {
        Err(Known(Vec::new()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Known> {
        Err(Known(fields.to_vec()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Known> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn known<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    let Err(Known(mut keys)) = T::deserialize(Keys) else {
        panic!("keys are not a value")
    };
    keys.retain(|key| !key.contains(char::is_uppercase));
    assert!(!keys.is_empty());
    keys.sort_unstable();
    keys
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let reference = everything();
    let has = |path: &str, mut keys: Vec<&str>| {
        let pairs = at(&reference, path).pairs().iter();
        let mut written: Vec<_> = pairs.map(|(key, _)| key.text().unwrap()).collect();
        written.sort_unstable();
        keys.sort_unstable();
        assert_eq!(written, keys, "at {path:?}");
    };
    has("", known::<File>());
    has("global", known::<Global>());
    let own = known::<RemoteWrite>();
    assert_eq!(
        [&own[..], &ClientConfig::KEYS].concat().len(),
        RemoteWrite::KEYS.len()
    );
    has("remote_write/0", RemoteWrite::KEYS.to_vec());
    has(
        "remote_write/0/write_relabel_configs/0",
        known::<RuleConfig>(),
    );
    has("remote_write/0/basic_auth", known::<BasicAuth>());
    has("remote_write/0/authorization", known::<Authorization>());
    has("remote_write/0/oauth2", known::<OAuth2>());
    has("remote_write/0/tls_config", known::<TlsConfig>());
    has(
        "remote_write/0/http_headers/X-Name",
        known::<HeaderValues>(),
    );
    has("remote_write/0/queue_config", known::<QueueConfig>());
    has("remote_write/0/metadata_config", known::<MetadataConfig>());
    has("remote_write/0/on_rejection", known::<RejectionConfig>());
    let mut keys = ScrapeConfig::KEYS.to_vec();
    keys.sort_unstable();
    has("scrape_configs/0", keys);
    has(
        "scrape_configs/0/static_configs/0",
        known::<discovery::StaticConfig>(),
    );
    has(
        "scrape_configs/0/file_sd_configs/0",
        known::<discovery::FileConfig>(),
    );
    has("queue", known::<Queue>());
    has("storage", known::<Storage>());
    has("receive", known::<receive::Config>());
}

#[test]
fn the_reference_loads_and_states_the_defaults() {
    accepted(&repository_file(REFERENCE));
    let reference = everything();
    let defaults = accepted("remote_write: [{url: 'http://a/b'}]").text;
    let defaults = yaml::read(&defaults).unwrap();
    let mut compared = 0;
    for path in [
        "queue",
        "storage",
        "receive",
        "remote_write/0/remote_timeout",
        "remote_write/0/headers",
        "remote_write/0/follow_redirects",
        "remote_write/0/enable_http2",
        "remote_write/0/protobuf_message",
        "remote_write/0/protobuf_message_fallback",
        "remote_write/0/send_exemplars",
        "remote_write/0/send_native_histograms",
        "remote_write/0/queue_config",
        "remote_write/0/metadata_config",
        "remote_write/0/on_rejection",
        "global/external_labels",
    ] {
        compared += compare(path, at(&reference, path), at(&defaults, path));
    }
    assert!(compared >= 38, "{compared}");
}

/// Compares what is stated with what is in force, and says how many values that were.
fn compare(path: &str, stated: &Node, real: &Node) -> usize {
    match (&stated.content, &real.content) {
        (Content::Scalar(stated), Content::Scalar(real)) => {
            assert_eq!(stated, real, "the default of {path}");
            1
        }
        (Content::Sequence(stated), Content::Sequence(real)) => {
            assert_eq!(stated.len(), real.len(), "the default of {path}");
            let pairs = stated.iter().zip(real);
            pairs
                .map(|(stated, real)| compare(path, stated, real))
                .sum()
        }
        (Content::Mapping(stated), Content::Mapping(_)) => {
            let compare = |(key, stated): &(Node, Node)| {
                let key = key.text().unwrap();
                let mut pairs = real.pairs().iter();
                let real = pairs.find(|(name, _)| name.text() == Some(key));
                // What has no default is not in force: `max_age` alone.
                let Some((_, real)) = real else {
                    assert_eq!(key, "max_age", "{path}/{key} has no default");
                    return 0;
                };
                compare(&format!("{path}/{key}"), stated, real)
            };
            stated.iter().map(compare).sum()
        }
        _ => panic!("{path} is stated as {stated:?} and is {real:?}"),
    }
}
