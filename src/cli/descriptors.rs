//! Descriptors of open files: connections must not take those that queues need.

/// What connections leave of the descriptors: a quarter of them, and so many at the least.
const LEFT: u64 = 128;

/// As many `connections` for each of so many `listeners` as there are descriptors for. The soft
/// limit is raised to the hard one first, as Go's programs do.
#[cfg(unix)]
pub(super) fn within(connections: usize, listeners: usize) -> usize {
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
    current.map_or(connections, |descriptors| {
        share(connections, listeners, descriptors)
    })
}

#[cfg(not(unix))]
pub(super) fn within(connections: usize, _listeners: usize) -> usize {
    connections
}

#[cfg_attr(not(unix), expect(dead_code, reason = "Windows has no such limit"))]
fn share(connections: usize, listeners: usize, descriptors: u64) -> usize {
    let free = descriptors.saturating_sub(LEFT.max(descriptors / 4));
    let free = usize::try_from(free).unwrap_or(usize::MAX) / listeners;
    let within = connections.min(free.max(1));
    if within < connections {
        tracing::warn!(
            connections,
            within,
            listeners,
            descriptors,
            "there are not enough descriptors for so many connections of each listener"
        );
    }
    within
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn connections_leave_descriptors_for_files() {
        assert_eq!(share(4096, 1, 1 << 20), 4096);
        assert_eq!(share(4096, 1, 1024), 768);
        assert_eq!(share(4096, 1, 256), 128);
        assert_eq!(share(4096, 1, 64), 1);
        assert_eq!(share(100, 1, 1024), 100);
    }

    #[test]
    fn listeners_take_no_more_of_them_together_than_one_alone() {
        assert_eq!(share(4096, 2, 1024), 384);
        assert_eq!(share(4096, 2, 8192), 3072);
        assert_eq!(share(4096, 2, 1 << 20), 4096);
        assert_eq!(share(4096, 2, 64), 1);
    }
}
