//! How `promrelay queue` finds the relay that has a storage directory, and proves that it may ask.
//!
//! A relay that runs writes the file `api` into its storage directory: where it listens, and a
//! token that is drawn anew at each start. Only the owner can read it. Whoever can read it could
//! change the files beside it as well, and nobody else can work on the queues.
//!
//! A full volume has no room for a new file; then the one of the last start is written over, so
//! that health checks, which need it, do not end a relay that is about to free space.

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
/// No such file is longer.
const MAX_BYTES: usize = 4096;

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
    let text = serde_json::to_string(&Written { url, token })?;
    let file = storage_path.join(FILE);
    let replaced = replace(&file, &storage_path.join(NEW_FILE), &text);
    replaced.or_else(|error| {
        // What stood in the way of the new file is what an operator has to know.
        write_over(&file, &text).map_err(|_no_file| error)
    })
}

fn replace(file: &Path, new: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    private_file(new)?.write_all(text.as_bytes())?;
    fs::rename(new, file)
}

/// Takes no space that the file does not have: spaces stand for what was longer.
fn write_over(file: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).open(file)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let length = length.min(MAX_BYTES);
    file.write_all(format!("{text:length$}").as_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_last_start_is_written_over_where_there_is_no_room_for_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let start = |address: &str, token: &str| {
            write(path, address.parse().unwrap(), &token.to_owned().into())
        };
        // No file can be made under this name.
        let occupy = || fs::create_dir_all(path.join(NEW_FILE).join("x"));
        occupy().unwrap();
        assert!(
            start("127.0.0.1:1", "first").is_err(),
            "nothing to write over"
        );
        fs::remove_dir_all(path.join(NEW_FILE)).unwrap();
        start("[2001:db8::1]:12345", "a long token").unwrap();
        occupy().unwrap();
        for (address, token) in [
            ("0.0.0.0:1", "short"),
            (
                "[2001:db8::2]:54321",
                "a token that is longer than the first one",
            ),
        ] {
            start(address, token).unwrap();
            let read = read(path).unwrap();
            assert_eq!(read.token.reveal(), token);
            assert_eq!(read.url.rsplit(':').next(), address.rsplit(':').next());
        }
    }
}
