//! Makes, lists and revokes API keys: `/api/v1/keys`.

#[cfg(test)]
mod tests;

use lambda_http::{Body, Request, Response};
use shared::commands::manage_keys::{ManageKeysPorts, create_key, list_keys, revoke_key};
use shared::http::answers::keys::{KeyAnswer, NewKeyAnswer, RevokedKeyAnswer};
use shared::http::problem::Problem;
use shared::http::respond::{Addressee, Answer, respond};
use shared::http::routes::{self, Access, Destination, Endpoint, ManageKeysEndpoint};
use shared::http::{caller, key_request, request};

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &ManageKeysPorts<'_>, request: Request) -> Response<Body> {
    let to = Addressee::of(&request);
    respond(to, answer(ports, &request).await)
}

async fn answer(ports: &ManageKeysPorts<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let (Endpoint::ManageKeys(endpoint), Access::Scope(scope)) = (matched.route.endpoint, matched.route.access) else {
        return Err(Problem::no_such_path());
    };
    let caller = caller::authorize(request, scope)?;
    match endpoint {
        ManageKeysEndpoint::Create => {
            let draft = key_request::key_draft(request::json_body(request)?)?;
            let (key, secret) = create_key(ports, &caller, draft).await?;
            Answer::json(&NewKeyAnswer::new(&key, &secret))
        }
        ManageKeysEndpoint::List => {
            let keys = list_keys(ports, &caller).await?;
            Answer::json(&keys.iter().map(KeyAnswer::from).collect::<Vec<_>>())
        }
        ManageKeysEndpoint::Revoke => {
            revoke_key(ports, &caller, matched.parameter("key_id")).await?;
            Answer::json(&RevokedKeyAnswer::new(matched.parameter("key_id")))
        }
    }
}
