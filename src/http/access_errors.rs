//! Errors of who gets in, with what, and where, as problems: one exhaustive mapping each, as in [`super::errors`].

use super::problem::{Code, Problem};
use crate::access::book::Refused;
use crate::access::{CreateKeyError, GrantError};
use crate::oidc::{BeginError, FinishError, ProviderFault};
use crate::store::AddMemberError;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::NothingShown => Code::SignInRequired,
            Refused::Csrf => Code::CsrfTokenRequired,
            Refused::Malformed(_) | Refused::Unknown | Refused::NoSession | Refused::NoTicket => {
                Code::CredentialsRefused
            }
        };
        Self::new(code, refused.to_string())
    }
}

impl From<CreateKeyError> for Problem {
    fn from(error: CreateKeyError) -> Self {
        match error {
            CreateKeyError::Fault(fault) => Self::invalid(fault.member, fault.allowed),
            CreateKeyError::Full(_) => Self::new(Code::TooManyKeys, error.to_string()),
            CreateKeyError::Entropy(error) => Self::internal(error),
            CreateKeyError::Store(error) => error.into(),
        }
    }
}

impl From<AddMemberError> for Problem {
    fn from(error: AddMemberError) -> Self {
        match error {
            AddMemberError::WorkspaceGone => Self::not_found("the workspace"),
            AddMemberError::AlreadyMember => Self::new(Code::AlreadyMember, error.to_string()),
            AddMemberError::TooManyOfHolder | AddMemberError::TooMany => {
                Self::new(Code::TooManyMembers, error.to_string())
            }
            AddMemberError::Store(error) => error.into(),
        }
    }
}

impl From<GrantError> for Problem {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::NoKey => Self::new(Code::NothingToTrade, error.to_string()),
            GrantError::Full(_) => Self::new(Code::TooManySessions, error.to_string()),
            GrantError::Entropy(error) => Self::internal(error),
            GrantError::Store(error) => error.into(),
        }
    }
}

impl From<BeginError> for Problem {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Provider(fault) => fault.into(),
            BeginError::Busy => Self::new(Code::ProviderUnavailable, error.to_string()),
            BeginError::Entropy(error) => Self::internal(error),
        }
    }
}

impl From<FinishError> for Problem {
    fn from(error: FinishError) -> Self {
        match error {
            FinishError::NotBegun(why) => Self::new(Code::SignInNotBegun, why),
            FinishError::Refused(ref reason) => {
                tracing::warn!(reason, "the provider has refused a sign-in");
                Self::new(Code::SignInRefused, error.to_string()).with("reason", reason.as_str())
            }
            FinishError::Provider(fault) => fault.into(),
            FinishError::Busy => Self::new(Code::ProviderUnavailable, error.to_string()),
            FinishError::Untrusted(_) => untrusted(&error),
        }
    }
}

impl From<ProviderFault> for Problem {
    fn from(fault: ProviderFault) -> Self {
        match fault {
            // Its reason names addresses inside, and is in the log.
            ProviderFault::Unanswered(_) => Self::new(Code::ProviderUnavailable, Code::ProviderUnavailable.title()),
            ProviderFault::Unusable(_) => untrusted(&fault),
        }
    }
}

fn untrusted(why: &dyn std::error::Error) -> Problem {
    tracing::error!(error = %why, "nobody is signed in by this provider");
    Problem::new(Code::ProviderUntrusted, Code::ProviderUntrusted.advice())
}
