//! Queries: which way to take, how many events there are, and which of them make the page.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::super::DynamoEvents;
use super::super::items::{self, read_text};
use super::super::keys::{self, AFTER_ALL};
use super::super::scan::{Consistency, Direction, IndexRange, Scan, Step, table_key};
use super::walk::{CounterDays, Walk};
use crate::domain::commit::Commit;
use crate::domain::counters::{CounterKey, CounterScope, IndexList, Period, Tally};
use crate::domain::definitions::Definitions;
use crate::domain::event::{Event, Position};
use crate::domain::identifiers::{OrganizationId, UserId};
use crate::domain::query::{Anonymous, EventFilter, EventPage, EventQuery, ObservedEvent, PageStart, Total, before_known, visits_of};
use crate::domain::status::EventStatus;
use crate::domain::stream_id::{StreamId, StreamKey, place_of};
use crate::domain::timestamp::{Day, Hour, Timestamp};
use crate::ports::counter_store::CounterStore;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::store_error::StoreError;

/// The most commits that one request reads of a user, a session or a flag.
const MOST_COMMITS: usize = 20_000;
/// About the most bytes of events on one page: more than an answer holds, which says where to go on.
const MOST_PAGE_BYTES: usize = 8 * 1024 * 1024;
/// The most visits of a user that are looked into, and how many at a time.
const MOST_VISITS: usize = 200;
const VISITS_AT_ONCE: usize = 8;
/// How many events are looked at between reads of their outcomes.
const EVENTS_A_STEP: usize = 500;

impl DynamoEvents {
    /// One page of the events that match, newest first.
    pub(super) async fn find(&self, query: &EventQuery, now: Timestamp) -> Result<EventPage, StoreError> {
        let mut filter = query.filter.clone();
        if matches!((filter.from, filter.to), (Some(from), Some(to)) if from > to) {
            return Ok(EventPage { events: Vec::new(), total: Total::Exactly(0), next: None });
        }
        let definitions = self.definitions(Freshness::Recent).await?;
        if !definitions.may_process(filter.organization.as_ref()) {
            match filter.status {
                None | Some(EventStatus::Archived) => {}
                // No processor is given any of these events, so all of them are processed, if they are not archived.
                Some(EventStatus::Processed) => {
                    filter.status = if self.has_archived(filter.organization.as_ref()).await? { filter.status } else { None };
                }
                Some(EventStatus::Pending | EventStatus::Processing | EventStatus::Failed) => {
                    return Ok(EventPage { events: Vec::new(), total: Total::Exactly(0), next: None });
                }
            }
        }
        if let (Some(user), Anonymous::Included) = (&filter.user, filter.anonymous) {
            let (events, complete) = self.with_visits(user, &filter).await?;
            let observed = self.observe(events, &definitions).await?;
            return Ok(page_of(observed, query, &filter, complete));
        }
        if filter.user.is_some() || filter.session.is_some() {
            let (commits, complete) = self.of_entity(&filter).await?;
            let observed = self.observe(matching(&commits, &filter), &definitions).await?;
            return Ok(page_of(observed, query, &filter, complete));
        }
        if let Some(status @ (EventStatus::Failed | EventStatus::Processing)) = filter.status {
            let (commits, complete) = self.flagged(status).await?;
            // The flag says that there is an outcome.
            let concluded = commits.iter().map(Commit::id).collect();
            let observed = self.observe_with(matching(&commits, &filter), concluded, &definitions).await?;
            return Ok(page_of(observed, query, &filter, complete));
        }
        let scope = CounterScope::of(filter.organization.as_ref());
        let counted = if filter.is_counted() { self.count(&filter, &scope).await? } else { None };
        match counted {
            Some(counted) => self.counted_page(query, &filter, &scope, counted, now, &definitions).await,
            None => self.examined_page(query, &filter, &scope, now, &definitions).await,
        }
    }
}

/// The events of these commits that match, their status aside.
fn matching(commits: &[Commit], filter: &EventFilter) -> Vec<Event> {
    commits.iter().flat_map(Commit::to_events).filter(|event| filter.matches(event)).collect()
}

/// The page of a query of which all events are at hand.
fn page_of(mut events: Vec<ObservedEvent>, query: &EventQuery, filter: &EventFilter, complete: bool) -> EventPage {
    events.retain(|event| filter.matches_status(event.outcome.status));
    events.sort_by_key(|event| std::cmp::Reverse(event.event.position()));
    let found = events.len() as u64;
    let skip = match query.start {
        PageStart::Offset(offset) => usize::try_from(offset).unwrap_or(usize::MAX).min(events.len()),
        PageStart::Below(position) => events.partition_point(|event| event.event.position() >= position),
    };
    let more = events.len() - skip > query.size.get();
    let events: Vec<ObservedEvent> = events.into_iter().skip(skip).take(query.size.get()).collect();
    let next = events.last().filter(|_| more).map(|event| event.event.position());
    EventPage { events, total: if complete { Total::Exactly(found) } else { Total::AtLeast(found) }, next }
}

impl DynamoEvents {
    /// Whether any events of an organization, or of all, are archived, as far as they have been counted.
    async fn has_archived(&self, organization: Option<&OrganizationId>) -> Result<bool, StoreError> {
        let (total, _) = self.tally(&CounterKey { scope: CounterScope::of(organization), period: Period::Total }).await?;
        Ok(total.statuses.get(&EventStatus::Archived).is_some_and(|count| *count > 0))
    }

    /// The user's events that match, with those of its visits from before it was known, and whether these are all.
    async fn with_visits(&self, user: &UserId, filter: &EventFilter) -> Result<(Vec<Event>, bool), StoreError> {
        // Whenever the user was known: what is asked for may lie before.
        let of_user = EventFilter { user: Some(user.clone()), organization: filter.organization.clone(), ..EventFilter::default() };
        let (commits, mut complete) = self.of_entity(&of_user).await?;
        let known = matching(&commits, &of_user);
        let visits: Vec<_> = visits_of(&known).into_iter().collect();
        complete &= visits.len() <= MOST_VISITS;
        let of_visits = stream::iter(visits.into_iter().rev().take(MOST_VISITS)).map(async |(organization, session)| {
            let of_visit = EventFilter { session: Some(session), organization: organization.clone(), ..EventFilter::default() };
            let (commits, complete) = self.of_entity(&of_visit).await?;
            let mut events = matching(&commits, &of_visit);
            events.retain(|event| event.organization() == organization.as_ref());
            Ok::<_, StoreError>((before_known(user, events), complete))
        });
        let of_visits: Vec<(Vec<Event>, bool)> = of_visits.buffered(VISITS_AT_ONCE).try_collect().await?;
        let mut events: Vec<Event> = known.into_iter().filter(|event| filter.matches(event)).collect();
        let rest = filter.of_visits();
        for (before, all) in of_visits {
            complete &= all;
            events.extend(before.into_iter().filter(|event| rest.matches(event)));
        }
        Ok((events, complete))
    }

    /// All commits of the filter's user, or else session, and whether these are all there are.
    pub(super) async fn of_entity(&self, filter: &EventFilter) -> Result<(Vec<Commit>, bool), StoreError> {
        let (entity, index, attribute, value) = match (&filter.user, &filter.session) {
            (Some(user), _) => (StreamId::new("user", user.as_str()), keys::WHO_INDEX, keys::WHO, keys::user_who(user)),
            (None, Some(session)) => {
                (StreamId::new("session", session.as_str()), keys::SESSION_INDEX, keys::SESSION, keys::session_key(session))
            }
            (None, None) => return Ok((Vec::new(), true)),
        };
        let own = async {
            let Ok(stream) = entity else { return Ok((Vec::new(), true)) };
            let prefix = filter.organization.as_ref().map_or(String::new(), |organization| {
                keys::tag_prefix(StreamKey { organization: Some(organization.clone()), stream: stream.clone() }.address())
            });
            let (pk, low) = (keys::place(place_of(&stream)), if prefix.is_empty() { "0" } else { &prefix });
            let high = format!("{prefix}{AFTER_ALL}");
            let (mut unpacked, mut start) = (Unpacked::default(), None);
            loop {
                let (mut found, next) = self.page_between(&pk, (low, &high), Direction::Backward, None, Consistency::Strong, start).await?;
                found.retain(|item| items::is_of_stream(item, &stream));
                if !unpacked.add(self.commits(found).await?) || next.is_none() {
                    return Ok((unpacked.commits, next.is_none()));
                }
                start = next;
            }
        };
        let others = async {
            let range = IndexRange { index, attribute, value: &value, from: filter.from, to: filter.to };
            let rows = self.index_items(&range, MOST_COMMITS).await?;
            let complete = rows.len() <= MOST_COMMITS;
            let (commits, all) = self.unpack(rows.iter().map(table_key).collect::<Result<_, _>>()?).await?;
            Ok((commits, complete && all))
        };
        let ((mut commits, whole), (others, complete)) = try_join(own, others).await?;
        commits.extend(others);
        Ok((commits, whole && complete))
    }

    /// The commits with these keys, the first of them first, and whether these are all.
    async fn unpack(&self, keys: Vec<(String, String)>) -> Result<(Vec<Commit>, bool), StoreError> {
        let (mut unpacked, mut all) = (Unpacked::default(), true);
        self.batch_get_commits(keys, |found| {
            all = unpacked.add(found);
            all
        })
        .await?;
        Ok((unpacked.commits, all))
    }

    /// All commits with an outcome of this status, and whether these are all there are.
    async fn flagged(&self, status: EventStatus) -> Result<(Vec<Commit>, bool), StoreError> {
        let mut wanted = Vec::new();
        let mut complete = true;
        // A commit is flagged once, as failed if any of its events is.
        for flag in [EventStatus::Failed, EventStatus::Processing] {
            if flag != status && status == EventStatus::Failed {
                continue;
            }
            let value = keys::flagged_who(flag);
            let range = IndexRange { index: keys::WHO_INDEX, attribute: keys::WHO, value: &value, from: None, to: None };
            let rows = self.index_items(&range, MOST_COMMITS).await?;
            complete &= rows.len() <= MOST_COMMITS;
            for row in &rows {
                let sk = read_text(row, items::COMMIT_SK)?;
                let slot = keys::read_commit_sk(sk).ok_or_else(|| StoreError::Corrupt(format!("commit {sk}")))?;
                wanted.push((keys::stream_pk(&slot.stream), sk.to_owned()));
            }
        }
        let (commits, all) = self.unpack(wanted).await?;
        Ok((commits, complete && all))
    }
}

/// Commits that were read, up to a bound on what they take in memory.
#[derive(Default)]
struct Unpacked {
    commits: Vec<Commit>,
    bytes: usize,
}

impl Unpacked {
    /// About the most bytes of events that one request brings into memory.
    const MOST_BYTES: usize = 64 * 1024 * 1024;

    /// Takes these, as far as there is room. Returns whether there is room for more.
    fn add(&mut self, found: Vec<Commit>) -> bool {
        for commit in found {
            if self.bytes > Self::MOST_BYTES {
                return false;
            }
            self.bytes += commit.bytes();
            self.commits.push(commit);
        }
        self.bytes <= Self::MOST_BYTES
    }
}

/// What counters say of a query's matches.
struct Counted {
    /// How many there are.
    total: u64,
    /// How many lie after the last whole hour: in the hour of the query's end.
    newest_edge: Option<(Hour, u64)>,
}

impl DynamoEvents {
    /// How many events match, if counters know: whole hours and days from them, and what lies beyond
    /// the query's ends within an hour from the index.
    async fn count(&self, filter: &EventFilter, scope: &CounterScope) -> Result<Option<Counted>, StoreError> {
        let (total, _) = self.tally(&CounterKey { scope: scope.clone(), period: Period::Total }).await?;
        let from = filter.from.unwrap_or(Timestamp::MIN);
        let to = filter.to.unwrap_or(Timestamp::MAX);
        let Some(everything) = total.count(filter) else { return Ok(None) };
        if everything == 0 && filter.from.is_none() && filter.to.is_none() {
            return Ok(Some(Counted { total: 0, newest_edge: None }));
        }
        if filter.from.is_none() && filter.to.is_none() {
            return Ok(Some(Counted { total: everything, newest_edge: None }));
        }
        let (first, last) = (from.hour(), to.hour());
        let days = self.days(scope, first.day(), last.day()).await?;
        let mut counted: u64 = 0;
        let mut add = |tally: &Tally| tally.count(filter).map(|count| counted += count);
        let edges: BTreeSet<Day> = [first.day(), last.day()].into();
        for (day, tally) in &days {
            if !edges.contains(day) && add(tally).is_none() {
                return Ok(None);
            }
        }
        let mut edge = BTreeMap::new();
        for day in edges {
            let Some((_, lists)) = days.iter().find(|(known, _)| *known == day) else { continue };
            let hours = self.hours(scope, first.max(day.first_hour()), last.min(day.last_hour())).await?;
            for (hour, tally) in &hours {
                if add(tally).is_none() {
                    return Ok(None);
                }
                edge.insert(*hour, (tally.count(filter).unwrap_or_default(), lists.lists.clone()));
            }
        }
        // Events of the last hour that lie after the end, then those of the first hour that lie
        // before the start: all of that hour but those from the start on.
        let mut newest_edge = None;
        if to != last.end()
            && let Some((count, lists)) = edge.get(&last)
        {
            let beyond = self.count_in(filter, lists, (to.plus_micros(1), last.end())).await?;
            counted = counted.saturating_sub(beyond);
            newest_edge = Some((last, count.saturating_sub(beyond)));
        }
        if from != first.start()
            && let Some((count, lists)) = edge.get(&first)
        {
            let kept = self.count_in(filter, lists, (from, first.end())).await?;
            let before = count.saturating_sub(kept);
            counted = counted.saturating_sub(before);
            if let Some((hour, newest)) = &mut newest_edge
                && *hour == first
            {
                *newest = newest.saturating_sub(before);
            }
        }
        Ok(Some(Counted { total: counted, newest_edge }))
    }

    /// How many events of one hour match, by looking at them.
    async fn count_in(
        &self,
        filter: &EventFilter,
        lists: &BTreeSet<IndexList>,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<u64, StoreError> {
        let filter = EventFilter { from: Some(from), to: Some(to), ..filter.clone() };
        let lists = lists.iter().filter(|list| keys::list_may_hold(list, filter.category)).cloned().collect();
        let mut scan = Scan::new(self, &filter, lists, (from, to), None);
        let mut count = 0;
        while let Step::Event(_) = scan.next(u64::MAX, u64::MAX).await? {
            count += 1;
        }
        Ok(count)
    }

    /// A page of events that counters know.
    async fn counted_page(
        &self,
        query: &EventQuery,
        filter: &EventFilter,
        scope: &CounterScope,
        counted: Counted,
        now: Timestamp,
        definitions: &Definitions,
    ) -> Result<EventPage, StoreError> {
        let size = query.size.get();
        let mut walk = Walk::new(self, filter, scope, now);
        let (mut skip, below) = match query.start {
            PageStart::Offset(offset) => (offset, None),
            PageStart::Below(position) => (0, Some(position)),
        };
        if let PageStart::Offset(offset) = query.start {
            if offset >= counted.total && offset > 0 {
                return Ok(EventPage { events: Vec::new(), total: Total::Exactly(counted.total), next: None });
            }
            // Whole days and hours are jumped over without reading them.
            let (upper, jumped) = self.jump(filter, scope, offset, counted.newest_edge).await?;
            walk.start_at(upper);
            skip -= jumped;
        }
        if let Some(below) = below {
            walk.start_at(below.occurred_at);
        }
        let mut events: Vec<Event> = Vec::new();
        let (mut more, mut examined, mut bytes, mut bound) = (false, 0, 0, None);
        while let Some((lists, range)) = walk.next().await? {
            let mut scan = Scan::new(self, filter, lists, range, below);
            loop {
                let wanted = skip + (size - events.len()) as u64 + 1;
                // What an offset skips has to be read in one go: there is no cursor for it.
                let most = if skip > 0 { u64::MAX } else { self.most_examined.saturating_sub(examined) };
                match scan.next(wanted, most).await? {
                    Step::End => break,
                    Step::Bound(position) => {
                        bound = Some(position);
                        break;
                    }
                    Step::Event(_) if skip > 0 => skip -= 1,
                    Step::Event(event) if events.len() < size && bytes < MOST_PAGE_BYTES => {
                        bytes += event.details.bytes();
                        events.push(*event);
                    }
                    Step::Event(_) => {
                        more = true;
                        break;
                    }
                }
            }
            examined += scan.examined;
            if more || bound.is_some() {
                break;
            }
        }
        let next = if more { events.last().map(Event::position) } else { bound };
        let shown = match query.start {
            PageStart::Offset(offset) if !events.is_empty() => offset + events.len() as u64 + u64::from(more),
            PageStart::Offset(_) | PageStart::Below(_) => events.len() as u64 + u64::from(more),
        };
        Ok(EventPage { events: self.observe(events, definitions).await?, total: Total::Exactly(counted.total.max(shown)), next })
    }

    /// Where the `offset` newest matches end, as far as counters tell: everything after the moment
    /// may be left unread, and holds as many matches as the number says.
    async fn jump(
        &self,
        filter: &EventFilter,
        scope: &CounterScope,
        offset: u64,
        newest_edge: Option<(Hour, u64)>,
    ) -> Result<(Timestamp, u64), StoreError> {
        let from = filter.from.unwrap_or(Timestamp::MIN);
        let mut upper = filter.to.unwrap_or(Timestamp::MAX);
        let mut jumped = 0;
        if offset == 0 {
            return Ok((upper, 0));
        }
        let mut walk = CounterDays::new(self, scope, from.hour().day(), upper.hour().day());
        while let Some((day, tally)) = walk.next().await? {
            let whole = filter.to.is_none_or(|to| day.last_hour().end() <= to) && day.first_hour().start() >= from;
            if let Some(count) = tally.count(filter).filter(|count| whole && jumped + count <= offset) {
                jumped += count;
                upper = upper.min(day.first_hour().start().plus_micros(-1));
                continue;
            }
            for (hour, tally) in self.hours(scope, from.hour().max(day.first_hour()), upper.hour().min(day.last_hour())).await? {
                let count = match newest_edge {
                    Some((edge, count)) if edge == hour => Some(count),
                    Some(_) | None => tally.count(filter).filter(|_| hour.start() >= from),
                };
                let Some(count) = count.filter(|count| jumped + count <= offset) else { return Ok((upper, jumped)) };
                jumped += count;
                upper = upper.min(hour.start().plus_micros(-1));
            }
        }
        Ok((upper, jumped))
    }

    /// A page of events that have to be looked at one by one, and the total of those, up to a bound.
    async fn examined_page(
        &self,
        query: &EventQuery,
        filter: &EventFilter,
        scope: &CounterScope,
        now: Timestamp,
        definitions: &Definitions,
    ) -> Result<EventPage, StoreError> {
        let (skip, below) = match query.start {
            PageStart::Offset(offset) => (offset, None),
            PageStart::Below(position) => (0, Some(position)),
        };
        let mut walk = Walk::new(self, filter, scope, now);
        if let Some(below) = below {
            walk.start_at(below.occurred_at);
        }
        let known = self.counted_by_status(filter, scope).await?;
        let end = if known.is_some() { End::WithThePage } else { End::OfAll };
        let page = self.examine(filter, walk, definitions, &Part { below, above: None, skip, size: query.size.get(), end }).await?;
        let next = if page.more { page.events.last().map(|event| event.event.position()) } else { page.bound };
        if let Some(known) = known {
            return Ok(EventPage { events: page.events, total: Total::Exactly(known.max(page.found)), next });
        }
        let mut total = Some(page.found).filter(|_| page.bound.is_none());
        let mut least = page.found;
        if let Some(below) = below {
            // Only a total of all pages is one.
            let above = Part { below: None, above: Some(below), skip: 0, size: 0, end: End::OfAll };
            let earlier = self.examine(filter, Walk::new(self, filter, scope, now), definitions, &above).await?;
            least += earlier.found;
            total = total.filter(|_| earlier.bound.is_none()).map(|found| found + earlier.found);
        }
        Ok(EventPage { events: page.events, total: total.map_or(Total::AtLeast(least), Total::Exactly), next })
    }

    /// How many events are archived, or processed and not archived, as counters know, if nothing but that is asked for. While nothing is
    /// archived, looking at the processed ones is as quick.
    async fn counted_by_status(&self, filter: &EventFilter, scope: &CounterScope) -> Result<Option<u64>, StoreError> {
        let alone = EventFilter { status: filter.status, organization: filter.organization.clone(), ..EventFilter::default() };
        if *filter != alone || !matches!(filter.status, Some(EventStatus::Archived | EventStatus::Processed)) {
            return Ok(None);
        }
        let (total, _) = self.tally(&CounterKey { scope: scope.clone(), period: Period::Total }).await?;
        let of = |status: EventStatus| total.statuses.get(&status).copied().unwrap_or_default();
        let count = if filter.status == Some(EventStatus::Archived) {
            of(EventStatus::Archived)
        } else {
            of(EventStatus::Processed) + total.settled
        };
        Ok(Some(count).filter(|_| of(EventStatus::Archived) > 0))
    }

    /// Looks at events one by one.
    async fn examine(
        &self,
        filter: &EventFilter,
        mut walk: Walk<'_>,
        definitions: &Definitions,
        part: &Part,
    ) -> Result<Examined, StoreError> {
        let mut result = Examined { events: Vec::new(), found: 0, more: false, bound: None };
        let (mut skip, mut examined, mut bytes) = (part.skip, 0_u64, 0);
        while let Some((lists, range)) = walk.next().await? {
            let mut scan = Scan::new(self, filter, lists, range, part.below);
            let mut open = true;
            while open {
                let mut chunk = Vec::new();
                while open && chunk.len() < EVENTS_A_STEP {
                    match scan.next(EVENTS_A_STEP as u64, self.most_examined.saturating_sub(examined)).await? {
                        Step::Event(event) if part.above.is_some_and(|above| event.position() < above) => {
                            return Ok(result.with(&self.observe(chunk, definitions).await?, filter));
                        }
                        Step::Event(event) => chunk.push(*event),
                        Step::End => open = false,
                        Step::Bound(position) => {
                            result.bound = Some(position);
                            open = false;
                        }
                    }
                }
                for event in self.observe(chunk, definitions).await? {
                    if !filter.matches_status(event.outcome.status) {
                        continue;
                    }
                    result.found += 1;
                    if skip > 0 {
                        skip -= 1;
                    } else if result.events.len() < part.size && bytes < MOST_PAGE_BYTES && !result.more {
                        bytes += event.event.details.bytes();
                        result.events.push(event);
                    } else {
                        result.more = true;
                    }
                }
                open &= !(result.more && part.end == End::WithThePage);
            }
            if result.bound.is_some() || (result.more && part.end == End::WithThePage) {
                break;
            }
            examined += scan.examined;
        }
        Ok(result)
    }
}

/// Which of the events that match are looked at.
struct Part {
    /// Only those below this place.
    below: Option<Position>,
    /// Only those at this place or above.
    above: Option<Position>,
    /// How many of the newest are counted and not kept.
    skip: u64,
    /// How many are kept.
    size: usize,
    /// When enough were looked at.
    end: End,
}

/// When enough events were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// When the page is full, and it is known that there are more.
    WithThePage,
    /// When all were counted.
    OfAll,
}

/// What a look at events found.
struct Examined {
    events: Vec<ObservedEvent>,
    found: u64,
    more: bool,
    bound: Option<Position>,
}

impl Examined {
    /// The same with these events counted as well.
    fn with(mut self, last: &[ObservedEvent], filter: &EventFilter) -> Self {
        self.found += last.iter().filter(|event| filter.matches_status(event.outcome.status)).count() as u64;
        self
    }
}
