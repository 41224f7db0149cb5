//! Puts web configurations in force when they change on disk.
//!
//! What counts is the content of the file and of those that it names: a mounted `ConfigMap` or
//! `Secret` changes by the swap of a link, which no time of a file tells. New content is read when
//! it has stayed the same from one look to the next, so that a file is not read while it is
//! written. What has a mistake changes nothing; it is tried again, because the files of a
//! certificate and its key change one after the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};
use xxhash_rust::xxh3::Xxh3;

use crate::config::{WebFile, load_web};
use crate::http::Web;
use crate::telemetry::{Registry, causes};

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// How much of a file counts, in bytes: more than any of them may have.
const COUNTS: u64 = 17 << 20;

/// A listener's web configuration, and what is known of its files.
pub(super) struct WebWatch {
    path: PathBuf,
    files: Vec<PathBuf>,
    web: Arc<Web>,
    /// Of the content that was last read.
    seen: u128,
    /// Of other content, which may still be written.
    coming: Option<u128>,
    has_failed: bool,
    metrics: WebMetrics,
}

/// What is counted of a listener's web configuration, whether it has one or not.
pub(super) struct WebMetrics {
    successful: Gauge,
    reloads: Counter,
    failures: Counter,
}

impl WebMetrics {
    pub(super) fn new(registry: &Registry, listener: &str) -> Self {
        let reloads = |result| {
            registry.counter(
                "promrelay_web_config_reloads_total",
                "Times that a changed web configuration was read, by what came of it.",
                &[("listener", listener), ("result", result)],
            )
        };
        let successful = registry.gauge(
            "promrelay_web_config_last_reload_successful",
            "Whether the web configuration was fine when it was last read.",
            &[("listener", listener)],
        );
        successful.set(1.0);
        Self {
            successful,
            reloads: reloads("success"),
            failures: reloads("failure"),
        }
    }
}

impl WebWatch {
    /// Watches `files`, which came to what is in force when their fingerprint was `seen`.
    pub(super) fn new(
        path: PathBuf,
        (files, seen): (Vec<PathBuf>, u128),
        web: &Arc<Web>,
        metrics: WebMetrics,
    ) -> Self {
        Self {
            seen,
            path,
            files,
            web: Arc::clone(web),
            coming: None,
            has_failed: false,
            metrics,
        }
    }

    /// Looks at the files once.
    fn look(&mut self) {
        let now = fingerprint(&self.files);
        if now == self.seen && !self.has_failed {
            self.coming = None;
            return;
        }
        if self.coming != Some(now) {
            self.coming = Some(now);
            return;
        }
        let files_before = self.files.clone();
        let loaded = self.load();
        let file = self.path.display();
        match loaded {
            Ok(()) => {
                info!(%file, "put a changed web configuration in force");
                self.metrics.reloads.increment(1);
                // Not what they are by now: that may have come after they were read.
                self.seen = if self.files == files_before {
                    now
                } else {
                    fingerprint(&self.files)
                };
            }
            Err(error) => {
                if !self.has_failed || now != self.seen {
                    error!(%file, error, "kept the web configuration as it was");
                    self.metrics.failures.increment(1);
                }
                self.seen = now;
                self.has_failed = true;
                self.metrics.successful.set(0.0);
                return;
            }
        }
        self.has_failed = false;
        self.coming = None;
        self.metrics.successful.set(1.0);
    }

    fn load(&mut self) -> Result<(), String> {
        let loaded = load_web(&self.path).map_err(|error| causes(&error))?;
        let WebFile { settings, files } = loaded;
        self.web
            .replace(settings)
            .map_err(|error| error.to_string())?;
        self.files = files;
        Ok(())
    }
}

/// Looks at them from time to time.
#[expect(
    clippy::disallowed_methods,
    reason = "the handle aborts the task when the relay stops"
)]
pub(super) fn watch(mut watches: Vec<WebWatch>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut tick = interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !watches.is_empty() {
            tick.tick().await;
            let looking = spawn_blocking(move || {
                watches.iter_mut().for_each(WebWatch::look);
                watches
            });
            let Ok(looked) = looking.await else {
                error!("web configurations are not looked at any more");
                return;
            };
            watches = looked;
        }
    })
}

pub(super) fn fingerprint(files: &[PathBuf]) -> u128 {
    let mut hash = Xxh3::new();
    for file in files {
        match read(file) {
            Ok(bytes) => {
                hash.update(&(bytes.len() as u64).to_le_bytes());
                hash.update(&bytes);
            }
            Err(error) => hash.update(format!("{:?}", error.kind()).as_bytes()),
        }
    }
    hash.digest128()
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(COUNTS).read_to_end(&mut bytes)?;
    Ok(bytes)
}
