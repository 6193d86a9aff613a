//! The key of an analytics SDK, where SDKs put it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::Request;
use lambda_http::http::header::AUTHORIZATION;

use crate::domain::access::ApiKeySecret;
use crate::http::credential::X_API_KEY;
use crate::http::request::query_parameters;

/// The most bytes of a key.
const MOST_BYTES: usize = 1024;

/// The head of a request holds no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoWriteKey;

/// The key in the head of a request: the user name of `Authorization: Basic`, a bearer token, `X-API-Key`, or the parameter `writeKey`.
///
/// # Errors
/// [`NoWriteKey`] if there is none.
pub fn in_head(request: &Request) -> Result<ApiKeySecret, NoWriteKey> {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let authorization = text(AUTHORIZATION.as_str()).and_then(|value| value.split_once(' ')).and_then(|(scheme, token)| {
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = String::from_utf8(STANDARD.decode(token.trim()).ok()?).ok()?;
            Some(decoded.split_once(':').map_or(decoded.clone(), |(name, _)| name.to_owned()))
        } else {
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        }
    });
    let in_query = || query_parameters(request).remove("writeKey");
    let key = authorization.or_else(|| text(X_API_KEY.as_str()).map(str::to_owned)).or_else(in_query);
    key.filter(|key| !key.is_empty() && key.len() <= MOST_BYTES).map(ApiKeySecret::new).ok_or(NoWriteKey)
}
