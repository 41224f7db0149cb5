//! The command line.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 ok, 1 failure, 2 usage.

mod check;
mod core_dumps;
mod demo;
mod descriptors;
mod explain;
mod healthcheck;
mod owner;
mod proxy;
mod queue;
mod queue_text;
mod run;
mod series;
mod sink;
mod web;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The arguments of `promrelay`.
#[derive(Debug, Parser)]
#[command(
    version,
    about = "A Prometheus remote-write filtering relay",
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive remote write, filter it into routes, and deliver each route to its receiver.
    Run(run::Arguments),
    /// Say every problem of configuration files as `file:line:column: message`.
    Check(check::Arguments),
    /// Show rule by rule why a series is, or is not, in each route.
    Explain(explain::Arguments),
    /// Stand in for a receiver: answer like fluentd, and print what arrives per path.
    Sink(sink::Arguments),
    /// See it work: the metrics of a `windows_exporter`, the relay and a sink, all on loopback.
    Demo(demo::Arguments),
    /// Pass scrapes on to the exporter of a node; for a `DaemonSet`.
    Proxy(proxy::Arguments),
    /// List, show, replay, purge or move what waits on disk and what receivers refused.
    Queue(queue::Arguments),
    /// Ask a running relay whether it is ready; for a container's HEALTHCHECK.
    Healthcheck(healthcheck::Arguments),
}

/// Runs the command that the process' arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => Ok(check::run(&arguments)),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Sink(arguments) => sink::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Proxy(arguments) => proxy::run(&arguments),
        Command::Queue(arguments) => queue::run(&arguments),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    })
}

#[expect(clippy::print_stderr, reason = "errors of a command go to stderr")]
fn report(error: &anyhow::Error) {
    eprintln!("promrelay: {error:#}");
}

/// The runtime of the commands that serve.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}
