//! What kinds of series there are in a load, as families: metrics of one job that have the same
//! labels.

/// Metrics of one job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) job: &'static str,
    /// The metrics' names, separated by white space.
    pub(crate) names: &'static str,
    /// The label that tells the series of a metric apart on one target.
    pub(crate) own_label: &'static str,
    /// How many of a hundred series of its group are of this family.
    pub(crate) percent: u64,
}

/// What the two routes of the Octopus set-up keep.
pub(crate) const OCTOPUS_KEPT: &[Family] = &[
    Family {
        job: "node-exporter",
        names: "windows_container_cpu_usage_seconds_total \
                windows_container_memory_working_set_bytes windows_container_fs_usage_bytes \
                windows_container_fs_limit_bytes windows_container_cpu_cfs_throttled_seconds_total \
                windows_container_network_receive_bytes_total \
                windows_container_network_transmit_bytes_total",
        own_label: "container_id",
        percent: 50,
    },
    Family {
        job: "node-exporter",
        names: "windows_cpu_time_total windows_logical_disk_free_bytes \
                windows_logical_disk_size_bytes windows_memory_available_bytes \
                windows_memory_cache_bytes windows_memory_commit_limit \
                windows_memory_committed_bytes windows_net_bytes_received_total \
                windows_net_bytes_sent_total windows_os_physical_memory_free_bytes \
                windows_os_processes windows_system_context_switches_total windows_system_threads",
        own_label: "core",
        percent: 50,
    },
];

/// What they drop: the rest of the exporter, and other jobs.
pub(crate) const OCTOPUS_DROPPED: &[Family] = &[
    Family {
        job: "node-exporter",
        names: "windows_service_info windows_service_start_mode windows_service_state \
                windows_service_status windows_net_packets_outbound_errors \
                windows_net_packets_received_discarded_total windows_cpu_clock_interrupts_total \
                windows_cpu_core_frequency_mhz windows_cpu_cstate_seconds_total \
                windows_cpu_dpcs_total windows_cpu_interrupts_total \
                windows_logical_disk_idle_seconds_total windows_logical_disk_read_bytes_total \
                windows_logical_disk_requests_queued windows_exporter_collector_success",
        own_label: "service_name",
        percent: 60,
    },
    Family {
        job: "kubelet",
        names: "container_cpu_usage_seconds_total container_memory_working_set_bytes \
                container_memory_rss container_fs_reads_total container_fs_writes_total \
                container_network_receive_packets_total kubelet_runtime_operations_total",
        own_label: "container_id",
        percent: 20,
    },
    Family {
        job: "apiserver",
        names: "apiserver_request_duration_seconds_bucket apiserver_request_total \
                apiserver_response_sizes_bucket etcd_request_duration_seconds_bucket \
                workqueue_queue_duration_seconds_bucket",
        own_label: "le",
        percent: 20,
    },
];

/// What the routes of the Sumo Logic chart keep, in the shares of a cluster of some size.
pub(crate) const CHART_KEPT: &[Family] = &[
    Family {
        job: "kubelet",
        names: "container_cpu_usage_seconds_total container_memory_working_set_bytes \
                container_fs_usage_bytes container_fs_limit_bytes \
                container_cpu_cfs_throttled_seconds_total",
        own_label: "container",
        percent: 25,
    },
    Family {
        job: "kubelet",
        names: "container_network_receive_bytes_total container_network_transmit_bytes_total \
                kubelet_docker_operations_errors_total kubelet_running_pods",
        own_label: "interface",
        percent: 10,
    },
    Family {
        job: "kube-state-metrics",
        names: "kube_pod_container_info kube_pod_container_resource_requests \
                kube_pod_container_resource_limits kube_pod_container_status_ready \
                kube_pod_container_status_waiting_reason \
                kube_pod_container_status_restarts_total kube_pod_status_phase",
        own_label: "resource",
        percent: 25,
    },
    Family {
        job: "kube-state-metrics",
        names: "kube_deployment_spec_replicas kube_deployment_status_replicas_available \
                kube_node_status_condition kube_node_status_capacity kube_node_info \
                kube_statefulset_replicas",
        own_label: "condition",
        percent: 8,
    },
    Family {
        job: "apiserver",
        names: "apiserver_request_total apiserver_request_duration_seconds_count \
                apiserver_request_duration_seconds_sum",
        own_label: "resource",
        percent: 12,
    },
    Family {
        job: "node-exporter",
        names: "node_load1 node_load5 node_load15 node_cpu_seconds_total",
        own_label: "mode",
        percent: 10,
    },
    Family {
        job: "coredns",
        names: "coredns_dns_request_duration_seconds_count coredns_cache_hits_total \
                process_cpu_seconds_total process_open_fds",
        own_label: "zone",
        percent: 4,
    },
    Family {
        job: "recording-rules",
        names: "node:node_num_cpu:sum node:node_memory_utilisation: :node_cpu_utilisation:avg1m \
                up fluentd_output_status_emit_count",
        own_label: "node",
        percent: 3,
    },
    Family {
        job: "applications",
        names: "redis_connected_slaves redis_clients nginx_requests mysql_queries \
                kafka_topic_bytes_in postgresql_db_size haproxy_qcur",
        own_label: "server",
        percent: 3,
    },
];

/// What they drop: most of what the cluster's components say of themselves.
pub(crate) const CHART_DROPPED: &[Family] = &[
    Family {
        job: "apiserver",
        names: "apiserver_request_duration_seconds_bucket apiserver_response_sizes_bucket \
                etcd_request_duration_seconds_bucket workqueue_work_duration_seconds_bucket \
                rest_client_request_duration_seconds_bucket apiserver_watch_events_sizes_bucket",
        own_label: "le",
        percent: 40,
    },
    Family {
        job: "kubelet",
        names: "container_memory_rss container_memory_cache container_fs_reads_total \
                container_fs_writes_total container_tasks_state container_processes \
                container_memory_failures_total container_blkio_device_usage_total \
                kubelet_runtime_operations_duration_seconds_bucket storage_operation_errors_total",
        own_label: "container",
        percent: 30,
    },
    Family {
        job: "kube-state-metrics",
        names: "kube_pod_labels kube_pod_owner kube_pod_created kube_secret_info kube_secret_type \
                kube_configmap_info kube_replicaset_owner kube_endpoint_address_available \
                kube_pod_status_scheduled kube_job_status_failed",
        own_label: "uid",
        percent: 15,
    },
    Family {
        job: "node-exporter",
        names: "node_network_receive_bytes_total node_network_transmit_packets_total \
                node_filesystem_avail_bytes node_disk_io_time_seconds_total \
                node_memory_MemAvailable_bytes node_scrape_collector_success node_vmstat_pgfault \
                node_netstat_Tcp_ActiveOpens node_sockstat_TCP_inuse",
        own_label: "device",
        percent: 15,
    },
];
