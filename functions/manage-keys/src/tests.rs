//! The routes of this function, on memory adapters.

use lambda_http::Body;
use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::adapters::memory::MemoryKeys;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::manage_keys::ManageKeysPorts;
use shared::domain::access::{ApiKeySecret, Caller, Scope};
use shared::http::caller::{authorizer_context, with_authorizer_context};
use shared::ports::key_store::KeyStore as _;

use super::handle;

fn admin(organization: Option<&str>) -> Caller {
    let organization = organization.map(|organization| organization.parse().unwrap());
    Caller { name: "key:1".to_owned(), scopes: vec![Scope::Admin], organization }
}

async fn send(keys: &MemoryKeys, caller: Option<&Caller>, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let ports = ManageKeysPorts { keys, clock: &SystemClock, random: &SystemRandom };
    let request = lambda_http::http::Request::builder().method(method).uri(path).body(Body::Text(body.to_string())).unwrap();
    let request = match caller {
        Some(caller) => with_authorizer_context(request, authorizer_context(Ok(caller))),
        None => request,
    };
    let response = handle(&ports, request).await;
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

#[tokio::test]
async fn a_key_is_made_listed_and_revoked_and_its_secret_is_shown_once() {
    let keys = MemoryKeys::default();
    let (admin, none) = (admin(None), Value::Null);
    let draft = json!({"name": "CI", "scopes": ["events:write"], "organization_id": "o1", "expires_at": "2030-01-01"});
    let (status, made) = send(&keys, Some(&admin), Method::POST, "/api/v1/keys", &draft).await;
    let secret = made["api_key"].as_str().unwrap();
    assert_eq!((status, secret.starts_with(ApiKeySecret::PREFIX)), (200, true));
    assert_eq!(json!([made["name"], made["scopes"], made["organization_id"]]), json!(["CI", ["events:write"], "o1"]));
    assert_eq!(made["expires_at"], "2030-01-01T00:00:00.000000Z");
    let digest = ApiKeySecret::new(secret.to_owned()).digest();
    assert!(keys.key(&digest).await.unwrap().is_some());

    let (status, listed) = send(&keys, Some(&admin), Method::GET, "/api/v1/keys", &none).await;
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("api_key");
    assert_eq!((status, listed), (200, json!([expected])));

    let path = format!("/api/v1/keys/{}", made["key_id"].as_str().unwrap());
    let revoked = send(&keys, Some(&admin), Method::DELETE, &path, &none).await;
    assert_eq!(revoked, (200, json!({"status": "revoked", "key_id": made["key_id"]})));
    assert!(keys.key(&digest).await.unwrap().is_none());
    let (status, answer) = send(&keys, Some(&admin), Method::DELETE, &path, &none).await;
    assert_eq!((status, &answer["detail"]), (404, &json!("Key not found")));
}

#[tokio::test]
async fn a_bound_administrator_manages_the_keys_of_its_organization_only() {
    let keys = MemoryKeys::default();
    let draft = |organization: Value| json!({"name": "CI", "scopes": ["events:read"], "organization_id": organization});
    let (_, foreign) = send(&keys, Some(&admin(Some("o2"))), Method::POST, "/api/v1/keys", &draft(Value::Null)).await;
    assert_eq!(foreign["organization_id"], "o2");
    let bound = admin(Some("o1"));
    assert_eq!(send(&keys, Some(&bound), Method::POST, "/api/v1/keys", &draft(json!("o2"))).await.0, 403);
    assert_eq!(send(&keys, Some(&bound), Method::GET, "/api/v1/keys", &Value::Null).await, (200, json!([])));
    let path = format!("/api/v1/keys/{}", foreign["key_id"].as_str().unwrap());
    assert_eq!(send(&keys, Some(&bound), Method::DELETE, &path, &Value::Null).await.0, 404);
    assert_eq!(keys.keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_administrators_manage_keys() {
    let keys = MemoryKeys::default();
    let writer = Caller { scopes: vec![Scope::Write, Scope::Read], ..admin(None) };
    for (method, path) in [(Method::POST, "/api/v1/keys"), (Method::GET, "/api/v1/keys"), (Method::DELETE, "/api/v1/keys/x")] {
        assert_eq!(send(&keys, None, method.clone(), path, &json!({})).await.0, 401);
        assert_eq!(send(&keys, Some(&writer), method, path, &json!({})).await.0, 403);
    }
    assert!(keys.keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_key_is_said_and_no_key_is_made() {
    let keys = MemoryKeys::default();
    let (status, answer) = send(&keys, Some(&admin(None)), Method::POST, "/api/v1/keys", &json!({"scopes": ["root"]})).await;
    let found: Vec<&Value> = answer["detail"].as_array().unwrap().iter().map(|problem| &problem["loc"]).collect();
    assert_eq!((status, json!(found)), (422, json!([["body", "name"], ["body", "scopes", 0]])));
    assert!(keys.keys().await.unwrap().is_empty());
}
