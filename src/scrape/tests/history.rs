//! What is remembered of the times and exemplars that a target gives its samples.

use super::super::cache::Told;
use super::super::history::History;
use crate::exposition::Entry;
use crate::exposition::openmetrics::{Created, Parser};

const SERIES: u64 = 7;

#[test]
fn what_is_older_than_the_last_sample_is_not_taken() {
    let mut history = History::default();
    let mut takes = |time_ms, value| history.takes(SERIES, time_ms, true, || value);
    assert!(takes(1000, 1));
    assert!(takes(1000, 1), "the same once more");
    assert!(!takes(1000, 2));
    assert!(!takes(999, 1));
    assert!(takes(1001, 2));
    assert!(history.takes(SERIES + 1, 5, true, || 1), "another series");
}

#[test]
fn the_time_of_a_scrape_counts_where_a_target_gave_one_before() {
    let mut history = History::default();
    let scraped = |history: &mut History, time_ms| history.takes(SERIES, time_ms, false, || 1);
    assert!(scraped(&mut history, 20) && scraped(&mut history, 10));
    assert!(history.takes(SERIES, 30, true, || 1));
    assert!(!scraped(&mut history, 29));
    assert!(history.has_gone_beyond(SERIES, 30) && !history.has_gone_beyond(SERIES, 31));
    assert!(!history.has_gone_beyond(SERIES + 1, 0));
}

#[test]
fn a_scrape_that_failed_is_forgotten_and_one_that_did_not_is_not() {
    let mut history = History::default();
    let takes = |history: &mut History, time_ms| history.takes(SERIES, time_ms, true, || 1);
    assert!(takes(&mut history, 10));
    history.settle(Told::Yes);
    assert!(takes(&mut history, 20));
    history.fail();
    assert!(!takes(&mut history, 9) && takes(&mut history, 15));
    history.keep([SERIES].into_iter());
    assert!(!takes(&mut history, 14));
    history.keep([SERIES + 1].into_iter());
    assert!(takes(&mut history, 1));
}

#[test]
fn an_exemplar_is_told_once() {
    let mut history = History::default();
    let told = |history: &mut History, text: &str| {
        let body = format!("# TYPE a counter\na_total 1 # {text}\n# EOF\n");
        let mut parser = Parser::new(body.as_bytes(), Created::Series);
        loop {
            match parser.next_entry().unwrap() {
                Entry::Series(series) => {
                    return history.news(SERIES, series.exemplars()).len();
                }
                Entry::Eof => panic!("there is a sample"),
                _ => {}
            }
        }
    };
    let first = "{trace=\"x\"} 1";
    assert_eq!(told(&mut history, first), 1);
    assert_eq!(told(&mut history, first), 0);
    history.settle(Told::No);
    assert_eq!(told(&mut history, first), 1, "a queue was full");
    history.settle(Told::Yes);
    for other in ["{trace=\"y\"} 1", "{trace=\"y\"} 2", "{trace=\"y\"} 2 3"] {
        assert_eq!(told(&mut history, other), 1, "{other}");
        assert_eq!(told(&mut history, other), 0, "{other}");
    }
}
