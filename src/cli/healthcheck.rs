//! `promrelay healthcheck`: what a container image without a shell runs as its HEALTHCHECK, and a
//! pod as its probes. With `--storage.path` it gets in whatever TLS and users the listeners ask
//! for.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::settings::Secret;
use crate::store::api;

/// How long the relay may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Arguments of `healthcheck`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where the relay listens, without TLS and users: asked without --storage.path, and where
    /// that directory does not say where the relay is.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9201"
    )]
    listen_address: SocketAddr,
    /// The directory of the relay's queues: it says where the relay is, and gets in whatever
    /// --web.config.file says.
    #[arg(long = "storage.path", value_name = "DIRECTORY")]
    pub(super) storage_path: Option<PathBuf>,
    /// Ask whether the relay is up (/-/healthy) instead of whether it takes writes (/-/ready).
    #[arg(long)]
    live: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (address, token) = match &arguments.storage_path {
        None => (arguments.listen_address, None),
        Some(path) => match api::read(path) {
            Ok(api) => {
                let address = api.url.trim_start_matches("http://").parse();
                let address = address.context("cannot read where the relay is")?;
                (address, Some(api.token))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (arguments.listen_address, None)
            }
            Err(error) => {
                return Err(error).context("cannot find the relay that has this directory");
            }
        },
    };
    let token = token.as_ref().map(Secret::reveal);
    let (path, state) = if arguments.live {
        ("/-/healthy", "up")
    } else {
        ("/-/ready", "ready")
    };
    let status = ask(address, path, token)
        .with_context(|| format!("cannot ask {address} whether it is {state}"))?;
    if status.starts_with("HTTP/1.1 200") {
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::bail!("{address} is not {state}: {status}");
}

/// The status line of `path`.
fn ask(address: SocketAddr, path: &str, token: Option<&str>) -> io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\n{}Connection: close\r\n\r\n",
        authorization.unwrap_or_default()
    );
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    connection.take(4096).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
