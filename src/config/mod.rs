//! The configuration file: read as a whole or refused with everything that is wrong with it.
//!
//! A file is a subset of `prometheus.yml`, in Prometheus' spelling or its operator's, plus a few
//! keys of ours; `config/promrelay.yml` is the reference. The way of a file: text → tree
//! (`yaml`) → `$(NAME)` replaced (`environment`) → typed (`typed`, `file`) → routes
//! (`routes`, `names`). Every mistake keeps the place where it stands, and none hides another.

mod deserializer;
mod environment;
mod file;
mod foreign;
mod merge;
mod names;
mod nesting;
mod problem;
mod regexes;
mod routes;
mod scrape;
mod spelling;
#[cfg(test)]
mod tests;
mod typed;
mod web;
mod yaml;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

pub use problem::Problem;
pub use web::{WebFile, load_web};

use crate::scrape::JobConfig;
use crate::{receive, route};
use environment::Environment;
use file::File;
use problem::Problems;
use typed::Findings;
use yaml::{Content, Node};

/// How long a file may be, in bytes: four times what a `ConfigMap` can hold.
const MAX_FILE_BYTES: usize = 4 << 20;
/// What the texts of a file may take, aliases and variables written out, in bytes.
const MAX_TEXT_BYTES: usize = 4 * MAX_FILE_BYTES;

/// A configuration without mistakes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Labels that series get which do not have them, sorted by name; none is empty.
    pub external_labels: Vec<(String, String)>,
    /// The routes, in the file's order; their names are distinct.
    pub routes: Vec<route::Config>,
    /// The jobs that are scraped, in the file's order; their names are distinct.
    pub scrape: Vec<JobConfig>,
    /// Bounds on what comes in.
    pub receive: receive::Config,
    /// Bounds on the tables of verdicts.
    pub verdicts: route::VerdictConfig,
    /// What is in force, defaults included, as YAML without secrets.
    pub text: String,
    /// Of the file with its variables replaced: it changes when the configuration does.
    pub hash: u64,
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
        source: std::io::Error,
    },
    /// It has mistakes, sorted by where they stand.
    #[error("the configuration has mistakes: {}", join(.0))]
    Problems(Vec<Problem>),
}

fn join(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// Reads the file at `path`, with variables from the process's environment.
///
/// # Errors
/// If it cannot be read or has mistakes; then it says which, up to 50.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let (name, text) = read(path)?;
    let environment = |variable: &str| std::env::var(variable).ok();
    parse(&name, &text, &environment).map_err(LoadError::Problems)
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A file's name for people, and its text.
fn read(path: &Path) -> Result<(String, String), LoadError> {
    let name = path.display().to_string();
    let error = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(error)?;
    file.take(MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(error)?;
    // Before anything is done with it: the rest of a longer file was not read.
    if bytes.len() > MAX_FILE_BYTES {
        return Err(LoadError::Problems(vec![too_long(&Problems {
            name: &name,
            text: "",
        })]));
    }
    // Editors on Windows begin a file with the mark of its byte order.
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| LoadError::Problems(vec![problem::not_utf8(&name, &error)]))?;
    Ok((name, text))
}

fn too_long(problems: &Problems<'_>) -> Problem {
    problems.at_start(format!(
        "the file is longer than {} MiB",
        MAX_FILE_BYTES >> 20
    ))
}

/// Reads `text` as the file `name`, whose directory is where names of other files begin, with
/// variables from `environment`.
///
/// # Errors
/// If it has mistakes; all of them, sorted by where they stand.
pub fn parse(
    name: &str,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Vec<Problem>> {
    let problems = Problems { name, text };
    if text.len() > MAX_FILE_BYTES {
        return Err(vec![too_long(&problems)]);
    }
    let root = yaml::read(text).map_err(|error| vec![problems.of_syntax(error)])?;
    assemble(root, &problems, environment)
}

fn assemble(
    mut root: Node,
    problems: &Problems<'_>,
    environment: Environment<'_>,
) -> Result<Config, Vec<Problem>> {
    let mut unset = Vec::new();
    environment::expand(&mut root, environment, &mut unset);
    let message = match root.content {
        Content::Mapping(_) => None,
        Content::Null => Some("the file is empty: it needs `remote_write` with a route"),
        _ => Some("a configuration is a mapping: begin with `remote_write:`"),
    };
    if let Some(message) = message {
        return Err(vec![problems.at_start(message.to_owned())]);
    }
    let mut findings = Findings::default();
    for unset in &unset {
        findings.prune(unset.fault.node);
    }
    regexes::check(&root, &mut findings);
    let file: Option<File> = typed::read(&root, &mut findings);
    let config = file.map(|file| finish(file, &root, problems.name, &findings));
    let faults = findings.into_faults();
    match config {
        Some(config) if faults.is_empty() && unset.is_empty() => Ok(config),
        _ => Err(problems.of_faults(&root, &faults, &unset)),
    }
}

/// Puts the parts together, with the checks that need more than one of them.
fn finish(mut file: File, root: &Node, name: &str, findings: &Findings) -> Config {
    let entries = routes::value_at(root, &["remote_write"]);
    if entries.id == root.id {
        let message = "there is no route: `remote_write` needs at least one entry";
        findings.note(root.id, message.to_owned());
    } else if findings.reads(entries) && entries.elements().is_empty() {
        let message = "there is no route: `remote_write` needs at least one entry";
        findings.note(entries.id, message.to_owned());
    }
    routes::check_queue(&file.queue, routes::value_at(root, &["queue"]), findings);
    let labels = external_labels(&file, root, findings);
    file.queue = file.queue.or_built_in();
    let elements = entries.elements().iter();
    let nodes: Vec<_> = elements.filter(|node| findings.reads(node)).collect();
    let own = file.remote_write.iter_mut().map(|entry| &mut entry.own);
    for (entry, node) in own.zip(&nodes) {
        routes::check_queue(&entry.queue, routes::value_at(node, &["queue"]), findings);
        entry.queue = entry.queue.or(file.queue);
    }
    let directory = Path::new(name).parent().unwrap_or(Path::new(""));
    let scrape = scrape::build(&file, root, findings);
    let entries = &mut file.remote_write;
    let routes = routes::build(entries, &nodes, file.storage, directory, findings);
    Config {
        external_labels: labels,
        routes,
        scrape,
        receive: file.receive.clone(),
        verdicts: file.verdicts,
        text: serde_yaml::to_string(&file).unwrap_or_default(),
        hash: hash(root),
    }
}

fn external_labels(file: &File, root: &Node, findings: &Findings) -> Vec<(String, String)> {
    let labels = &file.global.external_labels;
    for (name, value) in labels {
        let path = ["global", "external_labels", name];
        if name.is_empty() {
            routes::note(
                findings,
                root,
                &path,
                "a label name must not be empty".to_owned(),
            );
        }
        let reference = value.split('$').skip(1).any(|rest| {
            rest.starts_with(|first: char| first == '{' || first == '_' || first.is_alphabetic())
        });
        if reference {
            // Prometheus 3 would expand it; carried as it is it would be a surprise.
            let message = "`$NAME` and `${NAME}` are not replaced here: write `$(NAME)`";
            routes::note(findings, root, &path, message.to_owned());
        }
    }
    let labels = labels.iter().filter(|(_, value)| !value.is_empty());
    labels
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A hash of all scalars in order, whose variables are replaced, and of how they are nested.
fn hash(root: &Node) -> u64 {
    xxh3_64(format!("{:?}", root.content).as_bytes())
}
