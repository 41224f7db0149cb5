//! Who is let in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use rcgen::{CertificateParams, KeyPair, SanType};

use super::auth::{Checks, Users, Verdict};
use super::config::{ClientAuth, TlsServerConfig};
use super::names::PasswordHash;
use super::{ReplaceError, Settings, Web, WebConfig, san};
use crate::settings::Secret;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// The cheapest hash there is.
fn hash(password: &str) -> PasswordHash {
    let hash = bcrypt::hash(password, 4).unwrap();
    PasswordHash::try_from(hash).unwrap()
}

fn headers(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
}

fn basic(credentials: &str) -> HeaderMap {
    headers(&format!("Basic {}", STANDARD.encode(credentials)))
}

#[tokio::test]
async fn only_users_and_tokens_of_the_file_are_known() {
    let passwords = BTreeMap::from([
        ("alice".to_owned(), hash("secret:with colon")),
        ("bob".to_owned(), hash("")),
    ]);
    let users = Users::new(passwords, vec!["first".to_owned(), "second".to_owned()]);
    let checks = Checks::new(Some(&Secret::from("own".to_owned())));
    let cases = [
        (basic("alice:secret:with colon"), Verdict::Known),
        (basic("alice:secret"), Verdict::Stranger),
        (basic("alice:"), Verdict::Stranger),
        (basic("bob:"), Verdict::Known),
        (basic("Alice:secret:with colon"), Verdict::Stranger),
        (basic("carol:secret:with colon"), Verdict::Stranger),
        (basic(":"), Verdict::Stranger),
        (basic("alice"), Verdict::Stranger),
        (headers("Basic"), Verdict::Stranger),
        (headers("Basic ???"), Verdict::Stranger),
        (headers("Bearer first"), Verdict::Known),
        (headers("bearer  second "), Verdict::Known),
        (headers("Bearer own"), Verdict::Known),
        (headers("Bearer fir"), Verdict::Stranger),
        (headers("Bearer "), Verdict::Stranger),
        (headers("Bearer firstsecond"), Verdict::Stranger),
        (headers("Digest first"), Verdict::Stranger),
        (HeaderMap::new(), Verdict::Stranger),
    ];
    // Twice: what is remembered says the same.
    for _ in 0..2 {
        for (headers, expected) in &cases {
            let verdict = checks.authenticate(&users, PEER, headers).await;
            assert_eq!(verdict, *expected, "{headers:?}");
        }
    }
    let nobody = Users::new(BTreeMap::new(), Vec::new());
    let verdict = checks.authenticate(&nobody, PEER, &HeaderMap::new()).await;
    assert_eq!(
        verdict,
        Verdict::Known,
        "everybody may where nobody is named"
    );
}

#[tokio::test]
async fn a_changed_password_is_not_remembered() {
    let users = |password: &str| {
        Users::new(
            BTreeMap::from([("alice".to_owned(), hash(password))]),
            Vec::new(),
        )
    };
    let checks = Checks::new(None);
    let (old, new) = (users("old"), users("new"));
    let shown = basic("alice:old");
    assert_eq!(
        checks.authenticate(&old, PEER, &shown).await,
        Verdict::Known
    );
    assert_eq!(
        checks.authenticate(&new, PEER, &shown).await,
        Verdict::Stranger
    );
    let shown = basic("alice:new");
    assert_eq!(
        checks.authenticate(&new, PEER, &shown).await,
        Verdict::Known
    );
}

#[tokio::test]
async fn who_is_no_user_any_more_is_a_stranger_whatever_their_hash_was() {
    let users = |name: &str, hash| {
        let passwords = BTreeMap::from([(name.to_owned(), hash)]);
        Users::new(passwords, Vec::new())
    };
    let of_cost_10 = |text: String| PasswordHash::try_from(text).unwrap();
    let bobs = of_cost_10(bcrypt::hash("y", 10).unwrap());
    // The hash that stands for nobody is that of a password, and somebody may have taken it over.
    let alices = of_cost_10(bobs.of_nobody());
    let (before, after) = (users("alice", alices), users("bob", bobs));
    let checks = Checks::new(None);
    let shown = basic("alice:fakepassword");
    assert_eq!(
        checks.authenticate(&before, PEER, &shown).await,
        Verdict::Known
    );
    assert_eq!(
        checks.authenticate(&after, PEER, &shown).await,
        Verdict::Stranger
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_do_not_push_out_who_belongs() {
    let passwords = BTreeMap::from([("alice".to_owned(), hash("right"))]);
    let users = Users::new(passwords, Vec::new());
    let checks = Checks::new(None);
    let shown = basic("alice:right");
    assert_eq!(
        checks.authenticate(&users, PEER, &shown).await,
        Verdict::Known
    );
    for guess in 0..1100 {
        let wrong = basic(&format!("alice:{guess}"));
        assert_eq!(
            checks.authenticate(&users, PEER, &wrong).await,
            Verdict::Stranger
        );
    }
    // More ask at once than may wait, none of whom was seen before.
    let guesses: Vec<_> = (0..300).map(|guess| basic(&format!("x{guess}:"))).collect();
    let asking = guesses
        .iter()
        .map(|headers| checks.authenticate(&users, PEER, headers));
    let asking = futures_util::future::join_all(asking);
    let known = async {
        let mut verdicts = Vec::new();
        for _ in 0..20 {
            verdicts.push(checks.authenticate(&users, PEER, &shown).await);
            tokio::task::yield_now().await;
        }
        verdicts
    };
    let (strangers, known) = tokio::join!(asking, known);
    assert!(strangers.contains(&Verdict::Busy), "the queue has a bound");
    assert!(!strangers.contains(&Verdict::Known));
    assert_eq!(known, vec![Verdict::Known; 20]);
}

#[tokio::test]
async fn one_peers_guesses_do_not_keep_others_from_their_checks() {
    let passwords = BTreeMap::from([("alice".to_owned(), hash("right"))]);
    let users = Users::new(passwords, Vec::new());
    let checks = Checks::new(None);
    let guesses: Vec<_> = (0..100)
        .map(|guess| basic(&format!("alice:{guess}")))
        .collect();
    let guessing = guesses
        .iter()
        .map(|shown| checks.authenticate(&users, PEER, shown));
    let guessing = futures_util::future::join_all(guessing);
    // A sender that comes after them, with many requests at once.
    let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    let shown = basic("alice:right");
    let sending = (0..50).map(|_| checks.authenticate(&users, other, &shown));
    let sending = futures_util::future::join_all(sending);
    let (strangers, sent) = tokio::join!(guessing, sending);
    let checked = strangers.iter().filter(|it| **it == Verdict::Stranger);
    // One whose turn is over makes room for one more.
    let checked = checked.count();
    assert!((4..10).contains(&checked), "{checked} of one peer");
    assert_eq!(sent, vec![Verdict::Known; 50]);
    // The places are free again.
    let verdict = checks
        .authenticate(&users, PEER, &basic("alice:last"))
        .await;
    assert_eq!(verdict, Verdict::Stranger);
}

#[test]
fn neither_tls_nor_who_may_is_taken_away_at_work() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let tls = |auth: ClientAuth| WebConfig {
        tls_server_config: TlsServerConfig {
            cert: Some(certificate.clone()),
            key: Some(key.serialize_pem().into()),
            client_ca: Some(certificate.clone()).filter(|_| auth != ClientAuth::NoClientCert),
            client_auth_type: Some(auth),
            ..TlsServerConfig::default()
        },
        ..WebConfig::default()
    };
    let token = |config: WebConfig| WebConfig {
        bearer_tokens: vec!["t".to_owned().into()],
        ..config
    };
    let (open, asks) = (WebConfig::default(), token(WebConfig::default()));
    let (plain_tls, mutual) = (
        tls(ClientAuth::NoClientCert),
        tls(ClientAuth::RequireAndVerifyClientCert),
    );
    let cases = [
        (&open, &asks, Ok(())),
        (&asks, &open, Err(ReplaceError::NoUsers)),
        (&open, &plain_tls, Err(ReplaceError::NewTls)),
        (&plain_tls, &open, Err(ReplaceError::NoTls)),
        (&mutual, &token(mutual.clone()), Ok(())),
        (&mutual, &token(plain_tls.clone()), Ok(())),
        (&mutual, &plain_tls, Err(ReplaceError::NoUsers)),
    ];
    for (index, (from, to, expected)) in cases.into_iter().enumerate() {
        let settings = |config| Settings::build(config, Path::new("")).unwrap();
        let web = Web::new(settings(from), None);
        assert_eq!(web.replace(settings(to)), expected, "case {index}");
    }
}

#[test]
fn hashes_that_are_none_or_too_expensive_are_refused() {
    let of = |text: &str| PasswordHash::try_from(text.to_owned());
    let body = "QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
    assert!(of(&format!("$2y$10${body}")).is_ok());
    assert!(of(&format!("$2b$16${body}")).is_ok());
    assert!(of(&format!("$2y$17${body}")).unwrap_err().contains("17"));
    for none in [
        "",
        "hunter2",
        "$2y$10$short",
        "$1$10$abc",
        &format!("$2y$99${body}x"),
    ] {
        let error = of(none).unwrap_err();
        assert!(
            none.is_empty() || !error.contains(none),
            "it shows: {error}"
        );
    }
}

#[test]
fn names_of_certificates_are_listed_as_go_does() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.subject_alt_names = vec![
        SanType::DnsName("sender.example".try_into().unwrap()),
        SanType::Rfc822Name("ops@example.org".try_into().unwrap()),
        SanType::URI("spiffe://cluster/prometheus".try_into().unwrap()),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress("2001:db8::1".parse().unwrap()),
    ];
    let certificate = params.self_signed(&key).unwrap();
    let expected = [
        "sender.example",
        "ops@example.org",
        "spiffe://cluster/prometheus",
        "127.0.0.1",
        "2001:db8::1",
    ];
    assert_eq!(san::names(certificate.der()).unwrap(), expected);
    let params = CertificateParams::new(Vec::<String>::new()).unwrap();
    let nameless = params.self_signed(&key).unwrap();
    assert!(san::names(nameless.der()).unwrap().is_empty());
}

#[test]
fn no_bytes_of_a_certificate_upset_the_reader_of_names() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["sender.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().to_vec();
    for end in 0..certificate.len() {
        assert_eq!(san::names(&certificate[..end]), None, "cut off at {end}");
    }
    for (at, byte) in (0..certificate.len()).flat_map(|at| [(at, 0), (at, 0x80), (at, 0xff)]) {
        let mut changed = certificate.clone();
        changed[at] = byte;
        drop(san::names(&changed));
    }
}
