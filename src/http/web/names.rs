//! Values of a web configuration in Go's names, and what they are in rustls.

use bcrypt::HashParts;
use rustls::crypto::{SupportedKxGroup, aws_lc_rs};
use rustls::{CipherSuite as Id, SupportedCipherSuite, SupportedProtocolVersion, version};
use serde::Deserialize;

/// The most expensive hash that is taken. One check takes seconds with it; twice as long with each
/// one more.
const MAX_COST: u32 = 16;

/// Names of Go's that rustls has.
const CIPHER_SUITES: [(&str, Id); 9] = [
    ("TLS_AES_128_GCM_SHA256", Id::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", Id::TLS13_AES_256_GCM_SHA384),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        Id::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        Id::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        Id::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        Id::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        Id::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        Id::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        Id::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum Version {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "TLS12" => Ok(Self::Tls12),
            "TLS13" => Ok(Self::Tls13),
            "TLS10" | "TLS11" => Err(format!(
                "{name} is not safe any more, and promrelay does not speak it: write TLS12 or TLS13"
            )),
            _ => Err(format!(
                "unknown TLS version `{name}`: write TLS12 or TLS13"
            )),
        }
    }
}

impl Version {
    /// All from `oldest` to `newest`.
    pub(super) fn between(oldest: Self, newest: Self) -> Vec<&'static SupportedProtocolVersion> {
        let known = [
            (Self::Tls12, &version::TLS12),
            (Self::Tls13, &version::TLS13),
        ];
        let within = known
            .iter()
            .filter(|(version, _)| (oldest..=newest).contains(version));
        within.map(|(_, version)| *version).collect()
    }
}

/// A cipher suite.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct CipherSuite(pub(super) SupportedCipherSuite);

impl TryFrom<String> for CipherSuite {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = CIPHER_SUITES.iter().find(|(known, _)| *known == name);
        let suites = aws_lc_rs::ALL_CIPHER_SUITES.iter();
        let mut suites = suites.filter(|suite| known.is_some_and(|(_, id)| suite.suite() == *id));
        if let Some(suite) = suites.next() {
            return Ok(Self(*suite));
        }
        let names: Vec<_> = CIPHER_SUITES.iter().map(|(name, _)| *name).collect();
        Err(format!(
            "promrelay does not have the cipher suite `{name}`, but {}",
            names.join(", ")
        ))
    }
}

/// A way to agree on keys.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Curve(pub(super) &'static dyn SupportedKxGroup);

impl TryFrom<String> for Curve {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Ok(Self(match name.as_str() {
            "CurveP256" => aws_lc_rs::kx_group::SECP256R1,
            "CurveP384" => aws_lc_rs::kx_group::SECP384R1,
            "X25519" => aws_lc_rs::kx_group::X25519,
            "X25519MLKEM768" => aws_lc_rs::kx_group::X25519MLKEM768,
            _ => {
                return Err(format!(
                    "promrelay does not have the curve `{name}`, but CurveP256, CurveP384, \
                     X25519 and X25519MLKEM768"
                ));
            }
        }))
    }
}

/// A password's hash.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PasswordHash {
    text: String,
    cost: u32,
}

impl PasswordHash {
    /// The hash as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A hash that stands for nobody and takes as long to check as this one. A password may well
    /// have it: what comes of the check does not count.
    pub(super) fn of_nobody(&self) -> String {
        const NOBODY: &str = "QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
        format!("$2y${:02}${NOBODY}", self.cost)
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = String;

    // What was written is not repeated: it could be the password itself.
    fn try_from(text: String) -> Result<Self, String> {
        let parts: Result<HashParts, _> = text.parse();
        let Ok(parts) = parts else {
            return Err("not a bcrypt hash: make one with `htpasswd -nBC 10 \"\"`".to_owned());
        };
        let cost = parts.get_cost();
        if cost > MAX_COST {
            return Err(format!(
                "a bcrypt cost of {cost} would hold each check up for minutes: at most {MAX_COST}"
            ));
        }
        Ok(Self { text, cost })
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("<secret>")
    }
}
