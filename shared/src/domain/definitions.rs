//! All processors, subscriptions, projections and schemas that are defined, as they were at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::commit::{Commit, CommittedEvent};
use super::event::{Event, EventDetails};
use super::event_schema::{EventSchemas, SchemasInForce};
use super::identifiers::{EventType, OrganizationId, ProcessorId, ProjectionDefinitionId, ProjectionName, SubscriptionId};
use super::outcome::{EventOutcome, Outcome};
use super::processor::Processor;
use super::projection::ProjectionDefinition;
use super::query::ObservedEvent;
use super::stream_id::StreamKey;
use super::subscription::Subscription;
use super::timestamp::Timestamp;

/// All processors, subscriptions and projections. Few: they are read whole, and kept in memory.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    /// Which change they are as of.
    pub revision: u64,
    /// The processors, removed ones included, highest priority first, then by name.
    processors: Vec<Arc<Processor>>,
    /// The subscriptions, oldest first.
    subscriptions: Vec<Arc<Subscription>>,
    /// The projections, by the type of their entities and by name.
    projections: Vec<Arc<ProjectionDefinition>>,
    /// The schemas of events, by type.
    schemas: Vec<Arc<EventSchemas>>,
    /// What follows from them for everybody, and for each organization with schemas of its own: worked out once, and not for every event.
    in_force: Arc<(SchemasInForce, BTreeMap<OrganizationId, SchemasInForce>)>,
}

impl Definitions {
    /// The definitions as of a change.
    #[must_use]
    pub fn new(revision: u64, processors: Vec<Processor>, subscriptions: Vec<Subscription>) -> Self {
        let processors = processors.into_iter().map(Arc::new).collect();
        let subscriptions = subscriptions.into_iter().map(Arc::new).collect();
        Self { revision, processors, subscriptions, ..Self::default() }.sorted()
    }

    /// The same, with these projections.
    #[must_use]
    pub fn and_projections(mut self, projections: Vec<ProjectionDefinition>) -> Self {
        self.projections = projections.into_iter().map(Arc::new).collect();
        self.sorted()
    }

    /// One change later: with this processor, in the place of the one of its id.
    #[must_use]
    pub fn with_processor(&self, processor: Processor) -> Self {
        let mut later = Self { revision: self.revision + 1, ..self.clone() };
        later.processors.retain(|other| other.id != processor.id);
        later.processors.push(Arc::new(processor));
        later.sorted()
    }

    /// One change later: with this subscription, in the place of the one of its id.
    #[must_use]
    pub fn with_subscription(&self, subscription: Subscription) -> Self {
        let mut later = self.without_subscription(&subscription.id);
        later.subscriptions.push(Arc::new(subscription));
        later.sorted()
    }

    /// One change later: without the subscription of this id.
    #[must_use]
    pub fn without_subscription(&self, id: &SubscriptionId) -> Self {
        let mut later = Self { revision: self.revision + 1, ..self.clone() };
        later.subscriptions.retain(|subscription| subscription.id != *id);
        later
    }

    /// The same, with these schemas.
    #[must_use]
    pub fn and_schemas(mut self, schemas: Vec<EventSchemas>) -> Self {
        self.schemas = schemas.into_iter().map(Arc::new).collect();
        self.sorted().in_force()
    }

    /// One change later: with these schemas, in the place of those of their type and organization.
    #[must_use]
    pub fn with_schemas(&self, schemas: EventSchemas) -> Self {
        let mut later = self.without_schemas(schemas.organization.as_ref(), &schemas.event_type);
        later.schemas.push(Arc::new(schemas));
        later.sorted().in_force()
    }

    /// One change later: without the schemas of this type that are this organization's.
    #[must_use]
    pub fn without_schemas(&self, organization: Option<&OrganizationId>, event_type: &EventType) -> Self {
        let mut later = Self { revision: self.revision + 1, ..self.clone() };
        later.schemas.retain(|schemas| schemas.event_type != *event_type || schemas.organization.as_ref() != organization);
        later.in_force()
    }

    /// Every type's schemas, by type.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<EventSchemas>> {
        self.schemas.iter()
    }

    /// The schemas that an organization's events are held to.
    #[must_use]
    pub fn schemas_in_force(&self, organization: Option<&OrganizationId>) -> &SchemasInForce {
        let (everybody, own) = &*self.in_force;
        organization.and_then(|organization| own.get(organization)).unwrap_or(everybody)
    }

    /// The same, with what follows from the schemas.
    fn in_force(mut self) -> Self {
        let everybody = SchemasInForce::of(None, self.schemas.iter());
        let organizations: BTreeSet<_> = self.schemas.iter().filter_map(|schemas| schemas.organization.clone()).collect();
        let in_force_of = |own: OrganizationId| {
            let schemas = SchemasInForce::of(Some(&own), self.schemas.iter());
            (own, schemas)
        };
        let own = organizations.into_iter().map(in_force_of).collect();
        self.in_force = Arc::new((everybody, own));
        self
    }

    /// The events as their newest schema versions have them.
    pub fn upcast<'a>(&self, events: impl IntoIterator<Item = &'a mut Event>) {
        for event in events {
            let upcasters = self.schemas_in_force(event.organization()).upcasters();
            if !upcasters.is_empty() {
                event.details = upcasters.upcast(event.details.clone());
            }
        }
    }

    /// One change later: with this projection, in the place of the one of its id.
    #[must_use]
    pub fn with_projection(&self, projection: ProjectionDefinition) -> Self {
        let mut later = self.without_projection(&projection.id);
        later.projections.push(Arc::new(projection));
        later.sorted()
    }

    /// One change later: without the projection of this id.
    #[must_use]
    pub fn without_projection(&self, id: &ProjectionDefinitionId) -> Self {
        let mut later = Self { revision: self.revision + 1, ..self.clone() };
        later.projections.retain(|projection| projection.id != *id);
        later
    }

    /// Every projection, by the type of its entities and by name.
    pub fn projections(&self) -> impl Iterator<Item = &Arc<ProjectionDefinition>> {
        self.projections.iter()
    }

    /// The projection that an entity has by a name: its organization's own, or else the platform's.
    #[must_use]
    pub fn projection_named(&self, stream: &StreamKey, name: &ProjectionName) -> Option<&Arc<ProjectionDefinition>> {
        let is_meant = |projection: &&Arc<ProjectionDefinition>| {
            projection.name == *name
                && projection.entity_type.as_str() == stream.stream.entity_type()
                && (projection.organization.is_none() || projection.organization == stream.organization)
        };
        self.projections.iter().filter(is_meant).max_by_key(|projection| projection.organization.is_some())
    }

    fn sorted(mut self) -> Self {
        self.processors.sort_by(|one, other| (other.priority, &one.name, &one.id).cmp(&(one.priority, &other.name, &other.id)));
        self.subscriptions.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        self.projections.sort_by(|one, other| {
            let key = |projection: &ProjectionDefinition| {
                (projection.entity_type.clone(), projection.name.clone(), projection.organization.clone())
            };
            key(one).cmp(&key(other))
        });
        self.schemas.sort_by(|one, other| (&one.event_type, &one.organization).cmp(&(&other.event_type, &other.organization)));
        self
    }

    /// Every processor that was not removed, highest priority first (BR-PRC-002).
    pub fn processors(&self) -> impl Iterator<Item = &Arc<Processor>> {
        self.processors.iter().filter(|processor| processor.removed_at.is_none())
    }

    /// The processor of this id, also a removed one.
    #[must_use]
    pub fn processor(&self, id: &ProcessorId) -> Option<&Arc<Processor>> {
        self.processors.iter().find(|processor| processor.id == *id)
    }

    /// How many processors there are, those included that were removed and are remembered for the events that they were given.
    #[must_use]
    pub fn remembered_processors(&self) -> usize {
        self.processors.iter().filter(|processor| processor.removed_at.is_none() || !processor.activations.is_empty()).count()
    }

    /// The processor that results of this organization's events mean by a name: its own, or else the platform's; one that was
    /// removed only if there is no other.
    #[must_use]
    pub fn processor_named(&self, organization: Option<&OrganizationId>, name: &str) -> Option<&Arc<Processor>> {
        let is_meant = |processor: &&Arc<Processor>| {
            processor.name.as_str() == name && (processor.organization.is_none() || processor.organization.as_ref() == organization)
        };
        let rank = |processor: &&Arc<Processor>| (processor.removed_at.is_some(), processor.organization.is_none());
        self.processors.iter().filter(is_meant).min_by_key(rank)
    }

    /// Whether there is or was any processor at all that is given events of this organization; of any if none is named.
    #[must_use]
    pub fn may_process(&self, organization: Option<&OrganizationId>) -> bool {
        self.processors
            .iter()
            .any(|processor| organization.is_none() || processor.organization.is_none() || processor.organization.as_ref() == organization)
    }

    /// The processors that an event recorded then is given to, highest priority first (BR-PRC-002).
    pub fn processors_given<'a>(
        &'a self,
        organization: Option<&'a OrganizationId>,
        details: &'a EventDetails,
        recorded_at: Timestamp,
    ) -> impl Iterator<Item = &'a Arc<Processor>> {
        self.processors.iter().filter(move |processor| processor.is_given(organization, details, recorded_at))
    }

    /// Whether a processor is given this event: if none is, it needs no processing.
    #[must_use]
    pub fn needs_processing(&self, event: &Event) -> bool {
        self.processors_given(event.organization(), &event.details, event.recorded_at).next().is_some()
    }

    /// An outcome as somebody who is bound to this organization may see it: what processors of others said is theirs.
    #[must_use]
    pub fn shown_to(&self, organization: Option<&OrganizationId>, mut outcome: EventOutcome) -> EventOutcome {
        if organization.is_some() {
            let is_own = |name: &str| {
                self.processors.iter().any(|processor| processor.organization.as_ref() == organization && processor.name.as_str() == name)
            };
            outcome.results.retain(|result| is_own(&result.processor));
        }
        outcome
    }

    /// What is known of an event that has no outcome yet: it is pending, or there is nothing to do.
    #[must_use]
    pub fn outcome_before_processing(&self, event: &Event) -> EventOutcome {
        if self.needs_processing(event) { EventOutcome::PENDING } else { EventOutcome::NOTHING_TO_DO }
    }

    /// An event with what its commit's outcome says of it, or else what is known before there is one.
    #[must_use]
    pub fn observe(&self, event: Event, outcome: Option<&Outcome>) -> ObservedEvent {
        let index = event.place.location().map_or(0, |location| location.index);
        let known = outcome.and_then(|outcome| outcome.events.get(index)).cloned();
        let outcome = known.unwrap_or_else(|| self.outcome_before_processing(&event));
        ObservedEvent::new(event, outcome)
    }

    /// The same with the event in the newest version of its schema: for those outside, who know no other.
    #[must_use]
    pub fn observe_newest(&self, event: Event, outcome: Option<&Outcome>) -> ObservedEvent {
        let mut observed = self.observe(event, outcome);
        self.upcast([&mut observed.event]);
        observed
    }

    /// How many of a commit's events are given to a processor.
    #[must_use]
    pub fn count_to_process(&self, commit: &Commit) -> usize {
        let organization = commit.stream.organization.as_ref();
        let is_given = |event: &&CommittedEvent| self.processors_given(organization, &event.details, commit.recorded_at).next().is_some();
        commit.events.iter().filter(is_given).count()
    }

    /// Every subscription, oldest first.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.subscriptions.iter()
    }

    /// The subscription of this id.
    #[must_use]
    pub fn subscription(&self, id: &SubscriptionId) -> Option<&Arc<Subscription>> {
        self.subscriptions.iter().find(|subscription| subscription.id == *id)
    }

    /// The subscriptions that an event is sent to.
    pub fn subscriptions_of<'a>(&'a self, event: &Event) -> impl Iterator<Item = &'a Arc<Subscription>> {
        self.subscriptions.iter().filter(move |subscription| subscription.receives(event))
    }
}
