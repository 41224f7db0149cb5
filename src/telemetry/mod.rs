//! The relay's own metrics and logs.
//!
//! Metrics live in a [`Registry`] that is passed to whoever counts something, not in a global one:
//! several relays can run in one process (as tests and the demo do). Handles are made once, when a
//! component is built; a name, its help and its labels stand where it is counted.

mod causes;
pub mod log;
mod rate_limit;

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use metrics_process::Collector;

pub use causes::causes;
pub use rate_limit::RateLimit;

/// Upper bounds of histograms in seconds.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];
/// Upper bounds of histograms in bytes.
const BYTES: [f64; 7] = [
    1024.0,
    8192.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    8_388_608.0,
    33_554_432.0,
];

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// Where metrics are made and rendered. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    process: Collector,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        let builder = with_buckets(PrometheusBuilder::new());
        let recorder = builder
            .expect("the bucket bounds are constants and not empty")
            .build_recorder();
        let handle = recorder.handle();
        let registry = Self {
            recorder: Arc::new(recorder),
            handle,
            process: Collector::default(),
        };
        metrics::with_local_recorder(&*registry.recorder, || registry.process.describe());
        let version = env!("CARGO_PKG_VERSION");
        let help = "Always 1; the label tells which promrelay this is.";
        registry
            .gauge("promrelay_build_info", help, &[("version", version)])
            .set(1.0);
        registry
    }

    /// Makes a counter, or finds the one that is there with the same labels.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Counter {
        self.recorder
            .describe_counter(KeyName::from_const_str(name), None, help.into());
        self.recorder
            .register_counter(&key(name, labels), &METADATA)
    }

    /// Makes a gauge, or finds the one that is there with the same labels.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Gauge {
        self.recorder
            .describe_gauge(KeyName::from_const_str(name), None, help.into());
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    /// Makes a histogram, or finds the one that is there with the same labels. Its name ends in
    /// `_seconds` or `_bytes`, which chooses its buckets.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Histogram {
        self.recorder
            .describe_histogram(KeyName::from_const_str(name), None, help.into());
        self.recorder
            .register_histogram(&key(name, labels), &METADATA)
    }

    /// All metrics in Prometheus' text format, those of the process brought up to date.
    #[must_use]
    pub fn render(&self) -> String {
        metrics::with_local_recorder(&*self.recorder, || self.process.collect());
        self.handle.render()
    }

    /// Folds what histograms collected into their buckets, so that they do not grow while nobody
    /// asks for them. Called every few seconds.
    pub fn maintain(&self) {
        self.handle.run_upkeep();
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").finish_non_exhaustive()
    }
}

fn with_buckets(builder: PrometheusBuilder) -> Result<PrometheusBuilder, BuildError> {
    builder
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels = labels
        .iter()
        .map(|&(label, value)| Label::new(label, value.to_owned()));
    Key::from_parts(name, labels.collect::<Vec<_>>())
}
