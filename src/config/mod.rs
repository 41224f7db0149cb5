//! The configuration file: read, every mistake found, and assembled into what runs.
//!
//! 1. `$(NAME)` is replaced by the environment variable ([`environment`]).
//! 2. The text is parsed as YAML, then into the types of [`file`]; after a mistake the part with
//!    the mistake is left out and reading goes on, so that all of them are found ([`reading`]).
//! 3. What concerns several values is checked, and routes get their names ([`assemble`]).
//!
//! Each problem says file, line and column, and what to do.

mod assemble;
mod environment;
mod file;
mod keys;
mod locate;
mod names;
mod reading;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use self::environment::Expanded;
use crate::receive;
use crate::route;

/// How long a configuration file may be, in bytes.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// What runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Labels that are added to series that lack them, sorted by name.
    pub external_labels: Vec<(String, String)>,
    /// The routes, in the order of the file, with distinct names.
    pub routes: Vec<route::Config>,
    /// Bounds on what comes in.
    pub receive: receive::Config,
    /// The file as it is in force, defaults filled in, secrets not shown.
    pub text: String,
    /// A hash of the file's text with the environment filled in.
    pub hash: u64,
}

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// Why a file was not loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has mistakes, at least one.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
}

/// Reads and checks the file at `path`, with the variables of this process' environment.
///
/// # Errors
/// If it cannot be read, or has mistakes: then all that were found.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let bytes = read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let parsed = match text(&bytes) {
        Ok(text) => parse(text, |name| std::env::var(name).ok()),
        Err(finding) => Err(vec![finding]),
    };
    parsed.map_err(|findings| {
        let problem = |Finding {
                           line,
                           column,
                           message,
                       }| {
            Problem {
                file: path.to_owned(),
                line,
                column,
                message,
            }
        };
        LoadError::Problems(findings.into_iter().map(problem).collect())
    })
}

/// A mistake, before the file's name is put to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    line: usize,
    column: usize,
    message: String,
}

/// Checks a configuration. The findings are in the order of the file.
fn parse(text: &str, env: impl Fn(&str) -> Option<String>) -> Result<Config, Vec<Finding>> {
    let expanded = Expanded::new(text, env)?;
    let (file, places) = reading::read(&expanded)?;
    let redacted = serde_yaml::to_string(&file).unwrap_or_default();
    let config = assemble::assemble(file, redacted, xxh3_64(expanded.text().as_bytes()));
    config.map_err(|mistakes| places.find(mistakes))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(bytes: &[u8]) -> Result<&str, Finding> {
    if bytes.len() as u64 > FILE_BYTES {
        let message = format!("the file is over the limit of {FILE_BYTES} bytes");
        return Err(Finding {
            line: 1,
            column: 1,
            message,
        });
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let (before, _) = bytes.split_at(error.valid_up_to());
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Finding {
            line,
            column,
            message: "the file is not valid UTF-8 from here on".to_owned(),
        }
    })
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(formatter, "{}:{line}:{column}: {message}", file.display())
    }
}
