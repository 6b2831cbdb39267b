//! The ID token, checked.
//!
//! Invariant: it is signed by a key of the provider, by an algorithm for which the provider alone has the key: never none,
//! never a secret that this service knows too.

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    ClaimsVerificationError, ClientId, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    IdTokenFields, IdTokenVerifier, Nonce, SignatureVerificationError, StandardErrorResponse, StandardTokenResponse,
};

use super::attempt::LIFE;
use super::claims::{Claims, Further};
use super::provider::Known;

/// Clocks may differ by so much.
const SKEW: TimeDelta = TimeDelta::seconds(60);

pub type IdToken =
    openidconnect::IdToken<Further, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

type Fields = IdTokenFields<
    Further,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// The library's client, for tokens with whatever claims.
pub type CodeClient = openidconnect::Client<
    Further,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What a token may be signed by.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The claims of a token that is good.
pub fn check(
    token: &IdToken,
    known: &Known,
    client_id: &ClientId,
    nonce: &Nonce,
) -> Result<Claims, ClaimsVerificationError> {
    let metadata = &known.metadata;
    let (issuer, keys) = (metadata.issuer().clone(), metadata.jwks().clone());
    let verifier = IdTokenVerifier::new_public_client(client_id.clone(), issuer, keys)
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(|| Utc::now() - SKEW)
        .set_issue_time_verifier_fn(|issued| check_issue_time(issued, Utc::now()));
    let claims = token.claims(&verifier, nonce)?;
    // The library leaves this open. A token for somebody else that lists this client too is not for it.
    match claims.authorized_party() {
        Some(party) if party != client_id => {
            Err(ClaimsVerificationError::InvalidAudience(format!("the authorized party is {}", party.as_str())))
        }
        _ => Ok(claims.clone()),
    }
}

/// It is made when its code is traded, which is within the life of a sign-in.
fn check_issue_time(issued: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), String> {
    if issued > now + SKEW || issued < now - LIFE - SKEW { Err(format!("issued at {issued}")) } else { Ok(()) }
}

/// Whether other keys could make it good.
pub fn may_have_another_key(error: &ClaimsVerificationError) -> bool {
    use SignatureVerificationError::{AmbiguousKeyId, CryptoError, NoMatchingKey};
    matches!(error, ClaimsVerificationError::SignatureVerification(NoMatchingKey | CryptoError(_) | AmbiguousKeyId(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_now_or_a_little_before() {
        let now = Utc::now();
        let life = TimeDelta::from_std(LIFE).unwrap();
        for good in [now, now + SKEW, now - life] {
            assert!(check_issue_time(good, now).is_ok(), "{good}");
        }
        for wrong in [now + SKEW * 2, now - life - SKEW * 2, DateTime::UNIX_EPOCH] {
            assert!(check_issue_time(wrong, now).is_err(), "{wrong}");
        }
    }
}
