//! Files with mistakes: what is said of each, and where.

use std::fs;

use super::{environment, files, lines, pasted, problems, read, repository_file};
use crate::config::parse;

#[test]
fn every_problem_of_a_bad_file_is_told() {
    let mut wrong = String::new();
    for path in files("tests/fixtures/config", ".bad.yml") {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let told = match parse(&name, &text, &environment) {
            Ok(_) => "nothing\n".to_owned(),
            Err(problems) => lines(&problems),
        };
        let expected = path.with_extension("expected");
        if std::env::var_os("PROMRELAY_BLESS").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != told {
            wrong.push_str(&told);
        }
    }
    assert!(
        wrong.is_empty(),
        "not as expected; read it, then bless it:\n{wrong}"
    );
}

/// Prometheus' own bad files that concern remote write: each is refused with a message of the same
/// meaning, at its place.
#[test]
fn what_prometheus_refuses_is_refused() {
    let expected = [
        (
            "remote_write_header",
            "5:44: x-prometheus-remote-write-version is a reserved header",
        ),
        (
            "remote_write_authorization_header",
            "5:24: `authorization` is set by `basic_auth` or",
        ),
        (
            "remote_write_wrong_msg",
            "3:23: unknown type for remote write protobuf message io.",
        ),
        (
            "remote_write_url_missing",
            "2:5: url for remote_write is empty",
        ),
        (
            "remote_write_dup",
            "5:11: duplicate route: another one has the name `queue1`",
        ),
        (
            "remote_write_queue_max_samples_per_send_zero",
            "4:29: must be positive",
        ),
        (
            "remote_write_queue_max_shards_zero",
            "4:19: must be positive",
        ),
        (
            "remote_write_queue_min_shards_zero",
            "4:19: must be positive",
        ),
        ("remote_write_queue_capacity_zero", "4:17: must be positive"),
        (
            "remote_write_queue_min_shards_greater_than_max",
            "4:19: `min_shards` (100) must not be",
        ),
        (
            "remote_write_queue_max_backoff_less_than_min",
            "5:20: `max_backoff` (1s) must not be",
        ),
        ("empty_rw_config", "2:4: empty or null"),
        ("empty_rw_relabel_config", "4:8: empty or null"),
    ];
    let vectors = repository_file("tests/fixtures/relabel_vectors.json");
    let vectors: serde_json::Value = serde_json::from_str(&vectors).unwrap();
    let mut seen = 0;
    for case in vectors["bad_configs"].as_array().unwrap() {
        if case["mentions_remote_write"] != true {
            continue;
        }
        let file = case["file"].as_str().unwrap().trim_end_matches(".bad.yml");
        let said = problems(case["yaml"].as_str().unwrap());
        let Some((_, message)) = expected.iter().find(|(name, _)| *name == file) else {
            panic!("no expectation for {file}, which says\n{said}");
        };
        assert!(
            said.contains(&format!("f.yml:{message}")),
            "{file} says\n{said}"
        );
        seen += 1;
    }
    assert_eq!(seen, expected.len());
}

/// What Prometheus refuses in scraping rules it refuses in write rules too, word by word.
#[test]
fn bad_rules_are_refused_in_prometheus_words() {
    let vectors = repository_file("tests/fixtures/relabel_vectors.json");
    let vectors: serde_json::Value = serde_json::from_str(&vectors).unwrap();
    let mut seen = 0;
    for case in vectors["bad_configs"].as_array().unwrap() {
        let yaml = case["yaml"].as_str().unwrap();
        let Some((_, rules)) = yaml.split_once("    relabel_configs:\n") else {
            continue;
        };
        let message = case["error_contains"].as_str().unwrap();
        let skipped = ["!!binary", "null Alert", "target relabeling"];
        if skipped.iter().any(|skipped| message.contains(skipped)) || !yaml.starts_with("scrape") {
            continue;
        }
        let head = "remote_write:\n  - url: http://a/b\n    write_relabel_configs:\n";
        let said = problems(&format!("{head}{rules}"));
        assert!(said.contains(message), "{message}\nis not in\n{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn a_mistake_hides_no_other() {
    let list = pasted("tests/fixtures/sumologic-chart-2.2-values.yaml");
    let broken = list.replace("remoteTimeout: 5s", "remoteTimeout: 5");
    assert_eq!(problems(&broken).lines().count(), 31);
}

#[test]
fn problems_tell_no_secrets() {
    let text = "remote_write:
  - url: http://u:s3cr3t@
    basic_auth: s3cr3t
  - url: http://u:s3cr3t@a/b
    headers: {X-Token: \"s3cr3t\\n\"}
    authorization: {credentials: [s3cr3t], credentials_file: {a: s3cr3t}}
  - url: http://u:s3cr3t@a/b
    authorization: {type: basic, credentials: s3cr3t}
";
    let told = problems(text);
    assert!(told.lines().count() >= 5, "{told}");
    assert!(!told.contains("s3cr3t"), "{told}");
}

#[test]
fn line_breaks_of_all_kinds_give_the_same_places() {
    let text = "remote_write:\n  - url: http://a/b\n    nmae: x\n";
    assert_eq!(problems(text), problems(&text.replace('\n', "\r\n")));
    assert_eq!(
        problems(text),
        "f.yml:3:5: unknown key `nmae`, did you mean `name`?\n"
    );
    assert!(read(&text.replace("nmae", "name")).is_ok());
}

/// In YAML 1.1 it is another number, and whoever writes it means this one.
#[test]
fn a_number_that_begins_with_a_zero_is_refused() {
    let file = |samples: &str| {
        format!(
            "remote_write:\n- url: http://a/b\n  \
             queue_config: {{max_samples_per_send: {samples}}}\n"
        )
    };
    let said = problems(&file("010"));
    assert!(said.contains("a whole number, 0 or more"), "{said}");
    assert!(read(&file("10")).is_ok());
}
