//! What `promrelay queue` answers, as text.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::model::METRIC_NAME;
use crate::store::Command;

/// A JSON object per line.
pub(super) fn json_lines(answer: &Value) -> String {
    match answer.get("series").unwrap_or(answer) {
        Value::Array(lines) => lines.iter().fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").expect("a String takes everything");
            text
        }),
        line => format!("{line}\n"),
    }
}

/// The same for people.
pub(super) fn for_people(command: &Command, answer: &Value) -> String {
    let number = |key: &str| answer[key].as_u64().unwrap_or_default();
    let (batches, samples) = (number("batches"), number("samples"));
    let unreadable = match number("unreadable") {
        0 => String::new(),
        unreadable => format!("{unreadable} parked batches cannot be read and stay; see the log\n"),
    };
    match command {
        Command::List {} => list(answer),
        Command::Show { .. } => show(answer),
        Command::Replay { route, .. } => {
            format!(
                "{batches} parked batches, {samples} samples, are back in the queue of {route}\n\
                 {unreadable}"
            )
        }
        Command::Purge { route, .. } => {
            format!("{batches} batches, {samples} samples, of {route} are gone\n")
        }
        Command::Move { from, to } => format!(
            "{batches} batches, {samples} samples, and {} parked batches, {} samples, of {from} \
             are {to}'s\n{unreadable}",
            number("parkedBatches"),
            number("parkedSamples"),
        ),
    }
}

const HEADINGS: [&str; 11] = [
    "ROUTE", "STATE", "SAMPLES", "RECORDS", "DISK", "OF", "OLDEST", "PARKED", "BATCHES", "DISK",
    "OLDEST",
];

fn list(answer: &Value) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    let queues = || answer.as_array().into_iter().flatten();
    // A relay that runs has a route at least; without one nobody knows which queues have a route.
    let is_running = queues().any(|queue| queue["running"] == true);
    for queue in queues() {
        let number = |key: &str| {
            queue[key]
                .as_u64()
                .map_or_else(|| "-".to_owned(), |n| n.to_string())
        };
        let age = |key: &str| queue[key].as_i64().map_or_else(|| "-".to_owned(), age);
        let size = |key: &str| queue[key].as_u64().map_or_else(|| "-".to_owned(), size);
        let state = match (&queue["failed"], &queue["running"]) {
            _ if queue["error"].is_string() => "unreadable",
            (Value::String(_), _) => "failed",
            _ if queue["diskFull"] == true => "no space",
            _ if queue["suspendedBy"].is_u64() => "suspended",
            (_, Value::Bool(true)) => "running",
            _ if is_running => "no route",
            _ => "stopped",
        };
        rows.push([
            queue["route"].as_str().unwrap_or_default().to_owned(),
            state.to_owned(),
            number("queuedSamples"),
            number("queuedRecords"),
            size("diskBytes"),
            size("maxBytes"),
            age("oldestMs"),
            number("parkedSamples"),
            number("parkedBatches"),
            size("parkedBytes"),
            age("parkedOldestMs"),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let written = match column {
                0 | 1 => write!(text, "{cell:width$}  "),
                _ => write!(text, "{cell:>width$}  "),
            };
            written.expect("a String takes everything");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    for queue in queues() {
        let route = queue["route"].as_str().unwrap_or_default();
        if let Some(trouble) = trouble(queue) {
            writeln!(text, "# {route}: {trouble}").expect("a String takes everything");
        }
    }
    if rows.len() == 1 {
        text.push_str("# there is no queue\n");
    }
    text
}

/// What an operator should know of a queue, in words.
fn trouble(queue: &Value) -> Option<String> {
    if let Some(error) = queue["error"].as_str() {
        return Some(error.to_owned());
    }
    if let Some(reason) = queue["failed"].as_str() {
        return Some(format!(
            "takes nothing more until a restart, and delivers what it has: {reason}"
        ));
    }
    if queue["diskFull"] == true {
        let waits = "waits for space on the disk, which is full or below `storage.min_free_bytes`; \
                     goes on by itself, and delivers what it has meanwhile";
        return Some(waits.to_owned());
    }
    let refuses = match queue["suspendedBy"].as_u64()? {
        0 => "does not say of remote write 2.0 what it wrote".to_owned(),
        code => format!("answers every batch with {code}"),
    };
    Some(format!(
        "the receiver {refuses}; the data stays in the queue, and is tried \
         again at least every `max_suspension` and at a reload that changes the route"
    ))
}

/// A line per sample, in the exposition format; before parked ones, what the receiver said.
fn show(answer: &Value) -> String {
    let mut text = String::new();
    let mut said = String::new();
    for series in answer["series"].as_array().into_iter().flatten() {
        if let (Some(status), Some(words)) = (series["status"].as_u64(), series["words"].as_str()) {
            let parked = age(series["parkedMs"].as_i64().unwrap_or_default());
            let heading = format!("# refused with {status}, {parked} ago: {words:?}\n");
            if heading != said {
                text.push_str(&heading);
                said = heading;
            }
        }
        if let (Some(file), Some(why)) = (series["unreadable"].as_str(), series["error"].as_str()) {
            writeln!(text, "# cannot read {file}: {why}").expect("a String takes everything");
            continue;
        }
        let name = name(&series["labels"]);
        for sample in series["samples"].as_array().into_iter().flatten() {
            let value = sample[1]
                .as_str()
                .map_or(sample[1].to_string(), str::to_owned);
            let written = writeln!(text, "{name} {value} {}", sample[0]);
            written.expect("a String takes everything");
        }
        let histograms = series["histograms"].as_u64().unwrap_or_default();
        if histograms > 0 {
            let written = writeln!(text, "# {name} has {histograms} histograms");
            written.expect("a String takes everything");
        }
    }
    if text.is_empty() {
        text.push_str("# nothing\n");
    }
    if answer["more"] == true {
        text.push_str("# and more; `--limit` says how many are shown, up to some megabytes\n");
    }
    text
}

fn name(labels: &Value) -> String {
    let labels = labels.as_object().into_iter().flatten();
    let (name, labels): (Vec<_>, Vec<_>) = labels.partition(|(name, _)| *name == METRIC_NAME);
    let name = name.first().and_then(|(_, name)| name.as_str());
    let labels: Vec<_> = labels
        .into_iter()
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    format!("{}{{{}}}", name.unwrap_or_default(), labels.join(","))
}

/// How long ago a time was, to the second.
fn age(since_ms: i64) -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let since = Duration::from_millis(u64::try_from(since_ms).unwrap_or_default());
    let age_s = now.saturating_sub(since).as_secs();
    crate::settings::Duration::from_millis(age_s * 1000).to_string()
}

/// A size for people, to a tenth of its unit.
fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes}B");
    };
    let tenths = (u128::from(bytes) * 10) >> shift;
    format!("{}.{}{unit}", tenths / 10, tenths % 10)
}
