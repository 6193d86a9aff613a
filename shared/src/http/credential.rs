//! The credential in a request's headers.

use lambda_http::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::domain::access::ApiKeySecret;
use crate::queries::check_access::{BearerToken, Credential};

/// The header for API keys.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The most bytes of a credential.
const MAX_BYTES: usize = 8 * 1024;

/// Why the headers give no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// There is none.
    #[error("there is no credential")]
    Missing,
    /// What there is cannot be one.
    #[error("the credential is malformed")]
    Malformed,
}

/// The credential: `X-API-Key`, else `Authorization: Bearer`, where an API key does as well.
///
/// # Errors
/// [`CredentialError`] if there is none, or what there is cannot be one.
pub fn credential(headers: &HeaderMap) -> Result<Credential, CredentialError> {
    if let Some(key) = single(headers, &X_API_KEY)? {
        return Ok(Credential::Key(ApiKeySecret::new(sane(key)?)));
    }
    let header = single(headers, &AUTHORIZATION)?.ok_or(CredentialError::Missing)?;
    let (scheme, token) = header.split_once(' ').ok_or(CredentialError::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(CredentialError::Malformed);
    }
    let token = sane(token)?;
    Ok(if token.starts_with(ApiKeySecret::PREFIX) {
        Credential::Key(ApiKeySecret::new(token))
    } else {
        Credential::Token(BearerToken(token))
    })
}

/// The header's value, if it is there and not blank. Two of them say nothing clear.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, CredentialError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(HeaderValue::to_str).transpose().map_err(|_| CredentialError::Malformed)?;
    if values.next().is_some() {
        return Err(CredentialError::Malformed);
    }
    Ok(value.map(str::trim).filter(|value| !value.is_empty()))
}

fn sane(text: &str) -> Result<String, CredentialError> {
    let text = text.trim();
    let is_sane = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_sane { Ok(text.to_owned()) } else { Err(CredentialError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)]) -> Result<String, CredentialError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        credential(&map).map(|credential| match credential {
            Credential::Key(key) => format!("key {}", key.reveal()),
            Credential::Token(token) => format!("token {}", token.0),
        })
    }

    #[test]
    fn a_credential_is_an_api_key_or_a_bearer_token() {
        for (headers, expected) in [
            (&[("X-API-Key", "evk_1")][..], Ok("key evk_1")),
            (&[("x-api-key", " anything ")], Ok("key anything")),
            (&[("Authorization", "Bearer a.b.c")], Ok("token a.b.c")),
            (&[("Authorization", "bearer  evk_1")], Ok("key evk_1")),
            (&[("Authorization", "Bearer a.b.c"), ("X-API-Key", "evk_1")], Ok("key evk_1")),
            (&[("Authorization", "Bearer a.b.c"), ("X-API-Key", "")], Ok("token a.b.c")),
            (&[], Err(CredentialError::Missing)),
            (&[("Authorization", "")], Err(CredentialError::Missing)),
            (&[("Authorization", "Bearer")], Err(CredentialError::Malformed)),
            (&[("Authorization", "Basic YTpi")], Err(CredentialError::Malformed)),
            (&[("Authorization", "Bearer a b")], Err(CredentialError::Malformed)),
            (&[("X-API-Key", "a"), ("X-API-Key", "b")], Err(CredentialError::Malformed)),
            (&[("X-API-Key", &"k".repeat(9000))], Err(CredentialError::Malformed)),
        ] {
            assert_eq!(read(headers), expected.map(str::to_owned), "{headers:?}");
        }
    }
}
