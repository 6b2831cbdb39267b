//! What models were asked: `calls/<call_id>.prompt.json` in the execution's directory, beside the replies and for as long.
//!
//! Law: nothing depends on it. A prompt that cannot be kept is not there later, and the call is made all the same; so it
//! is not synced either.

use std::io;

use super::replies::CALLS;
use crate::blocking::blocking;
use crate::domain::CallId;
use crate::domain::call_prompt::{CallPrompt, MOST_KEPT, PromptMessage, PromptRole};
use crate::domain::progress::StepKey;
use crate::event::payload::execution::LlmCall;
use crate::files::{Location, is_absent};
use crate::llm::{Request, Role};

/// What the kept texts may have become as JSON, and what is around them.
const LARGEST: u64 = 8 * MOST_KEPT as u64;

/// Where an execution's prompts are kept; nowhere when the service is to keep none.
#[derive(Debug, Clone)]
pub struct Prompts(Option<Location>);

impl Prompts {
    pub fn of(execution_folder: impl Into<Location>, kept: bool) -> Self {
        Self(kept.then(|| execution_folder.into().join(CALLS)))
    }

    pub async fn keep(&self, of: &StepKey, call: &LlmCall, request: &Request) {
        let Some(folder) = &self.0 else { return };
        let (file, prompt) = (file(folder, call.call_id), prompt(of, call, request));
        let kept = blocking(move || {
            let (directory, name) = file.make_parent()?;
            directory.replace(name, &serde_json::to_vec(&prompt)?)
        });
        if let Err(error) = kept.await {
            tracing::warn!(call = %call.call_id, error = %error, "a prompt was not kept");
        }
    }
}

/// What was asked in a call; none where it was not kept, or was lost with the machine's power.
pub async fn load(execution_folder: &Location, id: CallId) -> io::Result<Option<CallPrompt>> {
    let file = file(&execution_folder.join(CALLS), id);
    blocking(move || match file.read(LARGEST) {
        Err(error) if is_absent(&error) => Ok(None),
        bytes => Ok(serde_json::from_slice(&bytes?).ok()),
    })
    .await
}

fn file(folder: &Location, id: CallId) -> Location {
    folder.join(format!("{id}.prompt.json"))
}

fn prompt(of: &StepKey, call: &LlmCall, request: &Request) -> CallPrompt {
    let system = PromptMessage { role: PromptRole::System, text: request.system.clone() };
    let system = Some(system).filter(|system| !system.text.is_empty());
    let said = request.messages.iter().map(|message| {
        let role = match message.role {
            Role::User => PromptRole::User,
            Role::Assistant => PromptRole::Assistant,
        };
        PromptMessage { role, text: message.text.clone() }
    });
    let prompt = CallPrompt {
        call_id: call.call_id,
        step_id: of.step_id.clone(),
        item: of.item.clone(),
        attempt: call.attempt,
        provider: call.provider.clone(),
        model: call.model.clone(),
        max_tokens: request.max_tokens,
        temperature: request.temperature,
        messages: system.into_iter().chain(said).collect(),
        left_out_bytes: 0,
    };
    prompt.bounded(MOST_KEPT)
}
