//! Small words with one spelling: ids, keys, amounts.

use super::idempotency::IdempotencyKey;
use super::money::MicroUsd;
use super::{RunId, StreamId, WorkspaceId};
use crate::domain::text::{clipped, is_identifier};

/// What is read is written again as it was.
pub fn words(bytes: &[u8]) {
    if let Ok(key) = IdempotencyKey::parse(bytes) {
        assert_eq!(key.as_str().as_bytes(), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(id) = StreamId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    assert!(RunId::parse(text).is_ok_and(|id| id.to_string() == text) || RunId::parse(text).is_err());
    assert!(WorkspaceId::parse(text).is_err() || RunId::parse(text).is_err(), "an id is of one kind");
    if let Ok(amount) = MicroUsd::parse(text) {
        assert_eq!(MicroUsd::parse(&amount.to_string()), Ok(amount));
    }
    for bytes in [0, 1, 3, 10, 200] {
        let cut = clipped(text, bytes);
        assert!(cut == text || cut.len() <= bytes.max(3) && text.starts_with(cut.trim_end_matches('\u{2026}')));
    }
    assert!(!is_identifier(text) || text.is_ascii() && text.len() <= 64);
}
