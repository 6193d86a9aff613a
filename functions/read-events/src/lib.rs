//! Reads events by id, by stream, by query and as statistics; serves health and documents.

#[cfg(test)]
mod tests;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use shared::domain::access::Caller;
use shared::domain::event_id::EventId;
use shared::http::answers::events::{EventAnswer, QueryAnswer, ResultsAnswer, StreamAnswer};
use shared::http::answers::health::{Health, HealthAnswer};
use shared::http::answers::statistics::StatisticsAnswer;
use shared::http::problem::Problem;
use shared::http::respond::{Addressee, Answer, respond};
use shared::http::routes::{self, Access, Destination, Endpoint, Matched, ReadEventsEndpoint};
use shared::http::{caller, docs_page, openapi, query_request, request};
use shared::ports::bridge_status::is_connected;
use shared::queries::read_events::{ReadEventsError, ReadEventsPorts, get_event, query_events, read_statistics, read_stream};
use shared::telemetry::Chain;

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &ReadEventsPorts<'_>, request: Request) -> Response<Body> {
    let to = Addressee::of(&request);
    respond(to, answer(ports, &request).await)
}

async fn answer(ports: &ReadEventsPorts<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let Endpoint::ReadEvents(endpoint) = matched.route.endpoint else { return Err(Problem::no_such_path()) };
    let caller = || match matched.route.access {
        Access::Scope(scope) => caller::authorize(request, scope),
        Access::Public | Access::WriteKey | Access::SharedSecret => Err(Problem::not_authenticated()),
    };
    match endpoint {
        ReadEventsEndpoint::Event => event(ports, &caller()?, &matched).await,
        ReadEventsEndpoint::Results => results(ports, &caller()?, &matched).await,
        ReadEventsEndpoint::Query => query(ports, &caller()?, request).await,
        ReadEventsEndpoint::Statistics => statistics(ports, &caller()?, request).await,
        ReadEventsEndpoint::Stream => stream(ports, &caller()?, &matched, request).await,
        ReadEventsEndpoint::Health => health(ports).await,
        ReadEventsEndpoint::OpenApi => Ok(Answer::json_text(openapi::document_json().to_owned())),
        ReadEventsEndpoint::Docs => Ok(Answer::html(docs_page::page().to_owned())),
    }
}

async fn event(ports: &ReadEventsPorts<'_>, caller: &Caller, matched: &Matched) -> Result<Answer, Problem> {
    let event = get_event(ports, caller, event_id(matched)?).await?;
    Answer::json(&EventAnswer::from(&event))
}

async fn results(ports: &ReadEventsPorts<'_>, caller: &Caller, matched: &Matched) -> Result<Answer, Problem> {
    let event = get_event(ports, caller, event_id(matched)?).await?;
    Answer::json(&ResultsAnswer::from(&event))
}

/// What is no id is the id of no event.
fn event_id(matched: &Matched) -> Result<EventId, ReadEventsError> {
    matched.parameter("event_id").parse().map_err(|_| ReadEventsError::NotFound)
}

async fn query(ports: &ReadEventsPorts<'_>, caller: &Caller, request: &Request) -> Result<Answer, Problem> {
    let query = query_request::event_query(request::json_body(request)?)?;
    let page = query_events(ports, caller, query.clone()).await?;
    Answer::json(&QueryAnswer::new(&page, &query)?)
}

async fn statistics(ports: &ReadEventsPorts<'_>, caller: &Caller, request: &Request) -> Result<Answer, Problem> {
    let scope = query_request::statistics_scope(request)?;
    let statistics = read_statistics(ports, caller, scope.organization, scope.user).await?;
    Answer::json(&StatisticsAnswer::from(&statistics))
}

async fn stream(ports: &ReadEventsPorts<'_>, caller: &Caller, matched: &Matched, request: &Request) -> Result<Answer, Problem> {
    let mut wanted = query_request::stream_request(matched.parameter("stream_id"), request)?;
    let limit = wanted.limit;
    // One more than asked for tells whether there are more.
    wanted.limit = limit + 1;
    let slice = read_stream(ports, caller, wanted.clone()).await?;
    Answer::json(&StreamAnswer::new(&wanted, &slice, limit)?)
}

/// Looks for an event that cannot be there: the cheapest read that needs the store.
async fn health(ports: &ReadEventsPorts<'_>) -> Result<Answer, Problem> {
    let nobody = EventId::new(uuid::Uuid::nil());
    let (store, status) = match ports.events.event(nobody, None).await {
        Ok(_) => (Health::Healthy, StatusCode::OK),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "the store is not healthy");
            (Health::Unhealthy, StatusCode::SERVICE_UNAVAILABLE)
        }
    };
    let now = ports.clock.now();
    let nats = match ports.bridge {
        None => Health::NotConfigured,
        Some(bridge) if is_connected(bridge, now).await => Health::Healthy,
        Some(_) => Health::Unhealthy,
    };
    Ok(Answer::json(&HealthAnswer::new(store, nats, now))?.with_status(status))
}
