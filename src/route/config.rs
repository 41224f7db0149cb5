//! A route as the configuration has it.

use serde::{Deserialize, Serialize};

use crate::queue;
use crate::relabel::RuleConfig;
use crate::remote_write::v1::Payload;
use crate::send;
use crate::settings::{ByteSize, positive};

/// `verdicts` in the configuration: bounds on what one table of verdicts remembers. There is a
/// table for each request that is worked on at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerdictConfig {
    /// Combinations of the labels that rules read; two are always kept.
    #[serde(deserialize_with = "positive")]
    pub max_entries: usize,
    /// What they take in memory, roughly; a larger one is kept alone.
    #[serde(deserialize_with = "positive")]
    pub max_bytes: ByteSize,
}

impl Default for VerdictConfig {
    fn default() -> Self {
        Self {
            max_entries: 100_000,
            max_bytes: ByteSize::mib(8),
        }
    }
}

/// One entry of `remote_write`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The route's identity: its queue, its metrics and its logs are known by it.
    pub name: String,
    /// `write_relabel_configs`.
    pub rules: Vec<RuleConfig>,
    /// Which parts of a series' payload it gets: `send_exemplars`, `send_native_histograms`.
    pub payload: Payload,
    /// Where and how its series are sent.
    pub send: send::Config,
    /// The bounds of its queue.
    pub queue: queue::Options,
    /// What its parked batches may take on disk, in bytes.
    pub parked_max_bytes: u64,
}
