//! Commits on DynamoDB in the order of time: the lists of the time index, day by day, merged from their oldest ends.

use std::collections::{BTreeSet, VecDeque};

use async_trait::async_trait;

use super::DynamoEvents;
use super::keys;
use super::merge::{Archived, Merge};
use super::scan::{Consistency, Direction};
use crate::domain::commit::Commit;
use crate::domain::counters::{CounterScope, IndexList, Period};
use crate::domain::query::EventFilter;
use crate::domain::replay::CommitPlace;
use crate::domain::timestamp::{Day, Timestamp};
use crate::ports::store_error::StoreError;
use crate::ports::timeline::{Timeline, TimelinePage};

/// How many days of counters are read at a time.
const DAYS_A_CALL: i32 = 16;
/// About the most commits and bytes that one page looks at.
const MOST_EXAMINED: usize = 2000;
const MOST_BYTES: usize = 16 * 1024 * 1024;

#[async_trait]
impl Timeline for DynamoEvents {
    async fn commits_since(
        &self,
        filter: &EventFilter,
        after: Option<CommitPlace>,
        most: usize,
        now: Timestamp,
    ) -> Result<TimelinePage, StoreError> {
        let from = filter.from.unwrap_or(Timestamp::MIN);
        let first = after.map_or(from, |after| after.last_occurred_at.max(from));
        // A commit does not span hours: with one event in the range, it ends in that event's hour.
        let upper = filter.to.unwrap_or(Timestamp::MAX).hour().end();
        if first > upper {
            return Ok(TimelinePage { commits: Vec::new(), next: None });
        }
        let mut page = Page { commits: Vec::new(), examined: 0, bytes: 0, reached: after };
        let mut days = Days::new(self, first.hour().day(), upper.hour().day(), now);
        while let Some(lists) = days.next(filter).await? {
            let mut merge = Merge::new(self, lists, (first, upper), most, Archived::Read);
            while let Some(commit) = merge.next_commit().await? {
                let place = commit.place_in_time();
                if after.is_some_and(|after| place <= after) {
                    continue;
                }
                page.take(filter, commit, place);
                if page.commits.len() >= most || page.examined >= MOST_EXAMINED || page.bytes >= MOST_BYTES {
                    return Ok(TimelinePage { commits: page.commits, next: page.reached });
                }
            }
        }
        Ok(TimelinePage { commits: page.commits, next: None })
    }
}

struct Page {
    commits: Vec<Commit>,
    examined: usize,
    bytes: usize,
    reached: Option<CommitPlace>,
}

impl Page {
    fn take(&mut self, filter: &EventFilter, commit: Commit, place: CommitPlace) {
        self.examined += 1;
        self.bytes += commit.bytes();
        self.reached = Some(place);
        if commit.to_events().iter().any(|event| filter.matches(event)) {
            self.commits.push(commit);
        }
    }
}

/// The days that hold anything, oldest first, with the lists of each.
struct Days<'a> {
    store: &'a DynamoEvents,
    /// Days that may hold what has not been counted yet.
    recent: BTreeSet<Day>,
    counted: VecDeque<(Day, BTreeSet<IndexList>)>,
    /// From which day on counters are still to be read.
    unread: Option<Day>,
    last: Day,
}

impl<'a> Days<'a> {
    fn new(store: &'a DynamoEvents, first: Day, last: Day, now: Timestamp) -> Self {
        let today = now.hour().day();
        let recent = [today.previous(), today, today.next()].into_iter().filter(|day| (first..=last).contains(day)).collect();
        Self { store, recent, counted: VecDeque::new(), unread: (first <= last).then_some(first), last }
    }

    async fn next(&mut self, filter: &EventFilter) -> Result<Option<Vec<IndexList>>, StoreError> {
        if self.counted.is_empty()
            && let Some(first) = self.unread
        {
            let scope = CounterScope::of(filter.organization.as_ref());
            let range = (&*keys::counter_sk(Period::Day(first)), &*keys::counter_sk(Period::Day(self.last)));
            let pk = keys::counter_pk(&scope);
            let found = self.store.between(&pk, range, Direction::Forward, Some(DAYS_A_CALL), Consistency::Eventual).await?;
            let asked = usize::try_from(DAYS_A_CALL).unwrap_or_default();
            let days = super::event_reader::read_days(&found)?;
            self.unread = days.last().filter(|_| days.len() == asked).map(|(day, _)| day.next()).filter(|day| *day <= self.last);
            self.counted = days.into_iter().map(|(day, tally)| (day, tally.lists)).collect();
        }
        let counted = self.counted.front().map(|(day, _)| *day);
        let recent = self.recent.first().copied();
        let Some(day) = counted.into_iter().chain(recent).min() else { return Ok(None) };
        let mut lists =
            if counted == Some(day) { self.counted.pop_front().map(|(_, lists)| lists).unwrap_or_default() } else { BTreeSet::new() };
        if self.recent.remove(&day) {
            lists.extend(keys::all_lists(None, day, self.store.time_shards.0));
        }
        Ok(Some(lists.into_iter().filter(|list| keys::list_may_hold(list, filter.category)).collect()))
    }
}
