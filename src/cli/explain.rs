//! `promrelay explain`: why a series is, or is not, in each route.
//!
//! For people a block per series; as JSON a line per series:
//!
//! ```json
//! {"labels":{…},"routes":[{"route":"node","kept":true,"labels":{…},
//!   "steps":[{"rule":0,"action":"keep","kept":true,"labels":{…}}]}]}
//! ```
//!
//! Input is read and written line by line, so its length does not matter.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::series::{self, Labels};
use crate::config::{self, Config, LoadError};
use crate::model::{Label, LabelSet};
use crate::relabel::Rules;

/// How long a line of standard input may be, in bytes.
const LINE_BYTES: u64 = 4 * 1024 * 1024;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(
        long = "config.file",
        value_name = "FILE",
        default_value = "promrelay.yml"
    )]
    config_file: PathBuf,
    /// For people, or a line of JSON per series.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Series as `name{label="value"}`; without any they are read from standard input, a line
    /// each, so or as JSON objects of labels.
    #[arg(value_name = "SERIES")]
    series: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What becomes of one series.
#[derive(Debug, Serialize)]
struct Explanation {
    labels: Labels,
    routes: Vec<RouteOutcome>,
}

#[derive(Debug, Serialize)]
struct RouteOutcome {
    route: String,
    kept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Labels>,
    steps: Vec<StepOutcome>,
}

#[derive(Debug, Serialize)]
struct StepOutcome {
    rule: usize,
    action: &'static str,
    kept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Labels>,
    #[serde(skip)]
    summary: String,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = match config::load(&arguments.config_file) {
        Ok(config) => config,
        Err(LoadError::Problems(problems)) => {
            super::check::print_problems(&problems);
            anyhow::bail!("the configuration has mistakes");
        }
        Err(error) => return Err(error.into()),
    };
    let explainer = Explainer::new(&config);
    let mut output = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let result = if arguments.series.is_empty() {
        explainer.explain_lines(io::stdin().lock(), arguments.format, &mut output)
    } else {
        let explain = |text: &String| explainer.explain_line(text, arguments.format, &mut output);
        arguments.series.iter().try_for_each(explain)
    };
    match result.and_then(|()| Ok(output.flush()?)) {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS),
    }
}

struct Explainer {
    external_labels: Vec<(String, String)>,
    routes: Vec<(String, Rules)>,
}

impl Explainer {
    fn new(config: &Config) -> Self {
        let routes = config.routes.iter();
        Self {
            external_labels: config.external_labels.clone(),
            routes: routes
                .map(|route| (route.name.clone(), Rules::compile(&route.rules)))
                .collect(),
        }
    }

    fn explain_lines(
        &self,
        mut input: impl BufRead,
        format: Format,
        output: &mut impl Write,
    ) -> anyhow::Result<()> {
        let (mut line, mut number) = (String::new(), 0u64);
        loop {
            line.clear();
            number += 1;
            let mut bounded = io::Read::take(&mut input, LINE_BYTES);
            let read = bounded.read_line(&mut line);
            if read.with_context(|| format!("cannot read line {number}"))? == 0 {
                return Ok(());
            }
            anyhow::ensure!(
                (line.len() as u64) < LINE_BYTES,
                "line {number} is over the limit of {LINE_BYTES} bytes"
            );
            if line.trim().is_empty() {
                continue;
            }
            let explained = self.explain_line(&line, format, output);
            explained.with_context(|| format!("line {number}"))?;
        }
    }

    fn explain_line(
        &self,
        text: &str,
        format: Format,
        output: &mut impl Write,
    ) -> anyhow::Result<()> {
        let labels = series::parse(text).with_context(|| format!("no series: {}", text.trim()))?;
        let explanation = self.explain(labels);
        match format {
            Format::Json => {
                serde_json::to_writer(&mut *output, &explanation)?;
                output.write_all(b"\n")?;
            }
            Format::Text => output.write_all(explanation.text().as_bytes())?,
        }
        Ok(())
    }

    fn explain(&self, labels: Labels) -> Explanation {
        let mut set: LabelSet<'_> = labels
            .iter()
            .map(|(name, value)| Label { name, value })
            .collect();
        for (name, value) in &self.external_labels {
            if !set.contains(name) {
                set.set(name.as_str(), value.as_str());
            }
        }
        let routes = self.routes.iter();
        let routes = routes
            .map(|(name, rules)| explain_route(name, rules, &set))
            .collect();
        Explanation { labels, routes }
    }
}

fn explain_route(name: &str, rules: &Rules, set: &LabelSet<'_>) -> RouteOutcome {
    let steps = rules.explain(set.clone());
    let last = steps.last().map_or(set, |step| &step.labels);
    let kept = steps.iter().all(|step| step.kept) && !last.is_empty();
    RouteOutcome {
        route: name.to_owned(),
        kept,
        labels: kept.then(|| owned(last)),
        steps: steps
            .iter()
            .map(|step| StepOutcome {
                rule: step.rule,
                action: step.action.as_str(),
                kept: step.kept,
                labels: step.kept.then(|| owned(&step.labels)),
                summary: step.summary.clone(),
            })
            .collect(),
    }
}

impl Explanation {
    fn text(&self) -> String {
        let mut text = show(&self.labels) + "\n";
        for route in &self.routes {
            let verdict = if route.kept { "kept" } else { "dropped" };
            line(
                &mut text,
                format_args!("  route {}: {verdict}", route.route),
            );
            let mut before = &self.labels;
            for step in &route.steps {
                let outcome = if step.kept { "" } else { "  <- dropped here" };
                line(
                    &mut text,
                    format_args!("    rule {}: {}{outcome}", step.rule, step.summary),
                );
                let Some(after) = &step.labels else { continue };
                if after != before {
                    line(&mut text, format_args!("      now {}", show(after)));
                }
                before = after;
            }
            if !route.kept && route.steps.iter().all(|step| step.kept) {
                line(
                    &mut text,
                    format_args!("    no labels are left  <- dropped here"),
                );
            }
        }
        text
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("writing to a string does not fail");
}

fn owned(set: &LabelSet<'_>) -> Labels {
    set.iter()
        .map(|label| (label.name.to_owned(), label.value.to_owned()))
        .collect()
}

fn show(labels: &Labels) -> String {
    let name = labels
        .get(crate::model::METRIC_NAME)
        .map_or("", String::as_str);
    let others = labels
        .iter()
        .filter(|(name, _)| name.as_str() != crate::model::METRIC_NAME);
    let others: Vec<_> = others
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{name}{{{}}}", others.join(", "))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_kind = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .map(io::Error::kind)
            .or_else(|| {
                cause
                    .downcast_ref::<serde_json::Error>()
                    .and_then(serde_json::Error::io_error_kind)
            })
    };
    error
        .chain()
        .any(|cause| io_kind(cause) == Some(io::ErrorKind::BrokenPipe))
}
