//! Happenings: what changed in the table that others are told of.

use super::claim::Slot;
use super::commit::Commit;
use super::counters::SequenceNumber;
use super::outcome::Outcome;
use super::projection::SavedProjection;
use super::replay::Replay;
use super::subscription::Subscription;

/// A change that processors, subscribers or the bus are told of.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A commit was stored.
    Committed(Box<Commit>),
    /// The outcome of a commit's events was saved.
    Concluded {
        /// Where the commit lies.
        commit: Slot,
        /// The outcome before, if there was one.
        before: Option<Outcome>,
        /// The outcome now.
        after: Outcome,
    },
    /// Somebody subscribed. The subscription is without its secrets.
    Subscribed(Box<Subscription>),
    /// A subscription was changed. Both are without their secrets.
    SubscriptionChanged {
        /// What it was.
        before: Box<Subscription>,
        /// What it is.
        after: Box<Subscription>,
    },
    /// A projection was saved for the first time.
    Projected(Box<SavedProjection>),
    /// A replay was started.
    ReplayStarted(Box<Replay>),
    /// A replay ended.
    ReplayEnded(Box<Replay>),
}

/// A happening, and its place among the changes.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticedHappening {
    /// Where in the table's stream it was noticed.
    pub sequence: SequenceNumber,
    /// What happened.
    pub happening: Happening,
}
