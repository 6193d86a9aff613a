//! Which tokens and which first key are trusted, by the environment.

use shared::adapters::jwt::{JwtConfig, JwtConfigError, JwtKeySource, JwtTokens, RightsMap};
use shared::config::{ConfigError, optional, parsed};

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable cannot be read.
    #[error(transparent)]
    Variable(#[from] ConfigError),
    /// Together they make no sense.
    #[error(transparent)]
    Tokens(#[from] JwtConfigError),
}

/// Checks tokens as the environment says: `JWT_HS256_SECRET`, `JWT_JWKS_FILE` and `JWT_JWKS_URL` say which keys are trusted,
/// `JWT_ISSUER` and `JWT_AUDIENCE` whose tokens for whom, `JWT_RIGHTS` what they allow. Without any key, no token is good.
///
/// # Errors
/// [`SettingsError`] if a variable cannot be read or the keys cannot be used.
pub fn tokens() -> Result<Option<JwtTokens>, SettingsError> {
    let keys: Vec<JwtKeySource> = [
        parsed("JWT_HS256_SECRET")?.map(JwtKeySource::Hs256Secret),
        optional("JWT_JWKS_FILE").map(|path| JwtKeySource::JwksFile(path.into())),
        parsed("JWT_JWKS_URL")?.map(JwtKeySource::JwksUrl),
    ]
    .into_iter()
    .flatten()
    .collect();
    if keys.is_empty() {
        return Ok(None);
    }
    let rights = optional("JWT_RIGHTS").map(|text| RightsMap::parse(&text)).transpose();
    let rights = rights.map_err(|error| ConfigError::Invalid { name: "JWT_RIGHTS", problem: error.to_string() })?.unwrap_or_default();
    let config = JwtConfig { keys, issuer: optional("JWT_ISSUER"), audience: optional("JWT_AUDIENCE"), rights };
    Ok(Some(JwtTokens::new(config)?))
}
