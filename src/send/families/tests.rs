use super::interest::NAMES;
use super::*;
use crate::remote_write::carried::put_family;

fn metadata(metric_type: u64, help: &str) -> SeriesMetadata<'_> {
    SeriesMetadata {
        metric_type,
        help: help.as_bytes(),
        unit: b"",
    }
}

/// Tells the table about these families, in one request.
fn tell(families: &Families, told: &[(&str, u64, &str)]) {
    tell_at(families, told, families.now_ms());
}

fn tell_at(families: &Families, told: &[(&str, u64, &str)], now_ms: u64) {
    let mut lessons = Lessons::default();
    lessons.begin(families.known(), now_ms);
    for (name, metric_type, help) in told {
        lessons.hear(families, name.as_bytes(), metadata(*metric_type, help));
    }
    families.learn(&mut lessons);
}

fn help_of(families: &Families, series: &str) -> Option<String> {
    let known = families.known();
    let found = known.metadata_of(series.as_bytes())?;
    Some(String::from_utf8(found.help.to_vec()).unwrap())
}

fn kept(families: &Families, interest: &Interest) -> Vec<String> {
    let kept = families.kept(interest);
    kept.iter().map(|family| family.name().to_owned()).collect()
}

/// Each type with the names that its series have.
const SERIES: [(&str, u64, &[&str]); 8] = [
    ("up", 2, &["up"]),
    ("requests_total", 1, &["requests_total", "requests_created"]),
    ("served", 1, &["served_total", "served_created"]),
    (
        "wait",
        3,
        &[
            "wait",
            "wait_bucket",
            "wait_sum",
            "wait_count",
            "wait_created",
        ],
    ),
    ("hold", 4, &["hold_bucket", "hold_gsum", "hold_gcount"]),
    ("size", 5, &["size", "size_sum", "size_count"]),
    ("build", 6, &["build_info"]),
    ("target_info", 6, &["target_info"]),
];

#[test]
fn series_belong_to_families_as_prometheus_names_them() {
    let families = Families::new(&Registry::new());
    let told: Vec<_> = SERIES
        .iter()
        .map(|&(family, metric_type, _)| (family, metric_type, family))
        .collect();
    tell(&families, &told);
    for (family, _, series) in SERIES {
        for name in series {
            let interest = Interest::noted(&Registry::new());
            interest.note(name);
            assert_eq!(kept(&families, &interest), [family], "of {name}");
            if *name != "requests_created" {
                assert_eq!(help_of(&families, name).as_deref(), Some(family), "{name}");
            }
        }
    }
    for other in [
        "wait_total",
        "up_total",
        "size_bucket",
        "wait_gsum",
        "other",
        "",
    ] {
        assert_eq!(help_of(&families, other), None, "{other}");
    }
}

#[test]
fn a_series_of_2_0_names_its_family_by_its_type() {
    for (series, metric_type, family) in [
        ("wait_bucket", 3, "wait"),
        ("wait_sum", 3, "wait"),
        ("wait", 3, "wait"),
        ("size_count", 5, "size"),
        ("requests_total", 1, "requests_total"),
        ("requests_count", 2, "requests_count"),
        ("build_info", 6, "build_info"),
        ("_sum", 5, "_sum"),
    ] {
        assert_eq!(family_of(series, metric_type), family, "{series}");
    }
}

#[test]
fn what_was_said_last_holds_and_a_refused_request_says_nothing() {
    let families = Families::new(&Registry::new());
    tell(
        &families,
        &[("a", 1, "old"), ("a", 1, "new"), ("", 1, "nameless")],
    );
    assert_eq!(help_of(&families, "a").as_deref(), Some("new"));
    let before = families.known();
    tell(&families, &[("a", 1, "new")]);
    assert!(
        Arc::ptr_eq(&before, &families.known()),
        "nothing new was said"
    );
    let mut lessons = Lessons::default();
    lessons.hear(&families, b"a", metadata(1, "refused"));
    lessons.hear(&families, b"b\xff", metadata(1, "no text"));
    lessons.clear();
    families.learn(&mut lessons);
    assert_eq!(help_of(&families, "a").as_deref(), Some("new"));
    assert_eq!(kept(&families, &Interest::everything()), ["a"]);
    assert_eq!(kept(&families, &Interest::nothing()), [""; 0]);
}

#[test]
fn a_metadata_field_is_read_and_a_broken_one_refused() {
    let families = Families::new(&Registry::new());
    let mut lessons = Lessons::default();
    let mut field = Vec::new();
    put_family(&mut field, b"a", metadata(1, "help"));
    lessons.hear_field(&families, &field).unwrap();
    let cut = lessons.hear_field(&families, &[0x1a, 2, 0x12, 9]);
    assert!(matches!(cut, Err(DecodeError::Request(_))), "{cut:?}");
    families.learn(&mut lessons);
    assert_eq!(help_of(&families, "a").as_deref(), Some("help"));
}

#[test]
fn the_table_stays_within_its_bounds_and_forgets_what_is_oldest() {
    let registry = Registry::new();
    let families = Families::new(&registry);
    let long = "x".repeat(FAMILY_BYTES / 2);
    for number in 0..1000 {
        tell_at(
            &families,
            &[(&format!("metric_{number}"), 2, &long)],
            number,
        );
    }
    let known = families.known();
    assert!(
        known.bytes <= TABLE_BYTES && known.bytes > TABLE_BYTES / 2,
        "{}",
        known.bytes
    );
    let bytes: usize = known.families.values().map(|family| family.bytes()).sum();
    assert_eq!(known.bytes, bytes);
    assert!(known.metadata_of(b"metric_999").is_some());
    assert!(known.metadata_of(b"metric_0").is_none());
    tell(&families, &[("large", 2, &"x".repeat(FAMILY_BYTES))]);
    assert_eq!(help_of(&families, "large"), None);
    let metrics = registry.render();
    let forgotten = 1000 - known.families.len();
    for line in [
        format!("promrelay_metadata_dropped_total{{reason=\"full\"}} {forgotten}"),
        "promrelay_metadata_dropped_total{reason=\"too_large\"} 1".to_owned(),
        format!("promrelay_metadata_families {}", known.families.len()),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn what_a_route_keeps_is_noted_within_a_bound() {
    let registry = Registry::new();
    let families = Families::new(&registry);
    tell(&families, &[("first", 2, "h"), ("late", 2, "h")]);
    let interest = Interest::noted(&registry);
    interest.note("first");
    for number in 0..NAMES {
        interest.note(&number.to_string());
    }
    interest.note("late");
    assert_eq!(kept(&families, &interest), ["first"]);
    let dropped = "promrelay_metadata_dropped_total{reason=\"route_full\"} 2";
    assert!(registry.render().contains(dropped));
}

#[test]
fn families_that_nobody_speaks_of_any_more_are_not_told() {
    let families = Families::new(&Registry::new());
    tell_at(&families, &[("gone", 2, "h"), ("there", 2, "h")], 0);
    tell_at(&families, &[("there", 2, "h")], FORGOTTEN_AFTER_MS / 2);
    let told = |now_ms| {
        let told = families.kept_at(&Interest::everything(), now_ms);
        told.iter()
            .map(|family| family.name().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(told(FORGOTTEN_AFTER_MS), ["gone", "there"]);
    assert_eq!(told(FORGOTTEN_AFTER_MS + 1), ["there"]);
}
