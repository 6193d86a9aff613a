//! Statistics: how many events there are, of what kind, and how their processing goes.

use std::collections::BTreeMap;

use super::category::EventCategory;
use super::counters::{Tally, UserRanking};
use super::identifiers::{EventType, OrganizationId, UserId};
use super::query::ObservedEvent;
use super::source::EventSource;
use super::status::EventStatus;
use super::timestamp::{Day, Timestamp};

/// Whose events the statistics are about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatisticsScope {
    /// One organization's; everybody's if none is given.
    pub organization: Option<OrganizationId>,
    /// One user's.
    pub user: Option<UserId>,
}

/// How many events there are. Days, weeks (from Monday) and months are the calendar's, in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// How many events of each status.
    pub by_status: BTreeMap<EventStatus, u64>,
    /// How many events of each source.
    pub by_source: BTreeMap<EventSource, u64>,
    /// How many events of each category.
    pub by_category: BTreeMap<EventCategory, u64>,
    /// How many events of each type; those of no known type came after a thousand others.
    pub by_type: BTreeMap<Option<EventType>, u64>,
    /// How many happened today.
    pub today: u64,
    /// How many happened since Monday.
    pub this_week: u64,
    /// How many happened since the first of the month.
    pub this_month: u64,
    /// The sum of the processing times, in milliseconds, and of how many events it is.
    pub processing: (u64, u64),
    /// The users with the most events, most first.
    pub top_users: Vec<(UserId, u64)>,
    /// When the statistics were made.
    pub calculated_at: Timestamp,
}

impl Statistics {
    /// How many entries the lists of top users and types have.
    pub const TOP: usize = 10;

    /// The statistics that counters give: `total` of all time, `days` of the days since the first of
    /// the month or Monday, whichever is earlier, and `users`.
    #[must_use]
    pub fn from_counters(total: &Tally, days: &[(Day, u64)], users: &UserRanking, now: Timestamp) -> Self {
        let today = now.hour().day();
        let since = |first: Day| days.iter().filter(|(day, _)| (first..=today).contains(day)).map(|(_, count)| count).sum();
        let mut by_status = total.statuses.clone();
        by_status.retain(|status, _| *status != EventStatus::Pending);
        // Events that nothing had to be done with have no outcome, and were never pending.
        *by_status.entry(EventStatus::Processed).or_default() += total.settled;
        let known: u64 = by_status.values().sum();
        by_status.insert(EventStatus::Pending, total.total().saturating_sub(known));
        let mut statistics = Self {
            by_status,
            by_source: BTreeMap::new(),
            by_category: BTreeMap::new(),
            by_type: BTreeMap::new(),
            today: since(today),
            this_week: since(today.monday()),
            this_month: since(today.first_of_month()),
            processing: (total.processing_ms, total.processing_count),
            top_users: users.top(Self::TOP),
            calculated_at: now,
        };
        for (kind, count) in &total.kinds {
            *statistics.by_source.entry(kind.source).or_default() += count;
            *statistics.by_category.entry(kind.category).or_default() += count;
            *statistics.by_type.entry(kind.event_type.clone()).or_default() += count;
        }
        statistics
    }

    /// The statistics of just these events.
    #[must_use]
    pub fn from_events(events: &[ObservedEvent], now: Timestamp) -> Self {
        let today = now.hour().day();
        let mut statistics = Self {
            by_status: BTreeMap::from([(EventStatus::Pending, 0)]),
            by_source: BTreeMap::new(),
            by_category: BTreeMap::new(),
            by_type: BTreeMap::new(),
            today: 0,
            this_week: 0,
            this_month: 0,
            processing: (0, 0),
            top_users: Vec::new(),
            calculated_at: now,
        };
        let mut users: BTreeMap<&UserId, u64> = BTreeMap::new();
        for ObservedEvent { event, outcome } in events {
            *statistics.by_status.entry(outcome.status).or_default() += 1;
            *statistics.by_source.entry(event.details.source).or_default() += 1;
            *statistics.by_category.entry(event.details.category).or_default() += 1;
            *statistics.by_type.entry(Some(event.details.event_type.clone())).or_default() += 1;
            let since = |first: Day| u64::from((first..=today).contains(&event.occurred_at.hour().day()));
            statistics.today += since(today);
            statistics.this_week += since(today.monday());
            statistics.this_month += since(today.first_of_month());
            if let (EventStatus::Processed | EventStatus::Archived, Some(end)) = (outcome.status, outcome.processed_at()) {
                statistics.processing.0 += u64::try_from(end.millis() - event.recorded_at.millis()).unwrap_or_default();
                statistics.processing.1 += 1;
            }
            if let Some(user) = &event.details.user {
                *users.entry(user).or_default() += 1;
            }
        }
        let mut top: Vec<(UserId, u64)> = users.into_iter().map(|(user, count)| (user.clone(), count)).collect();
        top.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        top.truncate(Self::TOP);
        statistics.top_users = top;
        statistics
    }

    /// How many events there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_source.values().sum()
    }

    /// How many events have the status.
    #[must_use]
    pub fn with_status(&self, status: EventStatus) -> u64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// The types with the most events, most first.
    #[must_use]
    pub fn top_types(&self) -> Vec<(&EventType, u64)> {
        let mut ranked: Vec<(&EventType, u64)> =
            self.by_type.iter().filter_map(|(kind, count)| kind.as_ref().map(|kind| (kind, *count))).collect();
        ranked.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(other.0)));
        ranked.truncate(Self::TOP);
        ranked
    }
}
