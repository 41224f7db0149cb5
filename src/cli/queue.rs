//! `promrelay queue`: what waits, what was refused, and what to do with it.
//!
//! Beside a running relay a command goes through its API, which the relay's file `api` in the
//! storage directory leads to; otherwise it works on the files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use clap::{Arg, Args, Subcommand, ValueEnum};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::queue_text;
use crate::http::read_response;
use crate::queue::{LockError, lock_directory, lock_file, recover_journal};
use crate::store::{Command, Filter, Storage, api};

/// How long a running relay may take to carry a command out.
const TIMEOUT: Duration = Duration::from_mins(10);
/// How long its answer may be, in bytes.
const ANSWER_BYTES: usize = 1 << 30;

/// Arguments of `queue`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The directory of the routes' queues.
    #[arg(
        long = "storage.path",
        value_name = "DIRECTORY",
        default_value = "data",
        global = true
    )]
    storage_path: PathBuf,
    /// Text for people, or a JSON object per line.
    #[arg(long, value_name = "FORMAT", default_value = "text", global = true)]
    format: Format,
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Each route's queue and parked batches; also those that no route has any more.
    List,
    /// The series and samples that wait in a queue, or that were parked.
    #[command(mut_args(only_of_parked))]
    Show {
        /// The route.
        route: String,
        /// The parked batches instead of the queue.
        #[arg(long)]
        parked: bool,
        #[command(flatten)]
        which: Which,
        /// Series at the most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Put parked batches back into the queue, oldest first.
    Replay {
        /// The route.
        route: String,
        #[command(flatten)]
        which: Which,
    },
    /// Drop what waits in a queue, or parked batches. It is not asked twice.
    #[command(mut_args(only_of_parked))]
    Purge {
        /// The route.
        route: String,
        /// The parked batches instead of the queue.
        #[arg(long)]
        parked: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Put all that one route has behind what another has, after a route was renamed.
    Move {
        /// The route that is left empty.
        from: String,
        /// The route that takes it.
        to: String,
    },
}

/// Which parked batches are meant; all of them without a condition.
#[derive(Debug, Args)]
struct Which {
    /// Only those refused with this status code.
    #[arg(long, value_name = "CODE")]
    status: Option<u16>,
    /// Only those parked since: so long ago (2h), or in seconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    since: Option<i64>,
    /// Only those parked before: so long ago (30m), or in seconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    until: Option<i64>,
}

/// A condition on parked batches must not be taken for one on the queue, which would be purged.
fn only_of_parked(argument: Arg) -> Arg {
    if ["status", "since", "until"].contains(&argument.get_id().as_str()) {
        argument.requires("parked")
    } else {
        argument
    }
}

impl Which {
    fn filter(&self) -> Filter {
        Filter {
            status: self.status,
            since_ms: self.since,
            until_ms: self.until,
        }
    }
}

impl Action {
    fn command(&self) -> Command {
        match self {
            Self::List => Command::List {},
            Self::Show {
                route,
                parked,
                which,
                limit,
            } => Command::Show {
                route: route.clone(),
                parked: parked.then(|| which.filter()),
                limit: *limit,
            },
            Self::Replay { route, which } => Command::Replay {
                route: route.clone(),
                filter: which.filter(),
            },
            Self::Purge {
                route,
                parked,
                which,
            } => Command::Purge {
                route: route.clone(),
                parked: parked.then(|| which.filter()),
            },
            Self::Move { from, to } => Command::Move {
                from: from.clone(),
                to: to.clone(),
            },
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    super::owner::become_owner_of(&lock_file(&arguments.storage_path))?;
    let command = arguments.action.command();
    let answer = super::runtime()?.block_on(execute(&arguments.storage_path, command.clone()))?;
    let text = match arguments.format {
        Format::Json => queue_text::json_lines(&answer),
        Format::Text => queue_text::for_people(&command, &answer),
    };
    // If stdout is closed there is nobody left to tell.
    drop(super::sink::try_print(&text));
    Ok(ExitCode::SUCCESS)
}

async fn execute(storage_path: &Path, command: Command) -> anyhow::Result<Value> {
    let path = storage_path.display();
    if !storage_path.is_dir() {
        bail!("there is no directory {path}: --storage.path says where a relay has its queues");
    }
    let is_storage = Storage::is_in(storage_path);
    if !is_storage.with_context(|| format!("cannot look into {path}"))? {
        bail!("{path} is not the storage directory of a relay: there is no queue in it");
    }
    match lock_directory(storage_path) {
        Ok(_lock) => {
            let path = storage_path.to_owned();
            spawn_blocking(move || recover_journal(&path)).await??;
            let storage = Storage::stopped(storage_path.to_owned());
            Ok(storage.execute(command).await?)
        }
        Err(LockError::InUse { .. }) => ask(storage_path, &command).await,
        Err(error) => Err(error.into()),
    }
}

/// Has the relay that is running carry the command out.
async fn ask(storage_path: &Path, command: &Command) -> anyhow::Result<Value> {
    let api = api::read(storage_path).context("cannot find the relay that has this directory")?;
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
    let response = client
        .build()?
        .post(format!("{}{}", api.url, api::PATH))
        .bearer_auth(api.token.reveal())
        .header("content-type", "application/json")
        .body(serde_json::to_vec(command)?)
        .send()
        .await
        .context("cannot ask the relay that has this directory")?;
    let status = response.status();
    let text = read_response(response, ANSWER_BYTES).await;
    let mut answer: Value = serde_json::from_str(&text)
        .with_context(|| format!("the relay answered {status}: {text}"))?;
    if let Some(error) = answer["error"].as_str() {
        bail!("{error}");
    }
    Ok(answer["data"].take())
}

/// A time in milliseconds since 1970, from how long ago it was or from seconds since 1970.
fn time_ms(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(seconds.saturating_mul(1000));
    }
    let ago: crate::settings::Duration = text
        .parse()
        .map_err(|_why| format!("`{text}` is neither a duration like 2h nor seconds since 1970"))?;
    let then = SystemTime::now()
        .checked_sub(ago.into())
        .and_then(|then| then.duration_since(SystemTime::UNIX_EPOCH).ok());
    let then = then.unwrap_or_default();
    Ok(i64::try_from(then.as_millis()).unwrap_or(i64::MAX))
}
