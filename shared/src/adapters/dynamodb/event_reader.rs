//! Events, streams, queries and statistics on DynamoDB.
//!
//! A query takes one of four ways. A user's or a session's events are few: all of them are read and
//! sorted. Failed and stuck events are found by their flag. What counters know (type, source,
//! category, organization, time) is read from those lists of the time index that hold anything,
//! with the total and the jump over an `offset` from the counters. Anything else is the same read
//! with every event looked at, up to a bound.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use futures::future::try_join;

use super::DynamoEvents;
use super::batch::by_key;
use super::failure::store_error;
use super::items::{self, Item, read_text, text};
use super::keys::{self, AFTER_ALL, ORDER, SK};
use super::scan::{Direction, IndexRange, Scan, Step, table_key};
use crate::domain::claim::{ClaimKey, ClaimSubject};
use crate::domain::commit::Commit;
use crate::domain::counters::{CounterKey, CounterScope, IndexList, Period, Tally};
use crate::domain::event::Event;
use crate::domain::event_id::{EventId, Location};
use crate::domain::identifiers::OrganizationId;
use crate::domain::outcome::{EventOutcome, Outcome};
use crate::domain::query::{EventFilter, EventPage, EventQuery, ObservedEvent, PageStart, Total};
use crate::domain::statistics::{Statistics, StatisticsScope};
use crate::domain::status::EventStatus;
use crate::domain::stream_id::{StreamId, StreamKey, place_of};
use crate::domain::timestamp::{Day, Hour, Timestamp};
use crate::domain::version::Version;
use crate::ports::commit_log::CommitLog;
use crate::ports::counter_store::CounterStore;
use crate::ports::event_reader::{EventReader, StreamRequest, StreamSlice};
use crate::ports::outcome_log::OutcomeLog;
use crate::ports::store_error::StoreError;

/// The most events that one request examines where counters do not help.
const MOST_EXAMINED: u64 = 20_000;
/// The most commits that one request reads of a user, a session or a flag.
const MOST_COMMITS: usize = 20_000;
/// How many events are looked at between reads of their outcomes.
const EVENTS_A_STEP: usize = 500;
/// How many days of counters an open-ended query reads at a time.
const DAYS_A_CALL: i32 = 16;
/// How far back new events may lie that have not been counted yet and are looked for all the same.
const UNCOUNTED_MICROS: i64 = 3_600_000_000;

#[async_trait]
impl EventReader for DynamoEvents {
    async fn event(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<Option<ObservedEvent>, StoreError> {
        if let Some(location) = id.location()
            && let Some(found) = self.located(id, location, organization).await?
        {
            return Ok(Some(found));
        }
        self.claimed(id, organization).await
    }

    async fn stream(&self, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        match &request.organization {
            Some(_) => {
                let stream = StreamKey { organization: request.organization.clone(), stream: request.stream.clone() };
                self.one_stream(&stream, request).await
            }
            None => self.any_stream(request).await,
        }
    }

    async fn query(&self, query: &EventQuery, now: Timestamp) -> Result<EventPage, StoreError> {
        let mut filter = query.filter.clone();
        if matches!((filter.from, filter.to), (Some(from), Some(to)) if from > to) {
            return Ok(EventPage { events: Vec::new(), total: Total::Exactly(0), next: None });
        }
        let scope = CounterScope::of(filter.organization.as_ref());
        let (total, _) = self.tally(&CounterKey { scope: scope.clone(), period: Period::Total }).await?;
        let concluded = total.statuses.values().any(|count| *count > 0);
        if !concluded {
            match filter.status {
                None => {}
                // Nothing has been concluded, so everything is pending.
                Some(EventStatus::Pending) => filter.status = None,
                Some(EventStatus::Processing | EventStatus::Processed | EventStatus::Failed | EventStatus::Archived) => {
                    return Ok(EventPage { events: Vec::new(), total: Total::Exactly(0), next: None });
                }
            }
        }
        let gathered = if filter.user.is_some() || filter.session.is_some() {
            Some(self.of_entity(&filter).await?)
        } else if let Some(status @ (EventStatus::Failed | EventStatus::Processing)) = filter.status {
            Some(self.flagged(status).await?)
        } else {
            None
        };
        if let Some((commits, complete)) = gathered {
            let mut events: Vec<Event> = commits.iter().flat_map(Commit::to_events).filter(|event| filter.matches(event)).collect();
            events.sort_by_key(|event| std::cmp::Reverse(event.position()));
            let mut observed = self.observe(events, concluded).await?;
            observed.retain(|event| filter.matches_status(event.outcome.status));
            return Ok(page_of(observed, query, complete));
        }
        let counted = if filter.is_counted() { self.count(&filter, &scope, &total).await? } else { None };
        match counted {
            Some(counted) => self.counted_page(query, &filter, &scope, counted, now, concluded).await,
            None => self.examined_page(query, &filter, &scope, now, concluded).await,
        }
    }

    async fn statistics(&self, scope: &StatisticsScope, now: Timestamp) -> Result<Statistics, StoreError> {
        let counters = CounterScope::of(scope.organization.as_ref());
        if let Some(user) = &scope.user {
            let filter = EventFilter { user: Some(user.clone()), organization: scope.organization.clone(), ..EventFilter::default() };
            let (commits, _) = self.of_entity(&filter).await?;
            let events = commits.iter().flat_map(Commit::to_events).filter(|event| filter.matches(event)).collect();
            return Ok(Statistics::from_events(&self.observe(events, true).await?, now));
        }
        let today = now.hour().day();
        let first = today.monday().min(today.first_of_month());
        let total = CounterKey { scope: counters.clone(), period: Period::Total };
        let days = async {
            let days = self.days(&counters, first, today).await?;
            Ok(days.into_iter().map(|(day, tally)| (day, tally.total())).collect::<Vec<_>>())
        };
        let ((total, _), ((users, _), days)) = try_join(self.tally(&total), try_join(self.ranking(&counters), days)).await?;
        Ok(Statistics::from_counters(&total, &days, &users, now))
    }
}

/// The page of a query of which all events are at hand, newest first.
fn page_of(events: Vec<ObservedEvent>, query: &EventQuery, complete: bool) -> EventPage {
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

// ---- by id -------------------------------------------------------------------------------------

impl DynamoEvents {
    /// The event at the place that its id names, if it is there.
    async fn located(
        &self,
        id: EventId,
        location: Location,
        organization: Option<&OrganizationId>,
    ) -> Result<Option<ObservedEvent>, StoreError> {
        let mut head = Version::EMPTY;
        loop {
            for first in location.commit_versions(head) {
                let prefix = keys::version_prefix(location.address(), first);
                let commit = Location::new(location.recorded_at, 0, location.address(), first).id();
                let pk = keys::place(location.address().place);
                // The outcome's key follows from the id, so both are read at once.
                let (found, outcome) = try_join(self.prefixed(&pk, &prefix), self.outcome(commit)).await?;
                for item in &found {
                    let events = items::read_commit(item)?.to_events();
                    let visible = |event: &Event| event.id == id && (organization.is_none() || event.organization() == organization);
                    if let Some((index, event)) = events.into_iter().enumerate().find(|(_, event)| visible(event)) {
                        return Ok(Some(ObservedEvent { event, outcome: outcome_at(outcome.as_ref(), index) }));
                    }
                }
            }
            // Only the low bits of the version stand in the id, which is all of it for all but the
            // longest streams. Were there one here, the event may be further up.
            if head != Version::EMPTY {
                return Ok(None);
            }
            head = self.highest_version(location).await?;
            if location.commit_versions(head).nth(1).is_none() {
                return Ok(None);
            }
        }
    }

    async fn highest_version(&self, location: Location) -> Result<Version, StoreError> {
        let prefix = keys::tag_prefix(location.address());
        let range = (prefix.as_str(), &*format!("{prefix}{AFTER_ALL}"));
        let last = self.between(&keys::place(location.address().place), range, Direction::Backward, Some(1), true).await?;
        let slot = last.first().map(|item| read_text(item, SK)).transpose()?.and_then(keys::read_commit_sk);
        Ok(slot.map_or(Version::EMPTY, |slot| slot.first.plus(Commit::MAX_EVENTS)))
    }

    /// The event that a client gave this id.
    async fn claimed(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<Option<ObservedEvent>, StoreError> {
        let key = ClaimKey { organization: organization.cloned(), subject: ClaimSubject::Event(id) };
        let mut claim = self.claim(&key).await?;
        if claim.is_none() && organization.is_none() {
            // An organization's own id, asked for by somebody who is bound to none.
            let who = keys::claim_who(id);
            let range = IndexRange { index: keys::WHO_INDEX, attribute: keys::WHO, value: &who, from: None, to: None };
            if let Some(row) = self
                .index_items(&range, 1)
                .await?
                .into_iter()
                .min_by_key(|row| read_text(row, ORDER).map(str::to_owned).unwrap_or_default())
            {
                let (pk, sk) = table_key(&row)?;
                claim = self.get(pk, sk).await?.as_ref().map(items::read_claim).transpose()?;
            }
        }
        let Some(slot) = claim.and_then(|claim| claim.slots.into_iter().next()) else { return Ok(None) };
        let Some(commit) = self.commit_at(&slot).await? else { return Ok(None) };
        let Some((index, event)) = commit.to_events().into_iter().enumerate().find(|(_, event)| event.id == id) else { return Ok(None) };
        let outcome = self.outcome(commit.id()).await?;
        Ok(Some(ObservedEvent { event, outcome: outcome_at(outcome.as_ref(), index) }))
    }

    /// The events with what became of them. `concluded` says whether any event has an outcome.
    async fn observe(&self, events: Vec<Event>, concluded: bool) -> Result<Vec<ObservedEvent>, StoreError> {
        let mut outcomes: HashMap<EventId, Outcome> = HashMap::new();
        if concluded {
            let commits: BTreeSet<EventId> = events.iter().map(|event| event.commit).collect();
            let wanted = commits.into_iter().map(|commit| (keys::outcome_pk(commit), keys::OUTCOME_SK.to_owned())).collect();
            for item in self.batch_get(wanted).await? {
                let outcome = items::read_outcome(&item)?;
                outcomes.insert(outcome.commit, outcome);
            }
        }
        let observe = |event: Event| {
            let index = event.place.location().map_or(0, |location| location.index);
            ObservedEvent { outcome: outcome_at(outcomes.get(&event.commit), index), event }
        };
        Ok(events.into_iter().map(observe).collect())
    }
}

fn outcome_at(outcome: Option<&Outcome>, index: usize) -> EventOutcome {
    outcome.and_then(|outcome| outcome.events.get(index)).cloned().unwrap_or(EventOutcome::PENDING)
}

// ---- streams -----------------------------------------------------------------------------------

impl DynamoEvents {
    /// The commits that hold versions `from` to `to` of the streams at an address, in their order,
    /// until `limit` events are there.
    async fn commits_between(
        &self,
        address: crate::domain::stream_id::StreamAddress,
        request: &StreamRequest,
    ) -> Result<Vec<Commit>, StoreError> {
        // The commit that holds the first version may start up to a whole commit earlier.
        let from = Version::new(request.from.get().saturating_sub(Commit::MAX_EVENTS as u64 - 1).max(1));
        let low = keys::version_prefix(address, from);
        let high = format!("{}{AFTER_ALL}", keys::version_prefix(address, request.to.min(Version::MAX)));
        let mut commits: Vec<Commit> = Vec::new();
        let (mut events, mut start) = (0, None);
        loop {
            let few = i32::try_from(request.limit.saturating_add(Commit::MAX_EVENTS)).ok().filter(|limit| *limit < 1000);
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :low AND :high")
                .expression_attribute_values(":pk", text(keys::place(address.place)))
                .expression_attribute_values(":low", text(&low))
                .expression_attribute_values(":high", text(&high))
                .consistent_read(true)
                .set_limit(few)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(store_error)?;
            for item in page.items() {
                if items::is_of_stream(item, &request.stream) {
                    let commit = items::read_commit(item)?;
                    events += commit.events.len();
                    commits.push(commit);
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() || events >= request.limit.saturating_add(Commit::MAX_EVENTS) {
                return Ok(commits);
            }
        }
    }

    async fn one_stream(&self, stream: &StreamKey, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        let mut commits = self.commits_between(stream.address(), request).await?;
        commits.retain(|commit| commit.stream == *stream);
        self.slice(stream, commits, request).await
    }

    /// What is asked for of a stream, given its commits in that range.
    async fn slice(&self, stream: &StreamKey, commits: Vec<Commit>, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        let last = self.edge(stream, Direction::Backward).await?;
        let first = match commits.first().filter(|commit| commit.first == Version::EMPTY.next()) {
            Some(first) => Some(first.clone()),
            None => self.edge(stream, Direction::Forward).await?,
        };
        let mut events: Vec<Event> = commits.iter().flat_map(Commit::to_events).collect();
        events.retain(|event| (request.from..=request.to).contains(&event.stream_version));
        events.truncate(request.limit);
        Ok(StreamSlice {
            events: self.observe_all(events).await?,
            version: last.as_ref().map_or(Version::EMPTY, Commit::last),
            created_at: first.map(|commit| commit.recorded_at),
            updated_at: last.map(|commit| commit.recorded_at),
        })
    }

    /// The first or the last commit of a stream.
    async fn edge(&self, stream: &StreamKey, direction: Direction) -> Result<Option<Commit>, StoreError> {
        let prefix = keys::tag_prefix(stream.address());
        let (pk, high) = (keys::stream_pk(stream), format!("{prefix}{AFTER_ALL}"));
        let of_stream = |found: Vec<Item>| {
            let slot = |item: &Item| read_text(item, SK).ok().and_then(keys::read_commit_sk);
            found
                .into_iter()
                .find(|item| slot(item).is_some_and(|slot| slot.stream == *stream))
                .map(|item| items::read_commit(&item))
                .transpose()
        };
        let nearest = self.between(&pk, (&prefix, &high), direction, Some(1), true).await?;
        let alone = nearest.is_empty();
        match of_stream(nearest)? {
            Some(commit) => Ok(Some(commit)),
            None if alone => Ok(None),
            // Another stream has the same address.
            None => of_stream(self.between(&pk, (&prefix, &high), direction, None, true).await?),
        }
    }

    /// The streams of this name of all organizations, as one.
    async fn any_stream(&self, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        let pk = keys::place(place_of(&request.stream));
        let (low, high) = ("0", String::from(AFTER_ALL));
        let (first, last) = try_join(
            self.between(&pk, (low, &high), Direction::Forward, Some(1), true),
            self.between(&pk, (low, &high), Direction::Backward, Some(1), true),
        )
        .await?;
        let slot = |items: &[Item]| items.first().and_then(|item| read_text(item, SK).ok()).and_then(keys::read_commit_sk);
        let (Some(first), Some(last)) = (slot(&first), slot(&last)) else {
            return Ok(StreamSlice { events: Vec::new(), version: Version::EMPTY, created_at: None, updated_at: None });
        };
        if first.stream == last.stream && first.stream.stream == request.stream {
            // One organization's only, as nearly always.
            let commits = self.commits_between(first.stream.address(), request).await?;
            if commits.iter().all(|commit| commit.stream == first.stream) {
                return self.slice(&first.stream, commits, request).await;
            }
        }
        let all = self.between(&pk, (low, &high), Direction::Forward, None, true).await?;
        let commits =
            all.iter().filter(|item| items::is_of_stream(item, &request.stream)).map(items::read_commit).collect::<Result<Vec<_>, _>>()?;
        self.merged(commits, request).await
    }

    async fn merged(&self, commits: Vec<Commit>, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        let mut events: Vec<Event> = commits.iter().flat_map(Commit::to_events).collect();
        events.sort_by(|one, other| {
            let key = |event: &Event| (event.recorded_at, event.stream.clone(), event.stream_version);
            let alone = one.stream == other.stream;
            if alone { one.stream_version.cmp(&other.stream_version) } else { key(one).cmp(&key(other)) }
        });
        let version = Version::new(events.len() as u64);
        let (created_at, updated_at) = (events.first().map(|event| event.recorded_at), events.last().map(|event| event.recorded_at));
        events.retain(|event| (request.from..=request.to).contains(&event.stream_version));
        events.truncate(request.limit);
        Ok(StreamSlice { events: self.observe_all(events).await?, version, created_at, updated_at })
    }

    /// The events with what became of them, unless nothing has been concluded at all.
    async fn observe_all(&self, events: Vec<Event>) -> Result<Vec<ObservedEvent>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let (total, _) = self.tally(&CounterKey { scope: CounterScope::All, period: Period::Total }).await?;
        self.observe(events, total.statuses.values().any(|count| *count > 0)).await
    }
}

// ---- queries -----------------------------------------------------------------------------------

impl DynamoEvents {
    /// All commits of the filter's user, or else session, and whether these are all there are.
    async fn of_entity(&self, filter: &EventFilter) -> Result<(Vec<Commit>, bool), StoreError> {
        let (entity, index, attribute, value) = match (&filter.user, &filter.session) {
            (Some(user), _) => (StreamId::new("user", user.as_str()), keys::WHO_INDEX, keys::WHO, keys::user_who(user)),
            (None, Some(session)) => {
                (StreamId::new("session", session.as_str()), keys::SESSION_INDEX, keys::SESSION, keys::session_key(session))
            }
            (None, None) => return Ok((Vec::new(), true)),
        };
        let own = async {
            let Ok(stream) = entity else { return Ok(Vec::new()) };
            let prefix = filter.organization.as_ref().map_or(String::new(), |organization| {
                keys::tag_prefix(StreamKey { organization: Some(organization.clone()), stream: stream.clone() }.address())
            });
            let low = if prefix.is_empty() { "0".to_owned() } else { prefix.clone() };
            let found = self
                .between(&keys::place(place_of(&stream)), (&low, &format!("{prefix}{AFTER_ALL}")), Direction::Forward, None, true)
                .await?;
            found
                .iter()
                .filter(|item| items::is_of_stream(item, &stream))
                .map(items::read_commit)
                .collect::<Result<Vec<Commit>, StoreError>>()
        };
        let others = async {
            let range = IndexRange { index, attribute, value: &value, from: filter.from, to: filter.to };
            let rows = self.index_items(&range, MOST_COMMITS).await?;
            let complete = rows.len() <= MOST_COMMITS;
            let found = self.batch_get(rows.iter().map(table_key).collect::<Result<_, _>>()?).await?;
            Ok((found.iter().map(items::read_commit).collect::<Result<Vec<Commit>, _>>()?, complete))
        };
        let (mut commits, (others, complete)) = try_join(own, others).await?;
        commits.extend(others);
        Ok((commits, complete))
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
        let found = by_key(self.batch_get(wanted).await?)?;
        Ok((found.values().map(items::read_commit).collect::<Result<_, _>>()?, complete))
    }

    /// The counters of the days from `first` to `last`, newest first.
    async fn days(&self, scope: &CounterScope, first: Day, last: Day) -> Result<Vec<(Day, Tally)>, StoreError> {
        if first > last {
            return Ok(Vec::new());
        }
        let range = (&*keys::counter_sk(Period::Day(first)), &*keys::counter_sk(Period::Day(last)));
        read_days(&self.between(&keys::counter_pk(scope), range, Direction::Backward, None, false).await?)
    }

    /// The counters of the hours from `first` to `last`, newest first.
    async fn hours(&self, scope: &CounterScope, first: Hour, last: Hour) -> Result<Vec<(Hour, Tally)>, StoreError> {
        if first > last {
            return Ok(Vec::new());
        }
        let range = (&*keys::counter_sk(Period::Hour(first)), &*keys::counter_sk(Period::Hour(last)));
        let found = self.between(&keys::counter_pk(scope), range, Direction::Backward, None, false).await?;
        let hour = |item: &Item| {
            let sk = read_text(item, SK)?;
            let hour = sk.strip_prefix("H#").and_then(Hour::from_digits).ok_or_else(|| StoreError::Corrupt(format!("counter {sk}")))?;
            Ok((hour, items::read_tally(item)?))
        };
        found.iter().map(hour).collect()
    }
}

fn read_days(found: &[Item]) -> Result<Vec<(Day, Tally)>, StoreError> {
    let day = |item: &Item| {
        let sk = read_text(item, SK)?;
        let day = sk.strip_prefix("D#").and_then(Day::from_digits).ok_or_else(|| StoreError::Corrupt(format!("counter {sk}")))?;
        Ok((day, items::read_tally(item)?))
    };
    found.iter().map(day).collect()
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
    async fn count(&self, filter: &EventFilter, scope: &CounterScope, total: &Tally) -> Result<Option<Counted>, StoreError> {
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
        concluded: bool,
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
        let mut events = Vec::new();
        let mut more = false;
        while let Some((lists, range)) = walk.next_day().await? {
            let mut scan = Scan::new(self, filter, lists, range, below);
            loop {
                let wanted = skip + (size - events.len()) as u64 + 1;
                match scan.next(wanted, u64::MAX).await? {
                    Step::End | Step::Bound(_) => break,
                    Step::Event(_) if skip > 0 => skip -= 1,
                    Step::Event(event) if events.len() < size => events.push(*event),
                    Step::Event(_) => {
                        more = true;
                        break;
                    }
                }
            }
            if more {
                break;
            }
        }
        let next = events.last().filter(|_| more).map(Event::position);
        let shown = match query.start {
            PageStart::Offset(offset) if !events.is_empty() => offset + events.len() as u64 + u64::from(more),
            PageStart::Offset(_) | PageStart::Below(_) => events.len() as u64 + u64::from(more),
        };
        Ok(EventPage { events: self.observe(events, concluded).await?, total: Total::Exactly(counted.total.max(shown)), next })
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
        concluded: bool,
    ) -> Result<EventPage, StoreError> {
        let size = query.size.get();
        let (mut skip, below) = match query.start {
            PageStart::Offset(offset) => (offset, None),
            PageStart::Below(position) => (0, Some(position)),
        };
        let mut walk = Walk::new(self, filter, scope, now);
        let mut events: Vec<ObservedEvent> = Vec::new();
        let (mut found, mut examined, mut more, mut bound) = (0_u64, 0_u64, false, None);
        'days: while let Some((lists, range)) = walk.next_day().await? {
            let mut scan = Scan::new(self, filter, lists, range, None);
            loop {
                let mut chunk = Vec::new();
                let mut end = false;
                while chunk.len() < EVENTS_A_STEP {
                    match scan.next(EVENTS_A_STEP as u64, MOST_EXAMINED.saturating_sub(examined)).await? {
                        Step::Event(event) => chunk.push(*event),
                        Step::End => {
                            end = true;
                            break;
                        }
                        Step::Bound(position) => {
                            bound = Some(position);
                            break;
                        }
                    }
                }
                for event in self.observe(chunk, concluded).await? {
                    if !filter.matches_status(event.outcome.status) {
                        continue;
                    }
                    found += 1;
                    if below.is_some_and(|below| event.event.position() >= below) {
                        continue;
                    }
                    if skip > 0 {
                        skip -= 1;
                    } else if events.len() < size {
                        events.push(event);
                    } else {
                        more = true;
                    }
                }
                if bound.is_some() {
                    break 'days;
                }
                if end {
                    break;
                }
            }
            examined += scan.examined;
        }
        let next = match (more, bound) {
            (true, _) => events.last().map(|event| event.event.position()),
            (false, bound) => bound,
        };
        Ok(EventPage { events, total: if bound.is_some() { Total::AtLeast(found) } else { Total::Exactly(found) }, next })
    }
}

/// The days that hold anything, newest first, with their counters, read as they are needed.
struct CounterDays<'a> {
    store: &'a DynamoEvents,
    scope: &'a CounterScope,
    first: Day,
    next: Option<Day>,
    ready: std::collections::VecDeque<(Day, Tally)>,
}

impl<'a> CounterDays<'a> {
    fn new(store: &'a DynamoEvents, scope: &'a CounterScope, first: Day, last: Day) -> Self {
        Self { store, scope, first, next: (first <= last).then_some(last), ready: std::collections::VecDeque::new() }
    }

    async fn next(&mut self) -> Result<Option<(Day, Tally)>, StoreError> {
        if self.ready.is_empty()
            && let Some(last) = self.next
        {
            let range = (&*keys::counter_sk(Period::Day(self.first)), &*keys::counter_sk(Period::Day(last)));
            let found = self.store.between(&keys::counter_pk(self.scope), range, Direction::Backward, Some(DAYS_A_CALL), false).await?;
            self.ready = read_days(&found)?.into();
            let asked = usize::try_from(DAYS_A_CALL).unwrap_or_default();
            self.next = self.ready.back().filter(|_| found.len() == asked).map(|(day, _)| day.previous()).filter(|day| *day >= self.first);
        }
        Ok(self.ready.pop_front())
    }
}

/// The lists to read for a query, a day at a time, newest first: those that counters name, and all
/// that may hold events that came too lately to be counted.
struct Walk<'a> {
    store: &'a DynamoEvents,
    filter: &'a EventFilter,
    days: CounterDays<'a>,
    waiting: Option<(Day, Tally)>,
    uncounted: Vec<Day>,
    from: Timestamp,
    upper: Timestamp,
}

impl<'a> Walk<'a> {
    fn new(store: &'a DynamoEvents, filter: &'a EventFilter, scope: &'a CounterScope, now: Timestamp) -> Self {
        let from = filter.from.unwrap_or(Timestamp::MIN);
        let upper = filter.to.unwrap_or(Timestamp::MAX);
        let recent: BTreeSet<Day> = [now.plus_micros(-UNCOUNTED_MICROS).hour().day(), now.hour().day()].into();
        let uncounted = recent.into_iter().filter(|day| (from.hour().day()..=upper.hour().day()).contains(day)).collect();
        Self {
            store,
            filter,
            days: CounterDays::new(store, scope, from.hour().day(), upper.hour().day()),
            waiting: None,
            uncounted,
            from,
            upper,
        }
    }

    /// Leaves out what lies after this moment.
    fn start_at(&mut self, upper: Timestamp) {
        self.upper = self.upper.min(upper);
        let day = self.upper.hour().day();
        self.uncounted.retain(|uncounted| *uncounted <= day);
        self.days.next = self.days.next.map(|next| next.min(day)).filter(|next| *next >= self.days.first);
    }

    async fn next_day(&mut self) -> Result<Option<(Vec<IndexList>, (Timestamp, Timestamp))>, StoreError> {
        if self.from > self.upper {
            return Ok(None);
        }
        loop {
            if self.waiting.is_none() {
                self.waiting = self.days.next().await?;
            }
            let counted = self.waiting.as_ref().map(|(day, _)| *day);
            let Some(day) = counted.max(self.uncounted.last().copied()) else { return Ok(None) };
            let mut lists: BTreeSet<IndexList> = BTreeSet::new();
            if counted == Some(day)
                && let Some((_, tally)) = self.waiting.take()
                && tally.count(self.filter) != Some(0)
            {
                lists.extend(tally.lists.into_iter().filter(|list| keys::list_may_hold(list, self.filter.category)));
            }
            if self.uncounted.last() == Some(&day) {
                self.uncounted.pop();
                lists.extend(keys::all_lists(self.filter.category, day, self.store.time_shards.0));
            }
            if !lists.is_empty() {
                let range = (self.from.max(day.first_hour().start()), self.upper.min(day.last_hour().end()));
                return Ok(Some((lists.into_iter().collect(), range)));
            }
        }
    }
}
