//! One sign-in on its way: what the browser keeps of it.
//!
//! Invariant: everything that a sign-in needs is made of one secret, which the browser has in a cookie and nobody else. So
//! beginning one costs the service no memory, and nobody's can be pushed out by whoever begins many. What is remembered is
//! which have been used, until they are over.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How long somebody may take to sign in at the provider.
pub const LIFE: Duration = Duration::from_secs(10 * 60);
/// Used ones that are remembered. Beyond that the oldest are forgotten: their code is used at the provider, too.
const MAX_USED: usize = 100_000;
/// Bytes of a path to return to.
const MAX_RETURN: usize = 1024;
/// A cookie that is longer is none of ours.
const MAX_COOKIE: usize = 4096;
const SECRET: usize = 32;

type Secret = [u8; SECRET];

/// Where a browser goes when it has been signed in: a path of this origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// What is allowed, in words.
    pub const ALLOWED: &'static str = "a path of this service, such as /, of at most 1024 visible ASCII characters";

    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Nothing that a browser could take for another origin: `//host`, `/\host`, or either with blanks in between, which
    /// browsers leave out.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let is_path = text.starts_with('/') && !text.starts_with("//");
        (is_path && is_plain && text.len() <= MAX_RETURN).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a browser is sent away with.
pub struct Begun {
    /// Of the provider.
    pub url: String,
    /// The value of the cookie.
    pub cookie: String,
}

/// A sign-in that was begun.
pub struct Attempt {
    secret: Secret,
    pub return_to: ReturnTo,
    expires: DateTime<Utc>,
}

/// There are no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes: {0}")]
pub struct NoEntropy(#[from] getrandom::Error);

fn random() -> Result<Secret, NoEntropy> {
    let mut bytes = [0; SECRET];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

impl Attempt {
    pub fn begin(return_to: ReturnTo, now: DateTime<Utc>) -> Result<Self, NoEntropy> {
        Ok(Self { secret: random()?, return_to, expires: now + LIFE })
    }

    /// Comes back beside the code.
    pub fn state(&self) -> String {
        self.derived("state")
    }

    /// Comes back inside the ID token.
    pub fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// Shown when the code is traded.
    pub fn verifier(&self) -> String {
        self.derived("pkce")
    }

    /// 43 characters that say nothing of the secret, nor of each other.
    fn derived(&self, what: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(what).chain_update(self.secret).finalize())
    }

    pub fn has_state(&self, shown: &str) -> bool {
        self.state().as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

/// Writes and reads the cookies of this process, and knows which were used.
pub struct Attempts {
    key: Secret,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    all: HashSet<Secret>,
    in_order: VecDeque<(Instant, Secret)>,
}

impl Attempts {
    pub fn new() -> Result<Self, NoEntropy> {
        Ok(Self { key: random()?, used: Mutex::default() })
    }

    pub fn seal(&self, attempt: &Attempt) -> String {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let (secret, expires) = (encode(&attempt.secret), attempt.expires.timestamp());
        let text = format!("{secret}.{expires}.{}", encode(attempt.return_to.0.as_bytes()));
        let mac = encode(&self.mac(&text).finalize().into_bytes());
        format!("{text}.{mac}")
    }

    /// None when this process has not written it, or it is over.
    pub fn open(&self, cookie: &str, now: DateTime<Utc>) -> Option<Attempt> {
        let (text, mac) = cookie.rsplit_once('.').filter(|_| cookie.len() <= MAX_COOKIE)?;
        self.mac(text).verify_slice(&decode(mac)?).ok()?;
        let mut parts = text.split('.');
        let (secret, expires, path) = (decode(parts.next()?)?, parts.next()?.parse().ok()?, decode(parts.next()?)?);
        let expires = DateTime::from_timestamp(expires, 0).filter(|expires| now < *expires)?;
        let return_to = ReturnTo::parse(std::str::from_utf8(&path).ok()?)?;
        Some(Attempt { secret: secret.try_into().ok()?, return_to, expires })
    }

    /// False when it was used before.
    pub fn use_up(&self, attempt: &Attempt) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let Used { all, in_order } = &mut *used;
        // Each is remembered for a whole life from here on, so they are over in the order in which they were used.
        while in_order.front().is_some_and(|(at, _)| in_order.len() >= MAX_USED || at.elapsed() > LIFE) {
            if let Some((_, oldest)) = in_order.pop_front() {
                all.remove(&oldest);
            }
        }
        let digest: Secret = Sha256::digest(attempt.secret).into();
        let is_new = all.insert(digest);
        if is_new {
            in_order.push_back((Instant::now(), digest));
        }
        is_new
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key may have any length");
        mac.update(text.as_bytes());
        mac
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn attempt(now: DateTime<Utc>) -> Attempt {
        Attempt::begin(ReturnTo::parse("/runs?x=1#top").unwrap(), now).unwrap()
    }

    #[test]
    fn only_a_path_of_this_origin_is_returned_to() {
        for good in ["/", "/runs", "/a//b", "/a?next=https://evil.example", "/#//evil.example", "/%2F%2Fevil.example"] {
            assert_eq!(ReturnTo::parse(good).unwrap().as_str(), good);
        }
        let long = format!("/{}", "a".repeat(MAX_RETURN));
        for evil in [
            "",
            "evil.example",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "https:/evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " /",
            "/a b",
            "/a\r\nSet-Cookie: x=y",
            "/\u{e4}",
            &long,
        ] {
            assert_eq!(ReturnTo::parse(evil), None, "{evil:?}");
        }
    }

    #[test]
    fn a_cookie_comes_back_whole_and_in_time_or_not_at_all() {
        let (attempts, now) = (Attempts::new().unwrap(), Utc::now());
        let attempt = attempt(now);
        let cookie = attempts.seal(&attempt);
        let opened = attempts.open(&cookie, now).unwrap();
        assert_eq!((opened.state(), &opened.return_to), (attempt.state(), &attempt.return_to));
        assert!(opened.has_state(&attempt.state()) && !opened.has_state("") && !opened.has_state(&attempt.nonce()));

        let late = now + LIFE + TimeDelta::seconds(1);
        assert!(attempts.open(&cookie, late).is_none());
        assert!(Attempts::new().unwrap().open(&cookie, now).is_none(), "of another process");
        for at in 0..cookie.len() {
            let mut changed = cookie.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(attempts.open(&changed, now).is_none(), "{changed}");
        }
        for other in ["", ".", "...", "a.b.c.d", &"x".repeat(10_000)] {
            assert!(attempts.open(other, now).is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_derived_differs_and_can_be_sent() {
        let attempt = attempt(Utc::now());
        let derived = [attempt.state(), attempt.nonce(), attempt.verifier()];
        assert_eq!(derived.iter().collect::<HashSet<_>>().len(), 3);
        assert!(derived.iter().all(|text| text.len() == 43), "a verifier has 43 characters at least");
        let secret = BASE64_URL_SAFE_NO_PAD.encode(attempt.secret);
        assert!(!derived.contains(&secret));
    }

    #[test]
    fn an_attempt_is_used_once() {
        let (attempts, now) = (Attempts::new().unwrap(), Utc::now());
        let (one, other) = (attempt(now), attempt(now));
        assert!(attempts.use_up(&one) && attempts.use_up(&other));
        assert!(!attempts.use_up(&one) && !attempts.use_up(&other));
    }
}
