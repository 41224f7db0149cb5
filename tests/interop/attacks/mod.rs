//! Attacks on the release binary, each beside a good client that has to be served all the while,
//! about as fast as before. The attackers come from other addresses of loopback than it does.

#![cfg(target_os = "linux")]

mod bodies;
mod connections;
mod files;
mod forms;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::neighbour::{Neighbour, Waits};
use crate::peers::Peer;
use crate::process::get;
use crate::recorder::Recorder;
use crate::routes::EVERYTHING;

/// Where the first attackers come from; the good client comes from 127.0.0.1.
const ATTACKERS: [u8; 3] = [127, 0, 66];
/// How long the relay says nothing when it waits for more.
const QUIET: Duration = Duration::from_secs(2);
/// How long the good client is watched before an attack.
const CALM: Duration = Duration::from_secs(1);

/// A relay that is attacked, and its good client.
struct Arena {
    relay: Peer,
    calm: Waits,
    neighbour: Neighbour,
    _receiver: Recorder,
}

impl Arena {
    async fn start(receive: &str, flags: &[&str]) -> Self {
        let receiver = Recorder::start().await;
        let entry = EVERYTHING.entry("a", &receiver.url("/a"), &[]);
        // A rule that reads a label, so that verdicts are looked up.
        let rules = "    write_relabel_configs: [{action: keep, source_labels: [job, __name__], \
                     regex: 'neighbour;good'}]\n";
        let entry = entry.lines().filter(|line| !line.contains("relabel"));
        let entry: Vec<_> = entry.collect();
        let config = format!("{receive}remote_write:\n{}\n{rules}", entry.join("\n"));
        let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let relay = Peer::promrelay_with(&config, &[], &flags).await;
        let neighbour = Neighbour::start(&relay.address);
        let mut calm = tokio::time::interval_at(Instant::now() + CALM, CALM);
        calm.tick().await;
        Self {
            calm: neighbour.stop().await,
            neighbour: Neighbour::start(&relay.address),
            relay,
            _receiver: receiver,
        }
    }

    fn address(&self) -> SocketAddr {
        self.relay.address.parse().expect("an address")
    }

    /// An attacker's connection; each `host` is an address of its own.
    async fn connect(&self, host: u8) -> Option<TcpStream> {
        let [a, b, c] = ATTACKERS;
        let socket = TcpSocket::new_v4().expect("a socket");
        let source = SocketAddr::from((Ipv4Addr::new(a, b, c, host), 0));
        socket.bind(source).expect("an address of loopback");
        socket.connect(self.address()).await.ok()
    }

    /// Says this, and returns what comes back until the relay closes or says nothing for a while.
    async fn say(&self, text: &[u8]) -> String {
        let mut stream = self.connect(1).await.expect("there is room");
        drop(stream.write_all(text).await);
        let (mut said, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
        while let Ok(Ok(read @ 1..)) = timeout(QUIET, stream.read(&mut piece)).await {
            said.extend_from_slice(&piece[..read]);
        }
        String::from_utf8_lossy(&said).into_owned()
    }

    /// The sum of what is counted under this name with this label.
    async fn metric(&self, name: &str, label: &str) -> f64 {
        let metrics = get(&self.relay.url("/metrics")).await.expect("metrics");
        let lines = metrics.lines().filter(|line| line.contains(label));
        let lines = lines.filter(|line| line.starts_with(name));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        lines.filter_map(value).sum()
    }

    /// What the relay takes of the memory at the most so far, in MiB.
    fn peak_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.relay.id());
        let status = std::fs::read_to_string(path).expect("the relay lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.expect("a number") / 1024
    }

    /// Ends the attack.
    ///
    /// # Panics
    /// If the good client was not served, or not about as fast as before.
    #[expect(
        clippy::print_stderr,
        reason = "the numbers are what the test is about"
    )]
    async fn end(self, attack: &str) {
        let waits = self.neighbour.stop().await;
        let calm = &self.calm;
        eprintln!("{attack}: before {calm:?}, while {waits:?}");
        let usual = calm.median.saturating_mul(8) + Duration::from_millis(50);
        assert!(waits.median <= usual, "{attack}: {waits:?} after {calm:?}");
        assert!(
            waits.longest <= Duration::from_secs(4),
            "{attack}: {waits:?} after {calm:?}"
        );
        let status = self.relay.stop().await;
        assert!(status.success(), "{attack}: {status}");
    }
}

/// Lets this process open so many descriptors, or as many as it may.
fn descriptors(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let current = current.max(limit.current.unwrap_or(wanted));
    let raised = Rlimit {
        current: Some(current),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("the soft limit can be raised");
    current
}
