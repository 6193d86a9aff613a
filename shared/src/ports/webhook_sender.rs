//! Sends requests to addresses that somebody else chose.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::webhook_url::{RefusedHost, WebhookUrl};

/// Sends webhooks. Held to `testing::webhook_sender`.
#[async_trait]
pub trait WebhookSender: Send + Sync {
    /// Checks that everything that the host's name stands for may be called, without calling it.
    ///
    /// # Errors
    /// [`SendError::Refused`] if an address may not be called, [`SendError::Unresolved`] if there is none.
    async fn vet(&self, url: &WebhookUrl) -> Result<(), SendError>;

    /// Sends one `POST`, to an address that was vetted just now. Any answer is an answer, whatever its
    /// status: redirects are not followed.
    ///
    /// # Errors
    /// [`SendError`] if there was no answer.
    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, SendError>;
}

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// Where to.
    pub url: WebhookUrl,
    /// Headers besides `Content-Type`, `Content-Length`, `Host` and `User-Agent`.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: String,
    /// How long to wait for the whole answer.
    pub timeout: Duration,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// The status.
    pub status: u16,
    /// The start of the body, at most [`WebhookAnswer::KEPT_BYTES`], made readable.
    pub body: String,
    /// What `Retry-After` asks for, read as seconds or as a date.
    pub retry_after: Option<Duration>,
    /// How long it took.
    pub took: Duration,
}

impl WebhookAnswer {
    /// How many bytes of a body are kept.
    pub const KEPT_BYTES: usize = 1024;
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The host may not be called.
    #[error(transparent)]
    Refused(#[from] RefusedHost),
    /// The host's name stands for no address.
    #[error("the host cannot be found")]
    Unresolved,
    /// Nothing is there, the connection broke, or what came was not HTTP.
    #[error("the connection failed")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    #[error("there was no answer within {0:?}")]
    Timeout(Duration),
}
