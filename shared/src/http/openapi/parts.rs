//! What descriptions of routes are made of.

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Required, Response, ResponseBuilder, Schema};

use crate::http::problem::ProblemKind;

/// The type of nearly everything that is sent.
pub(super) const JSON: &str = "application/json";

/// What a document says of a route beyond the table.
pub(super) struct Description {
    pub(super) tag: &'static str,
    pub(super) text: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<RequestBody>,
    pub(super) answer: Response,
    pub(super) problems: &'static [ProblemKind],
}

pub(super) fn json_response(description: &str, schema: impl Into<RefOr<Schema>>, example: Option<Value>) -> Response {
    let content = ContentBuilder::new().schema(Some(schema)).example(example);
    ResponseBuilder::new().description(description).content(JSON, content).build()
}

pub(super) fn json_request(schema: impl Into<RefOr<Schema>>, example: Value) -> RequestBody {
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example));
    RequestBodyBuilder::new().content(JSON, content).required(Some(Required::True)).build()
}

pub(super) fn parameter(name: &str, place: ParameterIn, schema: ObjectBuilder, description: &str) -> Parameter {
    let required = if matches!(place, ParameterIn::Path) { Required::True } else { Required::False };
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(schema)).description(Some(description)).build()
}

pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(super) fn whole_number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))
}

pub(super) fn organization_parameter() -> Parameter {
    parameter("organization_id", ParameterIn::Query, text(), "The organization; by default the credential's own, or all.")
}

pub(super) fn text_header(description: &str) -> Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).description(Some(description)).build()
}

/// A path parameter.
pub(super) fn in_path(name: &str, description: &str) -> Parameter {
    parameter(name, ParameterIn::Path, text(), description)
}

/// A parameter of the query string, of any text.
pub(super) fn in_query(name: &str, description: &str) -> Parameter {
    parameter(name, ParameterIn::Query, text(), description)
}

/// How many items of a list are asked for.
pub(super) fn limit_parameter() -> Parameter {
    let schema = whole_number().minimum(Some(1)).maximum(Some(1000)).default(Some(json!(100)));
    parameter("limit", ParameterIn::Query, schema, "How many at most.")
}

/// A body that need not be there.
pub(super) fn optional_request(schema: impl Into<RefOr<Schema>>, example: Value) -> RequestBody {
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example));
    RequestBodyBuilder::new().content(JSON, content).required(Some(Required::False)).build()
}
