//! Tells who presents a token.

use std::error::Error;

use async_trait::async_trait;

use crate::domain::access::Caller;
use crate::domain::timestamp::Timestamp;

/// Checks tokens that other services issue.
#[async_trait]
pub trait TokenVerifier: Send + Sync {
    /// The caller that `token` speaks for at `now`.
    ///
    /// # Errors
    /// [`TokenError::Rejected`] if the token proves nothing; [`TokenError::Unavailable`] if that cannot be told right now.
    async fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, TokenError>;
}

/// Why a token names no caller.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token is not good. The reason is for the log: whoever presents the token only learns that it was refused.
    #[error("the token was refused")]
    Rejected(#[source] Rejection),
    /// What the check needs could not be reached; the token may be good.
    #[error("the token could not be checked")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Longer than any honest token.
    #[error("it is too long")]
    TooLong,
    /// Not in the form of a token, signed with an unheard-of algorithm (such as `none`), or a claim has the wrong type.
    #[error("it is malformed")]
    Malformed,
    /// Signed with an algorithm that is not accepted here.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// No trusted key fits it.
    #[error("no trusted key fits it")]
    UnknownKey,
    /// The signature is not by the key.
    #[error("its signature is wrong")]
    Signature,
    /// It says no end of its life.
    #[error("it has no expiry")]
    NoExpiry,
    /// Its life is over.
    #[error("it has expired")]
    Expired,
    /// Its life has not begun, or it claims to be issued in the future.
    #[error("it is not valid yet")]
    NotYetValid,
    /// By another issuer than the trusted one.
    #[error("its issuer is not the trusted one")]
    Issuer,
    /// For another service.
    #[error("it is meant for another audience")]
    Audience,
    /// Good for getting new tokens, not for access.
    #[error("it is a refresh token")]
    Refresh,
    /// It names nobody.
    #[error("its subject is missing or unusable")]
    Subject,
    /// It names an organization that cannot be one.
    #[error("its organization is not an identifier")]
    Organization,
    /// It must be bound to an organization and is not.
    #[error("it is of a user or a device, has rights and names no organization")]
    Unbound,
}
