//! API keys.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::access::{ApiKey, ApiKeySecret, Scope};
use crate::domain::identifiers::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::http::openapi::schemas::{MomentSchema, ScopeSchema};

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyAnswer<'a> {
    /// Its public name.
    #[schema(value_type = String)]
    pub key_id: &'a str,
    /// What its owner calls it.
    #[schema(value_type = String)]
    pub name: &'a str,
    /// Its rights.
    #[schema(value_type = Vec<ScopeSchema>)]
    pub scopes: &'a [Scope],
    /// The organization that it is bound to.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// When it was made.
    #[schema(value_type = MomentSchema)]
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub expires_at: Option<Timestamp>,
}

impl<'a> From<&'a ApiKey> for KeyAnswer<'a> {
    fn from(key: &'a ApiKey) -> Self {
        Self {
            key_id: key.digest.key_id(),
            name: &key.name,
            scopes: &key.scopes,
            organization_id: key.organization.as_ref(),
            created_at: key.created_at,
            expires_at: key.expires_at,
        }
    }
}

/// An API key that was made just now.
#[derive(Serialize, ToSchema)]
#[schema(as = NewKey)]
pub struct NewKeyAnswer<'a> {
    /// Its public name.
    #[schema(value_type = String)]
    pub key_id: &'a str,
    /// The key itself. It is shown this once.
    #[schema(value_type = String)]
    pub api_key: &'a str,
    /// What its owner calls it.
    #[schema(value_type = String)]
    pub name: &'a str,
    /// Its rights.
    #[schema(value_type = Vec<ScopeSchema>)]
    pub scopes: &'a [Scope],
    /// The organization that it is bound to.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// When it was made.
    #[schema(value_type = MomentSchema)]
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub expires_at: Option<Timestamp>,
}

impl<'a> NewKeyAnswer<'a> {
    /// The answer for a key and its secret.
    #[must_use]
    pub fn new(key: &'a ApiKey, secret: &'a ApiKeySecret) -> Self {
        let KeyAnswer { key_id, name, scopes, organization_id, created_at, expires_at } = KeyAnswer::from(key);
        Self { key_id, api_key: secret.reveal(), name, scopes, organization_id, created_at, expires_at }
    }
}

/// A key is revoked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevokedKey)]
pub struct RevokedKeyAnswer<'a> {
    /// Always `revoked`.
    #[schema(value_type = String, example = "revoked")]
    pub status: &'static str,
    /// The key's public name.
    #[schema(value_type = String)]
    pub key_id: &'a str,
}

impl<'a> RevokedKeyAnswer<'a> {
    /// The answer for the key of this name.
    #[must_use]
    pub const fn new(key_id: &'a str) -> Self {
        Self { status: "revoked", key_id }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_secret_of_a_key_is_in_the_answer_to_its_making_only() {
        let secret = ApiKeySecret::from_random([7; 32]);
        let key = ApiKey {
            digest: secret.digest(),
            name: "CI".to_owned(),
            scopes: vec![Scope::Read],
            organization: None,
            created_at: Timestamp::MIN,
            expires_at: None,
        };
        let made = serde_json::to_value(NewKeyAnswer::new(&key, &secret)).unwrap();
        assert_eq!(made["api_key"], secret.reveal());
        assert_eq!((&made["scopes"], &made["key_id"]), (&json!(["events:read"]), &json!(key.digest.key_id())));
        let listed = serde_json::to_string(&KeyAnswer::from(&key)).unwrap();
        assert!(!listed.contains(secret.reveal()) && !listed.contains(key.digest.as_str()), "{listed}");
    }
}
