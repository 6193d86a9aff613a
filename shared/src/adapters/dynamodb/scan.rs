//! Reads lists of the time index, newest first, and merges them into one order.
//!
//! A list is in the order of its commits' latest events. An event may be older than that, but not by
//! more than an hour, because a commit does not span hours. So an event may be handed out once every
//! list has been read below its time, and a read for events up to some time starts at the end of
//! that time's hour.

use std::collections::BinaryHeap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures::future::try_join_all;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::{self, Item, read_text, text};
use super::keys::{self, AFTER_ALL, ORDER, PK, TIME_INDEX};
use crate::domain::counters::IndexList;
use crate::domain::event::{Event, Position};
use crate::domain::event_id::EventId;
use crate::domain::query::EventFilter;
use crate::domain::timestamp::Timestamp;
use crate::ports::store_error::StoreError;

/// The most commits of one call: few enough for the answer to stay below a page of the store.
const MOST_A_CALL: i32 = 500;
/// About the most bytes of events that one read of all due lists brings into memory.
const MOST_BYTES_A_READ: u64 = 8 * 1024 * 1024;

/// A read of several lists, newest event first.
pub(super) struct Scan<'a> {
    store: &'a DynamoEvents,
    filter: &'a EventFilter,
    lists: Vec<List>,
    lower: Timestamp,
    upper: Timestamp,
    below: Option<Position>,
    ready: BinaryHeap<ByPosition>,
    /// How many events of the time that is asked for were read, whether they match or not.
    pub(super) examined: u64,
    bytes: u64,
    matched: u64,
    commits: u64,
}

struct List {
    name: IndexList,
    state: Reading,
}

enum Reading {
    Unread,
    /// Read down to this time; the key is where to go on.
    Down(Timestamp, Item),
    Exhausted,
}

struct ByPosition(Event);

impl PartialEq for ByPosition {
    fn eq(&self, other: &Self) -> bool {
        self.0.position() == other.0.position()
    }
}
impl Eq for ByPosition {}
impl PartialOrd for ByPosition {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ByPosition {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.position().cmp(&other.0.position())
    }
}

/// What a scan hands out.
pub(super) enum Step {
    /// The next event that matches.
    Event(Box<Event>),
    /// Nothing more.
    End,
    /// More was to be read than allowed; every event above this place has been handed out.
    Bound(Position),
}

impl<'a> Scan<'a> {
    /// A read of `lists` for events that match `filter`, from `lower` to `upper` (both inclusive)
    /// and below `below`.
    pub(super) fn new(
        store: &'a DynamoEvents,
        filter: &'a EventFilter,
        lists: Vec<IndexList>,
        (lower, upper): (Timestamp, Timestamp),
        below: Option<Position>,
    ) -> Self {
        let lists = lists.into_iter().map(|name| List { name, state: Reading::Unread }).collect();
        Self { store, filter, lists, lower, upper, below, ready: BinaryHeap::new(), examined: 0, bytes: 0, matched: 0, commits: 0 }
    }

    /// The next event. `wanted` is about how many more will be asked for, `bound` how many events
    /// may be examined in all.
    pub(super) async fn next(&mut self, wanted: u64, bound: u64) -> Result<Step, StoreError> {
        loop {
            let frontier = self.lists.iter().filter_map(|list| match &list.state {
                Reading::Unread => Some(Timestamp::MAX),
                Reading::Down(time, _) => Some(*time),
                Reading::Exhausted => None,
            });
            let frontier = frontier.max();
            if let Some(event) = self.ready.peek() {
                if frontier.is_none_or(|frontier| event.0.occurred_at > frontier) {
                    return Ok(self.ready.pop().map_or(Step::End, |event| Step::Event(Box::new(event.0))));
                }
            } else if frontier.is_none() {
                return Ok(Step::End);
            }
            let Some(frontier) = frontier else { return Ok(Step::End) };
            // A cursor must lead on: not back to where this read started, however many events share a time.
            let reached = frontier.min(self.upper);
            if self.examined >= bound && self.below.is_none_or(|below| reached < below.occurred_at) {
                let place = EventId::new(uuid::Uuid::max());
                return Ok(Step::Bound(Position { occurred_at: reached, place }));
            }
            self.read(frontier, wanted).await?;
        }
    }

    /// Reads on in every list that has not been read below `frontier`.
    async fn read(&mut self, frontier: Timestamp, wanted: u64) -> Result<(), StoreError> {
        let due: Vec<usize> = self
            .lists
            .iter()
            .enumerate()
            .filter(|(_, list)| {
                matches!(&list.state, Reading::Unread) || matches!(&list.state, Reading::Down(time, _) if *time == frontier)
            })
            .map(|(index, _)| index)
            .collect();
        let limit = self.page(wanted, due.len());
        let pages = try_join_all(due.iter().map(|index| self.page_of(&self.lists[*index], limit))).await?;
        for (index, (found, next)) in due.into_iter().zip(pages) {
            let mut down = None;
            if let Some(last) = found.last() {
                down = keys::order_time(read_text(last, ORDER)?);
            }
            for commit in self.store.commits(found).await? {
                self.commits += 1;
                self.bytes += commit.bytes() as u64;
                for event in commit.to_events() {
                    let in_range = event.occurred_at <= self.upper && self.below.is_none_or(|below| event.position() < below);
                    // What lies above is read on the way, and must not end the read before its start.
                    self.examined += u64::from(in_range);
                    if in_range && self.filter.matches(&event) {
                        self.matched += 1;
                        self.ready.push(ByPosition(event));
                    }
                }
            }
            self.lists[index].state = match (next, down) {
                (Some(key), Some(down)) => Reading::Down(down, key),
                // A page without an item that goes on: as far down as before.
                (Some(key), None) => Reading::Down(frontier, key),
                (None, _) => Reading::Exhausted,
            };
        }
        Ok(())
    }

    /// How many commits to ask each of `lists` lists for: a cautious guess at first, then what the
    /// matches found so far suggest. What is read and not needed is paid for.
    fn page(&self, wanted: u64, lists: usize) -> i32 {
        let lists = (lists as u64).max(1);
        let waiting = self.ready.len() as u64;
        let missing = wanted.saturating_sub(waiting).max(1);
        let commits = if self.commits == 0 {
            (missing / (8 * lists)).clamp(5, 40)
        } else {
            (missing * self.commits * 11).div_ceil(self.matched.max(1) * 10 * lists) + 1
        };
        // Commits unpack to very different sizes.
        let fitting = (MOST_BYTES_A_READ * self.commits).checked_div(self.bytes * lists).unwrap_or(commits);
        i32::try_from(commits.min(fitting)).unwrap_or(MOST_A_CALL).clamp(1, MOST_A_CALL)
    }

    async fn page_of(&self, list: &List, limit: i32) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let start = match &list.state {
            Reading::Unread | Reading::Exhausted => None,
            Reading::Down(_, key) => Some(key.clone()),
        };
        let (low, high) = (self.lower.sort_key(), format!("{}{AFTER_ALL}", self.upper.hour().end().sort_key()));
        self.store.page_of_list(&list.name, (&low, &high), Direction::Backward, limit, start).await
    }
}

/// Whether nothing can lie between two sort keys. DynamoDB does not take such a question.
fn is_empty(low: &str, high: &str) -> bool {
    low > high
}

impl DynamoEvents {
    /// One page of a list of the time index between two sort keys, both inclusive, and the key to read on from.
    pub(super) async fn page_of_list(
        &self,
        list: &IndexList,
        (low, high): (&str, &str),
        direction: Direction,
        limit: i32,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(TIME_INDEX)
            .key_condition_expression("#list = :list AND #order BETWEEN :low AND :high")
            .expression_attribute_names("#list", keys::TIME)
            .expression_attribute_names("#order", ORDER)
            .expression_attribute_values(":list", text(&list.0))
            .expression_attribute_values(":low", text(low))
            .expression_attribute_values(":high", text(high))
            .scan_index_forward(direction == Direction::Forward)
            .limit(limit)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(store_error)?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }
}

/// A part of an index's partition, in the order of time.
pub(super) struct IndexRange<'a> {
    pub(super) index: &'static str,
    pub(super) attribute: &'static str,
    pub(super) value: &'a str,
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
}

impl DynamoEvents {
    /// All items of an index's partition, down to its end.
    pub(super) async fn index_items(&self, range: &IndexRange<'_>, most: usize) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        let mut start = None;
        let low = range.from.map_or(String::new(), Timestamp::sort_key);
        let high = range.to.map_or(String::new(), |to| to.hour().end().sort_key());
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(range.index)
                .key_condition_expression("#hash = :value AND #order BETWEEN :low AND :high")
                .expression_attribute_names("#hash", range.attribute)
                .expression_attribute_names("#order", ORDER)
                .expression_attribute_values(":value", text(range.value))
                .expression_attribute_values(":low", text(if low.is_empty() { " " } else { &low }))
                .expression_attribute_values(":high", text(format!("{high}{AFTER_ALL}")))
                .scan_index_forward(false)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(store_error)?;
            found.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() || found.len() > most {
                return Ok(found);
            }
        }
    }

    /// All items of a partition whose sort keys start with `prefix`, as the last write left them.
    pub(super) async fn prefixed(&self, pk: &str, prefix: &str) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":pk", text(pk))
                .expression_attribute_values(":prefix", text(prefix))
                .consistent_read(true)
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

    /// The items of a partition whose sort keys lie between two, in their order or against it.
    pub(super) async fn between(
        &self,
        pk: &str,
        range: (&str, &str),
        direction: Direction,
        limit: Option<i32>,
        consistency: Consistency,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let (items, next) = self.page_between(pk, range, direction, limit, consistency, start).await?;
            found.extend(items);
            start = next;
            if start.is_none() || limit.is_some() {
                return Ok(found);
            }
        }
    }

    /// One page of [`DynamoEvents::between`], and the key from which the next one goes on.
    pub(super) async fn page_between(
        &self,
        pk: &str,
        (low, high): (&str, &str),
        direction: Direction,
        limit: Option<i32>,
        consistency: Consistency,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        if is_empty(low, high) {
            return Ok((Vec::new(), None));
        }
        let query = self.query_between(pk, (low, high), direction, limit, consistency, start);
        let page = query.send().await.map_err(store_error)?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }

    /// One page of a stream's commits between two sort keys, forwards, as the last write left them: all that a commit is read from, and
    /// nothing else, which is a third less to take apart.
    pub(super) async fn page_of_commits(
        &self,
        pk: &str,
        range: (&str, &str),
        limit: Option<i32>,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        if is_empty(range.0, range.1) {
            return Ok((Vec::new(), None));
        }
        let query = self.query_between(pk, range, Direction::Forward, limit, Consistency::Strong, start);
        let names: Vec<String> = (0..items::OF_COMMIT.len()).map(|index| format!("#{index}")).collect();
        let query = query.projection_expression(names.join(","));
        let query = names
            .into_iter()
            .zip(items::OF_COMMIT)
            .fold(query, |query, (name, attribute)| query.expression_attribute_names(name, *attribute));
        let page = query.send().await.map_err(store_error)?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }

    fn query_between(
        &self,
        pk: &str,
        (low, high): (&str, &str),
        direction: Direction,
        limit: Option<i32>,
        consistency: Consistency,
        start: Option<Item>,
    ) -> QueryFluentBuilder {
        let query = self.client.query();
        query
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :low AND :high")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":low", text(low))
            .expression_attribute_values(":high", text(high))
            .scan_index_forward(direction == Direction::Forward)
            .consistent_read(consistency == Consistency::Strong)
            .set_limit(limit)
            .set_exclusive_start_key(start)
    }
}

/// Whether a read sees every write that was answered before it, at twice the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consistency {
    Strong,
    Eventual,
}

/// Which way to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// The table's key of an item of an index.
pub(super) fn table_key(item: &Item) -> Result<(String, String), StoreError> {
    Ok((read_text(item, PK)?.to_owned(), read_text(item, keys::SK)?.to_owned()))
}
