//! A relay with TLS, and curl to look at it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::certificates::{Authority, Validity};
use crate::peers::Peer;
use crate::process::{eventually, free_port, get};

/// The certificate of the relay, in a section that is left open.
pub(crate) const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key";

/// A relay with TLS for writes; its metrics can be read without.
pub(crate) struct Guarded {
    pub(crate) relay: Peer,
    admin: String,
    pub(crate) authority: Authority,
}

impl Guarded {
    pub(crate) async fn start(config: &str, web: &str) -> Self {
        let authority = Authority::new("the right one");
        let server = authority.issue(&["localhost", "first.example"], Validity::Now);
        let admin = format!("127.0.0.1:{}", free_port());
        let files = [
            ("web.yml", web),
            ("open.yml", "{}"),
            ("ca.crt", &authority.pem()),
            ("server.crt", &server.certificate),
            ("server.key", &server.key),
        ];
        let flags = [
            "--web.config.file=web.yml".to_owned(),
            format!("--web.admin-address={admin}"),
            "--web.admin-config.file=open.yml".to_owned(),
        ];
        let relay = Peer::promrelay_with(config, &files, &flags).await;
        Self {
            relay,
            admin,
            authority,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.relay.directory().join(name)
    }

    pub(crate) fn port(&self) -> &str {
        self.relay.address.rsplit(':').next().unwrap_or_default()
    }

    /// The sum of what is counted under this name with this label.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let metrics = get(&format!("http://{}/metrics", self.admin)).await;
        let metrics = metrics.unwrap_or_default();
        let lines = metrics.lines().filter(|line| line.contains(label));
        let lines = lines.filter(|line| line.starts_with(&format!("{name}{{")));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        lines.filter_map(value).sum()
    }

    /// Writes another web configuration, and waits until it is in force or refused.
    pub(crate) async fn reconfigure(&self, web: &str, result: &str) {
        let label = format!("result=\"{result}\"");
        let name = "promrelay_web_config_reloads_total";
        let before = self.metric(name, &label).await;
        fs::write(self.path("web.yml"), web).expect("a file can be written");
        eventually(&label, Duration::from_secs(20), async || {
            (self.metric(name, &label).await > before).then_some(())
        })
        .await;
    }

    /// What curl gets from `/-/ready` as this host: a status, or none.
    pub(crate) fn curl(&self, host: &str, arguments: &[&str]) -> Option<u16> {
        let (port, ca) = (self.port(), self.path("ca.crt"));
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "10",
                "--noproxy",
                "*",
            ])
            .args(["--output", "/dev/null", "--write-out", "%{http_code}"])
            .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
            .args(["--cacert", &ca.display().to_string()])
            .args(arguments)
            .arg(format!("https://{host}:{port}/-/ready"))
            .output()
            .expect("curl runs");
        let status = String::from_utf8_lossy(&output.stdout).parse().ok()?;
        (output.status.success() && status > 0).then_some(status)
    }

    pub(crate) fn with_certificate(&self, name: &str) -> Option<u16> {
        let path = |end: &str| self.path(&format!("{name}.{end}")).display().to_string();
        self.curl(
            "localhost",
            &["--cert", &path("crt"), "--key", &path("key")],
        )
    }
}
