//! Commits on DynamoDB in the order of time: the lists of the time index, day by day, merged from their oldest ends.

use std::collections::{BTreeSet, VecDeque};

use async_trait::async_trait;
use futures::future::try_join_all;

use super::DynamoEvents;
use super::items::{self, Item, read_text};
use super::keys::{self, AFTER_ALL, ORDER};
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
/// The most commits of one call.
const MOST_A_CALL: usize = 200;
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
            let mut merge = Merge::new(self, lists, (first, upper), most);
            while let Some(commit) = merge.next().await? {
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

/// Several lists, merged into one order.
struct Merge<'a> {
    store: &'a DynamoEvents,
    lists: Vec<List>,
    low: String,
    high: String,
    page: i32,
}

struct List {
    name: IndexList,
    ready: VecDeque<Item>,
    next: Next,
}

enum Next {
    Unread,
    After(Item),
    Exhausted,
}

impl<'a> Merge<'a> {
    fn new(store: &'a DynamoEvents, lists: Vec<IndexList>, (from, to): (Timestamp, Timestamp), most: usize) -> Self {
        let lists = lists.into_iter().map(|name| List { name, ready: VecDeque::new(), next: Next::Unread }).collect();
        let page = i32::try_from(most.clamp(10, MOST_A_CALL)).unwrap_or(i32::MAX);
        Self { store, lists, low: from.sort_key(), high: format!("{}{AFTER_ALL}", to.sort_key()), page }
    }

    async fn next(&mut self) -> Result<Option<Commit>, StoreError> {
        loop {
            let due: Vec<usize> =
                (0..self.lists.len()).filter(|index| self.lists[*index].ready.is_empty() && !self.lists[*index].is_exhausted()).collect();
            if due.is_empty() {
                break;
            }
            let pages = try_join_all(due.iter().map(|index| self.read(&self.lists[*index]))).await?;
            for (index, (items, next)) in due.into_iter().zip(pages) {
                self.lists[index].ready.extend(items);
                self.lists[index].next = next.map_or(Next::Exhausted, Next::After);
            }
        }
        let mut oldest: Option<(usize, &str)> = None;
        for (index, list) in self.lists.iter().enumerate() {
            let Some(item) = list.ready.front() else { continue };
            let order = read_text(item, ORDER)?;
            if oldest.is_none_or(|(_, before)| order < before) {
                oldest = Some((index, order));
            }
        }
        let Some((index, _)) = oldest else { return Ok(None) };
        self.lists[index].ready.pop_front().as_ref().map(items::read_commit).transpose()
    }

    async fn read(&self, list: &List) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let start = match &list.next {
            Next::After(key) => Some(key.clone()),
            Next::Unread | Next::Exhausted => None,
        };
        self.store.page_of_list(&list.name, (&self.low, &self.high), Direction::Forward, self.page, start).await
    }
}

impl List {
    const fn is_exhausted(&self) -> bool {
        matches!(self.next, Next::Exhausted)
    }
}
