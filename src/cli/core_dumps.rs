//! No core dumps: they would have every secret of the configuration in them.

/// Lowers the limit on core dumps of this process, as far as it may be raised again from outside
/// (`prlimit --core=unlimited --pid …`), for whoever must look for a fault.
///
/// The limit is one byte and not none: Linux takes one to mean that no program is to be handed the
/// dump either, which `kernel.core_pattern` can otherwise have whatever the limit.
#[cfg(unix)]
pub(super) fn forbid() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let maximum = getrlimit(Resource::Core).maximum;
    let current = Some(maximum.unwrap_or(u64::MAX).min(1));
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current, maximum }) {
        tracing::warn!(%error, "cannot forbid core dumps");
    }
}

/// Windows writes none unless it was told to in its registry.
#[cfg(not(unix))]
pub(super) fn forbid() {}
