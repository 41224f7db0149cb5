//! Hostile and broken files: each gets a clear answer, soon.

use std::io::Write as _;
use std::path::Path;

use super::{lines, problems, read};
use crate::config::{LoadError, MAX_FILE_BYTES, load, nesting, parse};

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
    assert_eq!(load_bytes(&huge), "1:1: the file is longer than 4 MiB\n");
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
    let nested = |depth| format!("remote_write: {}{}", "[".repeat(depth), "]".repeat(depth));
    let told = problems(&nested(500));
    assert!(told.contains("recursion limit"), "{told}");
    // What the library would read for minutes.
    for text in [
        nested(1 << 20).replace("[]", "[\n]"),
        format!("remote_write: {}", "{a: ".repeat(1 << 18)),
        format!("remote_write:\n{}x", "- ".repeat(1 << 19)),
        format!("remote_write:\n{}x", "? ".repeat(1 << 19)),
    ] {
        let told = problems(&text);
        assert!(told.contains("nest more than 128 deep"), "{told}");
    }
}

#[test]
fn brackets_in_texts_do_not_nest() {
    let rule = "  - {action: drop, regex: '[^[]{2}x{1,3}[{]|[[]'}\n".repeat(3000);
    let list = "      - [{a: [b]}, [c]]\n".repeat(3000);
    for text in [rule, list, format!("a: '{}'", "[".repeat(9000))] {
        assert!(nesting::check(&text).is_ok(), "{text}");
    }
}

#[test]
fn texts_do_not_grow_by_aliases_or_variables() {
    let long = "x".repeat(1 << 20);
    let aliases = format!("a: &a '{long}'\nb: [{}]", "*a, ".repeat(100_000));
    let told = problems(&aliases);
    assert!(told.contains("the file holds more than 16 MiB"), "{told}");
    let variables = format!("remote_write: '{}'", "$(LONG)".repeat(100_000));
    let long = |_: &str| Some("x".repeat(1 << 20));
    let told = lines(&parse("f.yml", &variables, &long).unwrap_err());
    assert!(told.contains("the values of variables take more"), "{told}");
}

#[test]
fn regexes_are_bounded_together() {
    let rules = |count: usize, regex: &str| {
        let rule = |number| {
            format!("      - {{action: keep, source_labels: [job], regex: '{regex}{number}'}}\n")
        };
        let rules: String = (0..count).map(rule).collect();
        format!("remote_write:\n  - url: http://a/b\n    write_relabel_configs:\n{rules}")
    };
    // Each is fine alone, and so are a few.
    assert!(read(&rules(20, "[^a]{1000}")).is_ok());
    assert!(read(&rules(4000, "a")).is_ok());
    let told = problems(&rules(20_000, "[^a]{1000}"));
    let message = "the regexes of the file up to this one take more than 128 MiB when compiled";
    let (place, rest) = told.split_once(": ").unwrap();
    assert_eq!(rest, format!("{message}\n"));
    assert_eq!(place, "f.yml:132:53");
}

#[test]
fn mistakes_without_end_are_told_soon() {
    let many = |what: &dyn Fn(usize) -> String| (0..40_000).map(what).collect::<String>();
    let route = "remote_write:\n  - url: http://a/b\n";
    let header = |number| format!("      k{number}: \"\\n\"\n");
    let texts = [
        many(&|number| format!("key{number}: x\n")),
        format!("{route}    headers:\n{}", many(&header)),
        format!("{route}    name: {}", "$(NOPE)".repeat(500_000)),
        format!(
            "a: &a {{{}}}\nb: {{<<: *a}}",
            many(&|number| format!("k{number}: x, "))
        ),
        format!(
            "remote_write:\n{}",
            "  - {url: http://a/b, name: a}\n".repeat(10_000)
        ),
    ];
    for text in texts {
        let told = problems(&text);
        assert!(told.lines().count() <= 10, "{told}");
    }
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
