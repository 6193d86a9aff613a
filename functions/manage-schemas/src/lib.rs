//! Registers, lists and removes schemas of events: `/api/v1/events/schemas`.

use lambda_http::{Body, Request, Response};
use shared::commands::manage_schemas::{ManageSchemasPorts, get_schemas, list_schemas, register_schema, remove_schemas};
use shared::http::answers::schemas::{DeletedSchemasAnswer, SchemasAnswer};
use shared::http::problem::Problem;
use shared::http::respond::{Addressee, Answer, respond};
use shared::http::routes::{self, Access, Destination, Endpoint, ManageSchemasEndpoint};
use shared::http::schema_request::{schema_draft, schemas_request};
use shared::http::{caller, request};

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &ManageSchemasPorts<'_>, request: Request) -> Response<Body> {
    let to = Addressee::of(&request);
    respond(to, answer(ports, &request).await)
}

async fn answer(ports: &ManageSchemasPorts<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let (Endpoint::ManageSchemas(endpoint), Access::Scope(scope)) = (matched.route.endpoint, matched.route.access) else {
        return Err(Problem::no_such_path());
    };
    let caller = caller::authorize(request, scope)?;
    match endpoint {
        ManageSchemasEndpoint::Register => {
            let (organization, draft) = schema_draft(request::definition_body(request)?)?;
            Answer::json(&SchemasAnswer::from(&register_schema(ports, &caller, organization, draft).await?))
        }
        ManageSchemasEndpoint::List => {
            let schemas = list_schemas(ports, &caller).await?;
            Answer::json(&schemas.iter().map(|schemas| SchemasAnswer::from(&**schemas)).collect::<Vec<_>>())
        }
        ManageSchemasEndpoint::Get => {
            let (event_type, organization) = schemas_request(matched.parameter("event_type"), request)?;
            Answer::json(&SchemasAnswer::from(&*get_schemas(ports, &caller, organization, &event_type).await?))
        }
        ManageSchemasEndpoint::Delete => {
            let (event_type, organization) = schemas_request(matched.parameter("event_type"), request)?;
            remove_schemas(ports, &caller, organization, &event_type).await?;
            Answer::json(&DeletedSchemasAnswer::new(&event_type))
        }
    }
}
