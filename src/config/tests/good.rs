//! Files without mistakes: what they mean.

use std::fs;

use super::{accepted, environment, files, lines, pasted, repository_file};
use crate::config::parse;

#[test]
fn good_files_and_examples_load() {
    let fixtures = files("tests/fixtures/config", ".good.yml");
    for path in fixtures.into_iter().chain(files("config/examples", ".yml")) {
        let text = fs::read_to_string(&path).unwrap();
        if let Err(problems) = parse(&path.to_string_lossy(), &text, &environment) {
            panic!("{}", lines(&problems));
        }
    }
}

#[test]
fn the_charts_lists_paste_in_as_they_are() {
    let octopus = accepted(&pasted("tests/fixtures/octopus-values.yaml"));
    let names: Vec<_> = octopus
        .routes
        .iter()
        .map(|route| route.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["prometheus.metrics.container", "prometheus.metrics.node"]
    );
    let route = &octopus.routes[0];
    assert_eq!(
        route.send.url.as_str(),
        "http://fluentd-metrics-svc.namespace.svc.cluster.local:9888/prometheus.metrics.container"
    );
    assert_eq!(route.send.remote_timeout, std::time::Duration::from_secs(5));
    assert_eq!(route.rules.len(), 1);

    let chart = accepted(&pasted("tests/fixtures/sumologic-chart-2.2-values.yaml"));
    assert_eq!(chart.routes.len(), 31);
}

#[test]
fn examples_are_the_charts_lists() {
    for name in ["octopus", "sumologic-chart"] {
        let fixture = match name {
            "octopus" => "tests/fixtures/octopus-values.yaml",
            _ => "tests/fixtures/sumologic-chart-2.2-values.yaml",
        };
        let example = accepted(&repository_file(&format!("config/examples/{name}.yml")));
        assert_eq!(example.text, accepted(&pasted(fixture)).text, "{name}");
    }
}

#[test]
fn both_spellings_mean_the_same() {
    let snake = "remote_write:\n  - url: http://a/b\n    remote_timeout: 5s\n    queue_config: \
                 {max_samples_per_send: 7, retry_on_http_429: false}\n    write_relabel_configs: \
                 [{source_labels: [fooBar], target_label: foo_bar}]\n";
    let camel = "remoteWrite:\n  - url: http://a/b\n    remoteTimeout: 5s\n    queueConfig: \
                 {maxSamplesPerSend: 7, retryOnRateLimit: false}\n    writeRelabelConfigs: \
                 [{sourceLabels: [fooBar], targetLabel: foo_bar}]\n";
    assert_eq!(accepted(snake).text, accepted(camel).text);
}

#[test]
fn scalars_keep_their_text() {
    let config = accepted(&repository_file(
        "tests/fixtures/config/prometheus-block.good.yml",
    ));
    let labels: Vec<_> = config
        .external_labels
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        labels,
        [("on", "off"), ("shard", "007"), ("version", "1.10")]
    );
    assert!(
        config.text.contains("replacement: '1.10'"),
        "{}",
        config.text
    );
    assert!(config.text.contains("regex: '200'"), "{}", config.text);
}

#[test]
fn merge_keys_fill_what_is_not_there() {
    let config = accepted(&repository_file("tests/fixtures/config/anchors.good.yml"));
    let [first, second, third] = &config.routes[..] else {
        panic!("three routes")
    };
    assert_eq!(second.name, "second");
    assert_eq!(second.send.url, first.send.url);
    let queue = second.send.queue_config;
    assert_eq!(
        (queue.max_shards, queue.min_shards, queue.capacity),
        (9, 2, 100)
    );
    assert_eq!(third.rules, first.rules);
}

#[test]
fn variables_are_replaced_in_values_and_cannot_change_the_structure() {
    let text = "global: {external_labels: {$(SET): \"$(X): $(SET)\", b: $1 ${1} }}\n"
        .replace("$1 ${1}", "$(Y)")
        + "remote_write:\n  - url: http://$(SET)/b # $(NOT_SET)\n    \
           queue_config: {capacity: $(NUMBER)}\n    \
           write_relabel_configs: [{target_label: x, replacement: '$1 ${1} $$ $(SET'}]\n";
    let environment = |name: &str| match name {
        "X" => Some("a}, c: {d".to_owned()),
        "Y" => Some("# no comment".to_owned()),
        name => environment(name),
    };
    let config = parse("f.yml", &text, &environment).unwrap();
    let labels = [("b", "# no comment"), ("value", "a}, c: {d: value")];
    assert_eq!(
        config.external_labels,
        labels.map(|(name, value)| (name.into(), value.into()))
    );
    assert_eq!(config.routes[0].send.url.as_str(), "http://value/b");
    assert_eq!(config.routes[0].send.queue_config.capacity, 12);
    assert!(
        config.text.contains("replacement: $1 ${1} $$ $(SET"),
        "{}",
        config.text
    );
}

#[test]
fn secrets_are_not_shown() {
    let text = "remote_write:\n  - url: http://u:s3cr3t@a/b\n    headers: {X-Token: s3cr3t}\n    \
                basic_auth: {username: me, password: s3cr3t}\n  - url: http://c/d\n    \
                authorization: {credentials: s3cr3t}\n";
    let config = accepted(text);
    assert!(!config.text.contains("s3cr3t"), "{}", config.text);
    assert_eq!(
        config.text.matches("<secret>").count(),
        3,
        "{}",
        config.text
    );
    let debug = format!("{config:?}");
    assert!(!debug.contains("s3cr3t"), "{debug}");
    assert_ne!(
        config.hash,
        accepted(&text.replace("password: s3cr3t", "password: new")).hash
    );
}

#[test]
fn every_queue_heeds_what_must_stay_free_on_the_volume() {
    let config = accepted(
        "storage: {min_free_bytes: 5GiB}\nremote_write:\n  - url: http://a/b\n  \
         - url: http://a/c\n    queue: {max_bytes: 3GiB}\n",
    );
    let heeded: Vec<_> = config
        .routes
        .iter()
        .map(|route| route.queue.min_free_bytes)
        .collect();
    assert_eq!(heeded, [5 << 30, 5 << 30]);
}

#[test]
fn a_route_takes_from_queue_what_it_does_not_say() {
    let config = accepted(
        "queue: {max_bytes: 2GiB, on_full: drop_oldest, max_age: 1h}\nremote_write:\n  \
         - url: http://a/b\n  - url: http://a/c\n    queue: {max_bytes: 3GiB, max_age: 0s}\n",
    );
    let [first, second] = &config.routes[..] else {
        panic!("two routes")
    };
    assert_eq!(
        (first.queue.max_bytes, second.queue.max_bytes),
        (2 << 30, 3 << 30)
    );
    assert_eq!(first.queue.on_full, second.queue.on_full);
    assert_eq!(first.queue.max_age.map(|age| age.as_secs()), Some(3600));
    assert_eq!(second.queue.max_age, None);
}

#[test]
fn lanes_are_shards_and_64_at_the_most() {
    for (shards, lanes) in [
        ("{}", 1..=50),
        ("{max_shards: 200}", 1..=64),
        ("{max_shards: 2}", 1..=2),
        ("{min_shards: 10}", 10..=50),
        ("{min_shards: 500, max_shards: 1000}", 64..=64),
    ] {
        let text = format!("remote_write: [{{url: 'http://a/b', queue_config: {shards}}}]");
        assert_eq!(
            accepted(&text).routes[0].send.queue_config.lanes(),
            lanes,
            "{shards}"
        );
    }
}

#[test]
fn a_file_may_begin_with_the_mark_of_its_byte_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f.yml");
    fs::write(&path, "\u{feff}remote_write:\n- url: http://a/b\n").unwrap();
    assert_eq!(crate::config::load(&path).unwrap().routes.len(), 1);
}
