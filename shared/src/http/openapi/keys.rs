//! Routes that manage API keys.

use serde_json::{Value, json};
use utoipa::openapi::Ref;
use utoipa::openapi::schema::ArrayBuilder;

use super::parts::{Description, in_path, json_request, json_response};
use crate::http::problem::ProblemKind;
use crate::http::routes::ManageKeysEndpoint;

pub(super) fn describe_keys(endpoint: ManageKeysEndpoint) -> Description {
    match endpoint {
        ManageKeysEndpoint::Create => Description {
            tag: "Keys",
            text: "The key itself is in this answer only; what is kept is a digest of it.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("KeyRequest"), example_key_request())),
            answer: json_response("The key.", Ref::from_schema_name("NewKey"), None),
            problems: &[ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ManageKeysEndpoint::List => Description {
            tag: "Keys",
            text: "The keys of the credential's organization, or all, oldest first.",
            parameters: Vec::new(),
            body: None,
            answer: json_response("The keys.", ArrayBuilder::new().items(Ref::from_schema_name("Key")), None),
            problems: &[],
        },
        ManageKeysEndpoint::Revoke => Description {
            tag: "Keys",
            text: "The key is refused from now on, everywhere within seconds.",
            parameters: vec![in_path("key_id", "The key's public name.")],
            body: None,
            answer: json_response("The key is revoked.", Ref::from_schema_name("RevokedKey"), None),
            problems: &[ProblemKind::NotFound],
        },
    }
}

pub(super) fn example_key_request() -> Value {
    json!({"name": "order service", "scopes": ["events:write", "events:read"], "organization_id": "org_1"})
}
