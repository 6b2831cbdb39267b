//! The parameters of chat completions that servers disagree about. Pure, but for what is remembered.
//!
//! Invariant: after a refusal the call is repeated once, without the parameter or with its other name, and what the server
//! accepts is remembered for the lifetime of the process. Parameters fixed by the settings are sent as they are.

use std::sync::{Mutex, PoisonError};

/// How the settings fix what is sent; what they leave open is found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Whether `stream_options` is sent, which asks for the count of tokens.
    pub stream_options: Option<bool>,
    pub token_limit: Option<TokenLimit>,
}

/// The name of the most that the model may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenLimit {
    MaxTokens,
    MaxCompletionTokens,
}

impl TokenLimit {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::MaxTokens => Self::MaxCompletionTokens,
            Self::MaxCompletionTokens => Self::MaxTokens,
        }
    }
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub stream_options: bool,
    pub token_limit: TokenLimit,
}

/// What a server is known to take.
pub struct Known {
    fixed: Fixed,
    sent: Mutex<Sent>,
}

impl Known {
    /// OpenAI itself refuses `max_tokens` for newer models, others do not know `max_completion_tokens`.
    pub fn new(fixed: Fixed, is_openai: bool) -> Self {
        let usual = if is_openai { TokenLimit::MaxCompletionTokens } else { TokenLimit::MaxTokens };
        let sent = Sent {
            stream_options: fixed.stream_options.unwrap_or(true),
            token_limit: fixed.token_limit.unwrap_or(usual),
        };
        Self { fixed, sent: Mutex::new(sent) }
    }

    pub fn sent(&self) -> Sent {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server takes this.
    pub fn learn(&self, taken: Sent) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = taken;
    }
}

/// What one call has tried.
pub struct Trial {
    pub sent: Sent,
    may_leave_out: bool,
    may_rename: bool,
}

impl Trial {
    pub fn new(known: &Known) -> Self {
        let sent = known.sent();
        Self {
            sent,
            may_leave_out: sent.stream_options && known.fixed.stream_options.is_none(),
            may_rename: known.fixed.token_limit.is_none(),
        }
    }

    /// Something else is to be sent after this refusal. Each parameter is changed once.
    pub fn goes_on(&mut self, refusal: &str) -> bool {
        let leaves_out = self.may_leave_out && refuses(refusal, "stream_options");
        let renames = self.may_rename && refuses(refusal, self.sent.token_limit.as_str());
        if leaves_out {
            self.may_leave_out = false;
            self.sent.stream_options = false;
        }
        if renames {
            self.may_rename = false;
            self.sent.token_limit = self.sent.token_limit.other();
        }
        leaves_out || renames
    }
}

/// How servers say that they do not know a parameter, in lower case.
const UNKNOWN: [&str; 15] = [
    "unsupported",
    "not supported",
    "not support",
    "unrecognized",
    "unknown",
    "unexpected",
    "extra_forbidden",
    "extra inputs",
    "extra fields",
    "not permitted",
    "not allowed",
    "not a valid",
    "not implemented",
    "additional properties",
    "invalid parameter",
];
/// How they say that its value is of no use.
const VALUE: [&str; 4] = ["too large", "exceed", "maximum", "at most"];

/// Whether a refusal says that the server does not know this parameter.
fn refuses(refusal: &str, parameter: &str) -> bool {
    let refusal = refusal.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| refusal.contains(phrase));
    names(&refusal, parameter) && says(&UNKNOWN) && !says(&VALUE)
}

/// Whether a text has the name, as a word of its own.
fn names(text: &str, name: &str) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(name)
        .any(|(at, _)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + name.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = "Unknown parameters: stream_options, max_tokens, max_completion_tokens";

    #[test]
    fn what_is_fixed_is_not_changed() {
        let fixed = Fixed { stream_options: Some(true), token_limit: Some(TokenLimit::MaxTokens) };
        let mut trial = Trial::new(&Known::new(fixed, true));
        assert_eq!(trial.sent, Sent { stream_options: true, token_limit: TokenLimit::MaxTokens });
        assert!(!trial.goes_on(REFUSED));
        let known = Known::new(Fixed { stream_options: Some(false), ..Fixed::default() }, true);
        assert_eq!(known.sent(), Sent { stream_options: false, token_limit: TokenLimit::MaxCompletionTokens });
    }

    #[test]
    fn each_parameter_is_changed_once() {
        let known = Known::new(Fixed::default(), false);
        let mut trial = Trial::new(&known);
        assert!(trial.goes_on(REFUSED) && !trial.goes_on(REFUSED));
        let changed = Sent { stream_options: false, token_limit: TokenLimit::MaxCompletionTokens };
        assert_eq!((trial.sent, known.sent().stream_options), (changed, true));
        known.learn(trial.sent);
        assert_eq!(known.sent(), changed);
        let mut again = Trial::new(&known);
        assert!(again.goes_on(REFUSED), "another model may want the other name");
        assert_eq!(again.sent.token_limit, TokenLimit::MaxTokens);
    }

    #[test]
    fn a_name_is_a_word() {
        for (text, expected) in [
            ("'max_tokens'", true),
            ("max_tokens", true),
            ("max_tokens_to_sample", false),
            ("new_max_tokens", false),
            ("new_max_tokens or max_tokens", true),
            ("gr\u{fc}max_tokens\u{fc}", true),
        ] {
            assert_eq!(names(text, "max_tokens"), expected, "{text}");
        }
    }
}
