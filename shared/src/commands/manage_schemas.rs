//! Registers, lists and removes schemas of events.

use std::sync::Arc;

use crate::domain::access::{Caller, ForeignOrganization};
use crate::domain::definitions::Definitions;
use crate::domain::event_schema::{BadSchema, CompiledSchema, Enforcement, EventSchemas, SchemaOfVersion, Upcast, incompatibilities};
use crate::domain::identifiers::{EventType, OrganizationId, SchemaVersion};
use crate::domain::json::JsonObject;
use crate::domain::timestamp::Timestamp;
use crate::domain::upcaster::{StepProblem, Upcasters};
use crate::ports::clock::Clock;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::revision::Revision;
use crate::ports::schema_store::SchemaStore;
use crate::ports::store_error::StoreError;

/// What managing schemas needs.
#[derive(Clone, Copy)]
pub struct ManageSchemasPorts<'a> {
    /// Where they are read.
    pub definitions: &'a dyn DefinitionStore,
    /// Where they are kept.
    pub schemas: &'a dyn SchemaStore,
    /// Says when they were registered.
    pub clock: &'a dyn Clock,
}

/// How often a change is tried that others get in the way of.
const MOST_ROUNDS: usize = 10;

/// What is to be registered.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaDraft {
    /// The type of event.
    pub event_type: EventType,
    /// A version and its schema, if there is a new one.
    pub version: Option<VersionDraft>,
    /// What becomes of events that do not fit, if that changes.
    pub enforcement: Option<Enforcement>,
}

/// A version and its schema.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionDraft {
    /// The version.
    pub version: SchemaVersion,
    /// Its schema.
    pub schema: JsonObject,
    /// How an older version is read in it.
    pub upcast: Option<Upcast>,
    /// What it has to fit.
    pub compatibility: Compatibility,
}

/// What a new schema has to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compatibility {
    /// What was written by the version before, unless that is read through an upcaster.
    #[default]
    Backward,
    /// Nothing.
    None,
}

/// Why a schema was not registered, shown or removed.
#[derive(Debug, thiserror::Error)]
pub enum ManageSchemasError {
    /// There is none, or the caller may not know of it.
    #[error("schema not found")]
    NotFound,
    /// The caller is bound to one organization and names another.
    #[error(transparent)]
    Foreign(#[from] ForeignOrganization),
    /// It is no schema.
    #[error("it is no JSON Schema: {0}")]
    Bad(#[from] BadSchema),
    /// Its steps cannot be understood.
    #[error("the steps cannot be understood")]
    Steps(Vec<StepProblem>),
    /// Its upcaster leads back.
    #[error("the upcaster leads back to where it starts: an event would be read for ever")]
    Loop,
    /// The version has another schema.
    #[error("version {0} has another schema: a schema that changes is another version")]
    VersionTaken(SchemaVersion),
    /// Events of the version before would not fit.
    #[error("it may refuse what version {before} took: {}; register it with an upcaster, or with \"compatibility\": \"none\"", .problems.join(", "))]
    Incompatible {
        /// The version before.
        before: SchemaVersion,
        /// Where.
        problems: Vec<String>,
    },
    /// There are too many versions or types.
    #[error("there are {0}: there may be no more")]
    TooMany(String),
    /// There is nothing that could be enforced.
    #[error("there is no schema of this type: register one first")]
    NothingToEnforce,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

type Managing<T> = Result<T, ManageSchemasError>;

/// Registers a version of a schema, or changes what becomes of events that do not fit.
///
/// # Errors
/// [`ManageSchemasError`]; nothing was changed then, unless the store failed.
pub async fn register_schema(
    ports: &ManageSchemasPorts<'_>,
    caller: &Caller,
    organization: Option<OrganizationId>,
    draft: SchemaDraft,
) -> Managing<EventSchemas> {
    let organization = caller.organization_for(organization)?;
    if let Some(version) = &draft.version {
        CompiledSchema::new(&version.schema)?;
    }
    for _ in 0..MOST_ROUNDS {
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        let standing = definitions.schemas().find(|schemas| schemas.organization == organization && schemas.event_type == draft.event_type);
        let decided = decide(&definitions, standing.map(|standing| &**standing), organization.as_ref(), &draft, ports.clock.now())?;
        if standing.is_some_and(|standing| standing.versions == decided.versions && standing.enforcement == decided.enforcement) {
            return Ok(decided);
        }
        if ports.schemas.save_schemas(&decided, Revision(definitions.revision)).await? {
            return Ok(decided);
        }
    }
    Err(StoreError::Contended.into())
}

fn decide(
    definitions: &Definitions,
    standing: Option<&EventSchemas>,
    organization: Option<&OrganizationId>,
    draft: &SchemaDraft,
    now: Timestamp,
) -> Managing<EventSchemas> {
    let mut schemas = standing.cloned().unwrap_or_else(|| EventSchemas {
        organization: organization.cloned(),
        event_type: draft.event_type.clone(),
        enforcement: Enforcement::Off,
        versions: Vec::new(),
        updated_at: now,
    });
    if let Some(enforcement) = draft.enforcement {
        schemas.enforcement = enforcement;
    }
    let Some(draft) = &draft.version else {
        return if schemas.versions.is_empty() {
            Err(ManageSchemasError::NothingToEnforce)
        } else {
            Ok(EventSchemas { updated_at: now, ..schemas })
        };
    };
    if let Some(known) = schemas.version(&draft.version) {
        let same = known.schema == draft.schema && known.upcast == draft.upcast;
        return if same { Ok(schemas) } else { Err(ManageSchemasError::VersionTaken(draft.version.clone())) };
    }
    if standing.is_none() && definitions.schemas().count() >= EventSchemas::MAX_TYPES {
        return Err(ManageSchemasError::TooMany(format!("schemas of {} types", EventSchemas::MAX_TYPES)));
    }
    if schemas.versions.len() >= EventSchemas::MAX_VERSIONS {
        return Err(ManageSchemasError::TooMany(format!("{} versions", EventSchemas::MAX_VERSIONS)));
    }
    let version =
        SchemaOfVersion { version: draft.version.clone(), schema: draft.schema.clone(), upcast: draft.upcast.clone(), created_at: now };
    if let Some(before) = schemas.versions.last() {
        let is_upcast = draft.upcast.as_ref().is_some_and(|upcast| upcast.from == before.version);
        let problems = incompatibilities(&before.schema, &draft.schema);
        if draft.compatibility == Compatibility::Backward && !is_upcast && !problems.is_empty() {
            return Err(ManageSchemasError::Incompatible { before: before.version.clone(), problems });
        }
    }
    if let Some(upcaster) = version.upcaster(&schemas.event_type) {
        let upcaster = upcaster.map_err(ManageSchemasError::Steps)?;
        if Upcasters::new(schemas.upcasters()).would_loop(&upcaster) {
            return Err(ManageSchemasError::Loop);
        }
    }
    schemas.versions.push(version);
    Ok(EventSchemas { updated_at: now, ..schemas })
}

/// The schemas that the caller's events are held to: its organization's and everybody's, or all.
///
/// # Errors
/// [`ManageSchemasError::Store`] if the store failed.
pub async fn list_schemas(ports: &ManageSchemasPorts<'_>, caller: &Caller) -> Managing<Vec<Arc<EventSchemas>>> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let is_shown = |schemas: &&Arc<EventSchemas>| schemas.organization.is_none() || caller.sees(schemas.organization.as_ref());
    Ok(definitions.schemas().filter(is_shown).cloned().collect())
}

/// The schemas of a type: those of an organization, or else everybody's.
///
/// # Errors
/// [`ManageSchemasError::NotFound`] if there are none that the caller may know of.
pub async fn get_schemas(
    ports: &ManageSchemasPorts<'_>,
    caller: &Caller,
    organization: Option<OrganizationId>,
    event_type: &EventType,
) -> Managing<Arc<EventSchemas>> {
    let organization = caller.organization_for(organization)?;
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let found = definitions.schemas_in_force(organization.as_ref()).of_type(event_type);
    found.cloned().ok_or(ManageSchemasError::NotFound)
}

/// Removes the schemas of a type, upcasters included.
///
/// # Errors
/// [`ManageSchemasError::NotFound`] if there are none that the caller may change.
pub async fn remove_schemas(
    ports: &ManageSchemasPorts<'_>,
    caller: &Caller,
    organization: Option<OrganizationId>,
    event_type: &EventType,
) -> Managing<()> {
    let organization = caller.organization_for(organization)?;
    for _ in 0..MOST_ROUNDS {
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        if !definitions.schemas().any(|schemas| schemas.event_type == *event_type && schemas.organization == organization) {
            return Err(ManageSchemasError::NotFound);
        }
        if ports.schemas.remove_schemas(organization.as_ref(), event_type, Revision(definitions.revision)).await? {
            return Ok(());
        }
    }
    Err(StoreError::Contended.into())
}
