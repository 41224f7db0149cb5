//! Keys that are not known here: what to say of them.

/// Keys that Prometheus or its operator has and promrelay has not, wherever they stand.
const PROMETHEUS: [&str; 52] = [
    "alerting",
    "always_scrape_classic_histograms",
    "azureAd",
    "azuread",
    "bearerToken",
    "bearerTokenFile",
    "bearer_token",
    "bearer_token_file",
    "body_size_limit",
    "convert_classic_histograms_to_nhcb",
    "enableHTTP2",
    "enable_http2",
    "external_url",
    "google_iam",
    "http_headers",
    "keep_dropped_targets",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "maxSamplesPerSend",
    "max_samples_per_send",
    "metric_name_escaping_scheme",
    "metric_name_validation_scheme",
    "noProxy",
    "no_proxy",
    "oauth2",
    "otlp",
    "proxyConnectHeader",
    "proxyFromEnvironment",
    "proxyUrl",
    "proxy_connect_header",
    "proxy_from_environment",
    "proxy_url",
    "query_log_file",
    "remote_read",
    "round_robin_dns",
    "rule_files",
    "rule_query_offset",
    "runtime",
    "sampleAgeLimit",
    "sample_age_limit",
    "sample_limit",
    "scrape_config_files",
    "scrape_configs",
    "scrape_failure_log_file",
    "scrape_protocols",
    "sendInterval",
    "send_interval",
    "sigv4",
    "storage",
    "tls_config",
    "tracing",
];

/// What to say of the unknown key `key`, where `known` ones were possible.
pub(super) fn unknown(key: &str, known: &[&str]) -> String {
    if PROMETHEUS.contains(&key) || key == "tlsConfig" || key == "target_limit" {
        return format!("`{key}` is a Prometheus key that promrelay does not support yet");
    }
    let distance = |known: &str| strsim::damerau_levenshtein(key, known);
    // Of a key in two spellings the one that the user writes is closer.
    let closest = known.iter().map(|known| (distance(known), known)).min();
    match closest.filter(|(distance, _)| *distance <= (key.len() / 3).max(2)) {
        Some((_, closest)) => format!("unknown key `{key}`, did you mean `{closest}`?"),
        None if known.is_empty() => format!("unknown key `{key}`: nothing can stand here"),
        None => format!("unknown key `{key}`, known here: {}", known.join(", ")),
    }
}
