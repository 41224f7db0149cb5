//! The configurations of `config/kubernetes` and `config/sumologic`.

use super::{pasted, repository_file};
use crate::config::{Config, parse};

const CHART: &str = "tests/fixtures/sumologic-chart-2.2-values.yaml";

/// All variables by their names, so that URLs can be compared; a shard is a number.
fn by_name(name: &str) -> String {
    match name {
        "SHARD" => "0".to_owned(),
        name => name.to_lowercase().replace('_', "-"),
    }
}

fn read(text: &str) -> Config {
    let known = |name: &str| Some(by_name(name));
    parse("promrelay.yml", text, &known).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn deployed(directory: &str) -> Config {
    read(&repository_file(&format!(
        "config/{directory}/promrelay.yml"
    )))
}

#[test]
fn deployed_configurations_load() {
    for (directory, routes) in [
        ("kubernetes/base", 2),
        ("kubernetes/deployment-emptydir", 2),
        ("kubernetes/sharded", 2),
        ("sumologic/chart-2", 33),
        ("sumologic/chart-3", 33),
        ("sumologic/chart-4", 2),
        ("sumologic/chart-5", 2),
    ] {
        assert_eq!(deployed(directory).routes.len(), routes, "{directory}");
    }
}

/// What `config/sumologic/routes` wrote is what the chart says today.
#[test]
fn the_generated_routes_are_those_of_the_chart() {
    let chart = read(&pasted(CHART));
    for directory in ["sumologic/chart-2", "sumologic/chart-3"] {
        let generated = deployed(directory);
        let (own, windows) = generated.routes.split_at(chart.routes.len());
        for (generated, chart) in own.iter().zip(&chart.routes) {
            assert_eq!(generated.rules, chart.rules, "{}", generated.name);
            let path = |url: &str| url.split_once(":9888").expect("a port").1.to_owned();
            assert_eq!(
                path(generated.send.url.as_str()),
                path(chart.send.url.as_str())
            );
            assert_eq!(generated.send.remote_timeout, chart.send.remote_timeout);
            if directory.ends_with('2') {
                assert_eq!(generated.send.url, chart.send.url);
            }
        }
        let names: Vec<_> = windows.iter().map(|route| &*route.name).collect();
        assert_eq!(names, ["windows-container", "windows-node"]);
    }
}

/// The telegraf of charts 3.x and 4.x answers 404 to what is not in its list.
#[test]
fn values_list_every_path_that_the_routes_take() {
    for chart in ["sumologic/chart-3", "sumologic/chart-4"] {
        let values = repository_file(&format!("config/{chart}/values.yml"));
        let (_, listed) = values
            .split_once("additionalEndpoints:\n")
            .expect("a list of paths");
        let listed: Vec<_> = listed
            .lines()
            .map(|line| line.trim().trim_start_matches("- "))
            .collect();
        for route in deployed(chart).routes {
            let url = route.send.url;
            let (_, path) = url.as_str().split_once(":9888").expect("a port");
            assert!(listed.contains(&path), "{chart}: {path} is not listed");
        }
    }
}
