//! One TLS, one cryptography library, one YAML: what no feature of no dependency may bring in.
//! `deny.toml` says the same where cargo-deny is installed.

use std::process::Command;

const BANNED: [&str; 6] = [
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "serde_yaml",
    "serde_yml",
];

#[test]
fn no_feature_brings_in_a_banned_crate() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--all-features",
            "--prefix=none",
        ])
        .args(["--edges=normal,build,dev", "--format={lib}", "--no-dedupe"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let names = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let has = |name: &str| {
        let library = name.replace('-', "_");
        names.lines().any(|line| line == library)
    };
    assert!(
        has("rustls") && has("aws-lc-rs"),
        "the list lacks what must be in it:\n{names}"
    );
    let banned: Vec<&str> = BANNED.into_iter().filter(|name| has(name)).collect();
    assert!(
        banned.is_empty(),
        "{banned:?} came in: `cargo tree --all-features -i` says why"
    );
}
