//! Schemas of events: what the `data` of a type must look like, by schema version, and how older versions are read.

mod compatibility;
mod expansion;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::compatibility::incompatibilities;
use super::event::{BodyDigest, EventDetails};
use super::identifiers::{EventType, OrganizationId, SchemaVersion};
use super::json::JsonObject;
use super::timestamp::Timestamp;
use super::upcaster::{StepProblem, Upcaster, Upcasters};

/// The schemas of a type of event, all versions of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventSchemas {
    /// Whose events they are for; everybody's if nobody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    /// The type.
    pub event_type: EventType,
    /// What becomes of events that do not fit.
    pub enforcement: Enforcement,
    /// The versions, in the order in which they were registered.
    pub versions: Vec<SchemaOfVersion>,
    /// When anything of it was changed last.
    pub updated_at: Timestamp,
}

/// The schema of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemaOfVersion {
    /// The version, as events name it.
    pub version: SchemaVersion,
    /// What `data` must look like (JSON Schema).
    pub schema: JsonObject,
    /// How an older version is read in this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upcast: Option<Upcast>,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// How events of an older version are read in a newer one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Upcast {
    /// The older version.
    pub from: SchemaVersion,
    /// What is changed, as [`Upcaster::parse`] reads it.
    pub steps: Value,
}

/// What becomes of events that do not fit the schema of their type and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// Nothing: schemas are documents.
    #[default]
    Off,
    /// They are stored, and the log says so.
    Warn,
    /// They are refused.
    Reject,
}

impl Enforcement {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Off, Self::Warn, Self::Reject];

    /// The name in requests and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Reject => "reject",
        }
    }
}

impl EventSchemas {
    /// The most versions of a type.
    pub const MAX_VERSIONS: usize = 50;
    /// The most bytes of a schema.
    pub const MAX_BYTES: usize = 16 * 1024;
    /// The most types that may have schemas.
    pub const MAX_TYPES: usize = 500;

    /// The schema of a version.
    #[must_use]
    pub fn version(&self, version: &SchemaVersion) -> Option<&SchemaOfVersion> {
        self.versions.iter().find(|known| known.version == *version)
    }

    /// The upcasters that they declare.
    pub fn upcasters(&self) -> impl Iterator<Item = Upcaster> {
        // They were checked before they were saved.
        self.versions.iter().filter_map(|version| version.upcaster(&self.event_type)?.ok())
    }
}

impl SchemaOfVersion {
    /// The upcaster to this version, if there is one.
    #[must_use]
    pub fn upcaster(&self, event_type: &EventType) -> Option<Result<Upcaster, Vec<StepProblem>>> {
        let upcast = self.upcast.as_ref()?;
        Some(Upcaster::parse(event_type.clone(), upcast.from.clone(), self.version.clone(), &upcast.steps))
    }
}

/// Why an event does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The steps to what is wrong, from `data`.
    pub path: Vec<String>,
    /// What is wrong with it.
    pub message: String,
}

/// A schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSchema(pub String);

/// A schema, ready for use.
#[derive(Debug)]
pub struct CompiledSchema(jsonschema::Validator);

impl CompiledSchema {
    /// The most parts of a schema that an event is held to, those counted again that references lead to again.
    pub const MOST_PARTS: usize = 10_000;
    /// The most violations that are told of one event.
    pub const MOST_VIOLATIONS: usize = 20;

    /// Reads a schema. Nothing outside of it is looked up, and no pattern takes more than linear time.
    ///
    /// # Errors
    /// [`BadSchema`] says what is wrong with it.
    pub fn new(schema: &JsonObject) -> Result<Self, BadSchema> {
        let value = schema.to_value();
        if expansion::is_beyond(&value, Self::MOST_PARTS) {
            return Err(BadSchema(format!("its references stand for more than {} parts of it", Self::MOST_PARTS)));
        }
        let patterns = jsonschema::PatternOptions::regex().size_limit(1 << 20).dfa_size_limit(1 << 20);
        let options = jsonschema::options().with_pattern_options(patterns).should_validate_formats(true);
        options.build(&value).map(Self).map_err(|error| BadSchema(cut(&error.to_string())))
    }

    /// What is wrong with an event's `data`.
    #[must_use]
    pub fn violations(&self, data: &JsonObject) -> Vec<Violation> {
        let value = data.to_value();
        if self.0.is_valid(&value) {
            return Vec::new();
        }
        let violation = |error: jsonschema::ValidationError<'_>| {
            let path = error.instance_path().as_str().split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
            Violation { path, message: cut(&error.masked().to_string()) }
        };
        self.0.iter_errors(&value).take(Self::MOST_VIOLATIONS).map(violation).collect()
    }
}

fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}

/// Schemas that this process has used lately, ready for use again.
pub struct CompiledSchemas(Mutex<LruCache<BodyDigest, Arc<CompiledSchema>>>);

impl Default for CompiledSchemas {
    fn default() -> Self {
        const SCHEMAS: NonZeroUsize = NonZeroUsize::new(200).unwrap();
        Self(Mutex::new(LruCache::new(SCHEMAS)))
    }
}

impl CompiledSchemas {
    /// The schema, ready for use.
    ///
    /// # Errors
    /// [`BadSchema`], which none is that was checked before it was saved.
    pub fn get(&self, schema: &JsonObject) -> Result<Arc<CompiledSchema>, BadSchema> {
        let digest = BodyDigest::of(schema.as_str().as_bytes());
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return Ok(Arc::clone(known));
        }
        let compiled = Arc::new(CompiledSchema::new(schema)?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(digest, Arc::clone(&compiled));
        Ok(compiled)
    }
}

/// The schemas that events of one organization are held to, and how they are read.
#[derive(Debug, Clone, Default)]
pub struct SchemasInForce {
    by_type: BTreeMap<EventType, Arc<EventSchemas>>,
    upcasters: Upcasters,
}

impl SchemasInForce {
    /// Of all schemas, those of the organization, or else those of everybody.
    #[must_use]
    pub fn of<'a>(organization: Option<&OrganizationId>, all: impl Iterator<Item = &'a Arc<EventSchemas>>) -> Self {
        let mut mine: Vec<&Arc<EventSchemas>> =
            all.filter(|schemas| schemas.organization.is_none() || schemas.organization.as_ref() == organization).collect();
        // The organization's own come last, in the place of everybody's.
        mine.sort_by_key(|schemas| schemas.organization.is_some());
        let by_type: BTreeMap<_, _> = mine.into_iter().map(|schemas| (schemas.event_type.clone(), Arc::clone(schemas))).collect();
        let upcasters = Upcasters::new(by_type.values().flat_map(|schemas| schemas.upcasters().collect::<Vec<_>>()));
        Self { by_type, upcasters }
    }

    /// The schemas of a type.
    #[must_use]
    pub fn of_type(&self, event_type: &EventType) -> Option<&Arc<EventSchemas>> {
        self.by_type.get(event_type)
    }

    /// What is wrong with an event, and what becomes of it then; nothing if it fits, or is held to nothing.
    ///
    /// # Errors
    /// The violations, and whether they count.
    pub fn check(&self, details: &EventDetails, compiled: &CompiledSchemas) -> Result<(), (Enforcement, Vec<Violation>)> {
        let Some(schemas) = self.of_type(&details.event_type).filter(|schemas| schemas.enforcement != Enforcement::Off) else {
            return Ok(());
        };
        let Some(version) = schemas.version(&details.schema_version) else {
            let known: Vec<&str> = schemas.versions.iter().map(|version| version.version.as_str()).collect();
            let message = format!("{} has no schema version {}; it has {}", details.event_type, details.schema_version, known.join(", "));
            return Err((schemas.enforcement, vec![Violation { path: Vec::new(), message }]));
        };
        let violations = match compiled.get(&version.schema) {
            Ok(schema) => schema.violations(&details.data),
            Err(BadSchema(message)) => {
                tracing::error!(event_type = %details.event_type, %message, "a schema cannot be used");
                return Ok(());
            }
        };
        if violations.is_empty() { Ok(()) } else { Err((schemas.enforcement, violations)) }
    }

    /// How their events are read.
    #[must_use]
    pub const fn upcasters(&self) -> &Upcasters {
        &self.upcasters
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> JsonObject {
        JsonObject::parse(&value.to_string()).unwrap()
    }

    fn order() -> JsonObject {
        object(&json!({
            "type": "object", "required": ["total"],
            "properties": {"total": {"type": "number", "minimum": 0}, "mail": {"type": "string", "format": "email"}, "code": {"pattern": "^[A-Z]+$"}},
        }))
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_place_and_without_what_was_sent() {
        let schema = CompiledSchema::new(&order()).unwrap();
        assert_eq!(schema.violations(&object(&json!({"total": 5, "mail": "a@x.org"}))), []);
        let violations = schema.violations(&object(&json!({"total": -5, "mail": "secret", "code": "x"})));
        let mut paths: Vec<String> = violations.iter().map(|violation| violation.path.join(".")).collect();
        paths.sort();
        assert_eq!(paths, ["code", "mail", "total"]);
        assert!(violations.iter().all(|violation| !violation.message.contains("secret")), "{violations:?}");
    }

    #[test]
    fn a_schema_that_is_none_or_looks_elsewhere_is_refused() {
        for schema in [
            json!({"type": "nothing"}),
            json!({"pattern": "("}),
            json!({"$ref": "https://schemas.example/order.json"}),
            json!({"$ref": "file:///etc/passwd"}),
        ] {
            assert!(CompiledSchema::new(&object(&schema)).is_err(), "{schema}");
        }
    }

    #[test]
    fn a_pattern_takes_no_longer_than_its_text() {
        let schema = CompiledSchema::new(&object(&json!({"properties": {"a": {"pattern": "^(a+)+$"}}}))).unwrap();
        assert_eq!(schema.violations(&object(&json!({"a": format!("{}b", "a".repeat(50_000))}))).len(), 1);
    }
}
