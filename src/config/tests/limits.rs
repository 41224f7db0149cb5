//! Hostile and broken files: each gets a clear answer, soon.

use std::io::Write as _;
use std::path::Path;

use super::{lines, problems, read};
use crate::config::{LoadError, MAX_FILE_BYTES, load};

fn load_bytes(bytes: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    match load(file.path()) {
        Err(LoadError::Problems(problems)) => {
            let name = file.path().display().to_string();
            assert!(problems.iter().all(|problem| problem.file == name));
            lines(&problems).replace(&format!("{name}:"), "")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let Err(error) = load(Path::new("/nonexistent/promrelay.yml")) else {
        panic!()
    };
    assert_eq!(error.to_string(), "cannot read /nonexistent/promrelay.yml");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn text_that_is_not_utf8_has_a_place() {
    assert_eq!(
        load_bytes(b"a: b\nc: \xc3\xa4\xff\n"),
        "2:5: not UTF-8: save the file as UTF-8\n"
    );
}

#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    let huge = vec![b'#'; MAX_FILE_BYTES + 100];
    assert_eq!(load_bytes(&huge), "1:1: the file is longer than 16 MiB\n");
}

#[test]
fn aliases_of_aliases_do_not_grow_without_bound() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        bomb += format!("a{level}: &a{level} [{below}]\n").as_str();
    }
    let told = problems(&bomb);
    assert!(
        told.contains("repetition limit") || told.contains("more than"),
        "{told}"
    );
}

#[test]
fn many_values_are_too_many() {
    let many = format!("remote_write: [{}]", "a,".repeat(600_000));
    assert!(problems(&many).contains("the file holds more than 500000 values"));
}

#[test]
fn deep_nesting_is_refused() {
    let told = problems(&format!(
        "remote_write: {}{}",
        "[".repeat(500),
        "]".repeat(500)
    ));
    assert!(told.contains("recursion limit"), "{told}");
}

#[test]
fn more_problems_than_anybody_reads_are_cut() {
    let many = format!("remote_write:\n{}", "  - url: x\n".repeat(300));
    assert_eq!(problems(&many).lines().count(), 50);
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    assert!(read("\u{feff}remote_write:\n  - url: http://a/b\n").is_ok());
}
