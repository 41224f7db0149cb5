//! What a receiver of remote write 2.0 says that it has written, in the headers of its answer.

use http::{HeaderMap, HeaderName};

use crate::remote_write::message::{EXEMPLARS_WRITTEN, HISTOGRAMS_WRITTEN, SAMPLES_WRITTEN};
use crate::remote_write::v2::Contents;

/// Reads the three headers. One that is missing beside others is 0; `None` if all are missing: then
/// the receiver does not speak 2.0.
pub(super) fn read(headers: &HeaderMap) -> Option<Contents> {
    let number = |name: &HeaderName| {
        let value = headers.get(name)?;
        let number = value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Some(number.unwrap_or(0))
    };
    let (samples, histograms, exemplars) = (
        number(&SAMPLES_WRITTEN),
        number(&HISTOGRAMS_WRITTEN),
        number(&EXEMPLARS_WRITTEN),
    );
    let any = samples.or(histograms).or(exemplars);
    any.map(|_| Contents {
        samples: samples.unwrap_or(0),
        histograms: histograms.unwrap_or(0),
        exemplars: exemplars.unwrap_or(0),
    })
}
