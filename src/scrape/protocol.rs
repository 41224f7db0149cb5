//! The formats that a target is asked for, in the words of `scrape_protocols`.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::exposition::Format;

/// A format that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Protocol {
    /// Delimited protobuf messages, the one format with native histograms.
    PrometheusProto,
    /// Prometheus' text format without UTF-8 names.
    #[serde(rename = "PrometheusText0.0.4")]
    PrometheusText004,
    /// Prometheus' text format with UTF-8 names.
    #[serde(rename = "PrometheusText1.0.0")]
    PrometheusText100,
    /// OpenMetrics, first draft.
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetricsText001,
    /// OpenMetrics 1.0.
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetricsText100,
}

/// How a target writes names that are not in the old alphabet, if it is asked for a format that
/// has UTF-8 names (`metric_name_escaping_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Escaping {
    /// As they are.
    #[default]
    #[serde(rename = "allow-utf-8")]
    AllowUtf8,
    /// `_` for each character.
    Underscores,
    /// `_dot_` for a dot, `__` for an underscore.
    Dots,
    /// Code points in hexadecimal, so that the name can be had back.
    Values,
}

impl Protocol {
    /// What is asked for where nothing is said.
    pub(super) const DEFAULT: [Self; 4] = [
        Self::OpenMetricsText100,
        Self::OpenMetricsText001,
        Self::PrometheusText100,
        Self::PrometheusText004,
    ];
    /// The same where native histograms are wanted, which only protobuf has.
    pub(super) const DEFAULT_NATIVE: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText100,
        Self::OpenMetricsText001,
        Self::PrometheusText100,
        Self::PrometheusText004,
    ];

    /// The format of a body in this protocol.
    pub(super) fn format(self) -> Format {
        match self {
            Self::PrometheusProto => Format::Protobuf,
            Self::PrometheusText004 | Self::PrometheusText100 => Format::Text,
            Self::OpenMetricsText001 | Self::OpenMetricsText100 => Format::OpenMetrics,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;\
                 proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText004 => "text/plain;version=0.0.4",
            Self::PrometheusText100 => "text/plain;version=1.0.0",
            Self::OpenMetricsText001 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText100 => "application/openmetrics-text;version=1.0.0",
        }
    }

    fn has_utf8_names(self) -> bool {
        matches!(self, Self::PrometheusText100 | Self::OpenMetricsText100)
    }
}

impl Escaping {
    fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

/// The `Accept` header that asks for `protocols`, the first above all, and for anything at last.
pub(super) fn accept_header(protocols: &[Protocol], escaping: Escaping) -> String {
    let mut header = String::new();
    let mut weight = protocols.len() + 1;
    for protocol in protocols {
        header.push_str(protocol.media_type());
        if protocol.has_utf8_names() {
            header.push_str(";escaping=");
            header.push_str(escaping.as_str());
        }
        write!(header, ";q=0.{weight},").expect("a String takes all");
        weight -= 1;
    }
    write!(header, "*/*;q=0.{weight}").expect("a String takes all");
    header
}
