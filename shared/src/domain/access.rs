//! Who may do what: scopes, callers and API keys.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::identifiers::OrganizationId;
use super::timestamp::Timestamp;

/// A right that a key or a token carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Record events.
    #[serde(rename = "events:write")]
    Write,
    /// Read events, streams and statistics.
    #[serde(rename = "events:read")]
    Read,
    /// Send events as a client that nobody controls: what a write key in a page or an app may do.
    #[serde(rename = "events:collect")]
    Collect,
    /// Manage keys, processors, subscriptions and replays.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: &'static [Self] = &[Self::Write, Self::Read, Self::Collect, Self::Admin];

    /// The scope's name in keys, tokens and problems.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Write => "events:write",
            Self::Read => "events:read",
            Self::Collect => "events:collect",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

/// The text names no [`Scope`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a known scope")]
pub struct UnknownScope;

/// Who sent a request, and what that allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's id or the token's subject, for logs.
    pub name: String,
    /// The rights.
    pub scopes: Vec<Scope>,
    /// The organization that the caller is bound to: its events are all that the caller can see or
    /// write. None for the platform itself.
    pub organization: Option<OrganizationId>,
}

impl Caller {
    /// Whether the caller has the right.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether the caller may know of what belongs to `organization`.
    #[must_use]
    pub fn sees(&self, organization: Option<&OrganizationId>) -> bool {
        self.organization.is_none() || self.organization.as_ref() == organization
    }

    /// The organization that a request is about, if it names `requested`.
    ///
    /// # Errors
    /// [`ForeignOrganization`] if the caller is bound to another one.
    pub fn organization_for(&self, requested: Option<OrganizationId>) -> Result<Option<OrganizationId>, ForeignOrganization> {
        match (&self.organization, requested) {
            (None, requested) => Ok(requested),
            (Some(bound), None) => Ok(Some(bound.clone())),
            (Some(bound), Some(requested)) if *bound == requested => Ok(Some(requested)),
            (Some(_), Some(_)) => Err(ForeignOrganization),
        }
    }
}

/// The caller is bound to one organization and asked for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential is bound to another organization")]
pub struct ForeignOrganization;

/// The secret text of an API key. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    /// What every key starts with, so that scanners for leaked secrets can tell one.
    pub const PREFIX: &'static str = "evk_";

    /// The secret that a caller presents, whatever it is.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// A new secret from 256 random bits.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        use std::fmt::Write as _;
        let mut text = Self::PREFIX.to_owned();
        for byte in bytes {
            // Writing to a string cannot fail.
            write!(text, "{byte:02x}").unwrap_or_default();
        }
        Self(text)
    }

    /// The text, to show it once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the table keeps instead of the secret.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        let digest = Sha256::digest(&self.0);
        KeyDigest(digest.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}")))
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKeySecret(…)")
    }
}

/// SHA-256 of an API key, in hex: 256 random bits need no salt and no slow hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyDigest(String);

impl KeyDigest {
    /// The digest in hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a digest in hex, as configuration gives it: 64 digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self(text.to_ascii_lowercase()))
    }

    /// The public name of the key: the first 16 digits of its digest.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.0.get(..16).unwrap_or(&self.0)
    }
}

/// An API key as the table keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// What the secret hashes to.
    pub digest: KeyDigest,
    /// What its owner calls it.
    pub name: String,
    /// Its rights.
    pub scopes: Vec<Scope>,
    /// The organization that it is bound to.
    pub organization: Option<OrganizationId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

impl ApiKey {
    /// The caller that presents this key at `now`, unless it has expired.
    #[must_use]
    pub fn caller(&self, now: Timestamp) -> Option<Caller> {
        self.expires_at.is_none_or(|end| now < end).then(|| Caller {
            name: format!("key:{}", self.digest.key_id()),
            scopes: self.scopes.clone(),
            organization: self.organization.clone(),
        })
    }
}
