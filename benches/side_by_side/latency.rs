//! How long a write takes at the half of what vmagent bears, and how much of it is the disk.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use crate::measure::{Found, Load, run};
use crate::relay::Program;
use crate::rows::Row;

/// Bytes of a write to the disk alone: about what a request leaves in a queue.
const WRITE_BYTES: usize = 32 * 1024;
const WRITES: usize = 400;

/// Half of the requests per second that `program` takes when they come as fast as they can.
pub(crate) async fn half_rate(row: &Row, load: &Load, program: &Program) -> f64 {
    let full = run(program, row.contenders[0].1, load).await;
    load.requests as f64 / full.took.as_secs_f64() / 2.0
}

/// The run of one contender at `rate` requests per second.
pub(crate) async fn run_at(row: &Row, load: &Load, program: &Program, rate: f64) -> Found {
    let load = Load {
        rate: Some(rate),
        ..load.clone()
    };
    run(program, row.contenders[0].1, &load).await
}

/// Median and 99th percentile of a write and a sync of the disk alone, one after the other.
pub(crate) fn disk() -> (Duration, Duration) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let directory = directory.expect("a directory can be made");
    let mut file = File::create(directory.path().join("log")).expect("a file can be made");
    let bytes = vec![7; WRITE_BYTES];
    let mut times: Vec<_> = (0..WRITES)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&bytes).expect("the disk has space");
            file.sync_data().expect("the disk can be synced");
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times[WRITES / 2], times[WRITES * 99 / 100])
}
