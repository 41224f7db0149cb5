//! promrelay beside its peers: the same load, the same receiver, taking turns.
//!
//! ```console
//! cargo bench --bench side_by_side                      # all rows, half an hour
//! cargo bench --bench side_by_side -- octopus-20-2000   # one row
//! cargo bench --bench side_by_side -- octopus chart --pairs 1
//! cargo bench --bench side_by_side -- --list
//! cargo bench --bench side_by_side -- octopus-20 --before /tmp/promrelay   # an older build
//! ```
//! Each run starts the relay anew with its defaults (promrelay: `durability: fsync`), warms it up,
//! sends a fixed number of requests on eight connections as fast as they are answered, waits until
//! everything is delivered, and reads CPU time (user and system, all threads) and peak memory of
//! the relay's process from `/proc`. Contenders take turns; ratios are taken within a pair and the
//! median of them is shown. Where the contenders did not deliver the same number of samples the row
//! says so. What is sent is described in `../load/workload.rs`.
//!
//! Peers are left out if they are not installed: vmagent (Debian: victoria-metrics), prometheus.

#![expect(clippy::print_stdout, reason = "a bench shows its result")]

#[path = "../load/catalogue.rs"]
mod catalogue;
mod latency;
mod measure;
mod process;
#[path = "../load/receiver.rs"]
mod receiver;
mod relay;
mod routes;
mod rows;
mod scrape;
#[path = "../load/sender.rs"]
mod sender;
mod table;
#[path = "../load/workload.rs"]
mod workload;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use measure::{Found, run};
use relay::Program;
use routes::Routes;
use rows::{Row, rows};

/// Compares promrelay with its peers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rows whose names begin so; all of them without any.
    rows: Vec<String>,
    /// How often each contender of a row runs.
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// Samples of a run, instead of each row's own number.
    #[arg(long)]
    samples: Option<u64>,
    /// How long a scraping run is measured, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long, default_value = "vmagent")]
    vmagent: PathBuf,
    #[arg(long, default_value = "prometheus")]
    prometheus: PathBuf,
    /// Another build of promrelay to compare with in vmagent's place.
    #[arg(long)]
    before: Option<PathBuf>,
    /// Measure promrelay only.
    #[arg(long)]
    alone: bool,
    /// Show the names of the rows.
    #[arg(long)]
    list: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let vmagent = Program::Vmagent(arguments.vmagent.clone());
    let vmagent = arguments.before.clone().map_or(vmagent, Program::Before);
    let prometheus = Program::Prometheus(arguments.prometheus.clone());
    let rows = rows(&vmagent);
    if arguments.list {
        let own = ["latency", "scrape"];
        let names = rows.iter().map(|row| row.name.as_str()).chain(own);
        names.for_each(|name| println!("{name}"));
        return;
    }
    let is_there = |program: &Program| !arguments.alone && program.version().is_some();
    table::head(&[&Program::Promrelay, &vmagent, &prometheus]);
    for row in rows.iter().filter(|row| arguments.selects(&row.name)) {
        arguments.measure(row, is_there(&vmagent)).await;
    }
    if arguments.selects("latency") && is_there(&vmagent) {
        arguments.measure_latency(&rows, &vmagent).await;
    }
    if arguments.selects("scrape") {
        arguments
            .measure_scraping(is_there(&prometheus).then_some(prometheus))
            .await;
    }
}

impl Arguments {
    fn selects(&self, name: &str) -> bool {
        let chosen = |row: &String| name.starts_with(row.as_str());
        self.rows.is_empty() || self.rows.iter().any(chosen)
    }

    async fn measure(&self, row: &Row, with_peers: bool) {
        let mut row = row.clone();
        row.samples = self.samples.unwrap_or(row.samples);
        row.contenders
            .retain(|(program, _)| with_peers || *program == Program::Promrelay);
        let load = row.load();
        let mut turns: Vec<Vec<Found>> = vec![Vec::new(); row.contenders.len()];
        for _ in 0..self.pairs.max(1) {
            for ((program, routes), turns) in row.contenders.iter().zip(&mut turns) {
                turns.push(run(program, *routes, &load).await);
            }
        }
        let names = row.contenders.iter().map(|(program, routes)| {
            let by_two = *routes == Routes::ChartByTwo;
            program.name().to_owned() + if by_two { ", two routes" } else { "" }
        });
        table::row(&row.name, row.goal, &names.zip(turns).collect::<Vec<_>>());
    }

    async fn measure_latency(&self, rows: &[Row], vmagent: &Program) {
        let Some(row) = rows.iter().find(|row| row.name == "octopus-20-2000") else {
            return;
        };
        let load = row.load();
        let rate = latency::half_rate(row, &load, vmagent).await;
        let contenders = [Program::Promrelay, vmagent.clone(), Program::PromrelayAsync];
        let mut turns = vec![Vec::new(); contenders.len()];
        for _ in 0..self.pairs.max(1) {
            for (program, turns) in contenders.iter().zip(&mut turns) {
                turns.push(latency::run_at(row, &load, program, rate).await);
            }
        }
        let names = contenders.iter().map(|program| program.name().to_owned());
        let name = format!("latency at {rate:.0} requests/s");
        table::row(&name, f64::NAN, &names.zip(turns).collect::<Vec<_>>());
        let (median, p99) = latency::disk();
        println!("the disk alone, a write of 32 KiB and a sync: p50 {median:.2?}, p99 {p99:.2?}");
    }

    async fn measure_scraping(&self, prometheus: Option<Program>) {
        let contenders: Vec<_> = [Program::Promrelay].into_iter().chain(prometheus).collect();
        let mut turns = vec![Vec::new(); contenders.len()];
        for _ in 0..self.pairs.max(1) {
            for (program, turns) in contenders.iter().zip(&mut turns) {
                turns.push(scrape::run(program, Duration::from_secs(self.seconds)).await);
            }
        }
        let names = contenders.iter().map(|program| program.name().to_owned());
        table::row("scrape", 3.0, &names.zip(turns).collect::<Vec<_>>());
    }
}
