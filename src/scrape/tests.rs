//! Scraping, apart from the network: targets, labels, what is remembered, what is encoded.

mod bodies;
mod families;
mod hashes;
mod history;
mod targets;

use super::config::{Defaults, JobConfig, Limits, ScrapeConfig};
use super::protocol::Escaping;
use crate::http::client::ClientConfig;
use crate::settings::Duration;

/// A job of these keys, with Prometheus' defaults.
fn job(yaml: &str) -> JobConfig {
    let config: ScrapeConfig = serde_yaml::from_str(yaml).unwrap();
    config.resolve(
        ClientConfig::default(),
        &Defaults {
            scrape_interval: Duration::from_millis(60_000),
            scrape_timeout: Duration::from_millis(10_000),
            scrape_protocols: None,
            metric_name_escaping_scheme: Escaping::AllowUtf8,
            scrape_native_histograms: false,
            always_scrape_classic_histograms: false,
            extra_scrape_metrics: false,
            limits: Limits::default(),
        },
    )
}
