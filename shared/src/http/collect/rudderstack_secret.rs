//! Whether a request to RudderStack's webhook comes from RudderStack (BR-RS-001).
//!
//! Its webhook destination signs nothing: what an operator can set there is a header. Whatever else shows that the sender has the
//! secret does as well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::http::HeaderMap;
use lambda_http::http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use crate::domain::signature::{WebhookSecret, verifies_body, verifies_standard};
use crate::domain::timestamp::Timestamp;

const X_SIGNATURE: &str = "x-signature";

/// Whether the headers, or a signature of the body among them, show that the sender has the secret.
#[must_use]
pub fn is_from_rudderstack(secret: &WebhookSecret, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let is_secret = |given: &str| bool::from(given.as_bytes().ct_eq(secret.reveal().as_bytes()));
    let signature = text(X_SIGNATURE);
    let authorization = text(AUTHORIZATION.as_str()).and_then(|value| value.split_once(' '));
    let presented = match authorization {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim().to_owned()),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("basic") => password(token.trim()),
        Some(_) | None => None,
    };
    let standard = (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature"));
    // Every way is tried, so that the time tells nothing of which one it was.
    let by_header = signature.is_some_and(is_secret);
    let by_credential = presented.as_deref().is_some_and(is_secret);
    let by_body = signature.is_some_and(|signature| verifies_body(secret, signature, body));
    let by_standard = match standard {
        (Some(id), Some(timestamp), Some(signatures)) => verifies_standard(secret, id, timestamp, signatures, body, now),
        _ => false,
    };
    by_header | by_credential | by_body | by_standard
}

/// The password of `Authorization: Basic`; the name counts if there is no password.
fn password(encoded: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some(if password.is_empty() { name } else { password }.to_owned())
}
