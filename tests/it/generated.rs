//! The generated protobuf types are what `proto/` says. There is no build script: who builds
//! promrelay needs no protobuf compiler.

use std::fs;
use std::path::{Path, PathBuf};

use promrelay::remote_write::generated::{prometheus, write_v2};
use prost::Message as _;

/// Each proto file, and the package that names prost's output.
const PROTOS: [(&str, &str); 2] = [
    ("prometheus", "prometheus.rs"),
    ("write_v2", "io.prometheus.write.v2.rs"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn generate(into: &Path) {
    for (name, _) in PROTOS {
        let descriptors = protox::compile([format!("{name}.proto")], [root().join("proto")])
            .unwrap_or_else(|error| panic!("proto/{name}.proto: {error:?}"));
        prost_build::Config::new()
            .out_dir(into)
            .compile_fds(descriptors)
            .unwrap_or_else(|error| panic!("proto/{name}.proto: {error}"));
    }
}

fn committed(name: &str) -> PathBuf {
    root().join(format!("src/remote_write/generated/{name}.rs"))
}

#[test]
fn generated_types_are_what_the_proto_files_say() {
    let directory = tempfile::tempdir().unwrap();
    generate(directory.path());
    for (name, output) in PROTOS {
        let generated = fs::read_to_string(directory.path().join(output)).unwrap();
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(committed(name), &generated).unwrap();
        }
        assert!(
            fs::read_to_string(committed(name)).unwrap() == generated,
            "{} is not what proto/{name}.proto says: run \
             `UPDATE_GENERATED=1 cargo test --test it generated`",
            committed(name).display(),
        );
    }
}

#[test]
fn a_request_read_as_the_other_version_is_empty() {
    let label = prometheus::Label {
        name: "__name__".to_owned(),
        value: "up".to_owned(),
    };
    let sample = prometheus::Sample {
        value: 1.0,
        timestamp: 1_700_000_000_000,
    };
    let series = prometheus::TimeSeries {
        labels: vec![label],
        samples: vec![sample],
        ..prometheus::TimeSeries::default()
    };
    let metadata = prometheus::MetricMetadata {
        r#type: 2,
        ..Default::default()
    };
    let first = prometheus::WriteRequest {
        timeseries: vec![series],
        metadata: vec![metadata],
    };
    let read = write_v2::Request::decode(first.encode_to_vec().as_slice()).unwrap();
    assert_eq!(read, write_v2::Request::default());

    let series = write_v2::TimeSeries {
        labels_refs: vec![1, 2],
        ..Default::default()
    };
    let symbols = ["", "__name__", "up"].map(str::to_owned).to_vec();
    let second = write_v2::Request {
        symbols,
        timeseries: vec![series],
    };
    let read = prometheus::WriteRequest::decode(second.encode_to_vec().as_slice()).unwrap();
    assert_eq!(read, prometheus::WriteRequest::default());
}
