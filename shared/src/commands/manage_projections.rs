//! Defines, lists and removes projections.

use std::sync::Arc;

use crate::domain::access::{Caller, ForeignOrganization};
use crate::domain::definitions::Definitions;
use crate::domain::identifiers::{OrganizationId, ProjectionDefinitionId, ProjectionName};
use crate::domain::json::JsonObject;
use crate::domain::projection::ProjectionDefinition;
use crate::domain::stream_id::EntityType;
use crate::ports::clock::Clock;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::projection_store::ProjectionDefinitionStore;
use crate::ports::random::Random;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// What managing projections needs.
#[derive(Clone, Copy)]
pub struct ManageProjectionsPorts<'a> {
    /// Where they are read.
    pub definitions: &'a dyn DefinitionStore,
    /// Where they are kept.
    pub projections: &'a dyn ProjectionDefinitionStore,
    /// Says when they were made.
    pub clock: &'a dyn Clock,
    /// Makes their ids.
    pub random: &'a dyn Random,
}

/// The most projections that there may be.
pub const MAX_PROJECTIONS: usize = 200;
/// How often a change is tried that others get in the way of.
const MOST_ROUNDS: usize = 10;

/// A projection as its owner describes it. Its rules were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionDraft {
    /// What it is called.
    pub name: ProjectionName,
    /// Which entities it is of.
    pub entity_type: EntityType,
    /// The rules.
    pub rules: JsonObject,
}

/// Why a projection was not defined, shown or removed.
#[derive(Debug, thiserror::Error)]
pub enum ManageProjectionsError {
    /// There is no such projection, or the caller may not know of it.
    #[error("projection not found")]
    NotFound,
    /// The caller is bound to one organization and names another.
    #[error(transparent)]
    Foreign(#[from] ForeignOrganization),
    /// There are too many.
    #[error("there are {MAX_PROJECTIONS} projections: there may be no more")]
    TooMany,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

type Managing<T> = Result<T, ManageProjectionsError>;

/// Defines a projection (BR-PRJ-005). One of the same name, of the same entities, gets these rules: a new version of it.
///
/// A caller that is bound to an organization defines projections of that organization's entities.
///
/// # Errors
/// [`ManageProjectionsError`]; nothing was changed then, unless the store failed.
pub async fn define_projection(
    ports: &ManageProjectionsPorts<'_>,
    caller: &Caller,
    organization: Option<OrganizationId>,
    draft: ProjectionDraft,
) -> Managing<ProjectionDefinition> {
    let organization = caller.organization_for(organization)?;
    let fresh = ProjectionDefinitionId::from_random(ports.random.secret());
    for _ in 0..MOST_ROUNDS {
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        let is_same = |other: &&Arc<ProjectionDefinition>| {
            other.organization == organization && other.name == draft.name && other.entity_type == draft.entity_type
        };
        let now = ports.clock.now();
        let definition = match definitions.projections().find(is_same) {
            Some(standing) => {
                let mut definition = ProjectionDefinition::clone(standing);
                if !definition.redefine(draft.rules.clone(), now) {
                    return Ok(definition);
                }
                definition
            }
            None if definitions.projections().count() >= MAX_PROJECTIONS => return Err(ManageProjectionsError::TooMany),
            None => ProjectionDefinition {
                id: fresh.clone(),
                organization: organization.clone(),
                name: draft.name.clone(),
                entity_type: draft.entity_type.clone(),
                rules: draft.rules.clone(),
                version: 1,
                before: None,
                created_at: now,
                updated_at: now,
            },
        };
        if ports.projections.save_projection(&definition, Revision(definitions.revision)).await? {
            return Ok(definition);
        }
    }
    Err(StoreError::Contended.into())
}

/// The projections that the caller's entities have: its organization's and the platform's, or all.
///
/// # Errors
/// [`ManageProjectionsError::Store`] if the store failed.
pub async fn list_projections(ports: &ManageProjectionsPorts<'_>, caller: &Caller) -> Managing<Vec<Arc<ProjectionDefinition>>> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    Ok(definitions.projections().filter(|definition| is_shown(definition, caller)).cloned().collect())
}

/// A projection's definition.
///
/// # Errors
/// [`ManageProjectionsError::NotFound`] if there is none that the caller may know of.
pub async fn get_projection(
    ports: &ManageProjectionsPorts<'_>,
    caller: &Caller,
    id: &ProjectionDefinitionId,
) -> Managing<Arc<ProjectionDefinition>> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let found = definitions.projections().find(|definition| definition.id == *id && is_shown(definition, caller));
    found.cloned().ok_or(ManageProjectionsError::NotFound)
}

/// The platform's projections are of every organization's entities: they are read by everybody, and changed by the platform.
fn is_shown(definition: &ProjectionDefinition, caller: &Caller) -> bool {
    definition.organization.is_none() || caller.sees(definition.organization.as_ref())
}

/// Removes a projection: no entity has it any more.
///
/// # Errors
/// [`ManageProjectionsError::NotFound`] if there is none that the caller may change.
pub async fn remove_projection(ports: &ManageProjectionsPorts<'_>, caller: &Caller, id: &ProjectionDefinitionId) -> Managing<()> {
    for _ in 0..MOST_ROUNDS {
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        let is_own = |definitions: &Definitions| {
            definitions.projections().any(|definition| definition.id == *id && caller.sees(definition.organization.as_ref()))
        };
        if !is_own(&definitions) {
            return Err(ManageProjectionsError::NotFound);
        }
        if ports.projections.remove_projection(id, Revision(definitions.revision)).await? {
            return Ok(());
        }
    }
    Err(StoreError::Contended.into())
}
