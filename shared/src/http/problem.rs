//! Problems: every way in which a request can fail, and what the client gets to see of it (RFC 9457).

use std::error::Error;

use lambda_http::http::StatusCode;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::commands::append::AppendError;
use crate::commands::collect_events::CollectEventsError;
use crate::commands::manage_dead_letters::ManageDeadLettersError;
use crate::commands::manage_keys::ManageKeysError;
use crate::commands::manage_processors::ManageProcessorsError;
use crate::commands::manage_projections::ManageProjectionsError;
use crate::commands::manage_rejected_events::ManageRejectedEventsError;
use crate::commands::manage_replays::ManageReplaysError;
use crate::commands::manage_schemas::ManageSchemasError;
use crate::commands::manage_subscriptions::ManageSubscriptionsError;
use crate::commands::record_events::RecordEventsError;
use crate::commands::resend_deliveries::ResendDeliveriesError;
use crate::commands::test_subscription::TestSubscriptionError;
use crate::domain::access::{ForeignOrganization, Scope};
use crate::domain::commit::Commit;
use crate::domain::event_schema::Violation;
use crate::domain::stream_id::StreamId;
use crate::domain::upcaster::StepProblem;
use crate::domain::version::{ExpectedVersion, Version};
use crate::ports::queue::QueueError;
use crate::ports::store_error::StoreError;
use crate::queries::check_access::AccessError;
use crate::queries::read_events::ReadEventsError;
use crate::queries::read_projection::ReadProjectionError;

/// What went wrong, as far as a client can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// There is no credential, or a wrong one.
    NotAuthenticated,
    /// The credential does not allow this.
    Forbidden,
    /// There is no such thing, or the caller may not know of it.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// A stream is not at the expected version.
    VersionConflict,
    /// An `event_id` was used before, for another event.
    EventIdReused,
    /// An `Idempotency-Key` was used before, for another request.
    IdempotencyKeyReused,
    /// What is asked does not go with what there is.
    Conflict,
    /// The request, or an event of it, has too many bytes.
    TooLarge,
    /// The request does not say what it must, or not in the right form.
    Invalid,
    /// More is sent than is taken.
    TooManyRequests,
    /// A mistake of this service's.
    Internal,
    /// The store, or what checks credentials, does not answer.
    Unavailable,
}

impl ProblemKind {
    /// Every kind, in the order in which documents list them.
    pub const ALL: &'static [Self] = &[
        Self::NotAuthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::VersionConflict,
        Self::EventIdReused,
        Self::IdempotencyKeyReused,
        Self::Conflict,
        Self::TooLarge,
        Self::Invalid,
        Self::TooManyRequests,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotAuthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::VersionConflict | Self::EventIdReused | Self::IdempotencyKeyReused | Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The name in links and in the log.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::NotAuthenticated => "not-authenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::VersionConflict => "version-conflict",
            Self::EventIdReused => "event-id-reused",
            Self::IdempotencyKeyReused => "idempotency-key-reused",
            Self::Conflict => "conflict",
            Self::TooLarge => "too-large",
            Self::Invalid => "invalid",
            Self::TooManyRequests => "too-many-requests",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::NotAuthenticated => "Not authenticated",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::VersionConflict => "Version conflict",
            Self::EventIdReused => "Event id reused",
            Self::IdempotencyKeyReused => "Idempotency key reused",
            Self::Conflict => "Conflict",
            Self::TooLarge => "Too large",
            Self::Invalid => "Invalid request",
            Self::TooManyRequests => "Too many requests",
            Self::Internal => "Internal error",
            Self::Unavailable => "Temporarily unavailable",
        }
    }

    /// What a client can do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NotAuthenticated => "Send a credential that is valid: an API key in `X-API-Key`, or a token in `Authorization: Bearer`.",
            Self::Forbidden => {
                "The credential is good, but it lacks the scope that the route asks for, or it is bound to another organization."
            }
            Self::NotFound => {
                "There is no such thing, or the credential's organization does not own it. An id that is no UUID is not found \
                 either."
            }
            Self::MethodNotAllowed => "The path exists with other methods: the header `Allow` lists them.",
            Self::VersionConflict => {
                "The stream is not at the version that `expected_version` names. Nothing was stored. Read the stream, decide \
                 again, and send the event with the version that you have read; `actual_version` says where the stream is."
            }
            Self::EventIdReused => {
                "Another event has this `event_id`. Nothing was stored. The same event sent again under its id is no problem: \
                 it is answered as the first time."
            }
            Self::IdempotencyKeyReused => {
                "Another request had this `Idempotency-Key`. Nothing was stored. Use a new key for each new request."
            }
            Self::Conflict => {
                "What is asked does not go with what there is, and nothing was changed: `detail` says what is in the way, such as a \
                 subscription that is disabled, an id that is taken, or as many of them as there may be."
            }
            Self::TooLarge => {
                "The body, or one event of it, has too many bytes. Nothing was stored. Send fewer events at a time, or smaller ones."
            }
            Self::Invalid => {
                "`detail` lists everything that is wrong with the request: `loc` says where, `type` and `msg` what, and `input` \
                 what was sent. Nothing was stored."
            }
            Self::TooManyRequests => {
                "More was sent than is taken right now. Wait as long as `Retry-After` says and send the request again; what has a \
                 `messageId` is stored once."
            }
            Self::Internal => "A mistake on the side of the service. The log has the cause, under the same `x-request-id`.",
            Self::Unavailable => {
                "The service cannot reach what it needs, or too many writers met in one stream. Wait as long as `Retry-After` \
                 says and send the request again; with an `event_id` or an `Idempotency-Key` nothing is stored twice."
            }
        }
    }

    /// The URI that names this kind: where the documents describe it.
    #[must_use]
    pub fn uri(self) -> String {
        format!("/docs#problem-{}", self.slug())
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldProblem {
    /// What kind of thing.
    #[serde(rename = "type")]
    pub kind: FieldProblemKind,
    /// Where.
    pub loc: Vec<Place>,
    /// What is wrong, in words.
    pub msg: String,
    /// What was sent, cut if it is long.
    pub input: Value,
}

/// One step to what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// A part of the request, or the name of a field.
    Name(String),
    /// An index in a list.
    Index(usize),
}

impl Place {
    /// The place of this name.
    #[must_use]
    pub fn name(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

/// What kind of thing is wrong with a part of a request. The names are those that existing clients
/// of the platform know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldProblemKind {
    /// It is not there.
    Missing,
    /// The body is not JSON that can be kept.
    JsonInvalid,
    /// Not a string.
    StringType,
    /// A string with too few characters.
    StringTooShort,
    /// A string with too many characters or bytes.
    StringTooLong,
    /// None of the known words.
    Enum,
    /// Not an object.
    DictType,
    /// Not a list.
    ListType,
    /// A list with too few items.
    TooShort,
    /// A list with too many items.
    TooLong,
    /// Neither a text nor a number, where a moment is asked for.
    DatetimeType,
    /// Not a moment.
    DatetimeParsing,
    /// Not a number.
    IntType,
    /// Not a whole number.
    IntFromFloat,
    /// A text that is no whole number.
    IntParsing,
    /// A number that is too small.
    GreaterThanEqual,
    /// A number that is too large.
    LessThanEqual,
    /// Neither yes nor no.
    BoolType,
    /// A text that is neither.
    BoolParsing,
    /// Not a UUID.
    UuidParsing,
    /// Anything else.
    ValueError,
}

impl FieldProblem {
    /// How many bytes of what was sent a problem shows.
    pub const INPUT_BYTES: usize = 200;

    /// A problem with a part of the request.
    #[must_use]
    pub fn new(kind: FieldProblemKind, loc: Vec<Place>, msg: impl Into<String>, input: Value) -> Self {
        Self { kind, loc, msg: msg.into(), input }
    }

    /// The problem in one line: where, and what.
    #[must_use]
    pub fn in_a_line(&self) -> String {
        let steps = self.loc.iter().skip(1).map(|place| match place {
            Place::Name(name) => name.clone(),
            Place::Index(index) => index.to_string(),
        });
        let steps: Vec<String> = steps.collect();
        if steps.is_empty() { self.msg.clone() } else { format!("{}: {}", steps.join("."), self.msg) }
    }

    /// A problem with this JSON of the request.
    #[must_use]
    pub fn with_json(kind: FieldProblemKind, loc: Vec<Place>, msg: impl Into<String>, input: &RawValue) -> Self {
        Self::new(kind, loc, msg, shown(input))
    }
}

/// What a problem shows of a value: the value, or the start of its text if that is long.
pub(super) fn shown(input: &RawValue) -> Value {
    let text = input.get();
    if text.len() <= FieldProblem::INPUT_BYTES
        && let Ok(value) = serde_json::from_str(text)
    {
        return value;
    }
    let whole = serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned());
    let kept = &whole[..whole.floor_char_boundary(FieldProblem::INPUT_BYTES)];
    Value::String(if kept.len() < whole.len() { format!("{kept}…") } else { whole })
}

/// Why a request gets no answer.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: ProblemKind,
    detail: Detail,
    more: More,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Debug)]
enum Detail {
    Text(String),
    List(Vec<FieldProblem>),
}

/// What only some kinds of problems say.
#[derive(Debug)]
enum More {
    Nothing,
    Conflict { stream: StreamId, expected: ExpectedVersion, actual: Version },
    Allowed(String),
    Wait(u64),
}

impl Problem {
    /// A problem of this kind, in words for the client.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self::with(kind, Detail::Text(detail.into()), More::Nothing)
    }

    fn with(kind: ProblemKind, detail: Detail, more: More) -> Self {
        Self(Box::new(Parts { kind, detail, more, cause: None }))
    }

    /// All that is wrong with a request.
    #[must_use]
    pub fn invalid(problems: Vec<FieldProblem>) -> Self {
        Self::with(ProblemKind::Invalid, Detail::List(problems), More::Nothing)
    }

    /// There is no credential.
    #[must_use]
    pub fn not_authenticated() -> Self {
        Self::new(ProblemKind::NotAuthenticated, "Not authenticated")
    }

    /// There is no such path.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::new(ProblemKind::NotFound, "Not Found")
    }

    /// The credential lacks a scope.
    #[must_use]
    pub fn lacks(scope: Scope) -> Self {
        Self::new(ProblemKind::Forbidden, format!("the credential lacks the scope {scope}"))
    }

    /// The path exists, but only with these methods.
    #[must_use]
    pub fn method_not_allowed(allowed: String) -> Self {
        Self::with(ProblemKind::MethodNotAllowed, Detail::Text("Method Not Allowed".to_owned()), More::Allowed(allowed))
    }

    /// The same problem with its cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// What kind of problem it is.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// The cause, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// The methods that the path exists with, if that is the problem.
    #[must_use]
    pub fn allowed(&self) -> Option<&str> {
        match &self.0.more {
            More::Allowed(methods) => Some(methods),
            More::Nothing | More::Conflict { .. } | More::Wait(_) => None,
        }
    }

    /// What no request can bring about, and so is a fault of ours.
    pub(super) fn mistake(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(ProblemKind::Internal, "the service made a mistake").caused_by(cause)
    }

    /// More came from one sender than is taken: it is to wait so many seconds.
    #[must_use]
    pub fn too_many_requests(seconds: u64) -> Self {
        let detail = format!("more requests came from here than are taken: wait {seconds} s");
        Self::with(ProblemKind::TooManyRequests, Detail::Text(detail), More::Wait(seconds))
    }

    /// How many seconds to wait, if that is known.
    #[must_use]
    pub fn wait(&self) -> Option<u64> {
        match &self.0.more {
            More::Wait(seconds) => Some(*seconds),
            More::Nothing | More::Conflict { .. } | More::Allowed(_) => None,
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Parts { kind, detail, more, cause: _ } = self.0.as_ref();
        let mut body = serializer.serialize_map(None)?;
        match detail {
            Detail::Text(text) => body.serialize_entry("detail", text)?,
            Detail::List(problems) => body.serialize_entry("detail", problems)?,
        }
        body.serialize_entry("type", &kind.uri())?;
        body.serialize_entry("title", kind.title())?;
        body.serialize_entry("status", &kind.status().as_u16())?;
        match more {
            More::Nothing | More::Allowed(_) | More::Wait(_) => {}
            More::Conflict { stream, expected, actual } => {
                body.serialize_entry("stream_id", stream)?;
                match expected {
                    ExpectedVersion::Any => body.serialize_entry("expected_version", "any")?,
                    ExpectedVersion::None => body.serialize_entry("expected_version", "none")?,
                    ExpectedVersion::Exists => body.serialize_entry("expected_version", "exists")?,
                    ExpectedVersion::Exactly(version) => body.serialize_entry("expected_version", version)?,
                }
                body.serialize_entry("actual_version", actual)?;
            }
        }
        body.end()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                Self::new(ProblemKind::Unavailable, "the event store is not available right now; try again").caused_by(error)
            }
            StoreError::Contended => {
                Self::new(ProblemKind::Unavailable, "too many writers met in one stream; nothing was stored; try again").caused_by(error)
            }
            StoreError::Corrupt(_) => Self::mistake(error),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let text = error.to_string();
        match error {
            AppendError::VersionConflict { stream, expected, actual } => {
                let more = More::Conflict { stream: stream.stream, expected, actual };
                Self::with(ProblemKind::VersionConflict, Detail::Text(text), more)
            }
            AppendError::EventIdReused(_) => Self::new(ProblemKind::EventIdReused, text),
            AppendError::KeyReused => Self::new(ProblemKind::IdempotencyKeyReused, text),
            AppendError::MixedIdentity => Self::invalid(vec![FieldProblem::new(
                FieldProblemKind::ValueError,
                vec![Place::name("header"), Place::name("Idempotency-Key")],
                format!("Value error, {text}"),
                Value::Null,
            )]),
            AppendError::Store(error) => error.into(),
        }
    }
}

impl From<RecordEventsError> for Problem {
    fn from(error: RecordEventsError) -> Self {
        match error {
            RecordEventsError::TooMany(events) => {
                Self::invalid(vec![too_long(vec![Place::name("body")], Commit::MAX_EVENTS, events, Value::Null)])
            }
            RecordEventsError::TooLarge { .. } | RecordEventsError::BatchTooLarge { .. } => {
                Self::new(ProblemKind::TooLarge, error.to_string())
            }
            RecordEventsError::Foreign { .. } => Self::new(ProblemKind::Forbidden, error.to_string()),
            RecordEventsError::Schema { index, of, violations } => {
                let within = (of > 1).then_some(Place::Index(index));
                let loc: Vec<Place> = [Place::name("body")].into_iter().chain(within).collect();
                Self::invalid(schema_problems(&violations, &loc))
            }
            RecordEventsError::Append(error) => error.into(),
        }
    }
}

/// What is wrong with the `data` of the event at this place of the request. What was sent is not shown.
pub(super) fn schema_problems(violations: &[Violation], loc: &[Place]) -> Vec<FieldProblem> {
    let problem = |violation: &Violation| {
        let steps = ["data"].into_iter().chain(violation.path.iter().map(String::as_str)).map(Place::name);
        let loc = loc.iter().cloned().chain(steps).collect();
        FieldProblem::new(FieldProblemKind::ValueError, loc, format!("Value error, {}", violation.message), Value::Null)
    };
    violations.iter().map(problem).collect()
}

/// A list that has more items than it may have.
pub(super) fn too_long(loc: Vec<Place>, most: usize, items: usize, input: Value) -> FieldProblem {
    let msg = format!("List should have at most {most} items after validation, not {items}");
    FieldProblem::new(FieldProblemKind::TooLong, loc, msg, input)
}

impl From<ForeignOrganization> for Problem {
    fn from(error: ForeignOrganization) -> Self {
        Self::new(ProblemKind::Forbidden, error.to_string())
    }
}

impl From<ReadEventsError> for Problem {
    fn from(error: ReadEventsError) -> Self {
        match error {
            ReadEventsError::NotFound => Self::new(ProblemKind::NotFound, error.to_string()),
            ReadEventsError::Foreign(error) => error.into(),
            ReadEventsError::Store(error) => error.into(),
        }
    }
}

impl From<ReadProjectionError> for Problem {
    fn from(error: ReadProjectionError) -> Self {
        let text = error.to_string();
        match error {
            ReadProjectionError::NotFound => Self::new(ProblemKind::NotFound, text),
            ReadProjectionError::NotYet { .. } | ReadProjectionError::NotThen => {
                Self::new(ProblemKind::NotFound, format!("Projection not found: {text}"))
            }
            ReadProjectionError::Ambiguous | ReadProjectionError::TooFar { .. } => Self::new(ProblemKind::Conflict, text),
            ReadProjectionError::Building { .. } => Self::new(ProblemKind::Unavailable, text),
            ReadProjectionError::Foreign(error) => error.into(),
            ReadProjectionError::Store(error) => error.into(),
        }
    }
}

impl From<ManageProjectionsError> for Problem {
    fn from(error: ManageProjectionsError) -> Self {
        match error {
            ManageProjectionsError::NotFound => Self::new(ProblemKind::NotFound, "Projection not found"),
            ManageProjectionsError::TooMany => Self::new(ProblemKind::Conflict, error.to_string()),
            ManageProjectionsError::Foreign(error) => error.into(),
            ManageProjectionsError::Store(error) => of_definitions(error),
        }
    }
}

impl From<ManageKeysError> for Problem {
    fn from(error: ManageKeysError) -> Self {
        match error {
            ManageKeysError::NotFound => Self::new(ProblemKind::NotFound, "Key not found"),
            ManageKeysError::Foreign(error) => error.into(),
            ManageKeysError::Store(error) => error.into(),
        }
    }
}

/// A failure of the store while definitions, deliveries or dead letters were read or changed.
fn of_definitions(error: StoreError) -> Problem {
    match error {
        StoreError::Contended => {
            let detail = "others changed the same at this very moment; try again";
            Problem::new(ProblemKind::Unavailable, detail).caused_by(error)
        }
        StoreError::Unavailable(_) | StoreError::Corrupt(_) => error.into(),
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Unavailable { .. } | QueueError::Refused { .. } => {
                Self::new(ProblemKind::Unavailable, "the queue is not available right now; try again").caused_by(error)
            }
            QueueError::Unknown(_) => Self::mistake(error),
        }
    }
}

/// A field of the body that breaks a rule which could not be looked at alone. What was sent is not shown.
fn of_field(path: &[&str], why: impl std::fmt::Display) -> FieldProblem {
    let loc = [Place::name("body")].into_iter().chain(path.iter().map(|step| Place::name(step))).collect();
    FieldProblem::new(FieldProblemKind::ValueError, loc, format!("Value error, {why}"), Value::Null)
}

impl From<ManageSubscriptionsError> for Problem {
    fn from(error: ManageSubscriptionsError) -> Self {
        let text = error.to_string();
        match error {
            ManageSubscriptionsError::NotFound => Self::new(ProblemKind::NotFound, "Subscription not found"),
            ManageSubscriptionsError::Foreign(error) => error.into(),
            ManageSubscriptionsError::IdTaken | ManageSubscriptionsError::TooMany => Self::new(ProblemKind::Conflict, text),
            ManageSubscriptionsError::NoCallbackUrl | ManageSubscriptionsError::Refused(_) => {
                Self::invalid(vec![of_field(&["callback_url"], text)])
            }
            ManageSubscriptionsError::Store(error) => of_definitions(error),
        }
    }
}

impl From<ResendDeliveriesError> for Problem {
    fn from(error: ResendDeliveriesError) -> Self {
        match error {
            ResendDeliveriesError::NotFound => Self::new(ProblemKind::NotFound, "Subscription not found"),
            ResendDeliveriesError::NoSuchDelivery => Self::new(ProblemKind::NotFound, "Delivery not found"),
            ResendDeliveriesError::Inactive => Self::new(ProblemKind::Conflict, error.to_string()),
            ResendDeliveriesError::Queue(error) => error.into(),
            ResendDeliveriesError::Store(error) => of_definitions(error),
        }
    }
}

impl From<TestSubscriptionError> for Problem {
    fn from(error: TestSubscriptionError) -> Self {
        match error {
            TestSubscriptionError::NotFound => Self::new(ProblemKind::NotFound, "Subscription not found"),
            TestSubscriptionError::NoCallbackUrl => Self::new(ProblemKind::Conflict, error.to_string()),
            TestSubscriptionError::Store(error) => of_definitions(error),
        }
    }
}

impl From<ManageProcessorsError> for Problem {
    fn from(error: ManageProcessorsError) -> Self {
        let text = error.to_string();
        match error {
            ManageProcessorsError::NotFound => Self::new(ProblemKind::NotFound, "Processor not found"),
            ManageProcessorsError::NoSuchEvent => Self::new(ProblemKind::NotFound, text),
            ManageProcessorsError::Foreign(error) => error.into(),
            ManageProcessorsError::OutOfBounds => Self::new(ProblemKind::Forbidden, text),
            ManageProcessorsError::Config(problems) => {
                Self::invalid(problems.iter().map(|problem| of_field(&["config", &problem.field], &problem.message)).collect())
            }
            ManageProcessorsError::Refused(refused) => Self::invalid(vec![of_field(&["config", "url"], refused)]),
            ManageProcessorsError::NameTaken | ManageProcessorsError::TooMany => Self::new(ProblemKind::Conflict, text),
            ManageProcessorsError::Store(error) => of_definitions(error),
        }
    }
}

impl From<ManageDeadLettersError> for Problem {
    fn from(error: ManageDeadLettersError) -> Self {
        match error {
            ManageDeadLettersError::NotFound => Self::new(ProblemKind::NotFound, "Dead letter not found"),
            ManageDeadLettersError::Queue(error) => error.into(),
            ManageDeadLettersError::Store(error) => of_definitions(error),
        }
    }
}

impl From<CollectEventsError> for Problem {
    fn from(error: CollectEventsError) -> Self {
        Self::new(ProblemKind::TooManyRequests, "events are not taken right now; send them again").caused_by(error)
    }
}

impl From<ManageRejectedEventsError> for Problem {
    fn from(error: ManageRejectedEventsError) -> Self {
        match error {
            ManageRejectedEventsError::NotFound => Self::new(ProblemKind::NotFound, "Rejected event not found"),
            ManageRejectedEventsError::Truncated => Self::new(ProblemKind::Conflict, error.to_string()),
            ManageRejectedEventsError::StillRejected(rejection) => Self::invalid(vec![FieldProblem::new(
                FieldProblemKind::ValueError,
                vec![Place::name("body")],
                rejection.detail,
                Value::Null,
            )]),
            ManageRejectedEventsError::Collect(error) => error.into(),
            ManageRejectedEventsError::Store(error) => of_definitions(error),
        }
    }
}

impl From<ManageReplaysError> for Problem {
    fn from(error: ManageReplaysError) -> Self {
        let text = error.to_string();
        match error {
            ManageReplaysError::NotFound => Self::new(ProblemKind::NotFound, "Replay not found"),
            ManageReplaysError::NoSuchStream | ManageReplaysError::NoSuchEvent(_) => Self::new(ProblemKind::NotFound, text),
            ManageReplaysError::NoTarget | ManageReplaysError::NoSuchTarget(_) | ManageReplaysError::SeveralTargets(_) => {
                Self::invalid(vec![of_field(&["target_service"], text)])
            }
            ManageReplaysError::Ambiguous | ManageReplaysError::Inactive(_) | ManageReplaysError::Ended(_) => {
                Self::new(ProblemKind::Conflict, text)
            }
            ManageReplaysError::OutOfBounds => Self::new(ProblemKind::Forbidden, text),
            ManageReplaysError::Foreign(error) => error.into(),
            ManageReplaysError::Queue(error) => error.into(),
            ManageReplaysError::Store(error) => of_definitions(error),
        }
    }
}

impl From<ManageSchemasError> for Problem {
    fn from(error: ManageSchemasError) -> Self {
        let text = error.to_string();
        match error {
            ManageSchemasError::NotFound => Self::new(ProblemKind::NotFound, "Schema not found"),
            ManageSchemasError::Bad(_) => Self::invalid(vec![of_field(&["schema"], text)]),
            ManageSchemasError::Steps(problems) => {
                let problem = |problem: &StepProblem| {
                    let step = problem.step.map(|step| step.to_string());
                    let path: Vec<&str> = ["upcast", "steps"].into_iter().chain(step.as_deref()).collect();
                    of_field(&path, &problem.message)
                };
                Self::invalid(problems.iter().map(problem).collect())
            }
            ManageSchemasError::Loop => Self::invalid(vec![of_field(&["upcast", "from"], text)]),
            ManageSchemasError::VersionTaken(_)
            | ManageSchemasError::Incompatible { .. }
            | ManageSchemasError::TooMany(_)
            | ManageSchemasError::NothingToEnforce => Self::new(ProblemKind::Conflict, text),
            ManageSchemasError::Foreign(error) => error.into(),
            ManageSchemasError::Store(error) => of_definitions(error),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Invalid => Self::new(ProblemKind::NotAuthenticated, error.to_string()),
            AccessError::Unavailable(_) => {
                Self::new(ProblemKind::Unavailable, "the credential cannot be checked right now; try again").caused_by(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;
    use crate::domain::stream_id::StreamKey;

    fn body(problem: &Problem) -> Value {
        serde_json::to_value(problem).unwrap()
    }

    #[test]
    fn every_kind_has_a_name_and_an_error_status_of_its_own_kind() {
        let slugs: HashSet<&str> = ProblemKind::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            assert!(kind.status().is_client_error() || kind.status().is_server_error(), "{kind:?}");
        }
    }

    #[test]
    fn a_version_conflict_names_the_stream_and_both_versions() {
        let stream = StreamKey { organization: None, stream: "order:1".parse().unwrap() };
        for (expected, shown) in [
            (ExpectedVersion::Exactly(Version::new(3)), json!(3)),
            (ExpectedVersion::None, json!("none")),
            (ExpectedVersion::Exists, json!("exists")),
            (ExpectedVersion::Any, json!("any")),
        ] {
            let error = AppendError::VersionConflict { stream: stream.clone(), expected, actual: Version::new(5) };
            let detail = error.to_string();
            let problem = Problem::from(RecordEventsError::from(error));
            assert_eq!(
                body(&problem),
                json!({
                    "detail": detail, "type": "/docs#problem-version-conflict", "title": "Version conflict", "status": 409,
                    "stream_id": "order:1", "expected_version": shown, "actual_version": 5,
                })
            );
        }
    }

    #[test]
    fn a_failure_of_the_store_shows_nothing_of_its_cause() {
        let cause = || Box::new(std::io::Error::other("secret table name"));
        for (error, status) in [
            (StoreError::Unavailable(cause()), 503),
            (StoreError::Contended, 503),
            (StoreError::Corrupt("secret table name".to_owned()), 500),
        ] {
            let problem = Problem::from(AppendError::from(error));
            let body = body(&problem);
            assert_eq!(body["status"], status);
            assert!(!body.to_string().contains("secret"), "{body}");
            assert!(problem.cause().is_some());
        }
        let problem = Problem::from(AccessError::Unavailable(cause()));
        assert!(!body(&problem).to_string().contains("secret"));
    }

    #[test]
    fn a_problem_shows_what_was_sent_and_cuts_it_when_it_is_long() {
        let show = |text: &str| shown(&RawValue::from_string(text.to_owned()).unwrap());
        assert_eq!(show("\"abc\""), json!("abc"));
        assert_eq!(show("{\"a\":[1]}"), json!({"a": [1]}));
        let long = format!("\"{}\"", "é".repeat(300));
        let Value::String(cut) = show(&long) else { panic!("not a text") };
        assert_eq!(cut, format!("{}…", "é".repeat(100)));
        let Value::String(cut) = show(&format!("[{}1]", "1,".repeat(300))) else { panic!("not a text") };
        assert!(cut.starts_with("[1,1") && cut.ends_with('…') && cut.len() <= 203, "{cut}");
    }
}
