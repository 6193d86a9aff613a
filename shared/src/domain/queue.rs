//! Queues and what is put into them.

use std::fmt;
use std::time::Duration;

/// A queue of this service's, or another that a processor publishes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Queue {
    /// One of this service's own.
    Work(WorkQueue),
    /// What could not be dealt with in one of this service's own.
    DeadLetters(WorkQueue),
    /// Another queue, by its name or its URL.
    Named(String),
}

/// The queues between this service's functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkQueue {
    /// Commits to process, in the order of their stream: FIFO.
    Process,
    /// Processors to run again.
    Retry,
    /// Webhooks to send.
    Deliver,
    /// Collected events that the store did not take at once, in the order of their stream: FIFO.
    Collect,
    /// Replays to go on with.
    Replay,
    /// Events and domain events to publish on NATS, in the order of their stream: FIFO.
    Nats,
}

impl WorkQueue {
    /// Every queue.
    pub const ALL: &'static [Self] = &[Self::Process, Self::Retry, Self::Deliver, Self::Collect, Self::Replay, Self::Nats];

    /// The name in configuration, documents and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Retry => "retry",
            Self::Deliver => "deliver",
            Self::Collect => "collect",
            Self::Replay => "replay",
            Self::Nats => "nats",
        }
    }

    /// Whether messages have groups, and those of one group an order.
    #[must_use]
    pub const fn is_fifo(self) -> bool {
        match self {
            Self::Process | Self::Collect | Self::Nats => true,
            Self::Retry | Self::Deliver | Self::Replay => false,
        }
    }

    /// How often a message is handed out before it goes to the dead letters.
    #[must_use]
    pub const fn most_receives(self) -> u32 {
        match self {
            Self::Process | Self::Retry | Self::Deliver | Self::Replay => 5,
            // An outage of the store, or of NATS, is no fault of theirs: they wait for hours, as long as nobody parks them.
            Self::Collect | Self::Nats => 1_000,
        }
    }
}

impl fmt::Display for WorkQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for WorkQueue {
    type Err = UnknownQueue;

    fn from_str(text: &str) -> Result<Self, UnknownQueue> {
        Self::ALL.iter().copied().find(|queue| queue.as_str() == text).ok_or(UnknownQueue)
    }
}

/// The text names no [`WorkQueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a known queue")]
pub struct UnknownQueue;

impl fmt::Display for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work(queue) => queue.fmt(formatter),
            Self::DeadLetters(queue) => write!(formatter, "{queue}-dead-letters"),
            Self::Named(name) => formatter.write_str(name),
        }
    }
}

impl Queue {
    /// Whether messages have groups, and those of one group an order.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        match self {
            Self::Work(queue) | Self::DeadLetters(queue) => queue.is_fifo(),
            // The service wants this ending of every FIFO queue's name, and a URL ends with the name.
            Self::Named(name) => name.strip_suffix(".fifo").is_some(),
        }
    }

    /// Whether a message can be put into this queue at all, whatever state the queue is in.
    ///
    /// # Errors
    /// [`NotTaken`] says why not.
    pub fn takes(&self, message: &Outgoing) -> Result<(), NotTaken> {
        if message.body.is_empty() {
            return Err(NotTaken::Empty);
        }
        if message.body.len() > Outgoing::MAX_BYTES {
            return Err(NotTaken::TooLarge);
        }
        match (&message.order, self.is_fifo()) {
            (None, false) if message.delay > Outgoing::MAX_DELAY => Err(NotTaken::TooLate),
            (None, false) => Ok(()),
            (None, true) => Err(NotTaken::NoGroup),
            (Some(_), false) => Err(NotTaken::NoOrder),
            (Some(_), true) if !message.delay.is_zero() => Err(NotTaken::NoDelay),
            (Some(order), true) => order.check(),
        }
    }
}

/// Why a queue does not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The body has no character.
    #[error("the message is empty")]
    Empty,
    /// The body is larger than [`Outgoing::MAX_BYTES`].
    #[error("the message is larger than {} bytes", Outgoing::MAX_BYTES)]
    TooLarge,
    /// The delay is longer than [`Outgoing::MAX_DELAY`].
    #[error("the delay is longer than {} s", Outgoing::MAX_DELAY.as_secs())]
    TooLate,
    /// A message of a FIFO queue without a group.
    #[error("a message of a fifo queue needs a group")]
    NoGroup,
    /// A message with a group, in a queue that has none.
    #[error("only a fifo queue has groups")]
    NoOrder,
    /// A message of a FIFO queue with a delay.
    #[error("a fifo queue has no delay")]
    NoDelay,
    /// The group or the deduplication text is none that the service takes.
    #[error("a group and a deduplication text are 1 to {} letters, digits and marks of ascii", MessageOrder::MAX_CHARACTERS)]
    BadOrder,
}

/// A message to put into a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// What it says: JSON.
    pub body: String,
    /// How long nobody sees it; at most [`Outgoing::MAX_DELAY`]. A FIFO queue has no delay.
    pub delay: Duration,
    /// Its group and what tells it from others: FIFO queues only.
    pub order: Option<MessageOrder>,
}

/// Where a message belongs in a FIFO queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageOrder {
    /// The group within which messages keep their order: 1 to 128 visible characters of ASCII.
    pub group: String,
    /// A message with the same text is taken once within five minutes: 1 to 128 visible characters of ASCII.
    pub deduplication: String,
}

impl MessageOrder {
    /// The most characters of each text.
    pub const MAX_CHARACTERS: usize = 128;

    fn check(&self) -> Result<(), NotTaken> {
        let fits = |text: &str| (1..=Self::MAX_CHARACTERS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits(&self.group) && fits(&self.deduplication) { Ok(()) } else { Err(NotTaken::BadOrder) }
    }
}

impl Outgoing {
    /// The longest delay of a queue.
    pub const MAX_DELAY: Duration = Duration::from_mins(15);
    /// The most bytes of a body. The service takes a mebibyte, and a call no more than that together.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// A message that can be seen at once.
    #[must_use]
    pub const fn now(body: String) -> Self {
        Self { body, delay: Duration::ZERO, order: None }
    }

    /// A message that nobody sees before `delay` has passed, or [`Outgoing::MAX_DELAY`] if that is less.
    #[must_use]
    pub fn after(delay: Duration, body: String) -> Self {
        Self { body, delay: delay.min(Self::MAX_DELAY), order: None }
    }

    /// A message with a place in the order of its group.
    #[must_use]
    pub const fn ordered(order: MessageOrder, body: String) -> Self {
        Self { body, delay: Duration::ZERO, order: Some(order) }
    }
}

/// A message that was taken from a queue, and is hidden there until it is removed or time is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its id in the queue, the same each time that it is handed out.
    pub id: String,
    /// What removes it.
    pub receipt: Receipt,
    /// What it says.
    pub body: String,
    /// Its group, in a FIFO queue.
    pub group: Option<String>,
    /// How often it has been handed out, this time included.
    pub receives: u32,
    /// When it was sent, in milliseconds since 1970.
    pub sent_at_ms: i64,
}

/// What removes a message: good for the last time that it was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(group: &str, deduplication: &str) -> Outgoing {
        let order = MessageOrder { group: group.to_owned(), deduplication: deduplication.to_owned() };
        Outgoing::ordered(order, "{}".to_owned())
    }

    #[test]
    fn a_queue_takes_only_what_the_service_takes() {
        let plain = || Outgoing::now("{}".to_owned());
        let fifo = Queue::Named("https://sqs.example/1/orders.fifo".to_owned());
        let standard = Queue::Work(WorkQueue::Deliver);
        let longest = "x".repeat(MessageOrder::MAX_CHARACTERS);
        for (queue, message, expected) in [
            (&standard, plain(), Ok(())),
            (&standard, Outgoing::now(String::new()), Err(NotTaken::Empty)),
            (&standard, Outgoing::now("x".repeat(Outgoing::MAX_BYTES)), Ok(())),
            (&standard, Outgoing::now("x".repeat(Outgoing::MAX_BYTES + 1)), Err(NotTaken::TooLarge)),
            (&standard, Outgoing::after(Duration::MAX, "{}".to_owned()), Ok(())),
            (&standard, Outgoing { delay: Duration::from_secs(901), ..plain() }, Err(NotTaken::TooLate)),
            (&standard, ordered("a", "b"), Err(NotTaken::NoOrder)),
            (&fifo, plain(), Err(NotTaken::NoGroup)),
            (&fifo, ordered(&longest, &longest), Ok(())),
            (&fifo, Outgoing { delay: Duration::from_secs(1), ..ordered("a", "b") }, Err(NotTaken::NoDelay)),
            (&fifo, ordered("", "b"), Err(NotTaken::BadOrder)),
            (&fifo, ordered("a", ""), Err(NotTaken::BadOrder)),
            (&fifo, ordered("a b", "b"), Err(NotTaken::BadOrder)),
            (&fifo, ordered("ü", "b"), Err(NotTaken::BadOrder)),
            (&fifo, ordered(&format!("{longest}x"), "b"), Err(NotTaken::BadOrder)),
        ] {
            assert_eq!(queue.takes(&message), expected, "{queue} {:?}", message.order);
        }
    }
}
