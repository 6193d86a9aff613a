//! One request to somebody else's address: what is sent, and what its answer means.

use std::time::Duration;

use crate::domain::delivery::{DeliveryAttempt, Verdict};
use crate::domain::identifiers::ReplayId;
use crate::domain::query::ObservedEvent;
use crate::domain::signature::{WebhookSecret, signature_headers};
use crate::domain::subscription::Subscription;
use crate::domain::timestamp::Timestamp;
use crate::domain::trace::{self, TraceParent};
use crate::ports::clock::Clock;
use crate::ports::webhook_sender::{SendError, WebhookRequest, WebhookSender};
use crate::telemetry::{Chain, Unit, measure};

/// Writes the body of a webhook: the event as `GET` answers it, in the form of Standard Webhooks. The wire's form is known
/// further out, in `http`.
/// An event of a replay is marked with its id.
pub type WriteEvent = fn(&ObservedEvent, Option<&ReplayId>) -> String;

/// How many attempts to deliver to a subscription failed.
pub const DELIVERY_FAILURES: &str = "DeliveryFailures";
/// How long a subscription's receiver may take to answer.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// What sending needs.
#[derive(Clone, Copy)]
pub struct SendWebhookPorts<'a> {
    /// Sends it.
    pub sender: &'a dyn WebhookSender,
    /// Says when.
    pub clock: &'a dyn Clock,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The attempt, for the log.
    pub attempt: DeliveryAttempt,
    /// How long the receiver asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// Sends a body to a subscription's address, signed with the secrets that are good at this moment (BR-SUB-006). `id` is the
/// same in every attempt; time and signature are of this one. The receiver is told the trace, if there is one. None if the subscription
/// has no address.
pub async fn send_to_subscription(
    ports: SendWebhookPorts<'_>,
    subscription: &Subscription,
    id: &str,
    body: String,
    trace: Option<TraceParent>,
) -> Option<Sent> {
    let url = subscription.callback_url.clone()?;
    let now = ports.clock.now();
    let mut headers = signature_headers(&subscription.signing(now), id, now, &body);
    headers.extend(trace.map(trace_header));
    let sent = send_webhook(ports, WebhookRequest { url, headers, body, timeout: TIMEOUT }).await;
    if sent.attempt.verdict() != Verdict::Delivered {
        measure(DELIVERY_FAILURES, Unit::Count, 1.0);
    }
    Some(sent)
}

/// The header that tells a receiver the trace (W3C Trace Context).
#[must_use]
pub fn trace_header(trace: TraceParent) -> (String, String) {
    (trace::MEMBER.to_owned(), trace.into())
}

/// The headers that sign a body with one secret, or name the message if there is none.
#[must_use]
pub fn headers_signed_with(secret: Option<&WebhookSecret>, id: &str, now: Timestamp, body: &str) -> Vec<(String, String)> {
    let secrets: Vec<&WebhookSecret> = secret.into_iter().collect();
    signature_headers(&secrets, id, now, body)
}

/// Sends a request, and says in the words of the log what came of it.
pub async fn send_webhook(ports: SendWebhookPorts<'_>, request: WebhookRequest) -> Sent {
    let began = ports.clock.now();
    let answer = ports.sender.send(&request).await;
    let at = ports.clock.now();
    let waited = at.since(began).unwrap_or_default();
    match answer {
        Ok(answer) => {
            let response = (!answer.body.is_empty()).then_some(answer.body);
            let attempt = DeliveryAttempt { at, status: Some(answer.status), ms: millis(answer.took), response, error: None };
            Sent { attempt, retry_after: answer.retry_after }
        }
        Err(error) => {
            let error = describe(&error);
            Sent {
                attempt: DeliveryAttempt { at, status: None, ms: millis(waited), response: None, error: Some(error) },
                retry_after: None,
            }
        }
    }
}

/// An error for the person who owns the address. What broke a connection is worth knowing.
fn describe(error: &SendError) -> String {
    let text = match error {
        SendError::Connection(_) => Chain(error).to_string(),
        SendError::Refused(_) | SendError::Unresolved | SendError::Timeout(_) => error.to_string(),
    };
    text.chars().take(500).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
