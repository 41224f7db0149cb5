//! A load generator for any remote-write 1.0 endpoint, and a receiver that counts what arrives.
//!
//! ```console
//! cargo bench --bench load -- receive --listen-address 127.0.0.1:9888
//! cargo bench --bench load -- send --url http://127.0.0.1:9201/api/v1/write --requests 2000
//! cargo bench --bench load -- send --url http://127.0.0.1:9201/api/v1/write --rate 100
//! ```
//!
//! What is sent is described in `workload.rs`; `--help` shows what can be chosen.

#![expect(clippy::print_stdout, reason = "a tool shows its result")]

mod catalogue;
mod receiver;
mod sender;
mod workload;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::time::interval;

use receiver::Receiver;
use sender::{Plan, send};
use workload::{Kind, Workload};

#[derive(Debug, Parser)]
#[command(about = "Sends remote write, or receives it and counts.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// What `cargo bench` adds.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(Send),
    Receive(Receive),
}

/// Sends requests and shows how fast they were answered.
#[derive(Debug, Args)]
struct Send {
    /// The endpoint.
    #[arg(long)]
    url: String,
    #[arg(long, value_enum, default_value = "octopus")]
    workload: Kind,
    /// Series of a hundred that the routes made for the workload keep.
    #[arg(long, default_value_t = 20)]
    kept: u64,
    /// Series of a request.
    #[arg(long, default_value_t = 2000)]
    series: u64,
    /// Distinct series, after which the first comes again.
    #[arg(long, default_value_t = 100_000)]
    active: u64,
    #[arg(long, default_value_t = 1000)]
    requests: u64,
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Requests per second; without it as many as are answered.
    #[arg(long)]
    rate: Option<f64>,
}

/// Takes everything on every path and shows once a second what came, until it is interrupted.
#[derive(Debug, Args)]
struct Receive {
    #[arg(long, default_value = "127.0.0.1:9888")]
    listen_address: SocketAddr,
}

#[tokio::main]
async fn main() {
    match Arguments::parse().command {
        Command::Send(arguments) => send_load(arguments).await,
        Command::Receive(arguments) => receive(&arguments).await,
    }
}

async fn send_load(arguments: Send) {
    let workload = Workload {
        kind: arguments.workload,
        kept_percent: arguments.kept,
        series_per_request: arguments.series.max(1),
        active_series: arguments.active,
    };
    let sent = send(Plan {
        url: arguments.url,
        bodies: Arc::new(workload.bodies()),
        first: 0,
        requests: arguments.requests,
        connections: arguments.connections.max(1),
        rate: arguments.rate,
    })
    .await;
    let samples = arguments.requests * arguments.series;
    println!(
        "{} requests, {samples} samples in {:.2?}: {:.0} samples/s; p50 {:.2?}, p99 {:.2?}; \
         {} refused and sent again",
        sent.latencies.len(),
        sent.took,
        samples as f64 / sent.took.as_secs_f64(),
        sent.latency(50),
        sent.latency(99),
        sent.refused,
    );
}

async fn receive(arguments: &Receive) {
    let receiver = Receiver::start(arguments.listen_address);
    println!("listening on {}", receiver.address());
    let mut before = receiver.arrived();
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let arrived = receiver.arrived();
        if arrived == before {
            continue;
        }
        for (path, arrived) in &arrived {
            let (requests, samples, bytes) = (arrived.requests, arrived.samples, arrived.bytes);
            println!("{path}: {requests} requests, {samples} samples, {bytes} bytes compressed");
        }
        before = arrived;
    }
}
