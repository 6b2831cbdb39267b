//! Sign-in by a provider of OpenID Connect: authorization code with PKCE.
//!
//! Laws. A sign-in ends in the browser that began it, once, and within [`attempt::LIFE`]. Nothing that a provider says
//! counts before its signature, issuer, audience, times and nonce have been checked; what is allowed is decided here, by the
//! operator's list of groups. Whatever a provider does takes bounded time and memory, and the service starts and
//! works without it.

pub mod mapping;
mod attempt;
mod claims;
mod client;
mod provider;
mod sign_in;
mod token;

pub use attempt::{Begun, ReturnTo};
pub use mapping::{GroupRole, Mapping};
pub use provider::ProviderFault;
pub use sign_in::{BeginError, Callback, FinishError, Finished, Oidc, Options, SetUpError};
