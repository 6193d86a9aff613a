//! `/api/v1/keys`: makes, lists and revokes API keys.

use event_service_tests::app::TestApp;
use insta::assert_snapshot;
use lambda_http::Body;
use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::domain::access::{ApiKeySecret, Scope};

use super::{CREATE, KEYS, QUERY, problems};

fn key_ids(keys: &Value) -> Vec<&str> {
    keys.as_array().unwrap().iter().map(|key| key["key_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_new_key_is_shown_this_once() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let key = json!({"name": " CI ", "scopes": ["events:read", "events:write"], "organization_id": "org_1", "expires_at": "2027-01-01"});
    let answer = client.post(KEYS, &key).await;
    assert_snapshot!(answer);
    let secret = answer.ok()["api_key"].as_str().unwrap().to_owned();
    let list = client.get(KEYS).await;
    assert!(list.text.contains("CI") && !list.text.contains(&secret) && !list.text.contains("api_key"), "{list}");
    let digest = ApiKeySecret::new(secret).digest();
    assert!(!list.text.contains(digest.as_str()), "{list}");
}

#[tokio::test]
async fn keys_are_listed_oldest_first() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    app.pass(1);
    for name in ["b", "a"] {
        client.post(KEYS, &json!({"name": name, "scopes": ["admin"]})).await.succeeds();
        app.pass(1);
    }
    assert_snapshot!(client.get(KEYS).await);
}

#[tokio::test]
async fn a_key_does_what_its_scopes_allow_and_no_more() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (scope, expected) in [("events:write", [200, 403, 403]), ("events:read", [403, 200, 403]), ("admin", [403, 403, 200])] {
        let made = client.post(KEYS, &json!({"name": scope, "scopes": [scope]})).await.ok();
        let holder = app.client_that_presents("x-api-key", made["api_key"].as_str().unwrap());
        let statuses = [
            holder.post(CREATE, &json!({"event_type": "a"})).await.status.as_u16(),
            holder.post(QUERY, &json!({})).await.status.as_u16(),
            holder.get(KEYS).await.status.as_u16(),
        ];
        assert_eq!(statuses, expected, "{scope}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_once_caches_have_forgotten_it() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = client.post(KEYS, &json!({"name": "k", "scopes": ["events:read"]})).await.ok();
    let (id, secret) = (made["key_id"].as_str().unwrap(), made["api_key"].as_str().unwrap());
    let holder = app.client_that_presents("x-api-key", secret);
    holder.post(QUERY, &json!({})).await.succeeds();
    let revoked = client.delete(&format!("{KEYS}/{id}")).await;
    assert_eq!(revoked.ok(), json!({"status": "revoked", "key_id": id}));
    app.pass(5);
    assert_eq!(holder.post(QUERY, &json!({})).await.status, 401);
    assert!(!key_ids(&client.get(KEYS).await.ok()).contains(&id));
    assert_snapshot!(client.delete(&format!("{KEYS}/{id}")).await);
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let app = TestApp::in_memory();
    let made =
        app.client().await.post(KEYS, &json!({"name": "k", "scopes": ["events:read"], "expires_at": "2026-11-23T12:00:02Z"})).await.ok();
    let holder = app.client_that_presents("x-api-key", made["api_key"].as_str().unwrap());
    app.pass(1);
    holder.post(QUERY, &json!({})).await.succeeds();
    app.pass(1);
    assert_eq!(holder.post(QUERY, &json!({})).await.status, 401);
}

#[tokio::test]
async fn all_problems_of_a_key_are_reported_together() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let key = json!({"expires_at": "never", "name": "", "organization_id": "", "scopes": ["events:read", "root", 5]});
    assert_snapshot!(client.post(KEYS, &key).await);
    for (key, field) in [(json!({"scopes": ["admin"]}), "name"), (json!({"name": "k"}), "scopes")] {
        assert_eq!(problems(&client.post(KEYS, &key).await), [("missing".to_owned(), json!(["body", field]))]);
    }
    let none = client.post(KEYS, &json!({"name": "k", "scopes": []})).await;
    assert_eq!(problems(&none), [("too_short".to_owned(), json!(["body", "scopes"]))]);
    assert_eq!(key_ids(&client.get(KEYS).await.ok()).len(), 1, "no key was made");
}

#[tokio::test]
async fn a_bound_administrator_manages_the_keys_of_its_organization_only() {
    let app = TestApp::in_memory();
    let platform = app.client().await;
    let bound = app.client_with(&[Scope::Admin], Some("org_1")).await;
    let own = bound.post(KEYS, &json!({"name": "own", "scopes": ["events:read"]})).await.ok();
    assert_eq!(own["organization_id"], "org_1");
    let foreign = platform.post(KEYS, &json!({"name": "foreign", "scopes": ["events:read"], "organization_id": "org_2"})).await.ok();
    let unbound = platform.post(KEYS, &json!({"name": "unbound", "scopes": ["events:read"]})).await.ok();

    let list = bound.get(KEYS).await.ok();
    assert_eq!(list.as_array().unwrap().iter().filter(|key| key["organization_id"] != "org_1").count(), 0);
    assert!(key_ids(&list).contains(&own["key_id"].as_str().unwrap()));
    let unknown = bound.delete(&format!("{KEYS}/0000000000000000")).await;
    assert_eq!(unknown.status, 404);
    for other in [&foreign, &unbound] {
        assert_eq!(bound.delete(&format!("{KEYS}/{}", other["key_id"].as_str().unwrap())).await, unknown);
    }
    assert_snapshot!(bound.post(KEYS, &json!({"name": "k", "scopes": ["events:read"], "organization_id": "org_2"})).await);
    assert_eq!(key_ids(&platform.get(KEYS).await.ok()).len(), 5);
    bound.delete(&format!("{KEYS}/{}", own["key_id"].as_str().unwrap())).await.succeeds();
}

#[tokio::test]
async fn who_is_no_administrator_manages_no_keys() {
    let app = TestApp::in_memory();
    let writer = app.client_with(&[Scope::Write, Scope::Read], None).await;
    for (client, status) in [(&app.anybody(), 401), (&writer, 403)] {
        assert_eq!(client.get(KEYS).await.status, status);
        assert_eq!(client.post(KEYS, &json!({"name": "k", "scopes": ["admin"]})).await.status, status);
        assert_eq!(client.delete(&format!("{KEYS}/0000000000000000")).await.status, status);
    }
    assert_eq!(key_ids(&app.client().await.get(KEYS).await.ok()).len(), 2);
}

#[tokio::test]
async fn other_methods_are_told_the_right_ones() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (path, allow) in [(KEYS.to_owned(), "POST, GET, HEAD, OPTIONS"), (format!("{KEYS}/1"), "DELETE, OPTIONS")] {
        let put = client.send(client.request(Method::PUT, &path), Body::Empty).await;
        assert_eq!((put.status.as_u16(), put.header("allow")), (405, Some(allow)));
        let options = client.send(client.request(Method::OPTIONS, &path), Body::Empty).await;
        assert_eq!((options.status.as_u16(), options.header("allow")), (204, Some(allow)));
    }
}
