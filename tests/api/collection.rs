//! Events of clients that nobody controls: `frontend`, RudderStack, analytics SDKs, CloudEvents, and what of them was rejected.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event_service_tests::Store;
use event_service_tests::app::{Answer, Client, TestApp};
use flate2::Compression;
use flate2::write::GzEncoder;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::http::Method;
use lambda_http::request::RequestContext;
use lambda_http::{Body, RequestExt as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::domain::access::Scope;
use shared::domain::collected_event::IpPolicy;
use shared::domain::queue::{Outgoing, Queue, WorkQueue};
use shared::domain::signature::WebhookSecret;
use shared::http::collect::settings::{AllowedOrigins, DoNotTrack};
use shared::ports::queue::{QueueError, QueueReceiver as _, QueueSender};

use super::hostile::broken;
use super::{QUERY, problems, total};

const FRONTEND: &str = "/api/v1/events/frontend";
const FRONTEND_BATCH: &str = "/api/v1/events/frontend/batch";
const PIXEL: &str = "/api/v1/events/frontend/pixel.gif";
const RUDDERSTACK: &str = "/webhooks/rudderstack";
const CLOUDEVENTS: &str = "/api/v1/events/cloudevents";
const REJECTED: &str = "/api/v1/events/rejected";

/// The newest of all events.
async fn newest(app: &TestApp) -> Value {
    let found = app.client().await.post(QUERY, &json!({"limit": 1})).await.ok();
    found["events"][0].clone()
}

async fn events(app: &TestApp, query: &Value) -> Vec<Value> {
    app.client().await.post(QUERY, query).await.ok()["events"].as_array().unwrap().clone()
}

/// A client with a key that may collect events of an organization.
async fn sdk<'a>(app: &'a TestApp, organization: Option<&str>) -> Client<'a> {
    let keyed = app.client_with(&[Scope::Collect], organization).await;
    let request = keyed.request(Method::GET, "/").body(Body::Empty).unwrap();
    let key = request.headers()["x-api-key"].to_str().unwrap().to_owned();
    app.client_that_presents("authorization", &format!("Basic {}", STANDARD.encode(format!("{key}:"))))
}

/// Sends from an address.
async fn send_from(app: &TestApp, address: &str, headers: &[(&str, &str)], path: &str, body: &Value) -> Answer {
    let client = app.anybody();
    let builder = headers.iter().fold(client.request(Method::POST, path), |builder, (name, value)| builder.header(*name, *value));
    let mut context = ApiGatewayV2httpRequestContext::default();
    context.http.source_ip = Some(address.to_owned());
    let request = builder.body(Body::from(body.to_string())).unwrap().with_request_context(RequestContext::ApiGatewayV2(context));
    app.answer(request).await
}

/// Scenario 1, BR-FE-001, BR-FE-002.
#[tokio::test]
async fn a_page_sends_an_event_without_a_credential_and_it_is_enriched() {
    let app = TestApp::in_memory();
    let event = json!({
        "event_type": "product_view", "category": "page_view", "page_url": "https://shop.example/p/42", "session_id": "s1",
        "data": {"product_id": "42"}, "metadata": {"client_ip": "6.6.6.6", "campaign": "spring"},
    });
    let headers = [
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"),
        ("referer", "https://shop.example/"),
        ("content-type", "text/plain"),
    ];
    let answer = send_from(&app, "203.0.113.7", &headers, FRONTEND, &event).await.ok();
    let found = newest(&app).await;
    assert_eq!(json!([answer["status"], answer["event_id"], answer["duplicate"]]), json!(["accepted", found["event_id"], false]));
    assert_eq!(
        json!([found["event_type"], found["event_source"], found["event_category"], found["stream_id"], found["data"]]),
        json!(["product_view", "frontend", "page_view", "session:s1", {"product_id": "42"}])
    );
    assert_eq!(
        found["metadata"],
        json!({
            "campaign": "spring", "category": "page_view", "client_ip": "203.0.113.7", "page_url": "https://shop.example/p/42",
            "received_at": "2026-11-23T12:00:00.000000Z", "referer": "https://shop.example/",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
        })
    );
}

#[tokio::test]
async fn an_event_of_a_page_needs_a_type_and_nothing_else() {
    let app = TestApp::in_memory();
    app.anybody().post(FRONTEND, &json!({"event_type": "click", "user_id": 12, "category": "Button", "unknown": [1]})).await.succeeds();
    let found = newest(&app).await;
    assert_eq!(json!([found["user_id"], found["event_category"], found["metadata"]["category"]]), json!(["12", "click", "Button"]));
    let refused = app.anybody().post(FRONTEND, &json!({"data": {}})).await;
    assert_eq!(problems(&refused), [("missing".to_owned(), json!(["body", "event_type"]))]);
    assert_eq!(refused.json()["status"], 422);
}

/// BR-FE-003, BR-FE-004.
#[tokio::test]
async fn a_bad_item_is_told_by_index_and_reason_and_spoils_none_of_the_others() {
    let app = TestApp::in_memory();
    let events = r#"{"client_info":{"app":"shop"},"events":[{"event_type":"a","session_id":"s"},{"data":{}},7,{"event_type":"b","x":1,"x":2},{"event_type":"c","session_id":"s"}]}"#;
    let answer = app.anybody().post_text(FRONTEND_BATCH, events).await.ok();
    let rejected: Vec<Value> = answer["rejected"].as_array().unwrap().iter().map(|item| json!([item["index"], item["reason"]])).collect();
    assert_eq!(json!(rejected), json!([[1, "invalid_fields"], [2, "invalid_fields"], [3, "invalid_json"]]));
    assert_eq!(
        json!([answer["status"], answer["processed_count"], answer["event_ids"].as_array().unwrap().len()]),
        json!(["accepted", 2, 2])
    );
    let stream = app.client().await.get("/api/v1/events/stream/session:s").await.ok();
    assert_eq!(json!([stream["version"], stream["events"][0]["context"]]), json!([2, {"app": "shop"}]));
    let many = json!({"events": vec![json!({"event_type": "a"}); 101]});
    assert_eq!(problems(&app.anybody().post(FRONTEND_BATCH, &many).await)[0].0, "too_long");
    assert_eq!(total(&app.client().await).await, 2);
}

/// BR-FE-005.
#[tokio::test]
async fn a_session_ties_what_was_anonymous_to_whom_it_was() {
    for app in [TestApp::in_memory()] {
        let view = |session: &str, user: Option<&str>, page: &str| json!({"event_type": page, "session_id": session, "user_id": user});
        for event in [view("s1", None, "landing"), view("s1", None, "product"), view("s2", None, "other"), view("s1", Some("u1"), "login")]
        {
            app.anybody().post(FRONTEND, &event).await.succeeds();
            app.pass(1);
        }
        app.anybody().post(FRONTEND, &view("s1", Some("u2"), "shared")).await.succeeds();
        let types = async |query: Value| -> Vec<String> {
            events(&app, &query).await.iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(types(json!({"user_id": "u1"})).await, ["login"]);
        assert_eq!(types(json!({"user_id": "u1", "include_anonymous": true})).await, ["login", "product", "landing"]);
        assert_eq!(types(json!({"user_id": "u1", "include_anonymous": true, "event_type": "product"})).await, ["product"]);
        let page = app.client().await.post(QUERY, &json!({"user_id": "u1", "include_anonymous": true, "limit": 2})).await.ok();
        assert_eq!(json!([page["total"], page["has_more"]]), json!([3, true]));
        let rest = json!({"user_id": "u1", "include_anonymous": true, "limit": 2, "cursor": page["next_cursor"]});
        assert_eq!(types(rest).await, ["landing"]);
    }
}

#[tokio::test]
async fn a_message_counts_once_however_often_and_in_whatever_batch_it_is_sent() {
    let app = TestApp::in_memory();
    let event = |id: &str| json!({"event_type": "view", "session_id": "s", "message_id": id, "timestamp": "2026-11-23T11:59:30Z"});
    let first = app.anybody().post(FRONTEND_BATCH, &json!({"events": [event("a"), event("b"), event("a")]})).await.ok();
    assert_eq!(json!([first["processed_count"], first["duplicate_count"]]), json!([3, 1]));
    assert_eq!(first["event_ids"][0], first["event_ids"][2]);
    app.pass(86_400 * 40);
    let again = app.anybody().post(FRONTEND, &event("b")).await.ok();
    assert_eq!(json!([again["event_id"], again["duplicate"]]), json!([first["event_ids"][1], true]));
    let mixed = app.anybody().post(FRONTEND_BATCH, &json!({"events": [event("c"), event("a")]})).await.ok();
    assert_eq!(json!([mixed["processed_count"], mixed["duplicate_count"], mixed["event_ids"][1]]), json!([2, 1, first["event_ids"][0]]));
    assert_eq!(total(&app.client().await).await, 3);
}

#[tokio::test]
async fn a_page_of_the_ledger_that_is_full_loses_and_doubles_nothing() {
    let app = TestApp::in_memory();
    let batch = |from: usize| {
        let event = |number| json!({"event_type": "view", "session_id": "s", "message_id": format!("m{number}"), "timestamp": "2026-11-23T11:59:30Z"});
        json!({"events": (from..from + 100).map(event).collect::<Vec<_>>()})
    };
    for round in 0..2 {
        for from in (0..600).step_by(100) {
            let answer = app.anybody().post(FRONTEND_BATCH, &batch(from)).await.ok();
            assert_eq!(json!([answer["processed_count"], answer["duplicate_count"]]), json!([100, round * 100]), "{from}");
        }
    }
    let across = app.anybody().post(FRONTEND_BATCH, &batch(350)).await.ok();
    assert_eq!(across["duplicate_count"], 100);
    assert_eq!(total(&app.client().await).await, 600);
}

/// Whether a page is full must not depend on how many messages come together.
#[tokio::test]
async fn a_message_that_came_when_a_page_was_nearly_full_is_known_however_it_comes_again() {
    let app = TestApp::in_memory();
    let batch = |numbers: std::ops::Range<usize>| {
        let event = |number| json!({"event_type": "view", "session_id": "s", "message_id": format!("m{number}"), "timestamp": "2026-11-23T11:59:30Z"});
        json!({"events": numbers.map(event).collect::<Vec<_>>()})
    };
    for numbers in [0..95, 95..190, 190..285, 285..380, 380..430] {
        app.anybody().post(FRONTEND_BATCH, &batch(numbers)).await.succeeds();
    }
    for numbers in [380..381, 381..382, 429..430, 400..410, 360..430] {
        let count = numbers.len();
        let again = app.anybody().post(FRONTEND_BATCH, &batch(numbers.clone())).await.ok();
        assert_eq!(again["duplicate_count"], count, "{numbers:?}");
    }
    assert_eq!(total(&app.client().await).await, 430);
}

/// On DynamoDB, whose expressions have at most 4 KB.
#[tokio::test]
async fn a_large_batch_of_one_sender_is_stored_at_once_and_in_its_order() {
    let store = Store::open().await;
    let app = TestApp::on(&store);
    let message = |number: usize| json!({"type": "track", "event": format!("e{number}"), "userId": "u", "messageId": format!("m{number}"), "originalTimestamp": "2026-11-23T11:59:30Z"});
    let batch = json!({"batch": (0..300).map(message).collect::<Vec<_>>()});
    for duplicates in [0, 300] {
        let answer = sdk(&app, None).await.post("/v1/batch", &batch).await.ok();
        assert_eq!(json!([answer["accepted"], answer["duplicates"]]), json!([300, duplicates]));
    }
    let stream = app.client().await.get("/api/v1/events/stream/user:u").await.ok();
    let types: Vec<String> =
        stream["events"].as_array().unwrap().iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, (0..300).map(|number| format!("e{number}")).collect::<Vec<_>>());
    assert!(app.queues.receive(&Queue::Work(WorkQueue::Collect), 1, std::time::Duration::ZERO).await.unwrap().is_empty());
}

#[tokio::test]
async fn when_a_message_was_sent_is_no_part_of_what_it_is() {
    let app = TestApp::in_memory();
    for sent_at in ["2026-11-23T11:59:00Z", "2026-11-23T12:30:00Z"] {
        let message = json!({"type": "page", "userId": "u", "messageId": "m1", "sentAt": sent_at});
        sdk(&app, None).await.post("/v1/page", &message).await.succeeds();
    }
    assert_eq!(total(&app.client().await).await, 1);
}

#[tokio::test]
async fn what_is_known_of_a_request_no_client_can_say() {
    let mut app = TestApp::in_memory();
    app.app_mut().collect.ip = IpPolicy::Drop;
    let metadata = json!({"client_ip": "6.6.6.6", "referer": "r", "user_agent": "u", "bot": false, "do_not_track": "no", "repaired": 1, "call": "x", "own": 1});
    send_from(&app, "203.0.113.7", &[("user-agent", "curl/8")], FRONTEND, &json!({"event_type": "x", "metadata": metadata}))
        .await
        .succeeds();
    let found = newest(&app).await;
    assert_eq!(found["metadata"], json!({"bot": true, "own": 1, "received_at": "2026-11-23T12:00:00.000000Z", "user_agent": "curl/8"}));
}

#[tokio::test]
async fn no_address_and_nothing_that_tells_who_it_was_slips_through() {
    let mut app = TestApp::in_memory();
    app.app_mut().collect.ip = IpPolicy::Truncate;
    app.app_mut().collect.do_not_track = DoNotTrack::Anonymize;
    let message = json!({"type": "track", "event": "a", "userId": "u", "context": {"ip": "198.51.100.77", "locale": "en"}});
    app.anybody().post(RUDDERSTACK, &message).await.succeeds();
    let found = newest(&app).await;
    assert_eq!(json!([found["metadata"]["client_ip"], found["context"]["ip"]]), json!(["198.51.100.0", "198.51.100.0"]));
    app.pass(1);
    let sdk = sdk(&app, None).await;
    let quiet = |path: &str| sdk.request(Method::POST, path).header("dnt", "1");
    let identify = json!({"type": "identify", "userId": "secret-user", "traits": {"email": "secret@example.com"}});
    sdk.send(quiet("/v1/identify"), Body::from(identify.to_string())).await.succeeds();
    let bad = json!({"type": "track", "email": "secret@example.com", "writeKey": "evk_secret"});
    assert_eq!(sdk.send(quiet("/v1/track"), Body::from(bad.to_string())).await.status, 422);
    let admin = app.client().await;
    let cloud = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "user:secret-user"});
    admin.send(admin.request(Method::POST, CLOUDEVENTS).header("sec-gpc", "1"), Body::from(cloud.to_string())).await.succeeds();
    let all = admin.post(QUERY, &json!({})).await;
    let rejected = admin.get(REJECTED).await;
    assert!(!all.text.contains("secret") && !rejected.text.contains("secret"), "{all} {rejected}");
    // Without the wish, what is rejected is kept, but never a key.
    assert_eq!(sdk.post("/v1/track", &bad).await.status, 422);
    let rejected = admin.get(REJECTED).await;
    assert!(rejected.text.contains("secret@example.com") && !rejected.text.contains("evk_secret"), "{rejected}");
}

#[tokio::test]
async fn who_asks_for_the_head_of_a_picture_has_not_looked_at_it() {
    let app = TestApp::in_memory();
    let client = app.anybody();
    let answer = client.send(client.request(Method::HEAD, &format!("{PIXEL}?event_type=opened")), Body::Empty).await;
    assert_eq!((answer.status.as_u16(), total(&app.client().await).await), (200, 0));
}

#[tokio::test]
async fn an_sdk_of_a_server_is_no_crawler() {
    let app = TestApp::in_memory();
    let sdk = sdk(&app, None).await;
    let message = json!({"type": "page", "userId": "u", "context": {"library": {"name": "@segment/analytics-node", "version": "3.1.0"}}});
    sdk.send(sdk.request(Method::POST, "/v1/page").header("user-agent", "analytics-node-next/latest"), Body::from(message.to_string()))
        .await
        .succeeds();
    assert_eq!(newest(&app).await["metadata"]["bot"], Value::Null);
}

#[tokio::test]
async fn an_id_that_is_no_text_and_no_number_is_refused() {
    let app = TestApp::in_memory();
    for id in [json!({"id": "u"}), json!(true), json!(["u"])] {
        let refused = app.anybody().post(FRONTEND, &json!({"event_type": "a", "user_id": id})).await;
        assert_eq!(problems(&refused), [("string_type".to_owned(), json!(["body", "user_id"]))]);
    }
}

#[tokio::test]
async fn the_time_of_a_wrong_clock_is_corrected_and_the_original_kept() {
    let app = TestApp::in_memory();
    let batch = json!({"batch": [{"type": "track", "event": "late", "userId": "u", "originalTimestamp": "2030-01-01T00:00:00Z"}], "sentAt": "2030-01-01T00:10:00Z"});
    sdk(&app, None).await.post("/v1/batch", &batch).await.succeeds();
    let found = newest(&app).await;
    assert_eq!(
        json!([found["timestamp"], found["metadata"]["original_timestamp"]]),
        json!(["2026-11-23T11:50:00.000000Z", "2030-01-01T00:00:00Z"])
    );
    let import = json!({"batch": [{"type": "track", "event": "old", "userId": "u", "timestamp": "1985-02-02T02:02:02Z"}], "sentAt": "2026-11-23T12:00:00Z"});
    sdk(&app, None).await.post("/v1/import", &import).await.succeeds();
    assert_eq!(events(&app, &json!({"event_type": "old"})).await[0]["timestamp"], "1985-02-02T02:02:02.000000Z");
    app.anybody().post(FRONTEND, &json!({"event_type": "nonsense", "timestamp": "yesterday"})).await.succeeds();
    let found = &events(&app, &json!({"event_type": "nonsense"})).await[0];
    assert_eq!(json!([found["timestamp"], found["metadata"]["original_timestamp"]]), json!(["2026-11-23T12:00:00.000000Z", "yesterday"]));
}

/// Scenario 6, BR-RS-002, BR-RS-004.
#[tokio::test]
async fn what_rudderstack_sends_becomes_an_event() {
    let app = TestApp::in_memory();
    let message = json!({
        "type": "track", "event": "button_clicked", "userId": "user_12345", "messageId": "m1", "properties": {"button_id": "checkout_btn"},
        "context": {"ip": "198.51.100.7", "userAgent": "Mozilla/5.0 (X11) Gecko Firefox", "campaign": {"name": "x"}, "sessionId": 77},
        "originalTimestamp": "2026-11-23T17:29:50+05:30",
    });
    let answer = app.anybody().post(RUDDERSTACK, &message).await.ok();
    assert_eq!(json!([answer["status"], answer["message"]]), json!(["accepted", "1 event accepted"]));
    let found = newest(&app).await;
    assert_eq!(
        json!([
            found["event_type"],
            found["event_source"],
            found["event_category"],
            found["user_id"],
            found["session_id"],
            found["timestamp"]
        ]),
        json!(["button_clicked", "frontend", "click", "user_12345", "77", "2026-11-23T11:59:50.000000Z"])
    );
    assert_eq!(json!([found["data"], found["context"]]), json!([message["properties"], message["context"]]));
    assert_eq!(
        json!([found["metadata"]["client_ip"], found["metadata"]["message_id"], found["metadata"]["call"]]),
        json!(["198.51.100.7", "m1", "track"])
    );
    for (message, expected) in [
        (json!({"type": "page", "name": "Home", "anonymousId": "a"}), json!(["Home", "page_view"])),
        (json!({"type": "page", "event": null, "anonymousId": "a"}), json!(["page", "page_view"])),
        (json!({"type": "screen", "anonymousId": "a"}), json!(["screen", "page_view"])),
        (json!({"type": "track", "event": "Contact Form Sent", "anonymousId": "a"}), json!(["Contact Form Sent", "form_submit"])),
        (json!({"type": "track", "event": "Order Completed", "anonymousId": "a"}), json!(["Order Completed", "user_action"])),
        (json!({"type": "identify", "traits": {"plan": "x"}, "userId": "u"}), json!(["identify", "user_lifecycle"])),
        (json!({"type": "group", "groupId": "g", "userId": "u"}), json!(["group", "user_action"])),
        (json!({"type": "alias", "previousId": "a", "userId": "u"}), json!(["alias", "user_action"])),
    ] {
        app.pass(1);
        app.anybody().post(RUDDERSTACK, &message).await.succeeds();
        let found = newest(&app).await;
        assert_eq!(json!([found["event_type"], found["event_category"]]), expected, "{message}");
    }
}

/// BR-RS-003.
#[tokio::test]
async fn an_anonymous_id_stands_in_for_a_user() {
    let app = TestApp::in_memory();
    app.anybody().post(RUDDERSTACK, &json!({"type": "page", "userId": "", "anonymousId": "anon-1"})).await.succeeds();
    let found = newest(&app).await;
    assert_eq!(json!([found["user_id"], found["metadata"]["anonymous_id"]]), json!(["anon-1", "anon-1"]));
    app.anybody().post(RUDDERSTACK, &json!({"type": "page", "message_id": "m2"})).await.succeeds();
}

/// BR-RS-005.
#[tokio::test]
async fn rudderstack_may_send_one_message_a_list_or_a_batch() {
    let app = TestApp::in_memory();
    let message = |id: &str| json!({"type": "track", "event": "e", "userId": "u", "messageId": id});
    for body in [message("1"), json!([message("2"), message("3")]), json!({"batch": [message("4"), {"event": "no type"}, message("1")]})] {
        app.anybody().post(RUDDERSTACK, &body).await.succeeds();
    }
    assert_eq!(total(&app.client().await).await, 4);
    assert_eq!(problems(&app.anybody().post(RUDDERSTACK, &json!({"event": "no type"})).await)[0].0, "missing");
    assert_eq!(problems(&app.anybody().post(RUDDERSTACK, &json!({"type": "dance"})).await)[0].0, "enum");
    assert_eq!(app.anybody().post_text(RUDDERSTACK, "7").await.status, 422);
}

/// BR-RS-001.
#[tokio::test]
async fn with_a_secret_rudderstack_must_show_it() {
    let mut app = TestApp::in_memory();
    app.app_mut().rudderstack = Some(WebhookSecret::from_text("rudder-secret".to_owned()).unwrap());
    let body = json!({"type": "page", "userId": "u"}).to_string();
    let client = app.anybody();
    let answer = async |headers: &[(&str, &str)]| {
        let builder =
            headers.iter().fold(client.request(Method::POST, RUDDERSTACK), |builder, (name, value)| builder.header(*name, *value));
        client.send(builder, Body::from(body.clone())).await.status.as_u16()
    };
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let signed_at = |secret: &str, seconds: i64| {
        let secret = WebhookSecret::from_text(secret.to_owned()).unwrap();
        let at = app.now().plus_micros(seconds * 1_000_000);
        let headers = shared::domain::signature::signature_headers(&[&secret], "msg_1", at, &body);
        let value = |name: &str| headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).unwrap().1.clone();
        (value("webhook-timestamp"), value("webhook-signature"), value("X-Event-Signature"))
    };
    let (timestamp, standard, plain) = signed_at("rudder-secret", 0);
    let (_, forged, forged_plain) = signed_at("another-secret", 0);
    // What somebody has kept, and sends again, is refused once it is old, however well it is signed.
    for (seconds, expected) in [(-301, 401), (-299, 200), (299, 200), (301, 401)] {
        let (timestamp, signature, _) = signed_at("rudder-secret", seconds);
        let headers = [("webhook-id", "msg_1"), ("webhook-timestamp", timestamp.as_str()), ("webhook-signature", signature.as_str())];
        assert_eq!(answer(&headers).await, expected, "{seconds}");
    }
    for (headers, expected) in [
        (vec![("x-signature", "rudder-secret")], 200),
        (vec![("x-signature", plain.as_str())], 200),
        (vec![("x-signature", plain.trim_start_matches("sha256="))], 200),
        (vec![("authorization", "Bearer rudder-secret")], 200),
        (vec![("authorization", basic("rudder-secret:").as_str())], 200),
        (vec![("authorization", basic("user:rudder-secret").as_str())], 200),
        (vec![("webhook-id", "msg_1"), ("webhook-timestamp", timestamp.as_str()), ("webhook-signature", standard.as_str())], 200),
        (vec![], 401),
        (vec![("x-signature", "")], 401),
        (vec![("x-signature", "rudder-secreT")], 401),
        (vec![("x-signature", forged_plain.as_str())], 401),
        (vec![("authorization", "Bearer x")], 401),
        (vec![("authorization", basic("user:x").as_str())], 401),
        (vec![("webhook-id", "msg_1"), ("webhook-timestamp", timestamp.as_str()), ("webhook-signature", forged.as_str())], 401),
        (vec![("webhook-id", "msg_1"), ("webhook-timestamp", "1"), ("webhook-signature", standard.as_str())], 401),
    ] {
        assert_eq!(answer(&headers).await, expected, "{headers:?}");
    }
    assert_eq!(total(&app.client().await).await, 9);
}

#[tokio::test]
async fn an_sdk_sends_with_a_key_that_may_collect_and_writes_into_its_organization() {
    let app = TestApp::in_memory();
    let client = sdk(&app, Some("org_1")).await;
    for call in ["track", "page", "screen", "identify", "group", "alias"] {
        let answer = client.post(&format!("/v1/{call}"), &json!({"anonymousId": "a", "messageId": format!("m-{call}")})).await.ok();
        assert_eq!(answer, json!({"success": true, "accepted": 1, "duplicates": 0, "rejected": []}), "{call}");
    }
    let batch = json!({"batch": [{"type": "page", "userId": "u", "messageId": "m-page", "anonymousId": "a"}, {"type": "page"}]});
    let answer = client.post("/v1/batch", &batch).await.ok();
    assert_eq!(json!([answer["accepted"], answer["duplicates"], answer["rejected"][0]["index"]]), json!([1, 1, 1]));
    assert_eq!(total(&app.client_of("org_1").await).await, 6);
    assert_eq!(total(&app.client_of("org_2").await).await, 0);
    let config = client.get("/sourceConfig/?writeKey=x").await.ok();
    assert_eq!(json!([config["source"]["enabled"], config["source"]["destinations"]]), json!([true, []]));
}

#[tokio::test]
async fn an_sdk_may_put_its_key_where_it_likes() {
    let app = TestApp::in_memory();
    let keyed = app.client_with(&[Scope::Collect], None).await;
    let head = keyed.request(Method::GET, "/").body(Body::Empty).unwrap();
    let key = head.headers()["x-api-key"].to_str().unwrap();
    let message = json!({"type": "page", "userId": "u"});
    app.anybody().post(&format!("/beacon/v1/batch?writeKey={key}"), &json!({"batch": [message]})).await.succeeds();
    app.anybody().post("/v1/batch", &json!({"batch": [message], "writeKey": key})).await.succeeds();
    app.client_that_presents("authorization", &format!("Bearer {key}")).post("/v1/page", &message).await.succeeds();
    let picture = app.anybody().get(&format!("/pixel/v1/track?writeKey={key}&event=Opened&anonymousId=a&properties.mail=7")).await;
    assert_eq!((picture.status.as_u16(), picture.header("content-type")), (200, Some("image/gif")));
    assert_eq!(total(&app.client().await).await, 4);
    let found = &events(&app, &json!({"event_type": "Opened"})).await[0];
    assert_eq!(json!([found["data"], found["user_id"]]), json!([{"mail": "7"}, "a"]));
}

#[tokio::test]
async fn a_key_that_is_wrong_or_may_not_collect_is_refused_and_nothing_is_kept() {
    let app = TestApp::in_memory();
    let message = json!({"type": "page", "userId": "u"});
    let nobody = app.anybody().post("/v1/page", &message).await;
    assert_eq!((nobody.status.as_u16(), &nobody.json()["detail"]), (401, &json!("Failed to read writeKey from header")));
    let wrong =
        app.client_that_presents("authorization", &format!("Basic {}", STANDARD.encode("evk_00:"))).post("/v1/page", &message).await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["detail"]), (401, &json!("Invalid write key")));
    let reader = app.client_with(&[Scope::Read, Scope::Admin], None).await;
    assert_eq!(reader.post("/v1/page", &message).await.status, 403);
    assert_eq!(app.anybody().post_text("/v1/batch", "nonsense").await.status, 422);
    assert_eq!(app.anybody().get("/sourceConfig").await.status, 401);
    assert_eq!(app.anybody().get("/pixel/v1/page?userId=u").await.status, 200);
    // A key that may collect may do nothing else.
    let collector = app.client_with(&[Scope::Collect], None).await;
    assert_eq!(collector.post("/api/v1/events/create", &json!({"event_type": "a"})).await.status, 403);
    assert_eq!(collector.post(QUERY, &json!({})).await.status, 403);
    let admin = app.client().await;
    assert_eq!(total(&admin).await, 0);
    assert_eq!(admin.get(REJECTED).await.ok()["rejected_events"], json!([]));
}

#[tokio::test]
async fn a_cloud_event_comes_in_any_of_three_modes_and_counts_once() {
    let app = TestApp::in_memory();
    let client = app.client_of("org_1").await;
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "subject": "order:42", "time": "2026-11-23T11:00:00Z",
        "tenant": "t1", "data": {"total": 9.5},
    });
    let structured = client.request(Method::POST, CLOUDEVENTS).header("content-type", "application/cloudevents+json; charset=utf-8");
    let first = client.send(structured, Body::from(event.to_string())).await.ok();
    let binary = client
        .request(Method::POST, CLOUDEVENTS)
        .header("content-type", "application/json")
        .header("ce-specversion", "1.0")
        .header("ce-id", "1")
        .header("ce-source", "/shop")
        .header("ce-type", "order.placed")
        .header("ce-subject", "order%3A42")
        .header("ce-time", "2026-11-23T11:00:00Z");
    let again = client.send(binary, Body::from(r#"{"total":9.5}"#)).await.ok();
    assert_eq!(json!([again["event_id"], again["duplicate"]]), json!([first["event_id"], true]));
    let other = json!({"specversion": "1.0", "id": "2", "source": "/shop", "type": "note", "data": "text"});
    let bad = json!({"specversion": "0.3", "id": "", "source": "/shop"});
    let batch = client.request(Method::POST, CLOUDEVENTS).header("content-type", "application/cloudevents-batch+json");
    let answer = client.send(batch, Body::from(json!([event, other, bad]).to_string())).await.ok();
    assert_eq!(json!([answer["processed_count"], answer["duplicate_count"], answer["rejected"][0]["index"]]), json!([2, 1, 2]));
    let stream = client.get("/api/v1/events/stream/order:42").await.ok();
    let found = &stream["events"][0];
    assert_eq!(
        json!([stream["version"], found["event_type"], found["data"], found["organization_id"]]),
        json!([1, "order.placed", {"total": 9.5}, "org_1"])
    );
    assert_eq!(found["context"]["cloudevent"]["tenant"], "t1");
    let text = client.request(Method::POST, CLOUDEVENTS).header("content-type", "text/xml").header("ce-specversion", "1.0");
    let text = text.header("ce-id", "3").header("ce-source", "/shop").header("ce-type", "xml");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"<a/>").unwrap();
    let text = text.header("content-encoding", "gzip").header("ce-data", "injected");
    client.send(text, Body::Binary(encoder.finish().unwrap())).await.succeeds();
    let found = client.post(QUERY, &json!({"event_type": "xml"})).await.ok();
    assert_eq!(found["events"][0]["data"], json!({"data": "<a/>"}));
    assert_eq!(app.anybody().post(CLOUDEVENTS, &event).await.status, 401);
    assert_eq!(problems(&client.post(CLOUDEVENTS, &json!(vec![json!({}); 1001])).await)[0].0, "too_long");
}

/// The distributed tracing extension of CloudEvents: the request's header is of whoever passes the event on.
#[tokio::test]
async fn a_cloud_event_is_part_of_the_trace_that_it_says_and_else_of_its_requests() {
    let app = TestApp::in_memory();
    let client = app.client_of("org_1").await;
    let trace = |digit: &str| format!("00-{}-{}-01", digit.repeat(32), digit.repeat(16));
    let event = |id: &str, own: Option<String>| json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "traced", "subject": format!("trace:{id}"), "data": {}, "traceparent": own});
    for (id, own, expected) in [("a", Some(trace("a")), trace("a")), ("b", None, trace("b")), ("c", Some("none".to_owned()), trace("b"))] {
        let request = client.request(Method::POST, CLOUDEVENTS).header("traceparent", trace("b"));
        let request = request.header("content-type", "application/cloudevents+json");
        client.send(request, Body::from(event(id, own).to_string())).await.succeeds();
        let stream = client.get(&format!("/api/v1/events/stream/trace:{id}")).await.ok();
        assert_eq!(stream["events"][0]["metadata"]["traceparent"], expected, "{id}");
    }
}

#[tokio::test]
async fn who_sends_cloud_events_may_ask_first() {
    let app = TestApp::in_memory();
    let client = app.anybody();
    let ask = client
        .request(Method::OPTIONS, CLOUDEVENTS)
        .header("webhook-request-origin", "eventemitter.example")
        .header("webhook-request-rate", "120");
    let answer = client.send(ask, Body::Empty).await;
    assert_eq!(
        (answer.header("webhook-allowed-origin"), answer.header("webhook-allowed-rate"), answer.header("allow")),
        (Some("eventemitter.example"), Some("*"), Some("POST, OPTIONS"))
    );
}

#[tokio::test]
async fn a_browser_is_told_that_a_page_may_send_if_it_may() {
    let mut app = TestApp::in_memory();
    let preflight = async |app: &TestApp, origin: &str| {
        let client = app.anybody();
        let ask = client
            .request(Method::OPTIONS, "/v1/track")
            .header("origin", origin)
            .header("access-control-request-headers", "anonymousid,authorization,sentat");
        client.send(ask, Body::Empty).await
    };
    let answer = preflight(&app, "https://shop.example").await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("access-control-allow-origin"),
            answer.header("access-control-allow-headers"),
            answer.header("access-control-max-age")
        ),
        (204, Some("*"), Some("anonymousid,authorization,sentat"), Some("86400"))
    );
    app.app_mut().collect.origins = AllowedOrigins::Only(vec!["https://shop.example".to_owned()]);
    assert_eq!(preflight(&app, "https://shop.example").await.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(preflight(&app, "https://evil.example").await.header("access-control-allow-origin"), None);
    // Failures too: else a page cannot tell them from a broken network.
    let client = app.anybody();
    let failed = client.send(client.request(Method::POST, "/v1/track").header("origin", "https://shop.example"), Body::from("{}")).await;
    assert_eq!((failed.status.as_u16(), failed.header("access-control-allow-origin")), (401, Some("https://shop.example")));
}

#[tokio::test]
async fn a_picture_is_a_picture_whatever_is_wrong() {
    let app = TestApp::in_memory();
    for query in ["", "?event_type=mail.opened&user_id=u1&mail=7", "?event_type=", "?data=%ff", "?user_id=%00", "?data=W10="] {
        let answer = app.anybody().get(&format!("{PIXEL}{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("image/gif")), "{query}");
    }
    let found = &events(&app, &json!({"event_type": "mail.opened"})).await[0];
    assert_eq!(json!([found["user_id"], found["data"]]), json!(["u1", {"mail": "7"}]));
}

#[tokio::test]
async fn a_body_may_be_packed_and_repaired_and_says_so() {
    let app = TestApp::in_memory();
    let client = app.anybody();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(br#"{"event_type":"packed","data":{"text":"half \ud83d and nul \u0000"}}"#).unwrap();
    let packed = encoder.finish().unwrap();
    client
        .send(client.request(Method::POST, FRONTEND).header("content-type", "application/x-www-form-urlencoded"), Body::Binary(packed))
        .await
        .succeeds();
    let found = newest(&app).await;
    assert_eq!(json!([found["data"]["text"], found["metadata"]["repaired"]]), json!(["half \u{fffd} and nul \u{fffd}", true]));
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_it_is_said_which() {
    let app = TestApp::in_memory();
    let large = json!({"event_type": "large", "data": {"text": "x".repeat(33 * 1024)}});
    let answer = app.anybody().post(FRONTEND, &large).await;
    assert_eq!((answer.status.as_u16(), answer.json()["detail"].as_str().unwrap().starts_with("the event has 3")), (413, true));
    let batch = app.anybody().post(FRONTEND_BATCH, &json!({"events": [large, {"event_type": "small"}]})).await.ok();
    assert_eq!(
        json!([batch["processed_count"], batch["rejected"][0]["index"], batch["rejected"][0]["reason"]]),
        json!([1, 0, "too_large"])
    );
    let huge = json!({"events": [{"event_type": "huge", "data": {"text": "x".repeat(513 * 1024)}}]});
    let answer = app.anybody().post(FRONTEND_BATCH, &huge).await;
    assert_eq!((answer.status.as_u16(), answer.json()["detail"].as_str().unwrap().starts_with("the request has more than")), (413, true));
}

#[tokio::test]
async fn privacy_is_kept_as_the_operator_says() {
    for (policy, expected) in
        [(IpPolicy::Keep, json!("203.0.113.77")), (IpPolicy::Truncate, json!("203.0.113.0")), (IpPolicy::Drop, Value::Null)]
    {
        let mut app = TestApp::in_memory();
        app.app_mut().collect.ip = policy;
        send_from(&app, "203.0.113.77", &[], FRONTEND, &json!({"event_type": "a"})).await.succeeds();
        assert_eq!(newest(&app).await["metadata"]["client_ip"], expected);
    }
    let event = json!({"event_type": "a", "user_id": "u", "session_id": "s", "context": {"email": "x"}, "metadata": {"name": "n"}});
    for (policy, header, kept) in [
        (DoNotTrack::Keep, ("dnt", "1"), json!(["u", {"email": "x"}, true, "n"])),
        (DoNotTrack::Anonymize, ("sec-gpc", "1"), json!([null, {}, true, null])),
        (DoNotTrack::Anonymize, ("dnt", "0"), json!(["u", {"email": "x"}, null, "n"])),
    ] {
        let mut app = TestApp::in_memory();
        app.app_mut().collect.do_not_track = policy;
        send_from(&app, "203.0.113.77", &[header], FRONTEND, &event).await.succeeds();
        let found = newest(&app).await;
        assert_eq!(
            json!([found["user_id"], found["context"], found["metadata"]["do_not_track"], found["metadata"]["name"]]),
            kept,
            "{policy:?}"
        );
        assert_eq!(found["metadata"]["client_ip"].is_null(), kept[0].is_null());
    }
    let mut app = TestApp::in_memory();
    app.app_mut().collect.do_not_track = DoNotTrack::Drop;
    let answer = send_from(&app, "203.0.113.77", &[("dnt", "1")], FRONTEND, &event).await.ok();
    assert_eq!(json!([answer["status"], answer["event_id"]]), json!(["accepted", null]));
    assert_eq!(total(&app.client().await).await, 0);
}

#[tokio::test]
async fn programs_that_crawl_are_marked() {
    let app = TestApp::in_memory();
    for (agent, bot) in [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", json!(true)),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", Value::Null),
    ] {
        send_from(&app, "203.0.113.7", &[("user-agent", agent)], FRONTEND, &json!({"event_type": "a"})).await.succeeds();
        assert_eq!(newest(&app).await["metadata"]["bot"], bot, "{agent}");
        app.pass(1);
    }
}

#[tokio::test]
async fn what_was_rejected_is_kept_with_its_reason_and_taken_in_once_it_is_mended() {
    let app = TestApp::in_memory();
    let client = sdk(&app, Some("org_1")).await;
    client.post("/v1/batch", &json!({"batch": [{"type": "track", "event": "Order", "properties": {"id": 1}}]})).await.succeeds();
    app.pass(1);
    app.anybody().post_text(FRONTEND, "{nonsense").await;
    let (own, other, admin) = (app.client_of("org_1").await, app.client_of("org_2").await, app.client().await);
    let all = admin.get(REJECTED).await.ok();
    let shown: Vec<Value> = all["rejected_events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| json!([event["collector"], event["reason"], event["organization_id"]]))
        .collect();
    assert_eq!(json!(shown), json!([["frontend", "invalid_json", null], ["analytics", "invalid_fields", "org_1"]]));
    assert_eq!(all["rejected_events"][0]["body"], "{nonsense");
    assert_eq!(other.get(REJECTED).await.ok()["rejected_events"], json!([]));
    let mine = own.get(REJECTED).await.ok();
    let id = mine["rejected_events"][0]["rejected_event_id"].as_str().unwrap();
    assert_eq!(mine["rejected_events"][0]["expires_at"], "2026-12-23T12:00:00.000000Z");
    let retry = format!("{REJECTED}/{id}/retry");
    assert_eq!(other.post(&retry, &json!({})).await.status, 404);
    assert_eq!(own.send(own.request(Method::POST, &retry), Body::Empty).await.status, 422);
    let mended = json!({"type": "track", "event": "Order", "userId": "u1", "properties": {"id": 1}});
    // Two who mend it at once, each in their way.
    let other_way = json!({"type": "track", "event": "Order", "userId": "u2", "messageId": "another"});
    let (one, two) = (own.post(&retry, &mended).await, own.post(&retry, &other_way).await);
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 404));
    let found = own.post(QUERY, &json!({})).await.ok();
    assert_eq!(json!([found["total"], found["events"][0]["metadata"]["received_at"]]), json!([1, "2026-11-23T12:00:00.000000Z"]));
    assert_eq!(own.post(&retry, &mended).await.status, 404);
    assert_eq!(own.get(REJECTED).await.ok()["rejected_events"], json!([]));
}

/// A queue that takes nothing.
struct NoQueue;

#[async_trait::async_trait]
impl QueueSender for NoQueue {
    async fn send(&self, queue: &Queue, _: &[Outgoing]) -> Result<(), QueueError> {
        Err(QueueError::Unavailable { queue: queue.to_string(), source: "down".into() })
    }
}

/// What waits in the queue is stored when the store answers again, in its order, once, under the ids that senders were told.
#[tokio::test]
async fn while_the_store_does_not_answer_events_wait_in_a_queue() {
    let mut app = TestApp::in_memory();
    let log = app.app.stores.log.clone();
    app.app_mut().stores.log = Arc::new(broken());
    let event = |number: usize| json!({"event_type": format!("e{number}"), "session_id": "s", "message_id": format!("m{number}")});
    let mut told = Vec::new();
    for number in 0..3 {
        let answer = app.anybody().post(FRONTEND, &event(number)).await.ok();
        assert_eq!(json!([answer["status"], answer["duplicate"]]), json!(["accepted", false]));
        told.push(answer["event_id"].as_str().unwrap().to_owned());
    }
    let anonymous = app.anybody().post(FRONTEND, &json!({"event_type": "nobody"})).await.ok();
    told.push(anonymous["event_id"].as_str().unwrap().to_owned());
    app.app_mut().stores.log = log;
    let queue = Queue::Work(WorkQueue::Collect);
    let mut messages = Vec::new();
    while let Ok(received) = app.queues.receive(&queue, 10, std::time::Duration::from_mins(1)).await {
        if received.is_empty() {
            break;
        }
        for message in &received {
            app.queues.remove(&queue, &message.receipt).await.unwrap();
        }
        messages.extend(received);
    }
    assert_eq!(messages.len(), 4);
    // Each comes twice.
    for message in messages.iter().chain(&messages) {
        shared::commands::collect_events::store_held(&app.app.storing(), serde_json::from_str(&message.body).unwrap()).await.unwrap();
    }
    let client = app.client().await;
    let stream = client.get("/api/v1/events/stream/session:s").await.ok();
    let types: Vec<&str> = stream["events"].as_array().unwrap().iter().map(|event| event["event_type"].as_str().unwrap()).collect();
    assert_eq!(types, ["e0", "e1", "e2"]);
    for id in &told {
        assert_eq!(client.get(&format!("/api/v1/events/{id}")).await.ok()["event_id"], id.as_str());
    }
    assert_eq!(total(&client).await, 4);
    let again = app.anybody().post(FRONTEND, &event(1)).await.ok();
    assert_eq!(json!([again["event_id"], again["duplicate"]]), json!([told[1], true]));
}

#[tokio::test]
async fn without_store_and_queue_a_sender_is_asked_to_send_again() {
    let mut app = TestApp::in_memory();
    app.app_mut().stores.log = Arc::new(broken());
    app.app_mut().queues = Arc::new(NoQueue);
    let answer = app.anybody().post(FRONTEND, &json!({"event_type": "a"})).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("5")));
    assert_eq!(answer.json()["type"], "/docs#problem-too-many-requests");
}

/// Any JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(vec!["", "\0", "2026-11-23T12:00:00Z", "0001-01-01", "9999-12-31T23:59:59Z", "order:1", "track", "1.0"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..5).prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

/// Objects with the fields that collectors know, where some hold what they must not.
fn almost_an_item() -> impl Strategy<Value = Value> {
    let names = vec![
        "event_type",
        "category",
        "page_url",
        "user_id",
        "session_id",
        "data",
        "metadata",
        "timestamp",
        "message_id",
        "type",
        "event",
        "name",
        "userId",
        "anonymousId",
        "messageId",
        "properties",
        "traits",
        "context",
        "originalTimestamp",
        "sentAt",
        "receivedAt",
        "channel",
        "specversion",
        "id",
        "source",
        "subject",
        "time",
        "data_base64",
        "batch",
        "events",
        "writeKey",
    ];
    prop::collection::btree_map(prop::sample::select(names), any_json(), 0..9)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        "[\\[\\]{}\",:0-9a-z\\\\u]{0,64}".prop_map(String::into_bytes),
        any_json().prop_map(|json| json.to_string().into_bytes()),
        almost_an_item().prop_map(|json| json.to_string().into_bytes()),
        prop::collection::vec(almost_an_item(), 0..4).prop_map(|list| json!({"events": list, "batch": list}).to_string().into_bytes()),
        prop::collection::vec(almost_an_item(), 0..4).prop_map(|list| Value::from(list).to_string().into_bytes()),
    ]
}

#[test]
fn nothing_that_is_sent_to_a_collector_is_answered_with_a_failure_of_ours() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = TestApp::in_memory();
    let writer = runtime.block_on(app.client());
    let strategy = (
        prop::sample::select(vec![
            FRONTEND,
            FRONTEND_BATCH,
            RUDDERSTACK,
            CLOUDEVENTS,
            "/v1/track",
            "/v1/batch",
            "/v1/import",
            "/beacon/v1/batch",
        ]),
        prop::sample::select(vec!["", "gzip", "br", "deflate", "application/cloudevents+json", "application/cloudevents-batch+json", "ce"]),
        any_body(),
    );
    let config = ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&strategy, |(path, header, body)| {
            let builder = writer.request(Method::POST, path);
            let builder = match header {
                "" => builder,
                "ce" => builder.header("ce-specversion", "1.0").header("ce-id", "1").header("ce-source", "s").header("ce-type", "t"),
                encoding if !encoding.contains('/') => builder.header("content-encoding", encoding),
                content => builder.header("content-type", content),
            };
            let answer = runtime.block_on(writer.send(builder, Body::Binary(body)));
            prop_assert!(answer.status.as_u16() < 500, "{path}: {answer}");
            let json: Value = serde_json::from_str(&answer.text).unwrap();
            prop_assert!(json.is_object());
            Ok(())
        })
        .unwrap();
}
