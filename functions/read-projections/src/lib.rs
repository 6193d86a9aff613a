//! Reads the state of entities, now or as it was, and defines projections: `/api/v1/events/projections`.

use lambda_http::{Body, Request, Response};
use shared::commands::manage_projections::{
    ManageProjectionsError, ManageProjectionsPorts, define_projection, get_projection, list_projections, remove_projection,
};
use shared::domain::identifiers::ProjectionDefinitionId;
use shared::http::answers::projections::{DefinitionAnswer, DeletedProjectionAnswer, ProjectionAnswer};
use shared::http::problem::Problem;
use shared::http::projection_request::{dry_run, projection_draft, projection_request};
use shared::http::respond::{Addressee, Answer, respond};
use shared::http::routes::{self, Access, Destination, Endpoint, Matched, ReadProjectionsEndpoint};
use shared::http::{caller, request};
use shared::queries::read_projection::{ProjectionRequest, ReadProjectionPorts, read_projection, rebuild_projection, try_rules};

/// What this function needs.
#[derive(Clone, Copy)]
pub struct ProjectionPorts<'a> {
    /// For reading them.
    pub read: ReadProjectionPorts<'a>,
    /// For defining them.
    pub manage: ManageProjectionsPorts<'a>,
}

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &ProjectionPorts<'_>, request: Request) -> Response<Body> {
    let to = Addressee::of(&request);
    respond(to, answer(ports, &request).await)
}

async fn answer(ports: &ProjectionPorts<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let (Endpoint::ReadProjections(endpoint), Access::Scope(scope)) = (matched.route.endpoint, matched.route.access) else {
        return Err(Problem::no_such_path());
    };
    let caller = caller::authorize(request, scope)?;
    let ProjectionPorts { read, manage } = ports;
    match endpoint {
        ReadProjectionsEndpoint::State => {
            Answer::json(&ProjectionAnswer::from(&read_projection(read, &caller, &asked(&matched, request)?).await?))
        }
        ReadProjectionsEndpoint::Rebuild => {
            let ProjectionRequest { stream, organization, name, .. } = asked(&matched, request)?;
            Answer::json(&ProjectionAnswer::from(&rebuild_projection(read, &caller, stream, organization, name).await?))
        }
        ReadProjectionsEndpoint::DryRun => {
            let (asked, rules) = dry_run(request::definition_body(request)?)?;
            Answer::json(&ProjectionAnswer::from(&try_rules(read, &caller, &asked, &rules).await?))
        }
        ReadProjectionsEndpoint::Define => {
            let (organization, draft) = projection_draft(request::definition_body(request)?)?;
            Answer::json(&DefinitionAnswer::from(&define_projection(manage, &caller, organization, draft).await?))
        }
        ReadProjectionsEndpoint::List => {
            let definitions = list_projections(manage, &caller).await?;
            Answer::json(&definitions.iter().map(|definition| DefinitionAnswer::from(&**definition)).collect::<Vec<_>>())
        }
        ReadProjectionsEndpoint::Get => {
            Answer::json(&DefinitionAnswer::from(&*get_projection(manage, &caller, &definition_id(&matched)?).await?))
        }
        ReadProjectionsEndpoint::Delete => {
            let id = definition_id(&matched)?;
            remove_projection(manage, &caller, &id).await?;
            Answer::json(&DeletedProjectionAnswer::new(&id))
        }
    }
}

fn asked(matched: &Matched, request: &Request) -> Result<ProjectionRequest, Problem> {
    projection_request(matched.parameter("entity_type"), matched.parameter("entity_id"), request)
}

/// What is no id is the id of nothing.
fn definition_id(matched: &Matched) -> Result<ProjectionDefinitionId, ManageProjectionsError> {
    matched.parameter("definition_id").parse().map_err(|_| ManageProjectionsError::NotFound)
}
