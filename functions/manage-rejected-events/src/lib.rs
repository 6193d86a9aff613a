//! Lists events that were rejected, and takes them in after all: `/api/v1/events/rejected`.

use lambda_http::{Body, Request, Response};
use shared::commands::manage_rejected_events::{ManageRejectedEventsPorts, list_rejected_events, retry_rejected_event};
use shared::domain::rejected_event::RejectedEventId;
use shared::http::answers::collected::{CollectedAnswer, RejectedEventsAnswer};
use shared::http::problem::Problem;
use shared::http::respond::{Addressee, Answer, respond};
use shared::http::routes::{self, Access, Destination, Endpoint, ManageRejectedEventsEndpoint};
use shared::http::{caller, rejected_request, request};

/// The most events of a page: each may have 64 KiB.
const MOST_A_PAGE: usize = 50;

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &ManageRejectedEventsPorts<'_>, request: Request) -> Response<Body> {
    let to = Addressee::of(&request);
    respond(to, answer(ports, &request).await)
}

async fn answer(ports: &ManageRejectedEventsPorts<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let (Endpoint::ManageRejectedEvents(endpoint), Access::Scope(scope)) = (matched.route.endpoint, matched.route.access) else {
        return Err(Problem::no_such_path());
    };
    let caller = caller::authorize(request, scope)?;
    match endpoint {
        ManageRejectedEventsEndpoint::List => {
            let wanted = rejected_request::rejected_events_request(request)?;
            let page = list_rejected_events(ports, &caller, wanted.after, wanted.limit.min(MOST_A_PAGE)).await?;
            Answer::json(&RejectedEventsAnswer::new(&page.events, page.next.as_ref()))
        }
        ManageRejectedEventsEndpoint::Retry => {
            let bytes: &[u8] = request.body().as_ref();
            let corrected = if bytes.iter().all(u8::is_ascii_whitespace) { None } else { Some(request::json_body(request)?) };
            let id = RejectedEventId(matched.parameter("rejected_event_id").to_owned());
            Answer::json(&CollectedAnswer::new(Some(retry_rejected_event(ports, &caller, &id, corrected).await?)))
        }
    }
}
