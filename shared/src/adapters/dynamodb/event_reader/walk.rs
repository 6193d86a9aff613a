//! Walks down the calendar: which days and hours hold what a query looks for, as counters know.

use std::collections::{BTreeSet, VecDeque};

use super::super::DynamoEvents;
use super::super::failure::store_error;
use super::super::items::{self, Item, read_text, text};
use super::super::keys::{self, SK};
use super::super::scan::{Consistency, Direction};
use crate::domain::counters::{CounterScope, IndexList, Period, Tally};
use crate::domain::query::EventFilter;
use crate::domain::status::EventStatus;
use crate::domain::timestamp::{Day, Hour, Timestamp};
use crate::ports::store_error::StoreError;

/// How many days of counters an open-ended query reads at a time.
const DAYS_A_CALL: i32 = 16;
/// How far back new events may lie that have not been counted yet and are looked for all the same.
const UNCOUNTED_MICROS: i64 = 3_600_000_000;

impl DynamoEvents {
    /// The counters of the days from `first` to `last`, newest first.
    pub(super) async fn days(&self, scope: &CounterScope, first: Day, last: Day) -> Result<Vec<(Day, Tally)>, StoreError> {
        if first > last {
            return Ok(Vec::new());
        }
        let range = (&*keys::counter_sk(Period::Day(first)), &*keys::counter_sk(Period::Day(last)));
        read_days(&self.between(&keys::counter_pk(scope), range, Direction::Backward, None, Consistency::Eventual).await?)
    }

    /// How many events each of the days from `first` to `last` has.
    pub(super) async fn day_totals(&self, scope: &CounterScope, first: Day, last: Day) -> Result<Vec<(Day, u64)>, StoreError> {
        let found = self.totals(scope, Period::Day(first), Period::Day(last)).await?;
        found.iter().map(|item| Ok((read_day(item)?, items::read_number(item, items::TOTAL)?))).collect()
    }

    /// Of the counter items from one to another, how many events they have, and how many of these are archived, and no more.
    pub(in crate::adapters::dynamodb) async fn totals(
        &self,
        scope: &CounterScope,
        first: Period,
        last: Period,
    ) -> Result<Vec<Item>, StoreError> {
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :low AND :high")
                .projection_expression("pk, sk, #total, #archived")
                .expression_attribute_names("#total", items::TOTAL)
                .expression_attribute_names("#archived", items::ARCHIVED)
                .expression_attribute_values(":pk", text(keys::counter_pk(scope)))
                .expression_attribute_values(":low", text(keys::counter_sk(first)))
                .expression_attribute_values(":high", text(keys::counter_sk(last)))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(store_error)?;
            found.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    /// The counters of the hours from `first` to `last`, newest first.
    pub(super) async fn hours(&self, scope: &CounterScope, first: Hour, last: Hour) -> Result<Vec<(Hour, Tally)>, StoreError> {
        if first > last {
            return Ok(Vec::new());
        }
        let range = (&*keys::counter_sk(Period::Hour(first)), &*keys::counter_sk(Period::Hour(last)));
        let found = self.between(&keys::counter_pk(scope), range, Direction::Backward, None, Consistency::Eventual).await?;
        found.iter().map(|item| Ok((read_hour(item)?, items::read_tally(item)?))).collect()
    }
}

pub(in crate::adapters::dynamodb) fn read_hour(item: &Item) -> Result<Hour, StoreError> {
    let sk = read_text(item, SK)?;
    sk.strip_prefix("H#").and_then(Hour::from_digits).ok_or_else(|| StoreError::Corrupt(format!("counter {sk}")))
}

pub(in crate::adapters::dynamodb) fn read_day(item: &Item) -> Result<Day, StoreError> {
    let sk = read_text(item, SK)?;
    sk.strip_prefix("D#").and_then(Day::from_digits).ok_or_else(|| StoreError::Corrupt(format!("counter {sk}")))
}

pub(in crate::adapters::dynamodb) fn read_days(found: &[Item]) -> Result<Vec<(Day, Tally)>, StoreError> {
    found.iter().map(|item| Ok((read_day(item)?, items::read_tally(item)?))).collect()
}

/// The days that hold anything, newest first, with their counters, read as they are needed.
pub(super) struct CounterDays<'a> {
    store: &'a DynamoEvents,
    scope: &'a CounterScope,
    first: Day,
    next: Option<Day>,
    ready: VecDeque<(Day, Tally)>,
}

impl<'a> CounterDays<'a> {
    pub(super) fn new(store: &'a DynamoEvents, scope: &'a CounterScope, first: Day, last: Day) -> Self {
        Self { store, scope, first, next: (first <= last).then_some(last), ready: VecDeque::new() }
    }

    pub(super) async fn next(&mut self) -> Result<Option<(Day, Tally)>, StoreError> {
        if self.ready.is_empty()
            && let Some(last) = self.next
        {
            let range = (&*keys::counter_sk(Period::Day(self.first)), &*keys::counter_sk(Period::Day(last)));
            let found = self
                .store
                .between(&keys::counter_pk(self.scope), range, Direction::Backward, Some(DAYS_A_CALL), Consistency::Eventual)
                .await?;
            self.ready = read_days(&found)?.into();
            let asked = usize::try_from(DAYS_A_CALL).unwrap_or_default();
            self.next = self.ready.back().filter(|_| found.len() == asked).map(|(day, _)| day.previous()).filter(|day| *day >= self.first);
        }
        Ok(self.ready.pop_front())
    }
}

/// Lists to read, and between which moments.
pub(super) type Reading = (Vec<IndexList>, (Timestamp, Timestamp));

/// What to read for a query, newest first: the lists that counters name, in the hours that hold a
/// match, and all that may hold events that came too lately to be counted.
pub(super) struct Walk<'a> {
    store: &'a DynamoEvents,
    filter: &'a EventFilter,
    scope: &'a CounterScope,
    days: CounterDays<'a>,
    waiting: Option<(Day, Tally)>,
    /// Days, oldest first, that may hold uncounted events.
    uncounted: Vec<Day>,
    uncounted_from: Timestamp,
    ready: VecDeque<Reading>,
    from: Timestamp,
    upper: Timestamp,
}

impl<'a> Walk<'a> {
    pub(super) fn new(store: &'a DynamoEvents, filter: &'a EventFilter, scope: &'a CounterScope, now: Timestamp) -> Self {
        let from = filter.from.unwrap_or(Timestamp::MIN);
        let upper = filter.to.unwrap_or(Timestamp::MAX);
        let uncounted_from = now.plus_micros(-UNCOUNTED_MICROS).hour().start();
        let recent: BTreeSet<Day> = [uncounted_from.hour().day(), now.hour().day()].into();
        let uncounted = recent.into_iter().filter(|day| (from.hour().day()..=upper.hour().day()).contains(day)).collect();
        let days = CounterDays::new(store, scope, from.hour().day(), upper.hour().day());
        Self { store, filter, scope, days, waiting: None, uncounted, uncounted_from, ready: VecDeque::new(), from, upper }
    }

    /// Leaves out what lies after this moment. Called before the first reading is taken.
    pub(super) fn start_at(&mut self, upper: Timestamp) {
        self.upper = self.upper.min(upper);
        let day = self.upper.hour().day();
        self.uncounted.retain(|uncounted| *uncounted <= day);
        self.days.next = self.days.next.map(|next| next.min(day)).filter(|next| *next >= self.days.first);
    }

    /// What to read next.
    pub(super) async fn next(&mut self) -> Result<Option<Reading>, StoreError> {
        loop {
            if let Some(reading) = self.ready.pop_front() {
                return Ok(Some(reading));
            }
            if self.from > self.upper {
                return Ok(None);
            }
            if self.waiting.is_none() {
                self.waiting = self.days.next().await?;
            }
            let counted = self.waiting.as_ref().map(|(day, _)| *day);
            let Some(day) = counted.max(self.uncounted.last().copied()) else { return Ok(None) };
            let tally = if counted == Some(day) { self.waiting.take().map(|(_, tally)| tally) } else { None };
            let uncounted = self.uncounted.pop_if(|uncounted| *uncounted == day).is_some();
            self.plan(day, tally, uncounted).await?;
        }
    }

    /// Adds what is to be read of a day.
    async fn plan(&mut self, day: Day, tally: Option<Tally>, uncounted: bool) -> Result<(), StoreError> {
        let (start, end) = (self.from.max(day.first_hour().start()), self.upper.min(day.last_hour().end()));
        let holds = tally.as_ref().is_some_and(|tally| tally.may_hold(self.filter));
        let known: BTreeSet<IndexList> = tally.map_or_else(BTreeSet::new, |tally| {
            let categories = tally.categories(self.filter);
            tally.lists.into_iter().filter(|list| categories.iter().any(|category| keys::list_may_hold(list, Some(*category)))).collect()
        });
        // The part of the day that may hold events that have not been counted.
        let counted_end = if uncounted { end.min(self.uncounted_from.plus_micros(-1)) } else { end };
        if counted_end < end {
            let all = keys::all_lists(self.filter.category, day, self.store.time_shards.0).into_iter();
            self.ready.push_back((
                all.chain(known.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect(),
                (start.max(counted_end.plus_micros(1)), end),
            ));
        }
        if !holds || start > counted_end {
            return Ok(());
        }
        let of_any_kind = self.filter.event_type.is_none() && self.filter.source.is_none();
        if of_any_kind && self.filter.status != Some(EventStatus::Archived) {
            self.ready.push_back((known.into_iter().collect(), (start, counted_end)));
            return Ok(());
        }
        // A list holds all of a category. A type, a source or what is archived may be rare in it, so only those hours are read that
        // hold any.
        let mut range: Option<(Hour, Hour)> = None;
        let mut ranges = Vec::new();
        for (hour, tally) in self.store.hours(self.scope, start.hour(), counted_end.hour()).await? {
            if !tally.may_hold(self.filter) {
                continue;
            }
            range = match range {
                Some((first, last)) if hour.next() == first => Some((hour, last)),
                done => {
                    ranges.extend(done);
                    Some((hour, hour))
                }
            };
        }
        ranges.extend(range);
        let lists: Vec<IndexList> = known.into_iter().collect();
        self.ready.extend(ranges.into_iter().map(|(first, last)| (lists.clone(), (start.max(first.start()), counted_end.min(last.end())))));
        Ok(())
    }
}
