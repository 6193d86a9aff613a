//! Starts, shows and cancels replays: `/api/v1/events/replay`.

use lambda_http::{Body, Request, Response};
use shared::commands::manage_replays::{
    ManageReplaysError, ManageReplaysPorts, ReplayRequest, cancel_replay, get_replay, list_replays, preview_replay, start_replay,
};
use shared::domain::access::Caller;
use shared::domain::identifiers::ReplayId;
use shared::http::answers::replays::{ReplayAnswer, ReplaysAnswer, StartedReplayAnswer};
use shared::http::problem::Problem;
use shared::http::replay_request::{Run, replay_request, replays_request, republish_request};
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
        ReplayEventsEndpoint::Start => start(ports, &caller, replay_request(request::definition_body(request)?)?).await,
        ReplayEventsEndpoint::Republish => start(ports, &caller, republish_request(request::definition_body(request)?)?).await,
        ReplayEventsEndpoint::List => {
            let wanted = replays_request(request)?;
            Answer::json(&ReplaysAnswer::from(&list_replays(ports, &caller, wanted.after, wanted.limit).await?))
        }
        ReplayEventsEndpoint::Get => Answer::json(&ReplayAnswer::from(&get_replay(ports, &caller, &id()?).await?)),
        ReplayEventsEndpoint::Cancel => Answer::json(&ReplayAnswer::from(&cancel_replay(ports, &caller, &id()?).await?)),
    }
}

async fn start(ports: &ManageReplaysPorts<'_>, caller: &Caller, (wanted, run): (ReplayRequest, Run)) -> Result<Answer, Problem> {
    match run {
        Run::Dry => Answer::json(&StartedReplayAnswer::tried(&preview_replay(ports, caller, &wanted).await?)),
        Run::Real => Answer::json(&StartedReplayAnswer::started(&start_replay(ports, caller, &wanted).await?)),
    }
}
