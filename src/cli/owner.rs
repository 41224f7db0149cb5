//! Acting as the user to whom files belong.
//!
//! What root writes into the storage directory of a relay that runs as somebody else, that relay
//! cannot open: the next start would fail. So a command that root gives becomes the owner first.

use std::path::Path;

/// Runs the command anew as the user to whom the file at `path` belongs, if this is root and that
/// is not. Where there is no such file, nothing happens.
#[cfg(unix)]
pub(super) fn become_owner_of(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::{env, fs, process};

    use anyhow::Context as _;

    let owner = fs::metadata(path).map(|file| (file.uid(), file.gid()));
    let Some((uid, gid)) = owner.ok().filter(|&(uid, _)| uid != 0) else {
        return Ok(());
    };
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut command = process::Command::new(env::current_exe()?);
    let failed = command
        .args(env::args_os().skip(1))
        .uid(uid)
        .gid(gid)
        .exec();
    Err(failed).with_context(|| {
        let path = path.display();
        format!("cannot become the user {uid}, to whom {path} belongs; run this as that user")
    })
}

/// Windows' files take the rights of their directory.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(super) fn become_owner_of(_path: &Path) -> anyhow::Result<()> {
    Ok(())
}
