//! The language models that the settings speak of.

use secrecy::SecretString;

use crate::config::{LlmProvider, LlmSettings, StreamOptions, TokenLimit};
use crate::llm::{self, Models, ModelsError};

/// The language models of the settings. Wrong prices and a missing key are errors at the start.
pub fn models(settings: &LlmSettings) -> Result<Models, ModelsError> {
    let default = match settings.provider {
        LlmProvider::Builtin => llm::ProviderName::Builtin,
        LlmProvider::Anthropic => llm::ProviderName::Anthropic,
        LlmProvider::OpenAi => llm::ProviderName::OpenAi,
    };
    let endpoint =
        |base_url: &str, key: &Option<SecretString>| llm::Endpoint { base_url: base_url.to_owned(), key: key.clone() };
    let options = llm::Options {
        default,
        anthropic: endpoint(&settings.anthropic_base_url, &settings.anthropic_api_key),
        openai: endpoint(&settings.openai_base_url, &settings.openai_api_key),
        openai_parameters: openai_parameters(settings),
        limits: llm::Limits { total: settings.timeout, idle: settings.idle_timeout, ..llm::Limits::default() },
        ca_file: settings.ca_file.clone(),
    };
    let retries = llm::retry::Policy {
        max_attempts: u32::try_from(settings.max_attempts).unwrap_or(u32::MAX),
        delay: settings.retry_delay,
        max_delay: settings.retry_max_delay,
    };
    Models::new(options, retries, settings.prices.as_deref())
}

fn openai_parameters(settings: &LlmSettings) -> llm::Fixed {
    llm::Fixed {
        stream_options: match settings.openai_stream_options {
            StreamOptions::Auto => None,
            StreamOptions::On => Some(true),
            StreamOptions::Off => Some(false),
        },
        token_limit: match settings.openai_token_limit {
            TokenLimit::Auto => None,
            TokenLimit::MaxTokens => Some(llm::TokenLimit::MaxTokens),
            TokenLimit::MaxCompletionTokens => Some(llm::TokenLimit::MaxCompletionTokens),
        },
    }
}
