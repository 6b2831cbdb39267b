//! What calls cost.
//!
//! Invariant: whole micro-dollars, rounded once per call, to the nearest, a half up. A model without a price has none: no
//! name is completed, and none is taken for another.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;
use serde::Deserialize;

use super::{ProviderName, Usage};
use crate::domain::money::MicroUsd;

const DEFAULTS: &str = include_str!("prices.toml");
const PER: i128 = 1_000_000;

/// The prices in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceTable {
    steps: BTreeMap<(ProviderName, String), Vec<Price>>,
}

/// Dollars per million tokens, for prompts up to a length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    pub as_of: NaiveDate,
    pub up_to_prompt_tokens: Option<u64>,
    pub input: MicroUsd,
    pub output: MicroUsd,
    pub cache_read: Option<MicroUsd>,
    pub cache_write: Option<MicroUsd>,
}

/// Why a file of prices cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    #[error("prices {path}: {reason}")]
    File { path: String, reason: String },
    #[error("prices {path}: {provider} {model} has two prices for prompts {bound}")]
    Twice { path: String, provider: &'static str, model: String, bound: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    price: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    provider: ProviderName,
    model: String,
    #[serde(default)]
    aliases: Vec<String>,
    as_of: NaiveDate,
    up_to_prompt_tokens: Option<u64>,
    input: MicroUsd,
    output: MicroUsd,
    cache_read: Option<MicroUsd>,
    cache_write: Option<MicroUsd>,
}

impl PriceTable {
    /// The prices in the binary.
    pub fn builtin() -> Self {
        let steps = parse(DEFAULTS, "of the binary").expect("a test reads the prices in the binary");
        Self { steps }
    }

    /// The same, with a file's on top.
    pub fn load(file: Option<&Path>) -> Result<Self, PricesError> {
        let Some(file) = file else { return Ok(Self::builtin()) };
        let path = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| PricesError::File { path: path.clone(), reason: error.to_string() })?;
        Self::builtin().overlaid(&text, &path)
    }

    /// What a call costs; none if the model, or something that it has used, has no price.
    pub fn price(&self, provider: ProviderName, model: &str, usage: &Usage) -> Option<MicroUsd> {
        let steps = self.steps.get(&(provider, model.to_owned()))?;
        let price = steps.iter().find(|price| price.up_to_prompt_tokens.is_none_or(|most| usage.prompt() <= most))?;
        price.of(usage)
    }

    fn overlaid(mut self, text: &str, path: &str) -> Result<Self, PricesError> {
        self.steps.extend(parse(text, path)?);
        Ok(self)
    }
}

impl Price {
    fn of(&self, usage: &Usage) -> Option<MicroUsd> {
        let cost = |tokens: u64, rate: Option<MicroUsd>| match (tokens, rate) {
            (0, _) => Some(0),
            (tokens, rate) => Some(i128::from(tokens) * i128::from(rate?.0)),
        };
        let sum = cost(usage.input, Some(self.input))?
            + cost(usage.output, Some(self.output))?
            + cost(usage.cache_read, self.cache_read)?
            + cost(usage.cache_write, self.cache_write)?;
        i64::try_from((sum + PER / 2) / PER).ok().map(MicroUsd)
    }
}

/// Steps by model, the shortest prompts first and no bound last.
fn parse(text: &str, path: &str) -> Result<BTreeMap<(ProviderName, String), Vec<Price>>, PricesError> {
    let document: Document = toml::from_str(text).map_err(|error| PricesError::File {
        path: path.to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    })?;
    let mut steps: BTreeMap<_, Vec<Price>> = BTreeMap::new();
    for entry in document.price {
        let names = std::iter::once(entry.model.clone()).chain(entry.aliases.clone());
        for name in names {
            let prices = steps.entry((entry.provider, name)).or_default();
            if prices.iter().any(|price| price.up_to_prompt_tokens == entry.up_to_prompt_tokens) {
                return Err(twice(path, &entry));
            }
            prices.push(entry.price());
            prices.sort_by_key(|price| price.up_to_prompt_tokens.unwrap_or(u64::MAX));
        }
    }
    Ok(steps)
}

fn twice(path: &str, entry: &Entry) -> PricesError {
    let bound = entry.up_to_prompt_tokens.map_or("of any length".to_owned(), |most| format!("up to {most} tokens"));
    PricesError::Twice { path: path.to_owned(), provider: entry.provider.as_str(), model: entry.model.clone(), bound }
}

impl Entry {
    fn price(&self) -> Price {
        Price {
            as_of: self.as_of,
            up_to_prompt_tokens: self.up_to_prompt_tokens,
            input: self.input,
            output: self.output,
            cache_read: self.cache_read,
            cache_write: self.cache_write,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use ProviderName::{Anthropic, Builtin, OpenAi};

    fn usage(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Usage {
        Usage { input, output, cache_read, cache_write }
    }

    #[test]
    fn the_prices_in_the_binary_are_read() {
        let table = PriceTable::builtin();
        let million = usage(1_000_000, 1_000_000, 1_000_000, 1_000_000);
        for (provider, model, dollars) in [
            (Anthropic, "claude-opus-5-5", "29.200000"),
            (Anthropic, "claude-sonnet-5-5", "14.600000"),
            (Anthropic, "claude-haiku-4-5", "7.350000"),
            (Anthropic, "claude-haiku-4-5-20251001", "7.350000"),
            (Builtin, "builtin-small", "1.837500"),
        ] {
            assert_eq!(table.price(provider, model, &million).unwrap().to_string(), dollars, "{model}");
        }
    }

    #[test]
    fn an_unknown_model_has_no_price_and_never_anothers() {
        let table = PriceTable::builtin();
        let some = usage(10, 10, 0, 0);
        for (provider, model) in [
            (Anthropic, "claude-opus-5-5-20261001"),
            (Anthropic, "claude"),
            (Anthropic, "opus"),
            (Anthropic, ""),
            (Anthropic, "CLAUDE-OPUS-5-5"),
            (OpenAi, "claude-opus-5-5"),
            (Builtin, "claude-opus-5-5"),
            (Builtin, "builtin"),
        ] {
            assert_eq!(table.price(provider, model, &some), None, "{model}");
        }
    }

    #[test]
    fn tokens_of_a_kind_without_a_price_leave_the_call_without_one() {
        let table = PriceTable::builtin();
        assert!(table.price(OpenAi, "gpt-4.1", &usage(10, 10, 10, 0)).is_some());
        assert_eq!(table.price(OpenAi, "gpt-4.1", &usage(10, 10, 0, 1)), None);
    }

    #[test]
    fn long_prompts_are_priced_by_their_own_step_or_not_at_all() {
        let table = PriceTable::builtin();
        let haiku =
            |input, cached| table.price(Anthropic, "claude-haiku-5-5", &usage(input, 1_000, cached, 0)).unwrap();
        assert_eq!(haiku(100_000, 0), MicroUsd(10_000 + 500));
        assert_eq!(haiku(50_000, 50_001), MicroUsd(25_000 + 2_500 + 2_500));
        assert_eq!(haiku(100_001, 0), MicroUsd(50_001 + 2_500));
        assert!(table.price(OpenAi, "gpt-6-luna", &usage(272_000, 0, 0, 0)).is_some());
        assert_eq!(table.price(OpenAi, "gpt-6-luna", &usage(272_001, 0, 0, 0)), None);
    }

    #[test]
    fn a_call_is_rounded_once_to_the_nearest_a_half_up() {
        let text = r#"
            [[price]]
            provider = "openai"
            model = "m"
            as_of = "2026-01-01"
            input = "0.25"
            output = "0.5"
            cache_read = "0.000001"
        "#;
        let table = PriceTable::builtin().overlaid(text, "test").unwrap();
        for (input, output, cache_read, expected) in [
            (0, 0, 0, 0),
            (1, 0, 0, 0),
            (2, 0, 0, 1),
            (1, 1, 0, 1),
            (3, 1, 0, 1),
            (5, 1, 0, 2),
            (2, 2, 0, 2),
            (0, 0, 499_999, 0),
            (0, 0, 500_000, 1),
        ] {
            let cost = table.price(OpenAi, "m", &usage(input, output, cache_read, 0));
            assert_eq!(cost, Some(MicroUsd(expected)), "{input} {output} {cache_read}");
        }
    }

    #[test]
    fn a_file_replaces_what_it_names_and_adds_the_rest() {
        let text = r#"
            [[price]]
            provider = "anthropic"
            model = "claude-haiku-5-5"
            as_of = "2027-01-01"
            input = "7"
            output = "8"
            [[price]]
            provider = "openai"
            model = "llama"
            as_of = "2027-01-01"
            input = "0"
            output = "0"
        "#;
        let table = PriceTable::builtin().overlaid(text, "test").unwrap();
        let some = usage(1_000_000, 0, 0, 0);
        assert_eq!(table.price(Anthropic, "claude-haiku-5-5", &some), Some(MicroUsd(7_000_000)));
        assert_eq!(table.price(OpenAi, "llama", &some), Some(MicroUsd(0)));
        assert_eq!(table.price(Anthropic, "claude-opus-5", &some), Some(MicroUsd(5_000_000)));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let entry =
            "[[price]]\nprovider = \"openai\"\nmodel = \"m\"\nas_of = \"2026-01-01\"\ninput = \"1\"\noutput = \"1\"\n";
        for (text, expected) in [
            (entry.replace("\"1\"\n", "1.5\n"), "input"),
            (entry.replace("openai", "nobody"), "provider"),
            (entry.replace("2026-01-01", "yesterday"), "as_of"),
            (format!("{entry}surcharge = 1\n"), "surcharge"),
            (entry.replace("output", "outpt"), "outpt"),
            (format!("{entry}{entry}"), "openai m has two prices for prompts of any length"),
        ] {
            let error = PriceTable::builtin().overlaid(&text, "the-file.toml").unwrap_err().to_string();
            assert!(error.starts_with("prices the-file.toml: ") && error.contains(expected), "{error}");
        }
        let error = PriceTable::load(Some(Path::new("/nowhere/prices.toml"))).unwrap_err().to_string();
        assert!(error.starts_with("prices /nowhere/prices.toml: "), "{error}");
    }

    proptest! {
        #[test]
        fn no_call_is_off_by_more_than_half_a_millionth(input in 0_u64..10_000_000, output in 0_u64..10_000_000) {
            let cost = PriceTable::builtin().price(Anthropic, "claude-haiku-4-5", &usage(input, output, 0, 0)).unwrap();
            let exact = i128::from(input) * 1_000_000 + i128::from(output) * 5_000_000;
            let off = i128::from(cost.0) * 1_000_000 - exact;
            prop_assert!((-500_000 < off) && (off <= 500_000));
        }
    }
}
