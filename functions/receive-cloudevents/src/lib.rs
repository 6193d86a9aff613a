//! Receives CloudEvents 1.0 in the binary, the structured and the batched mode: `/api/v1/events/cloudevents`.

use lambda_http::http::HeaderValue;
use lambda_http::{Body, Request, Response};
use shared::commands::collect_events::CollectEventsPorts;
use shared::domain::collected_event::Collector;
use shared::http::caller;
use shared::http::collect::cloudevents::CloudEvents;
use shared::http::collect::door::{Outcome, only, respond_to_page};
use shared::http::collect::settings::CollectSettings;
use shared::http::collect::{Envelope, take_in};
use shared::http::problem::Problem;
use shared::http::request;
use shared::http::respond::Answer;
use shared::http::routes::{self, Access, Destination, Endpoint};

/// What asks for leave to send, in the handshake of the specification of webhooks that CloudEvents go by.
const REQUEST_ORIGIN: &str = "webhook-request-origin";
const ALLOWED_ORIGIN: &str = "webhook-allowed-origin";
const REQUEST_RATE: &str = "webhook-request-rate";
const ALLOWED_RATE: &str = "webhook-allowed-rate";

/// What receiving needs.
pub struct Ports<'a> {
    /// What takes events in.
    pub collect: CollectEventsPorts<'a>,
    /// What the operator has decided.
    pub settings: &'a CollectSettings,
}

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &Ports<'_>, request: Request) -> Response<Body> {
    let result = answer(ports, &request).await;
    let mut response = respond_to_page(&request, ports.settings, result);
    if request.method() == lambda_http::http::Method::OPTIONS
        && let Some(origin) = request.headers().get(REQUEST_ORIGIN)
    {
        // Whoever has a credential may send, as often as the API takes.
        let headers = response.headers_mut();
        headers.insert(ALLOWED_ORIGIN, origin.clone());
        if request.headers().contains_key(REQUEST_RATE) {
            headers.insert(ALLOWED_RATE, HeaderValue::from_static("*"));
        }
    }
    response
}

async fn answer(ports: &Ports<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let (Endpoint::ReceiveCloudevents, Access::Scope(scope)) = (matched.route.endpoint, matched.route.access) else {
        return Err(Problem::no_such_path());
    };
    let caller = caller::authorize(request, scope)?;
    let now = ports.collect.clock.now();
    let mut envelope = Envelope::of(Collector::Cloudevents, request, caller.organization, now, ports.settings);
    let events = CloudEvents::of(request, ports.settings)?;
    envelope.circumstances.repaired = events.repaired;
    let items = take_in(&ports.collect, envelope, &events.items()).await?;
    if events.batched { Answer::json(&Outcome::of(items).batch()) } else { Answer::json(&only(items)?) }
}
