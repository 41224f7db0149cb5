//! The relays that are compared, as processes of their own with their defaults.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_yaml::{Mapping, Value};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::process::Usage;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A program, and what is not its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Promrelay,
    /// With `durability: async`.
    PromrelayAsync,
    Vmagent(PathBuf),
    /// In agent mode.
    Prometheus(PathBuf),
    /// Another build of promrelay.
    Before(PathBuf),
}

/// What a relay is to do.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Each route's rules.
    pub(crate) routes: Vec<Value>,
    /// `scrape_configs`.
    pub(crate) scrape: Vec<Value>,
    pub(crate) receiver: SocketAddr,
}

/// A running relay; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Relay {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Program {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Promrelay => "promrelay",
            Self::PromrelayAsync => "promrelay async",
            Self::Vmagent(_) => "vmagent",
            Self::Prometheus(_) => "Prometheus agent",
            Self::Before(_) => "promrelay before",
        }
    }

    /// What it says of itself, or what its package says of it; `None` if it is not there.
    pub(crate) fn version(&self) -> Option<String> {
        let flag = match self {
            Self::Vmagent(_) => "-version",
            _ => "--version",
        };
        let said = Command::new(self.path()).arg(flag).output().ok()?;
        let said = [said.stdout, said.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let line = said.lines().map(str::trim).find(|line| !line.is_empty());
        if let (None, Self::Vmagent(_)) = (line, self) {
            let query = ["-W", "-f", "Debian ${Version}", "victoria-metrics"];
            let version = Command::new("dpkg-query").args(query).output().ok();
            return version.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
        }
        Some(line.unwrap_or("says no version").to_owned())
    }

    fn path(&self) -> &Path {
        match self {
            Self::Promrelay | Self::PromrelayAsync => Path::new(env!("CARGO_BIN_EXE_promrelay")),
            Self::Vmagent(path) | Self::Prometheus(path) | Self::Before(path) => path,
        }
    }

    /// Starts it in a new directory on the disk of `target`, and waits until it is ready.
    ///
    /// # Panics
    /// If it is not ready in time.
    pub(crate) async fn start(&self, task: &Task) -> Relay {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.expect("a directory can be made");
        let address = free_address();
        let (arguments, ready) = match self {
            Self::Promrelay | Self::Before(_) => {
                promrelay(task, directory.path(), address, "fsync")
            }
            Self::PromrelayAsync => promrelay(task, directory.path(), address, "async"),
            Self::Vmagent(_) => vmagent(task, directory.path(), address),
            Self::Prometheus(_) => prometheus(task, directory.path(), address),
        };
        let log = fs::File::create(directory.path().join("log")).expect("a file can be made");
        let output = log.try_clone().expect("a file handle can be cloned");
        let child = Command::new(self.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(log)
            .spawn()
            .expect("the relay starts");
        let relay = Relay {
            child,
            address,
            directory,
        };
        relay.wait_until_ready(ready, self.name()).await;
        relay
    }
}

impl Relay {
    /// Where it takes remote write.
    pub(crate) fn write_url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    async fn wait_until_ready(&self, path: &str, name: &str) {
        let url = format!("http://{}{path}", self.address);
        let start = Instant::now();
        while start.elapsed() < READY_WITHIN {
            if reqwest::get(&url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        panic!("{name} is not ready:\n{log}");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
}

fn promrelay(
    task: &Task,
    directory: &Path,
    address: SocketAddr,
    durability: &str,
) -> (Vec<String>, &'static str) {
    let queue = mapping([("durability", durability.into())]);
    let config = mapping([
        ("queue", queue),
        ("remote_write", remote_write(task)),
        ("scrape_configs", Value::Sequence(task.scrape.clone())),
    ]);
    let file = write_yaml(directory, "promrelay.yml", &config);
    let arguments = vec![
        "run".to_owned(),
        format!("--config.file={file}"),
        format!("--web.listen-address={address}"),
        format!("--storage.path={}", directory.join("data").display()),
    ];
    (arguments, "/-/ready")
}

fn vmagent(task: &Task, directory: &Path, address: SocketAddr) -> (Vec<String>, &'static str) {
    let data = directory.join("data");
    let mut arguments = vec![
        format!("-httpListenAddr={address}"),
        format!("-remoteWrite.tmpDataPath={}", data.display()),
    ];
    for (index, rules) in task.routes.iter().enumerate() {
        let file = write_yaml(directory, &format!("route-{index}.yml"), rules);
        arguments.push(format!("-remoteWrite.url=http://{}/{index}", task.receiver));
        arguments.push(format!("-remoteWrite.urlRelabelConfig={file}"));
    }
    (arguments, "/health")
}

fn prometheus(task: &Task, directory: &Path, address: SocketAddr) -> (Vec<String>, &'static str) {
    let config = mapping([
        ("remote_write", remote_write(task)),
        ("scrape_configs", Value::Sequence(task.scrape.clone())),
    ]);
    let file = write_yaml(directory, "prometheus.yml", &config);
    let data = directory.join("data");
    let arguments = vec![
        "--enable-feature=agent".to_owned(),
        format!("--config.file={file}"),
        format!("--web.listen-address={address}"),
        format!("--storage.agent.path={}", data.display()),
    ];
    (arguments, "/-/ready")
}

fn remote_write(task: &Task) -> Value {
    let entry = |(index, rules): (usize, &Value)| {
        mapping([
            ("name", format!("route-{index}").into()),
            ("url", format!("http://{}/{index}", task.receiver).into()),
            ("write_relabel_configs", rules.clone()),
        ])
    };
    Value::Sequence(task.routes.iter().enumerate().map(entry).collect())
}

pub(crate) fn mapping<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let pairs = pairs.map(|(key, value)| (Value::from(key), value));
    Value::Mapping(pairs.into_iter().collect::<Mapping>())
}

fn write_yaml(directory: &Path, name: &str, value: &Value) -> String {
    let file = directory.join(name);
    let text = serde_yaml::to_string(value).expect("the configuration can be written as YAML");
    fs::write(&file, text).expect("a file can be written");
    file.display().to_string()
}
