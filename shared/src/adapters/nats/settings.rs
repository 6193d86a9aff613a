//! What the operator says of NATS.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::domain::bridge::{BridgeStream, IngestFeed, SubjectError, SubjectPattern};

/// Everything that the bridge has to know.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// Where the servers are.
    pub servers: NatsServers,
    /// How to log in, unless the address says so, or nobody has to.
    pub credentials: Option<NatsCredentials>,
    /// Whose certificates are trusted besides those that the system trusts: PEM.
    pub certificates: Option<String>,
    /// What this service calls itself in a header of all that it publishes, so that it is never taken in again.
    pub own_name: String,
    /// The streams that are published to.
    pub streams: NatsStreams,
    /// What is taken in.
    pub feeds: IngestFeeds,
    /// What the names of its consumers begin with.
    pub durable: String,
    /// How long a message that was taken is nobody else's.
    pub ack_wait: Duration,
}

impl NatsSettings {
    /// How long a message that was taken is nobody else's: longer than storing a batch may take.
    const ACK_WAIT: Duration = Duration::from_mins(1);
    /// What a service is called that has no name of its own.
    const NAME: &str = "event-service";

    /// What holds unless the operator says otherwise.
    #[must_use]
    pub fn at(servers: NatsServers) -> Self {
        Self {
            servers,
            credentials: None,
            certificates: None,
            own_name: Self::NAME.to_owned(),
            streams: NatsStreams::default(),
            feeds: IngestFeeds::default(),
            durable: Self::NAME.to_owned(),
            ack_wait: Self::ACK_WAIT,
        }
    }
}

/// Addresses: `nats://host:4222`, `tls://…`, with commas between several of one cluster.
///
/// An address may hold a password: `Debug` shows hosts only.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsServers(Vec<url::Url>);

/// The text names no NATS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be nats://host:port or tls://host:port, or several with commas between them")]
pub struct NoNatsServer;

impl NatsServers {
    /// Whether any of them is only spoken to through TLS.
    pub(super) fn want_tls(&self) -> bool {
        self.0.iter().any(|url| url.scheme() == "tls")
    }

    /// The login that an address holds: `user:password@`, or `token@`.
    pub(super) fn login(&self) -> Option<NatsCredentials> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
        self.0.iter().find(|url| !url.username().is_empty()).and_then(|url| {
            let user = decoded(url.username())?;
            Some(match url.password() {
                Some(password) => NatsCredentials::User { user, password: decoded(password)? },
                None => NatsCredentials::Token(user),
            })
        })
    }

    /// The addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(url::Url::as_str)
    }
}

impl FromStr for NatsServers {
    type Err = NoNatsServer;

    fn from_str(text: &str) -> Result<Self, NoNatsServer> {
        let server = |text: &str| {
            let text = text.trim();
            let text = if text.contains("://") { text.to_owned() } else { format!("nats://{text}") };
            let url = url::Url::parse(&text).map_err(|_| NoNatsServer)?;
            let known = matches!(url.scheme(), "nats" | "tls") && url.has_host();
            if known { Ok(url) } else { Err(NoNatsServer) }
        };
        text.split(',').map(server).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Debug for NatsServers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(shown)).finish()
    }
}

impl fmt::Display for NatsServers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.0.iter().map(shown).collect();
        formatter.write_str(&hosts.join(", "))
    }
}

/// An address without what it may hold of a login.
fn shown(url: &url::Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// How to log in. `Debug` shows which way only.
///
/// Read from one text: the content of a credentials file, the seed of an nkey, `user:password`, or else a token.
#[derive(Clone, PartialEq, Eq)]
pub enum NatsCredentials {
    /// A JWT and the nkey's seed that signs for it, as `nsc` writes them.
    File(String),
    /// An nkey's seed.
    Nkey(String),
    /// A user and a password.
    User {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
}

/// The text is no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the content of a credentials file, an nkey's seed, user:password, or a token")]
pub struct NoNatsCredentials;

impl FromStr for NatsCredentials {
    type Err = NoNatsCredentials;

    fn from_str(text: &str) -> Result<Self, NoNatsCredentials> {
        // An environment may hold no line breaks: then they are written \n.
        let text = text.trim().replace("\\n", "\n");
        if text.contains("BEGIN NATS USER JWT") {
            // A seed counts only if its last line has an end, which a parameter of a deployment does not keep.
            return Ok(Self::File(text + "\n"));
        }
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(NoNatsCredentials);
        }
        let is_seed =
            text.len() == 58 && text.starts_with("SU") && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if is_seed {
            return Ok(Self::Nkey(text));
        }
        Ok(match text.split_once(':') {
            Some((user, password)) => Self::User { user: user.to_owned(), password: password.to_owned() },
            None => Self::Token(text),
        })
    }
}

impl fmt::Debug for NatsCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::File(_) => "NatsCredentials::File(..)",
            Self::Nkey(_) => "NatsCredentials::Nkey(..)",
            Self::User { .. } => "NatsCredentials::User { .. }",
            Self::Token(_) => "NatsCredentials::Token(..)",
        })
    }
}

/// The streams that are published to, and how they are made if they are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsStreams {
    /// The name of the stream of events.
    pub events: String,
    /// What the subjects of events begin with.
    pub events_prefix: SubjectPattern,
    /// The name of the stream of domain events.
    pub domain_events: String,
    /// What the subjects of domain events begin with, if with anything.
    pub domain_prefix: Option<SubjectPattern>,
    /// For how long a stream keeps messages; for ever if that is nothing.
    pub max_age: Duration,
    /// The most bytes of a stream, if there is a limit: the oldest go first.
    pub max_bytes: Option<u64>,
    /// How many servers keep each message.
    pub replicas: u8,
    /// For how long a stream knows what it has got already.
    pub duplicate_window: Duration,
}

impl Default for NatsStreams {
    fn default() -> Self {
        Self {
            events: "EVENTS".to_owned(),
            events_prefix: SubjectPattern::of_events(),
            domain_events: "event-stream".to_owned(),
            domain_prefix: None,
            max_age: Duration::from_hours(7 * 24),
            max_bytes: None,
            replicas: 1,
            duplicate_window: Duration::from_mins(10),
        }
    }
}

/// Why no server can have the streams.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamsError {
    /// Events and domain events would share one.
    #[error("events and domain events cannot both go to the stream {0}: give one of them another name")]
    OneStream(String),
    /// A subject would belong to both.
    #[error("events on {events} and domain events on {domain_events} overlap: choose another prefix for one of them")]
    Overlap {
        /// A subject of events.
        events: SubjectPattern,
        /// A subject of domain events.
        domain_events: SubjectPattern,
    },
    /// JetStream keeps no stream so many times.
    #[error("a stream is kept by one to five servers")]
    Replicas,
    /// What is published twice would be there twice.
    #[error("must be a second at least: for so long JetStream drops what it has got already")]
    NoWindow,
}

impl NatsStreams {
    /// The most servers that keep a message, as JetStream has it.
    const MOST_REPLICAS: u8 = 5;

    /// The name of a stream.
    #[must_use]
    pub fn name(&self, stream: BridgeStream) -> &str {
        match stream {
            BridgeStream::Events => &self.events,
            BridgeStream::DomainEvents => &self.domain_events,
        }
    }

    /// The whole subject of a message.
    #[must_use]
    pub fn subject(&self, stream: BridgeStream, subject: &str) -> String {
        match (stream, &self.domain_prefix) {
            (BridgeStream::Events, _) => format!("{}.{subject}", self.events_prefix),
            (BridgeStream::DomainEvents, Some(prefix)) => format!("{prefix}.{subject}"),
            (BridgeStream::DomainEvents, None) => subject.to_owned(),
        }
    }

    /// Whether a server can have these streams.
    ///
    /// # Errors
    /// [`StreamsError`] says what is wrong.
    pub fn check(&self) -> Result<(), StreamsError> {
        if self.events == self.domain_events {
            return Err(StreamsError::OneStream(self.events.clone()));
        }
        let patterns = |stream| self.subjects(stream).into_iter().filter_map(|subject| subject.parse::<SubjectPattern>().ok());
        let overlap = patterns(BridgeStream::Events)
            .find_map(|one| patterns(BridgeStream::DomainEvents).find(|other| one.overlaps(other)).map(|other| (one, other)));
        if let Some((events, domain_events)) = overlap {
            return Err(StreamsError::Overlap { events, domain_events });
        }
        if !(1..=Self::MOST_REPLICAS).contains(&self.replicas) {
            return Err(StreamsError::Replicas);
        }
        if self.duplicate_window.is_zero() { Err(StreamsError::NoWindow) } else { Ok(()) }
    }

    /// All subjects of a stream.
    #[must_use]
    pub fn subjects(&self, stream: BridgeStream) -> Vec<String> {
        stream.subjects().iter().map(|subject| self.subject(stream, subject)).collect()
    }
}

/// What is taken in: `stream=subject`, with commas between several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestFeeds(pub Vec<IngestFeed>);

impl IngestFeeds {
    /// The stream that is made if nothing else is asked for.
    pub const OWN_STREAM: &'static str = "EVENTS_INGEST";
    /// The word for taking nothing in.
    const OFF: &'static str = "off";

    /// Whether any of this would be taken in that is published, and so come round for ever.
    ///
    /// # Errors
    /// [`TakesItsOwn`] says which.
    pub fn check(&self, streams: &NatsStreams) -> Result<(), TakesItsOwn> {
        for feed in &self.0 {
            for own in BridgeStream::ALL {
                let overlap = |subject: &String| subject.parse().is_ok_and(|subject: SubjectPattern| subject.overlaps(&feed.subject));
                if let Some(subject) = streams.subjects(*own).into_iter().find(overlap) {
                    return Err(TakesItsOwn { feed: feed.to_string(), subject });
                }
                if feed.stream == streams.name(*own) {
                    return Err(TakesItsOwn { feed: feed.to_string(), subject: format!("the stream {}", feed.stream) });
                }
            }
        }
        Ok(())
    }
}

impl Default for IngestFeeds {
    fn default() -> Self {
        Self(vec![IngestFeed { stream: Self::OWN_STREAM.to_owned(), subject: SubjectPattern::of_ingest() }])
    }
}

/// What is published would be taken in again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("takes in {feed}, which has what this service publishes itself on {subject}: choose other subjects, or another prefix")]
pub struct TakesItsOwn {
    /// What would be taken in.
    pub feed: String,
    /// What is published.
    pub subject: String,
}

/// Why a list of feeds cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedsError {
    /// One is not `stream=subject`.
    #[error("{0:?} is not stream=subject")]
    Form(String),
    /// The name is none that a server takes.
    #[error("{0:?} cannot be the name of a stream")]
    Stream(String),
    /// The subject is none.
    #[error("{subject:?}: {error}")]
    Subject {
        /// The text.
        subject: String,
        /// What is wrong with it.
        error: SubjectError,
    },
}

/// The name of a stream or of a consumer that every server takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamName(pub String);

impl FromStr for StreamName {
    type Err = FeedsError;

    fn from_str(text: &str) -> Result<Self, FeedsError> {
        stream_name(text).map(Self)
    }
}

fn stream_name(text: &str) -> Result<String, FeedsError> {
    let fits =
        (1..=200).contains(&text.len()) && text.chars().all(|character| character.is_ascii_graphic() && !"*>./\\".contains(character));
    if fits { Ok(text.to_owned()) } else { Err(FeedsError::Stream(text.to_owned())) }
}

impl FromStr for IngestFeeds {
    type Err = FeedsError;

    fn from_str(text: &str) -> Result<Self, FeedsError> {
        if text.trim() == Self::OFF {
            return Ok(Self(Vec::new()));
        }
        let feed = |text: &str| {
            let (stream, subject) = text.split_once('=').ok_or_else(|| FeedsError::Form(text.to_owned()))?;
            let (stream, subject) = (stream_name(stream.trim())?, subject.trim());
            let subject = subject.parse().map_err(|error| FeedsError::Subject { subject: subject.to_owned(), error })?;
            Ok(IngestFeed { stream, subject })
        };
        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(feed).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_shown_without_their_passwords() {
        let servers: NatsServers = "nats://user:secret@one:4222, tls://two,three:5".parse().unwrap();
        assert_eq!(servers.to_string(), "nats://one:4222, tls://two, nats://three:5");
        for text in ["", "http://one", "nats://"] {
            assert!(text.parse::<NatsServers>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn one_text_says_how_to_log_in() {
        let seed = format!("SU{}", "A".repeat(56));
        let file = "-----BEGIN NATS USER JWT-----\\nabc\\n------END NATS USER JWT------";
        for (text, shown) in [
            ("me:it", "NatsCredentials::User { .. }"),
            (seed.as_str(), "NatsCredentials::Nkey(..)"),
            ("s3cr3t", "NatsCredentials::Token(..)"),
            (file, "NatsCredentials::File(..)"),
        ] {
            assert_eq!(format!("{:?}", text.parse::<NatsCredentials>().unwrap()), shown);
        }
        assert_eq!(file.parse(), Ok(NatsCredentials::File(file.replace("\\n", "\n") + "\n")));
        assert_eq!("a b".parse::<NatsCredentials>(), Err(NoNatsCredentials));
    }

    #[test]
    fn what_is_published_is_never_what_is_taken_in() {
        let streams = NatsStreams::default();
        assert_eq!(IngestFeeds::default().check(&streams), Ok(()));
        for text in ["X=events.>", "X=events.*.order.>", "X=event.stored", "X=>", "EVENTS=other.>"] {
            let feeds: IngestFeeds = text.parse().unwrap();
            assert!(feeds.check(&streams).is_err(), "{text}");
        }
        let moved = NatsStreams { domain_prefix: "event_service".parse().ok(), ..streams };
        assert_eq!("X=event.>".parse::<IngestFeeds>().unwrap().check(&moved), Ok(()));
        assert_eq!(moved.subjects(BridgeStream::DomainEvents), ["event_service.event.>"]);
    }

    #[test]
    fn streams_that_no_server_can_have_are_refused() {
        let usual = NatsStreams::default;
        assert_eq!(usual().check(), Ok(()));
        let one = NatsStreams { domain_events: "EVENTS".to_owned(), ..usual() };
        assert_eq!(one.check(), Err(StreamsError::OneStream("EVENTS".to_owned())));
        let overlapping = NatsStreams { events_prefix: "event".parse().unwrap(), ..usual() };
        assert!(matches!(overlapping.check(), Err(StreamsError::Overlap { .. })));
        for replicas in [0, 9] {
            assert_eq!(NatsStreams { replicas, ..usual() }.check(), Err(StreamsError::Replicas));
        }
        assert_eq!(NatsStreams { duplicate_window: Duration::ZERO, ..usual() }.check(), Err(StreamsError::NoWindow));
    }

    #[test]
    fn feeds_are_a_list_of_streams_and_subjects() {
        let feeds: IngestFeeds = "ORDERS=order.>, USERS = user.*".parse().unwrap();
        let shown: Vec<String> = feeds.0.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["ORDERS=order.>", "USERS=user.*"]);
        assert_eq!("off".parse(), Ok(IngestFeeds(Vec::new())));
        assert_eq!("order.>".parse::<IngestFeeds>(), Err(FeedsError::Form("order.>".to_owned())));
        assert!(matches!("A.B=c".parse::<IngestFeeds>(), Err(FeedsError::Stream(_))));
        assert!(matches!("A=b..c".parse::<IngestFeeds>(), Err(FeedsError::Subject { .. })));
    }
}
