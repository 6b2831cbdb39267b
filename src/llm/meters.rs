//! What calls of language models have come to since the start of the service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{ProviderName, Usage};
use crate::meter::Histogram;

/// The calls of one provider.
#[derive(Debug)]
pub struct ProviderMeters {
    pub provider: ProviderName,
    pub latency: Histogram,
    totals: Mutex<Totals>,
}

/// Sums; a call takes seconds, so that a lock is no matter.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Totals {
    /// By what came of them: `ok`, or the kind of the error.
    pub calls: BTreeMap<&'static str, u64>,
    pub usage: Usage,
    /// Of the calls whose price is known.
    pub cost_micro_usd: u64,
}

/// The meters of all providers.
#[derive(Debug, Clone)]
pub struct CallMeters(Arc<[ProviderMeters]>);

impl Default for CallMeters {
    fn default() -> Self {
        let of = |provider: &ProviderName| ProviderMeters {
            provider: *provider,
            latency: Histogram::of_durations(),
            totals: Mutex::default(),
        };
        Self(ProviderName::ALL.iter().map(of).collect())
    }
}

impl CallMeters {
    pub fn count(
        &self,
        provider: ProviderName,
        outcome: &'static str,
        usage: Usage,
        cost_micro_usd: u64,
        took: Duration,
    ) {
        let Some(meters) = self.0.iter().find(|meters| meters.provider == provider) else { return };
        meters.latency.observe_time(took);
        let mut totals = meters.totals.lock().unwrap_or_else(PoisonError::into_inner);
        *totals.calls.entry(outcome).or_default() += 1;
        totals.usage.add(usage);
        totals.cost_micro_usd += cost_micro_usd;
    }

    pub fn iter(&self) -> impl Iterator<Item = &ProviderMeters> {
        self.0.iter()
    }
}

impl ProviderMeters {
    pub fn totals(&self) -> Totals {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
