//! Reads the state of an entity, now or as it was: folded from the newest snapshot and the commits after it.
//!
//! A read folds so many events at most. What is longer is folded by several reads, each going on from the snapshot of the one
//! before; while new rules have not come to the end of a stream so, the rules before them answer.

use std::sync::Arc;

use crate::domain::access::{Caller, ForeignOrganization};
use crate::domain::definitions::Definitions;
use crate::domain::event::Event;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{EventType, OrganizationId, ProjectionName};
use crate::domain::projection::{Effect, Projection, ReadSince, Rules, RulesKey, SnapshotKey};
use crate::domain::stream_id::{StreamId, StreamKey};
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::projection_store::{Kept, ProjectionStore};
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;
use crate::ports::stream_reader::StreamReader;

/// What reading projections needs.
#[derive(Clone, Copy)]
pub struct ReadProjectionPorts<'a> {
    /// Where the events are.
    pub streams: &'a dyn StreamReader,
    /// Where snapshots are kept.
    pub snapshots: &'a dyn ProjectionStore,
    /// Knows the rules.
    pub definitions: &'a dyn DefinitionStore,
    /// The most events that one request folds: [`MOST_EVENTS`] but in tests.
    pub most_events: usize,
}

/// Which projection of which entity is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionRequest {
    /// The entity's stream.
    pub stream: StreamId,
    /// Whose; without it, that of no organization, or else of the only one that has such an entity.
    pub organization: Option<OrganizationId>,
    /// What the projection is called; the standard one if it is not said.
    pub name: Option<ProjectionName>,
    /// As of when.
    pub moment: Moment,
    /// Whether the changes that led there are asked for.
    pub history: WithHistory,
}

/// As of when a state is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As it is.
    Now,
    /// After this many events.
    AtVersion(Version),
    /// After the events that were recorded until then: those before the first that was recorded later.
    AtTime(Timestamp),
}

/// Whether the changes of a state are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithHistory {
    /// They are not.
    #[default]
    No,
    /// They are.
    Yes,
}

/// The state of an entity by a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityState {
    /// Whose, and by which rules.
    pub key: SnapshotKey,
    /// The state, and how far it is.
    pub projection: Projection,
    /// The changes that led there, if they were asked for.
    pub history: Option<History>,
}

/// The changes of a state, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The last [`History::MOST`] of them.
    pub changes: Vec<StateChange>,
    /// How many there were before these.
    pub earlier: u64,
}

impl History {
    /// The most changes that are told.
    pub const MOST: usize = 1000;

    fn note(&mut self, event: &Event) {
        self.changes.push(StateChange {
            version: event.stream_version,
            event_id: event.id,
            event_type: event.details.event_type.clone(),
            occurred_at: event.occurred_at,
        });
        // Twice as many are held before the older half goes: so that not every change moves all of them.
        if self.changes.len() >= 2 * Self::MOST {
            self.forget();
        }
    }

    fn forget(&mut self) {
        let beyond = self.changes.len().saturating_sub(Self::MOST);
        self.changes.drain(..beyond);
        self.earlier += beyond as u64;
    }
}

/// An event that changed a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// Its number in the stream.
    pub version: Version,
    /// Its id.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// When it happened.
    pub occurred_at: Timestamp,
}

/// Why no state was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadProjectionError {
    /// The entity has no event, there is no such projection, or the caller may not know of it.
    #[error("Projection not found")]
    NotFound,
    /// The entity has not come so far.
    #[error("the entity has not come so far: it is at version {version}")]
    NotYet {
        /// Where its stream is.
        version: Version,
    },
    /// The entity had no event then.
    #[error("the entity had no event then")]
    NotThen,
    /// Several organizations have an entity of this name.
    #[error("several organizations have this entity: say which by organization_id")]
    Ambiguous,
    /// The entity has too many events to be folded from the first in one request.
    #[error(
        "more than {most} events would have to be folded: the entity can be read as it is now, and not as it was nor by rules that are tried"
    )]
    TooFar {
        /// How many may be.
        most: usize,
    },
    /// The projection is being built, each request a part of it.
    #[error("the projection is being built and has come to version {version}: GET it again, and it goes on from there")]
    Building {
        /// How far it is.
        version: Version,
    },
    /// The caller is bound to one organization and asks for another.
    #[error(transparent)]
    Foreign(#[from] ForeignOrganization),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

type Reading<T> = Result<T, ReadProjectionError>;

/// The most events that one request folds.
pub const MOST_EVENTS: usize = 50_000;
/// About the most bytes of events that one request folds.
const MOST_BYTES: usize = 128 * 1024 * 1024;
/// How many times as much a rebuild folds.
const REBUILD_ROUNDS: usize = 4;
/// How many events are asked for at a time.
const EVENTS_A_READ: usize = 10_000;

/// How a state is made.
#[derive(Debug, Clone, Copy)]
enum How<'a> {
    /// From what was kept, if it is of use.
    FromSnapshot,
    /// From the first event (BR-PRJ-002). What comes of it is kept.
    FromFirstEvent,
    /// From the first event, by rules that are tried.
    By(&'a Rules),
}

/// The state of an entity that the caller may see.
///
/// # Errors
/// [`ReadProjectionError`]; of reads as it is now, what was folded is kept all the same.
pub async fn read_projection(ports: &ReadProjectionPorts<'_>, caller: &Caller, request: &ProjectionRequest) -> Reading<EntityState> {
    locate(ports, caller, request, How::FromSnapshot).await
}

/// Folds an entity's state from its first event, and keeps it (BR-PRJ-002).
///
/// # Errors
/// [`ReadProjectionError`]; what was folded is kept all the same.
pub async fn rebuild_projection(
    ports: &ReadProjectionPorts<'_>,
    caller: &Caller,
    stream: StreamId,
    organization: Option<OrganizationId>,
    name: Option<ProjectionName>,
) -> Reading<EntityState> {
    let request = ProjectionRequest { stream, organization, name, moment: Moment::Now, history: WithHistory::No };
    locate(ports, caller, &request, How::FromFirstEvent).await
}

/// What an entity's state would be by these rules. Nothing is kept.
///
/// # Errors
/// [`ReadProjectionError`]
pub async fn try_rules(
    ports: &ReadProjectionPorts<'_>,
    caller: &Caller,
    request: &ProjectionRequest,
    rules: &Rules,
) -> Reading<EntityState> {
    locate(ports, caller, request, How::By(rules)).await
}

/// Finds whose entity is meant, and reads it.
async fn locate(ports: &ReadProjectionPorts<'_>, caller: &Caller, request: &ProjectionRequest, how: How<'_>) -> Reading<EntityState> {
    let organization = caller.organization_for(request.organization.clone())?;
    let stream = StreamKey { organization, stream: request.stream.clone() };
    if let Some(found) = state_of(ports, &stream, request, how).await? {
        return Ok(found);
    }
    if stream.organization.is_some() {
        return Err(ReadProjectionError::NotFound);
    }
    match ports.streams.streams_named(&stream.stream, 2).await?.as_slice() {
        [] => Err(ReadProjectionError::NotFound),
        [only] => state_of(ports, only, request, how).await?.ok_or(ReadProjectionError::NotFound),
        [_, ..] => Err(ReadProjectionError::Ambiguous),
    }
}

fn name_of(request: &ProjectionRequest) -> ProjectionName {
    request.name.clone().unwrap_or_else(standard_name)
}

/// The name of the projection that every entity has.
#[must_use]
pub fn standard_name() -> ProjectionName {
    RulesKey::STANDARD_NAME.parse().unwrap_or_else(|_| unreachable!("it is a name"))
}

/// The rules that an entity's projection of a name has, newest first, and all that is defined beside them; none if it has no such
/// projection.
async fn rules_of(ports: &ReadProjectionPorts<'_>, stream: &StreamKey, name: &ProjectionName) -> Reading<Option<Known>> {
    // Those that were defined a moment ago are looked for as well.
    for freshness in [Freshness::Recent, Freshness::Current] {
        let definitions = ports.definitions.definitions(freshness).await?;
        let rules: Vec<(RulesKey, Rules)> = if name.as_str() == RulesKey::STANDARD_NAME {
            vec![(RulesKey::standard(), Rules::standard())]
        } else if let Some(definition) = definitions.projection_named(stream, name) {
            definition.versions().collect()
        } else {
            continue;
        };
        let upcasters = definitions.schemas_in_force(stream.organization.as_ref()).upcasters();
        let rules = rules.into_iter().map(|(key, rules)| (key.after(upcasters), rules)).collect();
        return Ok(Some(Known { definitions, rules }));
    }
    Ok(None)
}

/// The rules of a projection, and all that is defined beside them.
struct Known {
    definitions: Arc<Definitions>,
    rules: Vec<(RulesKey, Rules)>,
}

/// The state of this stream's entity; nothing if it has no event, or no such projection.
async fn state_of(
    ports: &ReadProjectionPorts<'_>,
    stream: &StreamKey,
    request: &ProjectionRequest,
    how: How<'_>,
) -> Reading<Option<EntityState>> {
    match how {
        How::FromSnapshot | How::FromFirstEvent => kept_state(ports, stream, request, how).await,
        How::By(rules) => {
            let definitions = ports.definitions.definitions(Freshness::Recent).await?;
            let mut fold = Fold::new(rules, &definitions, request, Projection::default());
            let reached = fold.go_on(ports, stream).await?;
            fold.past(reached, ports.most_events)?;
            let rules = RulesKey { definition: None, version: 0, upcasters: 0 };
            Ok(fold.finished(SnapshotKey { stream: stream.clone(), name: name_of(request), rules }))
        }
    }
}

async fn kept_state(
    ports: &ReadProjectionPorts<'_>,
    stream: &StreamKey,
    request: &ProjectionRequest,
    how: How<'_>,
) -> Reading<Option<EntityState>> {
    let (name, anew) = (name_of(request), matches!(how, How::FromFirstEvent));
    let Some(Known { definitions, rules: versions }) = rules_of(ports, stream, &name).await? else { return Ok(None) };
    let mut building = None;
    for (index, (key, rules)) in versions.iter().enumerate() {
        let key = SnapshotKey { stream: stream.clone(), name: name.clone(), rules: key.clone() };
        let (kept, seen) = ports.snapshots.snapshot(&key).await?;
        let anew = anew && index == 0;
        let kept = kept.filter(|_| !anew).and_then(Projection::from_snapshot);
        let mut fold = Fold::new(rules, &definitions, request, kept.unwrap_or_default());
        // What is kept goes on answering until a new fold is in its place: so that is done at once, as far as that is possible.
        fold.rounds = if anew { REBUILD_ROUNDS } else { 1 };
        let reached = fold.go_on(ports, stream).await?;
        let is_now = request.moment == Moment::Now && fold.history.is_none();
        let complete = reached != Reached::Bound;
        if is_now && (!complete || anew || fold.pays()) {
            let before = versions.get(index + 1).filter(|_| complete).map(|(rules, _)| SnapshotKey { rules: rules.clone(), ..key.clone() });
            keep(ports, &key, &fold, seen, before).await;
        }
        if complete || !is_now {
            fold.past(reached, ports.most_events)?;
            return Ok(fold.finished(key));
        }
        building = building.max(Some(fold.version()));
    }
    building.map_or(Ok(None), |version| Err(ReadProjectionError::Building { version }))
}

/// Keeps a snapshot, and forgets the one by the rules before. Whether it succeeds matters to the next read's price alone.
async fn keep(ports: &ReadProjectionPorts<'_>, key: &SnapshotKey, fold: &Fold<'_>, seen: Revision, before: Option<SnapshotKey>) {
    // What was read before is kept already, and of nothing there is no state.
    if fold.read.commits == 0 {
        return;
    }
    let kept = async {
        let kept = ports.snapshots.save_snapshot(key, &fold.projection.to_snapshot(), seen).await?;
        match (kept, before) {
            (Kept::Yes, Some(before)) if seen == Revision::default() => ports.snapshots.remove_snapshot(&before).await,
            (Kept::Yes | Kept::Overtaken | Kept::TooLarge, _) => Ok(()),
        }
    };
    if let Err(error) = kept.await {
        tracing::warn!(%error, "a snapshot was not kept");
    }
}

/// A fold on its way.
struct Fold<'a> {
    rules: &'a Rules,
    definitions: &'a Definitions,
    moment: Moment,
    projection: Projection,
    history: Option<History>,
    read: ReadSince,
    events: usize,
    /// How many times as much as usual is folded.
    rounds: usize,
}

/// Where a fold has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// At the end of the stream.
    End,
    /// At the moment that is asked for.
    Moment,
    /// At as many events as one request folds.
    Bound,
}

impl<'a> Fold<'a> {
    /// A fold that starts from what was kept, if that is not beyond what is asked for.
    fn new(rules: &'a Rules, definitions: &'a Definitions, request: &ProjectionRequest, kept: Projection) -> Self {
        let of_use = match request.moment {
            _ if request.history == WithHistory::Yes => false,
            Moment::Now => true,
            Moment::AtVersion(version) => kept.progress().version <= version,
            Moment::AtTime(time) => kept.progress().updated_at.is_none_or(|updated_at| updated_at <= time),
        };
        Self {
            rules,
            definitions,
            moment: request.moment,
            projection: if of_use { kept } else { Projection::default() },
            history: (request.history == WithHistory::Yes).then(History::default),
            read: ReadSince::default(),
            events: 0,
            rounds: 1,
        }
    }

    fn version(&self) -> Version {
        self.projection.progress().version
    }

    async fn go_on(&mut self, ports: &ReadProjectionPorts<'_>, stream: &StreamKey) -> Result<Reached, StoreError> {
        loop {
            if matches!(self.moment, Moment::AtVersion(version) if version <= self.version()) {
                return Ok(Reached::Moment);
            }
            if self.events >= self.rounds * ports.most_events || self.read.bytes >= self.rounds * MOST_BYTES {
                return Ok(Reached::Bound);
            }
            let wanted = EVENTS_A_READ.min(ports.most_events).min(match self.moment {
                Moment::AtVersion(version) => usize::try_from(version.get() - self.version().get()).unwrap_or(usize::MAX),
                Moment::Now | Moment::AtTime(_) => EVENTS_A_READ,
            });
            let run = ports.streams.commits_after(stream, self.version(), wanted).await?;
            for commit in &run.commits {
                if commit.first != self.version().next() {
                    return Err(StoreError::Corrupt(format!("{} has no commit after version {}", stream.stream, self.version())));
                }
                if matches!(self.moment, Moment::AtTime(time) if commit.recorded_at > time) {
                    return Ok(Reached::Moment);
                }
                let mut events = commit.to_events();
                self.definitions.upcast(&mut events);
                for event in events {
                    if matches!(self.moment, Moment::AtVersion(version) if event.stream_version > version) {
                        return Ok(Reached::Moment);
                    }
                    let effect = self.projection.fold(self.rules, &event);
                    if let Some(history) = self.history.as_mut().filter(|_| effect == Effect::Changed) {
                        history.note(&event);
                    }
                    self.events += 1;
                }
                self.read.commits += 1;
                self.read.bytes += commit.bytes();
            }
            if run.to_the_end {
                return Ok(Reached::End);
            }
        }
    }

    /// Whether keeping a snapshot of it pays.
    fn pays(&self) -> bool {
        self.read.may_pay() && self.projection.to_snapshot().pays(&self.read)
    }

    /// Checks that it has reached what was asked for.
    fn past(&self, reached: Reached, most: usize) -> Reading<()> {
        let version = self.version();
        match self.moment {
            _ if reached == Reached::Bound => Err(ReadProjectionError::TooFar { most }),
            // An entity without any event is not found, whenever it is asked for.
            _ if reached == Reached::End && version == Version::EMPTY => Ok(()),
            Moment::AtVersion(wanted) if version != wanted => Err(ReadProjectionError::NotYet { version }),
            Moment::AtTime(_) if version == Version::EMPTY => Err(ReadProjectionError::NotThen),
            Moment::Now | Moment::AtVersion(_) | Moment::AtTime(_) => Ok(()),
        }
    }

    /// What it has come to; nothing if there was no event.
    fn finished(mut self, key: SnapshotKey) -> Option<EntityState> {
        if let Some(history) = &mut self.history {
            history.forget();
        }
        (self.version() != Version::EMPTY).then_some(EntityState { key, projection: self.projection, history: self.history })
    }
}
