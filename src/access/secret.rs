//! Secrets: how they are made, read and compared.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::KeyId;
use crate::domain::access::SecretDigest;

const KEY: &str = "ade_";
const SESSION: &str = "ades_";
const TICKET: &str = "adet_";

/// Random bytes of a secret.
const BYTES: usize = 32;
/// The longest text that can be one; no longer text is looked at.
pub const LONGEST: usize = 128;

/// The system has no random bytes to give.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes: {0}")]
pub struct NoEntropy(#[from] getrandom::Error);

/// A new secret, and what it is known by from now on.
pub struct Minted {
    pub text: SecretString,
    pub digest: SecretDigest,
}

impl Minted {
    /// `ade_<id>_<secret>`
    pub fn key(id: KeyId) -> Result<Self, NoEntropy> {
        Self::new(&format!("{KEY}{}_", id.ulid()))
    }

    pub fn session() -> Result<Self, NoEntropy> {
        Self::new(SESSION)
    }

    pub fn ticket() -> Result<Self, NoEntropy> {
        Self::new(TICKET)
    }

    fn new(prefix: &str) -> Result<Self, NoEntropy> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)?;
        let text = format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        Ok(Self { digest: digest(&text), text: text.into() })
    }
}

/// The digest of the whole text, so that a secret is good for the id that it was made for and no other.
pub fn digest(text: &str) -> SecretDigest {
    SecretDigest(Sha256::digest(text).into())
}

/// The id that a key names; none when it cannot be a key.
pub fn key_id(text: &str) -> Option<KeyId> {
    let (id, secret) = text.strip_prefix(KEY)?.split_once('_')?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?;
    if bytes.len() == BYTES { KeyId::parse(&format!("{}{id}", KeyId::PREFIX)).ok() } else { None }
}

/// Takes the same time whatever differs.
pub fn is_same(one: SecretDigest, other: SecretDigest) -> bool {
    one.0.ct_eq(&other.0).into()
}

/// What a page must send with each change beside its session's cookie: whoever has it can read answers of this origin.
pub fn csrf_token(session: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&format!("csrf {session}")).0)
}

/// As [`is_same`], of texts.
pub fn is_same_text(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_key_names_its_id_and_nothing_else_is_a_key() {
        let id = KeyId::generate();
        let key = Minted::key(id).unwrap();
        let text = key.text.expose_secret();
        assert_eq!((key_id(text), text.len()), (Some(id), 4 + 26 + 1 + 43));
        assert!(is_same(key.digest, digest(text)));
        let lower = text.replacen(&id.ulid().to_string(), &id.ulid().to_string().to_lowercase(), 1);
        let short = &text[..text.len() - 1];
        for wrong in
            ["", "ade_", "ade__", "ade_x_y", short, &format!("{text}A"), &lower, &text.replacen("ade", "ads", 1)]
        {
            assert_eq!(key_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn secrets_differ_and_a_digest_is_of_the_whole_text() {
        let id = KeyId::generate();
        let (one, two) = (Minted::key(id).unwrap(), Minted::key(id).unwrap());
        assert!(!is_same(one.digest, two.digest));
        let moved = one.text.expose_secret().replacen(&id.ulid().to_string(), &KeyId::generate().ulid().to_string(), 1);
        assert!(!is_same(one.digest, digest(&moved)), "a secret is good for its own id only");
        assert!(!format!("{:?}", one.text).contains(one.text.expose_secret()));
    }

    #[test]
    fn the_token_of_a_session_is_not_its_secret() {
        let session = Minted::session().unwrap();
        let text = session.text.expose_secret();
        assert_eq!(csrf_token(text), csrf_token(text));
        assert!(!csrf_token(text).contains(text) && !text.contains(&csrf_token(text)));
        assert!(is_same_text("a", "a") && !is_same_text("a", "b") && !is_same_text("a", ""));
    }
}
