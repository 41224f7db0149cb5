//! What promrelay scrapes is what a Prometheus beside it scrapes with the same `scrape_configs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use regex::Regex;

use crate::exposition::Exposition;
use crate::peers::{Peer, installed};
use crate::process::{eventually, settles};
use crate::recorder::Recorder;
use crate::routes::EVERYTHING;
use crate::samples::{STALE, Samples};

const PATHS: [&str; 2] = ["/direct", "/scraped"];
const NEGATIVE_ZERO: u64 = 1 << 63;
/// Parts of series whose values do not change, and of those whose values do all the same.
const CONSTANT: [&str; 5] = [
    "odd_",
    "__name__=\"up\"",
    "__name__=\"scrape_s",
    "job=\"proxied-16\"",
    "job=\"proxied-31\"",
];
const CHANGING: [&str; 2] = ["scrape_duration_seconds", "job=\"changing-"];
/// What can be interrupted.
const ONLY_WINDOWS: &str =
    "{source_labels: [job, __name__], regex: 'node-exporter;windows_.*', action: keep}";

/// Real programs: `windows_exporter`s behind `promrelay proxy`, `node_exporter`, Prometheus.
struct Programs {
    proxy: Peer,
    node_exporter: Peer,
    prometheus: Peer,
}

impl Programs {
    async fn start(windows: &Exposition) -> Self {
        let (host, port) = windows.address.split_once(':').expect("an address");
        let upstream = [
            format!("--upstream.host={host}"),
            format!("--upstream.port={port}"),
        ];
        Self {
            proxy: Peer::promrelay_command("proxy", &upstream).await,
            node_exporter: Peer::node_exporter().await,
            prometheus: Peer::prometheus("").await,
        }
    }

    /// Of the values of `changing` jobs nothing can be said.
    fn jobs(&self) -> String {
        let [proxy, node, prometheus] = [&self.proxy, &self.node_exporter, &self.prometheus]
            .map(|peer| format!("static_configs: [{{targets: ['{}']}}]", peer.address));
        format!(
            "  - job_name: proxied-16\n    {proxy}\n    \
             metric_relabel_configs:\n      \
             - {{source_labels: [volume], regex: 'C:', target_label: disk, replacement: c}}\n  \
             - job_name: proxied-31\n    {proxy}\n    params: {{version: ['0.31']}}\n  \
             - job_name: changing-node\n    {node}\n  \
             - job_name: changing-prometheus\n    {prometheus}\n"
        )
    }
}

/// Jobs with what changes labels on the way: relabelling of both kinds, labels that collide.
fn jobs(windows: &Exposition, programs: &Programs, directory: &Path) -> String {
    let list = directory.join("*.yml");
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n\
         {jobs}{programs}  - job_name: listed\n    metrics_path: /odd\n    honor_labels: true\n    \
         params: {{from: [test]}}\n    \
         file_sd_configs: [{{files: ['{}'], refresh_interval: 1s}}]\n    \
         relabel_configs:\n      \
         - {{source_labels: [__meta_filepath], regex: '.*/(.*)', target_label: file}}\n      \
         - {{source_labels: [zone], regex: none, action: drop}}\n    \
         metric_relabel_configs:\n      \
         - {{source_labels: [is], regex: nan, action: drop}}\n      \
         - {{regex: A, action: labeldrop}}\n",
        list.display(),
        jobs = windows.jobs(),
        programs = programs.jobs(),
    )
}

fn write_list(directory: &Path, address: &str, zones: &[&str]) {
    let groups: Vec<_> = zones
        .iter()
        .map(|zone| format!("- {{targets: ['{address}'], labels: {{zone: {zone}, is: z}}}}\n"))
        .collect();
    let new = directory.join("list.new");
    fs::write(&new, groups.concat()).expect("a file can be written");
    fs::rename(new, directory.join("list.yml")).expect("a file can be renamed");
}

fn of_zone(recorder: &Recorder, path: &str, zone: &str) -> Samples {
    recorder.samples_with(path, &[("zone", zone)])
}

/// For each series whether it ended and, if its values do not change, which it had.
fn summary(samples: &Samples) -> BTreeSet<String> {
    let line = |(series, samples): (&String, &BTreeSet<(i64, u64)>)| {
        let ended = samples.iter().any(|(_, bits)| *bits == STALE);
        let constant = CONSTANT.iter().any(|part| series.contains(part));
        let changing = CHANGING.iter().any(|part| series.contains(part));
        // Prometheus 2 writes no value at all for -0, which is read as 0.
        let plain = |bits: u64| if bits == NEGATIVE_ZERO { 0 } else { bits };
        let values: BTreeSet<_> = samples.iter().map(|(_, bits)| plain(*bits)).collect();
        let values = if constant && !changing {
            format!("{values:x?}")
        } else {
            String::new()
        };
        format!("{series} {ended} {values}")
    };
    samples.0.iter().map(line).collect()
}

/// Bounds of buckets as Prometheus 3 spells them, and promrelay: `le="1.0"` whatever the format.
fn with_new_bounds(samples: Samples) -> Samples {
    let whole = Regex::new(r#"\b(le|quantile)="(\d+)""#).expect("a valid regex");
    let spell = |series: &str| whole.replace_all(series, "$1=\"$2.0\"").into_owned();
    let samples = samples.0.into_iter();
    Samples(
        samples
            .map(|(series, samples)| (spell(&series), samples))
            .collect(),
    )
}

fn differences(recorder: &Recorder) -> String {
    let direct = summary(&with_new_bounds(recorder.samples(PATHS[0])));
    let scraped = summary(&recorder.samples(PATHS[1]));
    let lacking = direct
        .difference(&scraped)
        .map(|line| format!("- {line}\n"));
    let too_much = scraped
        .difference(&direct)
        .map(|line| format!("+ {line}\n"));
    lacking.chain(too_much).take(20).collect()
}

async fn wait_on_both(what: &str, mut condition: impl FnMut(&str) -> bool) {
    eventually(what, Duration::from_mins(1), async || {
        PATHS.iter().all(|path| condition(path)).then_some(())
    })
    .await;
}

/// Kills the proxy until both have told the ends of all that is behind it, and brings it back.
async fn die_and_return(proxy: &mut Peer, recorder: &Recorder) {
    let proxied = |path: &str, job: &str| recorder.samples_with(path, &[("job", job)]);
    let last_of_up = |path: &str, job: &str| {
        let up = recorder.samples_with(path, &[("__name__", "up"), ("job", job)]);
        let last = up.0.values().next().and_then(|samples| samples.last());
        last.map(|(_, bits)| f64::from_bits(*bits))
    };
    let jobs = ["proxied-16", "proxied-31"];
    proxy.kill();
    wait_on_both("what is behind the proxy ends", |path| {
        let is_over = |job: &&str| {
            let samples = proxied(path, job);
            let ended =
                |samples: &BTreeSet<(i64, u64)>| samples.iter().any(|(_, bits)| *bits == STALE);
            let own = |series: &str| ["\"up\"", "\"scrape_"].iter().any(|n| series.contains(n));
            let mut series = samples.0.iter();
            series.all(|(series, samples)| own(series) || ended(samples))
                && last_of_up(path, job) == Some(0.0)
        };
        jobs.iter().all(is_over)
    })
    .await;
    proxy.start_again();
    wait_on_both("what is behind the proxy is back", |path| {
        jobs.iter().all(|job| last_of_up(path, job) == Some(1.0))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_targets_give_the_same_series() {
    if !installed() {
        return;
    }
    let recorder = Recorder::start().await;
    let windows = Exposition::start().await;
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    write_list(directory.path(), &windows.address, &["a", "b", "none"]);
    let mut programs = Programs::start(&windows).await;
    let jobs = jobs(&windows, &programs, directory.path());
    let routes = |path: &str| {
        "remote_write:\n".to_owned()
            + &EVERYTHING.entry("all", &recorder.url(path), &[])
            + &EVERYTHING.entry(
                "windows",
                &recorder.url(&format!("{path}/windows")),
                &[ONLY_WINDOWS],
            )
    };
    let prometheus = Peer::prometheus(&(jobs.clone() + &routes("/direct"))).await;
    let relay = Peer::promrelay(&(jobs + &routes("/scraped"))).await;

    wait_on_both("scrapes arrive", |path| {
        recorder.samples(path).span_ms() >= 5000
    })
    .await;
    for path in PATHS {
        let direct = format!("{path}/windows");
        windows.interrupt(&recorder, &direct).await;
    }
    die_and_return(&mut programs.proxy, &recorder).await;
    // Zone b goes, c comes, and b comes back.
    write_list(directory.path(), &windows.address, &["a", "c"]);
    wait_on_both("zone b ends and c comes", |path| {
        let b = of_zone(&recorder, path, "b");
        let ended = |samples: &BTreeSet<(i64, u64)>| samples.iter().any(|s| s.1 == STALE);
        b.0.values().all(ended) && of_zone(&recorder, path, "c").count() > 0
    })
    .await;
    write_list(directory.path(), &windows.address, &["a", "b", "c"]);
    wait_on_both("zone b is back", |path| {
        let b = of_zone(&recorder, path, "b");
        b.0.values()
            .all(|samples| samples.last().is_some_and(|s| s.1 != STALE))
    })
    .await;
    settles("scraped by both", async || differences(&recorder)).await;

    let series = recorder.samples("/scraped").series();
    assert!(series > 500, "only {series} series");
    assert_eq!(of_zone(&recorder, "/scraped", "none").series(), 0);
    assert!(prometheus.stop().await.success());
    assert!(relay.stop().await.success());
    recorder.assert_orderly();
}
