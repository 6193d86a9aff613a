//! Answers as HTTP, and the one place where causes of problems are logged.

use lambda_http::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, Response};
use serde::Serialize;

use super::problem::{Problem, ProblemKind};
use crate::telemetry::Chain;

/// The header that tells a client that its request had been answered before.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The header that ties a request to its answer and to the log.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const MAX_REQUEST_ID: usize = 128;

/// Whether a request may be called this: what is longer, or has other characters than names have, is echoed nowhere.
#[must_use]
pub fn is_simple(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=MAX_REQUEST_ID).contains(&bytes.len()) && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// The answer to a request that went well.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    content_type: HeaderValue,
    body: Body,
    recording: Recording,
    allow: Option<String>,
}

/// Whether a request was carried out just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// It was, or there was nothing to carry out.
    New,
    /// It had been before: this is the first answer again.
    Replayed,
}

impl Answer {
    /// An answer in JSON.
    ///
    /// # Errors
    /// [`ProblemKind::Internal`] if the value cannot be written, which no answer's type allows.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Problem> {
        let body = serde_json::to_string(value).map_err(Problem::mistake)?;
        Ok(Self::of(JSON, Body::Text(body)))
    }

    /// An answer that is JSON already.
    #[must_use]
    pub const fn json_text(body: String) -> Self {
        Self::of(JSON, Body::Text(body))
    }

    /// A page for people.
    #[must_use]
    pub const fn html(body: String) -> Self {
        Self::of(HTML, Body::Text(body))
    }

    /// A picture.
    #[must_use]
    pub fn gif(bytes: &[u8]) -> Self {
        Self::of(HeaderValue::from_static("image/gif"), Body::Binary(bytes.to_vec()))
    }

    /// The methods that a path exists with.
    #[must_use]
    pub fn options(allow: String) -> Self {
        Self { status: StatusCode::NO_CONTENT, allow: Some(allow), ..Self::of(JSON, Body::Empty) }
    }

    const fn of(content_type: HeaderValue, body: Body) -> Self {
        Self { status: StatusCode::OK, content_type, body, recording: Recording::New, allow: None }
    }

    /// The same answer with another status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same answer, which says whether the request was carried out just now.
    #[must_use]
    pub fn recorded(self, recording: Recording) -> Self {
        Self { recording, ..self }
    }
}

/// What the answer takes from the request's head. Taken first, so that the request can be consumed.
#[derive(Debug)]
pub struct Addressee {
    request_id: Option<HeaderValue>,
    method: Method,
}

impl Addressee {
    /// Who gets the answer to this request.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        Self { request_id: request.headers().get(X_REQUEST_ID).filter(|id| is_simple(id)).cloned(), method: request.method().clone() }
    }
}

/// Makes the response. Logs the cause of a problem, if it has one.
#[must_use]
pub fn respond(to: Addressee, result: Result<Answer, Problem>) -> Response<Body> {
    let mut response = match result {
        Ok(answer) => success(answer),
        Err(problem) => {
            let request_id = to.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
            if let Some(cause) = problem.cause() {
                let (kind, status) = (problem.kind().slug(), problem.kind().status().as_u16());
                tracing::error!(error = %Chain(cause), problem = kind, status, request_id, "a request failed");
            }
            failure(&problem)
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(id) = to.request_id {
        headers.insert(X_REQUEST_ID, id);
    }
    if to.method == Method::HEAD {
        *response.body_mut() = Body::Empty;
    }
    response
}

fn success(answer: Answer) -> Response<Body> {
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    if answer.status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_TYPE, answer.content_type);
    }
    if answer.recording == Recording::Replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(allow) = answer.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
        headers.insert(ALLOW, allow);
    }
    response
}

fn failure(problem: &Problem) -> Response<Body> {
    let body = serde_json::to_string(problem).unwrap_or_else(|_| r#"{"detail":"the service made a mistake"}"#.to_owned());
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = problem.kind().status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    match problem.kind() {
        ProblemKind::NotAuthenticated => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        ProblemKind::TooManyRequests => {
            headers.insert(RETRY_AFTER, problem.wait().map_or(HeaderValue::from_static("5"), HeaderValue::from));
        }
        ProblemKind::Unavailable => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        ProblemKind::MethodNotAllowed => {
            if let Some(allow) = problem.allowed().and_then(|allow| HeaderValue::from_str(allow).ok()) {
                headers.insert(ALLOW, allow);
            }
        }
        ProblemKind::Forbidden
        | ProblemKind::NotFound
        | ProblemKind::VersionConflict
        | ProblemKind::EventIdReused
        | ProblemKind::IdempotencyKeyReused
        | ProblemKind::Conflict
        | ProblemKind::TooLarge
        | ProblemKind::Invalid
        | ProblemKind::Internal => {}
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::store_error::StoreError;

    fn addressee(method: Method, request_id: &str) -> Addressee {
        let request = lambda_http::http::Request::builder().method(method).header(X_REQUEST_ID, request_id).body(Body::Empty).unwrap();
        Addressee::of(&request)
    }

    #[test]
    fn an_answer_is_json_that_nobody_keeps_and_echoes_a_simple_request_id() {
        let response = respond(addressee(Method::GET, "abc-1.2_3"), Answer::json(&[1, 2]));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[X_REQUEST_ID], "abc-1.2_3");
        assert!(!response.headers().contains_key(IDEMPOTENCY_REPLAYED));
        assert_eq!(response.body(), &Body::Text("[1,2]".to_owned()));
    }

    #[test]
    fn a_request_id_that_is_not_simple_is_not_echoed() {
        for id in ["", "a b", "<script>", &"x".repeat(129)] {
            let response = respond(addressee(Method::GET, id), Answer::json(&()));
            assert!(!response.headers().contains_key(X_REQUEST_ID), "{id}");
        }
    }

    #[test]
    fn an_answer_that_was_given_before_says_so() {
        let answer = Answer::json(&()).map(|answer| answer.recorded(Recording::Replayed));
        assert_eq!(respond(addressee(Method::POST, "x"), answer).headers()[IDEMPOTENCY_REPLAYED], "true");
    }

    #[test]
    fn a_head_request_gets_the_headers_only() {
        let response = respond(addressee(Method::HEAD, "x"), Answer::json(&()));
        assert_eq!((response.status().as_u16(), response.body()), (200, &Body::Empty));
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn problems_come_with_the_headers_that_tell_what_to_do() {
        for (problem, header, value) in [
            (Problem::not_authenticated(), WWW_AUTHENTICATE, "Bearer"),
            (Problem::from(StoreError::Contended), RETRY_AFTER, "1"),
            (Problem::method_not_allowed("GET, HEAD".to_owned()), ALLOW, "GET, HEAD"),
        ] {
            let status = problem.kind().status();
            let response = respond(addressee(Method::GET, "x"), Err(problem));
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header], value);
        }
    }
}
