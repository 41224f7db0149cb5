//! `promrelay check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::config::{self, LoadError, Problem};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[expect(
    clippy::print_stdout,
    reason = "the verdict is what the command is for"
)]
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut fine = true;
    for file in &arguments.files {
        match config::load(file) {
            Ok(config) => println!("{}: ok, {} routes", file.display(), config.routes.len()),
            Err(LoadError::Problems(problems)) => {
                fine = false;
                print_problems(&problems);
            }
            Err(error) => {
                fine = false;
                super::report(&error.into());
            }
        }
    }
    if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
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
