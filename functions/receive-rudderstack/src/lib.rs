//! Receives what RudderStack's webhook destination sends: `/webhooks/rudderstack`.

use lambda_http::{Body, Request, Response};
use shared::commands::collect_events::CollectEventsPorts;
use shared::domain::collected_event::Collector;
use shared::domain::signature::WebhookSecret;
use shared::http::collect::door::{Outcome, respond_to_page};
use shared::http::collect::rudderstack_secret::is_from_rudderstack;
use shared::http::collect::settings::CollectSettings;
use shared::http::collect::{Envelope, batch, read_body, take_in};
use shared::http::problem::{Problem, ProblemKind};
use shared::http::request;
use shared::http::respond::Answer;
use shared::http::routes::{self, Destination, Endpoint};

/// What receiving needs.
pub struct Ports<'a> {
    /// What takes events in.
    pub collect: CollectEventsPorts<'a>,
    /// What the operator has decided.
    pub settings: &'a CollectSettings,
    /// What RudderStack shows; without one, everybody may send (BR-RS-001).
    pub secret: Option<&'a WebhookSecret>,
}

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &Ports<'_>, request: Request) -> Response<Body> {
    let result = answer(ports, &request).await;
    respond_to_page(&request, ports.settings, result)
}

async fn answer(ports: &Ports<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    if matched.route.endpoint != Endpoint::ReceiveRudderstack {
        return Err(Problem::no_such_path());
    }
    let now = ports.collect.clock.now();
    let bytes: &[u8] = request.body().as_ref();
    if ports.secret.is_some_and(|secret| !is_from_rudderstack(secret, request.headers(), bytes, now)) {
        return Err(Problem::new(ProblemKind::NotAuthenticated, "the request does not show the secret of this webhook"));
    }
    let mut envelope = Envelope::of(Collector::Rudderstack, request, None, now, ports.settings);
    let body = read_body(&ports.collect, &mut envelope, request).await?;
    let items = batch::analytics(body.get(), &mut envelope.circumstances)?;
    let taken = take_in(&ports.collect, envelope, &items.items).await?;
    let outcome = if items.single { Outcome::of_one(taken)? } else { Outcome::of(taken) };
    Answer::json(&outcome.rudderstack())
}
