//! Why a call brought no reply, in kinds that a ledger can count.

use std::time::Duration;

use crate::domain::status::text_enum;

/// Characters of a provider's message that are kept.
const MESSAGE_CHARS: usize = 500;

/// Why a call brought no reply. No text of it contains a key.
///
/// A dropped call has no error: whoever drops it records [`ErrorKind::Cancelled`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    #[error("the provider limits the rate of requests: {message}")]
    RateLimited { retry_after: Option<Duration>, message: String },
    /// 5xx, and 529 for overloaded.
    #[error("the provider failed ({status}): {message}")]
    Server { status: u16, retry_after: Option<Duration>, message: String },
    #[error("the provider {wait} within {limit:?}")]
    Timeout { wait: Wait, limit: Duration },
    #[error("the connection to the provider failed: {reason}")]
    Transport { reason: String },
    #[error("malformed reply from the provider: {reason}")]
    Malformed { reason: String },
    #[error("the reply is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// 4xx: the same request would be refused again.
    #[error("the provider refused the request ({status}): {message}")]
    Refused { status: u16, message: String },
    #[error("the provider refused the key ({status}): {message}")]
    Authentication { status: u16, message: String },
    /// The builtin provider has no document for the schema.
    #[error("the builtin provider cannot answer: {reason}")]
    Unanswerable { reason: String },
}

/// What a call waited for when it timed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Total,
    Idle,
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Total => "did not finish its reply",
            Self::Idle => "said nothing",
        })
    }
}

text_enum! {
    /// The kind of an error, as the ledger has it.
    #[derive(PartialOrd, Ord)]
    ErrorKind {
        RateLimited = "rate_limited",
        Server = "server",
        Timeout = "timeout",
        Transport = "transport",
        Malformed = "malformed",
        TooLarge = "too_large",
        Refused = "refused",
        Authentication = "authentication",
        Unanswerable = "unanswerable",
        /// The caller dropped the call.
        Cancelled = "cancelled",
        /// The process died during the call.
        Interrupted = "interrupted",
    }
}

impl ProviderError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::RateLimited { .. } => ErrorKind::RateLimited,
            Self::Server { .. } => ErrorKind::Server,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Transport { .. } => ErrorKind::Transport,
            Self::Malformed { .. } => ErrorKind::Malformed,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Refused { .. } => ErrorKind::Refused,
            Self::Authentication { .. } => ErrorKind::Authentication,
            Self::Unanswerable { .. } => ErrorKind::Unanswerable,
        }
    }

    /// The same, with the key removed from the provider's message, which is bounded only then: a cut might leave a part
    /// of the key.
    pub(super) fn redacted(mut self, key: Option<&str>) -> Self {
        let text = match &mut self {
            Self::RateLimited { message, .. }
            | Self::Server { message, .. }
            | Self::Refused { message, .. }
            | Self::Authentication { message, .. } => Some(message),
            Self::Transport { reason } | Self::Malformed { reason } | Self::Unanswerable { reason } => Some(reason),
            Self::Timeout { .. } | Self::TooLarge { .. } => None,
        };
        if let Some(text) = text {
            *text = bounded(key.map_or_else(|| text.clone(), |key| text.replace(key, "***")));
        }
        self
    }

    /// What a status that is no success means.
    pub(super) fn of_status(status: u16, retry_after: Option<Duration>, message: String) -> Self {
        match status {
            401 | 403 => Self::Authentication { status, message },
            429 => Self::RateLimited { retry_after, message },
            // The server timed out waiting for us, which says nothing about the request.
            408 | 500.. => Self::Server { status, retry_after, message },
            _ => Self::Refused { status, message },
        }
    }
}

/// A provider's sentence, on one line.
pub(super) fn sentence(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn bounded(text: String) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_means_what_the_providers_say_it_means() {
        let kind = |status| ProviderError::of_status(status, None, String::new()).kind();
        for (status, expected) in [
            (301, ErrorKind::Refused),
            (400, ErrorKind::Refused),
            (401, ErrorKind::Authentication),
            (402, ErrorKind::Refused),
            (403, ErrorKind::Authentication),
            (404, ErrorKind::Refused),
            (408, ErrorKind::Server),
            (413, ErrorKind::Refused),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Server),
            (503, ErrorKind::Server),
            (529, ErrorKind::Server),
        ] {
            assert_eq!(kind(status), expected, "{status}");
        }
    }

    #[test]
    fn a_kind_survives_its_word() {
        for &kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(ErrorKind::parse("unknown"), None);
    }

    #[test]
    fn a_sentence_is_bounded_and_on_one_line() {
        assert_eq!(sentence(" a\n b\t c "), "a b c");
        let redacted = |reason: String, key| match (ProviderError::Transport { reason }).redacted(key) {
            ProviderError::Transport { reason } => reason,
            other => panic!("{other}"),
        };
        let long = redacted("ä".repeat(2_000), None);
        assert_eq!(long.chars().count(), MESSAGE_CHARS + 3);
        assert!(long.ends_with("..."));
        let cut = redacted(format!("{}the key", "ä".repeat(MESSAGE_CHARS - 2)), Some("the key"));
        assert_eq!(cut, format!("{}**...", "ä".repeat(MESSAGE_CHARS - 2)));
    }
}
