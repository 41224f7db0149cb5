//! Descriptors of open files: connections must not take those that queues need.

/// What connections leave of the descriptors: a quarter of them, and so many at the least.
const LEFT: u64 = 128;

/// As many `connections` as there are descriptors for. The soft limit is raised to the hard one
/// first, as Go's programs do.
#[cfg(unix)]
pub(super) fn within(connections: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // `None` is without a limit.
    current.map_or(connections, |descriptors| share(connections, descriptors))
}

#[cfg(not(unix))]
pub(super) fn within(connections: usize) -> usize {
    connections
}

#[cfg_attr(not(unix), expect(dead_code, reason = "Windows has no such limit"))]
fn share(connections: usize, descriptors: u64) -> usize {
    let free = descriptors.saturating_sub(LEFT.max(descriptors / 4)).max(1);
    let within = connections.min(usize::try_from(free).unwrap_or(usize::MAX));
    if within < connections {
        tracing::warn!(
            connections,
            within,
            descriptors,
            "there are not enough descriptors for so many connections"
        );
    }
    within
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn connections_leave_descriptors_for_files() {
        assert_eq!(share(4096, 1 << 20), 4096);
        assert_eq!(share(4096, 1024), 768);
        assert_eq!(share(4096, 256), 128);
        assert_eq!(share(4096, 64), 1);
        assert_eq!(share(100, 1024), 100);
    }
}
