//! What a model was asked in one call, as it is kept beside the call's reply.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::CallId;
use super::status::text_enum;

/// Bytes of texts that are kept of one call. More than a prompt has, unless `ADE_LLM_MAX_PROMPT` was raised.
pub const MOST_KEPT: usize = 1 << 20;

text_enum! {
    /// Who says something in a prompt.
    PromptRole { System = "system", User = "user", Assistant = "assistant" }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PromptMessage {
    pub role: PromptRole,
    pub text: String,
}

/// A call's request, without what only its connection needs: keys and addresses are in none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallPrompt {
    pub call_id: CallId,
    pub step_id: String,
    /// Of a step that runs once for each.
    pub item: Option<String>,
    /// Of the step, from 1.
    pub attempt: u32,
    pub provider: String,
    pub model: String,
    pub max_tokens: u32,
    pub temperature: Option<f64>,
    /// In the order in which they were sent.
    pub messages: Vec<PromptMessage>,
    /// What is not kept of the texts, from their end; 0 of nearly all.
    pub left_out_bytes: u64,
}

impl CallPrompt {
    /// At most so many bytes of texts, the first ones first.
    pub fn bounded(mut self, most: usize) -> Self {
        let mut room = most;
        for PromptMessage { text, .. } in &mut self.messages {
            let kept = text.floor_char_boundary(room);
            self.left_out_bytes += (text.len() - kept) as u64;
            text.truncate(kept);
            room -= kept;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_much_the_beginning_is_kept_and_what_is_missing_is_counted() {
        let message = |role, text: &str| PromptMessage { role, text: text.to_owned() };
        let prompt = CallPrompt {
            call_id: CallId::generate(),
            step_id: "plan".into(),
            item: None,
            attempt: 1,
            provider: "builtin".into(),
            model: "m".into(),
            max_tokens: 1,
            temperature: None,
            messages: vec![
                message(PromptRole::System, "abc"),
                message(PromptRole::User, "dé"),
                message(PromptRole::User, "f"),
            ],
            left_out_bytes: 0,
        };
        for (most, texts, left_out) in
            [(7, ["abc", "dé", "f"], 0), (6, ["abc", "dé", ""], 1), (5, ["abc", "d", "f"], 2), (0, ["", "", ""], 7)]
        {
            let kept = prompt.clone().bounded(most);
            assert_eq!(kept.messages.iter().map(|it| it.text.as_str()).collect::<Vec<_>>(), texts, "{most}");
            assert_eq!(kept.left_out_bytes, left_out, "{most}");
        }
        assert_eq!(prompt.clone().bounded(MOST_KEPT), prompt);
    }
}
