//! Receives what the SDKs of RudderStack and Segment send: `/v1`, `/beacon/v1`, `/pixel/v1` and `/sourceConfig`.
//!
//! The key is where SDKs put it: the user name of `Authorization: Basic`, the parameter `writeKey`, or the member of that name of
//! the body. No authorizer looks there, so it is checked here.

use lambda_http::{Body, Request, Response};
use shared::commands::collect_events::CollectEventsPorts;
use shared::domain::access::{ApiKeySecret, Caller, Scope};
use shared::domain::collected_event::Collector;
use shared::http::answers::collected::SourceConfigAnswer;
use shared::http::collect::door::{Outcome, respond_to_page};
use shared::http::collect::settings::CollectSettings;
use shared::http::collect::write_key::{self, NoWriteKey};
use shared::http::collect::{Envelope, JsonText, batch, pixel, read_body, take_in};
use shared::http::problem::{Problem, ProblemKind};
use shared::http::request;
use shared::http::respond::Answer;
use shared::http::routes::{self, Destination, Endpoint, ReceiveAnalyticsEndpoint};
use shared::queries::check_access::{AccessError, CheckAccessPorts, Credential, check_access};

/// What receiving needs.
pub struct Ports<'a> {
    /// What takes events in.
    pub collect: CollectEventsPorts<'a>,
    /// Knows the keys.
    pub access: CheckAccessPorts<'a>,
    /// What the operator has decided.
    pub settings: &'a CollectSettings,
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
    let Endpoint::ReceiveAnalytics(endpoint) = matched.route.endpoint else { return Err(Problem::no_such_path()) };
    let now = ports.collect.clock.now();
    let in_head = write_key::in_head(request);
    let envelope = |caller: Option<Caller>| {
        let organization = caller.and_then(|caller| caller.organization);
        Envelope::of(Collector::Analytics, request, organization, now, ports.settings)
    };
    let call = match endpoint {
        ReceiveAnalyticsEndpoint::SourceConfig => {
            let caller = caller(ports, in_head).await?;
            return Answer::json(&SourceConfigAnswer::new(&caller.name));
        }
        ReceiveAnalyticsEndpoint::Pixel(call) => {
            let collecting = async {
                let mut envelope = envelope(Some(caller(ports, in_head).await?));
                envelope.circumstances.call = Some(call);
                let event = pixel::event(request, pixel::Others::Properties)?;
                take_in(&ports.collect, envelope, &[&event]).await
            };
            return Ok(pixel::answer(request, collecting).await);
        }
        ReceiveAnalyticsEndpoint::Call(call) => Some(call),
        ReceiveAnalyticsEndpoint::Batch | ReceiveAnalyticsEndpoint::Import | ReceiveAnalyticsEndpoint::Beacon => None,
    };
    // Whoever has shown a key in the head is known before anything is read. A key in the body must be read first, and nothing is kept
    // of a body without one.
    let (mut envelope, body, known) = match in_head {
        Ok(key) => {
            let mut envelope = envelope(Some(caller(ports, Ok(key)).await?));
            let body = read_body(&ports.collect, &mut envelope, request).await?;
            (envelope, body, true)
        }
        Err(NoWriteKey) => (envelope(None), JsonText::of(request, ports.settings)?, false),
    };
    envelope.circumstances.repaired = body.repaired;
    let items = batch::analytics(body.get(), &mut envelope.circumstances)?;
    if !known {
        let key = items.write_key.clone().map(ApiKeySecret::new).ok_or(NoWriteKey);
        envelope.circumstances.organization = caller(ports, key).await?.organization;
    }
    envelope.circumstances.call = call;
    envelope.circumstances.historical = endpoint == ReceiveAnalyticsEndpoint::Import;
    let taken = take_in(&ports.collect, envelope, &items.items).await?;
    let outcome = if items.single { Outcome::of_one(taken)? } else { Outcome::of(taken) };
    Answer::json(&outcome.analytics())
}

/// Whose key it is, if it may collect events.
async fn caller(ports: &Ports<'_>, key: Result<ApiKeySecret, NoWriteKey>) -> Result<Caller, Problem> {
    let Ok(key) = key else { return Err(Problem::new(ProblemKind::NotAuthenticated, "Failed to read writeKey from header")) };
    let caller = check_access(&ports.access, &Credential::Key(key)).await.map_err(|error| match error {
        AccessError::Invalid => Problem::new(ProblemKind::NotAuthenticated, "Invalid write key"),
        AccessError::Unavailable(_) => error.into(),
    })?;
    if caller.may(Scope::Collect) || caller.may(Scope::Write) { Ok(caller) } else { Err(Problem::lacks(Scope::Collect)) }
}
