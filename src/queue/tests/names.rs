//! Names of directories.

use proptest::prelude::*;

use super::*;

#[test]
fn names_are_escaped() {
    for (route, directory) in [
        ("node", "node"),
        ("prometheus.metrics.node", "prometheus.metrics.node"),
        ("Node", "%4eode"),
        ("a/b\\c:d", "a%2fb%5cc%3ad"),
        ("..", "%2e%2e"),
        (".hidden", "%2ehidden"),
        ("dot.", "dot%2e"),
        ("con", "%63on"),
        ("lpt1.x", "%6cpt1.x"),
        ("com", "com"),
        ("lock", "%6cock"),
        ("api", "%61pi"),
        ("api.new", "%61pi.new"),
        ("api.v1", "api.v1"),
        ("100%", "100%25"),
        ("é", "%c3%a9"),
        ("", "%"),
    ] {
        assert_eq!(directory_name(route), directory);
        assert_eq!(route_name(directory).as_deref(), Some(route));
    }
    for directory in [
        "Node", "%4Eode", "%6eode", "a%", "a%2", "%ff", "con", "%+1", "lock",
    ] {
        assert_eq!(route_name(directory), None, "{directory}");
    }
}

#[test]
fn long_names_stay_short_and_different() {
    let (one, other) = ("É".repeat(100), "É".repeat(101));
    assert!(directory_name(&one).len() <= 255);
    assert_ne!(directory_name(&one), directory_name(&other));
    assert_eq!(route_name(&directory_name(&one)), None);
}

proptest! {
    #[test]
    fn every_name_is_safe_and_can_be_turned_back(route in any::<String>()) {
        let directory = directory_name(&route);
        prop_assert!(directory.len() <= 255);
        prop_assert_eq!(directory.to_ascii_lowercase(), directory.clone());
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.%~".contains(&byte);
        prop_assert!(directory.bytes().all(safe));
        if route.len() <= MAX_REVERSIBLE_BYTES {
            prop_assert_eq!(route_name(&directory), Some(route));
        }
    }
}
