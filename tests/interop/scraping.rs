//! What promrelay scrapes is what a Prometheus beside it scrapes with the same `scrape_configs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::exposition::Exposition;
use crate::peers::{Peer, installed};
use crate::process::{eventually, settles};
use crate::recorder::Recorder;
use crate::routes::EVERYTHING;
use crate::samples::{STALE, Samples};

const PATHS: [&str; 2] = ["/direct", "/scraped"];
const NEGATIVE_ZERO: u64 = 1 << 63;
const ONLY_WINDOWS: &str = "{source_labels: [__name__], regex: 'windows_.*', action: keep}";

/// Jobs with what changes labels on the way: relabelling of both kinds, labels that collide.
fn jobs(windows: &Exposition, directory: &Path) -> String {
    let list = directory.join("*.yml");
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n\
         {jobs}  - job_name: listed\n    metrics_path: /odd\n    honor_labels: true\n    \
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
        let constant = series.contains("odd_") || series.contains("__name__=\"up\"");
        // Prometheus 2 writes no value at all for -0, which is read as 0.
        let plain = |bits: u64| if bits == NEGATIVE_ZERO { 0 } else { bits };
        let values: BTreeSet<_> = samples.iter().map(|(_, bits)| plain(*bits)).collect();
        let values = if constant {
            format!("{values:x?}")
        } else {
            String::new()
        };
        format!("{series} {ended} {values}")
    };
    samples.0.iter().map(line).collect()
}

fn differences(recorder: &Recorder) -> String {
    let [direct, scraped] = PATHS.map(|path| summary(&recorder.samples(path)));
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

#[tokio::test(flavor = "multi_thread")]
async fn the_same_targets_give_the_same_series() {
    if !installed() {
        return;
    }
    let recorder = Recorder::start().await;
    let windows = Exposition::start().await;
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    write_list(directory.path(), &windows.address, &["a", "b", "none"]);
    let jobs = jobs(&windows, directory.path());
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
