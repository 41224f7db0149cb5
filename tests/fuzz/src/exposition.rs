//! Bodies of targets: no panic, an end, and no more entries than bytes could say.

use promrelay::exposition::openmetrics::Created;
use promrelay::exposition::protobuf::{self, Histograms};
use promrelay::exposition::{Entry, openmetrics, text};

/// Entries that one byte of a body can make at the most: a classic histogram in protobuf makes a
/// few series of a message that is nearly empty.
const ENTRIES_PER_BYTE: usize = 16;

/// Reads all but the first byte in the format that the first byte names.
pub fn run(bytes: &[u8]) {
    let Some((format, body)) = bytes.split_first() else {
        return;
    };
    let created_lines = if *format < 128 {
        Created::Series
    } else {
        Created::Starts
    };
    match format % 5 {
        0 => {
            let mut parser = text::Parser::new(body);
            read(body, || parser.next_entry().is_ok_and(|entry| look(&entry)));
        }
        1 => {
            let mut parser = openmetrics::Parser::new(body, created_lines);
            read(body, || parser.next_entry().is_ok_and(|entry| look(&entry)));
        }
        histograms => {
            let histograms = [Histograms::Native, Histograms::Both, Histograms::Classic]
                [usize::from(histograms - 2)];
            let mut parser = protobuf::Parser::new(body, histograms);
            read(body, || parser.next_entry().is_ok_and(|entry| look(&entry)));
        }
    }
}

/// Reads on for as long as `next` says so.
fn read(body: &[u8], mut next: impl FnMut() -> bool) {
    let mut entries = 0;
    while next() {
        entries += 1;
        let most = (body.len() + 1) * ENTRIES_PER_BYTE;
        assert!(entries <= most, "{entries} entries of {} bytes", body.len());
    }
}

/// Looks at all of an entry; whether another may follow.
fn look(entry: &Entry<'_>) -> bool {
    match entry {
        Entry::Series(series) => {
            let labels = series.labels();
            let (announced, seen) = (labels.len(), labels.count());
            assert_eq!(announced, seen);
            let _repeated = series.repeated_label();
            for exemplar in series.exemplars() {
                let _labels = exemplar.labels().count();
            }
            true
        }
        Entry::Eof => false,
        _ => true,
    }
}
