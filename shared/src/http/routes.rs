//! The routes: one table for the functions, the local process, the documents and the deployment.

mod table;

use lambda_http::http::Method;

pub use self::table::ROUTES;
use super::problem::Problem;
use super::request::percent_decoded;
use crate::domain::access::Scope;
use crate::domain::collected_event::CallType;

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What it does, and so which function has it.
    pub endpoint: Endpoint,
    /// Its method. `HEAD` goes where `GET` goes.
    pub method: Method,
    /// Its path in API Gateway's notation: `{name}` is one segment, `{name+}` the rest of the path.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// Its name in documents.
    pub operation_id: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Callers with this right.
    Scope(Scope),
    /// Clients that nobody controls, with an API key that may collect events. They present it as SDKs do, also where no authorizer
    /// looks: so the function checks it itself.
    WriteKey,
    /// A service that shares a secret with the operator, which the function checks itself; anybody if there is none.
    SharedSecret,
}

/// What a route does, by the function that does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `functions/record-events`.
    RecordEvents(RecordEventsEndpoint),
    /// `functions/read-events`.
    ReadEvents(ReadEventsEndpoint),
    /// `functions/manage-subscriptions`.
    ManageSubscriptions(ManageSubscriptionsEndpoint),
    /// `functions/manage-processors`.
    ManageProcessors(ManageProcessorsEndpoint),
    /// `functions/manage-dead-letters`.
    ManageDeadLetters(ManageDeadLettersEndpoint),
    /// `functions/manage-keys`.
    ManageKeys(ManageKeysEndpoint),
    /// `functions/collect-frontend`.
    CollectFrontend(CollectFrontendEndpoint),
    /// `functions/receive-rudderstack`.
    ReceiveRudderstack,
    /// `functions/receive-analytics`.
    ReceiveAnalytics(ReceiveAnalyticsEndpoint),
    /// `functions/receive-cloudevents`.
    ReceiveCloudevents,
    /// `functions/manage-rejected-events`.
    ManageRejectedEvents(ManageRejectedEventsEndpoint),
    /// `functions/read-projections`.
    ReadProjections(ReadProjectionsEndpoint),
    /// `functions/replay-events`.
    ReplayEvents(ReplayEventsEndpoint),
    /// `functions/manage-schemas`.
    ManageSchemas(ManageSchemasEndpoint),
}

impl Endpoint {
    /// The crate of the function.
    #[must_use]
    pub const fn function(self) -> &'static str {
        match self {
            Self::RecordEvents(_) => "record-events",
            Self::ReadEvents(_) => "read-events",
            Self::ManageSubscriptions(_) => "manage-subscriptions",
            Self::ManageProcessors(_) => "manage-processors",
            Self::ManageDeadLetters(_) => "manage-dead-letters",
            Self::ManageKeys(_) => "manage-keys",
            Self::CollectFrontend(_) => "collect-frontend",
            Self::ReceiveRudderstack => "receive-rudderstack",
            Self::ReceiveAnalytics(_) => "receive-analytics",
            Self::ReceiveCloudevents => "receive-cloudevents",
            Self::ManageRejectedEvents(_) => "manage-rejected-events",
            Self::ReadProjections(_) => "read-projections",
            Self::ReplayEvents(_) => "replay-events",
            Self::ManageSchemas(_) => "manage-schemas",
        }
    }
}

/// What `functions/record-events` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordEventsEndpoint {
    /// Records one event.
    Create,
    /// Records a batch.
    Batch,
}

/// What `functions/read-events` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadEventsEndpoint {
    /// One event.
    Event,
    /// What became of one event.
    Results,
    /// A page of the events that match.
    Query,
    /// How many events there are.
    Statistics,
    /// The events of a stream.
    Stream,
    /// Whether the service can work.
    Health,
    /// The OpenAPI document.
    OpenApi,
    /// The same for people.
    Docs,
}

/// What `functions/manage-subscriptions` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManageSubscriptionsEndpoint {
    /// Makes a subscription.
    Create,
    /// Lists subscriptions.
    List,
    /// One subscription.
    Get,
    /// Changes one.
    Change,
    /// Deletes one.
    Delete,
    /// Gives one a new secret.
    RotateSecret,
    /// Sends a test to one.
    Test,
    /// Lists what was sent to one.
    Deliveries,
    /// Sends one event again.
    Resend,
    /// Sends again what was missed.
    Recover,
}

/// What `functions/manage-processors` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManageProcessorsEndpoint {
    /// Makes or redefines a processor.
    Create,
    /// Lists processors.
    List,
    /// One processor.
    Get,
    /// Switches one on or off.
    Toggle,
    /// Tries one on an event.
    Test,
    /// Removes one.
    Delete,
}

/// What `functions/manage-dead-letters` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManageDeadLettersEndpoint {
    /// Lists dead letters.
    List,
    /// Sends some to their queues again.
    Redrive,
    /// Removes one.
    Delete,
}

/// What `functions/manage-keys` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManageKeysEndpoint {
    /// Makes a key.
    Create,
    /// Lists keys.
    List,
    /// Revokes a key.
    Revoke,
}

/// What `functions/collect-frontend` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CollectFrontendEndpoint {
    /// Takes one event.
    Event,
    /// Takes several.
    Batch,
    /// Takes one that is in the address of a picture.
    Pixel,
    /// Says that it is there.
    Health,
}

/// What `functions/receive-analytics` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReceiveAnalyticsEndpoint {
    /// Takes one message, of this call.
    Call(CallType),
    /// Takes several.
    Batch,
    /// Takes several of the past.
    Import,
    /// Takes several from a page that is being left: the key is in the address.
    Beacon,
    /// Takes one, of this call, that is in the address of a picture.
    Pixel(CallType),
    /// Tells an SDK what it asks for at its start.
    SourceConfig,
}

/// What `functions/manage-rejected-events` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManageRejectedEventsEndpoint {
    /// Lists events that were rejected.
    List,
    /// Takes one in after all.
    Retry,
}

/// What `functions/read-projections` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadProjectionsEndpoint {
    /// The state of an entity.
    State,
    /// The same, folded from its first event.
    Rebuild,
    /// What an entity's state would be by some rules.
    DryRun,
    /// Defines a projection.
    Define,
    /// Lists the definitions.
    List,
    /// One definition.
    Get,
    /// Removes one.
    Delete,
}

/// What `functions/replay-events` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayEventsEndpoint {
    /// Starts a replay, or says what it would send.
    Start,
    /// Lists replays.
    List,
    /// One replay.
    Get,
    /// Cancels one.
    Cancel,
    /// Publishes events on NATS again, or says how many that would be.
    Republish,
}

/// What `functions/manage-schemas` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManageSchemasEndpoint {
    /// Registers a schema.
    Register,
    /// Lists the schemas of all types.
    List,
    /// Those of one type.
    Get,
    /// Removes those of one.
    Delete,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To a route.
    Route(Matched),
    /// Nowhere: it asks which methods its path has.
    Options(PathOptions),
}

/// What a path has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathOptions {
    /// Its methods, as the header `Allow` lists them.
    pub methods: String,
    /// What one of its routes does.
    pub endpoint: Endpoint,
}

/// A route that fits a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// The route.
    pub route: &'static Route,
    /// What the parameters of its path stand for, by their names, decoded.
    pub parameters: Vec<(&'static str, String)>,
}

impl Matched {
    /// What the parameter of this name stands for; empty, as no parameter is, if the path has none of this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

/// Finds where a request goes. `path` is percent-encoded. A literal segment wins over a parameter, the first that differs
/// deciding.
///
/// # Errors
/// 404 for an unknown path, 405 for a known one with another method.
pub fn find(method: &Method, path: &str) -> Result<Destination, Problem> {
    let mut fitting: Vec<(&'static Route, Fit)> = ROUTES.iter().filter_map(|route| Some((route, fit(route.path, path)?))).collect();
    let Some(closest) = fitting.iter().map(|(_, fit)| fit.steps.clone()).min() else { return Err(Problem::no_such_path()) };
    fitting.retain(|(_, fit)| fit.steps == closest);
    let allowed = allowed_methods(fitting.iter().map(|(route, _)| &route.method));
    let wanted = if *method == Method::HEAD { &Method::GET } else { method };
    let endpoint = fitting.first().map(|(route, _)| route.endpoint);
    match fitting.into_iter().find(|(route, _)| route.method == *wanted) {
        Some((route, fit)) => Ok(Destination::Route(Matched { route, parameters: fit.parameters })),
        None if *method == Method::OPTIONS => {
            let endpoint = endpoint.ok_or_else(Problem::no_such_path)?;
            Ok(Destination::Options(PathOptions { methods: allowed, endpoint }))
        }
        None => Err(Problem::method_not_allowed(allowed)),
    }
}

/// How a path fits a route's.
#[derive(Default)]
struct Fit {
    /// How closely, segment by segment.
    steps: Vec<Step>,
    parameters: Vec<(&'static str, String)>,
}

/// How a segment of a route's path fits, closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Literal,
    Parameter,
    Rest,
}

fn fit(template: &'static str, path: &str) -> Option<Fit> {
    let mut fit = Fit::default();
    let mut rest = Some(path);
    for step in template.split('/') {
        let left = rest?;
        let (segment, after) = left.split_once('/').map_or((left, None), |(segment, after)| (segment, Some(after)));
        let name = step.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        let (step, taken) = match (name, name.and_then(|name| name.strip_suffix('+'))) {
            (_, Some(name)) => (Step::Rest, Some((name, left))),
            (Some(name), None) => (Step::Parameter, Some((name, segment))),
            (None, None) if step == segment => (Step::Literal, None),
            (None, None) => return None,
        };
        fit.steps.push(step);
        if let Some((name, value)) = taken {
            fit.parameters.push((name, decoded(value)?));
        }
        rest = after.filter(|_| step != Step::Rest);
    }
    rest.is_none().then_some(fit)
}

/// What a part of a path stands for, unless it is empty or no text.
fn decoded(part: &str) -> Option<String> {
    String::from_utf8(percent_decoded(part)).ok().filter(|text| !text.is_empty())
}

fn allowed_methods<'a>(methods: impl Iterator<Item = &'a Method>) -> String {
    let mut names = Vec::new();
    for method in methods {
        names.push(method.as_str());
        if *method == Method::GET {
            names.push("HEAD");
        }
    }
    names.push("OPTIONS");
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::http::problem::ProblemKind;

    fn operation(method: &Method, path: &str) -> Result<(&'static str, String), ProblemKind> {
        match find(method, path).map_err(|problem| problem.kind())? {
            Destination::Route(matched) => {
                let values: Vec<&str> = matched.parameters.iter().map(|(_, value)| value.as_str()).collect();
                Ok((matched.route.operation_id, values.join(" ")))
            }
            Destination::Options(options) => Ok(("options", options.methods)),
        }
    }

    #[test]
    fn every_route_is_found_by_its_own_method_and_path() {
        for route in ROUTES {
            let path = route.path.replace("{stream_id+}", "order:1").replace("{entity_id+}", "42").replace(['{', '}'], "~");
            assert_eq!(operation(&route.method, &path).map(|(id, _)| id), Ok(route.operation_id));
        }
        let ids: HashSet<&str> = ROUTES.iter().map(|route| route.operation_id).collect();
        assert_eq!(ids.len(), ROUTES.len());
    }

    #[test]
    fn a_parameter_is_a_whole_segment_with_a_name_of_its_own_and_only_the_last_takes_the_rest() {
        for route in ROUTES {
            let named: Vec<&str> = route.path.split('/').filter(|segment| segment.contains(['{', '}', '+'])).collect();
            for (index, segment) in named.iter().enumerate() {
                let name = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or_else(|| panic!("{}", route.path));
                assert!(!named[..index].contains(segment), "{}", route.path);
                let takes_rest = name.ends_with('+');
                assert!(!takes_rest || route.path.ends_with(segment), "{}", route.path);
                assert!(name.trim_end_matches('+').chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", route.path);
            }
        }
    }

    #[test]
    fn parameters_are_decoded_and_found_by_their_names() {
        let Ok(Destination::Route(matched)) = find(&Method::POST, "/api/v1/events/subscriptions/a%2Fb/deliveries/m%20s/resend") else {
            panic!("no route")
        };
        assert_eq!((matched.parameter("subscription_id"), matched.parameter("delivery_id"), matched.parameter("x")), ("a/b", "m s", ""));
    }

    #[test]
    fn a_parameter_is_decoded_and_a_literal_segment_wins_over_it() {
        let text = |text: &str| text.to_owned();
        for (method, path, expected) in [
            (Method::GET, "/api/v1/events/abc", Ok(("get_event", text("abc")))),
            (Method::HEAD, "/api/v1/events/abc", Ok(("get_event", text("abc")))),
            (Method::GET, "/api/v1/events/abc/results", Ok(("get_results", text("abc")))),
            (Method::GET, "/api/v1/events/health", Ok(("get_events_health", String::new()))),
            (Method::GET, "/api/v1/events/statistics", Ok(("get_statistics", String::new()))),
            (Method::GET, "/api/v1/events/stream/order%3A1%2F2", Ok(("get_stream", text("order:1/2")))),
            (Method::GET, "/api/v1/events/stream/order:1/2", Ok(("get_stream", text("order:1/2")))),
            (Method::GET, "/api/v1/events/stream/order:1/results", Ok(("get_stream", text("order:1/results")))),
            (Method::GET, "/api/v1/events/stream/results", Ok(("get_stream", text("results")))),
            (Method::GET, "/api/v1/events/stream/caf%C3%A9:1", Ok(("get_stream", text("café:1")))),
            (Method::GET, "/api/v1/events/subscriptions", Ok(("list_subscriptions", String::new()))),
            (Method::GET, "/api/v1/events/subscriptions/results", Ok(("get_subscription", text("results")))),
            (Method::GET, "/api/v1/events/subscriptions/a/deliveries", Ok(("list_deliveries", text("a")))),
            (Method::POST, "/api/v1/events/subscriptions/a/deliveries/b/resend", Ok(("resend_delivery", text("a b")))),
            (Method::PUT, "/api/v1/events/processors/%20/toggle", Ok(("toggle_processor", text(" ")))),
            (Method::GET, "/api/v1/events/projections", Ok(("list_projections", String::new()))),
            (Method::GET, "/api/v1/events/projections/abc", Ok(("get_projection_definition", text("abc")))),
            (Method::GET, "/api/v1/events/projections/order/a%2Fb", Ok(("get_projection", text("order a/b")))),
            (Method::GET, "/api/v1/events/projections/order/a/b", Ok(("get_projection", text("order a/b")))),
            (Method::POST, "/api/v1/events/projections/order/a%2Fb/rebuild", Ok(("rebuild_projection", text("order a/b")))),
            (Method::POST, "/api/v1/events/projections/dry-run", Ok(("try_projection", String::new()))),
            (Method::POST, "/api/v1/events/dead-letters/redrive", Ok(("redrive_dead_letters", String::new()))),
            (Method::DELETE, "/api/v1/events/dead-letters/redrive", Err(ProblemKind::MethodNotAllowed)),
            (Method::DELETE, "/api/v1/events/dead-letters/x", Ok(("delete_dead_letter", text("x")))),
            (Method::GET, "/api/v1/events/query", Err(ProblemKind::MethodNotAllowed)),
            (Method::GET, "/api/v1/events/create", Err(ProblemKind::MethodNotAllowed)),
            (Method::POST, "/api/v1/events/abc", Err(ProblemKind::MethodNotAllowed)),
            (Method::DELETE, "/api/v1/keys", Err(ProblemKind::MethodNotAllowed)),
            (Method::GET, "/api/v1/events/", Err(ProblemKind::NotFound)),
            (Method::GET, "/api/v1/events", Err(ProblemKind::NotFound)),
            (Method::GET, "/api/v1/events/a/b", Err(ProblemKind::NotFound)),
            (Method::GET, "/api/v1/events//results", Err(ProblemKind::NotFound)),
            (Method::GET, "/api/v1/events/a/results/", Err(ProblemKind::NotFound)),
            (Method::GET, "/api/v1/events/subscriptions/", Err(ProblemKind::NotFound)),
            (Method::GET, "/api/v1/events/subscriptions/a/deliveries/b", Err(ProblemKind::NotFound)),
            (Method::GET, "/api/v1/events/%ff", Err(ProblemKind::NotFound)),
            (Method::GET, "/health/", Err(ProblemKind::NotFound)),
            (Method::GET, "/", Err(ProblemKind::NotFound)),
            (Method::GET, "", Err(ProblemKind::NotFound)),
            (Method::OPTIONS, "/nowhere", Err(ProblemKind::NotFound)),
            (Method::OPTIONS, "/api/v1/keys", Ok(("options", text("POST, GET, HEAD, OPTIONS")))),
            (Method::OPTIONS, "/api/v1/events/create", Ok(("options", text("POST, OPTIONS")))),
            (Method::OPTIONS, "/api/v1/events/subscriptions/x", Ok(("options", text("GET, HEAD, PATCH, DELETE, OPTIONS")))),
        ] {
            assert_eq!(operation(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let problem = find(&Method::PUT, "/api/v1/events/abc").unwrap_err();
        assert_eq!(problem.allowed(), Some("GET, HEAD, OPTIONS"));
    }
}
