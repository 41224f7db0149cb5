//! Logs: one line per event on stderr, as logfmt or JSON.

use std::fmt;
use std::io;
use std::str::FromStr;

use thiserror::Error;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt as layer};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `ts=… level=info message="…" key=value`
    #[default]
    Logfmt,
    /// One JSON object per line.
    Json,
}

/// The least severe events that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Everything, including each request.
    Debug,
    /// Starts, stops, reloads.
    #[default]
    Info,
    /// Unexpected, nothing lost.
    Warn,
    /// Data was lost or an operator must act.
    Error,
}

/// A word that is no level or format.
#[derive(Debug, Error)]
#[error("`{given}` is none of {known}")]
pub struct UnknownWord {
    given: String,
    known: &'static str,
}

impl FromStr for Format {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err(UnknownWord {
                given: word.to_owned(),
                known: "logfmt, json",
            }),
        }
    }
}

impl FromStr for Level {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(UnknownWord {
                given: word.to_owned(),
                known: "debug, info, warn, error",
            }),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Logfmt => "logfmt",
            Self::Json => "json",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// Writes this process' events to stderr from now on. Other crates' are written from `warn` up;
/// those of h2 from `error` up, because whoever breaks the rules of HTTP/2 could fill the logs.
///
/// Does nothing if a subscriber is installed already, as in tests.
pub fn install(level: Level, format: Format) {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .parse_lossy(format!("warn,h2=error,promrelay={level}"));
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match format {
        Format::Logfmt => {
            let logfmt = tracing_logfmt::builder()
                .with_target(false)
                .with_span_path(false);
            registry
                .with(logfmt.layer().with_writer(io::stderr))
                .try_init()
        }
        Format::Json => {
            let json = layer::layer().json().flatten_event(true).with_target(false);
            registry.with(json.with_writer(io::stderr)).try_init()
        }
    };
    drop(installed);
}
