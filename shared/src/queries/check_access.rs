//! Says who presents a credential, and what that allows.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use crate::domain::access::{ApiKey, ApiKeySecret, Caller, KeyDigest, Scope};
use crate::domain::timestamp::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::key_store::KeyStore;
use crate::ports::store_error::StoreError;
use crate::ports::token_verifier::{TokenError, TokenVerifier};

/// What checking needs.
pub struct CheckAccessPorts<'a> {
    /// Where keys are kept.
    pub keys: &'a dyn KeyStore,
    /// Checks tokens; without one, no token is good.
    pub tokens: Option<&'a dyn TokenVerifier>,
    /// Says what has expired.
    pub clock: &'a dyn Clock,
    /// Keys seen lately.
    pub cache: &'a KeyCache,
}

/// What a caller presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// `X-API-Key`, or a bearer token that starts as keys do.
    Key(ApiKeySecret),
    /// `Authorization: Bearer`. `Debug` shows nothing of it.
    Token(BearerToken),
}

/// A bearer token. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(pub String);

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("BearerToken(…)")
    }
}

/// Why a credential was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The credential is not known, has expired, or is not well-formed.
    #[error("the credential is not valid")]
    Invalid,
    /// It could not be checked.
    #[error("the credential could not be checked")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Keys seen lately, and digests that are no key, each for [`KeyCache::SECONDS`].
pub struct KeyCache {
    seen: Mutex<LruCache<KeyDigest, (Timestamp, Option<ApiKey>)>>,
    bootstrap: Option<ApiKey>,
}

impl KeyCache {
    /// How long a revoked key may still be accepted by one process.
    pub const SECONDS: i64 = 5;

    /// An empty cache. `bootstrap` is a digest of the key that an operator starts with: it is
    /// accepted without being in the table, with every scope.
    #[must_use]
    pub fn new(bootstrap: Option<KeyDigest>) -> Self {
        const KEYS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
        let bootstrap = bootstrap.map(|digest| ApiKey {
            digest,
            name: "bootstrap".to_owned(),
            scopes: Scope::ALL.to_vec(),
            organization: None,
            created_at: Timestamp::MIN,
            expires_at: None,
        });
        Self { seen: Mutex::new(LruCache::new(KEYS)), bootstrap }
    }

    fn get(&self, digest: &KeyDigest, now: Timestamp) -> Seen {
        if let Some(key) = self.bootstrap.as_ref().filter(|key| key.digest == *digest) {
            return Seen::Key(key.clone());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(digest) {
            Some((at, key)) if (0..Self::SECONDS * 1_000_000).contains(&(now.micros() - at.micros())) => {
                key.clone().map_or(Seen::NoKey, Seen::Key)
            }
            Some(_) | None => Seen::Never,
        }
    }

    fn put(&self, digest: KeyDigest, now: Timestamp, key: Option<ApiKey>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).put(digest, (now, key));
    }
}

/// What a cache knows of a digest.
enum Seen {
    Key(ApiKey),
    NoKey,
    Never,
}

/// Who presents the credential.
///
/// # Errors
/// [`AccessError`] if it is not valid or cannot be checked.
pub async fn check_access(ports: &CheckAccessPorts<'_>, credential: &Credential) -> Result<Caller, AccessError> {
    let now = ports.clock.now();
    match credential {
        Credential::Key(secret) => {
            let digest = secret.digest();
            let key = match ports.cache.get(&digest, now) {
                Seen::Key(key) => Some(key),
                Seen::NoKey => None,
                Seen::Never => {
                    let key = ports.keys.key(&digest).await.map_err(|error: StoreError| AccessError::Unavailable(error.into()))?;
                    ports.cache.put(digest, now, key.clone());
                    key
                }
            };
            key.and_then(|key| key.caller(now)).ok_or(AccessError::Invalid)
        }
        Credential::Token(token) => {
            let verifier = ports.tokens.ok_or(AccessError::Invalid)?;
            verifier.verify(&token.0, now).await.map_err(|error| match error {
                TokenError::Rejected(reason) => {
                    tracing::debug!(%reason, "a token was rejected");
                    AccessError::Invalid
                }
                error @ TokenError::Unavailable(_) => AccessError::Unavailable(error.into()),
            })
        }
    }
}
