//! `promrelay check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::config::{self, Config, LoadError, Problem, WebFile};
use crate::scrape::{Probe, probe};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration files.
    #[arg(required_unless_present = "web_config_files", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A web configuration to check as well, with the files that it names.
    #[arg(id = "web_config_files", long = "web.config.file", value_name = "FILE")]
    web_config_files: Vec<PathBuf>,
    /// Looks for the targets of each file, scrapes each once, and says what came.
    #[arg(long)]
    scrape: bool,
}

#[expect(
    clippy::print_stdout,
    reason = "the verdict is what the command is for"
)]
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut fine = true;
    for file in &arguments.web_config_files {
        match config::load_web(file) {
            Ok(WebFile { settings, .. }) => println!("{}: ok, {settings}", file.display()),
            Err(error) => {
                fine = false;
                print_error(error);
            }
        }
    }
    for file in &arguments.files {
        match config::load(file) {
            Ok(config) => {
                println!("{}: ok, {} routes", file.display(), config.routes.len());
                if arguments.scrape {
                    fine &= scrape(file, &config);
                }
            }
            Err(error) => {
                fine = false;
                print_error(error);
            }
        }
    }
    if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_error(error: LoadError) {
    match error {
        LoadError::Problems(problems) => print_problems(&problems),
        error @ LoadError::Read { .. } => super::report(&error.into()),
    }
}

/// Tries the targets of a file and says whether all went well.
#[expect(
    clippy::print_stdout,
    reason = "the verdicts are what the command is for"
)]
fn scrape(file: &Path, config: &Config) -> bool {
    let directory = file.parent().unwrap_or(Path::new(""));
    let probes = super::runtime().and_then(|runtime| {
        let probes = runtime.block_on(probe(&config.scrape, directory));
        Ok(probes?)
    });
    let probes = match probes {
        Ok(probes) => probes,
        Err(error) => {
            super::report(&error);
            return false;
        }
    };
    let mut all_well = true;
    for Probe { job, url, outcome } in probes {
        match outcome {
            Ok((scraped, kept)) => {
                println!("{job} {url}: ok, {scraped} samples, {kept} after relabelling");
            }
            Err(error) => {
                all_well = false;
                println!("{job} {url}: {error}");
            }
        }
    }
    all_well
}

/// Prints each problem as `file:line:column: message` on stderr, as compilers do.
#[expect(
    clippy::print_stderr,
    reason = "problems of a command's input go to stderr"
)]
pub(super) fn print_problems(problems: &[Problem]) {
    for problem in problems {
        eprintln!("{problem}");
    }
}
