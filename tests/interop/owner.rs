//! `promrelay queue` as root on the files of a relay that runs as somebody else.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use promrelay::queue::{Queue, Record, lock_directory};

use crate::peers::promrelay;
use crate::process::as_root;

/// Who is nobody.
const OWNER: u32 = 65534;

/// A queue of one record, as a relay leaves it.
async fn leave_queue(storage_path: &Path) {
    let _lock = lock_directory(storage_path).expect("nobody else has it");
    let queue = Queue::open(
        &storage_path.join("old"),
        promrelay::queue::Options::default(),
    );
    let (queue, _) = queue.expect("the queue opens");
    let reservation = queue.reserve(100).expect("there is room");
    let record = Record {
        stream: 0x0100,
        weight: 1,
        appended_ms: 1_700_000_000_000,
        bytes: b"a block",
    };
    let receipt = queue.append(reservation, &[record]);
    receipt.durable().await.expect("the disk works");
    queue.close().await.expect("the disk works");
}

/// The files and directories below `path` that are not the owner's.
fn foreign(path: &Path) -> Vec<String> {
    let mut foreign = Vec::new();
    for entry in fs::read_dir(path).expect("anybody can look into it") {
        let entry = entry.expect("anybody can look into it");
        let metadata = entry.metadata().expect("it is there");
        if metadata.uid() != OWNER {
            foreign.push(entry.path().display().to_string());
        }
        if metadata.is_dir() {
            foreign.extend(self::foreign(&entry.path()));
        }
    }
    foreign
}

#[tokio::test]
async fn what_root_does_to_queues_leaves_them_to_their_owner() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let storage_path = directory.path().join("data");
    leave_queue(&storage_path).await;
    // Where the owner can reach it, too.
    let copy = directory.path().join("promrelay");
    fs::copy(promrelay(), &copy).expect("there is room for the program");
    let program = copy.display().to_string();
    let (all, data) = (
        directory.path().display().to_string(),
        storage_path.display(),
    );
    let owner = format!("{OWNER}:{OWNER}");
    let given = as_root(&["chown", "-R", &owner, &all]) && as_root(&["chmod", "755", &all]);
    if !given {
        assert!(std::env::var_os("CI").is_none(), "root is needed here");
        return;
    }
    let flag = format!("--storage.path={data}");
    assert!(as_root(&[&program, "queue", "move", "old", "new", &flag]));
    assert!(storage_path.join("new").is_dir());
    let foreign = foreign(&storage_path);
    assert!(foreign.is_empty(), "root's: {foreign:?}");
}
