//! What routes have on disk, in numbers.

use serde_json::{Map, Value, json};

use crate::queue::Stats;
use crate::send::parked::ParkedStats;

/// What one route has.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub route: String,
    /// Whether the relay has it.
    pub running: bool,
    /// What the receiver answers, if it refuses every batch and so the route is suspended.
    pub suspended_by: Option<u16>,
    /// What it has, or why that cannot be told.
    pub contents: Result<Contents, String>,
}

/// What is in a store.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// What waits.
    pub queue: Stats,
    /// The bytes that the queue may take on disk, where a route says so.
    pub max_bytes: Option<u64>,
    /// What was parked.
    pub parked: ParkedStats,
}

impl Listed {
    /// `{route, running, suspendedBy, queuedSamples, queuedRecords, queuedBytes, diskBytes,
    /// maxBytes, oldestMs, failed, diskFull, parkedBatches, parkedSamples, parkedBytes,
    /// parkedOldestMs}`, times in milliseconds since 1970, or `{route, running, suspendedBy,
    /// error}`.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut object = Map::from_iter([
            ("route".to_owned(), json!(self.route)),
            ("running".to_owned(), json!(self.running)),
            ("suspendedBy".to_owned(), json!(self.suspended_by)),
        ]);
        let contents = match &self.contents {
            Ok(Contents {
                queue: stats,
                max_bytes,
                parked,
            }) => json!({
                "queuedSamples": stats.queued.weight,
                "queuedRecords": stats.queued.records,
                "queuedBytes": stats.queued.bytes,
                "diskBytes": stats.disk_bytes,
                "maxBytes": max_bytes,
                "oldestMs": stats.oldest_ms,
                "failed": stats.failed,
                "diskFull": stats.disk_full,
                "parkedBatches": parked.batches,
                "parkedSamples": parked.samples,
                "parkedBytes": parked.bytes,
                "parkedOldestMs": parked.oldest_ms,
            }),
            Err(error) => json!({"error": error}),
        };
        if let Value::Object(contents) = contents {
            object.extend(contents);
        }
        Value::Object(object)
    }
}
