//! Counters: how many events of each kind there are, by hour, by day and in all, counted once each
//! from the changes of the table.

mod processors;

use std::collections::{BTreeMap, BTreeSet};

use super::category::EventCategory;
use super::commit::Commit;
use super::identifiers::{EventType, OrganizationId, UserId};
use super::outcome::{EventOutcome, Outcome, ProcessingResult};
use super::query::EventFilter;
use super::source::EventSource;
use super::status::EventStatus;
use super::timestamp::{Day, Hour, Timestamp};

pub use processors::{ProcessorTallies, ProcessorTally};

/// Names one counter item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// Whose events it counts.
    pub scope: CounterScope,
    /// Over which time.
    pub period: Period,
}

/// Whose events are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CounterScope {
    /// Everybody's.
    All,
    /// One organization's.
    Organization(OrganizationId),
}

impl CounterScope {
    /// The scope of one organization, or of all.
    #[must_use]
    pub fn of(organization: Option<&OrganizationId>) -> Self {
        organization.map_or(Self::All, |organization| Self::Organization(organization.clone()))
    }
}

/// The time that a counter item covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// From the first event on.
    Total,
    /// One day, by the time at which events happened.
    Day(Day),
    /// One hour.
    Hour(Hour),
    /// From the first event on, by user.
    Users,
    /// From the first event on, by processor. Only [`CounterScope::All`] has these.
    Processors,
}

impl Period {
    /// Whether what happened then falls in it.
    #[must_use]
    pub fn covers(self, moment: Timestamp) -> bool {
        match self {
            Self::Total | Self::Users | Self::Processors => true,
            Self::Day(day) => moment.hour().day() == day,
            Self::Hour(hour) => moment.hour() == hour,
        }
    }
}

/// A part of the table's stream, within which changes have an order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub String);

/// The place of a change in its shard: a decimal number of up to 40 digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SequenceNumber(pub String);

impl SequenceNumber {
    fn digits(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.digits().len(), self.digits()).cmp(&(other.digits().len(), other.digits()))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// One change of the table that matters to counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where in its shard it stands.
    pub sequence: SequenceNumber,
    /// What changed.
    pub kind: ChangeKind,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// A commit was stored.
    Committed {
        /// The commit.
        commit: Box<Commit>,
        /// The list of the time index that it was put in.
        list: Option<IndexList>,
        /// How many of its events no processor is given: there is nothing to do with them. That is for who knows the
        /// processors to say.
        settled: u64,
    },
    /// A commit's events went into the archive.
    Archived {
        /// The commit, as it was before.
        commit: Box<Commit>,
        /// How many of its events no processor was given. That is for who knows the processors to say.
        settled: u64,
    },
    /// An outcome was stored; `before` is the one that it replaced.
    Concluded {
        /// Whose events they are.
        organization: Option<OrganizationId>,
        /// The outcome that was replaced, if there was one.
        before: Option<Outcome>,
        /// The outcome that stands now.
        after: Outcome,
    },
}

impl ChangeKind {
    /// The results of processors that came with this change.
    fn new_results(&self) -> impl Iterator<Item = &ProcessingResult> {
        let (before, after) = match self {
            Self::Committed { .. } | Self::Archived { .. } => (None, None),
            Self::Concluded { before, after, .. } => (before.as_ref(), Some(after)),
        };
        let events = after.into_iter().flat_map(|after| after.events.iter().enumerate());
        events.flat_map(move |(index, event)| event.results_since(before.and_then(|before| before.events.get(index))))
    }
}

/// A list of the time index, as the adapter names it. The counters remember which lists hold
/// anything, so that a query reads no others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexList(pub String);

/// What events are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// The type; none for those that came after [`Tally::MAX_KINDS`] others.
    pub event_type: Option<EventType>,
    /// The source.
    pub source: EventSource,
    /// The category.
    pub category: EventCategory,
}

impl Kind {
    /// Whether events of this kind match the type, source and category of `filter`.
    #[must_use]
    pub fn matches(&self, filter: &EventFilter) -> bool {
        (filter.event_type.is_none() || filter.event_type == self.event_type)
            && filter.source.is_none_or(|source| source == self.source)
            && filter.category.is_none_or(|category| category == self.category)
    }
}

/// For each shard, the last change that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fences(pub BTreeMap<ShardId, SequenceNumber>);

impl Fences {
    /// How many shards are remembered. A shard lives for hours and its records for a day, so those
    /// that fall out, which come first by name and so by age, are long gone.
    pub const MAX: usize = 200;

    /// Whether the change has been counted.
    #[must_use]
    pub fn covers(&self, shard: &ShardId, sequence: &SequenceNumber) -> bool {
        self.0.get(shard).is_some_and(|last| sequence <= last)
    }

    /// Remembers that the change is counted.
    pub fn advance(&mut self, shard: &ShardId, sequence: &SequenceNumber) {
        if !self.covers(shard, sequence) {
            self.0.insert(shard.clone(), sequence.clone());
        }
        while self.0.len() > Self::MAX {
            self.0.pop_first();
        }
    }
}

/// One counter item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many events there are of each kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// Which lists of the time index hold them. Only [`Period::Day`] has these.
    pub lists: BTreeSet<IndexList>,
    /// How many events have each status but pending, by their outcomes. Only [`Period::Total`] has these.
    pub statuses: BTreeMap<EventStatus, u64>,
    /// How many events are processed without an outcome, because there was nothing to do. Only [`Period::Total`] has these.
    pub settled: u64,
    /// How many of the events are archived. Only [`Period::Day`] and [`Period::Hour`] have these.
    pub archived: u64,
    /// The sum of the times from recording to the end of processing, in milliseconds.
    pub processing_ms: u64,
    /// How many events that sum is of.
    pub processing_count: u64,
    /// When the latest of the counted commits was recorded: the watermark.
    pub watermark: Option<Timestamp>,
    /// What has been counted.
    pub fences: Fences,
}

impl Tally {
    /// The most kinds in one item, so that it stays far below the store's limit. Types beyond it are
    /// counted together, by source and category.
    pub const MAX_KINDS: usize = 1000;

    /// How many events there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// How many events match the type, source and category of `filter`, or nothing if the item does
    /// not know: a type is asked for, and some types were counted together.
    #[must_use]
    pub fn count(&self, filter: &EventFilter) -> Option<u64> {
        if filter.event_type.is_some() && self.kinds.keys().any(|kind| kind.event_type.is_none()) {
            return None;
        }
        Some(self.kinds.iter().filter(|(kind, _)| kind.matches(filter)).map(|(_, count)| count).sum())
    }

    /// Whether any events match the type, source and category of `filter`, or may, if it asks for archived ones or for any.
    #[must_use]
    pub fn may_hold(&self, filter: &EventFilter) -> bool {
        self.count(filter) != Some(0) && (filter.status != Some(EventStatus::Archived) || self.archived > 0)
    }

    /// The categories of the events that match the type, source and category of `filter`, or may.
    #[must_use]
    pub fn categories(&self, filter: &EventFilter) -> BTreeSet<EventCategory> {
        let may_match = |kind: &&Kind| {
            kind.matches(filter) || (kind.event_type.is_none() && filter.category.is_none_or(|category| category == kind.category))
        };
        self.kinds.keys().filter(may_match).map(|kind| kind.category).collect()
    }

    /// Counts those of `changes` that the item covers and that have not been counted yet. Returns
    /// whether there were any.
    pub fn apply(&mut self, key: &CounterKey, shard: &ShardId, changes: &[&Change]) -> bool {
        let mut applied = false;
        for change in changes {
            if !self.fences.covers(shard, &change.sequence) {
                self.add(key, &change.kind);
                self.fences.advance(shard, &change.sequence);
                applied = true;
            }
        }
        applied
    }

    fn add(&mut self, key: &CounterKey, change: &ChangeKind) {
        match change {
            ChangeKind::Archived { commit, settled } => self.archive(key, commit, *settled),
            ChangeKind::Committed { commit, list, settled } => {
                for event in commit.events.iter().filter(|event| key.period.covers(event.occurred_at)) {
                    self.add_kind(&event.details.event_type, event.details.source, event.details.category);
                }
                match key.period {
                    Period::Total => self.settled += settled,
                    Period::Day(_) => self.lists.extend(list.clone()),
                    Period::Hour(_) | Period::Users | Period::Processors => {}
                }
                self.watermark = self.watermark.max(Some(commit.recorded_at));
            }
            ChangeKind::Concluded { before, after, .. } => {
                let recorded_at = after.commit.location().map(|location| location.recorded_at);
                for (index, now) in after.events.iter().enumerate() {
                    // Where there was nothing to do, the event was counted with its commit.
                    if now.is_nothing_to_do() {
                        continue;
                    }
                    let before = before.as_ref().and_then(|before| before.events.get(index)).filter(|event| !event.is_nothing_to_do());
                    let then = before.map_or(EventStatus::Pending, |event| event.status);
                    if then == now.status {
                        continue;
                    }
                    if let Some(count) = self.statuses.get_mut(&then) {
                        *count = count.saturating_sub(1);
                    }
                    if now.status != EventStatus::Pending {
                        *self.statuses.entry(now.status).or_default() += 1;
                    }
                    let took = |outcome: &EventOutcome| match (outcome.status, outcome.processed_at(), recorded_at) {
                        (EventStatus::Processed, Some(end), Some(start)) => {
                            Some(u64::try_from(end.millis() - start.millis()).unwrap_or_default())
                        }
                        (_, _, _) => None,
                    };
                    if let Some(ms) = before.and_then(took) {
                        self.processing_ms = self.processing_ms.saturating_sub(ms);
                        self.processing_count = self.processing_count.saturating_sub(1);
                    }
                    if let Some(ms) = took(now) {
                        self.processing_ms += ms;
                        self.processing_count += 1;
                    }
                }
            }
        }
    }

    /// Counts a commit's events as archived. All of them were processed: those that nothing was done with without an outcome.
    fn archive(&mut self, key: &CounterKey, commit: &Commit, settled: u64) {
        let count = commit.events.iter().filter(|event| key.period.covers(event.occurred_at)).count() as u64;
        match key.period {
            Period::Total => {
                self.settled = self.settled.saturating_sub(settled);
                if let Some(processed) = self.statuses.get_mut(&EventStatus::Processed) {
                    *processed = processed.saturating_sub(count - settled.min(count));
                }
                *self.statuses.entry(EventStatus::Archived).or_default() += count;
            }
            Period::Day(_) | Period::Hour(_) => self.archived += count,
            Period::Users | Period::Processors => {}
        }
    }

    fn add_kind(&mut self, event_type: &EventType, source: EventSource, category: EventCategory) {
        let mut kind = Kind { event_type: Some(event_type.clone()), source, category };
        if self.kinds.len() >= Self::MAX_KINDS && !self.kinds.contains_key(&kind) {
            kind.event_type = None;
        }
        *self.kinds.entry(kind).or_default() += 1;
    }
}

/// Who has the most events: exact for up to [`UserRanking::SIZE`] users, then the heavy hitters
/// (Space-Saving: Metwally, Agrawal and El Abbadi 2005), where a count is too high by at most its
/// entry's `excess`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserRanking {
    /// For each user, how many events, and by how much that may be too many.
    pub users: BTreeMap<UserId, RankedUser>,
    /// What has been counted.
    pub fences: Fences,
}

/// One user's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RankedUser {
    /// How many events, at most.
    pub count: u64,
    /// By how much that may be too many.
    pub excess: u64,
}

impl UserRanking {
    /// How many users are kept.
    pub const SIZE: usize = 128;

    /// Counts those of `changes` that have not been counted yet. Returns whether there were any.
    pub fn apply(&mut self, shard: &ShardId, changes: &[&Change]) -> bool {
        let mut applied = false;
        for change in changes {
            if self.fences.covers(shard, &change.sequence) {
                continue;
            }
            if let ChangeKind::Committed { commit, .. } = &change.kind {
                for user in commit.events.iter().filter_map(|event| event.details.user.as_ref()) {
                    self.add(user);
                }
            }
            self.fences.advance(shard, &change.sequence);
            applied = true;
        }
        applied
    }

    fn add(&mut self, user: &UserId) {
        if !self.users.contains_key(user) && self.users.len() >= Self::SIZE {
            let least = self.users.iter().min_by_key(|(_, entry)| entry.count).map(|(user, entry)| (user.clone(), entry.count));
            if let Some((evicted, count)) = least {
                self.users.remove(&evicted);
                self.users.insert(user.clone(), RankedUser { count, excess: count });
            }
        }
        self.users.entry(user.clone()).or_default().count += 1;
    }

    /// The users with the most events, most first.
    #[must_use]
    pub fn top(&self, users: usize) -> Vec<(UserId, u64)> {
        let mut ranked: Vec<(UserId, u64)> = self.users.iter().map(|(user, entry)| (user.clone(), entry.count)).collect();
        ranked.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        ranked.truncate(users);
        ranked
    }
}

/// The times that a commit's events fall in.
fn periods_of(commit: &Commit) -> BTreeSet<Period> {
    let hours = commit.events.iter().map(|event| event.occurred_at.hour());
    hours.flat_map(|hour| [Period::Hour(hour), Period::Day(hour.day())]).chain([Period::Total]).collect()
}

/// The counter items that a change is counted in.
#[must_use]
pub fn keys_of(change: &ChangeKind) -> BTreeSet<CounterKey> {
    let of_all = |period| CounterKey { scope: CounterScope::All, period };
    let (organization, periods): (Option<&OrganizationId>, BTreeSet<Period>) = match change {
        ChangeKind::Committed { commit, .. } => {
            let mut periods = periods_of(commit);
            if commit.events.iter().any(|event| event.details.user.is_some()) {
                periods.insert(Period::Users);
            }
            (commit.stream.organization.as_ref(), periods)
        }
        ChangeKind::Archived { commit, .. } => (commit.stream.organization.as_ref(), periods_of(commit)),
        ChangeKind::Concluded { organization, .. } => (organization.as_ref(), BTreeSet::from([Period::Total])),
    };
    let own = organization.map(|organization| CounterScope::Organization(organization.clone()));
    let own = own.iter().flat_map(|scope| periods.iter().map(|period| CounterKey { scope: scope.clone(), period: *period }));
    let mut keys: BTreeSet<CounterKey> = own.chain(periods.iter().copied().map(of_all)).collect();
    if change.new_results().next().is_some() {
        keys.insert(of_all(Period::Processors));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_compare_as_numbers_of_any_length() {
        let number = |text: &str| SequenceNumber(text.to_owned());
        assert!(number("9") < number("10"));
        assert!(number("0009") < number("10"));
        assert_eq!(number("010").cmp(&number("10")), std::cmp::Ordering::Equal);
        assert!(number("100000000000000000000000000000000000001") > number("99999999999999999999999999999999999999"));
    }

    #[test]
    fn a_ranking_is_exact_until_it_is_full_and_then_never_too_low() {
        let mut ranking = UserRanking::default();
        let user = |number: usize| UserId::try_from(format!("u{number:04}")).unwrap();
        for number in 0..UserRanking::SIZE * 4 {
            for _ in 0..=(number % 7) {
                ranking.add(&user(number));
            }
            for _ in 0..3 {
                ranking.add(&user(0));
            }
        }
        assert_eq!(ranking.users.len(), UserRanking::SIZE);
        let top = ranking.top(1);
        let truth = (UserRanking::SIZE as u64) * 4 * 3 + 1;
        assert_eq!(top.first().map(|(user, _)| user.as_str()), Some("u0000"));
        assert!(top[0].1 >= truth && top[0].1 - ranking.users[&user(0)].excess <= truth, "{top:?}");
    }
}
