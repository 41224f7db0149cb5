//! TLS of a listener.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite};

use super::config::{ClientAuth, TlsServerConfig};
use super::names::Version;
use super::settings::{Mistake, read, unreadable};
use super::verifier::ClientVerifier;
use crate::settings::Secret;

const SECTION: &str = "tls_server_config";

/// TLS as `config` has it. With mistakes there is none.
pub(super) fn server(
    config: &TlsServerConfig,
    base: &Path,
    http2: bool,
    mistakes: &mut Vec<Mistake>,
) -> Option<ServerConfig> {
    let mut reader = Reader { base, mistakes };
    let (text, file) = (config.cert.as_deref(), config.cert_file.as_deref());
    let certificate = reader.read(("cert", text), ("cert_file", file));
    let (text, file) = (config.key.as_ref(), config.key_file.as_deref());
    let key = reader.read(("key", text.map(Secret::reveal)), ("key_file", file));
    reader.require(certificate.as_ref(), "cert", "cert_file");
    reader.require(key.as_ref(), "key", "key_file");
    let (text, file) = (
        config.client_ca.as_deref(),
        config.client_ca_file.as_deref(),
    );
    let client_ca = reader.read(("client_ca", text), ("client_ca_file", file));
    check(config, client_ca.is_some(), mistakes);
    if !mistakes.is_empty() {
        return None;
    }
    let provider = Arc::new(provider(config));
    let verifier = verifier(config, client_ca.as_ref(), &provider, mistakes);
    let (certificate, key) = (certificate?, key?);
    let mut failed = |path: &str, message: String| {
        mistakes.push(Mistake::new(&[SECTION, path], message));
    };
    let chain = certificates(&certificate);
    if chain.is_none() {
        failed(certificate.key, "there is no certificate in PEM".to_owned());
    }
    let parsed = PrivateKeyDer::from_pem_slice(&key.bytes);
    if parsed.is_err() {
        failed(key.key, "there is no private key in PEM".to_owned());
    }
    let (chain, parsed) = (chain?, parsed.ok()?);
    let versions = Version::between(config.min_version, config.max_version);
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| failed("min_version", error.to_string()))
        .ok()?;
    let verifier = verifier?;
    let asks = verifier.is_some();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder
        .with_single_cert(chain, parsed)
        .map_err(|error| {
            failed(
                certificate.key,
                format!("cannot use the certificate: {error}"),
            );
        })
        .ok()?;
    server.ignore_client_order = config.prefer_server_cipher_suites;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        server.alpn_protocols.insert(0, b"h2".to_vec());
    }
    if asks {
        // A session that is taken up again would not show its certificate again, which may have
        // expired or lost its authority since.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    Some(server)
}

/// What keys do not go together.
fn check(config: &TlsServerConfig, has_ca: bool, mistakes: &mut Vec<Mistake>) {
    let mut mistake = |key: &str, message: &str| {
        mistakes.push(Mistake::new(&[SECTION, key], message));
    };
    let auth = config.client_auth_type.unwrap_or_default();
    let verifies = matches!(
        auth,
        ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert
    );
    let requires = matches!(
        auth,
        ClientAuth::RequireAnyClientCert | ClientAuth::RequireAndVerifyClientCert
    );
    let ca = if config.client_ca.is_some() {
        "client_ca"
    } else {
        "client_ca_file"
    };
    if has_ca && auth == ClientAuth::NoClientCert {
        mistake(ca, "it is never used: `client_auth_type` is missing");
    }
    if verifies && !has_ca {
        let message = "`client_ca_file` is missing: whoever has a certificate of any public \
                       authority would be let in";
        mistake("client_auth_type", message);
    }
    if config.client_allowed_sans.is_some() && !requires {
        let message = "`client_auth_type` must be RequireAnyClientCert or \
                       RequireAndVerifyClientCert for it: a client without a certificate has no \
                       name";
        mistake("client_allowed_sans", message);
    }
    if config.min_version > config.max_version {
        mistake("min_version", "it must not be newer than `max_version`");
    }
}

/// The cryptography: Go's list of suites concerns TLS 1.2 only, and so does this one.
fn provider(config: &TlsServerConfig) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !config.cipher_suites.is_empty() {
        let is_13 = |suite: &SupportedCipherSuite| matches!(suite, SupportedCipherSuite::Tls13(_));
        let mut suites = provider.cipher_suites;
        suites.retain(is_13);
        let chosen = config.cipher_suites.iter().map(|suite| suite.0);
        suites.extend(chosen.filter(|suite| !is_13(suite)));
        provider.cipher_suites = suites;
    }
    if !config.curve_preferences.is_empty() {
        let chosen = config.curve_preferences.iter();
        provider.kx_groups = chosen.map(|curve| curve.0).collect();
    }
    provider
}

/// Who judges clients' certificates: nobody if none are asked for, none if there was a mistake.
#[expect(
    clippy::option_option,
    reason = "a mistake and no judge are not the same"
)]
fn verifier(
    config: &TlsServerConfig,
    client_ca: Option<&Text>,
    provider: &Arc<CryptoProvider>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Option<Arc<dyn ClientCertVerifier>>> {
    let auth = config.client_auth_type.unwrap_or_default();
    if auth == ClientAuth::NoClientCert {
        return Some(None);
    }
    let authority = match client_ca {
        None => None,
        Some(text) => match authority(text, provider) {
            Ok(authority) => Some(authority),
            Err(message) => {
                mistakes.push(Mistake::new(&[SECTION, text.key], message));
                return None;
            }
        },
    };
    let sans = config.client_allowed_sans.clone();
    let verifier = ClientVerifier::new(auth, authority, sans, Arc::clone(provider));
    Some(Some(Arc::new(verifier)))
}

fn authority(
    text: &Text,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    let Some(certificates) = certificates(text) else {
        return Err("there is no certificate in PEM".to_owned());
    };
    for certificate in certificates {
        let added = roots.add(certificate);
        added.map_err(|error| format!("cannot trust a certificate: {error}"))?;
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = builder.build();
    verifier.map_err(|error| format!("cannot trust the certificates: {error}"))
}

fn certificates(text: &Text) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text.bytes).collect();
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
}

/// A text of the configuration or of a file, and the key that it comes from.
struct Text {
    key: &'static str,
    bytes: Vec<u8>,
}

struct Reader<'a> {
    base: &'a Path,
    mistakes: &'a mut Vec<Mistake>,
}

impl Reader<'_> {
    /// The text itself, or what is in the file. Both is a mistake.
    fn read(
        &mut self,
        (key, text): (&'static str, Option<&str>),
        (file_key, file): (&'static str, Option<&Path>),
    ) -> Option<Text> {
        if let Some(text) = text {
            if file.is_some() {
                let message = format!("only one of `{key}` and `{file_key}` can be given");
                self.mistakes
                    .push(Mistake::new(&[SECTION, file_key], message));
            }
            let bytes = text.as_bytes().to_vec();
            return Some(Text { key, bytes });
        }
        let file = file?;
        let path = [SECTION, file_key];
        let bytes = match read(&self.base.join(file)) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.mistakes.push(unreadable(&path, file, &error));
                // There is one; it just cannot be read.
                Vec::new()
            }
        };
        let key = file_key;
        Some(Text { key, bytes })
    }

    fn require(&mut self, text: Option<&Text>, key: &str, file_key: &str) {
        if text.is_none() {
            let message = format!("`{file_key}` or `{key}` is missing");
            self.mistakes.push(Mistake::new(&[SECTION], message));
        }
    }
}
