//! Starts, shows and cancels replays: `/api/v1/events/replay`.

use lambda_http::{Body, Request, Response};
use shared::commands::manage_replays::{
    ManageReplaysError, ManageReplaysPorts, cancel_replay, get_replay, list_replays, preview_replay, start_replay,
};
use shared::domain::identifiers::ReplayId;
use shared::http::answers::replays::{ReplayAnswer, ReplaysAnswer, StartedReplayAnswer};
use shared::http::problem::Problem;
use shared::http::replay_request::{Run, replay_request, replays_request};
use shared::http::respond::{Addressee, Answer, respond};
use shared::http::routes::{self, Access, Destination, Endpoint, ReplayEventsEndpoint};
use shared::http::{caller, request};

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &ManageReplaysPorts<'_>, request: Request) -> Response<Body> {
    let to = Addressee::of(&request);
    respond(to, answer(ports, &request).await)
}

async fn answer(ports: &ManageReplaysPorts<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let (Endpoint::ReplayEvents(endpoint), Access::Scope(scope)) = (matched.route.endpoint, matched.route.access) else {
        return Err(Problem::no_such_path());
    };
    let caller = caller::authorize(request, scope)?;
    // What is no id is the id of nothing.
    let id = || -> Result<ReplayId, Problem> { matched.parameter("replay_id").parse().map_err(|_| ManageReplaysError::NotFound.into()) };
    match endpoint {
        ReplayEventsEndpoint::Start => match replay_request(request::definition_body(request)?)? {
            (wanted, Run::Dry) => Answer::json(&StartedReplayAnswer::tried(&preview_replay(ports, &caller, &wanted).await?)),
            (wanted, Run::Real) => Answer::json(&StartedReplayAnswer::started(&start_replay(ports, &caller, &wanted).await?)),
        },
        ReplayEventsEndpoint::List => {
            let wanted = replays_request(request)?;
            Answer::json(&ReplaysAnswer::from(&list_replays(ports, &caller, wanted.after, wanted.limit).await?))
        }
        ReplayEventsEndpoint::Get => Answer::json(&ReplayAnswer::from(&get_replay(ports, &caller, &id()?).await?)),
        ReplayEventsEndpoint::Cancel => Answer::json(&ReplayAnswer::from(&cancel_replay(ports, &caller, &id()?).await?)),
    }
}
