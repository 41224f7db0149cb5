//! `file_sd_configs`: targets in files that someone else writes.
//!
//! There is no notice of changes, which misses the way Kubernetes swaps mounted files; instead the
//! files are read every five seconds and their contents' hashes compared. A file that cannot be
//! read or understood keeps the targets that it had; one that is gone takes them along.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use xxhash_rust::xxh3::xxh3_128;

use super::TargetGroup;
use super::config::FileConfig;
use super::groups::{self, ParseError};
use super::publish::Provider;

/// How often files are read at the least.
const LOOK: Duration = Duration::from_secs(5);
/// How long a file may be, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;
const FILE_PATH: &str = "__meta_filepath";

/// Why a file's targets are not known.
#[derive(Debug, Error)]
enum FileError {
    #[error("cannot read the file")]
    Read(#[from] io::Error),
    #[error("the file is longer than {} MiB", MAX_FILE_BYTES >> 20)]
    TooLong,
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// What is known of the files, by path.
type Known = BTreeMap<PathBuf, Content>;

/// What was in a file the last time.
#[derive(Clone, Default)]
struct Content {
    /// Of what was read last, understood or not.
    hash: Option<u128>,
    groups: Arc<Vec<TargetGroup>>,
}

/// What a look at the files brought.
struct Look {
    known: Known,
    failures: Vec<(String, FileError)>,
}

/// Keeps the targets in the files of `config` up to date; never returns.
pub(super) async fn run(config: FileConfig, base: PathBuf, provider: Provider) {
    let mut ticks = interval(Duration::from(config.refresh_interval).min(LOOK));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (config, mut known) = (Arc::new(config), Known::new());
    loop {
        ticks.tick().await;
        let (config, base) = (Arc::clone(&config), base.clone());
        let before = known.clone();
        let Ok(look) = spawn_blocking(move || look(&config, &base, before)).await else {
            continue;
        };
        known = look.known;
        let groups = known
            .values()
            .flat_map(|content| content.groups.iter().cloned());
        provider.replace(groups.collect());
        for (what, error) in &look.failures {
            provider.failed(what, error);
        }
    }
}

fn look(config: &FileConfig, base: &Path, mut before: Known) -> Look {
    let (mut known, mut failures) = (Known::new(), Vec::new());
    for pattern in &config.files {
        match pattern.files(base) {
            Ok(files) => {
                for path in files {
                    let mut content = before.remove(&path).unwrap_or_default();
                    if let Err(error) = read(&path, &mut content) {
                        failures.push((path.display().to_string(), error));
                    }
                    known.entry(path).or_insert(content);
                }
            }
            Err(error) => failures.push((pattern.as_str().to_owned(), error.into())),
        }
    }
    Look { known, failures }
}

/// Brings `content` up to date. A file that cannot be understood says so each time it is read.
fn read(path: &Path, content: &mut Content) -> Result<(), FileError> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(FileError::TooLong);
    }
    let hash = xxh3_128(&bytes);
    if content.hash == Some(hash) {
        return Ok(());
    }
    let name = path.to_string_lossy();
    let json = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let parse = if json {
        groups::of_json
    } else {
        groups::of_yaml
    };
    content.groups = Arc::new(parse(&bytes, &name, (FILE_PATH, &name))?);
    content.hash = Some(hash);
    Ok(())
}
