//! Claims about certificates.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};
use tokio::time::{Instant, interval};

use super::{client, parse};
use crate::http::client::{BuildError, Client};

/// An authority with certificates of a server and of a client, in files of a directory.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// A certificate and its key.
    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn write(&self, directory: &Path) {
        let (certificate, key) = self.issue("client");
        std::fs::write(directory.join("ca.pem"), self.issuer.pem()).unwrap();
        std::fs::write(directory.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
    }
}

/// A server with a certificate for `name`, which asks clients for one of the same authority if
/// `mutual`. It answers one request per connection.
fn serve(authority: &Authority, name: &str, mutual: bool) -> SocketAddr {
    let (certificate, key) = authority.issue(name);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if mutual {
        let mut roots = RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || answer(config, stream));
        }
    });
    address
}

fn answer(config: Arc<ServerConfig>, mut stream: TcpStream) -> Option<()> {
    let mut connection = ServerConnection::new(config).ok()?;
    let mut tls = Stream::new(&mut connection, &mut stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    tls.write_all(answer).ok()?;
    tls.conn.send_close_notify();
    tls.flush().ok()
}

async fn works(client: &Client, address: SocketAddr) -> bool {
    let url = format!("https://{address}/");
    client.get(&url, HeaderMap::new()).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_trusted_as_configured() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.write(directory.path());
    let by_address = serve(&authority, "127.0.0.1", false);
    let by_name = serve(&authority, "some.name", false);
    let (yes, no) = (true, false);
    for (yaml, address, expected) in [
        ("{}", by_address, no),
        ("{ca_file: ca.pem}", by_address, yes),
        ("{insecure_skip_verify: true}", by_address, yes),
        ("{ca_file: ca.pem}", by_name, no),
        ("{ca_file: ca.pem, server_name: some.name}", by_name, yes),
        ("{ca_file: ca.pem, server_name: other.name}", by_name, no),
        (
            "{ca_file: ca.pem, min_version: TLS10, max_version: TLS12}",
            by_address,
            yes,
        ),
        ("{ca_file: ca.pem, min_version: TLS13}", by_address, yes),
        // Another authority's: its own certificate, which signed nothing here.
        ("{ca_file: cert.pem}", by_address, no),
    ] {
        let client = client(&format!("tls_config: {yaml}"), directory.path());
        assert_eq!(works(&client, address).await, expected, "{yaml}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again_when_they_change() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (Authority::new(), Authority::new());
    first.write(directory.path());
    let (at_first, at_second) = (
        serve(&first, "127.0.0.1", true),
        serve(&second, "127.0.0.1", true),
    );
    let yaml = "tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}";
    let client = client(yaml, directory.path());
    assert!(works(&client, at_first).await && !works(&client, at_second).await);
    let only_ca = super::client("tls_config: {ca_file: ca.pem}", directory.path());
    assert!(
        !works(&only_ca, at_first).await,
        "the server wants a certificate"
    );
    // In the middle of being replaced the old ones stay in use.
    std::fs::write(directory.path().join("cert.pem"), "half a certifi").unwrap();
    let (start, mut poll) = (Instant::now(), interval(Duration::from_millis(100)));
    while start.elapsed() < Duration::from_millis(1300) {
        poll.tick().await;
        assert!(works(&client, at_first).await);
    }
    second.write(directory.path());
    while !works(&client, at_second).await {
        poll.tick().await;
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "the change was not seen"
        );
    }
}

#[test]
fn files_that_are_of_no_use_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.write(directory.path());
    std::fs::write(directory.path().join("empty.pem"), "").unwrap();
    for (yaml, message) in [
        ("{ca_file: missing.pem}", "cannot read"),
        ("{ca_file: empty.pem}", "holds no usable PEM"),
        (
            "{cert_file: cert.pem, key_file: empty.pem}",
            "holds no usable PEM",
        ),
        (
            "{cert_file: empty.pem, key_file: key.pem}",
            "holds no usable PEM",
        ),
        (
            "{cert_file: ca.pem, key_file: key.pem}",
            "cannot use the certificates",
        ),
        ("{server_name: 'a b'}", "server_name is not a valid name"),
    ] {
        let parsed = parse(&format!("tls_config: {yaml}")).unwrap();
        let BuildError::Tls(error) = parsed.client.build(directory.path()).unwrap_err() else {
            panic!("{yaml}: another error");
        };
        assert!(error.to_string().contains(message), "{yaml}: {error}");
    }
}
