//! Events by their ids, and what became of events.

use std::collections::{BTreeSet, HashMap};

use futures::future::{try_join, try_join3};

use super::super::DynamoEvents;
use super::super::items::{self, read_text};
use super::super::keys::{self, AFTER_ALL, ORDER, SK};
use super::super::scan::{Consistency, Direction, IndexRange, table_key};
use crate::domain::claim::{ClaimKey, ClaimSubject};
use crate::domain::commit::Commit;
use crate::domain::definitions::Definitions;
use crate::domain::event::Event;
use crate::domain::event_id::{EventId, Location};
use crate::domain::identifiers::OrganizationId;
use crate::domain::outcome::Outcome;
use crate::domain::query::ObservedEvent;
use crate::domain::version::Version;
use crate::ports::commit_log::CommitLog;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::outcome_log::OutcomeLog;
use crate::ports::store_error::StoreError;

impl DynamoEvents {
    /// The event at the place that its id names, if it is there.
    pub(in crate::adapters::dynamodb) async fn located(
        &self,
        id: EventId,
        location: Location,
        organization: Option<&OrganizationId>,
    ) -> Result<Option<ObservedEvent>, StoreError> {
        let mut head = Version::EMPTY;
        loop {
            for first in location.commit_versions(head) {
                let prefix = keys::version_prefix(location.address(), first);
                let id_of_commit = Location::new(location.recorded_at, 0, location.address(), first).id();
                let pk = keys::place(location.address().place);
                // The outcome's key follows from the id, so both are read at once.
                let definitions = self.definitions(Freshness::Recent);
                let (found, (outcome, _), definitions) =
                    try_join3(self.prefixed(&pk, &prefix), self.outcome(id_of_commit), definitions).await?;
                for commit in self.commits(found).await? {
                    let events = commit.to_events();
                    let visible = |event: &Event| event.id == id && (organization.is_none() || event.organization() == organization);
                    if let Some(event) = events.into_iter().find(visible) {
                        return Ok(Some(definitions.observe(event, outcome.as_ref())));
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
        let last = self.between(&keys::place(location.address().place), range, Direction::Backward, Some(1), Consistency::Strong).await?;
        let slot = last.first().map(|item| read_text(item, SK)).transpose()?.and_then(keys::read_commit_sk);
        Ok(slot.map_or(Version::EMPTY, |slot| slot.first.plus(Commit::MAX_EVENTS)))
    }

    /// The event that a client gave this id.
    pub(super) async fn claimed(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<Option<ObservedEvent>, StoreError> {
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
        let Some(event) = commit.to_events().into_iter().find(|event| event.id == id) else { return Ok(None) };
        let ((outcome, _), definitions) = try_join(self.outcome(commit.id()), self.definitions(Freshness::Recent)).await?;
        Ok(Some(definitions.observe(event, outcome.as_ref())))
    }

    /// The events with what became of them. Outcomes are read of those that a processor is given, because nothing is done with others.
    pub(in crate::adapters::dynamodb) async fn observe(
        &self,
        events: Vec<Event>,
        definitions: &Definitions,
    ) -> Result<Vec<ObservedEvent>, StoreError> {
        let commits = events.iter().filter(|event| definitions.needs_processing(event)).map(|event| event.commit).collect();
        self.observe_with(events, commits, definitions).await
    }

    /// The events with what became of them, as far as the outcomes of these commits say it.
    pub(super) async fn observe_with(
        &self,
        events: Vec<Event>,
        commits: BTreeSet<EventId>,
        definitions: &Definitions,
    ) -> Result<Vec<ObservedEvent>, StoreError> {
        let mut outcomes: HashMap<EventId, Outcome> = HashMap::new();
        let wanted = commits.into_iter().map(|commit| (keys::outcome_pk(commit), keys::OUTCOME_SK.to_owned())).collect();
        for item in self.batch_get(wanted).await? {
            let outcome = items::read_outcome(&item)?;
            outcomes.insert(outcome.commit, outcome);
        }
        let observe = |event: Event| {
            let outcome = outcomes.get(&event.commit);
            definitions.observe(event, outcome)
        };
        Ok(events.into_iter().map(observe).collect())
    }
}
