//! A sign-in from its beginning to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use openidconnect::core::{CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType};
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope as TokenScope, StandardErrorResponse, TokenResponse as _,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::attempt::{Attempt, Attempts, Begun, NoEntropy, ReturnTo};
use super::claims::{self, Claims};
use super::client::{Client, Unanswered};
use super::mapping::Mapping;
use super::provider::{Known, Provider, ProviderFault};
use super::token::{self, CodeClient, IdToken};
use crate::domain::principal::{Identity, Role, Scope};
use crate::outbound::{CertificatesError, tls};

/// Sign-ins that ask the provider something at once. One more is told to come back.
const AT_ONCE: usize = 32;
/// What a provider is shown longer than this, it has not given.
const MAX_CODE: usize = 4096;

/// What the operator has set.
#[derive(Debug, Clone)]
pub struct Options {
    pub issuer: String,
    /// What people call it.
    pub name: String,
    pub client_id: String,
    pub client_secret: Option<SecretString>,
    /// Where the provider sends browsers back to.
    pub redirect_url: String,
    pub scopes: Vec<String>,
    pub groups_claim: String,
    pub mapping: Mapping,
    pub session_life: Duration,
    pub ca_file: Option<PathBuf>,
}

/// It cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    #[error("{0} is no URL")]
    Url(String),
}

/// Nothing was begun.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    #[error("too many sign-ins at once")]
    Busy,
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// Nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// By this browser, within the time, and not yet finished.
    #[error("{0}")]
    NotBegun(&'static str),
    /// By the provider, or by the person there; its word for it.
    #[error("the provider has refused it: {0}")]
    Refused(String),
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    #[error("too many sign-ins at once")]
    Busy,
    /// What it says is not to be believed; why is for the log.
    #[error("the provider's token is not good: {0}")]
    Untrusted(String),
}

/// What a provider sends a browser back with.
#[derive(Debug, Default)]
pub struct Callback {
    pub state: Option<String>,
    pub code: Option<String>,
    pub error: Option<String>,
    /// RFC 9207: who says it.
    pub issuer: Option<String>,
}

/// Who has come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub identity: Identity,
    pub name: String,
    /// None when no group of theirs allows anything.
    pub allowed: Option<(Role, Scope)>,
    pub return_to: ReturnTo,
}

/// A handle; clones share it.
#[derive(Clone)]
pub struct Oidc(Arc<Inner>);

struct Inner {
    name: String,
    provider: Provider,
    attempts: Attempts,
    client_id: ClientId,
    client_secret: Option<SecretString>,
    redirect_url: RedirectUrl,
    scopes: Vec<String>,
    groups_claim: String,
    mapping: Mapping,
    session_life: Duration,
    at_once: Semaphore,
}

impl Oidc {
    /// Asks nobody anything.
    pub fn new(options: Options) -> Result<Self, SetUpError> {
        let Options { issuer, client_id, client_secret, redirect_url, scopes, groups_claim, .. } = options;
        let issuer = IssuerUrl::new(issuer.clone()).map_err(|_| SetUpError::Url(issuer))?;
        let redirect_url = RedirectUrl::new(redirect_url.clone()).map_err(|_| SetUpError::Url(redirect_url))?;
        Ok(Self(Arc::new(Inner {
            name: options.name,
            provider: Provider::new(issuer, Client::new(tls::trusting(options.ca_file.as_deref())?)),
            attempts: Attempts::new()?,
            client_id: ClientId::new(client_id),
            client_secret,
            redirect_url,
            scopes,
            groups_claim,
            mapping: options.mapping,
            session_life: options.session_life,
            at_once: Semaphore::new(AT_ONCE),
        })))
    }

    pub fn issuer(&self) -> &str {
        self.0.provider.issuer()
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether browsers see this service by TLS.
    pub fn is_https(&self) -> bool {
        self.0.redirect_url.url().scheme() == "https"
    }

    pub fn session_life(&self) -> Duration {
        self.0.session_life
    }

    /// Where the browser is to go, and what it is to keep.
    pub async fn begin(&self, return_to: ReturnTo) -> Result<Begun, BeginError> {
        let _turn = self.0.at_once.try_acquire().map_err(|_| BeginError::Busy)?;
        let known = self.0.provider.known().await?;
        let attempt = Attempt::begin(return_to, Utc::now())?;
        let (state, nonce) = (CsrfToken::new(attempt.state()), Nonce::new(attempt.nonce()));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(attempt.verifier()));
        let client = self.client(&known);
        let url = client.authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce);
        let url = url.add_scopes(self.0.scopes.iter().cloned().map(TokenScope::new));
        let (url, ..) = url.set_pkce_challenge(challenge).url();
        Ok(Begun { url: url.into(), cookie: self.0.attempts.seal(&attempt) })
    }

    /// Who has signed in. The attempt is used up, whatever comes of it.
    pub async fn finish(&self, cookie: Option<&str>, callback: Callback) -> Result<Finished, FinishError> {
        let _turn = self.0.at_once.try_acquire().map_err(|_| FinishError::Busy)?;
        let attempt = self.attempt_of(cookie, callback.state.as_deref())?;
        if callback.issuer.is_some_and(|issuer| issuer != self.0.provider.issuer()) {
            return Err(FinishError::Untrusted("another issuer has answered".to_owned()));
        }
        if let Some(error) = callback.error {
            return Err(FinishError::Refused(word(&error)));
        }
        let code = callback.code.filter(|code| !code.is_empty() && code.len() <= MAX_CODE);
        let code = code.ok_or(FinishError::NotBegun("the provider has sent no code"))?;
        let known = self.0.provider.known().await?;
        let token = self.trade(&known, &attempt, code).await?;
        let claims = self.checked(known, &token, &Nonce::new(attempt.nonce())).await?;
        self.finished(&claims, attempt.return_to)
    }

    fn attempt_of(&self, cookie: Option<&str>, state: Option<&str>) -> Result<Attempt, FinishError> {
        let cookie = cookie.ok_or(FinishError::NotBegun("this browser has begun no sign-in"))?;
        let attempt = self.0.attempts.open(cookie, Utc::now());
        let attempt =
            attempt.ok_or(FinishError::NotBegun("the sign-in has taken too long, or the service was restarted"))?;
        if !state.is_some_and(|state| attempt.has_state(state)) {
            return Err(FinishError::NotBegun("this is another sign-in than the last that this browser has begun"));
        }
        // Before anybody is asked: of two that come at once, one goes on.
        if !self.0.attempts.use_up(&attempt) {
            return Err(FinishError::NotBegun("the sign-in is finished"));
        }
        Ok(attempt)
    }

    /// The code for a token, at the provider.
    async fn trade(&self, known: &Known, attempt: &Attempt, code: String) -> Result<IdToken, FinishError> {
        let unusable = || ProviderFault::Unusable("it names no token endpoint".to_owned());
        let client = self.client(known);
        let request = client.exchange_code(AuthorizationCode::new(code)).map_err(|_| unusable())?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier()));
        let tokens = request.request_async(&self.0.provider.client).await.map_err(of_trade)?;
        tokens.id_token().cloned().ok_or_else(|| FinishError::Untrusted("there is no ID token".to_owned()))
    }

    /// With the keys that are known; or else with those that the provider has now.
    async fn checked(&self, known: Arc<Known>, token: &IdToken, nonce: &Nonce) -> Result<Claims, FinishError> {
        let untrusted = |error: openidconnect::ClaimsVerificationError| FinishError::Untrusted(with_cause(&error));
        match token::check(token, &known, &self.0.client_id, nonce) {
            Err(error) if token::may_have_another_key(&error) => {
                let known = self.0.provider.renewed(&known).await?;
                token::check(token, &known, &self.0.client_id, nonce).map_err(untrusted)
            }
            checked => checked.map_err(untrusted),
        }
    }

    fn finished(&self, claims: &Claims, return_to: ReturnTo) -> Result<Finished, FinishError> {
        let subject =
            claims::subject(claims).ok_or_else(|| FinishError::Untrusted("its subject is none".to_owned()))?;
        let identity = Identity { issuer: claims.issuer().as_str().to_owned(), subject };
        let allowed = self.0.mapping.of(&claims::groups(claims, &self.0.groups_claim));
        Ok(Finished { identity, name: claims::name(claims), allowed, return_to })
    }

    fn client(&self, known: &Known) -> CodeClient {
        let secret = self.0.client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let methods = known.metadata.token_endpoint_auth_methods_supported();
        let has = |method| methods.is_some_and(|methods| methods.contains(&method));
        // The first is what every provider has that does not say otherwise.
        let in_body = has(CoreClientAuthMethod::ClientSecretPost) && !has(CoreClientAuthMethod::ClientSecretBasic);
        let client = CodeClient::from_provider_metadata(known.metadata.clone(), self.0.client_id.clone(), secret);
        let client = client.set_redirect_uri(self.0.redirect_url.clone());
        client.set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth })
    }
}

type TradeError = RequestTokenError<Unanswered, StandardErrorResponse<CoreErrorResponseType>>;

fn of_trade(error: TradeError) -> FinishError {
    match error {
        RequestTokenError::ServerResponse(refusal) => FinishError::Refused(word(refusal.error().as_ref())),
        RequestTokenError::Request(unanswered) => ProviderFault::Unanswered(unanswered.to_string()).into(),
        // Its body may have tokens in it.
        RequestTokenError::Parse(error, _) => {
            FinishError::Untrusted(format!("no answer of a token endpoint: {}", error.path()))
        }
        RequestTokenError::Other(what) => ProviderFault::Unanswered(what).into(),
    }
}

/// A code of an error, as the standards have them: nothing that a page or a log could stumble over.
fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        "unknown".to_owned()
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_calls_an_error_is_a_word() {
        for good in ["access_denied", "login_required", "AADSTS50105"] {
            assert_eq!(word(good), good);
        }
        for other in ["", "a b", "<b>", "a\nb", &"x".repeat(65)] {
            assert_eq!(word(other), "unknown", "{other:?}");
        }
    }
}
