//! Schemas of problems, and the kinds there are.

use serde_json::{Value, json};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use crate::http::problem::ProblemKind;

/// What the members of every problem are but for `detail`.
fn problem_members(detail: impl Into<RefOr<Schema>>) -> ObjectBuilder {
    let text = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    let status = ObjectBuilder::new().schema_type(Type::Integer).description(Some("The status of the answer."));
    ["detail", "type", "title", "status"].into_iter().fold(
        ObjectBuilder::new()
            .property("detail", detail)
            .property("type", text("A relative URI that names the kind of problem, and leads to its description."))
            .property("title", text("The kind of problem, for people."))
            .property("status", status),
        ObjectBuilder::required,
    )
}

pub(super) fn problem_schema() -> ObjectBuilder {
    let detail = ObjectBuilder::new().schema_type(Type::String).description(Some("What is wrong, in words."));
    problem_members(detail).description(Some("Why a request was not carried out (RFC 9457)."))
}

pub(super) fn invalid_schema() -> ObjectBuilder {
    let place =
        OneOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::String)).item(ObjectBuilder::new().schema_type(Type::Integer));
    let text = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    let one = ["type", "loc", "msg", "input"].into_iter().fold(
        ObjectBuilder::new()
            .property("type", text("What kind of thing is wrong, such as `missing`, `enum`, `string_type`."))
            .property("loc", ArrayBuilder::new().items(place).description(Some("Where: `[\"body\", \"event_type\"]`.")))
            .property("msg", text("What is wrong, in words."))
            .property(
                "input",
                ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::SchemaType::AnyValue)
                    .description(Some("What was sent, cut if it is long.")),
            ),
        ObjectBuilder::required,
    );
    problem_members(ArrayBuilder::new().items(one).description(Some("Everything that is wrong.")))
        .description(Some("Everything that is wrong with a request."))
}

pub(super) fn conflict_schema() -> ObjectBuilder {
    let detail = ObjectBuilder::new().schema_type(Type::String).description(Some("What is wrong, in words."));
    let actual = ObjectBuilder::new().schema_type(Type::Integer).description(Some("The version that it has."));
    problem_members(detail)
        .property("stream_id", ObjectBuilder::new().schema_type(Type::String).description(Some("The stream that has another version.")))
        .property("expected_version", Ref::from_schema_name("ExpectedVersion"))
        .property("actual_version", actual)
        .description(Some("A conflict. The last three are there if a stream has another version than expected."))
}

/// The kinds of problems, for the page that describes them.
pub(super) fn problems() -> Value {
    let problem = |kind: &ProblemKind| {
        let (slug, status, title, uri) = (kind.slug(), kind.status().as_u16(), kind.title(), kind.uri());
        json!({"slug": slug, "status": status, "title": title, "type": uri, "advice": kind.advice()})
    };
    ProblemKind::ALL.iter().map(problem).collect()
}
