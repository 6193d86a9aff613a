//! Runs one processor for one event.

use std::time::Duration;

use super::append::{AppendError, AppendPorts, AppendRequest, append};
use super::dispatch_events::group_of;
use super::event_span;
use super::send_webhook::{SendWebhookPorts, WriteEvent, headers_signed_with, send_webhook, trace_header};
use tracing::Instrument as _;

use crate::domain::body;
use crate::domain::definitions::Definitions;
use crate::domain::delivery::{DeliveryId, Verdict};
use crate::domain::domain_event::SOURCE;
use crate::domain::event::{Event, EventDraft};
use crate::domain::identifiers::ReplayId;
use crate::domain::outcome::{EventOutcome, ProcessingResult, ResultStatus};
use crate::domain::processor::{Action, InternalAction, Processor, PublishTarget, WebhookAction};
use crate::domain::query::ObservedEvent;
use crate::domain::queue::{MessageOrder, Outgoing, Queue};
use crate::domain::trace::{self, TraceParent};
use crate::domain::transform::Transform;
use crate::ports::event_bus::{BusEntry, EventBus};
use crate::ports::queue::QueueSender;
use crate::ports::webhook_sender::WebhookRequest;
use crate::telemetry::{self, Chain};

/// What running processors needs.
#[derive(Clone, Copy)]
pub struct RunProcessorPorts<'a> {
    /// Records derived events.
    pub append: AppendPorts<'a>,
    /// Sends webhooks.
    pub webhooks: SendWebhookPorts<'a>,
    /// Takes what is published to queues.
    pub queues: &'a dyn QueueSender,
    /// Takes what is published to buses, if there are any.
    pub bus: Option<&'a dyn EventBus>,
    /// Writes events as others get them.
    pub write: WriteEvent,
    /// The replay that the event is of, if it is not new.
    pub replay: Option<&'a ReplayId>,
}

/// How a run ended, and how long to wait at least before another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The result.
    pub result: ProcessingResult,
    /// How long the receiver asked to be left alone, or what the policy says; none if there will be no other run.
    pub again_after: Option<Duration>,
}

enum End {
    Success(Option<String>),
    Skipped(String),
    Failed { message: String, final_word: bool, retry_after: Option<Duration> },
}

impl End {
    fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), final_word: false, retry_after: None }
    }

    fn hopeless(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), final_word: true, retry_after: None }
    }
}

/// Runs a processor for an event. This is attempt number `attempt`, from 1. Whatever happens is a result (BR-PRC-003,
/// BR-PRC-005); one that failed is repeated as often as the processor's policy says (BR-PRC-004).
pub async fn run_processor(
    ports: &RunProcessorPorts<'_>,
    definitions: &Definitions,
    processor: &Processor,
    event: &Event,
    attempt: u32,
) -> Run {
    let began = ports.webhooks.clock.now();
    let end = if !processor.enabled || processor.removed_at.is_some() {
        End::Skipped("the processor was switched off after the event was recorded".to_owned())
    } else {
        match processor.action() {
            Ok(action) => act(ports, definitions, processor, &action, event).instrument(event_span::of(event)).await,
            Err(problems) => {
                let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
                End::hopeless(format!("the processor's config cannot be understood: {}", fields.join(", ")))
            }
        }
    };
    let at = ports.webhooks.clock.now();
    let ms = at.since(began).map_or(0, |took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let (status, message, again_after) = match end {
        End::Success(message) => (ResultStatus::Success, message, None),
        End::Skipped(message) => (ResultStatus::Skipped, Some(message), None),
        End::Failed { message, final_word, retry_after } => {
            let delay = processor.policy().delay_after(attempt).filter(|_| !final_word);
            let status = if delay.is_some() { ResultStatus::Retry } else { ResultStatus::Failed };
            (status, Some(message), delay.map(|delay| delay.max(retry_after.unwrap_or_default()).min(Outgoing::MAX_DELAY)))
        }
    };
    let message = message.map(|message| message.chars().take(ProcessingResult::MAX_MESSAGE).collect());
    Run { result: ProcessingResult { processor: processor.name.as_str().to_owned(), status, message, at, ms, attempt }, again_after }
}

async fn act(ports: &RunProcessorPorts<'_>, definitions: &Definitions, processor: &Processor, action: &Action, event: &Event) -> End {
    match action {
        Action::Webhook(webhook) => send(ports, processor, webhook, event).await,
        Action::Transform(transform) => derive(ports, definitions, processor, transform, event).await,
        Action::Publish(target) => publish(ports, target, event).await,
        Action::Internal(action) => {
            internal(processor, action, event);
            End::Success(None)
        }
        Action::Unknown => End::Skipped(format!("processors of type {} are not known here", processor.kind)),
    }
}

/// The event as others get it while it is being processed.
fn written(ports: &RunProcessorPorts<'_>, event: &Event) -> String {
    (ports.write)(&ObservedEvent { event: event.clone(), outcome: EventOutcome::PENDING }, ports.replay)
}

async fn send(ports: &RunProcessorPorts<'_>, processor: &Processor, webhook: &WebhookAction, event: &Event) -> End {
    let body = written(ports, event);
    let receiver = ports.replay.map_or_else(|| processor.id.to_string(), |replay| format!("{replay}/{}", processor.id));
    let id = DeliveryId::of(&receiver, event.place);
    let mut headers = headers_signed_with(webhook.secret.as_ref(), id.as_str(), ports.webhooks.clock.now(), &body);
    // What the owner of the webhook has chosen comes first.
    let chosen = webhook.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(trace::MEMBER));
    headers.extend(TraceParent::of(&event.details).filter(|_| !chosen).map(trace_header));
    headers.extend(webhook.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    let request = WebhookRequest { url: webhook.url.clone(), headers, body, timeout: Processor::TIMEOUT };
    let sent = send_webhook(ports.webhooks, request).await;
    let said = sent.attempt.error.clone().unwrap_or_else(|| {
        let status = sent.attempt.status.unwrap_or_default();
        sent.attempt.response.as_ref().map_or_else(|| format!("answered {status}"), |response| format!("answered {status}: {response}"))
    });
    match sent.attempt.verdict() {
        Verdict::Delivered => End::Success(sent.attempt.status.map(|status| format!("answered {status}"))),
        Verdict::TryAgain => End::Failed { message: said, final_word: false, retry_after: sent.retry_after },
        Verdict::Refused | Verdict::Gone => End::hopeless(said),
    }
}

async fn derive(
    ports: &RunProcessorPorts<'_>,
    definitions: &Definitions,
    processor: &Processor,
    transform: &Transform,
    event: &Event,
) -> End {
    use crate::domain::transform::TransformError;
    let given = definitions.processors_given(event.organization(), &event.details, event.recorded_at);
    let siblings = given.filter(|other| matches!(other.action(), Ok(Action::Transform(_)))).count() as u64;
    let draft = match transform.derive(&processor.id, siblings, event) {
        Ok(draft) => draft,
        Err(error @ (TransformError::Loop | TransformError::TooMany)) => return End::Skipped(error.to_string()),
        Err(error @ (TransformError::Template { .. } | TransformError::Unfit(_))) => return End::hopeless(error.to_string()),
    };
    if draft.bytes() > EventDraft::MAX_BYTES || !body::fits_alone(&draft.details) {
        return End::hopeless("the derived event is too large");
    }
    let id = draft.event_id.map(|id| id.to_string()).unwrap_or_default();
    let request = AppendRequest { drafts: vec![draft], key: None, now: ports.webhooks.clock.now() };
    match append(&ports.append, &request).await {
        // The id follows from the event and the processor: another body means that the processor was changed since.
        Ok(_) | Err(AppendError::EventIdReused(_)) => End::Success(Some(format!("recorded {id}"))),
        Err(error @ AppendError::Store(_)) => {
            tracing::warn!(error = %Chain(&error), processor = %processor.name, "a derived event was not recorded");
            End::failed("the derived event was not recorded: the store failed")
        }
        Err(error @ (AppendError::VersionConflict { .. } | AppendError::KeyReused | AppendError::MixedIdentity)) => {
            End::failed(error.to_string())
        }
    }
}

async fn publish(ports: &RunProcessorPorts<'_>, target: &PublishTarget, event: &Event) -> End {
    let body = written(ports, event);
    match target {
        PublishTarget::Bus { name, detail_type } => {
            let Some(bus) = ports.bus else { return End::hopeless("no event bus is configured") };
            let detail_type = detail_type.clone().unwrap_or_else(|| event.details.event_type.as_str().to_owned());
            let entry = BusEntry { bus: name.clone(), source: SOURCE.to_owned(), detail_type, detail: body, at: event.occurred_at };
            match bus.put(&[entry]).await {
                Ok(()) => End::Success(None),
                Err(error) => End::failed(error.to_string()),
            }
        }
        PublishTarget::Queue(name) => {
            let message = if name.to_ascii_lowercase().ends_with(".fifo") {
                let order = MessageOrder { group: group_of(&event.stream), deduplication: event.place.to_string() };
                Outgoing::ordered(order, body)
            } else {
                Outgoing::now(body)
            };
            match ports.queues.send(&Queue::Named(name.clone()), &[message]).await {
                Ok(()) => End::Success(None),
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), queue = %name, "an event was not published");
                    End::failed(error.to_string())
                }
            }
        }
    }
}

fn internal(processor: &Processor, action: &InternalAction, event: &Event) {
    match action {
        InternalAction::Log => tracing::info!(
            target: telemetry::PROCESSORS,
            processor = %processor.name,
            event_id = %event.id,
            event_type = %event.details.event_type,
            stream_id = %event.stream.stream,
            stream_version = event.stream_version.get(),
            "an event"
        ),
        InternalAction::Metric(name) => tracing::info!(
            target: telemetry::PROCESSORS,
            metric = %name,
            value = 1,
            processor = %processor.name,
            event_type = %event.details.event_type,
            "a count"
        ),
    }
}
