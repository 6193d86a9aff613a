//! Transforms: a derived event, made of another by rules that its owner declares.

use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value, json};

use super::category::EventCategory;
use super::document::MAX_STEPS;
use super::event::{Event, EventDetails, EventDraft};
use super::event_id::EventId;
use super::identifiers::{CorrelationId, EventType, ProcessorId};
use super::json::JsonObject;
use super::processor::ConfigProblem;
use super::query::member;
use super::source::EventSource;
use super::trace::TraceParent;
use super::version::ExpectedVersion;

/// What makes one event of another. Applied in the order of the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Transform {
    /// The type of the derived event.
    pub event_type: EventType,
    /// Its source, if not that of the other.
    pub source: Option<EventSource>,
    /// Its category, if not that of the other.
    pub category: Option<EventCategory>,
    /// The members of `data` that it takes over; all if none are named.
    pub pick: Option<Vec<String>>,
    /// Members that get another name or place.
    pub rename: Vec<(String, String)>,
    /// Members that get a fixed value.
    pub set: Vec<(String, Value)>,
    /// Members whose text is made by a template of the other event, such as `Order {{ data.order_id }}`.
    pub template: Vec<(String, String)>,
    /// Members that are left out.
    pub drop: Vec<String>,
}

/// Why no event was derived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// So many events have been derived of one that there shall be no more.
    #[error("refused: an event may have {} others derived of it, and their share is used up", Transform::MAX_DERIVED)]
    TooMany,
    /// The event was made by this processor, or by a long chain of others.
    #[error("refused: the event was derived by this processor, or through {} others; it would go on for ever", Transform::MAX_DEPTH)]
    Loop,
    /// A template failed.
    #[error("the template of {field} failed: {reason}")]
    Template {
        /// The member that it makes.
        field: String,
        /// Why.
        reason: String,
    },
    /// What came of it cannot be stored.
    #[error("the derived event cannot be stored: {0}")]
    Unfit(String),
}

/// Where `metadata` of a derived event says what it was made of.
const CAUSATION: &str = "causation_id";
/// Where `metadata` of a derived event says through which processors it came.
const DERIVED_BY: &str = "derived_by";
/// Where `metadata` of a derived event says how many more may be derived of it.
const SHARE: &str = "derivations_left";
/// What only this service may say in the `metadata` of an event: an event that says it itself would be derived of no more.
pub const RESERVED: [&str; 2] = [DERIVED_BY, SHARE];
/// How many steps a template may take.
const FUEL: u64 = 20_000;
/// The names of events' derived ids are of this namespace (RFC 9562, version 5).
const NAMESPACE: uuid::Uuid = uuid::Uuid::from_u128(0x6f1b_7c1e_52d4_4b0a_9f0e_3a7d_c4b8_21a5);

impl Transform {
    /// Through how many processors an event may have come.
    pub const MAX_DEPTH: usize = 8;
    /// About how many events may be derived of one, directly or through others.
    pub const MAX_DERIVED: u64 = 100;
    /// The most rules of each sort.
    const MAX_RULES: usize = 100;

    /// Reads a processor's `config`, or the `mapping` in it.
    ///
    /// # Errors
    /// Everything that cannot be understood.
    pub fn parse(config: &Value) -> Result<Self, Vec<ConfigProblem>> {
        let mapping = config.get("mapping").filter(|mapping| mapping.is_object()).unwrap_or(config);
        let mut problems = Vec::new();
        let typed = if mapping.get("event_type").is_some() { mapping } else { config };
        let event_type = word(typed, "event_type", &mut problems);
        if event_type.as_ref().is_some_and(|event_type: &EventType| event_type.as_str().chars().count() > EventType::MAX_CHARS) {
            problems.push(ConfigProblem::new("event_type", format!("must have at most {} characters", EventType::MAX_CHARS)));
        }
        if event_type.is_none() && problems.is_empty() {
            problems.push(ConfigProblem::new("event_type", "is required: the type of the derived event"));
        }
        let source = word(mapping, "event_source", &mut problems);
        let category = word(mapping, "event_category", &mut problems);
        let pick = paths(mapping, "pick", &mut problems);
        let drop = paths(mapping, "drop", &mut problems).unwrap_or_default();
        let texts = |field: &str, problems: &mut Vec<ConfigProblem>| -> Vec<(String, String)> {
            let mut texts = Vec::new();
            for (name, value) in rules(mapping, field, problems) {
                match value.as_str() {
                    Some(text) => {
                        if field == "rename" {
                            check_path(text, field, problems);
                        }
                        texts.push((name, text.to_owned()));
                    }
                    None => problems.push(ConfigProblem::new(field, format!("{name} must be a text"))),
                }
            }
            texts
        };
        let rename = texts("rename", &mut problems);
        let template = texts("template", &mut problems);
        for (name, text) in &template {
            if let Err(error) = environment().template_from_str(text) {
                problems.push(ConfigProblem::new("template", format!("{name} is no template: {}", reason(&error))));
            }
        }
        let set = rules(mapping, "set", &mut problems);
        match event_type {
            Some(event_type) if problems.is_empty() => Ok(Self { event_type, source, category, pick, rename, set, template, drop }),
            Some(_) | None => Err(problems),
        }
    }

    /// The event that `processor`, one of `siblings` transforms that are given `event`, derives of it: in the same stream, of the same user, session and device, with the same
    /// correlation id, or else the event's own id as one, and the event's id as `metadata.causation_id`. The id follows from the
    /// event and the processor, so that it is recorded once.
    ///
    /// # Errors
    /// [`TransformError`].
    pub fn derive(&self, processor: &ProcessorId, siblings: u64, event: &Event) -> Result<EventDraft, TransformError> {
        let metadata = event.details.metadata.to_value();
        let mut chain: Vec<Value> = metadata.get(DERIVED_BY).and_then(Value::as_array).cloned().unwrap_or_default();
        if chain.len() >= Self::MAX_DEPTH || chain.iter().any(|step| step.as_str() == Some(processor.as_str())) {
            return Err(TransformError::Loop);
        }
        // What may be derived of an event is shared among those that derive.
        let left = metadata.get(SHARE).and_then(Value::as_u64).unwrap_or(Self::MAX_DERIVED).min(Self::MAX_DERIVED);
        let share = left / siblings.max(1);
        if share == 0 {
            return Err(TransformError::TooMany);
        }
        chain.push(processor.as_str().into());
        let unfit = |error: &dyn std::fmt::Display| TransformError::Unfit(error.to_string());
        let object = |value: &Value| JsonObject::parse(&value.to_string()).map_err(|error| unfit(&error));
        let details = EventDetails {
            event_type: self.event_type.clone(),
            source: self.source.unwrap_or(event.details.source),
            category: self.category.unwrap_or(event.details.category),
            user: event.details.user.clone(),
            session: event.details.session.clone(),
            device: event.details.device.clone(),
            correlation: event.details.correlation.clone().or_else(|| event.id.to_string().parse::<CorrelationId>().ok()),
            data: object(&self.data(event)?)?,
            metadata: object(&json!({ CAUSATION: event.id.to_string(), DERIVED_BY: chain, SHARE: share - 1 }))?,
            context: JsonObject::default(),
            properties: JsonObject::default(),
            schema_version: super::identifiers::SchemaVersion::default(),
        };
        let name = format!("{processor}/{}", event.place);
        let id = uuid::Uuid::new_v5(&NAMESPACE, name.as_bytes()).hyphenated().to_string();
        Ok(EventDraft {
            event_id: Some(id.parse::<EventId>().map_err(|error| unfit(&error))?),
            organization: event.organization().cloned(),
            stream: Some(event.stream.stream.clone()),
            expected_version: ExpectedVersion::Any,
            occurred_at: Some(event.occurred_at),
            trace: TraceParent::of(&event.details),
            details,
        })
    }

    fn data(&self, event: &Event) -> Result<Value, TransformError> {
        let original = event.details.data.to_value();
        let mut data = match &self.pick {
            None => original.clone(),
            Some(paths) => {
                let mut picked = json!({});
                for path in paths {
                    if let Some(value) = member(&original, path) {
                        put(&mut picked, path, value.clone());
                    }
                }
                picked
            }
        };
        for (from, to) in &self.rename {
            if let Some(value) = take(&mut data, from) {
                put(&mut data, to, value);
            }
        }
        for (path, value) in &self.set {
            put(&mut data, path, value.clone());
        }
        if !self.template.is_empty() {
            let environment = environment();
            let seen = seen(event, &original);
            for (path, template) in &self.template {
                let text = environment.render_str(template, minijinja::value::Serde(&seen));
                let text = text.map_err(|error| TransformError::Template { field: path.clone(), reason: reason(&error) })?;
                put(&mut data, path, text.into());
            }
        }
        for path in &self.drop {
            take(&mut data, path);
        }
        Ok(data)
    }
}

/// What a template can name.
fn seen(event: &Event, data: &Value) -> Value {
    let details = &event.details;
    json!({
        "event_id": event.id.to_string(),
        "event_type": details.event_type.as_str(),
        "event_source": details.source.as_str(),
        "event_category": details.category.as_str(),
        "user_id": details.user,
        "session_id": details.session,
        "device_id": details.device,
        "organization_id": event.organization(),
        "correlation_id": details.correlation,
        "stream_id": event.stream.stream.to_string(),
        "timestamp": event.occurred_at.to_string(),
        "data": data,
        "metadata": details.metadata.to_value(),
        "context": details.context.to_value(),
        "properties": details.properties.to_value(),
    })
}

/// No files, no includes, bounded work, and a name that is not there is an error rather than nothing.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment
}

/// An engine's error in one line.
fn reason(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()))
}

/// Puts a value at a dotted path, making the objects on the way.
fn put(target: &mut Value, path: &str, value: Value) {
    let mut steps = path.split('.').peekable();
    let mut target = target;
    while let Some(step) = steps.next() {
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        let Value::Object(members) = target else { return };
        if steps.peek().is_none() {
            members.insert(step.to_owned(), value);
            return;
        }
        target = members.entry(step.to_owned()).or_insert(Value::Null);
    }
}

/// Takes out the member of this name, or at this dotted path.
fn take(target: &mut Value, path: &str) -> Option<Value> {
    let members = target.as_object_mut()?;
    if members.contains_key(path) {
        return members.remove(path);
    }
    let (first, rest) = path.split_once('.')?;
    take(members.get_mut(first)?, rest)
}

fn word<T: std::str::FromStr>(value: &Value, field: &str, problems: &mut Vec<ConfigProblem>) -> Option<T>
where
    T::Err: std::fmt::Display,
{
    let given = value.get(field).filter(|given| !given.is_null())?;
    let parsed =
        given.as_str().ok_or_else(|| "must be a text".to_owned()).and_then(|text| text.parse().map_err(|error: T::Err| error.to_string()));
    parsed.map_err(|message| problems.push(ConfigProblem::new(field, message))).ok()
}

fn paths(value: &Value, field: &str, problems: &mut Vec<ConfigProblem>) -> Option<Vec<String>> {
    let given = value.get(field).filter(|given| !given.is_null())?;
    let paths: Option<Vec<String>> = given.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    let paths = paths.filter(|paths| paths.len() <= Transform::MAX_RULES);
    match &paths {
        None => problems.push(ConfigProblem::new(field, format!("must be a list of at most {} paths", Transform::MAX_RULES))),
        Some(paths) => paths.iter().for_each(|path| check_path(path, field, problems)),
    }
    paths
}

/// A path makes an object for each of its steps: so many that whoever reads them would run out of stack are refused.
fn check_path(path: &str, field: &str, problems: &mut Vec<ConfigProblem>) {
    if path.split('.').count() > MAX_STEPS {
        let shown: String = path.chars().take(40).collect();
        problems.push(ConfigProblem::new(field, format!("{shown}… has more than {MAX_STEPS} steps")));
    }
}

fn rules(value: &Value, field: &str, problems: &mut Vec<ConfigProblem>) -> Vec<(String, Value)> {
    match value.get(field) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(members)) if members.len() <= Transform::MAX_RULES => {
            members.keys().for_each(|path| check_path(path, field, problems));
            members.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
        }
        Some(_) => {
            problems.push(ConfigProblem::new(field, format!("must be an object of at most {} members", Transform::MAX_RULES)));
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::commit::{Attempt, Commit, CommittedEvent};
    use crate::domain::stream_id::StreamKey;
    use crate::domain::timestamp::Timestamp;

    fn transform(config: &Value) -> Result<Transform, Vec<ConfigProblem>> {
        Transform::parse(config)
    }

    fn event(details: Value) -> Event {
        let commit = Commit {
            stream: StreamKey { organization: "acme".parse().ok(), stream: "order:1".parse().unwrap() },
            first: crate::domain::version::Version::new(3),
            recorded_at: Timestamp::from_micros(1_700_000_000_000_000).unwrap(),
            attempt: Attempt(1),
            request: None,
            storage: crate::domain::commit::Storage::Table,
            events: vec![CommittedEvent {
                client_id: None,
                occurred_at: Timestamp::from_micros(1_700_000_000_000_000).unwrap(),
                details: serde_json::from_value(details).unwrap(),
            }],
        };
        commit.to_events().remove(0)
    }

    fn placed() -> Event {
        event(json!({
            "type": "order.placed", "category": "order", "user": "u1", "correlation": "c1",
            "data": {"order_id": 7, "total": 49.9, "customer": {"name": "Ada", "mail": "ada@example.org"}, "card": "4111"}
        }))
    }

    fn id(text: &str) -> ProcessorId {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_of_so_many_steps_that_a_stack_would_end_is_refused_wherever_it_stands() {
        let (deep, long) = (vec!["a"; 30_000].join("."), vec!["a"; MAX_STEPS].join("."));
        let with = |path: &str| {
            [
                json!({"event_type": "b", "set": {path: 1}}),
                json!({"event_type": "b", "template": {path: "x"}}),
                json!({"event_type": "b", "rename": {path: "x"}}),
                json!({"event_type": "b", "rename": {"x": path}}),
                json!({"event_type": "b", "pick": [path]}),
                json!({"event_type": "b", "drop": [path]}),
            ]
        };
        for config in with(&deep) {
            let problems = transform(&config).unwrap_err();
            assert!(problems[0].message.len() < 200, "the path is not shown whole");
        }
        for config in with(&long) {
            assert!(transform(&config).is_ok(), "{config}");
        }
    }

    #[test]
    fn the_rules_are_applied_in_their_order() {
        for (rules, expected) in [
            (json!({}), json!({"order_id": 7, "total": 49.9, "customer": {"name": "Ada", "mail": "ada@example.org"}, "card": "4111"})),
            (json!({"pick": ["order_id", "customer.name", "absent"]}), json!({"order_id": 7, "customer": {"name": "Ada"}})),
            (json!({"pick": ["order_id"], "rename": {"order_id": "order.number", "absent": "x"}}), json!({"order": {"number": 7}})),
            (
                json!({"pick": ["total"], "set": {"currency": "EUR", "total": 1, "a.b": [1]}}),
                json!({"total": 1, "currency": "EUR", "a": {"b": [1]}}),
            ),
            (json!({"drop": ["card", "customer.mail", "absent.x"]}), json!({"order_id": 7, "total": 49.9, "customer": {"name": "Ada"}})),
            (
                json!({"pick": [], "template": {"line": "{{ data.customer.name|upper }} ordered {{ data.order_id }} in {{ stream_id }}"}}),
                json!({"line": "ADA ordered 7 in order:1"}),
            ),
        ] {
            let mut config = rules.clone();
            config["event_type"] = "order.summary".into();
            let draft = transform(&config).unwrap().derive(&id("p"), 1, &placed()).unwrap();
            assert_eq!(draft.details.data.to_value(), expected, "{rules}");
        }
    }

    #[test]
    fn a_derived_event_belongs_where_the_other_does_and_names_its_cause() {
        let source = placed();
        let derive = |processor: &str, event: &Event| {
            transform(&json!({"mapping": {"event_type": "order.summary", "event_category": "task"}})).unwrap().derive(
                &id(processor),
                1,
                event,
            )
        };
        let draft = derive("p", &source).unwrap();
        assert_eq!(draft.stream, Some("order:1".parse().unwrap()));
        assert_eq!(draft.organization, "acme".parse().ok());
        assert_eq!(draft.details.correlation, "c1".parse().ok());
        assert_eq!((draft.details.user, draft.details.category), ("u1".parse().ok(), EventCategory::Task));
        assert_eq!(
            draft.details.metadata.to_value(),
            json!({"causation_id": source.id.to_string(), "derived_by": ["p"], "derivations_left": 99})
        );
        assert_eq!(derive("p", &source).unwrap().event_id, draft.event_id);
        assert_ne!(derive("q", &source).unwrap().event_id, draft.event_id);
    }

    #[test]
    fn an_event_without_a_correlation_id_gives_its_own_id_as_one() {
        let source = event(json!({"type": "a"}));
        let draft = transform(&json!({"event_type": "b"})).unwrap().derive(&id("p"), 1, &source).unwrap();
        assert_eq!(draft.details.correlation.map(|correlation| correlation.to_string()), Some(source.id.to_string()));
    }

    #[test]
    fn a_loop_is_refused_at_its_first_turn_and_a_chain_at_its_eighth() {
        let again = event(json!({"type": "a", "metadata": {"derived_by": ["p"]}}));
        let transform = transform(&json!({"event_type": "a"})).unwrap();
        assert_eq!(transform.derive(&id("p"), 1, &again), Err(TransformError::Loop));
        assert!(transform.derive(&id("q"), 1, &again).is_ok());
        let long: Vec<String> = (0..Transform::MAX_DEPTH).map(|step| step.to_string()).collect();
        assert_eq!(
            transform.derive(&id("p"), 1, &event(json!({"type": "a", "metadata": {"derived_by": long}}))),
            Err(TransformError::Loop)
        );
    }

    #[test]
    fn a_template_that_fails_or_runs_for_long_is_an_error_that_names_its_member() {
        for template in
            ["{{ data.absent.more }}", "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", "{{ 1 / 0 }}"]
        {
            let transform = transform(&json!({"event_type": "b", "template": {"line": template}})).unwrap();
            let error = transform.derive(&id("p"), 1, &placed()).unwrap_err();
            assert!(matches!(&error, TransformError::Template { field, .. } if field == "line"), "{template}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_reported_together() {
        for (config, expected) in [
            (json!({}), vec!["event_type"]),
            (
                json!({"event_type": "a", "pick": "x", "rename": {"a": 1}, "template": {"a": "{{"}, "set": [], "drop": [1]}),
                vec!["pick", "drop", "rename", "template", "set"],
            ),
            (json!({"event_type": "", "event_category": "x"}), vec!["event_type", "event_category"]),
        ] {
            let fields: Vec<String> = transform(&config).unwrap_err().into_iter().map(|problem| problem.field).collect();
            assert_eq!(fields, expected, "{config}");
        }
    }

    #[test]
    fn transforms_that_feed_one_another_share_how_many_events_they_may_derive() {
        let processors: Vec<ProcessorId> = (0..12).map(|number| id(&format!("p{number}"))).collect();
        let transform = transform(&json!({"event_type": "b"})).unwrap();
        let (mut open, mut derived) = (vec![placed()], 0_u64);
        while let Some(event) = open.pop() {
            for processor in &processors {
                if let Ok(draft) = transform.derive(processor, 12, &event) {
                    derived += 1;
                    open.push(Event { details: draft.details, ..event.clone() });
                }
            }
        }
        assert!((12..=Transform::MAX_DERIVED).contains(&derived), "{derived}");
    }
}
