//! The routes of the tests, in the words that Prometheus and promrelay share.
//!
//! No rule makes two series one: nobody promises an order between the samples of two.

/// A route: its name and its `write_relabel_configs`, as one line of YAML each.
pub(crate) struct Route {
    /// Its name, and the last segment of its path.
    pub(crate) name: &'static str,
    /// Its rules.
    pub(crate) rules: &'static [&'static str],
}

/// What the chart's `container` route keeps; of the fixture, 12 series.
pub(crate) const CONTAINER: Route = Route {
    name: "container",
    rules: &["{action: keep, source_labels: [job, __name__], regex: \
        'node-exporter;(?:windows_container_cpu_usage_seconds_total\
        |windows_container_memory_working_set_bytes|windows_container_fs_usage_bytes\
        |windows_container_fs_limit_bytes|windows_container_cpu_cfs_throttled_seconds_total\
        |windows_container_network_receive_bytes_total\
        |windows_container_network_transmit_bytes_total)'}"],
};

/// What the chart's `node` route keeps; of the fixture, 81 series.
pub(crate) const NODE: Route = Route {
    name: "node",
    rules: &["{action: keep, source_labels: [job, __name__], regex: \
        'node-exporter;(?:windows_cpu_time_total|windows_logical_disk_free_bytes\
        |windows_logical_disk_size_bytes|windows_memory_.*|windows_net_bytes_received_total\
        |windows_net_bytes_sent_total|windows_os_.*|windows_system_.*)'}"],
};

/// Everything, unchanged.
pub(crate) const EVERYTHING: Route = Route {
    name: "everything",
    rules: &[],
};

/// Rules that read the external labels: of Prometheus (`replica`) and of the relay (`cluster`).
pub(crate) const EXTERNAL: Route = Route {
    name: "external",
    rules: &[
        "{action: keep, source_labels: [cluster, replica, __name__], \
          regex: 'blue;prometheus-0;(up|scrape_.*|node_cpu_.*)'}",
        "{action: labelkeep, regex: '__name__|job|instance|cpu|mode|cluster'}",
    ],
};

/// Rules that rename metrics and labels.
pub(crate) const RENAMED: Route = Route {
    name: "renamed",
    rules: &[
        "{source_labels: [__name__], regex: 'windows_(.*)_total', target_label: __name__, \
          replacement: 'win_${1}'}",
        "{action: labelmap, regex: '(volume|nic|core|device)', replacement: 'on_$1'}",
        "{action: labeldrop, regex: 'volume|nic|core|device'}",
        "{source_labels: [job, on_core], separator: '@', regex: '(.+)@(.+),(.+)', \
          target_label: place, replacement: '$3 of $2 in $1, $$'}",
        "{target_label: constant, replacement: relayed}",
    ],
};

/// Two of five shards.
pub(crate) const SHARD: Route = Route {
    name: "shard",
    rules: &[
        "{action: hashmod, source_labels: [__name__, instance, mode], modulus: 5, \
          target_label: shard}",
        "{action: keep, source_labels: [shard], regex: '[13]'}",
    ],
};

/// The rules that compare labels and that change case.
pub(crate) const CASES: Route = Route {
    name: "cases",
    rules: &[
        "{action: dropequal, source_labels: [quantile], target_label: le}",
        "{action: drop, source_labels: [__name__], regex: '.*_duration_.*_bucket'}",
        "{action: uppercase, source_labels: [job, handler], separator: ' ', target_label: loud}",
        "{action: lowercase, source_labels: [loud], target_label: quiet}",
    ],
};

impl Route {
    /// One entry of `remote_write`, its rules after those given.
    pub(crate) fn entry(&self, name: &str, url: &str, before: &[&str]) -> String {
        let rules: Vec<&str> = before.iter().chain(self.rules).copied().collect();
        format!(
            "  - name: {name}\n    url: {url}\n    remote_timeout: 5s\n    \
             queue_config: {{batch_send_deadline: 1s, max_backoff: 1s}}\n    \
             write_relabel_configs: [{}]\n",
            rules.join(", ")
        )
    }
}
