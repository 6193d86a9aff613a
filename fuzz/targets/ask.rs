//! Whatever is asked for is understood, or a problem that says why not: queries with their cursors, streams, statistics, replays.

use lambda_http::http::Request;
use lambda_http::{Body, Request as LambdaRequest};
use serde_json::value::RawValue;
use shared::domain::query::{Cursor, EventFilter};
use shared::http::dead_letter_request::{dead_letters_request, redrive_request};
use shared::http::projection_request::projection_request;
use shared::http::query_request::{event_query, statistics_scope, stream_request};
use shared::http::rejected_request::rejected_events_request;
use shared::http::replay_request::{replay_request, replays_request, republish_request};
use shared::http::request::path;
use shared::http::routes;

/// One input: a body and, after a NUL, a path with its query.
pub(crate) fn run(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let (text, other) = input.split_once('\0').unwrap_or((input, input));
    // A cursor that is read is written as it was.
    if let Ok(position) = Cursor::read(other, &EventFilter::default()) {
        assert_eq!(Cursor::read(Cursor::new(&EventFilter::default(), position).as_str(), &EventFilter::default()), Ok(position));
    }
    if let Ok(request) = Request::builder().uri(format!("/{other}")).body(Body::Empty) {
        let request: LambdaRequest = request;
        let _ = routes::find(request.method(), path(&request));
        let _ = stream_request(text, &request);
        let _ = statistics_scope(&request);
        let _ = projection_request(text, text, &request);
        let _ = dead_letters_request(&request);
        let _ = rejected_events_request(&request);
        let _ = replays_request(&request);
    }
    let Ok(body) = serde_json::from_str::<&RawValue>(text) else { return };
    let _ = event_query(body);
    let _ = replay_request(body);
    let _ = republish_request(body);
    let _ = redrive_request(body);
}
