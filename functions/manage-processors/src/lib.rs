//! Makes, lists, switches, tries and removes processors: `/api/v1/events/processors`.

use lambda_http::{Body, Request, Response};
use shared::commands::manage_processors::{
    ManageProcessorsError, ManageProcessorsPorts, create_processor, get_processor, list_processors, remove_processor, switch_processor,
    test_processor,
};
use shared::domain::identifiers::ProcessorId;
use shared::http::answers::processors::{DeletedProcessorAnswer, ProcessorAnswer, ProcessorTestAnswer, ToggledProcessorAnswer};
use shared::http::problem::Problem;
use shared::http::respond::{Addressee, Answer, respond};
use shared::http::routes::{self, Access, Destination, Endpoint, ManageProcessorsEndpoint};
use shared::http::{caller, processor_request, request};

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &ManageProcessorsPorts<'_>, request: Request) -> Response<Body> {
    let to = Addressee::of(&request);
    respond(to, answer(ports, &request).await)
}

async fn answer(ports: &ManageProcessorsPorts<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let (Endpoint::ManageProcessors(endpoint), Access::Scope(scope)) = (matched.route.endpoint, matched.route.access) else {
        return Err(Problem::no_such_path());
    };
    let caller = caller::authorize(request, scope)?;
    // What is no id is the id of nothing.
    let id = || -> Result<ProcessorId, Problem> {
        matched.parameter("processor_id").parse().map_err(|_| ManageProcessorsError::NotFound.into())
    };
    match endpoint {
        ManageProcessorsEndpoint::Create => {
            let (organization, draft) = processor_request::processor_draft(request::definition_body(request)?)?;
            Answer::json(&ProcessorAnswer::from(&create_processor(ports, &caller, organization, draft).await?))
        }
        ManageProcessorsEndpoint::List => {
            let processors = list_processors(ports, &caller).await?;
            Answer::json(&processors.iter().map(ProcessorAnswer::from).collect::<Vec<_>>())
        }
        ManageProcessorsEndpoint::Get => Answer::json(&ProcessorAnswer::from(&get_processor(ports, &caller, &id()?).await?)),
        ManageProcessorsEndpoint::Toggle => {
            let (id, switch) = (id()?, processor_request::switch(request)?);
            let enabled = switch_processor(ports, &caller, &id, switch).await?;
            Answer::json(&ToggledProcessorAnswer::new(&id, enabled))
        }
        ManageProcessorsEndpoint::Test => {
            let (id, specimen) = (id()?, processor_request::specimen(request::definition_body(request)?)?);
            Answer::json(&ProcessorTestAnswer::from(&test_processor(ports, &caller, &id, specimen).await?))
        }
        ManageProcessorsEndpoint::Delete => {
            let id = id()?;
            remove_processor(ports, &caller, &id).await?;
            Answer::json(&DeletedProcessorAnswer::new(&id))
        }
    }
}
