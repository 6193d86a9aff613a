//! Definitions of projections, and what the snapshots of an entity are kept under.

use serde::{Deserialize, Serialize};

use super::Progress;
use super::rules::Rules;
use crate::domain::identifiers::{OrganizationId, ProjectionDefinitionId, ProjectionName};
use crate::domain::json::JsonObject;
use crate::domain::stream_id::{EntityType, StreamKey};
use crate::domain::timestamp::Timestamp;
use crate::domain::upcaster::Upcasters;

/// A projection that somebody has defined: of every entity of a type, by rules of their own (BR-PRJ-005).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectionDefinition {
    /// Its id.
    pub id: ProjectionDefinitionId,
    /// Whose entities it is of; everybody's if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    /// What it is called.
    pub name: ProjectionName,
    /// Which entities it is of.
    pub entity_type: EntityType,
    /// The rules, as their owner wrote them.
    pub rules: JsonObject,
    /// How often the rules were given, from 1.
    pub version: u32,
    /// The rules before these: they answer for an entity until these have come as far as they had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<JsonObject>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its rules were given last.
    pub updated_at: Timestamp,
}

impl ProjectionDefinition {
    /// The most bytes of rules.
    pub const MAX_RULES_BYTES: usize = 16 * 1024;

    /// Gives it other rules. Returns whether they are others.
    pub fn redefine(&mut self, rules: JsonObject, now: Timestamp) -> bool {
        if rules == self.rules {
            return false;
        }
        self.before = Some(std::mem::replace(&mut self.rules, rules));
        self.version += 1;
        self.updated_at = now;
        true
    }

    /// The rules, and those before them, newest first.
    pub fn versions(&self) -> impl Iterator<Item = (RulesKey, Rules)> {
        let key = |version: u32| RulesKey { definition: Some(self.id.clone()), version, upcasters: 0 };
        let before = self.before.as_ref().map(|rules| (key(self.version.saturating_sub(1)), rules));
        // They were checked before they were saved.
        std::iter::once((key(self.version), &self.rules)).chain(before).filter_map(|(key, rules)| Some((key, Rules::parse(rules).ok()?)))
    }
}

/// Names rules, and a version of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RulesKey {
    /// Whose rules; none for [`Rules::standard`].
    pub definition: Option<ProjectionDefinitionId>,
    /// Which version of them.
    pub version: u32,
    /// Which upcasters the events go through first: 0 for none.
    pub upcasters: u32,
}

impl RulesKey {
    /// The name of the projection that every entity has.
    pub const STANDARD_NAME: &str = "default";

    /// The standard rules. Their version is that of this program: another, once they fold otherwise.
    #[must_use]
    pub const fn standard() -> Self {
        Self { definition: None, version: 1, upcasters: 0 }
    }

    /// The same rules, on events that went through these upcasters.
    #[must_use]
    pub fn after(self, upcasters: &Upcasters) -> Self {
        Self { upcasters: upcasters.digest(), ..self }
    }
}

/// What a snapshot is kept under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotKey {
    /// The entity's stream.
    pub stream: StreamKey,
    /// What the projection is called.
    pub name: ProjectionName,
    /// By which rules it is folded.
    pub rules: RulesKey,
}

impl SnapshotKey {
    /// The namespace of projections' ids (RFC 9562, version 5).
    const NAMESPACE: uuid::Uuid = uuid::Uuid::from_u128(0x6a1f_77c2_0d3b_4f5e_9c58_27be_41d0_93aa);

    /// The id of the projection, the same whatever its rules are.
    #[must_use]
    pub fn projection_id(&self) -> String {
        let organization = self.stream.organization.as_ref().map_or("", |organization| organization.as_str());
        let text = format!("{organization}\0{}\0{}", self.stream.stream, self.name);
        uuid::Uuid::new_v5(&Self::NAMESPACE, text.as_bytes()).hyphenated().to_string()
    }
}

/// A projection that was saved for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedProjection {
    /// What it is kept under.
    pub key: SnapshotKey,
    /// How far it was then.
    pub progress: Progress,
}
