//! The programs of a test: Prometheus, `node_exporter`, VictoriaMetrics and promrelay itself.

use std::env;
use std::fs;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::process::{Process, eventually, free_port, get};

/// The names under which the programs are installed, the first of each being Debian's.
const PROMETHEUS: [&str; 1] = ["prometheus"];
const NODE_EXPORTER: [&str; 2] = ["prometheus-node-exporter", "node_exporter"];
const VICTORIA_METRICS: [&str; 2] = ["victoria-metrics", "victoria-metrics-prod"];

/// In a configuration, the address of the program that is configured.
pub(crate) const ITSELF: &str = "ADDRESS_OF_THE_PROGRAM";

/// A program that serves HTTP on loopback.
pub(crate) struct Peer {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    process: Process,
    program: PathBuf,
    arguments: Vec<String>,
    directory: TempDir,
}

impl Peer {
    /// Prometheus with this configuration, accepting remote write.
    pub(crate) async fn prometheus(config: &str) -> Peer {
        let peer = Peer::start("prometheus", locate(&PROMETHEUS), config, |address| {
            vec![
                "--config.file=config.yml".to_owned(),
                "--storage.tsdb.path=data".to_owned(),
                "--web.enable-remote-write-receiver".to_owned(),
                "--log.level=warn".to_owned(),
                format!("--web.listen-address={address}"),
            ]
        });
        peer.ready("/-/ready").await
    }

    /// Prometheus 3 with this configuration, accepting remote write, with exemplars, native
    /// histograms, and metadata beside samples.
    pub(crate) async fn prometheus_3(config: &str) -> Peer {
        let peer = Peer::start("prometheus 3", prometheus_3(), config, |address| {
            vec![
                "--config.file=config.yml".to_owned(),
                "--storage.tsdb.path=data".to_owned(),
                "--web.enable-remote-write-receiver".to_owned(),
                "--enable-feature=exemplar-storage,native-histograms,metadata-wal-records"
                    .to_owned(),
                "--log.level=warn".to_owned(),
                format!("--web.listen-address={address}"),
            ]
        });
        peer.ready("/-/ready").await
    }

    /// `node_exporter` with its default collectors.
    pub(crate) async fn node_exporter() -> Peer {
        let peer = Peer::start("node_exporter", locate(&NODE_EXPORTER), "", |address| {
            vec![
                format!("--web.listen-address={address}"),
                // It needs a running systemd, and complains at each scrape without.
                "--no-collector.systemd".to_owned(),
            ]
        });
        peer.ready("/metrics").await
    }

    /// VictoriaMetrics, single node.
    pub(crate) async fn victoria_metrics() -> Peer {
        Peer::victoria_metrics_scraping("").await
    }

    /// VictoriaMetrics that scrapes what this configuration of Prometheus' says.
    pub(crate) async fn victoria_metrics_scraping(config: &str) -> Peer {
        let program = locate(&VICTORIA_METRICS);
        let peer = Peer::start("VictoriaMetrics", program, config, |address| {
            vec![
                format!("-httpListenAddr={address}"),
                "-promscrape.config=config.yml".to_owned(),
                "-promscrape.kubernetesSDCheckInterval=1s".to_owned(),
                "-storageDataPath=data".to_owned(),
                "-loggerLevel=WARN".to_owned(),
                "-memory.allowedPercent=10".to_owned(),
            ]
        });
        peer.ready("/health").await
    }

    /// promrelay with this configuration.
    pub(crate) async fn promrelay(config: &str) -> Peer {
        Peer::promrelay_on(Path::new("data"), config).await
    }

    /// Another command of promrelay's that serves, as soon as it listens.
    pub(crate) async fn promrelay_command(command: &'static str, arguments: &[String]) -> Peer {
        let peer = Peer::start(command, Some(promrelay()), "", |address| {
            let mut all = vec![
                command.to_owned(),
                format!("--web.listen-address={address}"),
            ];
            all.extend_from_slice(arguments);
            all
        });
        eventually("it listens", Duration::from_secs(30), async || {
            TcpStream::connect(&peer.address).await.ok()
        })
        .await;
        peer
    }

    /// promrelay with this configuration and its queues in `storage`.
    pub(crate) async fn promrelay_on(storage: &Path, config: &str) -> Peer {
        let peer = Peer::start("promrelay", Some(promrelay()), config, |address| {
            vec![
                "run".to_owned(),
                "--config.file=config.yml".to_owned(),
                format!("--storage.path={}", storage.display()),
                format!("--web.listen-address={address}"),
            ]
        });
        peer.ready("/-/ready").await
    }

    /// promrelay with further files in its directory and further flags, as soon as it listens.
    pub(crate) async fn promrelay_with(
        config: &str,
        files: &[(&str, &str)],
        flags: &[String],
    ) -> Peer {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for (name, text) in files {
            fs::write(directory.path().join(name), text).expect("a file can be written");
        }
        let program = Some(promrelay());
        let peer = Peer::start_in(directory, "promrelay", program, config, |address| {
            let mut all = vec![
                "run".to_owned(),
                "--config.file=config.yml".to_owned(),
                format!("--web.listen-address={address}"),
            ];
            all.extend_from_slice(flags);
            all
        });
        eventually("it listens", Duration::from_secs(30), async || {
            TcpStream::connect(&peer.address).await.ok()
        })
        .await;
        peer
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    fn start(
        name: &'static str,
        program: Option<PathBuf>,
        config: &str,
        arguments: impl FnOnce(&str) -> Vec<String>,
    ) -> Peer {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        Peer::start_in(directory, name, program, config, arguments)
    }

    fn start_in(
        directory: TempDir,
        name: &'static str,
        program: Option<PathBuf>,
        config: &str,
        arguments: impl FnOnce(&str) -> Vec<String>,
    ) -> Peer {
        let program = program.unwrap_or_else(|| panic!("{name} is not installed"));
        let address = format!("127.0.0.1:{}", free_port());
        let config = config.replace(ITSELF, &address);
        fs::write(directory.path().join("config.yml"), config).expect("a file can be written");
        let program = fs::canonicalize(program).expect("the program exists");
        let arguments = arguments(&address);
        let process = Process::start(name, &program, &arguments, directory.path());
        Peer {
            address,
            process,
            program,
            arguments,
            directory,
        }
    }

    async fn ready(mut self, path: &str) -> Peer {
        let url = self.url(path);
        self.process.ready(&url).await;
        self
    }

    /// The URL of a path that begins with `/`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until a GET of `path` is answered with success.
    pub(crate) async fn answers(&self, path: &str) {
        let url = self.url(path);
        eventually(&url, Duration::from_secs(30), async || get(&url).await).await;
    }

    /// What the program has printed so far.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts promrelay, which was killed, again on the same port and directory.
    pub(crate) fn start_again(&mut self) {
        let directory = self.directory.path();
        self.process = Process::start("promrelay", &self.program, &self.arguments, directory);
    }

    /// Kills promrelay with SIGKILL, and starts it again on the same port and directory.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill();
        self.start_again();
        let url = self.url("/-/ready");
        self.process.ready(&url).await;
    }

    /// The same; answers whether it started.
    pub(crate) async fn kill_and_try_to_restart(&mut self) -> bool {
        self.kill();
        self.start_again();
        let url = self.url("/-/ready");
        self.process.comes_up(&url).await
    }

    /// Writes another configuration, and has promrelay read it at some time soon.
    pub(crate) fn reconfigure(&self, config: &str) {
        fs::write(self.directory.path().join("config.yml"), config).expect("a file is written");
        self.process.hang_up();
    }

    /// Ends it with SIGTERM and returns how it ended.
    pub(crate) async fn stop(self) -> ExitStatus {
        self.process.stop().await
    }
}

/// The binary to test.
pub(crate) fn promrelay() -> PathBuf {
    env::var_os("PROMRELAY_BIN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_promrelay")),
        PathBuf::from,
    )
}

/// Whether the programs of the tests are all installed; where `CI` is set, they have to be.
pub(crate) fn installed() -> bool {
    let missing: Vec<&str> = [&PROMETHEUS[..], &NODE_EXPORTER, &VICTORIA_METRICS]
        .into_iter()
        .filter(|names| locate(names).is_none())
        .map(|names| names[0])
        .collect();
    all_there(&missing)
}

/// Whether there is a Prometheus 3; where `CI` is set, there has to be.
pub(crate) fn prometheus_3_is_there() -> bool {
    match prometheus_3() {
        Some(_) => all_there(&[]),
        None => all_there(&["prometheus 3"]),
    }
}

/// Prometheus 3 is not installed, because it would take the place of Debian's stable one:
/// `PROMETHEUS3_BIN` names it, or it is where `tests/run` unpacks it.
fn prometheus_3() -> Option<PathBuf> {
    let unpacked = "target/prometheus-3/usr/bin/prometheus";
    let unpacked = || Path::new(env!("CARGO_MANIFEST_DIR")).join(unpacked);
    let program = env::var_os("PROMETHEUS3_BIN").map_or_else(unpacked, PathBuf::from);
    program.is_file().then_some(program)
}

fn all_there(missing: &[&str]) -> bool {
    if missing.is_empty() {
        return true;
    }
    assert!(env::var_os("CI").is_none(), "not installed: {missing:?}");
    // Not eprintln!, which the test runner keeps to itself when a test passes.
    writeln!(
        stderr(),
        "SKIPPED, as {missing:?} is not installed (tests/run installs it)"
    )
    .expect("standard error takes a line");
    false
}

fn locate(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let directories: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut candidates = names
        .iter()
        .flat_map(|name| directories.iter().map(move |dir| dir.join(name)));
    candidates.find(|candidate| candidate.is_file())
}
