//! Processors: what is done with events once they are stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::EventDetails;
use super::identifiers::{OrganizationId, ProcessorId, ProcessorName};
use super::json::JsonObject;
use super::retry_policy::RetryPolicy;
use super::selector::Selector;
use super::signature::WebhookSecret;
use super::timestamp::Timestamp;
use super::transform::Transform;
use super::webhook_headers::WebhookHeaders;
use super::webhook_url::WebhookUrl;

/// Something that is done with every event that it selects.
///
/// Which events those are is decided by when an event was recorded, and never changes: so the dispatcher, the sweep, a
/// reader who wants to know whether an event is still pending, and the counters all come to the same answer.
#[derive(Clone, PartialEq)]
pub struct Processor {
    /// Its id.
    pub id: ProcessorId,
    /// The tenant whose events it is given; none for the platform's own, which is given everybody's.
    pub organization: Option<OrganizationId>,
    /// What it is called. Unique within its organization.
    pub name: ProcessorName,
    /// What kind it is, as its owner said it.
    pub kind: String,
    /// Whether it is run. Events recorded while it is not are none of its business, later too.
    pub enabled: bool,
    /// The order of execution for one event, highest first (BR-PRC-002).
    pub priority: i64,
    /// Which events, as its owner said it.
    pub filters: JsonObject,
    /// What it does, as its owner said it. Holds secrets.
    pub config: JsonObject,
    /// When failed attempts are repeated, as its owner said it (BR-PRC-004).
    pub retry_policy: JsonObject,
    /// When it was on, and for which events, oldest first.
    pub activations: Vec<Activation>,
    /// When it was removed. A removed one is remembered for the events that it was given.
    pub removed_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// The events of these activations, ready to match.
    selectors: Vec<Selector>,
}

/// A time during which a processor was on, with the same filters throughout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activation {
    /// From when on, inclusive.
    pub from: Timestamp,
    /// Until when, exclusive.
    pub until: Option<Timestamp>,
    /// Which events.
    pub filters: JsonObject,
}

/// What its owner says of a processor.
#[derive(Clone, PartialEq)]
pub struct ProcessorDraft {
    /// What it is called.
    pub name: ProcessorName,
    /// What kind it is.
    pub kind: String,
    /// Whether it is run.
    pub enabled: bool,
    /// The order of execution, highest first.
    pub priority: i64,
    /// Which events.
    pub filters: JsonObject,
    /// What it does.
    pub config: JsonObject,
    /// When failed attempts are repeated.
    pub retry_policy: JsonObject,
}

/// Shows nothing of `config`, which holds secrets.
impl std::fmt::Debug for Processor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Processor");
        shown.field("id", &self.id).field("organization", &self.organization).field("name", &self.name).field("kind", &self.kind);
        shown.field("enabled", &self.enabled).field("activations", &self.activations).field("removed_at", &self.removed_at);
        shown.finish_non_exhaustive()
    }
}

/// Shows nothing of `config`, which holds secrets.
impl std::fmt::Debug for ProcessorDraft {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("ProcessorDraft");
        shown.field("name", &self.name).field("kind", &self.kind).field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl Processor {
    /// How many activations are remembered. Events of earlier ones were done with long ago.
    pub const MAX_ACTIVATIONS: usize = 50;
    /// How long a processor's webhook may take to answer.
    pub const TIMEOUT: Duration = Duration::from_secs(15);

    /// A processor that is given events from `active_from` on, if it is enabled.
    #[must_use]
    pub fn new(
        id: ProcessorId,
        organization: Option<OrganizationId>,
        draft: ProcessorDraft,
        now: Timestamp,
        active_from: Timestamp,
    ) -> Self {
        let mut processor = Self {
            id,
            organization,
            name: draft.name,
            kind: draft.kind,
            enabled: draft.enabled,
            priority: draft.priority,
            filters: draft.filters,
            config: draft.config,
            retry_policy: draft.retry_policy,
            activations: Vec::new(),
            removed_at: None,
            created_at: now,
            updated_at: now,
            selectors: Vec::new(),
        };
        processor.activate(active_from);
        processor
    }

    /// Makes it what `draft` says, from `active_from` on.
    pub fn redefine(&mut self, draft: ProcessorDraft, now: Timestamp, active_from: Timestamp) {
        let same_events = draft.enabled && self.enabled && draft.filters == self.filters;
        self.kind = draft.kind;
        self.enabled = draft.enabled;
        self.priority = draft.priority;
        self.filters = draft.filters;
        self.config = draft.config;
        self.retry_policy = draft.retry_policy;
        self.updated_at = now;
        if !same_events {
            self.deactivate(active_from);
            self.activate(active_from);
        }
    }

    /// Switches it on or off, from `active_from` on.
    pub fn switch(&mut self, enabled: bool, now: Timestamp, active_from: Timestamp) {
        if self.enabled != enabled {
            self.enabled = enabled;
            self.updated_at = now;
            self.deactivate(active_from);
            self.activate(active_from);
        }
    }

    /// Removes it, from `active_from` on.
    pub fn remove(&mut self, now: Timestamp, active_from: Timestamp) {
        self.switch(false, now, active_from);
        self.removed_at = Some(now);
    }

    fn deactivate(&mut self, until: Timestamp) {
        if let Some(last) = self.activations.last_mut().filter(|last| last.until.is_none()) {
            last.until = Some(until);
        }
    }

    fn activate(&mut self, from: Timestamp) {
        if self.enabled {
            self.activations.push(Activation { from, until: None, filters: self.filters.clone() });
            let beyond = self.activations.len().saturating_sub(Self::MAX_ACTIVATIONS);
            self.activations.drain(..beyond);
        }
        self.selectors = self.activations.iter().map(|activation| Selector::parse(&activation.filters).unwrap_or_default()).collect();
    }

    /// Whether an event of this organization, recorded then, is given to it.
    #[must_use]
    pub fn is_given(&self, organization: Option<&OrganizationId>, details: &EventDetails, recorded_at: Timestamp) -> bool {
        (self.organization.is_none() || self.organization.as_ref() == organization)
            && self.activations.iter().zip(&self.selectors).any(|(activation, selector)| {
                activation.from <= recorded_at && activation.until.is_none_or(|until| recorded_at < until) && selector.matches(details)
            })
    }

    /// Which events it selects now, on or not.
    #[must_use]
    pub fn selector(&self) -> Selector {
        Selector::parse(&self.filters).unwrap_or_default()
    }

    /// When failed attempts are repeated. No wait is longer than a queue can delay.
    #[must_use]
    pub fn policy(&self) -> RetryPolicy {
        let default = RetryPolicy::of_processors();
        RetryPolicy::parse(&self.retry_policy, &default).unwrap_or(default).at_most(super::queue::Outgoing::MAX_DELAY)
    }

    /// What it does.
    ///
    /// # Errors
    /// Everything in `config` that cannot be understood. A processor was checked when it was made.
    pub fn action(&self) -> Result<Action, Vec<ConfigProblem>> {
        Action::parse(&self.kind, &self.config)
    }
}

/// What a processor does with an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Sends it to an address, as a webhook.
    Webhook(Box<WebhookAction>),
    /// Records an event that is made of it.
    Transform(Box<Transform>),
    /// Publishes it elsewhere.
    Publish(PublishTarget),
    /// Does something within this service.
    Internal(InternalAction),
    /// Nothing: its kind is not known.
    Unknown,
}

/// Where a processor sends events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAction {
    /// The address.
    pub url: WebhookUrl,
    /// Headers of its owner's.
    pub headers: WebhookHeaders,
    /// What signs.
    pub secret: Option<WebhookSecret>,
}

/// Where a processor publishes events.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PublishTarget {
    /// A bus of EventBridge.
    Bus {
        /// Its name; this service's own bus if none is given.
        name: Option<String>,
        /// The detail type; the event's type if none is given.
        detail_type: Option<String>,
    },
    /// A queue of SQS.
    Queue(String),
}

/// What a processor does within this service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InternalAction {
    /// Writes a line to the log.
    Log,
    /// Counts in a metric of this name.
    Metric(String),
}

/// A part of `config` cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Which member.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl ConfigProblem {
    /// A problem with this member.
    #[must_use]
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

impl Action {
    /// What a processor of this kind does with this configuration.
    ///
    /// # Errors
    /// Everything that cannot be understood.
    pub fn parse(kind: &str, config: &JsonObject) -> Result<Self, Vec<ConfigProblem>> {
        let config = config.to_value();
        match kind.trim().to_ascii_lowercase().as_str() {
            "webhook" | "http" => webhook(&config).map(|webhook| Self::Webhook(Box::new(webhook))),
            "transform" | "transformation" => Transform::parse(&config).map(|transform| Self::Transform(Box::new(transform))),
            "publish" => publish(&config).map(Self::Publish),
            "internal" => internal(&config).map(Self::Internal),
            _ => Ok(Self::Unknown),
        }
    }
}

/// The kinds that do something.
pub const KINDS: [&str; 4] = ["webhook", "transform", "publish", "internal"];

fn text<'a>(config: &'a Value, field: &str, problems: &mut Vec<ConfigProblem>) -> Option<&'a str> {
    match config.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text),
        Some(_) => {
            problems.push(ConfigProblem::new(field, "must be a text that is not blank"));
            None
        }
    }
}

fn webhook(config: &Value) -> Result<WebhookAction, Vec<ConfigProblem>> {
    let mut problems = Vec::new();
    let field = url_field(config);
    let url = text(config, &field, &mut problems).map(str::to_owned);
    if url.is_none() && problems.is_empty() {
        problems.push(ConfigProblem::new("url", "is required: the address that events are sent to"));
    }
    let url =
        url.and_then(|url| url.parse::<WebhookUrl>().map_err(|error| problems.push(ConfigProblem::new(&field, error.to_string()))).ok());
    let mut headers: Vec<(String, String)> = Vec::new();
    match config.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(members)) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(value) => headers.push((name.clone(), value.to_owned())),
                    None => problems.push(ConfigProblem::new("headers", format!("{name} must be a text"))),
                }
            }
        }
        Some(_) => problems.push(ConfigProblem::new("headers", "must be an object of texts")),
    }
    if let Some(key) = text(config, "api_key", &mut problems) {
        headers.push(("X-API-Key".to_owned(), key.to_owned()));
    }
    let headers = WebhookHeaders::new(headers).map_err(|error| problems.push(ConfigProblem::new("headers", error.to_string()))).ok();
    let secret = text(config, "secret", &mut problems).map(str::to_owned).and_then(|secret| {
        WebhookSecret::from_text(secret).map_err(|error| problems.push(ConfigProblem::new("secret", error.to_string()))).ok()
    });
    match (url, headers) {
        (Some(url), Some(headers)) if problems.is_empty() => Ok(WebhookAction { url, headers, secret }),
        (_, _) => Err(problems),
    }
}

/// `url`, or the one member whose name says that it is an address, such as `salesforce_url`.
fn url_field(config: &Value) -> String {
    const URL: &str = "url";
    if config.get(URL).is_some_and(|url| !url.is_null()) {
        return URL.to_owned();
    }
    let mut named = config.as_object().into_iter().flatten().map(|(name, _)| name).filter(|name| name.ends_with("_url"));
    match (named.next(), named.next()) {
        (Some(only), None) => only.clone(),
        (_, _) => URL.to_owned(),
    }
}

fn publish(config: &Value) -> Result<PublishTarget, Vec<ConfigProblem>> {
    let mut problems = Vec::new();
    let mut owned = |field: &str| text(config, field, &mut problems).map(str::to_owned);
    let (target, bus, detail_type) = (owned("target"), owned("bus"), owned("detail_type"));
    let queue = owned("queue").or_else(|| owned("queue_url"));
    let target = match target.as_deref() {
        Some("eventbridge" | "bus") => Some(PublishTarget::Bus { name: bus, detail_type }),
        Some("sqs" | "queue") => {
            if queue.is_none() {
                problems.push(ConfigProblem::new("queue", "is required: the queue's name or URL"));
            }
            queue.map(PublishTarget::Queue)
        }
        Some(_) | None => {
            problems.push(ConfigProblem::new("target", "must be 'eventbridge' or 'sqs'"));
            None
        }
    };
    target.filter(|_| problems.is_empty()).ok_or(problems)
}

/// The most characters of the name of a metric, as CloudWatch has it.
const MAX_METRIC_CHARS: usize = 255;

fn internal(config: &Value) -> Result<InternalAction, Vec<ConfigProblem>> {
    let mut problems = Vec::new();
    let mut owned = |field: &str| text(config, field, &mut problems).map(str::to_owned);
    let (action, metric) = (owned("action"), owned("metric"));
    let action = match action.as_deref() {
        None | Some("log") => Some(InternalAction::Log),
        Some("metric") => {
            let name = metric.unwrap_or_else(|| "events".to_owned());
            // It stands in a line of the log, which it must not break.
            if name.chars().count() > MAX_METRIC_CHARS || name.chars().any(char::is_control) {
                let text = format!("must have at most {MAX_METRIC_CHARS} characters, and none for control");
                problems.push(ConfigProblem::new("metric", text));
            }
            Some(InternalAction::Metric(name))
        }
        Some(_) => {
            problems.push(ConfigProblem::new("action", "must be 'log' or 'metric'"));
            None
        }
    };
    action.filter(|_| problems.is_empty()).ok_or(problems)
}

/// `config` as answers show it: whatever may be a secret is masked.
#[must_use]
pub fn masked(config: &JsonObject) -> Value {
    let mut value = config.to_value();
    mask(&mut value, false);
    value
}

/// What a masked text reads like.
pub const MASK: &str = "********";

fn mask(value: &mut Value, secret: bool) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                mask(value, secret || is_secret(name));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, secret)),
        Value::String(_) | Value::Number(_) if secret => *value = MASK.into(),
        Value::String(text) => {
            // An address may carry a password or a token.
            if let Ok(url) = url::Url::parse(text)
                && (url.password().is_some() || url.query().is_some())
            {
                let mut shown = url;
                let _ = shown.set_password(None);
                shown.set_query(shown.query().map(|_| MASK).map(str::to_owned).as_deref());
                *text = shown.to_string();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a member of this name holds a secret. All of `headers` is: that is where credentials are.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = ["secret", "token", "password", "passwd", "api_key", "apikey", "authorization", "credential", "private", "headers"];
    words.iter().any(|word| name.contains(word)) || name.ends_with("key")
}

/// A processor as the store keeps it.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: ProcessorId,
    organization: Option<OrganizationId>,
    name: ProcessorName,
    kind: String,
    enabled: bool,
    priority: i64,
    filters: JsonObject,
    config: JsonObject,
    retry_policy: JsonObject,
    activations: Vec<Activation>,
    removed_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Serialize for Processor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored {
            id: self.id.clone(),
            organization: self.organization.clone(),
            name: self.name.clone(),
            kind: self.kind.clone(),
            enabled: self.enabled,
            priority: self.priority,
            filters: self.filters.clone(),
            config: self.config.clone(),
            retry_policy: self.retry_policy.clone(),
            activations: self.activations.clone(),
            removed_at: self.removed_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Processor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let stored = Stored::deserialize(deserializer)?;
        let selectors = stored.activations.iter().map(|activation| Selector::parse(&activation.filters));
        let selectors = selectors.collect::<Result<_, _>>().map_err(|_| D::Error::custom("filters that cannot be read"))?;
        Ok(Self {
            id: stored.id,
            organization: stored.organization,
            name: stored.name,
            kind: stored.kind,
            enabled: stored.enabled,
            priority: stored.priority,
            filters: stored.filters,
            config: stored.config,
            retry_policy: stored.retry_policy,
            activations: stored.activations,
            removed_at: stored.removed_at,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            selectors,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> JsonObject {
        JsonObject::parse(&value.to_string()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000).unwrap()
    }

    fn draft(filters: &Value, enabled: bool) -> ProcessorDraft {
        ProcessorDraft {
            name: "p".parse().unwrap(),
            kind: "internal".to_owned(),
            enabled,
            priority: 0,
            filters: object(filters),
            config: JsonObject::default(),
            retry_policy: JsonObject::default(),
        }
    }

    fn given(processor: &Processor, event_type: &str, second: i64) -> bool {
        processor.is_given(None, &serde_json::from_value(json!({"type": event_type})).unwrap(), at(second))
    }

    #[test]
    fn an_event_is_given_to_a_processor_by_when_it_was_recorded_whatever_the_processor_is_now() {
        let mut processor = Processor::new("1".parse().unwrap(), None, draft(&json!({"event_type": "a"}), true), at(0), at(10));
        processor.switch(false, at(20), at(20));
        processor.switch(true, at(30), at(30));
        processor.redefine(draft(&json!({"event_type": "b"}), true), at(40), at(40));
        processor.remove(at(50), at(50));
        let restored: Processor = serde_json::from_str(&serde_json::to_string(&processor).unwrap()).unwrap();
        for processor in [&processor, &restored] {
            let seconds =
                |event_type: &str| (0..60).step_by(5).filter(|second| given(processor, event_type, *second)).collect::<Vec<i64>>();
            assert_eq!(seconds("a"), [10, 15, 30, 35]);
            assert_eq!(seconds("b"), [40, 45]);
        }
        assert_eq!(restored, processor);
    }

    #[test]
    fn a_processor_of_an_organization_is_given_that_organizations_events_only() {
        let acme: Option<OrganizationId> = "acme".parse().ok();
        let details: EventDetails = serde_json::from_value(json!({"type": "a"})).unwrap();
        let of = |organization: Option<OrganizationId>| {
            Processor::new("1".parse().unwrap(), organization, draft(&json!({}), true), at(0), at(0))
        };
        assert!(of(None).is_given(acme.as_ref(), &details, at(1)));
        assert!(of(acme.clone()).is_given(acme.as_ref(), &details, at(1)));
        assert!(!of(acme.clone()).is_given(None, &details, at(1)));
        assert!(!of("other".parse().ok()).is_given(acme.as_ref(), &details, at(1)));
    }

    #[test]
    fn the_number_of_remembered_activations_is_bounded() {
        let mut processor = Processor::new("1".parse().unwrap(), None, draft(&json!({}), true), at(0), at(0));
        for second in 1..500 {
            processor.switch(second % 2 == 0, at(second), at(second));
        }
        assert_eq!(processor.activations.len(), Processor::MAX_ACTIVATIONS);
        assert!(given(&processor, "a", 498));
    }

    #[test]
    fn a_kind_is_read_with_its_config_and_an_unknown_one_does_nothing() {
        for (kind, config, expected) in [
            ("webhook", json!({"url": "https://example.org/x"}), "Webhook"),
            ("webhook", json!({"salesforce_url": "https://example.org/x", "api_key": "k"}), "Webhook"),
            ("transformation", json!({"event_type": "b"}), "Transform"),
            ("publish", json!({"target": "eventbridge", "bus": "b"}), "Publish"),
            ("publish", json!({"target": "sqs", "queue": "q"}), "Publish"),
            ("internal", json!({}), "Internal"),
            ("internal", json!({"action": "metric", "metric": "orders"}), "Internal"),
            ("teleport", json!({"url": 1}), "Unknown"),
        ] {
            let action = Action::parse(kind, &object(&config)).unwrap();
            assert!(format!("{action:?}").starts_with(expected), "{kind} {config}: {action:?}");
        }
        for (kind, config, fields) in [
            ("webhook", json!({}), vec!["url"]),
            ("webhook", json!({"url": "ftp://x", "headers": {"Host": "x"}, "secret": ""}), vec!["secret", "url", "headers"]),
            ("publish", json!({}), vec!["target"]),
            ("publish", json!({"target": "sqs"}), vec!["queue"]),
            ("internal", json!({"action": "x"}), vec!["action"]),
        ] {
            let mut found: Vec<String> =
                Action::parse(kind, &object(&config)).unwrap_err().into_iter().map(|problem| problem.field).collect();
            let mut fields: Vec<String> = fields.into_iter().map(str::to_owned).collect();
            found.sort();
            fields.sort();
            assert_eq!(found, fields, "{kind} {config}");
        }
    }

    #[test]
    fn whatever_may_be_a_secret_is_masked() {
        let config = json!({
            "url": "https://user:pw@example.org/x?token=abc", "secret": "s", "api_key": "k", "headers": {"X-Anything": "h"},
            "nested": {"password": 1, "keep": "me"}, "accessKey": "a", "plain": "text"
        });
        let shown = masked(&object(&config)).to_string();
        for hidden in ["pw", "abc", "\"s\"", "\"k\"", "\"h\"", ":1", "\"a\""] {
            assert!(!shown.contains(hidden), "{hidden} in {shown}");
        }
        assert!(shown.contains("me") && shown.contains("text") && shown.contains("example.org"), "{shown}");
    }
}
