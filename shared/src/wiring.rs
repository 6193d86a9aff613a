//! Puts adapters together as the environment says: what every function's `main.rs` starts with.

use crate::adapters::aws::{Connection, Credentials};
#[cfg(feature = "dynamodb")]
use crate::adapters::dynamodb::{self, DynamoEvents};
#[cfg(feature = "eventbridge")]
use crate::adapters::eventbridge::{self, EventBridge};
#[cfg(feature = "s3")]
use crate::adapters::s3::S3Objects;
#[cfg(feature = "sealing")]
use crate::adapters::sealing::{Sealer, SealingKey};
#[cfg(feature = "sqs")]
use crate::adapters::sqs::{self, SqsQueues};
use crate::config::{self, ConfigError};
#[cfg(feature = "sqs")]
use crate::domain::queue::{Queue, WorkQueue};

/// The connection to DynamoDB that the environment of a Lambda function describes: `AWS_REGION`, the
/// static credentials, and `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL` for another endpoint.
///
/// # Errors
/// [`ConfigError`] if one of them is missing.
#[cfg(feature = "dynamodb")]
pub fn connection() -> Result<Connection, ConfigError> {
    connection_at("AWS_ENDPOINT_URL_DYNAMODB")
}

/// The ports on the table that `EVENTS_TABLE` names, with `EVENTS_TIME_SHARDS` partitions of its time
/// index a day, for a function that has no business with the secrets of processors and subscriptions.
///
/// # Errors
/// [`ConfigError`] if a variable is missing or cannot be read.
#[cfg(feature = "dynamodb")]
pub fn dynamo_events() -> Result<DynamoEvents, ConfigError> {
    Ok(table()?.without_secrets())
}

/// The same, for a function that uses or saves secrets. It seals and opens them if there is a key, see [`sealer`].
///
/// # Errors
/// [`ConfigError`] if a variable is missing or cannot be read.
#[cfg(feature = "dynamodb")]
pub fn dynamo_events_and_secrets() -> Result<DynamoEvents, ConfigError> {
    let events = table()?;
    Ok(match sealer()? {
        Some(sealer) => events.sealing(sealer),
        None => events,
    })
}

#[cfg(feature = "dynamodb")]
fn table() -> Result<DynamoEvents, ConfigError> {
    let shards = config::parsed("EVENTS_TIME_SHARDS")?.unwrap_or_default();
    let events = DynamoEvents::new(dynamodb::connect(connection()?), config::required("EVENTS_TABLE")?, shards);
    Ok(match archive()? {
        Some(objects) => events.with_archive(std::sync::Arc::new(objects)),
        None => events,
    })
}

/// The archive in the bucket that `ARCHIVE_BUCKET` names, if it is set, at `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, if one of these is
/// set.
///
/// # Errors
/// [`ConfigError`] if the region or the credentials are missing.
#[cfg(feature = "s3")]
pub fn archive() -> Result<Option<S3Objects>, ConfigError> {
    let Some(bucket) = config::optional("ARCHIVE_BUCKET") else { return Ok(None) };
    Ok(Some(S3Objects::new(connection_at("AWS_ENDPOINT_URL_S3")?, &bucket)))
}

/// After how many days events are archived: `ARCHIVE_AFTER_DAYS`. None are if it is not set, or 0.
///
/// # Errors
/// [`ConfigError`] if it is no number of days.
pub fn archive_after() -> Result<Option<crate::commands::archive_events::ArchiveAfter>, ConfigError> {
    const NAME: &str = "ARCHIVE_AFTER_DAYS";
    if config::optional(NAME).is_some_and(|text| text.trim() == "0") {
        return Ok(None);
    }
    config::parsed(NAME)
}

/// What seals secrets at rest: the key in `SECRETS_KEY`, 32 random bytes in base64, and the one before it in
/// `SECRETS_KEY_PREVIOUS`. Without a key, secrets are stored as they are.
///
/// # Errors
/// [`ConfigError`] if a key cannot be read, or only the one before is there.
#[cfg(feature = "sealing")]
pub fn sealer() -> Result<Option<Sealer>, ConfigError> {
    let previous = config::parsed::<SealingKey>("SECRETS_KEY_PREVIOUS")?;
    match config::parsed::<SealingKey>("SECRETS_KEY")? {
        Some(current) => Ok(Some(Sealer::new(current, previous.into_iter().collect()))),
        None if previous.is_some() => Err(ConfigError::Missing("SECRETS_KEY")),
        None => Ok(None),
    }
}

/// The bus whose name or ARN is in `EVENT_BUS_NAME`, if it is set, at `AWS_ENDPOINT_URL_EVENTBRIDGE` or `AWS_ENDPOINT_URL`, if
/// one of these is set.
///
/// # Errors
/// [`ConfigError`] if the region or the credentials are missing.
#[cfg(feature = "eventbridge")]
pub fn event_bus() -> Result<Option<EventBridge>, ConfigError> {
    let Some(bus) = config::optional("EVENT_BUS_NAME") else { return Ok(None) };
    Ok(Some(EventBridge::new(eventbridge::connect(connection_at("AWS_ENDPOINT_URL_EVENTBRIDGE")?), bus)))
}

/// The queues that a function has to do with, by the URLs in `PROCESS_QUEUE_URL`, `RETRY_QUEUE_URL`, `DELIVER_QUEUE_URL`, `COLLECT_QUEUE_URL`, `REPLAY_QUEUE_URL`,
/// `NATS_QUEUE_URL`, and
/// `PROCESS_DEAD_LETTERS_URL`, `RETRY_DEAD_LETTERS_URL`, `DELIVER_DEAD_LETTERS_URL`, `COLLECT_DEAD_LETTERS_URL`,
/// `REPLAY_DEAD_LETTERS_URL`, `NATS_DEAD_LETTERS_URL`; without a bridge to NATS, its queues have none. They are at `AWS_ENDPOINT_URL_SQS` or
/// `AWS_ENDPOINT_URL`, if one of these is set.
///
/// # Errors
/// [`ConfigError`] if the URL of one of them, the region or the credentials are missing.
#[cfg(feature = "sqs")]
pub fn queues(needed: &[Queue]) -> Result<SqsQueues, ConfigError> {
    let with_url = |queue: &Queue| match queue {
        // There need not be a bridge.
        Queue::Work(WorkQueue::Nats) | Queue::DeadLetters(WorkQueue::Nats) => Ok(config::optional(url_variable(queue)?)).transpose(),
        Queue::Work(_) | Queue::DeadLetters(_) | Queue::Named(_) => url_variable(queue).map(config::required),
    };
    let with_url = |queue: &Queue| with_url(queue).map(|url| Ok((queue.clone(), url?)));
    let urls = needed.iter().filter_map(with_url).collect::<Result<_, ConfigError>>()?;
    Ok(SqsQueues::new(sqs::connect(connection_at("AWS_ENDPOINT_URL_SQS")?), urls))
}

/// The variable with the URL of one of this service's own queues.
#[cfg(feature = "sqs")]
const fn url_variable(queue: &Queue) -> Option<&'static str> {
    match queue {
        Queue::Work(WorkQueue::Process) => Some("PROCESS_QUEUE_URL"),
        Queue::Work(WorkQueue::Retry) => Some("RETRY_QUEUE_URL"),
        Queue::Work(WorkQueue::Deliver) => Some("DELIVER_QUEUE_URL"),
        Queue::Work(WorkQueue::Collect) => Some("COLLECT_QUEUE_URL"),
        Queue::Work(WorkQueue::Replay) => Some("REPLAY_QUEUE_URL"),
        Queue::Work(WorkQueue::Nats) => Some("NATS_QUEUE_URL"),
        Queue::DeadLetters(WorkQueue::Nats) => Some("NATS_DEAD_LETTERS_URL"),
        Queue::DeadLetters(WorkQueue::Replay) => Some("REPLAY_DEAD_LETTERS_URL"),
        Queue::DeadLetters(WorkQueue::Collect) => Some("COLLECT_DEAD_LETTERS_URL"),
        Queue::DeadLetters(WorkQueue::Process) => Some("PROCESS_DEAD_LETTERS_URL"),
        Queue::DeadLetters(WorkQueue::Retry) => Some("RETRY_DEAD_LETTERS_URL"),
        Queue::DeadLetters(WorkQueue::Deliver) => Some("DELIVER_DEAD_LETTERS_URL"),
        Queue::Named(_) => None,
    }
}

/// Whether there is a bridge to NATS: `on` in `NATS_BRIDGE`.
#[must_use]
pub fn bridging() -> crate::domain::bridge::Bridging {
    use crate::domain::bridge::Bridging;
    if config::optional("NATS_BRIDGE").is_some_and(|word| word.trim() == "on") { Bridging::On } else { Bridging::Off }
}

/// Who knows how the bridge to NATS is, if there is one.
#[cfg(feature = "dynamodb")]
#[must_use]
pub fn bridge_status(events: &DynamoEvents) -> Option<&dyn crate::ports::bridge_status::BridgeStatusStore> {
    use crate::domain::bridge::Bridging;
    match bridging() {
        Bridging::On => Some(events),
        Bridging::Off => None,
    }
}

/// What the environment says of NATS: the servers in `NATS_URL`; how to log in, in `NATS_CREDENTIALS`, and certificates of others to trust,
/// in `NATS_CA`; how the streams are called and made, in `NATS_EVENTS_STREAM`, `NATS_EVENTS_PREFIX`, `NATS_DOMAIN_STREAM`,
/// `NATS_DOMAIN_PREFIX`, `NATS_MAX_AGE_DAYS`, `NATS_MAX_BYTES`, `NATS_REPLICAS` and `NATS_DUPLICATE_SECONDS`; what is taken in, in
/// `NATS_INGEST`, by consumers of which name, in `NATS_DURABLE`, and for how long a message is theirs, in `NATS_ACK_WAIT_SECONDS`; and what this service calls itself, in `SERVICE_NAME`.
///
/// # Errors
/// [`ConfigError`] if there is no server, something cannot be read, or what is published would be taken in again.
#[cfg(feature = "nats")]
pub fn nats() -> Result<crate::adapters::nats::settings::NatsSettings, ConfigError> {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use crate::adapters::nats::settings::{IngestFeeds, NatsSettings, NatsStreams, StreamName, StreamsError};
    use crate::domain::bridge::SubjectPattern;
    let prefix = |name: &'static str| {
        let read = |text: String| text.trim().trim_end_matches('.').parse::<SubjectPattern>();
        let prefix = config::optional(name).map(read).transpose();
        let prefix = prefix.map_err(|error| ConfigError::Invalid { name, problem: error.to_string() })?;
        let is_plain = prefix.as_ref().is_none_or(SubjectPattern::is_subject);
        if is_plain { Ok(prefix) } else { Err(ConfigError::Invalid { name, problem: "may have no wildcard".to_owned() }) }
    };
    let NatsSettings { streams: usual, feeds, durable, ack_wait, own_name, servers, .. } =
        NatsSettings::at(config::parsed("NATS_URL")?.ok_or(ConfigError::Missing("NATS_URL"))?);
    let domain_prefix = prefix("NATS_DOMAIN_PREFIX")?;
    let streams = NatsStreams {
        events: config::parsed("NATS_EVENTS_STREAM")?.map_or(usual.events, |StreamName(name)| name),
        events_prefix: prefix("NATS_EVENTS_PREFIX")?.unwrap_or(usual.events_prefix),
        domain_events: match config::parsed("NATS_DOMAIN_STREAM")? {
            Some(StreamName(name)) => name,
            None => domain_prefix.as_ref().map_or(usual.domain_events, |prefix| format!("{}-stream", prefix.as_str().replace('.', "_"))),
        },
        domain_prefix,
        max_age: config::parsed::<u32>("NATS_MAX_AGE_DAYS")?.map_or(usual.max_age, |days| Duration::from_hours(24 * u64::from(days))),
        max_bytes: config::parsed::<u64>("NATS_MAX_BYTES")?.filter(|bytes| *bytes > 0),
        replicas: config::parsed("NATS_REPLICAS")?.unwrap_or(usual.replicas),
        duplicate_window: config::parsed("NATS_DUPLICATE_SECONDS")?.map_or(usual.duplicate_window, Duration::from_secs),
    };
    streams.check().map_err(|error| {
        let name = match &error {
            StreamsError::OneStream(_) => "NATS_DOMAIN_STREAM",
            StreamsError::Overlap { .. } => "NATS_EVENTS_PREFIX",
            StreamsError::Replicas => "NATS_REPLICAS",
            StreamsError::NoWindow => "NATS_DUPLICATE_SECONDS",
        };
        ConfigError::Invalid { name, problem: error.to_string() }
    })?;
    let feeds: IngestFeeds = config::parsed("NATS_INGEST")?.unwrap_or(feeds);
    feeds.check(&streams).map_err(|error| ConfigError::Invalid { name: "NATS_INGEST", problem: error.to_string() })?;
    Ok(NatsSettings {
        servers,
        credentials: config::parsed("NATS_CREDENTIALS")?,
        certificates: config::optional("NATS_CA").map(|pem| pem.replace("\\n", "\n")),
        own_name: config::optional("SERVICE_NAME").unwrap_or(own_name),
        streams,
        feeds,
        durable: config::parsed("NATS_DURABLE")?.map_or(durable, |StreamName(name)| name),
        ack_wait: config::parsed::<NonZeroU32>("NATS_ACK_WAIT_SECONDS")?
            .map_or(ack_wait, |seconds| Duration::from_secs(seconds.get().into())),
    })
}

/// The bridge to NATS, as the environment says.
#[cfg(all(feature = "dynamodb", feature = "sqs", feature = "nats", feature = "collect"))]
pub struct NatsBridge {
    /// What takes events in.
    collecting: Collecting,
    /// NATS.
    pub broker: crate::adapters::nats::NatsBroker,
}

#[cfg(all(feature = "dynamodb", feature = "sqs", feature = "nats", feature = "collect"))]
impl NatsBridge {
    /// The adapters that the environment describes, with the queues that are heard.
    ///
    /// # Errors
    /// [`ConfigError`] if a variable is missing or cannot be read.
    pub fn from_environment(queues: &[Queue]) -> Result<Self, ConfigError> {
        Ok(Self { collecting: Collecting::from_environment(queues)?, broker: crate::adapters::nats::NatsBroker::new(nats()?) })
    }

    /// The table.
    #[must_use]
    pub const fn events(&self) -> &DynamoEvents {
        self.collecting.events()
    }

    /// The queue of what is to be published.
    #[must_use]
    pub const fn queues(&self) -> &SqsQueues {
        &self.collecting.queues
    }

    /// What publishing takes.
    #[must_use]
    pub fn publishing(&self) -> crate::commands::bridge_events::BridgeEventsPorts<'_> {
        use crate::commands::bridge_events::BridgeEventsPorts;
        let (events, write) = (self.events(), crate::http::webhook_body::WRITE_BRIDGED);
        BridgeEventsPorts { log: events, outcomes: events, definitions: events, publisher: &self.broker, write }
    }

    /// What taking messages in takes.
    #[must_use]
    pub fn ingesting(&self) -> crate::commands::ingest_messages::IngestMessagesPorts<'_> {
        use crate::commands::collect_events::CollectEventsPorts;
        use crate::commands::ingest_messages::IngestMessagesPorts;
        let CollectEventsPorts { append, rejected, queues: _, clock, definitions, gate } = self.collecting.ports();
        let (source, events, own_name) = (&self.broker, self.events(), &self.broker.settings().own_name);
        IngestMessagesPorts {
            source,
            append,
            events,
            rejected,
            definitions,
            gate,
            clock,
            read: crate::http::collect::nats::read_message,
            own_name,
        }
    }
}

/// The connection to a service whose endpoint is in a variable of its own, or where all services are.
#[cfg(any(feature = "dynamodb", feature = "eventbridge", feature = "sqs"))]
fn connection_at(endpoint: &'static str) -> Result<Connection, ConfigError> {
    let credentials = Credentials::new(
        config::required("AWS_ACCESS_KEY_ID")?,
        config::required("AWS_SECRET_ACCESS_KEY")?,
        config::optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let endpoint = config::optional(endpoint).or_else(|| config::optional("AWS_ENDPOINT_URL"));
    Ok(Connection::new(config::required("AWS_REGION")?, endpoint, credentials))
}

/// Webhooks to the Internet, and to the internal hosts that `WEBHOOK_ALLOWED_HOSTS` names: `notification-service,*.internal:8080`.
///
/// # Errors
/// [`ConfigError`] if the list cannot be read.
#[cfg(feature = "webhook")]
pub fn webhooks() -> Result<crate::adapters::webhook::HttpWebhooks, ConfigError> {
    let clock = std::sync::Arc::new(crate::adapters::system::SystemClock);
    Ok(crate::adapters::webhook::HttpWebhooks::new(allowed_hosts()?, clock))
}

/// The agent of Consul's that `CONSUL_HTTP_ADDR` names, if it is set, shown `CONSUL_HTTP_TOKEN`.
///
/// # Errors
/// [`ConfigError`] if the address cannot be read.
#[cfg(feature = "webhook")]
pub fn consul() -> Result<Option<crate::adapters::consul::Consul>, ConfigError> {
    use crate::adapters::consul::{Consul, ConsulAddress};
    const NAME: &str = "CONSUL_HTTP_ADDR";
    let Some(address) = config::parsed::<ConsulAddress>(NAME)? else { return Ok(None) };
    let consul = Consul::new(address, config::optional("CONSUL_HTTP_TOKEN"));
    consul.map(Some).map_err(|error| ConfigError::Invalid { name: NAME, problem: error.to_string() })
}

/// The internal hosts that webhooks may call.
///
/// # Errors
/// [`ConfigError`] if the list cannot be read.
pub fn allowed_hosts() -> Result<crate::domain::webhook_url::AllowedHosts, ConfigError> {
    Ok(config::parsed("WEBHOOK_ALLOWED_HOSTS")?.unwrap_or_default())
}

/// The digest of the key that an operator starts with: `EVENTS_BOOTSTRAP_KEY_SHA256`, in hex.
///
/// # Errors
/// [`ConfigError::Invalid`] if it is set and no digest.
pub fn bootstrap_key() -> Result<Option<crate::domain::access::KeyDigest>, ConfigError> {
    const NAME: &str = "EVENTS_BOOTSTRAP_KEY_SHA256";
    let digest = config::optional(NAME).map(|text| crate::domain::access::KeyDigest::from_hex(text.trim()));
    match digest {
        None => Ok(None),
        Some(Some(digest)) => Ok(Some(digest)),
        Some(None) => Err(ConfigError::Invalid { name: NAME, problem: "must be 64 hexadecimal digits".to_owned() }),
    }
}

/// What the operator has decided about collecting: `COLLECT_ALLOWED_ORIGINS`, `COLLECT_IP`, `COLLECT_DO_NOT_TRACK`,
/// `COLLECT_MAX_EVENT_BYTES` and `COLLECT_MAX_REQUEST_BYTES`.
///
/// # Errors
/// [`ConfigError`] if one of them cannot be read.
#[cfg(feature = "collect")]
pub fn collect_settings() -> Result<crate::http::collect::settings::CollectSettings, ConfigError> {
    use crate::http::collect::settings::{CollectSettings, MostBytes};
    let default = CollectSettings::default();
    Ok(CollectSettings {
        origins: config::parsed("COLLECT_ALLOWED_ORIGINS")?.unwrap_or(default.origins),
        ip: config::parsed("COLLECT_IP")?.unwrap_or(default.ip),
        do_not_track: config::parsed("COLLECT_DO_NOT_TRACK")?.unwrap_or(default.do_not_track),
        most_event_bytes: config::parsed("COLLECT_MAX_EVENT_BYTES")?.map_or(default.most_event_bytes, |MostBytes(most)| most),
        most_request_bytes: config::parsed("COLLECT_MAX_REQUEST_BYTES")?.map_or(default.most_request_bytes, |MostBytes(most)| most),
    })
}

/// What RudderStack's webhook destination shows: `RUDDERSTACK_SECRET`. Without it, everybody may send there.
///
/// # Errors
/// [`ConfigError`] if it is too short or too long for a secret.
pub fn rudderstack_secret() -> Result<Option<crate::domain::signature::WebhookSecret>, ConfigError> {
    use crate::domain::signature::WebhookSecret;
    const NAME: &str = "RUDDERSTACK_SECRET";
    let secret = config::optional(NAME).map(|text| WebhookSecret::from_text(text.trim().to_owned())).transpose();
    secret.map_err(|error| ConfigError::Invalid { name: NAME, problem: error.to_string() })
}

/// What takes collected events in, as the environment says: what every collector and `manage-rejected-events` share.
#[cfg(all(feature = "dynamodb", feature = "sqs"))]
pub struct Collecting {
    events: DynamoEvents,
    queues: SqsQueues,
    heads: crate::commands::append::KnownHeads,
    gate: crate::commands::check_schemas::SchemaGate,
}

#[cfg(all(feature = "dynamodb", feature = "sqs"))]
impl Collecting {
    /// The adapters that the environment describes, with the queues that are sent to.
    ///
    /// # Errors
    /// [`ConfigError`] if a variable is missing or cannot be read.
    pub fn from_environment(queues: &[Queue]) -> Result<Self, ConfigError> {
        let (heads, gate) = (crate::commands::append::KnownHeads::default(), crate::commands::check_schemas::SchemaGate::default());
        Ok(Self { events: dynamo_events()?, queues: self::queues(queues)?, heads, gate })
    }

    /// The ports on them.
    #[must_use]
    pub fn ports(&self) -> crate::commands::collect_events::CollectEventsPorts<'_> {
        use crate::adapters::system::{SystemClock, SystemRandom};
        use crate::commands::append::AppendPorts;
        use crate::commands::collect_events::CollectEventsPorts;
        let append = AppendPorts { log: &self.events, random: &SystemRandom, heads: &self.heads };
        CollectEventsPorts {
            append,
            rejected: &self.events,
            queues: &self.queues,
            clock: &SystemClock,
            definitions: &self.events,
            gate: &self.gate,
        }
    }

    /// The table, for what else is kept there.
    #[must_use]
    pub const fn events(&self) -> &DynamoEvents {
        &self.events
    }
}

/// Everything that running processors takes, as the environment says: what `process-events`, `retry-processors` and `run-replays` share.
#[cfg(all(feature = "dynamodb", feature = "sqs", feature = "eventbridge", feature = "webhook", feature = "http"))]
pub struct Processing {
    events: DynamoEvents,
    queues: SqsQueues,
    bus: Option<EventBridge>,
    sender: crate::adapters::webhook::HttpWebhooks,
    heads: crate::commands::append::KnownHeads,
    processed: crate::commands::process_events::ProcessedStreams,
}

#[cfg(all(feature = "dynamodb", feature = "sqs", feature = "eventbridge", feature = "webhook", feature = "http"))]
impl Processing {
    /// The adapters that the environment describes, with the queues that are sent to.
    ///
    /// # Errors
    /// [`ConfigError`] if a variable is missing or cannot be read.
    pub fn from_environment(queues: &[Queue]) -> Result<Self, ConfigError> {
        Ok(Self {
            events: dynamo_events_and_secrets()?,
            queues: self::queues(queues)?,
            bus: event_bus()?,
            sender: webhooks()?,
            heads: crate::commands::append::KnownHeads::default(),
            processed: crate::commands::process_events::ProcessedStreams::default(),
        })
    }

    /// The ports on them.
    #[must_use]
    pub fn ports(&self) -> crate::commands::process_events::ProcessEventsPorts<'_> {
        use crate::adapters::system::SystemRandom;
        use crate::commands::process_events::ProcessEventsPorts;
        ProcessEventsPorts {
            log: &self.events,
            outcomes: &self.events,
            definitions: &self.events,
            dead_letters: &self.events,
            run: self.running(),
            random: &SystemRandom,
            processed: &self.processed,
        }
    }

    fn running(&self) -> crate::commands::run_processor::RunProcessorPorts<'_> {
        use crate::adapters::system::{SystemClock, SystemRandom};
        use crate::commands::append::AppendPorts;
        use crate::commands::run_processor::RunProcessorPorts;
        use crate::commands::send_webhook::SendWebhookPorts;
        use crate::ports::event_bus::EventBus;
        RunProcessorPorts {
            append: AppendPorts { log: &self.events, random: &SystemRandom, heads: &self.heads },
            webhooks: SendWebhookPorts { sender: &self.sender, clock: &SystemClock },
            queues: &self.queues,
            bus: self.bus.as_ref().map(|bus| bus as &dyn EventBus),
            write: crate::http::webhook_body::webhook_body,
            replay: None,
        }
    }

    /// The ports of `run-replays` on them.
    #[must_use]
    pub fn replaying(&self) -> crate::commands::run_replays::RunReplaysPorts<'_> {
        use crate::adapters::system::SystemTimer;
        use crate::commands::run_replays::RunReplaysPorts;
        let batch = replay_batches(&self.events);
        RunReplaysPorts { replays: &self.events, batch, timer: &SystemTimer, run: self.running(), bridging: bridging(), alone_since: None }
    }

    /// Opens the connection to the table before the first message needs it.
    pub async fn warm_up(&self) {
        self.events.warm_up().await;
    }
}

/// What finding the events of replays takes, on a table.
#[cfg(feature = "dynamodb")]
#[must_use]
pub fn replay_batches(events: &DynamoEvents) -> crate::commands::replay_batch::ReplayBatchPorts<'_> {
    use crate::adapters::system::SystemClock;
    use crate::commands::replay_batch::ReplayBatchPorts;
    ReplayBatchPorts { streams: events, timeline: events, log: events, outcomes: events, definitions: events, clock: &SystemClock }
}
