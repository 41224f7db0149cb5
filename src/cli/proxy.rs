//! `promrelay proxy`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tracing::info;

use super::web::{lasting, positive};
use crate::http::{Limits, Options, Server};
use crate::proxy;
use crate::settings;
use crate::telemetry::{Registry, log};

/// Where `windows_exporter` listens if nobody says.
const EXPORTER_PORT: u16 = 9182;
/// How long requests in hand may take once the proxy stops.
const FINISH: Duration = Duration::from_secs(5);

/// Arguments of `proxy`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:9100"
    )]
    listen_address: SocketAddr,
    /// Connections at the same time.
    #[arg(
        long = "web.max-connections",
        value_name = "NUMBER",
        default_value_t = 128,
        value_parser = positive
    )]
    max_connections: usize,
    /// Scrapes that are passed on at the same time.
    #[arg(long = "web.max-requests", value_name = "NUMBER", default_value_t = 16,
          value_parser = positive)]
    max_requests: usize,
    /// The exporter's host; without it the environment variable `PROXY_HOSTIP`.
    #[arg(long = "upstream.host", value_name = "HOST")]
    host: Option<String>,
    /// The exporter's port; without it the environment variable `PROXY_PORT`, or else 9182.
    #[arg(long = "upstream.port", value_name = "PORT")]
    port: Option<u16>,
    /// How long the exporter may take for an answer.
    #[arg(
        long = "upstream.timeout",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = lasting
    )]
    timeout: settings::Duration,
    /// The least severe messages that are logged: debug, info, warn or error.
    #[arg(long = "log.level", value_name = "LEVEL", default_value_t)]
    log_level: log::Level,
    /// How messages are logged: logfmt or json.
    #[arg(long = "log.format", value_name = "FORMAT", default_value_t)]
    log_format: log::Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    log::install(arguments.log_level, arguments.log_format);
    let upstream = upstream(arguments, &|name| std::env::var(name).ok())?;
    // One thread is enough for what one node exposes, and saves the memory of the others.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(arguments, upstream))
}

async fn serve(arguments: &Arguments, upstream: String) -> anyhow::Result<ExitCode> {
    let mut signals = super::run::Signals::listen().context("cannot listen for signals")?;
    let options = proxy::Options {
        upstream: upstream.clone(),
        timeout: arguments.timeout.into(),
        max_requests: arguments.max_requests,
    };
    let service = proxy::service(options, &Registry::new());
    let (address, connections) = (arguments.listen_address, arguments.max_connections);
    let options = Options {
        limits: Limits {
            connections,
            // Whoever scrapes a node is one peer.
            connections_per_peer: connections,
            ..Limits::default()
        },
        ..Options::default()
    };
    let server = Server::open(address, service, options)?;
    let address = server.address();
    info!(%address, upstream, "proxy started");
    while matches!(signals.next().await, super::run::Signal::Reload) {}
    server.stop(FINISH).await;
    info!("proxy stopped");
    Ok(ExitCode::SUCCESS)
}

/// The exporter's host and port, by flags or else by the environment.
fn upstream(
    arguments: &Arguments,
    environment: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<String> {
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
    let host = arguments.host.clone().or_else(|| variable("PROXY_HOSTIP"));
    let host = host.context("which exporter? set PROXY_HOSTIP or --upstream.host")?;
    let port = match (arguments.port, variable("PROXY_PORT")) {
        (Some(port), _) => port,
        (None, Some(text)) => text
            .parse()
            .with_context(|| format!("PROXY_PORT is not a port: {text:?}"))?,
        (None, None) => EXPORTER_PORT,
    };
    let bare = host.contains(':') && !host.starts_with('[');
    let upstream = if bare {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let parsed: Result<http::uri::Authority, _> = upstream.parse();
    parsed.with_context(|| format!("not a host: {host:?}"))?;
    Ok(upstream)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Arguments, upstream};

    const HOST: (&str, &str) = ("PROXY_HOSTIP", "10.0.0.1");
    const PORT: (&str, &str) = ("PROXY_PORT", "9100");

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// Flags, variables, and the address that they come to.
    type Case = (
        &'static [&'static str],
        &'static [(&'static str, &'static str)],
        Option<&'static str>,
    );

    #[test]
    fn flags_go_before_the_environment() {
        let cases: [Case; 8] = [
            (&[], &[HOST, PORT], Some("10.0.0.1:9100")),
            (&[], &[HOST], Some("10.0.0.1:9182")),
            (
                &[],
                &[("PROXY_HOSTIP", "fd00::1"), PORT],
                Some("[fd00::1]:9100"),
            ),
            (
                &["--upstream.host=h", "--upstream.port=1"],
                &[HOST, PORT],
                Some("h:1"),
            ),
            (&["--upstream.host=[::1]"], &[], Some("[::1]:9182")),
            (&[], &[PORT], None),
            (&[], &[HOST, ("PROXY_PORT", "99999")], None),
            (&["--upstream.host=a/b"], &[], None),
        ];
        for (flags, variables, expected) in cases {
            let command = Command::parse_from([&["proxy"], flags].concat());
            let environment = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let found = upstream(&command.arguments, &environment).ok();
            assert_eq!(found.as_deref(), expected, "{flags:?} {variables:?}");
        }
    }

    #[test]
    fn bounds_of_zero_are_refused() {
        for flag in [
            "upstream.timeout",
            "web.max-connections",
            "web.max-requests",
        ] {
            let parse = |value| Command::try_parse_from(["proxy", &format!("--{flag}={value}")]);
            let refused = parse("0").err().map(|error| error.to_string());
            assert!(
                refused.is_some_and(|words| words.contains("above 0")),
                "{flag}"
            );
            assert!(
                parse(if flag == "upstream.timeout" {
                    "1s"
                } else {
                    "1"
                })
                .is_ok(),
                "{flag}"
            );
        }
    }
}
