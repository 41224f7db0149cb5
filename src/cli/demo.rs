//! `promrelay demo`: the main job, seen from the outside in seconds.
//!
//! A `windows_exporter`'s metrics are written to a relay every second as Prometheus would write
//! them; the relay splits them into the two routes of the Octopus set-up; a sink shows what arrives
//! on each. All of it in this process, on loopback, in a temporary directory.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use tokio::time::{Instant, interval, sleep_until};

use super::series;
use super::sink::{Sink, table, try_print};
use crate::app::{App, Options, WebOptions};
use crate::http::Server;
use crate::model::Label;
use crate::remote_write::snappy::Compressor;
use crate::remote_write::v1::{TIMESERIES, encode_labels};
use crate::remote_write::wire::{put_bytes_field, put_varint};
use crate::telemetry::Registry;

/// The exposition of `windows_exporter` 0.16: names, types and labels as upstream.
const EXPOSITION: &str = include_str!("demo/windows_exporter-0.16.0.prom");
/// The two routes of the Octopus set-up; `$SINK` is where the sink listens.
const CONFIG: &str = include_str!("demo/promrelay.yml");
/// How often the metrics are written.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often what arrived is shown, in rounds.
const SHOW_EVERY: u64 = 2;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// End by itself after so long, for example 10s.
    #[arg(long = "for", value_name = "DURATION")]
    duration: Option<crate::settings::Duration>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(demonstrate(arguments))
}

async fn demonstrate(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let directory = Directory::create()?;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sink = Sink::default();
    let sink_server = Server::start(loopback, sink.service())?;
    let config_file = directory.path().join("promrelay.yml");
    let config = CONFIG.replace("$SINK", &sink_server.address().to_string());
    std::fs::write(&config_file, config)?;
    let app = App::start(
        Options {
            config_file,
            listen_address: loopback,
            storage_path: directory.path().join("data"),
            web: WebOptions::default(),
        },
        Registry::new(),
    )
    .await?;
    let url = format!("http://{}/api/v1/write", app.address());
    let result = match introduce(&url, sink_server.address()) {
        Ok(()) => write_and_show(&url, &sink, arguments).await,
        Err(error) => Err(error.into()),
    };
    app.stop().await;
    let arrived = sink.arrived();
    sink_server.stop(Duration::from_secs(1)).await;
    result?;
    try_print(&format!("\nIn all, per route:\n{}{NEXT}", table(&arrived)))?;
    anyhow::ensure!(!arrived.is_empty(), "nothing arrived at the sink");
    Ok(ExitCode::SUCCESS)
}

fn introduce(url: &str, sink: SocketAddr) -> std::io::Result<()> {
    try_print(&format!(
        "windows_exporter's metrics, as job=\"node-exporter\"\n\
         \x20 -> promrelay  {url}\n\
         \x20 -> route container  http://{sink}/prometheus.metrics.container\n\
         \x20 -> route node       http://{sink}/prometheus.metrics.node\n\
         Of {} series each route gets what its rules keep. Ctrl-C ends it.\n\n",
        samples().count()
    ))
}

/// What to do after the demo.
const NEXT: &str = "\
What next:
  export FLUENTD_METRICS_SVC=fluentd NAMESPACE=sumologic   what the example's URLs are made of
  promrelay check config/examples/octopus.yml              is a file right?
  promrelay explain --config.file=config/examples/octopus.yml \\
      'windows_cs_hostname{job=\"node-exporter\"}'           why is a series (not) in a route?
  promrelay run --config.file=promrelay.yml                then point Prometheus at it:
      remote_write: [{url: \"http://localhost:9201/api/v1/write\"}]
";

/// Writes a round every second until the time is over or Ctrl-C is pressed.
async fn write_and_show(url: &str, sink: &Sink, arguments: &Arguments) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    let end = arguments
        .duration
        .map(|duration| Instant::now() + duration.into());
    let ended = async {
        match end {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = ended => Ok(()),
        result = tokio::signal::ctrl_c() => Ok(result?),
        result = write_rounds(&client, url, sink) => result,
    }
}

async fn write_rounds(client: &reqwest::Client, url: &str, sink: &Sink) -> anyhow::Result<()> {
    let mut tick = interval(INTERVAL);
    let mut round = 0u64;
    loop {
        tick.tick().await;
        write_round(client, url).await?;
        if round > 0 && round.is_multiple_of(SHOW_EVERY) {
            try_print(&format!("after {round} s:\n{}", table(&sink.arrived())))?;
        }
        round += 1;
    }
}

async fn write_round(client: &reqwest::Client, url: &str) -> anyhow::Result<()> {
    let request = encode_request();
    let mut body = Vec::new();
    put_varint(&mut body, request.len() as u64);
    body.extend_from_slice(Compressor::default().elements(&request));
    let response = client
        .post(url)
        .header(CONTENT_TYPE, "application/x-protobuf")
        .header(CONTENT_ENCODING, "snappy")
        .header("X-Prometheus-Remote-Write-Version", "0.1.0")
        .body(body)
        .send()
        .await
        .context("cannot write to the relay")?;
    anyhow::ensure!(
        response.status().is_success(),
        "the relay answered {}",
        response.status()
    );
    Ok(())
}

/// The exposition as a remote-write 1.0 request: a sample of each series, now.
fn encode_request() -> Vec<u8> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut request = Vec::new();
    for (mut labels, value) in samples() {
        labels.insert("instance".to_owned(), "aks-windows-0:9100".to_owned());
        labels.insert("job".to_owned(), "node-exporter".to_owned());
        let mut message = Vec::new();
        let borrowed = labels.iter().map(|(name, value)| Label { name, value });
        encode_labels(borrowed, &mut message);
        let mut sample = vec![1 << 3 | 1];
        sample.extend_from_slice(&value.to_le_bytes());
        sample.push(2 << 3);
        put_varint(&mut sample, now_ms);
        put_bytes_field(&mut message, 2, &sample);
        put_bytes_field(&mut request, TIMESERIES, &message);
    }
    request
}

/// The samples of the exposition. It is our own file, with neither timestamps nor exemplars.
fn samples() -> impl Iterator<Item = (series::Labels, f64)> {
    EXPOSITION
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series::parse(series).ok()?, value.parse().ok()?))
        })
}

/// A directory of its own under the system's one for temporary files, removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn create() -> anyhow::Result<Self> {
        let name = format!(
            "promrelay-demo-{}-{:08x}",
            std::process::id(),
            rand::random::<u32>()
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)
            .with_context(|| format!("cannot create the directory {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
