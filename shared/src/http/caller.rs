//! The caller of a request: written into the request's context by the authorizer, read by the functions.
//!
//! A client cannot write there: API Gateway's context is no part of what it sends.

use std::collections::HashMap;

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::problem::{Problem, ProblemKind};
use crate::domain::access::{Caller, Scope};
use crate::domain::identifiers::OrganizationId;
use crate::queries::check_access::AccessError;

/// The whole caller, as one text: what is bound to an organization must never arrive without it.
const CALLER: &str = "caller";
/// Its name, for the access log of API Gateway.
const NAME: &str = "name";
/// The credential could not be checked.
const UNAVAILABLE: &str = "unavailable";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    scopes: Vec<Scope>,
    /// Required, though it may be null.
    #[serde(deserialize_with = "Option::deserialize")]
    organization: Option<OrganizationId>,
}

/// What API Gateway hands from the authorizer to the function.
pub type AuthorizerContext = HashMap<String, Value>;

/// What the authorizer writes of a check: the caller, that the check was not possible, or nothing.
#[must_use]
pub fn authorizer_context(checked: Result<&Caller, &AccessError>) -> AuthorizerContext {
    match checked {
        Ok(caller) => {
            let written = Written { name: caller.name.clone(), scopes: caller.scopes.clone(), organization: caller.organization.clone() };
            match serde_json::to_string(&written) {
                Ok(text) => HashMap::from([(CALLER.to_owned(), text.into()), (NAME.to_owned(), caller.name.clone().into())]),
                Err(_) => HashMap::new(),
            }
        }
        Err(AccessError::Unavailable(_)) => HashMap::from([(UNAVAILABLE.to_owned(), "true".into())]),
        Err(AccessError::Invalid) => HashMap::new(),
    }
}

/// The request with what the authorizer writes of a check, for a process without API Gateway.
#[must_use]
pub fn with_authorizer_context(request: Request, fields: AuthorizerContext) -> Request {
    let mut context = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.clone(),
        Some(_) | None => lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext::default(),
    };
    context.authorizer.get_or_insert_default().fields = fields;
    request.with_request_context(RequestContext::ApiGatewayV2(context))
}

/// The caller, if the request's route lets it.
///
/// # Errors
/// 401 without a caller, 403 without the scope, 503 if the authorizer could not check the credential.
pub fn authorize(request: &Request, scope: Scope) -> Result<Caller, Problem> {
    let caller = caller(request)?;
    if caller.may(scope) { Ok(caller) } else { Err(Problem::lacks(scope)) }
}

fn caller(request: &Request) -> Result<Caller, Problem> {
    let fields = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.authorizer.as_ref().map(|authorizer| &authorizer.fields),
        Some(_) | None => None,
    };
    let fields = fields.ok_or_else(Problem::not_authenticated)?;
    if fields.contains_key(UNAVAILABLE) {
        return Err(Problem::new(ProblemKind::Unavailable, "the credential cannot be checked right now; try again"));
    }
    let text = fields.get(CALLER).and_then(Value::as_str).ok_or_else(Problem::not_authenticated)?;
    let written: Written = serde_json::from_str(text).map_err(|error| Problem::not_authenticated().caused_by(error))?;
    Ok(Caller { name: written.name, scopes: written.scopes, organization: written.organization })
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use serde_json::json;

    use super::*;

    fn request() -> Request {
        Request::new(Body::Empty)
    }

    fn bound() -> Caller {
        Caller { name: "key:1".to_owned(), scopes: vec![Scope::Write, Scope::Read], organization: "org_1".parse().ok() }
    }

    #[test]
    fn what_the_authorizer_writes_the_functions_read() {
        let platform = Caller { name: "token:1".to_owned(), scopes: Scope::ALL.to_vec(), organization: None };
        for caller in [bound(), platform] {
            let request = with_authorizer_context(request(), authorizer_context(Ok(&caller)));
            assert_eq!(authorize(&request, Scope::Write).unwrap(), caller);
        }
    }

    #[test]
    fn what_comes_through_api_gateway_reads_the_same() {
        let fields = authorizer_context(Ok(&bound()));
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/x", "rawQueryString": "", "headers": {}, "isBase64Encoded": false,
            "requestContext": {"stage": "$default", "timeEpoch": 0, "http": {"method": "GET"}, "authorizer": {"lambda": fields}},
        });
        let request = lambda_http::request::from_str(&event.to_string()).unwrap();
        assert_eq!(authorize(&request, Scope::Read).unwrap(), bound());
    }

    #[test]
    fn without_a_whole_caller_nobody_is_authenticated() {
        let kind = |request: &Request| authorize(request, Scope::Read).map(|_| ()).map_err(|problem| problem.kind());
        assert_eq!(kind(&request()), Err(ProblemKind::NotAuthenticated));
        for fields in [
            json!({}),
            json!({"caller": null}),
            json!({"caller": {"name": "x", "scopes": ["admin"], "organization": null}}),
            json!({"caller": "{}"}),
            json!({"caller": r#"{"name":"x","scopes":["root"],"organization":null}"#}),
            json!({"caller": r#"{"name":"x","scopes":["events:read"],"organization":""}"#}),
            json!({"caller": r#"{"name":"x","scopes":["events:read"]}"#}),
            json!({"caller": r#"{"name":"x","scopes":["events:read"],"organization":null,"organisation":"o"}"#}),
            json!({"name": "x", "scopes": "events:read"}),
        ] {
            let request = with_authorizer_context(request(), serde_json::from_value(fields.clone()).unwrap());
            assert_eq!(kind(&request), Err(ProblemKind::NotAuthenticated), "{fields}");
        }
    }

    #[test]
    fn a_caller_needs_the_scope() {
        let request = with_authorizer_context(request(), authorizer_context(Ok(&bound())));
        assert_eq!(authorize(&request, Scope::Admin).map_err(|problem| problem.kind()), Err(ProblemKind::Forbidden));
    }

    #[test]
    fn a_check_that_was_not_possible_is_no_refusal() {
        let error = AccessError::Unavailable("down".into());
        let request = with_authorizer_context(request(), authorizer_context(Err(&error)));
        assert_eq!(authorize(&request, Scope::Read).map_err(|problem| problem.kind()), Err(ProblemKind::Unavailable));
    }
}
