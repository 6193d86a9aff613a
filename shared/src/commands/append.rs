//! The append protocol: events go to the end of their streams, once, under any retry and crash.
//!
//! A commit is only ever put at the slot right after a commit that was seen. The slot is therefore
//! either taken, which the store tells, or the next to be taken, so no two commits overlap and none
//! leaves a gap; a stale idea of where a stream ends is safe, because it collides.
//!
//! What a client wants to count once (an event's id, or the `Idempotency-Key` of a request) gets a
//! claim before anything is put. A claim points at slots. Whoever finds a claim either finds its
//! events in those slots (done before), or finds a slot taken by something else (then the events
//! cannot have been stored there, nor can they be any more, and the claim may be moved by who knows
//! its fence), or finds them free and completes the same slots. `tests/protocol` runs this through
//! random schedules of crashes, overlapping retries and late writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;

use futures::future::try_join_all;

use super::known_versions::KnownVersions;
use super::turns::Turns;
use crate::domain::claim::{Claim, ClaimKey, ClaimSubject, Fence, Slot};
use crate::domain::commit::{Attempt, Commit, RequestToken, StreamPlan, plan_streams};
use crate::domain::event::{BodyDigest, Event, EventDraft};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{IdempotencyKey, OrganizationId};
use crate::domain::stream_id::StreamKey;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::{ExpectedVersion, Version};
use crate::ports::commit_log::{CommitLog, Put};
use crate::ports::random::Random;
use crate::ports::store_error::StoreError;

/// What an append needs.
#[derive(Clone, Copy)]
pub struct AppendPorts<'a> {
    /// Where commits and claims are kept.
    pub log: &'a dyn CommitLog,
    /// Names attempts and fences.
    pub random: &'a dyn Random,
    /// Where this writer last saw streams end.
    pub heads: &'a KnownHeads,
}

/// Events to append, all or none.
#[derive(Debug, Clone)]
pub struct AppendRequest {
    /// The events, at most [`Commit::MAX_EVENTS`].
    pub drafts: Vec<EventDraft>,
    /// The request's `Idempotency-Key`, and whose it is.
    pub key: Option<(Option<OrganizationId>, IdempotencyKey)>,
    /// When the request came.
    pub now: Timestamp,
}

/// Events that are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The events, in the order of the request.
    pub events: Vec<Event>,
    /// Whether all of them were stored by an earlier request.
    pub replayed: bool,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A stream is not as the writer expects.
    #[error("stream {stream} is at version {actual}, but {expected} was expected")]
    VersionConflict {
        /// The stream.
        stream: StreamKey,
        /// What the writer expects.
        expected: ExpectedVersion,
        /// The stream's version.
        actual: Version,
    },
    /// The id has been used for another event.
    #[error("event_id {0} was used before, for another event")]
    EventIdReused(EventId),
    /// The key has been used for another request.
    #[error("this Idempotency-Key was used before, for another request")]
    KeyReused,
    /// With an `Idempotency-Key`, some events have ids of their own and some do not.
    #[error("with an Idempotency-Key, either all events have an event_id or none has")]
    MixedIdentity,
    /// The store failed, or other writers were always faster.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Where this process last saw streams end, and whose turn it is there. Being out of date costs a call and nothing else.
pub struct KnownHeads {
    pub(super) versions: KnownVersions,
    pub(super) turns: Turns,
}

impl Default for KnownHeads {
    fn default() -> Self {
        const STREAMS: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();
        Self { versions: KnownVersions::of(STREAMS), turns: Turns::default() }
    }
}

/// How often slots are tried before the request is given back to its sender.
const MOST_ROUNDS: usize = 50;

/// Appends events to the ends of their streams, all or none, and once for each id or key that the
/// client brings.
///
/// # Errors
/// [`AppendError`]; nothing was stored then, unless the store failed, in which case the same request
/// with the same ids or key may be tried again.
pub async fn append(ports: &AppendPorts<'_>, request: &AppendRequest) -> Result<Appended, AppendError> {
    let mut round = Round::new(ports, request)?;
    let _turns = ports.heads.turns.at(round.streams()).await;
    round.refuse_early().await?;
    if round.guard_request().await? == Guard::Complete {
        return Ok(round.appended());
    }
    for _ in 0..MOST_ROUNDS {
        match round.run().await? {
            Progress::Done => return Ok(round.appended()),
            Progress::Again => {}
        }
    }
    Err(AppendError::Store(StoreError::Contended))
}

/// A claim that this request holds or has found.
struct Held {
    key: ClaimKey,
    claim: Claim,
    /// Whether the slots may already hold what is claimed: not right after putting the claim.
    look: bool,
    /// Whether one of the slots was seen to hold something else. Then, and only then, what is
    /// claimed is not stored there and never will be.
    taken: bool,
    /// The drafts that it stands for.
    drafts: Vec<usize>,
}

enum Progress {
    Done,
    Again,
}

/// What a look into the slots of claims showed.
enum Sight {
    /// Everything is stored.
    Complete,
    /// Something is still to be stored.
    Open,
    /// A claim has been moved meanwhile.
    OutOfDate,
}

#[derive(PartialEq)]
enum Guard {
    Complete,
    Open,
}

struct Round<'a> {
    ports: &'a AppendPorts<'a>,
    request: &'a AppendRequest,
    attempt: Attempt,
    recorded_at: Timestamp,
    seed: u64,
    token: Option<RequestToken>,
    /// Drafts that are the same event as an earlier draft of the request.
    same_as: BTreeMap<usize, usize>,
    done: BTreeMap<usize, Event>,
    held: Vec<Held>,
    fresh_heads: bool,
    wrote: bool,
}

impl<'a> Round<'a> {
    fn new(ports: &'a AppendPorts<'a>, request: &'a AppendRequest) -> Result<Self, AppendError> {
        let mut first_of: HashMap<(Option<&OrganizationId>, EventId), usize> = HashMap::new();
        let mut same_as = BTreeMap::new();
        for (index, draft) in request.drafts.iter().enumerate() {
            let Some(id) = draft.event_id else { continue };
            let first = *first_of.entry((draft.organization.as_ref(), id)).or_insert(index);
            if first != index {
                if request.drafts[first].digest() != draft.digest() {
                    return Err(AppendError::EventIdReused(id));
                }
                same_as.insert(index, first);
            }
        }
        Ok(Self {
            ports,
            request,
            attempt: Attempt(ports.random.number()),
            recorded_at: request.now.whole_millis(),
            seed: ports.random.number(),
            token: None,
            same_as,
            done: BTreeMap::new(),
            held: Vec::new(),
            fresh_heads: false,
            wrote: false,
        })
    }

    fn appended(self) -> Appended {
        let event = |index: usize| self.done.get(self.same_as.get(&index).unwrap_or(&index)).cloned();
        let events: Vec<Event> = (0..self.request.drafts.len()).filter_map(event).collect();
        Appended { replayed: !self.wrote && !events.is_empty(), events }
    }

    /// The drafts that are still to be stored.
    fn open(&self) -> impl Iterator<Item = (usize, &'a EventDraft)> {
        self.request.drafts.iter().enumerate().filter(|(index, _)| !self.done.contains_key(index) && !self.same_as.contains_key(index))
    }

    /// The streams that others may write to as well. An event without one has its own.
    fn streams(&self) -> BTreeSet<StreamKey> {
        let stream = |draft: &EventDraft| Some(StreamKey { organization: draft.organization.clone(), stream: draft.stream()? });
        self.request.drafts.iter().filter_map(stream).collect()
    }

    fn plan(&self) -> Vec<StreamPlan> {
        plan_streams(self.open(), self.recorded_at, self.seed)
    }

    /// Refuses what can be seen to fail before anything is claimed, so that a request that was refused
    /// uses up none of its ids. What others write meanwhile may still make it fail later.
    async fn refuse_early(&self) -> Result<(), AppendError> {
        let log = self.ports.log;
        let ids: Vec<(EventId, &EventDraft)> = self.open().filter_map(|(_, draft)| draft.event_id.map(|id| (id, draft))).collect();
        // An id of the form of those made here may have been given to an event that no claim is for.
        let made_here = ids.iter().filter(|(id, _)| id.location().is_some());
        let placed = try_join_all(
            made_here.map(async |(id, draft)| Ok::<_, StoreError>(log.is_placed(*id, draft.organization.as_ref()).await?.then_some(*id))),
        )
        .await?;
        if let Some(id) = placed.into_iter().flatten().next() {
            return Err(AppendError::EventIdReused(id));
        }
        let expects = self.request.drafts.iter().any(|draft| draft.expected_version != ExpectedVersion::Any);
        let mut conflict = None;
        if expects {
            let plans = self.plan();
            let mut starts = self.next_slots(&plans).await?;
            conflict = match self.check_expectations(&plans, &mut starts).await {
                Ok(()) => None,
                Err(error @ AppendError::VersionConflict { .. }) => Some(error),
                Err(error) => return Err(error),
            };
        }
        if conflict.is_none() && ids.len() <= 1 {
            return Ok(());
        }
        let claims = try_join_all(ids.iter().map(async |(id, draft)| {
            let key = ClaimKey { organization: draft.organization.clone(), subject: ClaimSubject::Event(*id) };
            Ok::<_, StoreError>((*id, draft.digest(), log.claim(&key).await?.filter(|claim| !claim.slots.is_empty())))
        }))
        .await?;
        if let Some((id, ..)) = claims.iter().find(|(_, digest, claim)| claim.as_ref().is_some_and(|claim| claim.digest != *digest)) {
            return Err(AppendError::EventIdReused(*id));
        }
        let Some(conflict) = conflict else { return Ok(()) };
        let of_request = match self.request_key() {
            Some(key) => log.claim(&key).await?,
            None => None,
        };
        // What was claimed before may have been stored before, when the expectation held.
        if of_request.is_some() || claims.iter().any(|(.., claim)| claim.is_some()) { Ok(()) } else { Err(conflict) }
    }

    /// What the request's `Idempotency-Key` is claimed under.
    fn request_key(&self) -> Option<ClaimKey> {
        let (organization, key) = self.request.key.as_ref()?;
        Some(ClaimKey { organization: organization.clone(), subject: ClaimSubject::Request(key.clone()) })
    }

    async fn next_slots(&self, plans: &[StreamPlan]) -> Result<BTreeMap<StreamKey, Version>, StoreError> {
        let slots = try_join_all(plans.iter().map(|plan| self.next_slot(&plan.stream))).await?;
        Ok(slots.into_iter().map(|slot| (slot.stream, slot.first)).collect())
    }

    /// Puts or finds the claim of the request's key.
    ///
    /// If the events have ids of their own, it guards the body only, and they are claimed one by one.
    async fn guard_request(&mut self) -> Result<Guard, AppendError> {
        if self.request.drafts.is_empty() {
            return Ok(Guard::Complete);
        }
        let Some(key) = self.request_key() else { return Ok(Guard::Open) };
        let with_ids = self.request.drafts.iter().filter(|draft| draft.event_id.is_some()).count();
        if with_ids != 0 && with_ids != self.request.drafts.len() {
            return Err(AppendError::MixedIdentity);
        }
        let digest = BodyDigest::of_all(self.request.drafts.iter().map(EventDraft::digest));
        let plans = if with_ids == 0 { self.plan() } else { Vec::new() };
        let slots = try_join_all(plans.iter().map(|plan| self.next_slot(&plan.stream))).await?;
        let claim = Claim { fence: Fence(self.ports.random.number()), digest, recorded_at: self.recorded_at, seed: self.seed, slots };
        let found = self.ports.log.put_claim(&key, &claim).await?;
        let look = found.is_some();
        let claim = found.unwrap_or(claim);
        if claim.digest != digest {
            return Err(AppendError::KeyReused);
        }
        if with_ids == 0 {
            self.recorded_at = claim.recorded_at;
            self.seed = claim.seed;
            self.token = Some(key.token());
            let drafts = self.open().map(|(index, _)| index).collect();
            self.held.push(Held { key, claim, look, taken: false, drafts });
        }
        Ok(Guard::Open)
    }

    async fn next_slot(&self, stream: &StreamKey) -> Result<Slot, StoreError> {
        Ok(Slot { stream: stream.clone(), first: self.head(stream).await?.next() })
    }

    /// Where the stream ends: as last seen in the first round, as it is in later ones.
    async fn head(&self, stream: &StreamKey) -> Result<Version, StoreError> {
        if !self.fresh_heads
            && let Some(known) = self.ports.heads.versions.get(stream)
        {
            return Ok(known);
        }
        let head = self.ports.log.head(stream).await?;
        self.ports.heads.versions.saw(stream, head);
        Ok(head)
    }

    async fn run(&mut self) -> Result<Progress, AppendError> {
        self.claim_ids().await?;
        match self.look_into_slots().await? {
            Sight::Complete => return Ok(Progress::Done),
            Sight::OutOfDate => return Ok(Progress::Again),
            Sight::Open => {}
        }
        let plans = self.plan();
        let mut starts = self.starts(&plans).await?;
        if let Err(refusal) = self.check_expectations(&plans, &mut starts).await {
            self.release_claims().await?;
            return Err(refusal);
        }
        if !self.move_claims(&starts).await? {
            self.fresh_heads = true;
            return Ok(Progress::Again);
        }
        let commits: Vec<Commit> =
            plans.iter().flat_map(|plan| plan.commits_from(starts[&plan.stream], self.recorded_at, self.attempt, self.token)).collect();
        let put = match self.ports.log.put(&commits).await {
            Err(StoreError::Contended) => Put::Taken(Vec::new()),
            other => other?,
        };
        let mine = match put {
            Put::Stored => true,
            Put::Taken(standing) => standing.iter().any(|commit| commit.attempt == self.attempt),
        };
        if mine {
            self.wrote = true;
            self.keep(&plans, &commits);
            return Ok(Progress::Done);
        }
        for plan in &plans {
            self.ports.heads.versions.forget(&plan.stream);
        }
        for held in &mut self.held {
            held.look = true;
        }
        self.fresh_heads = true;
        Ok(Progress::Again)
    }

    /// Takes the events of stored commits as answers to their drafts.
    fn keep(&mut self, plans: &[StreamPlan], commits: &[Commit]) {
        for commit in commits {
            self.ports.heads.versions.saw(&commit.stream, commit.last());
        }
        let events = commits.iter().flat_map(Commit::to_events);
        self.done.extend(plans.iter().flat_map(StreamPlan::indices).zip(events));
    }

    /// Claims the ids that clients brought and that have no claim of ours yet.
    async fn claim_ids(&mut self) -> Result<(), AppendError> {
        let unclaimed: Vec<(usize, &EventDraft, EventId)> = self
            .open()
            .filter(|(index, _)| !self.held.iter().any(|held| held.drafts.contains(index)))
            .filter_map(|(index, draft)| draft.event_id.map(|id| (index, draft, id)))
            .collect();
        let claims = unclaimed.iter().map(async |(index, draft, id)| {
            let stream = StreamKey {
                organization: draft.organization.clone(),
                stream: draft.stream().unwrap_or_else(|| crate::domain::stream_id::StreamId::of_event(*id)),
            };
            let key = ClaimKey { organization: draft.organization.clone(), subject: ClaimSubject::Event(*id) };
            let slots = vec![self.next_slot(&stream).await?];
            let claim = Claim {
                fence: Fence(self.ports.random.number()),
                digest: draft.digest(),
                recorded_at: self.recorded_at,
                seed: self.seed,
                slots,
            };
            let mut found = self.ports.log.put_claim(&key, &claim).await?;
            if let Some(released) = found.as_ref().filter(|claim| claim.slots.is_empty()) {
                let taken_over = self.ports.log.move_claim(&key, released.fence, &claim).await?;
                found = if taken_over { None } else { self.ports.log.claim(&key).await? };
                if found.as_ref().is_some_and(|claim| claim.slots.is_empty()) {
                    return Err(AppendError::Store(StoreError::Contended));
                }
            }
            let look = found.is_some();
            let held = found.unwrap_or_else(|| claim.clone());
            if held.digest == claim.digest {
                Ok(Held { key, claim: held, look, taken: false, drafts: vec![*index] })
            } else {
                Err(AppendError::EventIdReused(*id))
            }
        });
        let held = try_join_all(claims).await?;
        self.held.extend(held);
        Ok(())
    }

    /// Reads the slots of claims that may be filled.
    async fn look_into_slots(&mut self) -> Result<Sight, AppendError> {
        let log = self.ports.log;
        let looked = try_join_all(self.held.iter().filter(|held| held.look).map(async |held| {
            let standing = try_join_all(held.claim.slots.iter().map(|slot| log.commit_at(slot))).await?;
            Ok::<_, StoreError>((held.key.clone(), standing.into_iter().flatten().collect::<Vec<Commit>>()))
        }))
        .await?;
        for (key, standing) in looked {
            for commit in &standing {
                self.ports.heads.versions.saw(&commit.stream, commit.last());
            }
            match key.subject {
                ClaimSubject::Event(id) => {
                    if let Some(event) = standing.iter().flat_map(Commit::to_events).find(|event| event.id == id) {
                        let drafts: Vec<usize> = self.held.extract_if(.., |held| held.key == key).flat_map(|held| held.drafts).collect();
                        self.done.extend(drafts.into_iter().map(|draft| (draft, event.clone())));
                        continue;
                    }
                }
                ClaimSubject::Request(_) => {
                    let ours = standing.iter().filter(|commit| commit.request == Some(key.token())).count();
                    let slots: usize = self.held.iter().filter(|held| held.key == key).map(|held| held.claim.slots.len()).sum();
                    if ours == slots {
                        self.keep_request(&key).await?;
                        continue;
                    }
                    if ours > 0 {
                        // All slots are filled at once. These are not the ones that were, but those
                        // that an earlier place of the claim has in common with them.
                        let now = self.ports.log.claim(&key).await?;
                        for held in self.held.iter_mut().filter(|held| held.key == key) {
                            held.claim = now.clone().ok_or_else(|| StoreError::Corrupt("a claim has gone".to_owned()))?;
                        }
                        return Ok(Sight::OutOfDate);
                    }
                }
            }
            for held in self.held.iter_mut().filter(|held| held.key == key) {
                held.taken = !standing.is_empty();
            }
        }
        Ok(if self.open().next().is_none() { Sight::Complete } else { Sight::Open })
    }

    /// Reads what an earlier attempt at this request stored, all in one transaction.
    async fn keep_request(&mut self, key: &ClaimKey) -> Result<(), AppendError> {
        let Some(held) = self.held.extract_if(.., |held| held.key == *key).next() else { return Ok(()) };
        let plans = self.plan();
        let mut commits = Vec::new();
        for plan in &plans {
            let Some(slot) = held.claim.slots.iter().find(|slot| slot.stream == plan.stream) else { continue };
            let mut slot = slot.clone();
            let mut missing = plan.indices().count();
            while missing > 0 {
                let commit = self.ports.log.commit_at(&slot).await?;
                let commit =
                    commit.ok_or_else(|| StoreError::Corrupt(format!("stream {} has no commit at {}", slot.stream, slot.first)))?;
                slot.first = commit.last().next();
                missing = missing.saturating_sub(commit.events.len());
                commits.push(commit);
            }
        }
        self.keep(&plans, &commits);
        Ok(())
    }

    /// Where each stream's events are to start: at the free slot that a claim points at, if any, else
    /// after the last commit.
    async fn starts(&mut self, plans: &[StreamPlan]) -> Result<BTreeMap<StreamKey, Version>, AppendError> {
        let mut starts = self.next_slots(plans).await?;
        for slot in self.held.iter().flat_map(|held| &held.claim.slots) {
            if let Some(start) = starts.get_mut(&slot.stream) {
                // A slot above what was last seen comes after a commit that the claim's writer saw.
                *start = slot.first.max(*start);
            }
        }
        Ok(starts)
    }

    async fn check_expectations(&self, plans: &[StreamPlan], starts: &mut BTreeMap<StreamKey, Version>) -> Result<(), AppendError> {
        for plan in plans {
            let Some(start) = starts.get_mut(&plan.stream) else { continue };
            let unmet = |start: Version| {
                plan.indices().enumerate().map(|(place, index)| (place, self.request.drafts[index].expected_version)).find(
                    |(place, expected)| {
                        // In a batch, a stream may be expected as it was before the batch, or as the
                        // batch's earlier events leave it.
                        let before = Version::new(start.get() - 1);
                        !expected.allows(before) && !expected.allows(before.plus(*place))
                    },
                )
            };
            if unmet(*start).is_none() {
                continue;
            }
            // What was seen may be out of date.
            let head = self.ports.log.head(&plan.stream).await?;
            self.ports.heads.versions.saw(&plan.stream, head);
            if let Some((_, expected)) = unmet(head.next()) {
                return Err(AppendError::VersionConflict { stream: plan.stream.clone(), expected, actual: head });
            }
            *start = head.next();
        }
        Ok(())
    }

    /// Points every claim that is held at where its events are about to go. Returns false if a claim
    /// was moved by somebody else meanwhile.
    async fn move_claims(&mut self, starts: &BTreeMap<StreamKey, Version>) -> Result<bool, AppendError> {
        let mut all_held = true;
        for held in &mut self.held {
            let mut moved = held.claim.clone();
            for slot in &mut moved.slots {
                if let Some(start) = starts.get(&slot.stream) {
                    slot.first = *start;
                }
            }
            if moved.slots == held.claim.slots {
                continue;
            }
            if !held.taken {
                // The stream has grown since, perhaps by what is claimed.
                held.look = true;
                all_held = false;
                continue;
            }
            moved.fence = Fence(self.ports.random.number());
            held.taken = false;
            if self.ports.log.move_claim(&held.key, held.claim.fence, &moved).await? {
                held.claim = moved;
                held.look = false;
            } else {
                all_held = false;
                held.look = true;
                if let Some(now) = self.ports.log.claim(&held.key).await? {
                    held.claim = now;
                }
            }
        }
        // A claim that somebody released meanwhile is claimed anew, unless for something else.
        self.held.retain(|held| !held.claim.slots.is_empty());
        for held in &self.held {
            if let (ClaimSubject::Event(id), Some(draft)) = (&held.key.subject, held.drafts.first())
                && self.request.drafts[*draft].digest() != held.claim.digest
            {
                return Err(AppendError::EventIdReused(*id));
            }
        }
        Ok(all_held)
    }

    /// Gives back the ids of a request that is refused: those whose slots hold something else, so that
    /// no attempt can store them there any more. A released claim has no slots, and goes to who first
    /// moves it.
    async fn release_claims(&mut self) -> Result<(), AppendError> {
        for held in self.held.iter().filter(|held| held.taken && matches!(held.key.subject, ClaimSubject::Event(_))) {
            let released = Claim { fence: Fence(self.ports.random.number()), slots: Vec::new(), ..held.claim.clone() };
            // Whoever moved it meanwhile needs it.
            let _moved: bool = self.ports.log.move_claim(&held.key, held.claim.fence, &released).await?;
        }
        Ok(())
    }
}
