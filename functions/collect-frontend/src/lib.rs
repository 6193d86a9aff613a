//! Collects events of pages and apps, from anybody: `/api/v1/events/frontend`.

use lambda_http::{Body, Request, Response};
use shared::commands::collect_events::CollectEventsPorts;
use shared::domain::collected_event::Collector;
use shared::http::answers::collected::FrontendHealthAnswer;
use shared::http::collect::door::{Outcome, only, respond_to_page};
use shared::http::collect::settings::CollectSettings;
use shared::http::collect::{Envelope, batch, pixel, read_body, take_in};
use shared::http::problem::Problem;
use shared::http::request;
use shared::http::respond::Answer;
use shared::http::routes::{self, CollectFrontendEndpoint, Destination, Endpoint};
use shared::ports::bridge_status::{BridgeStatusStore, is_connected};

/// The most events of a batch (BR-FE-003).
const MOST_EVENTS: usize = 100;

/// What collecting needs.
pub struct Ports<'a> {
    /// What takes events in.
    pub collect: CollectEventsPorts<'a>,
    /// What the operator has decided.
    pub settings: &'a CollectSettings,
    /// Knows how the bridge to NATS is, if there is one.
    pub bridge: Option<&'a dyn BridgeStatusStore>,
}

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too. Nobody is asked who they are (BR-FE-001).
pub async fn handle(ports: &Ports<'_>, request: Request) -> Response<Body> {
    let result = answer(ports, &request).await;
    respond_to_page(&request, ports.settings, result)
}

async fn answer(ports: &Ports<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let Endpoint::CollectFrontend(endpoint) = matched.route.endpoint else { return Err(Problem::no_such_path()) };
    let now = ports.collect.clock.now();
    let mut envelope = Envelope::of(Collector::Frontend, request, None, now, ports.settings);
    match endpoint {
        CollectFrontendEndpoint::Event => {
            let body = read_body(&ports.collect, &mut envelope, request).await?;
            Answer::json(&only(take_in(&ports.collect, envelope, &[body.get()]).await?)?)
        }
        CollectFrontendEndpoint::Batch => {
            let body = read_body(&ports.collect, &mut envelope, request).await?;
            let items = batch::frontend(body.get(), &mut envelope.circumstances, MOST_EVENTS)?;
            Answer::json(&Outcome::of(take_in(&ports.collect, envelope, &items).await?).batch())
        }
        CollectFrontendEndpoint::Pixel => {
            let collecting = async {
                let event = pixel::event(request, pixel::Others::Data)?;
                take_in(&ports.collect, envelope, &[&event]).await
            };
            Ok(pixel::answer(request, collecting).await)
        }
        CollectFrontendEndpoint::Health => {
            let connected = match ports.bridge {
                Some(bridge) => is_connected(bridge, now).await,
                None => false,
            };
            Answer::json(&FrontendHealthAnswer::new(connected, now))
        }
    }
}
