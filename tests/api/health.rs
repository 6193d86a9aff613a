//! `GET /health` and `GET /api/v1/events/health`.

use event_service_tests::app::TestApp;
use insta::assert_snapshot;
use lambda_http::Body;
use lambda_http::http::Method;
use serde_json::Value;

const PATHS: [&str; 2] = ["/health", "/api/v1/events/health"];

#[tokio::test]
async fn anybody_sees_that_the_service_is_healthy_on_both_paths() {
    let app = TestApp::in_memory();
    let [one, other] = [app.anybody().get(PATHS[0]).await, app.anybody().get(PATHS[1]).await];
    assert_snapshot!(one.to_string().replace(env!("CARGO_PKG_VERSION"), "[version]"));
    assert_eq!(one, other);
}

#[tokio::test]
async fn the_version_is_that_of_the_workspace() {
    let app = TestApp::in_memory();
    assert_eq!(app.anybody().get("/health").await.ok()["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn what_is_not_configured_is_not_unhealthy() {
    let app = TestApp::in_memory();
    let health = app.anybody().get("/health").await.ok();
    let states: Vec<&Value> = health["dependencies"].as_object().unwrap().values().collect();
    assert!(!states.is_empty() && states.iter().all(|state| *state != "unhealthy"), "{health}");
}

#[tokio::test]
async fn a_wrong_credential_does_no_harm_to_health() {
    let app = TestApp::in_memory();
    for path in PATHS {
        app.client_that_presents("authorization", "Bearer wrong").get(path).await.succeeds();
        app.client_that_presents("x-api-key", "\u{1f600}").get(path).await.succeeds();
    }
}

#[tokio::test]
async fn health_is_read_only() {
    let app = TestApp::in_memory();
    let client = app.anybody();
    for path in PATHS {
        let (get, head) = (client.get(path).await, client.send(client.request(Method::HEAD, path), Body::Empty).await);
        assert_eq!((head.status, &head.headers, head.text.as_str()), (get.status, &get.headers, ""));
        let post = client.send(client.request(Method::POST, path), Body::Empty).await;
        assert_eq!((post.status.as_u16(), post.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    }
}
