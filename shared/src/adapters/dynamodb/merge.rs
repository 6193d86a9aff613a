//! Lists of the time index, merged from their oldest ends.

use std::collections::VecDeque;

use futures::future::try_join_all;

use super::DynamoEvents;
use super::items::{self, Item, read_text};
use super::keys::{AFTER_ALL, ORDER};
use super::scan::Direction;
use crate::domain::commit::Commit;
use crate::domain::counters::IndexList;
use crate::domain::timestamp::Timestamp;
use crate::ports::store_error::StoreError;

/// The most commits of one call.
const MOST_A_CALL: usize = 200;

/// What becomes of commits whose events are in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Archived {
    /// Their events are read from there.
    Read,
    /// They are left out.
    LeftOut,
}

/// Several lists, merged into one order.
pub(super) struct Merge<'a> {
    store: &'a DynamoEvents,
    lists: Vec<List>,
    low: String,
    high: String,
    page: i32,
    archived: Archived,
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
    /// The commits of these lists whose latest events happened between two moments, read so many at a time.
    pub(super) fn new(
        store: &'a DynamoEvents,
        lists: Vec<IndexList>,
        (from, to): (Timestamp, Timestamp),
        most: usize,
        archived: Archived,
    ) -> Self {
        let lists = lists.into_iter().map(|name| List { name, ready: VecDeque::new(), next: Next::Unread }).collect();
        let page = i32::try_from(most.clamp(10, MOST_A_CALL)).unwrap_or(i32::MAX);
        Self { store, lists, low: from.sort_key(), high: format!("{}{AFTER_ALL}", to.sort_key()), page, archived }
    }

    /// The next commit, oldest first.
    pub(super) async fn next_commit(&mut self) -> Result<Option<Commit>, StoreError> {
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
        let range = (&*self.low, &*self.high);
        let (found, next) = self.store.page_of_list(&list.name, range, Direction::Forward, self.page, start).await?;
        let found = match self.archived {
            Archived::Read => self.store.with_events(found).await?,
            Archived::LeftOut => found.into_iter().filter(|item| !item.contains_key(items::ARCHIVE_PLACE)).collect(),
        };
        Ok((found, next))
    }
}

impl List {
    const fn is_exhausted(&self) -> bool {
        matches!(self.next, Next::Exhausted)
    }
}
