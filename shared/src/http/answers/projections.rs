//! Projections, and their definitions.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::event_id::EventId;
use crate::domain::identifiers::{EventType, OrganizationId, ProjectionDefinitionId, ProjectionName};
use crate::domain::json::JsonObject;
use crate::domain::projection::{ProjectionDefinition, Warning};
use crate::domain::stream_id::EntityType;
use crate::domain::timestamp::Timestamp;
use crate::http::openapi::schemas::{JsonObjectSchema, MomentSchema};
use crate::queries::read_projection::{EntityState, History, StateChange};

/// The state of an entity.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Projection)]
pub struct ProjectionAnswer<'a> {
    /// Its id: the same for an entity and a name, whatever the rules are.
    #[schema(format = Uuid)]
    pub projection_id: String,
    /// What the projection is called.
    #[schema(value_type = String, example = "default")]
    pub projection_name: &'a ProjectionName,
    /// Which entity it is of.
    #[schema(value_type = String, example = "1001")]
    pub entity_id: &'a str,
    /// What kind of thing the entity is.
    #[schema(value_type = String, example = "order")]
    pub entity_type: &'a str,
    /// Whose entity it is.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// The state, its members in the order of their names.
    #[schema(value_type = JsonObjectSchema)]
    pub state: JsonObject,
    /// How many events were applied: the version of the stream then.
    pub version: u64,
    /// The last of these events.
    #[schema(value_type = Option<String>, format = Uuid, required)]
    pub last_event_id: Option<EventId>,
    /// When the first of them was stored.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub created_at: Option<Timestamp>,
    /// When the latest of them was stored.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub updated_at: Option<Timestamp>,
    /// Which version of the rules it is by.
    pub rules_version: u32,
    /// How many of the events changed nothing because a rule could not be applied to them.
    pub skipped: u64,
    /// The last hundred of these.
    pub warnings: Vec<WarningAnswer<'a>>,
    /// The changes that led to the state, if they were asked for.
    #[schema(value_type = Option<HistoryAnswer<'static>>, required)]
    pub history: Option<HistoryAnswer<'a>>,
}

impl<'a> From<&'a EntityState> for ProjectionAnswer<'a> {
    fn from(state: &'a EntityState) -> Self {
        let EntityState { key, projection, history } = state;
        let progress = projection.progress();
        Self {
            projection_id: key.projection_id(),
            projection_name: &key.name,
            entity_id: key.stream.stream.entity_id(),
            entity_type: key.stream.stream.entity_type(),
            organization_id: key.stream.organization.as_ref(),
            state: projection.state(),
            version: progress.version.get(),
            last_event_id: progress.last_event_id,
            created_at: progress.created_at,
            updated_at: progress.updated_at,
            rules_version: key.rules.version,
            skipped: progress.skipped,
            warnings: progress.warnings.iter().map(WarningAnswer::from).collect(),
            history: history.as_ref().map(HistoryAnswer::from),
        }
    }
}

/// An event that a rule could not be applied to. It changed nothing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectionWarning)]
pub struct WarningAnswer<'a> {
    /// The event.
    #[schema(value_type = String, format = Uuid)]
    pub event_id: EventId,
    /// Its type.
    #[schema(value_type = String)]
    pub event_type: &'a EventType,
    /// Its number in the stream.
    pub stream_version: u64,
    /// Why not.
    #[schema(value_type = String, example = "the event has no data.total")]
    pub reason: &'a str,
}

impl<'a> From<&'a Warning> for WarningAnswer<'a> {
    fn from(warning: &'a Warning) -> Self {
        Self {
            event_id: warning.event_id,
            event_type: &warning.event_type,
            stream_version: warning.stream_version.get(),
            reason: &warning.reason,
        }
    }
}

/// The changes that led to a state.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectionHistory)]
pub struct HistoryAnswer<'a> {
    /// The last thousand of them, oldest first.
    pub changes: Vec<StateChangeAnswer<'a>>,
    /// How many there were before these.
    pub earlier: u64,
}

impl<'a> From<&'a History> for HistoryAnswer<'a> {
    fn from(history: &'a History) -> Self {
        Self { changes: history.changes.iter().map(StateChangeAnswer::from).collect(), earlier: history.earlier }
    }
}

/// A version at which a state changed, and by which event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StateChange)]
pub struct StateChangeAnswer<'a> {
    /// The version.
    pub version: u64,
    /// The event.
    #[schema(value_type = String, format = Uuid)]
    pub event_id: EventId,
    /// Its type.
    #[schema(value_type = String)]
    pub event_type: &'a EventType,
    /// When it happened.
    #[schema(value_type = MomentSchema)]
    pub timestamp: Timestamp,
}

impl<'a> From<&'a StateChange> for StateChangeAnswer<'a> {
    fn from(change: &'a StateChange) -> Self {
        Self { version: change.version.get(), event_id: change.event_id, event_type: &change.event_type, timestamp: change.occurred_at }
    }
}

/// A projection as it is defined.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectionDefinition)]
pub struct DefinitionAnswer<'a> {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub definition_id: &'a ProjectionDefinitionId,
    /// What it is called.
    #[schema(value_type = String, example = "summary")]
    pub name: &'a ProjectionName,
    /// Which entities it is of.
    #[schema(value_type = String, example = "order")]
    pub entity_type: &'a EntityType,
    /// The rules.
    #[schema(value_type = JsonObjectSchema)]
    pub rules: &'a JsonObject,
    /// How often rules were given to it.
    pub rules_version: u32,
    /// The organization whose entities it is of; null for all.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// When it was made.
    #[schema(value_type = MomentSchema)]
    pub created_at: Timestamp,
    /// When rules were given to it last.
    #[schema(value_type = MomentSchema)]
    pub updated_at: Timestamp,
}

impl<'a> From<&'a ProjectionDefinition> for DefinitionAnswer<'a> {
    fn from(definition: &'a ProjectionDefinition) -> Self {
        Self {
            definition_id: &definition.id,
            name: &definition.name,
            entity_type: &definition.entity_type,
            rules: &definition.rules,
            rules_version: definition.version,
            organization_id: definition.organization.as_ref(),
            created_at: definition.created_at,
            updated_at: definition.updated_at,
        }
    }
}

/// A projection is removed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedProjection)]
pub struct DeletedProjectionAnswer<'a> {
    /// Always `deleted`.
    #[schema(value_type = String, example = "deleted")]
    pub status: &'static str,
    /// Its id.
    #[schema(value_type = String)]
    pub definition_id: &'a ProjectionDefinitionId,
}

impl<'a> DeletedProjectionAnswer<'a> {
    /// The answer for the projection of this id.
    #[must_use]
    pub const fn new(definition_id: &'a ProjectionDefinitionId) -> Self {
        Self { status: "deleted", definition_id }
    }
}
