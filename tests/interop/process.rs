//! Programs as children of the test, and waiting for what they do.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// Bytes of an answer that are read at most.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A running program; dropped, it is killed, and in a failing test its last words are shown.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program in `directory`, with its output there too.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        directory: &Path,
    ) -> Process {
        let log = directory.join("log");
        let output = OpenOptions::new().create(true).append(true).open(&log);
        let output = output.expect("a log file can be opened");
        let errors = output.try_clone().expect("a file handle can be cloned");
        let child = Command::new(program)
            .args(arguments)
            .env("NO_PROXY", "127.0.0.1")
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Process { name, child, log }
    }

    /// Waits until a GET of `url` is answered with success.
    pub(crate) async fn ready(&mut self, url: &str) {
        let is_up = self.comes_up(url).await;
        assert!(is_up, "{} ended:\n{}", self.name, self.last_words());
    }

    /// Waits until a GET of `url` is answered with success, or the program has ended; answers
    /// which.
    pub(crate) async fn comes_up(&mut self, url: &str) -> bool {
        eventually(
            &format!("{} is ready", self.name),
            Duration::from_secs(30),
            async || {
                let ended = self.child.try_wait().expect("a child can be waited for");
                match ended {
                    Some(_) => Some(false),
                    None => get(url).await.map(|_| true),
                }
            },
        )
        .await
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the program to read its configuration again.
    pub(crate) fn hang_up(&self) {
        self.signal("HUP");
    }

    fn signal(&self, signal: &str) {
        let asked = Command::new("sh")
            .args([
                "-c",
                "kill -\"$0\" \"$1\"",
                signal,
                &self.child.id().to_string(),
            ])
            .status()
            .expect("a shell runs");
        assert!(asked.success(), "cannot signal {}", self.name);
    }

    /// Asks the program to end, waits until it has, and returns how.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        eventually(
            &format!("{} ends", self.name),
            Duration::from_secs(30),
            async || self.child.try_wait().expect("a child can be waited for"),
        )
        .await
    }

    /// Ends the program at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines
            .get(lines.len().saturating_sub(20)..)
            .unwrap_or_default()
            .join("\n")
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "a failing test shows what its programs said"
    )]
    fn drop(&mut self) {
        let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
        if !ended {
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if std::thread::panicking() {
            eprintln!("--- {} said last:\n{}", self.name, self.last_words());
        }
    }
}

/// A port on loopback that nobody listens on; another one each time.
pub(crate) fn free_port() -> u16 {
    /// Below those that systems take for outgoing connections, of which some tests open thousands.
    const PORTS: Range<u16> = 10_000..30_000;
    static TAKEN: AtomicU16 = AtomicU16::new(0);

    let start = std::process::id() % u32::from(PORTS.end - PORTS.start);
    let start = u16::try_from(start).expect("less than the ports");
    for _ in PORTS {
        let offset = TAKEN.fetch_add(1, Ordering::Relaxed).wrapping_add(start);
        let port = PORTS.start + offset % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("loopback has no free port");
}

/// The value that `check` returns once it returns one.
///
/// # Panics
/// When it returns none within `limit`.
pub(crate) async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut check: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    let mut ticks = interval(Duration::from_millis(200));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while start.elapsed() < limit {
        ticks.tick().await;
        if let Some(value) = check().await {
            return value;
        }
    }
    panic!("waited {} s in vain: {what}", limit.as_secs());
}

/// Waits until `difference` finds none.
///
/// # Panics
/// With the last difference, when there is still one after 30 s.
pub(crate) async fn settles(what: &str, difference: impl AsyncFn() -> String) {
    let start = Instant::now();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let left = difference().await;
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{what}:\n{left}");
    }
}

/// The body of a successful answer to a GET.
pub(crate) async fn get(url: &str) -> Option<String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .expect("a plain client can be built");
    let mut response = client.get(url).send().await.ok()?.error_for_status().ok()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        assert!(body.len() <= ANSWER_BYTES_MAX, "{url} answers without end");
    }
    Some(String::from_utf8(body).expect("an answer is UTF-8"))
}

/// Runs a command as it is, else with sudo if that asks nothing.
pub(crate) fn as_root(command: &[&str]) -> bool {
    let run = |command: &[&str]| {
        let output = Command::new(command[0]).args(&command[1..]).output();
        output.is_ok_and(|output| output.status.success())
    };
    run(command) || run(&[&["sudo", "-n"], command].concat())
}
