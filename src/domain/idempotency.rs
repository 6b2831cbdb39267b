//! Requests that may be sent twice: under one key, one request is done once.

use std::time::Duration;

/// How long a key is remembered.
pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest key.
pub const MAX_LENGTH: usize = 128;

/// A caller's name for one request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to {MAX_LENGTH} visible ASCII characters")]
pub struct InvalidKey;

impl IdempotencyKey {
    pub fn parse(text: &[u8]) -> Result<Self, InvalidKey> {
        let is_valid = (1..=MAX_LENGTH).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(text) {
            Ok(text) if is_valid => Ok(Self(text.to_owned())),
            _ => Err(InvalidKey),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request under its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Keys of different callers have nothing to do with each other.
    pub caller: String,
    pub key: IdempotencyKey,
    /// Two requests with the same digest ask for the same.
    pub request_digest: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_visible() {
        for good in ["a", "0b5c-~!\"", &"k".repeat(128)] {
            assert_eq!(IdempotencyKey::parse(good.as_bytes()).map(|key| key.as_str().to_owned()), Ok(good.to_owned()));
        }
        for bad in [&b""[..], b"a b", b"a\t", "\u{e9}".as_bytes(), b"\xff", &[b'k'; 129]] {
            assert_eq!(IdempotencyKey::parse(bad), Err(InvalidKey));
        }
    }
}
