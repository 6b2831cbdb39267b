//! What is known of the provider: its addresses and its keys.
//!
//! Invariant: a document is fetched when it is needed, by one caller for all who wait, and kept for an hour. Keys are
//! fetched again when a token is signed by another, a few times a minute at most; a provider that does not answer is not
//! asked again at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openidconnect::core::{CoreJsonWebKeySet, CoreProviderMetadata};
use openidconnect::{DiscoveryError, IssuerUrl};
use tokio::sync::Mutex;

use super::client::{Client, Unanswered};

const KEPT: Duration = Duration::from_secs(60 * 60);
/// What failed is asked for again after this.
const PAUSE: Duration = Duration::from_secs(1);
/// Keys are fetched again so often within a minute.
const RENEWALS: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);

/// The provider cannot be asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProviderFault {
    /// It may answer later.
    #[error("the provider does not answer: {0}")]
    Unanswered(String),
    /// It has said something that cannot be worked with.
    #[error("the provider's description cannot be used: {0}")]
    Unusable(String),
}

/// As it was at one time.
pub struct Known {
    pub metadata: CoreProviderMetadata,
    fetched: Instant,
}

pub struct Provider {
    issuer: IssuerUrl,
    pub client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<Arc<Known>>,
    failed: Option<(Instant, ProviderFault)>,
    renewals: VecDeque<Instant>,
}

impl Provider {
    pub fn new(issuer: IssuerUrl, client: Client) -> Self {
        Self { issuer, client, state: Mutex::default() }
    }

    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// Its description, fetched if need be.
    pub async fn known(&self) -> Result<Arc<Known>, ProviderFault> {
        let mut state = self.state.lock().await;
        if let Some(known) = state.known.as_ref().filter(|known| known.fetched.elapsed() < KEPT) {
            return Ok(known.clone());
        }
        if let Some((_, fault)) = state.failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE) {
            return Err(fault.clone());
        }
        match self.discover().await {
            Ok(known) => {
                state.failed = None;
                Ok(state.known.insert(Arc::new(known)).clone())
            }
            Err(fault) => {
                self.complain(&fault);
                state.failed = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    /// With other keys than `old` has, if there are any by now.
    pub async fn renewed(&self, old: &Arc<Known>) -> Result<Arc<Known>, ProviderFault> {
        let mut state = self.state.lock().await;
        // Somebody else was quicker.
        if let Some(known) = state.known.as_ref().filter(|known| !Arc::ptr_eq(known, old)) {
            return Ok(known.clone());
        }
        if !state.may_renew() {
            return Ok(old.clone());
        }
        state.renewals.push_back(Instant::now());
        let keys = CoreJsonWebKeySet::fetch_async(old.metadata.jwks_uri(), &self.client).await;
        let keys = keys.map_err(of_discovery).inspect_err(|fault| self.complain(fault))?;
        tracing::info!(issuer = self.issuer.as_str(), keys = keys.keys().len(), "keys of the provider fetched again");
        let known = Known { metadata: old.metadata.clone().set_jwks(keys), fetched: old.fetched };
        Ok(state.known.insert(Arc::new(known)).clone())
    }

    fn complain(&self, fault: &ProviderFault) {
        tracing::warn!(error = %fault, issuer = self.issuer(), "the provider of OpenID Connect cannot be asked");
    }

    async fn discover(&self) -> Result<Known, ProviderFault> {
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.client);
        let metadata = found.await.map_err(of_discovery)?;
        check_addresses(&self.issuer, &metadata)?;
        Ok(Known { metadata, fetched: Instant::now() })
    }
}

impl State {
    fn may_renew(&mut self) -> bool {
        self.renewals.retain(|at| at.elapsed() < MINUTE);
        self.renewals.len() < RENEWALS
    }
}

/// A provider that is asked by TLS names no address without it: a secret and codes go there.
fn check_addresses(issuer: &IssuerUrl, metadata: &CoreProviderMetadata) -> Result<(), ProviderFault> {
    let token = metadata.token_endpoint().map(|url| url.url());
    let token = token.ok_or_else(|| ProviderFault::Unusable("it names no token endpoint".to_owned()))?;
    let all = [metadata.authorization_endpoint().url(), metadata.jwks_uri().url(), token];
    let is_allowed = |scheme: &str| scheme == "https" || scheme == "http" && issuer.url().scheme() == "http";
    match all.into_iter().find(|url| !is_allowed(url.scheme())) {
        Some(url) => Err(ProviderFault::Unusable(format!("{url} is not https"))),
        None => Ok(()),
    }
}

fn of_discovery(error: DiscoveryError<Unanswered>) -> ProviderFault {
    match error {
        DiscoveryError::Request(unanswered) => ProviderFault::Unanswered(unanswered.to_string()),
        // Its body may be anything.
        DiscoveryError::Response(status, ..) => ProviderFault::Unanswered(format!("it answers {status}")),
        DiscoveryError::Parse(error) => ProviderFault::Unusable(error.to_string()),
        other => ProviderFault::Unusable(other.to_string()),
    }
}
