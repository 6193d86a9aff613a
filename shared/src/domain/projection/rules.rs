//! The rules of a projection: what each type of event changes in the state.

use std::cell::OnceCell;

use serde_json::{Map, Value};

use crate::domain::document::{Document, Node, Unfit, parse_path};
use crate::domain::event::Event;
use crate::domain::identifiers::{CorrelationId, DeviceId, OrganizationId, SessionId, UserId};
use crate::domain::json::JsonObject;
use crate::domain::selector::TypePattern;

/// What each type of event changes in the state of its entity.
///
/// Written as an object: a type of event, in which `*` stands for any run of characters, and the list of its operations.
/// Those of every pattern that fits are done: those with fewer fixed characters first, and those of the exact type last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Those of [`Rules::standard`].
    Standard,
    Declared(Vec<Rule>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    types: TypePattern,
    operations: Vec<Operation>,
}

/// A change of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Operation {
    Set { path: Vec<String>, value: Template },
    Merge { path: Vec<String>, value: Template },
    Increment { path: Vec<String>, by: Template },
    Append { path: Vec<String>, value: Template, keep: usize },
    Remove { path: Vec<String> },
    Count { path: Vec<String> },
}

/// A value that is made of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Template {
    /// This value.
    Fixed(Node),
    /// What the event has there.
    Of { field: Field, path: Vec<String>, text: String, need: Need },
    /// An object of such values.
    Object(Vec<(String, Template)>),
    /// A list of such values.
    List(Vec<Template>),
}

/// Whether a rule can do without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It cannot: an event without it is skipped.
    Required,
    /// It can: what would be made of it is left out.
    Optional,
}

/// A member of an event, by its name in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    EventId,
    EventType,
    EventSource,
    EventCategory,
    UserId,
    SessionId,
    DeviceId,
    OrganizationId,
    CorrelationId,
    StreamId,
    StreamVersion,
    SchemaVersion,
    Timestamp,
    CreatedAt,
    Data,
    Metadata,
    Context,
    Properties,
}

/// A part of `rules` cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// The steps to it, from `rules`.
    pub path: Vec<String>,
    /// What is wrong with it.
    pub message: String,
}

/// Where the standard rules keep what they count.
const EVENTS: &str = "_events";

impl Rules {
    /// The most types and patterns.
    pub const MAX_PATTERNS: usize = 100;
    /// The most operations of all types together.
    pub const MAX_OPERATIONS: usize = 500;
    /// The most items that `keep` may let stay.
    pub const MAX_KEPT: usize = 10_000;

    /// The rules of the projection that every entity has: the members of `data` are merged into the state (RFC 7396), and
    /// `_events` has, for each type of event, how many there were (`count`) and the `last` of them. A member `_events` of an
    /// event's own is left out.
    #[must_use]
    pub const fn standard() -> Self {
        Self(Kind::Standard)
    }

    /// Reads `rules`.
    ///
    /// An operation is an object with one member: `set`, `merge`, `increment` or `append`, each with an object of values by
    /// path, or `remove` or `count`, each with a path or a list of paths. `append` may have `keep` beside it: how many items
    /// stay. `merge` may also have one value, which is merged into the state itself. A text that starts with `$` is a path
    /// into the event, such as `$data.total`; if it ends with `?`, events may lack it. `$$` stands for a `$`.
    ///
    /// # Errors
    /// Everything that cannot be understood.
    pub fn parse(rules: &JsonObject) -> Result<Self, Vec<RuleProblem>> {
        let exact = Node::parse(rules.as_str()).unwrap_or(Node::list([]));
        let mut reader = Reader { exact, operations: 0, path: Vec::new(), problems: Vec::new() };
        let mut declared = Vec::new();
        let value = rules.to_value();
        let members = value.as_object().cloned().unwrap_or_default();
        if members.is_empty() || members.len() > Self::MAX_PATTERNS {
            reader.problem(format!("must name 1 to {} types of events", Self::MAX_PATTERNS));
        }
        for (types, operations) in &members {
            reader.path = vec![types.clone()];
            match types.parse() {
                Ok(pattern) => declared.push(Rule { types: pattern, operations: reader.operations(operations) }),
                Err(error) => reader.problem(format!("the type {error}")),
            }
        }
        declared.sort_by(|one, other| one.rank().cmp(&other.rank()));
        if reader.problems.is_empty() { Ok(Self(Kind::Declared(declared))) } else { Err(reader.problems) }
    }

    /// Changes the state as the rules say of this event; on an error, in part.
    pub(super) fn apply(&self, state: &mut Document, event: &Event) -> Result<(), Unfit> {
        let seen = Seen::new(event);
        match &self.0 {
            Kind::Standard => apply_standard(state, &seen),
            Kind::Declared(rules) => {
                let fitting = rules.iter().filter(|rule| rule.types.matches(&event.details.event_type));
                fitting.flat_map(|rule| &rule.operations).try_for_each(|operation| operation.apply(state, &seen))
            }
        }
    }
}

fn apply_standard(state: &mut Document, seen: &Seen<'_>) -> Result<(), Unfit> {
    match seen.object(Field::Data) {
        // What an event calls so is not what is kept of events.
        Some(Node::Object(members)) if members.contains_key(EVENTS) => {
            let others = members.iter().filter(|(name, _)| *name != EVENTS);
            state.merge(&[], &Node::object(others.map(|(name, node)| (name.clone(), node.clone()))))?;
        }
        Some(data) => state.merge(&[], data)?,
        None => {}
    }
    let at = |last: &str| vec![EVENTS.to_owned(), seen.event.details.event_type.as_str().to_owned(), last.to_owned()];
    state.increment(&at("count"), &Node::number(1))?;
    let fields =
        [("event_id", Field::EventId), ("timestamp", Field::Timestamp), ("stream_version", Field::StreamVersion), ("data", Field::Data)];
    let last = fields.into_iter().filter_map(|(name, field)| Some((name.to_owned(), seen.value(field)?)));
    state.set(&at("last"), Node::object(last))
}

impl Rule {
    /// Patterns before exact types, general ones before those that say more.
    fn rank(&self) -> (bool, usize, &str) {
        let text = self.types.as_str();
        (!text.contains('*'), text.chars().filter(|character| *character != '*').count(), text)
    }
}

impl Operation {
    fn apply(&self, state: &mut Document, seen: &Seen<'_>) -> Result<(), Unfit> {
        match self {
            Self::Set { path, value } => value.make(seen)?.map_or(Ok(()), |value| state.set(path, value)),
            Self::Merge { path, value } => value.make(seen)?.map_or(Ok(()), |value| state.merge(path, &value)),
            Self::Increment { path, by } => by.make(seen)?.map_or(Ok(()), |by| state.increment(path, &by)),
            Self::Append { path, value, keep } => value.make(seen)?.map_or(Ok(()), |value| state.append(path, value, *keep)),
            Self::Remove { path } => state.remove(path),
            Self::Count { path } => state.increment(path, &Node::number(1)),
        }
    }
}

impl Template {
    /// The value for this event; none if the event lacks what it can do without.
    fn make(&self, seen: &Seen<'_>) -> Result<Option<Node>, Unfit> {
        match self {
            Self::Fixed(node) => Ok(Some(node.clone())),
            Self::Of { field, path, text, need } => match (seen.at(*field, path), need) {
                (Some(node), Need::Required | Need::Optional) => Ok(Some(node)),
                (None, Need::Optional) => Ok(None),
                (None, Need::Required) => Err(Unfit::Absent(text.clone())),
            },
            Self::Object(members) => {
                let mut made = std::collections::BTreeMap::new();
                for (name, template) in members {
                    if let Some(node) = template.make(seen)? {
                        made.insert(name.clone(), node);
                    }
                }
                Ok(Some(Node::object(made)))
            }
            Self::List(items) => {
                let made: Result<Vec<Option<Node>>, Unfit> = items.iter().map(|item| item.make(seen)).collect();
                Ok(Some(Node::list(made?.into_iter().flatten())))
            }
        }
    }
}

impl Field {
    const ALL: &'static [(&'static str, Self)] = &[
        ("event_id", Self::EventId),
        ("event_type", Self::EventType),
        ("event_source", Self::EventSource),
        ("event_category", Self::EventCategory),
        ("user_id", Self::UserId),
        ("session_id", Self::SessionId),
        ("device_id", Self::DeviceId),
        ("organization_id", Self::OrganizationId),
        ("correlation_id", Self::CorrelationId),
        ("stream_id", Self::StreamId),
        ("stream_version", Self::StreamVersion),
        ("schema_version", Self::SchemaVersion),
        ("timestamp", Self::Timestamp),
        ("created_at", Self::CreatedAt),
        ("data", Self::Data),
        ("metadata", Self::Metadata),
        ("context", Self::Context),
        ("properties", Self::Properties),
    ];

    const fn has_members(self) -> bool {
        matches!(self, Self::Data | Self::Metadata | Self::Context | Self::Properties)
    }
}

/// An event as rules look into it.
struct Seen<'a> {
    event: &'a Event,
    data: OnceCell<Option<Node>>,
    metadata: OnceCell<Option<Node>>,
    context: OnceCell<Option<Node>>,
    properties: OnceCell<Option<Node>>,
}

impl<'a> Seen<'a> {
    const fn new(event: &'a Event) -> Self {
        Self { event, data: OnceCell::new(), metadata: OnceCell::new(), context: OnceCell::new(), properties: OnceCell::new() }
    }

    fn at(&self, field: Field, path: &[String]) -> Option<Node> {
        if path.is_empty() { self.value(field) } else { self.object(field)?.at(path).cloned() }
    }

    fn object(&self, field: Field) -> Option<&Node> {
        let details = &self.event.details;
        let (cell, object) = match field {
            Field::Data => (&self.data, &details.data),
            Field::Metadata => (&self.metadata, &details.metadata),
            Field::Context => (&self.context, &details.context),
            Field::Properties => (&self.properties, &details.properties),
            Field::EventId
            | Field::EventType
            | Field::EventSource
            | Field::EventCategory
            | Field::UserId
            | Field::SessionId
            | Field::DeviceId
            | Field::OrganizationId
            | Field::CorrelationId
            | Field::StreamId
            | Field::StreamVersion
            | Field::SchemaVersion
            | Field::Timestamp
            | Field::CreatedAt => return None,
        };
        cell.get_or_init(|| Node::parse(object.as_str()).ok()).as_ref()
    }

    fn value(&self, field: Field) -> Option<Node> {
        let (event, details) = (self.event, &self.event.details);
        Some(match field {
            Field::EventId => Node::text(&event.id.to_string()),
            Field::EventType => Node::text(details.event_type.as_str()),
            Field::EventSource => Node::text(details.source.as_str()),
            Field::EventCategory => Node::text(details.category.as_str()),
            Field::UserId => Node::text(details.user.as_ref().map(UserId::as_str)?),
            Field::SessionId => Node::text(details.session.as_ref().map(SessionId::as_str)?),
            Field::DeviceId => Node::text(details.device.as_ref().map(DeviceId::as_str)?),
            Field::OrganizationId => Node::text(event.organization().map(OrganizationId::as_str)?),
            Field::CorrelationId => Node::text(details.correlation.as_ref().map(CorrelationId::as_str)?),
            Field::StreamId => Node::text(&event.stream.stream.to_string()),
            Field::StreamVersion => Node::number(event.stream_version.get()),
            Field::SchemaVersion => Node::text(details.schema_version.as_str()),
            Field::Timestamp => Node::text(&event.occurred_at.to_string()),
            Field::CreatedAt => Node::text(&event.recorded_at.to_string()),
            Field::Data | Field::Metadata | Field::Context | Field::Properties => self.object(field)?.clone(),
        })
    }
}

/// Reads rules, and notes all that is wrong with them.
struct Reader {
    /// What it reads, with numbers as they were written.
    exact: Node,
    operations: usize,
    /// Where it is.
    path: Vec<String>,
    problems: Vec<RuleProblem>,
}

impl Reader {
    fn problem(&mut self, message: impl Into<String>) {
        self.problems.push(RuleProblem { path: self.path.clone(), message: message.into() });
    }

    fn inside<T>(&mut self, step: impl Into<String>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step.into());
        let found = read(self);
        self.path.pop();
        found
    }

    fn operations(&mut self, value: &Value) -> Vec<Operation> {
        let mut found = Vec::new();
        let Some(items) = value.as_array().filter(|items| !items.is_empty()) else {
            self.problem("must be a list of operations");
            return found;
        };
        for (index, item) in items.iter().enumerate() {
            self.inside(index.to_string(), |reader| reader.operation(item, &mut found));
        }
        self.operations += found.len();
        if self.operations > Rules::MAX_OPERATIONS {
            self.problem(format!("must have at most {} operations together", Rules::MAX_OPERATIONS));
        }
        found
    }

    fn operation(&mut self, item: &Value, found: &mut Vec<Operation>) {
        const NAMES: &str = "must be an object with one of set, merge, increment, append, remove and count";
        let Some(members) = item.as_object() else { return self.problem(NAMES) };
        let named: Vec<(&String, &Value)> = members.iter().filter(|(name, _)| *name != "keep").collect();
        let [(name, operand)] = named.as_slice() else { return self.problem(NAMES) };
        let keep = match members.get("keep") {
            None => Some(usize::MAX),
            Some(keep) if *name == "append" => {
                keep.as_u64().and_then(|keep| usize::try_from(keep).ok()).filter(|keep| (1..=Rules::MAX_KEPT).contains(keep))
            }
            Some(_) => return self.problem("keep goes with append alone"),
        };
        let Some(keep) = keep else {
            return self.inside("keep", |reader| reader.problem(format!("must be a number from 1 to {}", Rules::MAX_KEPT)));
        };
        self.inside(name.as_str(), |reader| match (name.as_str(), operand) {
            ("merge", Value::String(_)) => {
                if let Some(value) = reader.template(operand) {
                    found.push(Operation::Merge { path: Vec::new(), value });
                }
            }
            ("set" | "merge" | "increment" | "append", Value::Object(values)) => {
                for (path, value) in values {
                    reader.inside(path.as_str(), |reader| {
                        let (path, value) = (reader.path_of(path), reader.template(value));
                        let (Some(path), Some(value)) = (path, value) else { return };
                        found.push(match name.as_str() {
                            "set" => Operation::Set { path, value },
                            "merge" => Operation::Merge { path, value },
                            "increment" => Operation::Increment { path, by: value },
                            _ => Operation::Append { path, value, keep },
                        });
                    });
                }
            }
            ("set" | "merge" | "increment" | "append", _) => reader.problem("must be an object of values by path"),
            ("remove" | "count", Value::String(_) | Value::Array(_)) => {
                let paths: Vec<&Value> = operand.as_array().map_or_else(|| vec![*operand], |paths| paths.iter().collect());
                for path in paths {
                    let Some(path) = path.as_str() else {
                        reader.problem("must be a path or a list of paths");
                        continue;
                    };
                    if let Some(path) = reader.path_of(path) {
                        found.push(if *name == "count" { Operation::Count { path } } else { Operation::Remove { path } });
                    }
                }
            }
            ("remove" | "count", _) => reader.problem("must be a path or a list of paths"),
            _ => reader.problem("is no operation: set, merge, increment, append, remove and count are"),
        });
    }

    fn path_of(&mut self, text: &str) -> Option<Vec<String>> {
        parse_path(text).map_err(|error| self.problem(error.to_string())).ok()
    }

    fn template(&mut self, value: &Value) -> Option<Template> {
        match value {
            Value::String(text) => match text.strip_prefix('$') {
                None => Some(Template::Fixed(Node::text(text))),
                Some(rest) if rest.starts_with('$') => Some(Template::Fixed(Node::text(rest))),
                Some(rest) => self.reference(rest),
            },
            Value::Object(members) => self.object(members),
            Value::Array(items) => {
                let mut made = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    made.push(self.inside(index.to_string(), |reader| reader.template(item))?);
                }
                Some(Template::List(made))
            }
            // As it was written: a number of many digits is another one once it was read.
            Value::Null | Value::Bool(_) | Value::Number(_) => self.exact.at(&self.path).cloned().map(Template::Fixed),
        }
    }

    fn object(&mut self, members: &Map<String, Value>) -> Option<Template> {
        let mut made = Vec::with_capacity(members.len());
        for (name, value) in members {
            made.push((name.clone(), self.inside(name.as_str(), |reader| reader.template(value))?));
        }
        Some(Template::Object(made))
    }

    fn reference(&mut self, rest: &str) -> Option<Template> {
        let (text, need) = rest.strip_suffix('?').map_or((rest, Need::Required), |text| (text, Need::Optional));
        let (name, inner) = text.split_once('.').map_or((text, None), |(name, inner)| (name, Some(inner)));
        let Some((_, field)) = Field::ALL.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = Field::ALL.iter().map(|(name, _)| *name).collect();
            self.problem(format!("${name} is not of an event; these are: {}. A text that starts with $ is written $$", known.join(", ")));
            return None;
        };
        let path = match inner {
            None => Vec::new(),
            Some(_) if !field.has_members() => {
                self.problem(format!("${name} has no members"));
                return None;
            }
            Some(inner) => self.path_of(inner)?,
        };
        Some(Template::Of { field: *field, path, text: text.to_owned(), need })
    }
}
