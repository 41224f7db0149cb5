//! TLS of a client: whom it trusts, and as whom it comes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion, version,
};
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

use super::config::{TlsConfig, TlsVersion};
use crate::settings::Secret;

/// How long a file may be, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no PEM where there should be.
    #[error("{0} holds no usable PEM")]
    Pem(&'static str),
    /// The server's name cannot be one.
    #[error("server_name is not a valid name")]
    ServerName,
    /// Certificates and keys do not do.
    #[error("cannot use the certificates")]
    Certificates(#[source] rustls::Error),
    /// The trusted certificates do not do.
    #[error("cannot trust the certificates")]
    Roots(#[source] rustls::client::VerifierBuilderError),
}

/// What the files of a `tls_config` hold.
pub(super) struct Material {
    ca: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Material {
    /// Reads the files.
    pub(super) fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let either = |inline: Option<&str>, file: Option<&Path>| match (inline, file) {
            (Some(text), _) => Ok(Some(text.as_bytes().to_vec())),
            (None, Some(path)) => read(path).map(Some),
            (None, None) => Ok(None),
        };
        let key = config.key.as_ref().map(Secret::reveal);
        Ok(Self {
            ca: either(config.ca.as_deref(), config.ca_file.as_deref())?,
            certificate: either(config.cert.as_deref(), config.cert_file.as_deref())?,
            key: either(key, config.key_file.as_deref())?,
        })
    }

    /// Of what the files hold.
    pub(super) fn hash(&self) -> u128 {
        let mut hash = Xxh3::new();
        for part in [&self.ca, &self.certificate, &self.key] {
            let bytes = part.as_deref().unwrap_or_default();
            hash.update(&bytes.len().to_le_bytes());
            hash.update(bytes);
        }
        hash.digest128()
    }

    /// TLS as `config` has it.
    pub(super) fn client(&self, config: &TlsConfig) -> Result<rustls::ClientConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions(config))
            .map_err(TlsError::Certificates)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self.verifier(config, provider)?));
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(certificate, "the client's certificate")?;
        let Ok(key) = PrivateKeyDer::from_pem_slice(key) else {
            return Err(TlsError::Pem("the client's key"));
        };
        builder
            .with_client_auth_cert(chain, key)
            .map_err(TlsError::Certificates)
    }

    fn verifier(
        &self,
        config: &TlsConfig,
        provider: Arc<CryptoProvider>,
    ) -> Result<Verifier, TlsError> {
        let name = match config.server_name.as_str() {
            "" => None,
            name => match ServerName::try_from(name.to_owned()) {
                Ok(name) => Some(name),
                Err(_) => return Err(TlsError::ServerName),
            },
        };
        let trust = match &self.ca {
            // Read in any case: a file without certificates is a mistake.
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(ca, "the trusted certificate (ca)")? {
                    roots.add(certificate).map_err(TlsError::Certificates)?;
                }
                let verifier = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(&provider),
                );
                Trust::These(verifier.build().map_err(TlsError::Roots)?)
            }
            None => match rustls_platform_verifier::Verifier::new(Arc::clone(&provider)) {
                Ok(system) => Trust::These(Arc::new(system)),
                // An image without certificates can still speak plain HTTP.
                Err(error) => Trust::Nobody(error),
            },
        };
        let trust = if config.insecure_skip_verify {
            Trust::Anybody
        } else {
            trust
        };
        Ok(Verifier {
            trust,
            name,
            provider,
        })
    }
}

/// A file's content.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read as _;
    let error = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(error)?;
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(error)?;
    Ok(bytes)
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(TlsError::Pem(what)),
    }
}

fn versions(config: &TlsConfig) -> Vec<&'static SupportedProtocolVersion> {
    let known = [
        (TlsVersion::Tls12, &version::TLS12),
        (TlsVersion::Tls13, &version::TLS13),
    ];
    let within = |version: TlsVersion| {
        config.min_version.is_none_or(|least| version >= least)
            && config.max_version.is_none_or(|most| version <= most)
    };
    known
        .into_iter()
        .filter(|(version, _)| within(*version))
        .map(|(_, version)| version)
        .collect()
}

/// Whose certificates are good.
#[derive(Debug)]
enum Trust {
    Anybody,
    These(Arc<dyn ServerCertVerifier>),
    Nobody(rustls::Error),
}

/// Judges servers' certificates, by another name than the URL's host if there is one.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    name: Option<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.name.as_ref().unwrap_or(server_name);
        match &self.trust {
            Trust::Anybody => Ok(ServerCertVerified::assertion()),
            Trust::These(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
            }
            Trust::Nobody(error) => Err(error.clone()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
