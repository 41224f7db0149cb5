//! A route as the configuration has it.

use crate::queue;
use crate::relabel::RuleConfig;
use crate::send;

/// One entry of `remote_write`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The route's identity: its queue, its metrics and its logs are known by it.
    pub name: String,
    /// `write_relabel_configs`.
    pub rules: Vec<RuleConfig>,
    /// Where and how its series are sent.
    pub send: send::Config,
    /// The bounds of its queue.
    pub queue: queue::Options,
    /// What its parked batches may take on disk, in bytes.
    pub parked_max_bytes: u64,
}
