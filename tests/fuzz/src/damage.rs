//! Damage to files, as a disk or a crash does it.

use std::fs;
use std::path::PathBuf;

/// What is put into a file once more, at the most: else a few changes would double it to anything.
const PIECE_BYTES: usize = 1024;

/// A byte is changed, or the file ends there, or a piece of it is put there once more.
pub(super) fn damage(files: &[PathBuf], change: &[u8]) {
    let &[file, high, low, how] = change else {
        return;
    };
    let path = &files[usize::from(file) % files.len()];
    let mut content = fs::read(path).expect("the file is read");
    let at = usize::from(u16::from_be_bytes([high, low])) % (content.len() + 1);
    match how {
        0 => content.truncate(at),
        1 => {
            let again = content[at..].iter().take(PIECE_BYTES).copied();
            let again: Vec<u8> = again.collect();
            content.extend(again);
        }
        flip => {
            if let Some(byte) = content.get_mut(at) {
                *byte ^= flip;
            }
        }
    }
    fs::write(path, content).expect("the file is written");
}
