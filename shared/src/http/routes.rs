//! The routes: one table for the functions, the local process, the documents and the deployment.

use lambda_http::http::Method;

use super::problem::Problem;
use super::request::percent_decoded;
use crate::domain::access::Scope;

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
}

/// What a route does, by the function that does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `functions/record-events`.
    RecordEvents(RecordEventsEndpoint),
    /// `functions/read-events`.
    ReadEvents(ReadEventsEndpoint),
    /// `functions/manage-keys`.
    ManageKeys(ManageKeysEndpoint),
}

impl Endpoint {
    /// The crate of the function.
    #[must_use]
    pub const fn function(self) -> &'static str {
        match self {
            Self::RecordEvents(_) => "record-events",
            Self::ReadEvents(_) => "read-events",
            Self::ManageKeys(_) => "manage-keys",
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

/// Every route.
pub const ROUTES: &[Route] = &[
    Route {
        endpoint: Endpoint::RecordEvents(RecordEventsEndpoint::Create),
        method: Method::POST,
        path: "/api/v1/events/create",
        access: Access::Scope(Scope::Write),
        operation_id: "create_event",
        summary: "Record an event",
    },
    Route {
        endpoint: Endpoint::RecordEvents(RecordEventsEndpoint::Batch),
        method: Method::POST,
        path: "/api/v1/events/batch",
        access: Access::Scope(Scope::Write),
        operation_id: "create_events",
        summary: "Record up to 100 events, all or none",
    },
    Route {
        endpoint: Endpoint::ReadEvents(ReadEventsEndpoint::Query),
        method: Method::POST,
        path: "/api/v1/events/query",
        access: Access::Scope(Scope::Read),
        operation_id: "query_events",
        summary: "Find events, newest first",
    },
    Route {
        endpoint: Endpoint::ReadEvents(ReadEventsEndpoint::Statistics),
        method: Method::GET,
        path: "/api/v1/events/statistics",
        access: Access::Scope(Scope::Read),
        operation_id: "get_statistics",
        summary: "Count events",
    },
    Route {
        endpoint: Endpoint::ReadEvents(ReadEventsEndpoint::Stream),
        method: Method::GET,
        path: "/api/v1/events/stream/{stream_id+}",
        access: Access::Scope(Scope::Read),
        operation_id: "get_stream",
        summary: "Read the events of a stream, in their order",
    },
    Route {
        endpoint: Endpoint::ReadEvents(ReadEventsEndpoint::Event),
        method: Method::GET,
        path: "/api/v1/events/{event_id}",
        access: Access::Scope(Scope::Read),
        operation_id: "get_event",
        summary: "Read an event",
    },
    Route {
        endpoint: Endpoint::ManageKeys(ManageKeysEndpoint::Create),
        method: Method::POST,
        path: "/api/v1/keys",
        access: Access::Scope(Scope::Admin),
        operation_id: "create_key",
        summary: "Make an API key",
    },
    Route {
        endpoint: Endpoint::ManageKeys(ManageKeysEndpoint::List),
        method: Method::GET,
        path: "/api/v1/keys",
        access: Access::Scope(Scope::Admin),
        operation_id: "list_keys",
        summary: "List the API keys",
    },
    Route {
        endpoint: Endpoint::ManageKeys(ManageKeysEndpoint::Revoke),
        method: Method::DELETE,
        path: "/api/v1/keys/{key_id}",
        access: Access::Scope(Scope::Admin),
        operation_id: "revoke_key",
        summary: "Revoke an API key",
    },
    Route {
        endpoint: Endpoint::ReadEvents(ReadEventsEndpoint::Health),
        method: Method::GET,
        path: "/health",
        access: Access::Public,
        operation_id: "get_health",
        summary: "Whether the service can work",
    },
    Route {
        endpoint: Endpoint::ReadEvents(ReadEventsEndpoint::Health),
        method: Method::GET,
        path: "/api/v1/events/health",
        access: Access::Public,
        operation_id: "get_events_health",
        summary: "The same as `/health`",
    },
    Route {
        endpoint: Endpoint::ReadEvents(ReadEventsEndpoint::OpenApi),
        method: Method::GET,
        path: "/openapi.json",
        access: Access::Public,
        operation_id: "get_openapi",
        summary: "This description, for machines",
    },
    Route {
        endpoint: Endpoint::ReadEvents(ReadEventsEndpoint::Docs),
        method: Method::GET,
        path: "/docs",
        access: Access::Public,
        operation_id: "get_docs",
        summary: "This description, for people",
    },
];

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To a route.
    Route(Matched),
    /// Nowhere: it asks which of these methods its path has.
    Options(String),
}

/// A route that fits a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// The route.
    pub route: &'static Route,
    /// What the parameter of its path stands for, decoded; empty if it has none.
    pub parameter: String,
}

/// Finds where a request goes. `path` is percent-encoded. A literal path wins over a parameter.
///
/// # Errors
/// 404 for an unknown path, 405 for a known one with another method.
pub fn find(method: &Method, path: &str) -> Result<Destination, Problem> {
    let fitting: Vec<(&'static Route, String)> =
        ROUTES.iter().filter_map(|route| parameter_of(route.path, path).map(|parameter| (route, parameter))).collect();
    let literal = fitting.iter().any(|(route, _)| !route.path.contains('{'));
    let fitting: Vec<(&'static Route, String)> = fitting.into_iter().filter(|(route, _)| !literal || !route.path.contains('{')).collect();
    if fitting.is_empty() {
        return Err(Problem::no_such_path());
    }
    let allowed = allowed_methods(fitting.iter().map(|(route, _)| &route.method));
    let wanted = if *method == Method::HEAD { &Method::GET } else { method };
    match fitting.into_iter().find(|(route, _)| route.method == *wanted) {
        Some((route, parameter)) => Ok(Destination::Route(Matched { route, parameter })),
        None if *method == Method::OPTIONS => Ok(Destination::Options(allowed)),
        None => Err(Problem::method_not_allowed(allowed)),
    }
}

/// What the parameter of `template` stands for in `path`, if that fits. Empty if it has none.
fn parameter_of(template: &str, path: &str) -> Option<String> {
    let Some((before, name)) = template.split_once('{') else { return (template == path).then(String::new) };
    let takes_rest = name.ends_with("+}");
    let value = path.strip_prefix(before).filter(|value| !value.is_empty() && (takes_rest || !value.contains('/')))?;
    String::from_utf8(percent_decoded(value)).ok()
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
            Destination::Route(matched) => Ok((matched.route.operation_id, matched.parameter)),
            Destination::Options(allowed) => Ok(("options", allowed)),
        }
    }

    #[test]
    fn every_route_is_found_by_its_own_method_and_path() {
        for route in ROUTES {
            let path = route.path.replace("{stream_id+}", "order:1").replace("{event_id}", "e").replace("{key_id}", "k");
            assert_eq!(operation(&route.method, &path).map(|(id, _)| id), Ok(route.operation_id));
        }
        let ids: HashSet<&str> = ROUTES.iter().map(|route| route.operation_id).collect();
        assert_eq!(ids.len(), ROUTES.len());
    }

    #[test]
    fn a_path_parameter_is_at_the_end_and_there_is_one_at_most() {
        for route in ROUTES {
            let open = route.path.find('{');
            assert!(open.is_none_or(|open| route.path[open + 1..].find('}') == Some(route.path.len() - open - 2)), "{}", route.path);
        }
    }

    #[test]
    fn a_parameter_is_decoded_and_a_literal_path_wins_over_it() {
        for (method, path, expected) in [
            (Method::GET, "/api/v1/events/abc", Ok(("get_event", "abc".to_owned()))),
            (Method::HEAD, "/api/v1/events/abc", Ok(("get_event", "abc".to_owned()))),
            (Method::GET, "/api/v1/events/health", Ok(("get_events_health", String::new()))),
            (Method::GET, "/api/v1/events/statistics", Ok(("get_statistics", String::new()))),
            (Method::GET, "/api/v1/events/stream/order%3A1%2F2", Ok(("get_stream", "order:1/2".to_owned()))),
            (Method::GET, "/api/v1/events/stream/order:1/2", Ok(("get_stream", "order:1/2".to_owned()))),
            (Method::GET, "/api/v1/events/stream/caf%C3%A9:1", Ok(("get_stream", "café:1".to_owned()))),
            (Method::GET, "/api/v1/events/query", Err(ProblemKind::MethodNotAllowed)),
            (Method::GET, "/api/v1/events/create", Err(ProblemKind::MethodNotAllowed)),
            (Method::POST, "/api/v1/events/abc", Err(ProblemKind::MethodNotAllowed)),
            (Method::DELETE, "/api/v1/keys", Err(ProblemKind::MethodNotAllowed)),
            (Method::GET, "/api/v1/events/", Err(ProblemKind::NotFound)),
            (Method::GET, "/api/v1/events", Err(ProblemKind::NotFound)),
            (Method::GET, "/api/v1/events/a/b", Err(ProblemKind::NotFound)),
            (Method::GET, "/api/v1/events/%ff", Err(ProblemKind::NotFound)),
            (Method::GET, "/health/", Err(ProblemKind::NotFound)),
            (Method::GET, "/", Err(ProblemKind::NotFound)),
            (Method::GET, "", Err(ProblemKind::NotFound)),
            (Method::OPTIONS, "/nowhere", Err(ProblemKind::NotFound)),
            (Method::OPTIONS, "/api/v1/keys", Ok(("options", "POST, GET, HEAD, OPTIONS".to_owned()))),
            (Method::OPTIONS, "/api/v1/events/create", Ok(("options", "POST, OPTIONS".to_owned()))),
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
