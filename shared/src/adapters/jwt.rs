//! JSON web tokens (RFC 7519) as [`TokenVerifier`]: HS256 by a shared secret, RS256 and ES256 by published keys.
//!
//! What is checked, in this order: the length, the algorithm, the signature, the times, the issuer, the audience, the
//! kind of token, and last what the claims allow. The algorithm belongs to the key and never to the token: a token's `alg` only
//! chooses among the keys of that algorithm, so a public key is never taken for a shared secret.
//!
//! The JWT library checks the form and the signature. Times are checked here, against the caller's clock, because the library
//! reads the system's.

mod claims;
mod keys;
mod provider;
mod remote;
mod rights;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use self::claims::Claims;
use self::keys::{Key, KeyAlgorithm, MAX_JWKS_BYTES, Wanted};
use self::remote::{FETCH_TIMEOUT, RemoteKeys};
use crate::domain::access::Caller;
use crate::domain::timestamp::Timestamp;
use crate::ports::token_verifier::{Rejection, TokenError, TokenVerifier};

pub use self::keys::JwksError;
pub use self::remote::{JwksUrl, JwksUrlError};
pub use self::rights::{RightsMap, RightsMapError};

/// The most bytes that a token may have: it travels in one header, whose usual limit this is.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Which tokens are trusted, and what they allow.
#[derive(Debug, Clone)]
pub struct JwtConfig {
    /// Where the keys come from. A token is good if any of the keys fits it.
    pub keys: Vec<JwtKeySource>,
    /// What `iss` must be; None accepts any.
    pub issuer: Option<String>,
    /// What `aud` must be or hold; None accepts any.
    pub audience: Option<String>,
    /// What the words of `scope` allow.
    pub rights: RightsMap,
}

/// Where keys come from.
#[derive(Debug, Clone)]
pub enum JwtKeySource {
    /// The secret of HS256, shared with the issuer. Several of them are a rotation.
    Hs256Secret(Hs256Secret),
    /// A file with a JSON web key set, read once.
    JwksFile(PathBuf),
    /// The address of a JSON web key set, fetched when needed and kept for ten minutes.
    JwksUrl(JwksUrl),
}

/// The secret of HS256. Its `Debug` shows nothing of it.
///
/// Invariant: at least [`Hs256Secret::MIN_BYTES`] long.
#[derive(Clone)]
pub struct Hs256Secret(Vec<u8>);

impl Hs256Secret {
    /// The fewest bytes that a secret may have. RFC 7518, 3.2 asks for as many as the hash has: whoever holds one token can
    /// search for a shorter secret at leisure, and with it sign as anybody.
    pub const MIN_BYTES: usize = 32;
}

impl TryFrom<Vec<u8>> for Hs256Secret {
    type Error = SecretTooShort;

    fn try_from(bytes: Vec<u8>) -> Result<Self, SecretTooShort> {
        if bytes.len() < Self::MIN_BYTES { Err(SecretTooShort) } else { Ok(Self(bytes)) }
    }
}

impl std::str::FromStr for Hs256Secret {
    type Err = SecretTooShort;

    fn from_str(text: &str) -> Result<Self, SecretTooShort> {
        Self::try_from(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Hs256Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hs256Secret(…)")
    }
}

/// The text is too short for a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret of HS256 must be at least {} bytes long", Hs256Secret::MIN_BYTES)]
pub struct SecretTooShort;

/// Why tokens cannot be checked as configured.
#[derive(Debug, thiserror::Error)]
pub enum JwtConfigError {
    /// There is no key source at all.
    #[error("no key for tokens is configured")]
    NoKeys,
    /// The file could not be read.
    #[error("the key set {} could not be read", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds no keys.
    #[error("the key set {} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: JwksError,
    },
    /// Something else in this process chose the cryptography of the JWT library first.
    #[error("the JWT library already uses another cryptography provider")]
    Provider,
}

/// Verifies JSON web tokens.
#[derive(Debug)]
pub struct JwtTokens {
    known: Vec<Key>,
    remote: Vec<RemoteKeys>,
    issuer: Option<String>,
    audience: Option<String>,
    rights: RightsMap,
}

impl JwtTokens {
    /// Reads the key files and prepares the check; nothing is fetched yet.
    ///
    /// # Errors
    /// [`JwtConfigError`] says what is wrong with the configuration.
    pub fn new(config: JwtConfig) -> Result<Self, JwtConfigError> {
        if !provider::install() {
            return Err(JwtConfigError::Provider);
        }
        if config.keys.is_empty() {
            return Err(JwtConfigError::NoKeys);
        }
        let mut tokens =
            Self { known: Vec::new(), remote: Vec::new(), issuer: config.issuer, audience: config.audience, rights: config.rights };
        for source in config.keys {
            match source {
                JwtKeySource::Hs256Secret(secret) => tokens.known.push(Key::from_secret(&secret.0)),
                JwtKeySource::JwksFile(path) => tokens.known.extend(read_file(&path)?),
                JwtKeySource::JwksUrl(url) => tokens.remote.push(RemoteKeys::new(url, FETCH_TIMEOUT)),
            }
        }
        Ok(tokens)
    }

    /// The claims of `token`, once a trusted key has proved them.
    async fn proven_claims(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Rejected(Rejection::TooLong));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| TokenError::Rejected(keys::rejection(&error)))?;
        // RFC 7515, 4.1.11: extensions named here must be understood, and none is.
        if header.crit.is_some() {
            return Err(TokenError::Rejected(Rejection::Malformed));
        }
        let algorithm = KeyAlgorithm::of(header.alg).ok_or(TokenError::Rejected(Rejection::Algorithm))?;
        let wanted = Wanted { algorithm, id: header.kid.as_deref() };

        let mut refused = match try_keys(&self.known, &wanted, token) {
            Ok(claims) => return Ok(claims),
            Err(rejection) => rejection,
        };
        let mut unavailable = None;
        // A shared secret is never published, so no key set can answer for one.
        if algorithm != KeyAlgorithm::Hs256 {
            for remote in &self.remote {
                match remote.keys(&wanted, now).await {
                    Ok(keys) => match try_keys(&keys, &wanted, token) {
                        Ok(claims) => return Ok(claims),
                        // One set without the key says nothing against the others.
                        Err(Rejection::UnknownKey) => {}
                        Err(rejection) => refused = rejection,
                    },
                    Err(error) => unavailable = Some(error),
                }
            }
        }
        // Being unavailable outweighs a refusal: the keys that are missing may be the right ones.
        Err(unavailable.map_or(TokenError::Rejected(refused), |error| TokenError::Unavailable(Box::new(error))))
    }
}

#[async_trait]
impl TokenVerifier for JwtTokens {
    async fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, TokenError> {
        let claims = self.proven_claims(token, now).await?;
        claims.check_times(now).map_err(TokenError::Rejected)?;
        claims.check_parties(self.issuer.as_deref(), self.audience.as_deref()).map_err(TokenError::Rejected)?;
        claims.into_caller(&self.rights).map_err(TokenError::Rejected)
    }
}

/// The claims, if one of `keys` proves them.
fn try_keys(keys: &[Key], wanted: &Wanted<'_>, token: &str) -> Result<Claims, Rejection> {
    let mut refused = Rejection::UnknownKey;
    for key in keys.iter().filter(|key| key.fits(wanted)) {
        match key.decode(token).map_err(|error| keys::rejection(&error)) {
            Ok(claims) => return Ok(claims),
            Err(Rejection::Signature) => refused = Rejection::Signature,
            // No other key mends what is malformed.
            Err(rejection) => return Err(rejection),
        }
    }
    Err(refused)
}

fn read_file(path: &Path) -> Result<Vec<Key>, JwtConfigError> {
    let mut bytes = Vec::new();
    File::open(path)
        // One byte more than allowed tells a file that is too large.
        .and_then(|file| file.take(MAX_JWKS_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| JwtConfigError::ReadFile { path: path.to_owned(), source })?;
    keys::parse_set(&bytes).map_err(|source| JwtConfigError::File { path: path.to_owned(), source })
}
