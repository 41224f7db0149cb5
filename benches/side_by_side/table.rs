//! The result as a table in Markdown, with what it was measured on.

use crate::measure::{Found, median};
use crate::process::{date, machine};
use crate::relay::Program;

const MIB: f64 = 1024.0 * 1024.0;

/// The date, the machine, the programs, and the table's head.
pub(crate) fn head(programs: &[&Program]) {
    println!("{}; {}", date(), machine());
    for program in programs {
        let version = program.version();
        let version = version.as_deref().unwrap_or("not installed");
        println!("- {}: {version}", program.name());
    }
    println!();
    println!(
        "| row | relay | M samples per CPU-second | ours: times its | least, most | goal \
         | peak RSS MiB | its: times ours | p50 ms | p99 ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
}

/// One row's contenders, the first of which the others are compared with.
pub(crate) fn row(name: &str, goal: f64, contenders: &[(String, Vec<Found>)]) {
    let Some((_, ours)) = contenders.first() else {
        return;
    };
    for (index, (relay, turns)) in contenders.iter().enumerate() {
        let middle = |value: fn(&Found) -> f64| median(turns.iter().map(value));
        let ratios = |value: fn(&Found) -> f64| {
            let pairs = ours.iter().zip(turns);
            pairs
                .map(|(ours, theirs)| value(ours) / value(theirs))
                .collect::<Vec<_>>()
        };
        let speed = ratios(Found::samples_per_cpu_s);
        let least = speed.iter().copied().fold(f64::INFINITY, f64::min);
        let most = speed.iter().copied().fold(0.0, f64::max);
        let rss = median(ratios(rss_mib).into_iter().map(|ratio| 1.0 / ratio));
        let compared = if index == 0 {
            "| | ".to_owned()
        } else {
            format!(
                "| {:.2} | {least:.2}, {most:.2} ",
                median(speed.into_iter())
            )
        };
        let goal = if index == 1 && goal.is_finite() {
            format!("{goal}")
        } else {
            String::new()
        };
        let times = if index == 0 {
            String::new()
        } else {
            format!("{rss:.1}")
        };
        println!(
            "| {name} | {relay} | {:.2} {compared}| {goal} | {:.0} | {times} | {:.2} | {:.2} |",
            middle(Found::samples_per_cpu_s) / 1e6,
            middle(rss_mib),
            middle(|found| found.p50.as_secs_f64() * 1e3),
            middle(|found| found.p99.as_secs_f64() * 1e3),
        );
        let refused: u64 = turns.iter().map(|found| found.refused).sum();
        if refused > 0 {
            println!("  {relay} refused {refused} requests, which were sent again");
        }
        for found in turns
            .iter()
            .filter(|found| found.delivered != found.expected)
        {
            let (delivered, expected) = (found.delivered, found.expected);
            println!("  {relay} delivered {delivered} samples, not {expected}");
        }
    }
}

fn rss_mib(found: &Found) -> f64 {
    found.peak_rss_bytes as f64 / MIB
}
