//! Says who presents a credential: a Lambda authorizer of an HTTP API, payload format 2.0 with simple responses.
//!
//! API Gateway must ask it for every request (no identity source, no cache): the credential is in one of two headers, and keys
//! are remembered here. Public routes have no authorizer. Every request is let through, with the caller or without one: API
//! Gateway would answer a wrong credential with a bare 403, and the functions behind answer 401 with a reason, or 503 if the
//! credential could not be checked. They let nobody in without a caller.

pub mod settings;

use aws_lambda_events::apigw::{ApiGatewayV2CustomAuthorizerSimpleResponse, ApiGatewayV2CustomAuthorizerV2Request};
use aws_lambda_events::http::HeaderMap;
use shared::domain::access::Caller;
use shared::http::caller::{AuthorizerContext, authorizer_context};
use shared::http::credential::credential;
use shared::queries::check_access::{AccessError, CheckAccessPorts, check_access};
use shared::telemetry::Chain;

/// What API Gateway is told.
pub type Verdict = ApiGatewayV2CustomAuthorizerSimpleResponse<AuthorizerContext>;

/// Answers API Gateway.
pub async fn handle(ports: &CheckAccessPorts<'_>, event: ApiGatewayV2CustomAuthorizerV2Request) -> Verdict {
    let checked = check(ports, &event.headers).await;
    let mut verdict = Verdict::default();
    verdict.is_authorized = true;
    verdict.context = authorizer_context(checked.as_ref());
    verdict
}

/// Who presents the credential in these headers.
///
/// # Errors
/// [`AccessError::Invalid`] if there is none or it is wrong; [`AccessError::Unavailable`] if that cannot be told.
pub async fn check(ports: &CheckAccessPorts<'_>, headers: &HeaderMap) -> Result<Caller, AccessError> {
    let credential = credential(headers).map_err(|error| {
        tracing::debug!(%error, "a request had no credential");
        AccessError::Invalid
    })?;
    let checked = check_access(ports, &credential).await;
    if let Err(error @ AccessError::Unavailable(_)) = &checked {
        tracing::error!(error = %Chain(error), "a credential could not be checked");
    }
    checked
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use serde_json::{Value, json};
    use shared::adapters::memory::MemoryKeys;
    use shared::adapters::system::SystemClock;
    use shared::domain::access::{ApiKey, ApiKeySecret, KeyDigest, Scope};
    use shared::domain::timestamp::Timestamp;
    use shared::ports::key_store::KeyStore;
    use shared::ports::store_error::StoreError;
    use shared::queries::check_access::KeyCache;

    use super::*;

    fn event(headers: &Value) -> ApiGatewayV2CustomAuthorizerV2Request {
        let event = json!({
            "version": "2.0", "type": "REQUEST", "routeArn": "arn:aws:execute-api:eu-central-1:123456789012:abc/$default/GET/x",
            "identitySource": null, "routeKey": "GET /api/v1/events/{event_id}", "rawPath": "/api/v1/events/1", "rawQueryString": "",
            "headers": headers,
            "requestContext": {
                "accountId": "123456789012", "apiId": "abc", "domainName": "abc.example", "domainPrefix": "abc", "requestId": "r",
                "http": {"method": "GET", "path": "/x", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "a"},
                "routeKey": "GET /x", "stage": "$default", "time": "23/Nov/2026:10:11:12 +0000", "timeEpoch": 1_795_000_000_000_i64,
            },
        });
        serde_json::from_value(event).unwrap()
    }

    async fn verdict(keys: &dyn KeyStore, headers: &Value) -> Value {
        let ports = CheckAccessPorts { keys, tokens: None, clock: &SystemClock, cache: &KeyCache::new(None) };
        serde_json::to_value(handle(&ports, event(headers)).await).unwrap()
    }

    #[tokio::test]
    async fn a_good_key_is_let_in_and_its_caller_goes_with_the_request() {
        let (keys, secret) = (MemoryKeys::default(), ApiKeySecret::from_random([1; 32]));
        let key = ApiKey {
            digest: secret.digest(),
            name: "CI".to_owned(),
            scopes: vec![Scope::Read],
            organization: "org_1".parse().ok(),
            created_at: Timestamp::MIN,
            expires_at: None,
        };
        keys.put_key(&key).await.unwrap();
        for headers in [json!({"x-api-key": secret.reveal()}), json!({"authorization": format!("Bearer {}", secret.reveal())})] {
            let verdict = verdict(&keys, &headers).await;
            assert_eq!(verdict["isAuthorized"], true);
            let caller: Value = serde_json::from_str(verdict["context"]["caller"].as_str().unwrap()).unwrap();
            let name = format!("key:{}", key.digest.key_id());
            assert_eq!(caller, json!({"name": name, "scopes": ["events:read"], "organization": "org_1"}));
        }
    }

    #[tokio::test]
    async fn without_a_good_credential_a_request_has_no_caller() {
        for headers in [
            json!({}),
            json!({"x-api-key": "evk_0"}),
            json!({"authorization": "Bearer a.b.c"}),
            json!({"authorization": "Basic YTpi"}),
            json!({"x-api-key": "a b"}),
        ] {
            let verdict = verdict(&MemoryKeys::default(), &headers).await;
            assert_eq!(verdict, json!({"isAuthorized": true, "context": {}}), "{headers}");
        }
    }

    struct NoStore;

    #[async_trait]
    impl KeyStore for NoStore {
        async fn key(&self, _: &KeyDigest) -> Result<Option<ApiKey>, StoreError> {
            Err(StoreError::Unavailable("down".into()))
        }

        async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
            Err(StoreError::Unavailable("down".into()))
        }

        async fn put_key(&self, _: &ApiKey) -> Result<(), StoreError> {
            Err(StoreError::Unavailable("down".into()))
        }

        async fn remove_key(&self, _: &str) -> Result<bool, StoreError> {
            Err(StoreError::Unavailable("down".into()))
        }
    }

    #[tokio::test]
    async fn a_credential_that_cannot_be_checked_goes_on_without_a_caller() {
        let verdict = verdict(&NoStore, &json!({"x-api-key": "evk_0"})).await;
        assert_eq!(verdict, json!({"isAuthorized": true, "context": {"unavailable": "true"}}));
    }
}
