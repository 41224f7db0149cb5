//! Users and tokens: who sends a request.
//!
//! A password's check takes a processor tens of milliseconds. So it leaves the reactor, there is
//! one at a time, no more than [`WAITING`] wait for theirs, no more than [`OF_ONE_PEER`] of them
//! from one peer, and what came of it is remembered: those that were right apart from those that
//! were wrong, so that no number of wrong guesses makes the relay forget who belongs. Requests of
//! a peer that show the same password wait for the same check.
//!
//! What is compared and remembered are not passwords and tokens but their HMACs, with a key that
//! is drawn at the start: how long a look-up takes tells nothing of what was looked up, and a core
//! dump holds no password of anybody who is not just being served. A user who does not exist takes
//! as long as one who does.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::names::PasswordHash;
use crate::settings::Secret;

/// Passwords that wait to be checked.
const WAITING: usize = 64;
/// Of these from one peer.
const OF_ONE_PEER: usize = 4;
/// Requests of a peer that wait for the check of the same password: a sender has many in hand when
/// the relay starts and remembers nobody.
const OF_ONE_CHECK: usize = 64;
/// How long they do.
const PATIENCE: Duration = Duration::from_secs(5);
/// Checks that are remembered, of each kind.
const REMEMBERED: usize = 1024;

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Verdict {
    /// One who may.
    Known,
    /// Nobody who may.
    Stranger,
    /// Too many ask at the same time.
    Busy,
}

/// Who may.
pub(in crate::http) struct Users {
    passwords: BTreeMap<String, PasswordHash>,
    tokens: Vec<String>,
}

impl Users {
    pub(super) fn new(passwords: BTreeMap<String, PasswordHash>, tokens: Vec<String>) -> Self {
        Self { passwords, tokens }
    }

    pub(super) fn asks_who(&self) -> bool {
        !self.passwords.is_empty() || !self.tokens.is_empty()
    }

    pub(super) fn challenges(&self) -> impl Iterator<Item = &'static str> {
        let basic = (!self.passwords.is_empty()).then_some("Basic");
        let bearer = (!self.tokens.is_empty()).then_some("Bearer");
        basic.into_iter().chain(bearer)
    }
}

impl fmt::Display for Users {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (users, tokens) = (self.passwords.len(), self.tokens.len());
        write!(formatter, "{users} users, {tokens} tokens")
    }
}

/// The checks of a listener, and what came of them.
pub(super) struct Checks {
    key: hmac::Key,
    /// Who shows this one belongs to the relay itself.
    own_token: Option<hmac::Tag>,
    processor: Arc<Semaphore>,
    waiting: Queue,
    right: Arc<Memory>,
    wrong: Arc<Memory>,
}

impl Checks {
    pub(super) fn new(own_token: Option<&Secret>) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>());
        Self {
            own_token: own_token.map(|token| hmac::sign(&key, token.reveal().as_bytes())),
            key,
            processor: Arc::new(Semaphore::new(1)),
            waiting: Queue::default(),
            right: Arc::default(),
            wrong: Arc::default(),
        }
    }

    pub(super) async fn authenticate(
        &self,
        users: &Users,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Verdict {
        if !users.asks_who() {
            return Verdict::Known;
        }
        let shown = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let Some((scheme, credentials)) = shown.and_then(split_scheme) else {
            return Verdict::Stranger;
        };
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.check_token(users, credentials);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Verdict::Stranger;
        }
        let decoded = STANDARD.decode(credentials).ok();
        let Some((user, password)) = decoded.as_deref().and_then(split_password) else {
            return Verdict::Stranger;
        };
        self.check_password(users, peer, (user, password)).await
    }

    /// Compares with each token, whichever is the right one.
    fn check_token(&self, users: &Users, shown: &[u8]) -> Verdict {
        let shown = hmac::sign(&self.key, shown);
        let is_shown =
            |tag: &hmac::Tag| verify_slices_are_equal(tag.as_ref(), shown.as_ref()).is_ok();
        let tokens = users.tokens.iter();
        let tags = tokens.map(|token| hmac::sign(&self.key, token.as_bytes()));
        let own = self.own_token.as_ref().is_some_and(is_shown);
        let known = tags.fold(own, |known, tag| known | is_shown(&tag));
        if known {
            Verdict::Known
        } else {
            Verdict::Stranger
        }
    }

    async fn check_password(
        &self,
        users: &Users,
        peer: IpAddr,
        (user, password): (&[u8], &[u8]),
    ) -> Verdict {
        let name = std::str::from_utf8(user).ok();
        let known = name.and_then(|name| users.passwords.get(name));
        let hash = match (known, users.passwords.values().next()) {
            (Some(known), _) => known.text().to_owned(),
            (None, Some(any)) => any.of_nobody(),
            (None, None) => return Verdict::Stranger,
        };
        let is_user = known.is_some();
        let tag = self.tag(user, &hash, password);
        if let Some(verdict) = self.remembered(&tag, is_user) {
            return verdict;
        }
        let Some(_waiting) = self.waiting.begin(peer, tag) else {
            return Verdict::Busy;
        };
        let turn = timeout(PATIENCE, Arc::clone(&self.processor).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Verdict::Busy;
        };
        // Others with the same password may have had their turn in the meantime.
        if let Some(verdict) = self.remembered(&tag, is_user) {
            return verdict;
        }
        let password = password.to_vec();
        let (right, wrong) = (Arc::clone(&self.right), Arc::clone(&self.wrong));
        // What came of it is remembered there: a client that does not wait for it comes again.
        let check = tokio::task::spawn_blocking(move || {
            let is_right = is_user && bcrypt::verify(&password, &hash).unwrap_or(false);
            if !is_user {
                // For the time that it takes: who is a user is not told by that.
                let _nobody = bcrypt::verify(&password, &hash);
            }
            let memory = if is_right { right } else { wrong };
            memory.add(tag);
            drop(turn);
            is_right
        });
        if check.await.unwrap_or(false) {
            Verdict::Known
        } else {
            Verdict::Stranger
        }
    }

    /// What came of the same check before. Of who is no user nothing is taken for right: it could
    /// be from when they were one.
    fn remembered(&self, tag: &[u8; 32], is_user: bool) -> Option<Verdict> {
        if is_user && self.right.has(tag) {
            return Some(Verdict::Known);
        }
        self.wrong.has(tag).then_some(Verdict::Stranger)
    }

    /// Stands for a user, the hash in force and a password.
    fn tag(&self, user: &[u8], hash: &str, password: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user, hash.as_bytes(), password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

/// The passwords that wait, by peer, each with the number of requests that show it.
#[derive(Default)]
struct Queue(Mutex<HashMap<(IpAddr, [u8; 32]), usize>>);

impl Queue {
    /// A place for a request, if there is one.
    fn begin(&self, peer: IpAddr, tag: [u8; 32]) -> Option<Waiting<'_>> {
        let mut waiting = self.waiting();
        let of_peer = waiting.keys().filter(|(other, _)| *other == peer).count();
        let room = of_peer < OF_ONE_PEER && waiting.len() < WAITING;
        let requests = match waiting.get_mut(&(peer, tag)) {
            Some(requests) => requests,
            None if room => waiting.entry((peer, tag)).or_default(),
            None => return None,
        };
        if *requests >= OF_ONE_CHECK {
            return None;
        }
        *requests += 1;
        Some(Waiting(self, (peer, tag)))
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<(IpAddr, [u8; 32]), usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait, until it is dropped.
struct Waiting<'a>(&'a Queue, (IpAddr, [u8; 32]));

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        if let Some(requests) = waiting.get_mut(&self.1) {
            *requests -= 1;
            if *requests == 0 {
                waiting.remove(&self.1);
            }
        }
    }
}

/// The last tags, up to a number.
#[derive(Default)]
struct Memory(Mutex<Tags>);

#[derive(Default)]
struct Tags {
    known: HashSet<[u8; 32]>,
    /// From the oldest on.
    order: VecDeque<[u8; 32]>,
}

impl Memory {
    fn has(&self, tag: &[u8; 32]) -> bool {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.known.contains(tag)
    }

    fn add(&self, tag: [u8; 32]) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !memory.known.insert(tag) {
            return;
        }
        memory.order.push_back(tag);
        if memory.order.len() > REMEMBERED
            && let Some(oldest) = memory.order.pop_front()
        {
            memory.known.remove(&oldest);
        }
    }
}

/// A scheme, and what follows it.
fn split_scheme(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = header.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = header.split_at(space);
    Some((scheme, rest.trim_ascii()))
}

/// A user's name and password.
fn split_password(credentials: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = credentials.iter().position(|byte| *byte == b':')?;
    let (user, rest) = credentials.split_at(colon);
    rest.split_first().map(|(_, password)| (user, password))
}
