//! Web configurations: what loads, and what is said of what does not.

use std::fs;

use rcgen::{CertificateParams, KeyPair};

use super::lines;
use crate::config::{LoadError, WebFile, load_web};

const HASH: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
const CERTIFICATE: &str = "cert_file: server.crt, key_file: server.key";

/// A directory with a certificate, its key, and another key.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    write("server.crt", &params.self_signed(&key).unwrap().pem());
    write("server.key", &key.serialize_pem());
    write("senders.crt", &params.self_signed(&key).unwrap().pem());
    write("other.key", &KeyPair::generate().unwrap().serialize_pem());
    write("empty", "\n");
    write("tokens", "one\n\n two \n");
    directory
}

fn load(text: &str) -> Result<WebFile, String> {
    let directory = directory();
    let path = directory.path().join("web.yml");
    fs::write(&path, text).unwrap();
    load_web(&path).map_err(|error| match error {
        LoadError::Problems(problems) => lines(&problems)
            .replace(&format!("{}:", path.display()), "")
            .replace(&format!("{}/", directory.path().display()), ""),
        error @ LoadError::Read { .. } => error.to_string(),
    })
}

#[test]
fn what_the_toolkit_reads_is_read() {
    let certificate = "tls_server_config: {cert_file: server.crt, key_file: server.key";
    let cases = [
        ("{}".to_owned(), "no TLS, 0 users, 0 tokens"),
        (
            format!("basic_auth_users: {{a: {HASH}, b: {HASH}}}"),
            "no TLS, 2 users, 0 tokens",
        ),
        (
            "bearer_tokens: [x]\nbearer_tokens_file: tokens".to_owned(),
            "no TLS, 0 users, 3 tokens",
        ),
        (format!("{certificate}}}"), "TLS, 0 users, 0 tokens"),
        (
            format!(
                "{certificate}, min_version: TLS12, max_version: TLS13, \
                 prefer_server_cipher_suites: false,\n  \
                 cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256],\n  \
                 curve_preferences: [X25519, CurveP256, CurveP384],\n  \
                 client_ca_file: server.crt, client_auth_type: RequireAndVerifyClientCert,\n  \
                 client_allowed_sans: [sender]}}\n\
                 http_server_config: {{http2: false, headers: {{X-Frame-Options: deny,\n  \
                 Strict-Transport-Security: max-age=31536000, X-XSS-Protection: ''}}}}\n\
                 rate_limit: {{interval: 10ms, burst: 20, bytes_per_second: 10MB}}"
            ),
            "TLS, 0 users, 0 tokens",
        ),
        (
            format!("{certificate}, client_auth_type: RequireClientCert}}"),
            "TLS, 0 users, 0 tokens",
        ),
    ];
    for (text, expected) in cases {
        let found = load(&text).map(|file| file.settings.to_string());
        assert_eq!(found.as_deref(), Ok(expected), "{text}");
    }
}

/// A file with a mistake, and what is said of it.
type Mistaken = (String, &'static str);

fn with_mistaken_tls() -> Vec<Mistaken> {
    let tls = |more: &str| format!("tls_server_config: {{{CERTIFICATE},\n  {more}}}\n");
    vec![
        (
            String::new(),
            "1:1: the file is empty: write {} to let everybody in without TLS",
        ),
        ("tls_config: {}".to_owned(), "1:1: unknown key `tls_config`"),
        (
            tls("cert_fle: x"),
            "2:3: unknown key `cert_fle`, did you mean `cert_file`?",
        ),
        (
            tls("min_version: TLS11"),
            "2:16: TLS11 is not safe any more, and promrelay does not speak it",
        ),
        (tls("max_version: SSL3"), "2:16: unknown TLS version `SSL3`"),
        (
            tls("min_version: TLS13, max_version: TLS12"),
            "2:16: it must not be newer than `max_version`",
        ),
        (
            tls("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]"),
            "2:19: promrelay does not have the cipher suite `TLS_RSA_WITH_AES_128_CBC_SHA`",
        ),
        (
            tls("curve_preferences: [CurveP521]"),
            "2:23: promrelay does not have the curve `CurveP521`",
        ),
        (
            tls("client_auth_type: Maybe"),
            "2:21: unknown value `Maybe`, write `NoClientCert`",
        ),
        (
            tls("client_auth_type: RequireAndVerifyClientCert"),
            "2:21: `client_ca_file` is missing",
        ),
        (
            tls("client_ca_file: server.crt"),
            "2:19: it is never used: `client_auth_type` is missing",
        ),
        (
            tls("client_allowed_sans: [x], client_auth_type: RequestClientCert"),
            "2:24: `client_auth_type` must be RequireAnyClientCert or",
        ),
    ]
}

fn with_other_mistakes() -> Vec<Mistaken> {
    let tls = |more: &str| format!("tls_server_config: {{{CERTIFICATE},\n  {more}}}\n");
    vec![
        (
            "tls_server_config: {cert_file: server.crt}".to_owned(),
            "1:20: `key_file` or `key` is missing",
        ),
        (
            "tls_server_config: {cert_file: gone, key_file: server.key}".to_owned(),
            "1:32: cannot read gone: No such file",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: other.key}".to_owned(),
            "1:32: cannot use the certificate",
        ),
        (
            "tls_server_config: {cert_file: empty, key_file: server.key}".to_owned(),
            "1:32: there is no certificate in PEM",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: empty}".to_owned(),
            "1:54: there is no private key in PEM",
        ),
        (
            tls("cert: x"),
            "1:32: only one of `cert` and `cert_file` can be given",
        ),
        (
            "basic_auth_users: {a: hunter2}".to_owned(),
            "1:23: not a bcrypt hash",
        ),
        (
            format!("basic_auth_users: {{'a:b': {HASH}}}"),
            "1:27: a user's name with a colon",
        ),
        (
            "bearer_tokens: [x, '']".to_owned(),
            "1:16: a token is empty",
        ),
        (
            "bearer_tokens_file: empty".to_owned(),
            "1:21: there is no token in the file",
        ),
        (
            "http_server_config: {headers: {Server: x}}".to_owned(),
            "1:40: the header `Server` cannot be set here, but Content-Security-Policy",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}".to_owned(),
            "1:49: `X-Frame-Options` can be deny or sameorigin",
        ),
        (
            "rate_limit: {interval: 1s}".to_owned(),
            "`burst` must be positive",
        ),
        (
            "bearer_tokens: ['$(NOT_SET_ANYWHERE)']".to_owned(),
            "1:18: the environment variable",
        ),
    ]
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let cases = with_mistaken_tls().into_iter().chain(with_other_mistakes());
    for (text, expected) in cases {
        let told = load(&text).map(|file| file.settings.to_string());
        let told = told.expect_err(&text);
        assert!(told.contains(expected), "{text}\n{told}");
        assert!(!told.contains("hunter2"), "a secret shows: {told}");
    }
}

/// `config/web.yml` is the reference: it has every key, and loads.
#[test]
fn the_reference_loads() {
    let text = super::repository_file("config/web.yml");
    let found = load(&text).map(|file| file.settings.to_string());
    assert_eq!(found.as_deref(), Ok("TLS, 1 users, 3 tokens"));
    let keys = [
        "cert",
        "key",
        "client_ca",
        "cert_file",
        "key_file",
        "client_ca_file",
        "client_auth_type",
        "client_allowed_sans",
        "min_version",
        "max_version",
        "cipher_suites",
        "curve_preferences",
        "prefer_server_cipher_suites",
        "http2",
        "headers",
        "basic_auth_users",
        "bearer_tokens",
        "bearer_tokens_file",
        "interval",
        "burst",
        "bytes_per_second",
    ];
    for key in keys {
        assert!(text.contains(&format!("{key}:")), "{key}");
    }
}

#[test]
fn a_key_of_the_certificate_can_stand_in_the_file() {
    let directory = directory();
    let text = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    let indented = |name: &str| text(name).replace('\n', "\n    ");
    let web = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n",
        indented("server.crt"),
        indented("server.key")
    );
    let path = directory.path().join("web.yml");
    fs::write(&path, web).unwrap();
    assert!(load_web(&path).unwrap().settings.tls().is_some());
}

/// A file of any length is read up to the limit and no further.
#[test]
fn a_file_without_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for path in ["/dev/zero".into(), directory.path().join("long.yml")] {
        if path != std::path::Path::new("/dev/zero") {
            let file = fs::File::create(&path).unwrap();
            file.set_len(100 << 20).unwrap();
        }
        let told = load_web(&path).map(|file| file.settings.to_string());
        let told = told.expect_err("it is too long").to_string();
        assert!(told.contains("longer than 4 MiB"), "{told}");
        let told = crate::config::load(&path)
            .expect_err("it is too long")
            .to_string();
        assert!(told.contains("longer than 4 MiB"), "{told}");
    }
}
