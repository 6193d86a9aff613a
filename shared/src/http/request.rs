//! Requests: the path, the body as JSON, the query string, and headers that mean something.

use std::collections::BTreeMap;

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt as _};
use serde_json::Value;
use serde_json::value::RawValue;

use super::problem::{FieldProblem, FieldProblemKind, Place, Problem, ProblemKind};
use crate::domain::identifiers::IdempotencyKey;
use crate::domain::json::{JsonError, check_json};
use crate::domain::trace::{self, TraceParent};

/// The most bytes of a body. More never comes through Lambda.
pub const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The most bytes of a body that describes a processor, a subscription or what to do with them.
pub const MAX_DEFINITION_BYTES: usize = 64 * 1024;

/// The header that makes a whole request repeatable.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The path of the request, percent-encoded, without the API's stage.
#[must_use]
pub fn path(request: &Request) -> &str {
    let raw = request.raw_http_path();
    let path = if raw.is_empty() { request.uri().path() } else { raw };
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.as_deref().filter(|stage| *stage != "$default"),
        Some(_) | None => None,
    };
    let without_stage = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage)).filter(|rest| rest.starts_with('/'));
    without_stage.unwrap_or(path)
}

/// The body, once it is known to be JSON that can be kept.
///
/// # Errors
/// [`ProblemKind::TooLarge`] before anything is parsed, [`ProblemKind::Invalid`] if it is not such JSON.
pub fn json_body(request: &Request) -> Result<&RawValue, Problem> {
    json_body_of(request, MAX_BODY_BYTES)
}

/// The same of a body that describes a processor, a subscription or what to do with them.
///
/// # Errors
/// The same, from [`MAX_DEFINITION_BYTES`] on.
pub fn definition_body(request: &Request) -> Result<&RawValue, Problem> {
    json_body_of(request, MAX_DEFINITION_BYTES)
}

/// The same of a body that need not be there: nothing is an object without members.
///
/// # Errors
/// The same as those of [`definition_body`].
pub fn optional_body(request: &Request) -> Result<&RawValue, Problem> {
    let bytes: &[u8] = request.body().as_ref();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return serde_json::from_str("{}").map_err(|error| not_json(&error.to_string()));
    }
    definition_body(request)
}

fn json_body_of(request: &Request, most: usize) -> Result<&RawValue, Problem> {
    let bytes: &[u8] = request.body().as_ref();
    if bytes.len() > most {
        let detail = format!("the body has {} bytes; {most} are allowed", bytes.len());
        return Err(Problem::new(ProblemKind::TooLarge, detail));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| not_json("it is not UTF-8"))?;
    check_json(bytes).map_err(|error| match error {
        JsonError::Invalid(reason) => not_json(&reason),
        JsonError::NotAnObject => not_json(&error.to_string()),
    })?;
    serde_json::from_str(text).map_err(|error| not_json(&error.to_string()))
}

fn not_json(reason: &str) -> Problem {
    // Parsers quote what they do not understand.
    let reason: String = reason.chars().take(FieldProblem::INPUT_BYTES).collect();
    let msg = format!("JSON decode error: {reason}");
    let input = Value::Object(serde_json::Map::new());
    Problem::invalid(vec![FieldProblem::new(FieldProblemKind::JsonInvalid, vec![Place::name("body")], msg, input)])
}

/// The query string as a JSON object of texts; of a name that comes twice, the last value.
///
/// # Errors
/// [`ProblemKind::Internal`] never, but for JSON that cannot be written.
pub(super) fn query_string(request: &Request) -> Result<Box<RawValue>, Problem> {
    serde_json::value::to_raw_value(&query_parameters(request)).map_err(Problem::mistake)
}

/// The parameters of the query string; of a name that comes twice, the last value.
pub(super) fn query_parameters(request: &Request) -> BTreeMap<String, String> {
    let pairs = request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| (form_decoded(name), form_decoded(value))).collect()
}

fn form_decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent_decoded(&text.replace('+', " "))).into_owned()
}

/// The bytes that percent-encoded text stands for. A `%` that starts no code stays what it is.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digit =
            |index: usize| tail.get(index).and_then(|byte| char::from(*byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push(high * 16 + low);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    bytes
}

/// The request's `Idempotency-Key`, if it has one.
///
/// # Errors
/// [`ProblemKind::Invalid`] if it is there and no key: whoever sends one counts on it.
pub fn idempotency_key(request: &Request) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
    let invalid = |why: String| {
        let loc = vec![Place::name("header"), Place::name(IDEMPOTENCY_KEY)];
        Problem::invalid(vec![FieldProblem::new(
            FieldProblemKind::ValueError,
            loc,
            format!("Value error, {why}"),
            Value::String(text.clone()),
        )])
    };
    if values.next().is_some() {
        return Err(invalid("must be sent once".to_owned()));
    }
    IdempotencyKey::try_from(text.clone()).map(Some).map_err(|error| invalid(error.to_string()))
}

/// The trace that a request says it is part of (W3C Trace Context). What is no `traceparent` is nothing: the specification has it
/// ignored.
#[must_use]
pub fn trace_parent(request: &Request) -> Option<TraceParent> {
    request.headers().get(trace::MEMBER)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use lambda_http::http::Request as HttpRequest;
    use serde_json::json;

    use super::*;

    fn with_body(body: impl Into<Body>) -> Request {
        HttpRequest::new(body.into())
    }

    #[test]
    fn a_body_that_is_no_json_to_keep_is_invalid_and_nothing_worse() {
        let deep = "[".repeat(1_000_000);
        let bodies: [&[u8]; 11] = [
            b"",
            b"   ",
            b"{",
            b"{}{}",
            b"\xff\xfe",
            b"\xef\xbb\xbf{}",
            br#"{"a":1,"a":2}"#,
            br#"{"a":"\ud800"}"#,
            br#"{"a":1e999}"#,
            b"{\"a\":\"\0\"}",
            deep.as_bytes(),
        ];
        for body in bodies {
            let problem = json_body(&with_body(body)).map(|json| json.get().len()).unwrap_err();
            let answer = serde_json::to_value(&problem).unwrap();
            assert_eq!(problem.kind(), ProblemKind::Invalid);
            assert_eq!((&answer["detail"][0]["type"], &answer["detail"][0]["loc"]), (&json!("json_invalid"), &json!(["body"])));
        }
        assert!(json_body(&with_body(r#" {"a": 1} "#)).is_ok_and(|json| json.get() == r#"{"a": 1}"#));
    }

    #[test]
    fn a_body_that_is_too_large_is_refused_before_it_is_read() {
        let problem = json_body(&with_body("{".repeat(MAX_BODY_BYTES + 1))).map(|_| ()).unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::TooLarge);
    }

    #[test]
    fn a_query_string_is_decoded_once_and_the_last_value_of_a_name_counts() {
        for (query, expected) in [
            ("", json!({})),
            ("a=1&a=2&b", json!({"a": "2", "b": ""})),
            ("a=x+y%2Bz%252B", json!({"a": "x y+z%2B"})),
            ("a=%ff%zz%", json!({"a": "\u{fffd}%zz%"})),
            ("&&=&a==b", json!({"": "", "a": "=b"})),
        ] {
            let request = HttpRequest::builder().uri(format!("/x?{query}")).body(Body::Empty).unwrap();
            let read: Value = serde_json::from_str(query_string(&request).unwrap().get()).unwrap();
            assert_eq!(read, expected, "{query}");
        }
    }

    #[test]
    fn an_idempotency_key_is_one_identifier() {
        let request = |values: &[&str]| {
            let builder = values.iter().fold(HttpRequest::builder(), |builder, value| builder.header(IDEMPOTENCY_KEY, *value));
            builder.body(Body::Empty).unwrap()
        };
        assert_eq!(idempotency_key(&request(&[])).unwrap(), None);
        assert_eq!(idempotency_key(&request(&[" k1 "])).unwrap().map(String::from), Some("k1".to_owned()));
        for values in [&[""][..], &["a", "a"], &[&"k".repeat(256)]] {
            assert_eq!(idempotency_key(&request(values)).map_err(|problem| problem.kind()), Err(ProblemKind::Invalid));
        }
    }

    #[test]
    fn the_path_is_without_the_stage() {
        let request = |stage: &str, raw: &str| {
            let context = json!({"stage": stage, "timeEpoch": 0, "http": {"method": "GET"}});
            let event = json!({
                "version": "2.0", "routeKey": "$default", "rawPath": raw, "rawQueryString": "a=b", "headers": {},
                "requestContext": context, "isBase64Encoded": false,
            });
            lambda_http::request::from_str(&event.to_string()).unwrap()
        };
        for (stage, raw, expected) in [
            ("$default", "/health", "/health"),
            ("prod", "/prod/health", "/health"),
            ("prod", "/production/health", "/production/health"),
            ("api", "/api/api/v1/events/x", "/api/v1/events/x"),
        ] {
            assert_eq!(path(&request(stage, raw)), expected);
        }
        assert_eq!(path(&HttpRequest::builder().uri("http://h/a%20b?c").body(Body::Empty).unwrap()), "/a%20b");
    }
}
