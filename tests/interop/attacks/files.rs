//! Configurations that would take for ever, or all memory: refused with a place and a reason, or
//! taken, soon and within bounds, by `check`, by `run`, and by a relay that reads them again.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use promrelay::remote_write::generated::prometheus::{Label, Sample, TimeSeries};
use tempfile::TempDir;
use tokio::time::Instant;

use super::Arena;
use crate::neighbour::compress;
use crate::peers::promrelay;
use crate::process::eventually;

/// What a command may take of the memory, in KiB: as address space, so that it dies over it.
const ADDRESS_SPACE_KIB: usize = 1536 << 10;
/// What a relay may take of the memory at the most, in MiB.
const PEAK_MIB: u64 = 1024;
/// How long one file may take, on a machine that does other things as well.
const TIME: Duration = Duration::from_secs(20);

const ROUTE: &str = "remote_write:\n  - name: a\n    url: http://127.0.0.1:9/a\n";
/// As long as a file may be, about.
const LONG: usize = 4_000_000;

/// A file, and what has to be said of it.
struct Hostile {
    name: &'static str,
    text: String,
    message: &'static str,
}

fn hostile(name: &'static str, text: String, message: &'static str) -> Hostile {
    Hostile {
        name,
        text,
        message,
    }
}

fn rules(count: usize, regex: &str) -> String {
    let rule = |number| {
        format!("      - {{action: drop, source_labels: [job], regex: '{regex}{number}'}}\n")
    };
    let rules: String = (0..count).map(rule).collect();
    format!("{ROUTE}    write_relabel_configs:\n{rules}")
}

fn regex(regex: &str) -> String {
    rules(1, regex)
}

/// Files of 100 MB, and shorter ones that are worse than they look.
fn files() -> Vec<Hostile> {
    let filled = |piece: &str| piece.repeat(LONG / piece.len());
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        bomb += format!("a{level}: &a{level} [{below}]\n").as_str();
    }
    let text = "x".repeat(1 << 20);
    let key = |number| format!("k{number}: x\n");
    let keys: String = (0..40_000).map(key).collect();
    let too_long = ":1:1: the file is longer than 4 MiB";
    let nests = "nest more than 128 deep";
    vec![
        hostile("100 MB of rules", rules(1_500_000, "a"), too_long),
        hostile(
            "a text of 100 MB",
            format!("{ROUTE}    headers: {{a: '{}'}}\n", "x".repeat(100_000_000)),
            too_long,
        ),
        hostile(
            "documents",
            filled("---\n"),
            ":2:1: a second YAML document begins",
        ),
        hostile("lists in lists", filled("["), nests),
        hostile("mappings in mappings", filled("{a: "), nests),
        hostile("entries in entries", filled("- "), nests),
        hostile("keys in keys", filled("? "), nests),
        hostile("aliases of aliases", bomb, "repetition limit exceeded"),
        hostile(
            "aliases of a long text",
            format!("a: &a '{text}'\nb: [{}]\n", "*a, ".repeat(400_000)),
            "the file holds more than 16 MiB of text",
        ),
        hostile(
            "values",
            format!("remote_write: [{}]\n", filled("a,")),
            "the file holds more than 500000 values",
        ),
        hostile("unknown keys", keys, ":1:1: unknown key `k0`"),
        hostile(
            "routes of one name",
            format!(
                "remote_write:\n{}",
                "  - {url: 'http://127.0.0.1:9/a', name: a}\n".repeat(20_000)
            ),
            "duplicate route",
        ),
    ]
}

/// Regexes that are much larger than they look, and too many of them.
fn regexes() -> Vec<Hostile> {
    let words: Vec<_> = (0..20_000)
        .map(|number| format!("w{number}.+x.+"))
        .collect();
    vec![
        hostile(
            "a repetition of a repetition",
            regex("(a{1000}){1000}"),
            ":5:53: error parsing regexp: invalid repeat count: `{1000}`",
        ),
        hostile(
            "Unicode classes again and again",
            regex("\\pL{1000}"),
            "expression too large",
        ),
        hostile(
            "Unicode classes",
            regex(&"[a-z\\pL]".repeat(200_000)),
            "expression too large",
        ),
        hostile(
            "alternatives",
            regex(&words.join("|")),
            "expression too large",
        ),
        hostile(
            "a long text",
            regex(&"a".repeat(3_000_000)),
            "expression too large",
        ),
        hostile(
            "stars",
            regex(&"a*".repeat(1_000_000)),
            "expression too large",
        ),
        hostile(
            "optionals",
            regex(&format!("{}a{{1000}}", "(a?){1000}".repeat(100))),
            "expression too large",
        ),
        hostile(
            "groups in groups",
            regex(&format!("{}{}", "(".repeat(100_000), ")".repeat(100_000))),
            "expression nests too deeply",
        ),
        hostile(
            "regexes that are fine one by one",
            rules(20_000, "[^a]{1000}"),
            "the regexes of the file up to this one take more than 128 MiB",
        ),
    ]
}

/// Runs a command of promrelay's within bounds; says how it ended and what it printed.
fn command(directory: &Path, arguments: &str) -> (Option<i32>, String) {
    let script = format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$0\" {arguments}");
    let program = fs::canonicalize(promrelay()).expect("the program exists");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(program)
        .current_dir(directory)
        .output()
        .expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// `check` and `run` refuse each soon, with the file's name, a place and this message.
#[expect(
    clippy::print_stderr,
    reason = "the numbers are what the test is about"
)]
fn are_refused(all: Vec<Hostile>) {
    let directory = TempDir::new().expect("a temporary directory");
    for Hostile {
        name,
        text,
        message,
    } in all
    {
        let file = directory.path().join("config.yml");
        fs::write(file, text).expect("a file is written");
        let run = "run --config.file=config.yml --web.listen-address=127.0.0.1:0";
        for arguments in ["check config.yml", run] {
            let start = Instant::now();
            let (code, said) = command(directory.path(), arguments);
            let took = start.elapsed();
            let shown: String = said.chars().take(500).collect();
            assert_eq!(code, Some(1), "{name}: {shown}");
            let told = said.lines().any(|line| {
                line.contains("config.yml:") && line.contains(message) && line.len() < 1000
            });
            assert!(told, "{name}: {shown}");
            assert!(took < TIME, "{name}: {took:?}");
            eprintln!("{name}: {took:?}");
        }
    }
}

#[test]
fn files_without_end() {
    are_refused(files());
}

#[test]
fn regexes_that_explode() {
    are_refused(regexes());
}

impl Arena {
    async fn reloads(&self, config: &str, success: f64) {
        self.relay.reconfigure(config);
        eventually("it has reloaded", TIME, async || {
            let name = "promrelay_config_last_reload_successful";
            ((self.metric(name, "").await - success).abs() < 0.5).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_of_hostile_files() {
    let arena = Arena::start("", &[]).await;
    let file = arena.relay.directory().join("config.yml");
    let good = fs::read_to_string(file).expect("the configuration is there");
    for hostile in files().into_iter().chain(regexes()) {
        arena.reloads(&hostile.text, 0.0).await;
        let said = arena.relay.output();
        assert!(said.contains(hostile.message), "{}", hostile.name);
        // The next one fails as well, and is told apart by that.
        arena.reloads(&good, 1.0).await;
    }
    let peak = arena.peak_mib();
    assert!(peak < PEAK_MIB, "{peak} MiB");
    arena.end("reloads of hostile files").await;
}

/// Texts on which a regex that steps back would try all ways to take them apart.
fn long_values() -> Vec<u8> {
    let series = |number: usize| TimeSeries {
        labels: vec![
            Label {
                name: "__name__".into(),
                value: format!("m{number}"),
            },
            Label {
                name: "job".into(),
                value: "x".repeat(60_000 + number),
            },
        ],
        samples: vec![Sample::default()],
        ..TimeSeries::default()
    };
    compress((0..100).map(series).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn regexes_that_step_back_elsewhere() {
    let arena = Arena::start("", &[]).await;
    let file = arena.relay.directory().join("config.yml");
    let good = fs::read_to_string(file).expect("the configuration is there");
    let rules = "    write_relabel_configs:\n      - {action: drop, source_labels: [job], regex: \
                 '(x+x+)+y'}\n      - {action: replace, source_labels: [job], regex: \
                 '(.*)(.*)(.*)(.*)y', target_label: a}\n      - {action: drop, source_labels: \
                 [job], regex: '(x?){1000}x{1000}'}\n";
    let entry = good.split("    write_relabel_configs").next();
    let config = format!("{}{rules}", entry.expect("a beginning"));
    arena.reloads(&config, 1.0).await;
    let start = Instant::now();
    let posts = (0..4).map(|_| arena.post(long_values()));
    let statuses: Vec<u16> = stream::iter(posts).buffer_unordered(2).collect().await;
    assert_eq!(statuses, [204; 4]);
    // 24 MB of text, three times.
    let took = start.elapsed();
    assert!(took < TIME, "{took:?}");
    let peak = arena.peak_mib();
    assert!(peak < PEAK_MIB, "{peak} MiB");
    arena.end("regexes that step back elsewhere").await;
}
