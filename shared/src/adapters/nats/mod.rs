//! NATS JetStream: publishes, and takes messages in.

mod connection;
pub mod settings;

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::jetstream::{AckKind, ErrorCode, Message, stream};
use async_trait::async_trait;
use futures::StreamExt as _;

use self::connection::{Connection, Live};
use self::settings::{IngestFeeds, NatsSettings};
use crate::domain::bridge::{
    BridgeMessage, BridgeStream, DATA_OMITTED, IncomingMessage, IngestFeed, MESSAGE_ID, MessageReceipt, ORIGIN, Settlement, SubjectPattern,
    TRACE_PARENT,
};
use crate::domain::event::BodyDigest;
use crate::domain::timestamp::Timestamp;
use crate::ports::message_broker::{BrokerCheck, BrokerError, MessagePublisher, MessageSource, NotPublished};

/// The most messages that are taken and not settled: no more than are taken at a time, so that nothing overtakes what comes again.
pub const MOST_AT_ONCE: usize = 256;

/// A server, or a cluster of them, through one connection, which is made when it is needed first and again after each failure.
pub struct NatsBroker {
    settings: NatsSettings,
    connection: Connection,
}

impl std::fmt::Debug for NatsBroker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NatsBroker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl NatsBroker {
    /// A broker as it is configured. Nothing is connected yet.
    #[must_use]
    pub const fn new(settings: NatsSettings) -> Self {
        Self { settings, connection: Connection::new() }
    }

    /// What is configured.
    #[must_use]
    pub const fn settings(&self) -> &NatsSettings {
        &self.settings
    }

    async fn live(&self) -> Result<Live, BrokerError> {
        self.connection.live(&self.settings, |live| async move { self.prepare_streams(&live).await }).await
    }

    /// What could not be done may be the connection's fault: it is not used again.
    async fn failed(&self, live: &Live, what: &str, error: impl std::fmt::Display) -> BrokerError {
        self.connection.give_up(live).await;
        BrokerError(format!("{what}: {error}"))
    }

    /// Makes the streams that are not there. Those that are there are somebody's decision, and are left as they are.
    async fn prepare_streams(&self, live: &Live) -> Result<(), BrokerError> {
        for which in BridgeStream::ALL {
            self.prepare_stream(live, self.wanted(*which)).await?;
        }
        let own_feed = self.settings.feeds.0.iter().any(|feed| feed.stream == IngestFeeds::OWN_STREAM);
        if own_feed {
            let subjects = vec![SubjectPattern::of_ingest().to_string()];
            let wanted = stream::Config { name: IngestFeeds::OWN_STREAM.to_owned(), subjects, ..self.wanted(BridgeStream::Events) };
            self.prepare_stream(live, wanted).await?;
        }
        Ok(())
    }

    fn wanted(&self, which: BridgeStream) -> stream::Config {
        let streams = &self.settings.streams;
        stream::Config {
            name: streams.name(which).to_owned(),
            subjects: streams.subjects(which),
            max_age: streams.max_age,
            max_bytes: streams.max_bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or(-1),
            max_messages: -1,
            max_messages_per_subject: -1,
            max_consumers: -1,
            num_replicas: streams.replicas.into(),
            duplicate_window: if streams.max_age.is_zero() {
                streams.duplicate_window
            } else {
                streams.duplicate_window.min(streams.max_age)
            },
            storage: stream::StorageType::File,
            ..stream::Config::default()
        }
    }

    async fn prepare_stream(&self, live: &Live, wanted: stream::Config) -> Result<(), BrokerError> {
        let name = wanted.name.clone();
        match live.context.get_stream(&name).await {
            Ok(found) => {
                let differences = differences(&wanted, &found.cached_info().config);
                if !differences.is_empty() && live.is_new {
                    tracing::warn!(
                        stream = name,
                        differences = differences.join(", "),
                        "the stream is there with other settings, and is left as it is"
                    );
                }
                Ok(())
            }
            Err(error) if is_missing(&error.kind()) => match live.context.create_stream(wanted).await {
                Ok(_) => Ok(()),
                Err(error) => Err(BrokerError(format!("the stream {name} cannot be made: {error}"))),
            },
            Err(error) => Err(BrokerError(format!("the stream {name} is not told: {error}"))),
        }
    }

    /// The consumer of a feed, made if it is not there.
    async fn consumer(&self, live: &Live, feed: &IngestFeed) -> Result<PullConsumer, BrokerError> {
        if let Some(consumer) = live.consumers.lock().await.get(feed) {
            return Ok(consumer.clone());
        }
        let durable = durable_name(&self.settings.durable, feed);
        let config = pull::Config {
            durable_name: Some(durable.clone()),
            filter_subject: feed.subject.to_string(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.settings.ack_wait,
            deliver_policy: DeliverPolicy::All,
            max_deliver: -1,
            max_ack_pending: i64::try_from(MOST_AT_ONCE).unwrap_or(i64::MAX),
            ..pull::Config::default()
        };
        let made = match live.context.get_stream_no_info(&feed.stream).await {
            Ok(stream) => stream.get_or_create_consumer(&durable, config).await.map_err(|error| {
                if no_such_stream(error.kind()) {
                    format!("there is no stream {}: make it, or take it out of NATS_INGEST", feed.stream)
                } else {
                    error.to_string()
                }
            }),
            Err(error) => Err(error.to_string()),
        };
        match made {
            Ok(consumer) => {
                live.consumers.lock().await.insert(feed.clone(), consumer.clone());
                Ok(consumer)
            }
            Err(error) => Err(self.failed(live, &format!("the feed {feed} has no consumer"), error).await),
        }
    }

    fn outgoing(&self, message: &BridgeMessage) -> PublishMessage {
        let mut headers = HeaderMap::new();
        let own = [(MESSAGE_ID, message.id.as_str()), (ORIGIN, self.settings.own_name.as_str())];
        for (name, value) in own.into_iter().chain(message.headers.iter().map(|(name, value)| (*name, value.as_str()))) {
            // A header holds no line break. Nothing here does; what did would be left out.
            if let Ok(value) = value.parse::<async_nats::HeaderValue>() {
                headers.insert(name, value);
            }
        }
        PublishMessage::build().payload(message.body.clone().into_bytes().into()).headers(headers)
    }
}

/// Whether the server, or the stream, takes no message of this size.
fn is_too_large(error: &async_nats::jetstream::context::PublishError) -> bool {
    let of_the_stream = || {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>());
        source.is_some_and(|error| error.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
    };
    error.kind() == PublishErrorKind::MaxPayloadExceeded || of_the_stream()
}

/// Whether a stream is not there.
fn is_missing(kind: &GetStreamErrorKind) -> bool {
    match kind {
        GetStreamErrorKind::JetStream(error) => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        GetStreamErrorKind::EmptyName | GetStreamErrorKind::Request | GetStreamErrorKind::InvalidStreamName => false,
    }
}

/// Whether a consumer cannot be made because its stream is not there.
fn no_such_stream(kind: ConsumerErrorKind) -> bool {
    matches!(kind, ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// What a stream has otherwise than it would have been made.
fn differences(wanted: &stream::Config, found: &stream::Config) -> Vec<&'static str> {
    let mut subjects = [wanted.subjects.clone(), found.subjects.clone()];
    for subjects in &mut subjects {
        subjects.sort();
    }
    let [wanted_subjects, found_subjects] = subjects;
    [
        ("subjects", wanted_subjects != found_subjects),
        ("retention", wanted.retention != found.retention),
        ("storage", wanted.storage != found.storage),
        ("max_age", wanted.max_age != found.max_age),
        ("max_bytes", wanted.max_bytes != found.max_bytes),
        ("replicas", wanted.num_replicas != found.num_replicas),
        ("duplicate_window", wanted.duplicate_window != found.duplicate_window),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

/// The name of a feed's consumer: what a person recognizes, and what tells feeds apart whose subjects look alike then.
fn durable_name(durable: &str, feed: &IngestFeed) -> String {
    let shown = |character: char| if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' };
    let subject: String = feed.subject.as_str().replace('>', "all").replace('*', "any").chars().map(shown).take(60).collect();
    format!("{durable}-{subject}-{:08x}", BodyDigest::of(feed.subject.as_str().as_bytes()).0 >> 96)
}

fn header(headers: Option<&HeaderMap>, name: &str) -> Option<String> {
    Some(headers?.get(name)?.as_str().to_owned()).filter(|value| !value.trim().is_empty())
}

/// A message as it came. One that does not say where it lies is of no stream, and cannot be settled.
fn incoming(message: &Message) -> Option<IncomingMessage> {
    let (place, deliveries, published_at) = {
        let info = message.info().ok()?;
        let nanos = info.published.unix_timestamp_nanos();
        let published_at = i64::try_from(nanos / 1000).ok().and_then(|micros| Timestamp::from_micros(micros).ok());
        // A stream that is made anew counts from 1 again: the time tells its messages from those of before.
        let place = format!("{}:{}@{nanos}", info.stream, info.stream_sequence);
        (place, u32::try_from(info.delivered).unwrap_or(u32::MAX), published_at)
    };
    let headers = message.headers.as_ref();
    Some(IncomingMessage {
        receipt: MessageReceipt(message.reply.as_ref()?.to_string()),
        subject: message.subject.to_string(),
        place,
        message_id: header(headers, MESSAGE_ID),
        origin: header(headers, ORIGIN),
        trace: header(headers, TRACE_PARENT).and_then(|trace| trace.parse().ok()),
        published_at,
        omitted: header(headers, DATA_OMITTED).is_some(),
        deliveries,
        body: message.payload.to_vec(),
    })
}

#[async_trait]
impl MessagePublisher for NatsBroker {
    async fn publish(&self, message: &BridgeMessage) -> Result<(), NotPublished> {
        let live = self.live().await?;
        let subject = self.settings.streams.subject(message.stream, &message.subject);
        let sent = live.context.send_publish(subject.clone(), self.outgoing(message)).await;
        let kept = match sent {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(_) => {
                live.proven();
                Ok(())
            }
            Err(error) if is_too_large(&error) => Err(NotPublished::TooLarge(message.body.len())),
            Err(error) => Err(self.failed(&live, &format!("nothing keeps {subject}"), error).await.into()),
        }
    }
}

#[async_trait]
impl MessageSource for NatsBroker {
    fn feeds(&self) -> &[IngestFeed] {
        &self.settings.feeds.0
    }

    async fn fetch(&self, feed: &IngestFeed, most: usize, wait: Duration) -> Result<Vec<IncomingMessage>, BrokerError> {
        let live = self.live().await?;
        let consumer = self.consumer(&live, feed).await?;
        let most = most.clamp(1, MOST_AT_ONCE);
        let mut found = match take(Duration::ZERO, consumer.fetch().max_messages(most).messages()).await {
            Ok(found) => found,
            Err(error) => return Err(self.failed(&live, &format!("{feed} gives nothing"), error).await),
        };
        if found.is_empty() && !wait.is_zero() {
            // The first one wakes this; what has come with it is there by then.
            let first = take(wait, consumer.batch().max_messages(1).expires(wait).messages()).await;
            let rest = match &first {
                Ok(first) if !first.is_empty() && most > 1 => {
                    take(Duration::ZERO, consumer.fetch().max_messages(most - 1).messages()).await
                }
                Ok(_) | Err(_) => Ok(Vec::new()),
            };
            match (first, rest) {
                (Ok(first), Ok(rest)) => found.extend(first.into_iter().chain(rest)),
                (Err(error), _) | (_, Err(error)) => return Err(self.failed(&live, &format!("{feed} gives nothing"), error).await),
            }
        }
        live.proven();
        Ok(found.iter().filter_map(incoming).collect())
    }

    async fn settle(&self, settled: &[(MessageReceipt, Settlement)]) -> Result<(), BrokerError> {
        if settled.is_empty() {
            return Ok(());
        }
        let live = self.live().await?;
        for (receipt, settlement) in settled {
            let kind = match settlement {
                Settlement::Done => AckKind::Ack,
                Settlement::Again(after) => AckKind::Nak(Some(*after)),
                Settlement::Never => AckKind::Term,
            };
            if let Err(error) = live.client.publish(receipt.0.clone(), kind.into()).await {
                return Err(self.failed(&live, "a message is not settled", error).await);
            }
        }
        // A process that is frozen or ends now has said all of it.
        match tokio::time::timeout(connection::PATIENCE, live.client.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.failed(&live, "messages are not settled", error).await),
            Err(error) => Err(self.failed(&live, "messages are not settled", error).await),
        }
    }

    async fn waiting(&self, feed: &IngestFeed) -> Result<u64, BrokerError> {
        let live = self.live().await?;
        let mut consumer = self.consumer(&live, feed).await?;
        match consumer.info().await {
            Ok(info) => Ok(info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or_default()),
            Err(error) => Err(self.failed(&live, &format!("{feed} is not told"), error).await),
        }
    }
}

#[async_trait]
impl BrokerCheck for NatsBroker {
    async fn check(&self) -> Result<(), BrokerError> {
        let live = self.live().await?;
        let name = self.settings.streams.name(BridgeStream::Events);
        match live.context.get_stream(name).await {
            Ok(_) => {
                live.proven();
                Ok(())
            }
            Err(error) => Err(self.failed(&live, &format!("the stream {name} is not told"), error).await),
        }
    }
}

/// All that one request gives, which the server answers within `wait`. A consumer that was removed meanwhile answers nothing, ever.
async fn take(wait: Duration, request: impl Future<Output = Result<pull::Batch, impl std::fmt::Display>>) -> Result<Vec<Message>, String> {
    let taken = tokio::time::timeout(wait + connection::PATIENCE, take_all(request)).await;
    taken.unwrap_or_else(|_| Err("its consumer does not answer".to_owned()))
}

async fn take_all(request: impl Future<Output = Result<pull::Batch, impl std::fmt::Display>>) -> Result<Vec<Message>, String> {
    let mut batch = request.await.map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    while let Some(message) = batch.next().await {
        match message {
            Ok(message) => found.push(message),
            // What was given comes again if it is not settled, but there is no need to wait for that.
            Err(error) if found.is_empty() => return Err(error.to_string()),
            Err(error) => {
                tracing::warn!(%error, "a request for messages ended early");
                break;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_of_different_subjects_have_different_names() {
        let feed = |subject: &str| IngestFeed { stream: "S".to_owned(), subject: subject.parse().unwrap() };
        assert_eq!(durable_name("event-service", &feed("order.>")), "event-service-order_all-d1f0e028");
        assert_ne!(durable_name("e", &feed("a.b")), durable_name("e", &feed("a_b")));
        let longest = durable_name("event-service", &feed(&["x"; 500].join(".")));
        assert!(longest.len() < 100, "{longest}");
    }
}
