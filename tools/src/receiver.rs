//! Receives webhooks, and checks who sent them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use chrono::{DateTime, Utc};
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use shared::domain::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookSecret, signature_headers};
use shared::domain::timestamp::Timestamp;
use tokio::net::TcpListener;

/// How old a signature may be, or how far ahead: what Standard Webhooks proposes.
const TOLERANCE: Duration = Duration::from_mins(5);

/// A webhook, as it came.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// When.
    pub at: DateTime<Utc>,
    /// Where.
    pub path: String,
    /// With which headers.
    pub headers: HeaderMap,
    /// What.
    pub body: Bytes,
}

/// Whether a webhook was sent by who shares the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// It was.
    Good,
    /// Nobody signed it.
    Missing,
    /// Somebody else signed it, or it was changed on the way.
    Wrong,
    /// It was signed so long ago that somebody may have kept it.
    Stale,
}

impl Webhook {
    /// A header, if there is one that can be read.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Checks the signature as Standard Webhooks has it.
    #[must_use]
    pub fn signature(&self, secret: &WebhookSecret) -> Signature {
        let (Some(id), Some(sent), Some(given)) = (self.header(ID_HEADER), self.header(TIMESTAMP_HEADER), self.header(SIGNATURE_HEADER))
        else {
            return Signature::Missing;
        };
        let sent = sent.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let (Some(sent), Ok(body)) = (sent, std::str::from_utf8(&self.body)) else { return Signature::Wrong };
        let Ok(signed_at) = Timestamp::new(sent) else { return Signature::Wrong };
        let expected = signature_headers(&[secret], id, signed_at, body);
        let expected = expected.iter().find(|(name, _)| name == SIGNATURE_HEADER).map(|(_, value)| value.as_str());
        if !given.split(' ').any(|one| expected == Some(one)) {
            Signature::Wrong
        } else if (self.at - sent).abs().to_std().unwrap_or(Duration::MAX) > TOLERANCE {
            Signature::Stale
        } else {
            Signature::Good
        }
    }
}

type Take = Arc<dyn Fn(Webhook) + Send + Sync>;

/// Takes every webhook that comes, with 200.
///
/// # Errors
/// If the socket fails.
pub async fn serve(listener: TcpListener, take: impl Fn(Webhook) + Send + Sync + 'static) -> std::io::Result<()> {
    let router = Router::new().fallback(answer).with_state(Arc::new(take) as Take);
    axum::serve(listener, router).await
}

async fn answer(State(take): State<Take>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    take(Webhook { at: crate::now(), path: uri.path().to_owned(), headers, body });
    StatusCode::OK
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn secret(text: &str) -> WebhookSecret {
        WebhookSecret::from_text(text.to_owned()).unwrap()
    }

    fn sent(secrets: &[&WebhookSecret], body: &str, age: Duration) -> Webhook {
        let at = crate::now();
        let headers = signature_headers(secrets, "evt_1", Timestamp::new(at - age).unwrap(), body);
        let headers = headers.iter().map(|(name, value)| (name.parse::<hyper::header::HeaderName>().unwrap(), value.parse().unwrap()));
        Webhook { at, path: "/".to_owned(), headers: headers.collect(), body: Bytes::from(body.to_owned()) }
    }

    #[test]
    fn only_what_was_signed_with_the_secret_lately_is_good() {
        let (ours, other) = (secret(SECRET), secret("secret123"));
        let just_now = Duration::ZERO;
        assert_eq!(sent(&[&ours], "{}", just_now).signature(&ours), Signature::Good);
        assert_eq!(sent(&[&other, &ours], "{}", just_now).signature(&ours), Signature::Good, "any of the signatures");
        assert_eq!(sent(&[&other], "{}", just_now).signature(&ours), Signature::Wrong);
        assert_eq!(sent(&[], "{}", just_now).signature(&ours), Signature::Missing);
        assert_eq!(sent(&[&ours], "{}", Duration::from_mins(6)).signature(&ours), Signature::Stale);
        let changed = Webhook { body: Bytes::from_static(b"{ }"), ..sent(&[&ours], "{}", just_now) };
        assert_eq!(changed.signature(&ours), Signature::Wrong);
    }
}
