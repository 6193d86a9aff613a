//! Lists dead letters, sends them to their queues again, or forgets them: `/api/v1/events/dead-letters`.

use lambda_http::{Body, Request, Response};
use shared::commands::manage_dead_letters::{ManageDeadLettersPorts, delete_dead_letter, list_dead_letters, redrive_dead_letters};
use shared::domain::dead_letter::DeadLetterId;
use shared::http::answers::dead_letters::{DeadLettersAnswer, DeletedDeadLetterAnswer, RedriveAnswer};
use shared::http::problem::Problem;
use shared::http::respond::{Addressee, Answer, respond};
use shared::http::routes::{self, Access, Destination, Endpoint, ManageDeadLettersEndpoint};
use shared::http::{caller, dead_letter_request, request};

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &ManageDeadLettersPorts<'_>, request: Request) -> Response<Body> {
    let to = Addressee::of(&request);
    respond(to, answer(ports, &request).await)
}

async fn answer(ports: &ManageDeadLettersPorts<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let (Endpoint::ManageDeadLetters(endpoint), Access::Scope(scope)) = (matched.route.endpoint, matched.route.access) else {
        return Err(Problem::no_such_path());
    };
    let caller = caller::authorize(request, scope)?;
    match endpoint {
        ManageDeadLettersEndpoint::List => {
            let wanted = dead_letter_request::dead_letters_request(request)?;
            let page = list_dead_letters(ports, &caller, wanted.filter, wanted.after, wanted.limit).await?;
            Answer::json(&DeadLettersAnswer::from(&page))
        }
        ManageDeadLettersEndpoint::Redrive => {
            let (filter, run) = dead_letter_request::redrive_request(request::definition_body(request)?)?;
            Answer::json(&RedriveAnswer::new(redrive_dead_letters(ports, &caller, filter, run).await?, run))
        }
        ManageDeadLettersEndpoint::Delete => {
            let id = DeadLetterId(matched.parameter("dead_letter_id").to_owned());
            delete_dead_letter(ports, &caller, id.clone()).await?;
            Answer::json(&DeletedDeadLetterAnswer::new(&id))
        }
    }
}
