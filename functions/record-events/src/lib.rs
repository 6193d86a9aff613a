//! Records events: `POST /api/v1/events/create` and `/batch`.

#[cfg(test)]
mod tests;

use lambda_http::{Body, Request, Response};
use shared::commands::record_events::{RecordEventsPorts, record_events};
use shared::domain::event::EventDraft;
use shared::http::answers::events::EventAnswer;
use shared::http::problem::{Problem, ProblemKind};
use shared::http::respond::{Addressee, Answer, Recording, respond};
use shared::http::routes::{self, Access, Destination, Endpoint, RecordEventsEndpoint};
use shared::http::{caller, draft, request};

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &RecordEventsPorts<'_>, request: Request) -> Response<Body> {
    let to = Addressee::of(&request);
    respond(to, answer(ports, &request).await)
}

async fn answer(ports: &RecordEventsPorts<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let (Endpoint::RecordEvents(endpoint), Access::Scope(scope)) = (matched.route.endpoint, matched.route.access) else {
        return Err(Problem::no_such_path());
    };
    let caller = caller::authorize(request, scope)?;
    let body = request::json_body(request)?;
    let mut drafts: Vec<EventDraft> = match endpoint {
        RecordEventsEndpoint::Create => vec![draft::event_draft(body)?],
        RecordEventsEndpoint::Batch => draft::batch_drafts(body)?,
    };
    if let Some(trace) = request::trace_parent(request) {
        for draft in &mut drafts {
            draft.trace = Some(trace.clone());
        }
    }
    let key = request::idempotency_key(request)?;
    let appended = record_events(ports, &caller, drafts, key).await?;
    let events: Vec<EventAnswer<'_>> = appended.events.iter().map(EventAnswer::recorded).collect();
    let answer = match endpoint {
        RecordEventsEndpoint::Batch => Answer::json(&events)?,
        RecordEventsEndpoint::Create => {
            let event = events.first().ok_or_else(|| Problem::new(ProblemKind::Internal, "the service made a mistake"))?;
            Answer::json(event)?
        }
    };
    Ok(answer.recorded(if appended.replayed { Recording::Replayed } else { Recording::New }))
}
