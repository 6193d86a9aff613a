//! Makes, lists and revokes API keys.

use crate::domain::access::{ApiKey, ApiKeySecret, Caller, ForeignOrganization, Scope};
use crate::domain::identifiers::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::key_store::KeyStore;
use crate::ports::random::Random;
use crate::ports::store_error::StoreError;

/// What managing keys needs.
pub struct ManageKeysPorts<'a> {
    /// Where keys are kept.
    pub keys: &'a dyn KeyStore,
    /// Says when they are made.
    pub clock: &'a dyn Clock,
    /// Makes their secrets.
    pub random: &'a dyn Random,
}

/// What a new key shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDraft {
    /// What its owner calls it.
    pub name: String,
    /// Its rights.
    pub scopes: Vec<Scope>,
    /// The organization that it is bound to.
    pub organization: Option<OrganizationId>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// Why a key was not made, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum ManageKeysError {
    /// The caller is bound to one organization and asks for a key of another.
    #[error(transparent)]
    Foreign(#[from] ForeignOrganization),
    /// There is no such key, or the caller may not know of it.
    #[error("key not found")]
    NotFound,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Makes a key. Its secret is returned this once; the table keeps a digest.
///
/// A caller that is bound to an organization makes keys of that organization.
///
/// # Errors
/// [`ManageKeysError`]; no key was made then, unless the store failed.
pub async fn create_key(ports: &ManageKeysPorts<'_>, caller: &Caller, draft: KeyDraft) -> Result<(ApiKey, ApiKeySecret), ManageKeysError> {
    let organization = caller.organization_for(draft.organization)?;
    let secret = ApiKeySecret::from_random(ports.random.secret());
    let key = ApiKey {
        digest: secret.digest(),
        name: draft.name,
        scopes: draft.scopes,
        organization,
        created_at: ports.clock.now(),
        expires_at: draft.expires_at,
    };
    ports.keys.put_key(&key).await?;
    Ok((key, secret))
}

/// The keys that the caller may know of, oldest first.
///
/// # Errors
/// [`ManageKeysError::Store`] if the store failed.
pub async fn list_keys(ports: &ManageKeysPorts<'_>, caller: &Caller) -> Result<Vec<ApiKey>, ManageKeysError> {
    let mut keys = ports.keys.keys().await?;
    keys.retain(|key| caller.sees(key.organization.as_ref()));
    Ok(keys)
}

/// Revokes a key. It is refused from then on, at the latest when caches forget it.
///
/// # Errors
/// [`ManageKeysError`] if there is no such key that the caller may know of.
pub async fn revoke_key(ports: &ManageKeysPorts<'_>, caller: &Caller, key_id: &str) -> Result<(), ManageKeysError> {
    if !list_keys(ports, caller).await?.iter().any(|key| key.digest.key_id() == key_id) {
        return Err(ManageKeysError::NotFound);
    }
    if ports.keys.remove_key(key_id).await? { Ok(()) } else { Err(ManageKeysError::NotFound) }
}
