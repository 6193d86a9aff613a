//! Schemas of events.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::event_schema::{EventSchemas, SchemaOfVersion, Upcast};
use crate::domain::identifiers::{EventType, OrganizationId, SchemaVersion};
use crate::domain::json::JsonObject;
use crate::domain::timestamp::Timestamp;
use crate::http::openapi::schemas::{EnforcementSchema, JsonObjectSchema, MomentSchema};

/// The schemas of a type of event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventSchemas)]
pub struct SchemasAnswer<'a> {
    /// The type.
    #[schema(value_type = String, example = "order.placed")]
    pub event_type: &'a EventType,
    /// Whose events are meant; null for everybody's.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// What becomes of events that do not fit.
    #[schema(value_type = EnforcementSchema)]
    pub enforcement: &'static str,
    /// The versions, in the order in which they were registered.
    pub versions: Vec<SchemaVersionAnswer<'a>>,
    /// When anything of it was changed last.
    #[schema(value_type = MomentSchema)]
    pub updated_at: Timestamp,
}

impl<'a> From<&'a EventSchemas> for SchemasAnswer<'a> {
    fn from(schemas: &'a EventSchemas) -> Self {
        Self {
            event_type: &schemas.event_type,
            organization_id: schemas.organization.as_ref(),
            enforcement: schemas.enforcement.as_str(),
            versions: schemas.versions.iter().map(SchemaVersionAnswer::from).collect(),
            updated_at: schemas.updated_at,
        }
    }
}

/// The schema of one version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventSchemaVersion)]
pub struct SchemaVersionAnswer<'a> {
    /// The version.
    #[schema(value_type = String, example = "1.0.0")]
    pub version: &'a SchemaVersion,
    /// What `data` must look like.
    #[schema(value_type = JsonObjectSchema)]
    pub schema: &'a JsonObject,
    /// How an older version is read in this one.
    #[schema(value_type = Option<UpcastAnswer<'static>>, required)]
    pub upcast: Option<UpcastAnswer<'a>>,
    /// When it was registered.
    #[schema(value_type = MomentSchema)]
    pub created_at: Timestamp,
}

impl<'a> From<&'a SchemaOfVersion> for SchemaVersionAnswer<'a> {
    fn from(version: &'a SchemaOfVersion) -> Self {
        Self {
            version: &version.version,
            schema: &version.schema,
            upcast: version.upcast.as_ref().map(UpcastAnswer::from),
            created_at: version.created_at,
        }
    }
}

/// How events of an older version are read in a newer one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeclaredUpcast)]
pub struct UpcastAnswer<'a> {
    /// The older version.
    #[schema(value_type = String, example = "1.0.0")]
    pub from: &'a SchemaVersion,
    /// What is changed, in this order.
    #[schema(value_type = Vec<JsonObjectSchema>)]
    pub steps: &'a Value,
}

impl<'a> From<&'a Upcast> for UpcastAnswer<'a> {
    fn from(upcast: &'a Upcast) -> Self {
        Self { from: &upcast.from, steps: &upcast.steps }
    }
}

/// The schemas of a type are removed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedSchemas)]
pub struct DeletedSchemasAnswer<'a> {
    /// Always `deleted`.
    #[schema(value_type = String, example = "deleted")]
    pub status: &'static str,
    /// The type.
    #[schema(value_type = String)]
    pub event_type: &'a EventType,
}

impl<'a> DeletedSchemasAnswer<'a> {
    /// The answer for this type.
    #[must_use]
    pub const fn new(event_type: &'a EventType) -> Self {
        Self { status: "deleted", event_type }
    }
}
