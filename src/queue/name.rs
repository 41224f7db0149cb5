//! Names of routes as names of directories, on every file system.

use std::fmt::Write as _;

/// Names of routes up to this many bytes can be told from their directory's name.
pub const MAX_REVERSIBLE_BYTES: usize = 80;

/// Bytes of a longer name that its directory's name begins with; the rest is a hash.
const PREFIX_BYTES: usize = 60;

/// Files that lie where the queues' directories do: the lock, and what leads to a running relay.
const FILES_BESIDE: [&str; 4] = ["lock", "api", "api.new", "journal"];

/// The name of the directory that belongs to the route `route`.
///
/// Small letters, digits, `-`, `_` and inner `.` stay; every other byte becomes `%` and two
/// hexadecimal digits (capitals too, because some file systems ignore case). A name that Windows
/// reserves (`con`, `com1.x`) or that a file beside the queues has (`lock`) has its first letter
/// escaped; the empty name is `%`. Different names get different directories. Names of up to
/// [`MAX_REVERSIBLE_BYTES`] can be turned back by [`route_name`]; longer ones keep their beginning
/// and end in `%~` and a hash, which cannot.
#[must_use]
pub fn directory_name(route: &str) -> String {
    let bytes = route.as_bytes();
    if bytes.is_empty() {
        return "%".to_owned();
    }
    if bytes.len() <= MAX_REVERSIBLE_BYTES {
        return escape(bytes);
    }
    let hash = xxhash_rust::xxh3::xxh3_128(bytes);
    format!("{}%~{hash:032x}", escape(&bytes[..PREFIX_BYTES]))
}

/// The route whose directory has this name; `None` if [`directory_name`] makes no such name or
/// the route's name was too long to be told from it.
#[must_use]
pub fn route_name(directory: &str) -> Option<String> {
    if directory == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(directory.len());
    let mut rest = directory.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let route = String::from_utf8(bytes).ok()?;
    (directory_name(&route) == directory).then_some(route)
}

fn escape(name: &[u8]) -> String {
    let reserved = is_reserved(name);
    let mut escaped = String::with_capacity(name.len());
    for (at, &byte) in name.iter().enumerate() {
        let inner = at > 0 && at + 1 < name.len();
        let kept = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => at > 0 || !reserved,
            b'.' => inner,
            _ => false,
        };
        if kept {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02x}").expect("a String takes everything");
        }
    }
    escaped
}

/// Whether something else has the name: a file beside the queues, or a device, for which Windows
/// takes it whatever follows its first dot.
fn is_reserved(name: &[u8]) -> bool {
    if FILES_BESIDE.iter().any(|file| file.as_bytes() == name) {
        return true;
    }
    let stem = name.split(|&byte| byte == b'.').next().unwrap_or_default();
    match stem {
        b"con" | b"prn" | b"aux" | b"nul" => true,
        [device @ .., digit] => digit.is_ascii_digit() && matches!(device, b"com" | b"lpt"),
        [] => false,
    }
}
