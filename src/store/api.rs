//! How `promrelay queue` finds the relay that has a storage directory, and proves that it may ask.
//!
//! A relay that runs writes the file `api` into its storage directory: where it listens, and a
//! token that is drawn anew at each start. Only the owner can read it. Whoever can read it could
//! change the files beside it as well, and nobody else can work on the queues.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::settings::Secret;

/// Where a relay takes commands.
pub const PATH: &str = "/api/v1/queues";

const FILE: &str = "api";
const NEW_FILE: &str = "api.new";

/// Where a relay is, and what to show to it.
#[derive(Debug, Deserialize)]
pub struct Api {
    /// Its address, reached from this machine.
    pub url: String,
    /// What to show.
    pub token: Secret,
}

/// The same with the token in plain words, for the file.
#[derive(Serialize)]
struct Written<'a> {
    url: String,
    token: &'a str,
}

/// Draws a token.
#[must_use]
pub fn new_token() -> Secret {
    format!("{:032x}", rand::random::<u128>()).into()
}

/// Writes the file of a relay that listens on `address`.
///
/// # Errors
/// If it cannot be written.
pub fn write(storage_path: &Path, address: SocketAddr, token: &Secret) -> io::Result<()> {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let url = format!("http://{}", SocketAddr::new(host, address.port()));
    let token = token.reveal();
    let text = serde_json::to_vec(&Written { url, token })?;
    let new = storage_path.join(NEW_FILE);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    private_file(&new)?.write_all(&text)?;
    fs::rename(&new, storage_path.join(FILE))
}

/// Reads the file of the relay that has `storage_path`.
///
/// # Errors
/// If it is not there or cannot be read.
pub fn read(storage_path: &Path) -> io::Result<Api> {
    Ok(serde_json::from_slice(&fs::read(storage_path.join(FILE))?)?)
}

#[cfg(unix)]
fn private_file(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

/// Windows' files take the rights of their directory.
#[cfg(not(unix))]
fn private_file(path: &Path) -> io::Result<fs::File> {
    fs::File::options().create_new(true).write(true).open(path)
}
