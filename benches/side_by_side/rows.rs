//! The matrix: what is measured, with whom, and what is hoped for.

use std::sync::Arc;

use crate::measure::Load;
use crate::relay::Program;
use crate::routes::Routes;
use crate::workload::{Kind, Workload};

/// One row under a load of remote write: contenders take turns, the first is ours.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) workload: Workload,
    pub(crate) contenders: Vec<(Program, Routes)>,
    /// Samples to send in each run, roughly.
    pub(crate) samples: u64,
    /// How many times the samples per CPU-second of the second contender are hoped for.
    pub(crate) goal: f64,
}

/// A hundred requests of this size and more: a node pool's and the cluster's around it.
const ACTIVE_SERIES: u64 = 100_000;
/// So many that the fastest run takes a second or so: how a relay starts does not weigh much.
const SAMPLES: u64 = 10_000_000;
/// Each of them is in memory as a request before it is sent.
const CHURN_SAMPLES: u64 = 3_000_000;
/// Part of a run that goes before what is measured.
const WARM_UP_PART: u64 = 5;
const CONNECTIONS: usize = 8;

impl Row {
    /// What to send, and to whom each request is new if the workload does not repeat.
    pub(crate) fn load(&self) -> Load {
        let series_per_request = self.workload.series_per_request;
        let requests = (self.samples / series_per_request).max(1);
        Load {
            warm_up: requests / WARM_UP_PART,
            requests,
            series_per_request,
            bodies: Arc::new(self.workload.bodies()),
            connections: CONNECTIONS,
            rate: None,
        }
    }
}

/// All rows but those that are measured in a way of their own.
pub(crate) fn rows(vmagent: &Program) -> Vec<Row> {
    let both = |routes| vec![(Program::Promrelay, routes), (vmagent.clone(), routes)];
    let row = |name: &str, workload, routes, goal| Row {
        name: name.to_owned(),
        workload,
        contenders: both(routes),
        samples: SAMPLES,
        goal,
    };
    let workload = |kind, kept_percent, series_per_request| Workload {
        kind,
        kept_percent,
        series_per_request,
        active_series: ACTIVE_SERIES,
    };
    let mut rows = Vec::new();
    for kept in [2, 20, 100] {
        for series in [500, 2000, 10_000] {
            let name = format!("octopus-{kept}-{series}");
            let workload = workload(Kind::Octopus, kept, series);
            rows.push(row(&name, workload, Routes::Octopus, 3.5));
        }
    }
    let exposed = workload(Kind::NodeExporter, 0, 2000);
    rows.push(row("node-exporter", exposed, Routes::NodeExporter, 5.0));
    let mut chart = row(
        "chart",
        workload(Kind::Chart, 20, 2000),
        Routes::Chart,
        10.0,
    );
    let by_two = (Program::Promrelay, Routes::ChartByTwo);
    chart.contenders.push(by_two);
    rows.push(chart);
    let hot = workload(Kind::Octopus, 100, 2000);
    rows.push(row("rewriting", hot, Routes::Rewriting, 4.0));
    let mut active = row(
        "active-1m",
        workload(Kind::Octopus, 20, 10_000),
        Routes::Octopus,
        3.5,
    );
    active.workload.active_series = 1_000_000;
    rows.push(active);
    let mut churn = row(
        "churn",
        workload(Kind::Octopus, 20, 2000),
        Routes::Octopus,
        1.5,
    );
    churn.samples = CHURN_SAMPLES;
    // Never twice the same, those to warm up included.
    churn.workload.active_series = churn.samples + churn.samples / WARM_UP_PART;
    rows.push(churn);
    rows
}
