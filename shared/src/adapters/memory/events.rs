//! Commits, claims and outcomes in memory, and every query answered by looking at all events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::domain::archive::{ArchiveProgress, ArchivedCommit, UnarchivedCommit};
use crate::domain::claim::{Claim, ClaimKey, Fence, Slot};
use crate::domain::commit::{Commit, Storage};
use crate::domain::definitions::Definitions;
use crate::domain::event::Event;
use crate::domain::event_id::EventId;
use crate::domain::event_schema::EventSchemas;
use crate::domain::identifiers::{EventType, OrganizationId, ProjectionDefinitionId, SessionId, SubscriptionId, UserId};
use crate::domain::message::{LedgerNote, LedgerPage, Mark};
use crate::domain::outcome::Outcome;
use crate::domain::processor::Processor;
use crate::domain::projection::ProjectionDefinition;
use crate::domain::query::{Anonymous, EventFilter, EventPage, EventQuery, ObservedEvent, PageStart, Total, before_known, visits_of};
use crate::domain::replay::CommitPlace;
use crate::domain::statistics::{Statistics, StatisticsScope};
use crate::domain::stream_id::{StreamId, StreamKey};
use crate::domain::subscription::Subscription;
use crate::domain::timestamp::{Hour, Timestamp};
use crate::domain::version::Version;
use crate::ports::archive_store::{ArchiveStore, UnarchivedPage};
use crate::ports::commit_log::{CommitLog, Put, PutNoting, TogetherWith};
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::event_reader::{EventReader, StreamRequest, StreamSlice};
use crate::ports::outcome_log::{ConcludedCommit, OutcomeLog};
use crate::ports::projection_store::ProjectionDefinitionStore;
use crate::ports::revision::Revision;
use crate::ports::schema_store::SchemaStore;
use crate::ports::store_error::StoreError;
use crate::ports::stream_reader::{CommitRun, StreamReader};
use crate::ports::timeline::{Timeline, TimelinePage};

/// Events in memory.
#[derive(Debug, Default)]
pub struct MemoryEvents(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    commits: BTreeMap<(StreamKey, Version), Commit>,
    claims: BTreeMap<ClaimKey, Claim>,
    ledger: BTreeMap<LedgerPage, BTreeMap<Mark, EventId>>,
    definitions: Arc<Definitions>,
    outcomes: BTreeMap<EventId, (Outcome, Revision)>,
    archiving: (ArchiveProgress, Revision),
}

impl State {
    /// The commits that stand where these are to go.
    fn taken(&self, commits: &[Commit]) -> Vec<Commit> {
        commits.iter().filter_map(|commit| self.commits.get(&(commit.stream.clone(), commit.first)).cloned()).collect()
    }

    fn store(&mut self, commits: &[Commit]) {
        self.commits.extend(commits.iter().map(|commit| ((commit.stream.clone(), commit.first), commit.clone())));
    }

    fn events(&self) -> impl Iterator<Item = ObservedEvent> {
        self.commits.values().flat_map(|commit| self.observe(commit))
    }

    fn observe(&self, commit: &Commit) -> Vec<ObservedEvent> {
        let outcome = self.outcomes.get(&commit.id());
        let outcome = outcome.map(|(outcome, _)| outcome);
        commit.to_events().into_iter().map(|event| self.definitions.observe(event, outcome)).collect()
    }
}

impl MemoryEvents {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the definitions what `change` makes of them, if they are still those that were seen.
    fn redefine(&self, seen: Revision, change: impl FnOnce(&Definitions) -> Definitions) -> bool {
        let mut state = self.state();
        let unchanged = state.definitions.revision == seen.0;
        if unchanged {
            state.definitions = Arc::new(change(&state.definitions));
        }
        unchanged
    }

    /// What happened in a user's visits before it was known.
    fn before_known(&self, user: &UserId, organization: Option<&OrganizationId>) -> Vec<Event> {
        let all: Vec<Event> = self.state().events().map(|observed| observed.event).collect();
        let is_theirs = |event: &&Event| organization.is_none() || event.organization() == organization;
        let known: Vec<Event> = all.iter().filter(is_theirs).filter(|event| event.details.user.as_ref() == Some(user)).cloned().collect();
        let of_visit = |(organization, session): (Option<OrganizationId>, SessionId)| {
            let in_visit =
                |event: &&Event| event.organization() == organization.as_ref() && event.details.session.as_ref() == Some(&session);
            before_known(user, all.iter().filter(in_visit).cloned().collect())
        };
        visits_of(&known).into_iter().flat_map(of_visit).collect()
    }

    /// All commits, by stream and version.
    #[must_use]
    pub fn commits(&self) -> Vec<Commit> {
        self.state().commits.values().cloned().collect()
    }
}

#[async_trait]
impl CommitLog for MemoryEvents {
    async fn head(&self, stream: &StreamKey) -> Result<Version, StoreError> {
        let state = self.state();
        let last = state.commits.range((stream.clone(), Version::EMPTY)..=(stream.clone(), Version::MAX)).next_back();
        Ok(last.map_or(Version::EMPTY, |(_, commit)| commit.last()))
    }

    async fn commit_at(&self, slot: &Slot) -> Result<Option<Commit>, StoreError> {
        Ok(self.state().commits.get(&(slot.stream.clone(), slot.first)).cloned())
    }

    async fn commit_holding(&self, stream: &StreamKey, version: Version) -> Result<Option<Commit>, StoreError> {
        let state = self.state();
        let last = state.commits.range((stream.clone(), Version::EMPTY)..=(stream.clone(), version)).next_back();
        Ok(last.map(|(_, commit)| commit.clone()).filter(|commit| version >= commit.first && version <= commit.last()))
    }

    async fn is_placed(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<bool, StoreError> {
        Ok(self.state().events().any(|event| event.event.place == id && event.event.organization() == organization))
    }

    async fn put(&self, commits: &[Commit]) -> Result<Put, StoreError> {
        let mut state = self.state();
        let taken = state.taken(commits);
        if !taken.is_empty() {
            return Ok(Put::Taken(taken));
        }
        state.store(commits);
        Ok(Put::Stored)
    }

    async fn put_noting(&self, commits: &[Commit], together: &TogetherWith) -> Result<PutNoting, StoreError> {
        let mut state = self.state();
        let taken = state.taken(commits);
        if !taken.is_empty() {
            return Ok(PutNoting::Taken(taken));
        }
        let mut by_page: BTreeMap<&LedgerPage, Vec<&LedgerNote>> = BTreeMap::new();
        for note in &together.notes {
            by_page.entry(&note.page).or_default().push(note);
        }
        let (mut known, mut full) = (Vec::new(), Vec::new());
        for (page, notes) in by_page {
            let Some(noted) = state.ledger.get(page) else { continue };
            let before = known.len();
            known.extend(notes.iter().filter_map(|note| Some(LedgerNote { event: *noted.get(&note.mark)?, ..LedgerNote::clone(note) })));
            if known.len() == before && noted.len() >= LedgerPage::FULL as usize {
                full.push(page.clone());
            }
        }
        if !known.is_empty() || !full.is_empty() {
            return Ok(PutNoting::Noted { known, full });
        }
        state.store(commits);
        for note in &together.notes {
            state.ledger.entry(note.page.clone()).or_default().insert(note.mark, note.event);
        }
        state.claims.extend(together.claims.iter().cloned());
        Ok(PutNoting::Stored)
    }

    async fn claim(&self, key: &ClaimKey) -> Result<Option<Claim>, StoreError> {
        Ok(self.state().claims.get(key).cloned())
    }

    async fn put_claim(&self, key: &ClaimKey, claim: &Claim) -> Result<Option<Claim>, StoreError> {
        let mut state = self.state();
        let standing = state.claims.get(key).cloned();
        if standing.is_none() {
            state.claims.insert(key.clone(), claim.clone());
        }
        Ok(standing)
    }

    async fn move_claim(&self, key: &ClaimKey, from: Fence, claim: &Claim) -> Result<bool, StoreError> {
        let mut state = self.state();
        let held = state.claims.get(key).is_some_and(|standing| standing.fence == from);
        if held {
            state.claims.insert(key.clone(), claim.clone());
        }
        Ok(held)
    }
}

#[async_trait]
impl OutcomeLog for MemoryEvents {
    async fn outcome(&self, commit: EventId) -> Result<(Option<Outcome>, Revision), StoreError> {
        let found = self.state().outcomes.get(&commit).cloned();
        Ok(found.map_or((None, Revision(0)), |(outcome, revision)| (Some(outcome), revision)))
    }

    async fn save_outcome(&self, _of: &ConcludedCommit, outcome: &Outcome, seen: Revision) -> Result<bool, StoreError> {
        let mut state = self.state();
        let unchanged = state.outcomes.get(&outcome.commit).map_or(Revision(0), |(_, revision)| *revision) == seen;
        if unchanged {
            state.outcomes.insert(outcome.commit, (outcome.clone(), Revision(seen.0 + 1)));
        }
        Ok(unchanged)
    }
}

/// With the events, because what is known of an event depends on the processors that it is given to.
#[async_trait]
impl DefinitionStore for MemoryEvents {
    async fn definitions(&self, _freshness: Freshness) -> Result<Arc<Definitions>, StoreError> {
        Ok(Arc::clone(&self.state().definitions))
    }

    async fn save_processor(&self, processor: &Processor, seen: Revision) -> Result<bool, StoreError> {
        Ok(self.redefine(seen, |definitions| definitions.with_processor(processor.clone())))
    }

    async fn save_subscription(&self, subscription: &Subscription, seen: Revision) -> Result<bool, StoreError> {
        Ok(self.redefine(seen, |definitions| definitions.with_subscription(subscription.clone())))
    }

    async fn remove_subscription(&self, id: &SubscriptionId, seen: Revision) -> Result<bool, StoreError> {
        Ok(self.redefine(seen, |definitions| definitions.without_subscription(id)))
    }
}

#[async_trait]
impl ProjectionDefinitionStore for MemoryEvents {
    async fn save_projection(&self, projection: &ProjectionDefinition, seen: Revision) -> Result<bool, StoreError> {
        Ok(self.redefine(seen, |definitions| definitions.with_projection(projection.clone())))
    }

    async fn remove_projection(&self, id: &ProjectionDefinitionId, seen: Revision) -> Result<bool, StoreError> {
        Ok(self.redefine(seen, |definitions| definitions.without_projection(id)))
    }
}

#[async_trait]
impl SchemaStore for MemoryEvents {
    async fn save_schemas(&self, schemas: &EventSchemas, seen: Revision) -> Result<bool, StoreError> {
        Ok(self.redefine(seen, |definitions| definitions.with_schemas(schemas.clone())))
    }

    async fn remove_schemas(
        &self,
        organization: Option<&OrganizationId>,
        event_type: &EventType,
        seen: Revision,
    ) -> Result<bool, StoreError> {
        Ok(self.redefine(seen, |definitions| definitions.without_schemas(organization, event_type)))
    }
}

#[async_trait]
impl StreamReader for MemoryEvents {
    async fn commits_after(&self, stream: &StreamKey, after: Version, events: usize) -> Result<CommitRun, StoreError> {
        let state = self.state();
        let rest = state.commits.range((stream.clone(), after.next())..=(stream.clone(), Version::MAX));
        let (mut commits, mut found) = (Vec::new(), 0);
        for (_, commit) in rest {
            if found >= events {
                return Ok(CommitRun { commits, to_the_end: false });
            }
            found += commit.events.len();
            commits.push(commit.clone());
        }
        Ok(CommitRun { commits, to_the_end: true })
    }

    async fn streams_named(&self, name: &StreamId, most: usize) -> Result<Vec<StreamKey>, StoreError> {
        let state = self.state();
        let named: BTreeSet<&StreamKey> = state.commits.keys().map(|(stream, _)| stream).filter(|stream| stream.stream == *name).collect();
        Ok(named.into_iter().take(most).cloned().collect())
    }
}

/// The events stay in memory: what changes is where they say that they are.
#[async_trait]
impl ArchiveStore for MemoryEvents {
    async fn hours_to_archive(&self, after: Option<Hour>, before: Hour, most: usize) -> Result<Vec<Hour>, StoreError> {
        let state = self.state();
        let unarchived = state.commits.values().filter(|commit| commit.storage == Storage::Table);
        let hours: BTreeSet<Hour> = unarchived.map(|commit| commit.last_occurred_at().hour()).collect();
        Ok(hours.into_iter().filter(|hour| after.is_none_or(|after| after < *hour) && *hour < before).take(most).collect())
    }

    async fn commits_to_archive(&self, hour: Hour, after: Option<CommitPlace>, most: usize) -> Result<UnarchivedPage, StoreError> {
        let state = self.state();
        let is_wanted = |commit: &&Commit| {
            commit.storage == Storage::Table
                && commit.last_occurred_at().hour() == hour
                && after.is_none_or(|after| after < commit.place_in_time())
        };
        let mut commits: Vec<&Commit> = state.commits.values().filter(is_wanted).collect();
        commits.sort_by_key(|commit| commit.place_in_time());
        let next = commits.get(most.saturating_sub(1)).filter(|_| commits.len() > most).map(|commit| commit.place_in_time());
        commits.truncate(most);
        let observed = |commit: &Commit| UnarchivedCommit { commit: commit.clone(), events: state.observe(commit) };
        Ok(UnarchivedPage { commits: commits.into_iter().map(observed).collect(), next })
    }

    async fn mark_archived(&self, commits: &[ArchivedCommit]) -> Result<usize, StoreError> {
        let mut state = self.state();
        let mut marked = 0;
        for archived in commits {
            let key = (archived.slot.stream.clone(), archived.slot.first);
            if let Some(commit) = state.commits.get_mut(&key).filter(|commit| commit.storage == Storage::Table) {
                commit.storage = Storage::Archive;
                marked += 1;
            }
        }
        Ok(marked)
    }

    async fn archive_progress(&self) -> Result<(ArchiveProgress, Revision), StoreError> {
        Ok(self.state().archiving)
    }

    async fn save_archive_progress(&self, progress: &ArchiveProgress, seen: Revision) -> Result<bool, StoreError> {
        let mut state = self.state();
        let unchanged = state.archiving.1 == seen;
        if unchanged {
            state.archiving = (*progress, Revision(seen.0 + 1));
        }
        Ok(unchanged)
    }
}

#[async_trait]
impl Timeline for MemoryEvents {
    async fn commits_since(
        &self,
        filter: &EventFilter,
        after: Option<CommitPlace>,
        most: usize,
        _now: Timestamp,
    ) -> Result<TimelinePage, StoreError> {
        let mut commits = self.commits();
        commits.retain(|commit| {
            after.is_none_or(|after| commit.place_in_time() > after) && commit.to_events().iter().any(|event| filter.matches(event))
        });
        commits.sort_by_key(Commit::place_in_time);
        let has_more = commits.len() > most;
        commits.truncate(most);
        let next = commits.last().filter(|_| has_more).map(Commit::place_in_time);
        Ok(TimelinePage { commits, next })
    }
}

#[async_trait]
impl EventReader for MemoryEvents {
    async fn event(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<Option<ObservedEvent>, StoreError> {
        let visible =
            |event: &ObservedEvent| event.event.id == id && (organization.is_none() || event.event.organization() == organization);
        Ok(self.state().events().filter(visible).min_by_key(|event| event.event.place))
    }

    async fn stream(&self, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        let state = self.state();
        let visible = |event: &ObservedEvent| {
            event.event.stream.stream == request.stream
                && (request.organization.is_none() || event.event.organization() == request.organization.as_ref())
        };
        let mut events: Vec<ObservedEvent> = state.events().filter(visible).collect();
        let several = events.iter().any(|event| event.event.stream != events[0].event.stream);
        if several {
            events.sort_by(|one, other| {
                let key = |event: &ObservedEvent| (event.event.recorded_at, event.event.stream.clone(), event.event.stream_version);
                key(one).cmp(&key(other))
            });
        }
        let recorded = |event: Option<&ObservedEvent>| event.map(|event| event.event.recorded_at);
        let (created_at, updated_at) = (recorded(events.first()), recorded(events.last()));
        let version = Version::new(events.len() as u64);
        events.retain(|event| (request.from..=request.to).contains(&event.event.stream_version));
        events.truncate(request.limit);
        Ok(StreamSlice { events, version, created_at, updated_at })
    }

    async fn query(&self, query: &EventQuery, _now: Timestamp) -> Result<EventPage, StoreError> {
        let matches = |event: &ObservedEvent| query.filter.matches(&event.event) && query.filter.matches_status(event.outcome.status);
        let mut events: Vec<ObservedEvent> = self.state().events().filter(matches).collect();
        if let (Some(user), Anonymous::Included) = (&query.filter.user, query.filter.anonymous) {
            let before = self.before_known(user, query.filter.organization.as_ref());
            let rest = query.filter.of_visits();
            let wanted = |event: &ObservedEvent| {
                before.contains(&event.event) && rest.matches(&event.event) && rest.matches_status(event.outcome.status)
            };
            events.extend(self.state().events().filter(wanted));
        }
        events.sort_by_key(|event| std::cmp::Reverse(event.event.position()));
        let total = events.len() as u64;
        let skip = match query.start {
            PageStart::Offset(offset) => usize::try_from(offset).unwrap_or(usize::MAX).min(events.len()),
            PageStart::Below(position) => events.partition_point(|event| event.event.position() >= position),
        };
        let rest = events.split_off(skip);
        let has_more = rest.len() > query.size.get();
        let events: Vec<ObservedEvent> = rest.into_iter().take(query.size.get()).collect();
        let next = events.last().filter(|_| has_more).map(|event| event.event.position());
        Ok(EventPage { events, total: Total::Exactly(total), next })
    }

    async fn statistics(&self, scope: &StatisticsScope, now: Timestamp) -> Result<Statistics, StoreError> {
        let wanted = |event: &ObservedEvent| {
            (scope.organization.is_none() || scope.organization.as_ref() == event.event.organization())
                && (scope.user.is_none() || scope.user.as_ref() == event.event.details.user.as_ref())
        };
        let events: Vec<ObservedEvent> = self.state().events().filter(wanted).collect();
        Ok(Statistics::from_events(&events, now))
    }
}
