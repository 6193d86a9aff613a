//! `/api/v1/events/subscriptions`: makes, lists, changes and deletes subscriptions, and sends to them again.

use event_service_tests::app::{Answer, Client, TestApp};
use insta::assert_snapshot;
use lambda_http::Body;
use serde_json::{Value, json};
use shared::adapters::memory::MemoryWebhooks;
use shared::domain::delivery::{Delivery, DeliveryId, DeliveryState, Lane};
use shared::domain::queue::{Queue, WorkQueue};
use shared::domain::subscription::Health;
use shared::domain::version::Version;
use shared::domain::work::StreamRef;
use shared::ports::definition_store::Freshness;
use shared::ports::queue::QueueReceiver as _;
use shared::ports::revision::Revision;
use shared::ports::webhook_sender::SendError;
use shared::testing::builders;

use super::{CREATE, SUBSCRIPTIONS, problems};

const ADDRESS: &str = "https://receiver.example/hook";

/// The delivery to a subscription of an event that was recorded so many seconds after noon.
pub(super) fn delivery(subscription: &str, seconds: u64, state: DeliveryState) -> Delivery {
    let built = builders::delivery(seconds);
    let id = DeliveryId::of(subscription, built.event_id);
    Delivery { id, subscription: subscription.parse().unwrap(), state, due_at: None, next_attempt_at: None, ..built }
}

pub(super) async fn keep_delivery(app: &TestApp, delivery: &Delivery) {
    assert!(app.app.stores.deliveries.save_delivery(delivery, Revision(0)).await.unwrap());
}

async fn kept(app: &TestApp, delivery: &Delivery) -> Delivery {
    app.app.stores.deliveries.delivery(&delivery.subscription, &delivery.id).await.unwrap().0.unwrap()
}

/// The bodies of the messages in a queue, oldest first.
pub(super) async fn messages(app: &TestApp, queue: WorkQueue) -> Vec<Value> {
    let queue = Queue::Work(queue);
    let mut bodies = Vec::new();
    loop {
        let received = app.queues.receive(&queue, 10, std::time::Duration::from_mins(1)).await.unwrap();
        if received.is_empty() {
            return bodies;
        }
        for message in received {
            bodies.push(serde_json::from_str(&message.body).unwrap());
            app.queues.remove(&queue, &message.receipt).await.unwrap();
        }
    }
}

fn path(subscription: &Value) -> String {
    format!("{SUBSCRIPTIONS}/{}", subscription["subscription_id"].as_str().unwrap())
}

async fn make(client: &Client<'_>, more: Value) -> Value {
    let mut body = json!({"event_types": ["order.*"], "callback_url": ADDRESS});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post(SUBSCRIPTIONS, &body).await.ok()
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|subscription| subscription["subscription_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_subscription_needs_types_and_gets_defaults_for_the_rest() {
    let app = TestApp::in_memory();
    assert_snapshot!(app.client().await.post(SUBSCRIPTIONS, &json!({"event_types": ["user.created", "user.*"]})).await);
}

/// BR-SUB-006.
#[tokio::test]
async fn a_secret_is_shown_in_the_answer_that_set_it_and_never_again() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({})).await;
    let generated = made["webhook_secret"].as_str().unwrap().to_owned();
    assert!(generated.starts_with("whsec_") && generated.len() > 40, "{generated}");
    let given = make(&client, json!({"webhook_secret": "a-secret-of-my-own-1", "subscriber_name": "b"})).await;
    assert_eq!(given["webhook_secret"], "a-secret-of-my-own-1");
    let (one, other) = (path(&made), path(&given));
    let rotated = client.post(&format!("{one}/rotate-secret"), &json!({})).await.ok()["webhook_secret"].as_str().unwrap().to_owned();
    assert_ne!(rotated, generated);
    let secrets = [generated.as_str(), "a-secret-of-my-own-1", &rotated];
    let hides = |answer: &Answer| secrets.iter().all(|secret| !answer.text.contains(secret));
    let answers = [
        client.get(SUBSCRIPTIONS).await,
        client.get(&one).await,
        client.patch(&one, &json!({"rate_limit": 5})).await,
        client.post(SUBSCRIPTIONS, &json!({"event_types": ["order.*"], "callback_url": ADDRESS})).await,
        client.get(&format!("{one}/deliveries")).await,
        client.post(&format!("{one}/test"), &json!({})).await,
        client.patch(&other, &json!({"webhook_secret": "a-secret-of-my-own-1\u{7}"})).await,
        client.post(SUBSCRIPTIONS, &json!({"webhook_secret": "a-secret-of-my-own-1"})).await,
        client.delete(&other).await,
    ];
    for answer in &answers {
        assert!(hides(answer), "{answer}");
    }
    assert!(answers[1].ok()["webhook_secret"].as_str().unwrap().contains('…'), "{}", answers[1]);
    let definitions = app.app.stores.definitions.definitions(Freshness::Current).await.unwrap();
    let shown = format!("{definitions:?}");
    assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
}

/// BR-SUB-006.
#[tokio::test]
async fn what_is_sent_is_signed_with_the_secret_and_with_the_one_before_while_that_lasts() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = path(&make(&client, json!({})).await);
    let signatures = async || {
        client.post(&format!("{made}/test"), &json!({})).await.succeeds();
        let sent = app.webhooks.sent().pop().unwrap();
        let header = sent.headers.iter().find(|(name, _)| name == "webhook-signature").unwrap();
        header.1.split(' ').count()
    };
    assert_eq!(signatures().await, 1);
    client.post(&format!("{made}/rotate-secret"), &json!({"overlap_seconds": 60})).await.succeeds();
    assert_eq!(signatures().await, 2);
    app.pass(60);
    assert_eq!(signatures().await, 1);
    let own = json!({"webhook_secret": "a-secret-of-my-own", "overlap_seconds": 0});
    for _ in 0..2 {
        let rotated = client.post(&format!("{made}/rotate-secret"), &own).await.ok();
        assert_eq!((&rotated["webhook_secret"], signatures().await), (&json!("a-secret-of-my-own"), 1));
    }
}

/// BR-SUB-002.
#[tokio::test]
async fn a_subscription_without_a_type_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (body, kind) in [(json!({}), "missing"), (json!({"event_types": []}), "too_short"), (json!({"event_types": null}), "missing")] {
        assert_eq!(problems(&client.post(SUBSCRIPTIONS, &body).await), [(kind.to_owned(), json!(["body", "event_types"]))]);
    }
    let made = path(&make(&client, json!({})).await);
    assert_eq!(client.patch(&made, &json!({"event_types": []})).await.status, 422);
    assert_eq!(client.get(&made).await.ok()["event_types"], json!(["order.*"]));
}

/// BR-SUB-003.
#[tokio::test]
async fn a_webhook_without_an_address_is_refused_also_after_a_change() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    assert_snapshot!(client.post(SUBSCRIPTIONS, &json!({"event_types": ["a"], "subscriber_type": "webhook"})).await);
    let made = path(&make(&client, json!({"subscriber_type": "webhook"})).await);
    let expected = [("value_error".to_owned(), json!(["body", "callback_url"]))];
    assert_eq!(problems(&client.patch(&made, &json!({"callback_url": null})).await), expected);
    let service = path(&client.post(SUBSCRIPTIONS, &json!({"event_types": ["a"]})).await.ok());
    assert_eq!(problems(&client.patch(&service, &json!({"subscriber_type": "webhook"})).await), expected);
    client.patch(&made, &json!({"callback_url": null, "subscriber_type": "service"})).await.succeeds();
}

#[tokio::test]
async fn an_address_within_a_network_is_refused_and_one_that_is_not_there_yet_is_taken() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for url in
        ["http://127.0.0.1/x", "http://10.0.0.1", "http://169.254.169.254/latest/meta-data", "http://localhost:8080", "http://[::1]/"]
    {
        let answer = client.post(SUBSCRIPTIONS, &json!({"event_types": ["a"], "callback_url": url})).await;
        assert_eq!(problems(&answer), [("value_error".to_owned(), json!(["body", "callback_url"]))], "{url}");
    }
    let made = make(&client, json!({"callback_url": "https://later.invalid/hook"})).await;
    assert_eq!(client.patch(&path(&made), &json!({"callback_url": "http://10.0.0.1"})).await.status, 422);
    assert_eq!(ids(&client.get(SUBSCRIPTIONS).await.ok()).len(), 1);
    assert!(app.webhooks.sent().is_empty(), "nothing was called");
}

/// BR-SUB-001.
#[tokio::test]
async fn an_id_names_one_subscription_and_making_it_again_replaces_it() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({"subscription_id": "s1", "rate_limit": 5, "webhook_secret": "secret-one"})).await;
    app.pass(10);
    let again = make(&client, json!({"subscription_id": "s1", "event_types": ["x"], "enabled": false})).await;
    assert_eq!(json!([again["event_types"], again["rate_limit"], again["enabled"]]), json!([["x"], null, false]));
    assert_eq!(again["created_at"], made["created_at"]);
    assert_ne!(again["updated_at"], made["updated_at"]);
    assert_ne!(again["webhook_secret"], "secret-one", "it was not set by this request");
    assert_eq!(ids(&client.get(SUBSCRIPTIONS).await.ok()), ["s1"]);
    let bound = app.client_of("org_1").await;
    let taken = bound.post(SUBSCRIPTIONS, &json!({"event_types": ["a"], "subscription_id": "s1"})).await;
    assert_snapshot!(taken);
    let moved = client.post(SUBSCRIPTIONS, &json!({"event_types": ["a"], "subscription_id": "s1", "organization_id": "org_1"})).await;
    assert_eq!(moved, taken);
}

#[tokio::test]
async fn the_very_same_registration_again_is_the_same_subscription_and_anything_else_is_another() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let body = json!({"subscriber_name": "crm", "event_types": ["a", "b"], "callback_url": ADDRESS});
    let first = client.post(SUBSCRIPTIONS, &body).await.ok();
    app.pass(10);
    let same = client.post(SUBSCRIPTIONS, &body).await.ok();
    assert_eq!((&same["subscription_id"], &same["updated_at"]), (&first["subscription_id"], &first["updated_at"]));
    let mut more = body.clone();
    more["webhook_secret"] = json!("another-secret");
    more["retry_policy"] = json!({"max_retries": 1});
    let updated = client.post(SUBSCRIPTIONS, &more).await.ok();
    assert_eq!(updated["subscription_id"], first["subscription_id"]);
    assert_eq!(json!([updated["webhook_secret"], updated["retry_policy"]]), json!(["another-secret", {"max_retries": 1}]));
    for (field, value) in [
        ("subscriber_name", json!("erp")),
        ("subscriber_type", json!("webhook")),
        ("event_types", json!(["a"])),
        ("event_sources", json!(["backend"])),
        ("event_categories", json!(["order"])),
        ("callback_url", json!("https://receiver.example/other")),
    ] {
        let mut other = body.clone();
        other[field] = value;
        assert_ne!(client.post(SUBSCRIPTIONS, &other).await.ok()["subscription_id"], first["subscription_id"], "{field}");
    }
    assert_eq!(ids(&client.get(SUBSCRIPTIONS).await.ok()).len(), 7);
}

#[tokio::test]
async fn a_change_concerns_what_it_names() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({"rate_limit": 5, "event_sources": ["backend"], "ordering": "stream", "delivery_log": "all"})).await;
    let before = client.get(&path(&made)).await.ok();
    app.pass(10);
    assert_snapshot!(client.patch(&path(&made), &json!({"rate_limit": null, "event_sources": null, "event_types": ["x.*"]})).await);
    let after = client.get(&path(&made)).await.ok();
    for (name, value) in before.as_object().unwrap() {
        let changes = ["rate_limit", "event_sources", "event_types", "updated_at"].contains(&name.as_str());
        assert_eq!(after[name] != *value, changes, "{name}");
    }
    app.pass(10);
    assert_eq!(client.patch(&path(&made), &json!({"rate_limit": null})).await.ok()["updated_at"], after["updated_at"]);
    let sent_back = client.patch(&path(&made), &after).await.ok();
    assert_eq!((&sent_back["webhook_secret"], &sent_back["updated_at"]), (&after["webhook_secret"], &after["updated_at"]));
}

#[tokio::test]
async fn one_that_is_enabled_again_or_moves_begins_anew() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({"subscription_id": "s1"})).await;
    let id = "s1".parse().unwrap();
    for change in [json!({"enabled": true}), json!({"callback_url": "https://receiver.example/2"})] {
        let (_, revision) = app.app.stores.deliveries.health(&id).await.unwrap();
        let failing = Health { failures: 12, failing_since: Some(app.now()), open_until: Some(app.now()), ..Health::default() };
        assert!(app.app.stores.deliveries.save_health(&id, &failing, revision).await.unwrap());
        if change.get("enabled").is_some() {
            client.patch(&path(&made), &json!({"enabled": false})).await.succeeds();
        }
        assert_eq!(client.get(&path(&made)).await.ok()["health"]["consecutive_failures"], 12);
        app.pass(10);
        client.patch(&path(&made), &change).await.succeeds();
        let definitions = app.app.stores.definitions.definitions(Freshness::Current).await.unwrap();
        let subscription = definitions.subscription(&id).unwrap();
        // What waits is sent to the new address, and nothing of the time while it was disabled.
        let active_since = if change.get("enabled").is_some() { app.now() } else { subscription.active_since };
        assert_eq!((subscription.active_since, subscription.disabled_because), (active_since, None));
        assert_eq!(client.get(&path(&made)).await.ok()["health"]["consecutive_failures"], 0, "{change}");
    }
}

#[tokio::test]
async fn a_subscription_is_read_with_its_health_and_gone_once_it_is_deleted() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({"subscription_id": "s1"})).await;
    assert_snapshot!(client.get(&path(&made)).await);
    assert_eq!(client.delete(&path(&made)).await.ok(), json!({"status": "deleted", "subscription_id": "s1"}));
    let gone = client.get(&path(&made)).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["detail"]), (404, &json!("Subscription not found")));
    assert_eq!(client.delete(&path(&made)).await, gone);
    assert_eq!(client.patch(&path(&made), &json!({})).await, gone);
    assert_eq!(client.get(&format!("{SUBSCRIPTIONS}/%00")).await, gone);
    assert_eq!(client.get(SUBSCRIPTIONS).await.ok(), json!([]));
}

#[tokio::test]
async fn all_problems_of_a_subscription_are_reported_together() {
    let app = TestApp::in_memory();
    let body = json!({
        "event_types": ["", 5], "event_sources": ["nowhere"], "event_categories": "order", "callback_url": "nowhere", "webhook_secret": "x",
        "enabled": "perhaps", "retry_policy": {"max_retries": -1}, "ordering": "x", "rate_limit": 0, "delivery_log": 1,
        "subscriber_name": 5,
    });
    let client = app.client().await;
    assert_snapshot!(client.post(SUBSCRIPTIONS, &body).await);
    let large = json!({"event_types": ["a"], "unknown": "x".repeat(70_000)});
    assert_eq!(client.post(SUBSCRIPTIONS, &large).await.status, 413);
    assert_eq!(client.get(SUBSCRIPTIONS).await.ok(), json!([]));
}

#[tokio::test]
async fn deliveries_are_listed_newest_event_first_and_in_pages() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({"subscription_id": "s1"})).await;
    let list = |query: &str| format!("{}/deliveries?{query}", path(&made));
    for (seconds, state) in
        [(0, DeliveryState::Failed), (1, DeliveryState::Retrying), (2, DeliveryState::Delivered), (3, DeliveryState::Failed)]
    {
        keep_delivery(&app, &delivery("s1", seconds, state)).await;
    }
    keep_delivery(&app, &delivery("s2", 4, DeliveryState::Failed)).await;
    assert_snapshot!(client.get(&list("limit=1")).await);
    let states = |answer: Value| -> Vec<String> {
        answer["deliveries"].as_array().unwrap().iter().map(|delivery| delivery["status"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(states(client.get(&list("")).await.ok()), ["failed", "delivered", "retrying", "failed"]);
    assert_eq!(states(client.get(&list("status=failed")).await.ok()), ["failed", "failed"]);
    assert_eq!(states(client.get(&list("since=2026-11-23T12:00:02Z")).await.ok()), ["failed", "delivered"]);
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = client.get(&list(&format!("limit=1&cursor={cursor}"))).await.ok();
        seen.extend(states(page.clone()));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["failed", "delivered", "retrying", "failed"]);
    assert_eq!(client.get(&list("cursor=x&status=lost")).await.status, 422);
}

#[tokio::test]
async fn a_delivery_is_sent_again_whatever_became_of_it() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({"subscription_id": "s1"})).await;
    for (seconds, state) in
        [(0, DeliveryState::Failed), (1, DeliveryState::Delivered), (2, DeliveryState::Canceled), (3, DeliveryState::Retrying)]
    {
        let before = delivery("s1", seconds, state);
        keep_delivery(&app, &before).await;
        let answer = client.post(&format!("{}/deliveries/{}/resend", path(&made), before.id), &json!({})).await;
        assert_eq!(answer.ok(), json!({"status": "queued", "delivery_id": before.id}));
        let after = kept(&app, &before).await;
        assert_eq!((after.state, after.round, after.attempt_count), (DeliveryState::Retrying, 0, 1));
        let sent = messages(&app, WorkQueue::Deliver).await;
        let work = &sent[0]["deliveries"][0];
        assert_eq!(json!([sent.len(), work["attempt"], work["resend"], work["delivery_id"]]), json!([1, 1, true, before.id]));
    }
    for id in [format!("msg_{}", "0".repeat(40)), "nonsense".to_owned()] {
        let answer = client.post(&format!("{}/deliveries/{id}/resend", path(&made)), &json!({})).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["detail"]), (404, &json!("Delivery not found")));
    }
    client.patch(&path(&made), &json!({"enabled": false})).await.succeeds();
    let id = delivery("s1", 0, DeliveryState::Failed).id;
    assert_snapshot!(client.post(&format!("{}/deliveries/{id}/resend", path(&made)), &json!({})).await);
    assert!(messages(&app, WorkQueue::Deliver).await.is_empty());
}

#[tokio::test]
async fn what_failed_is_recovered() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({"subscription_id": "s1"})).await;
    let recover = format!("{}/recover", path(&made));
    let states = [DeliveryState::Failed, DeliveryState::Canceled, DeliveryState::Delivered, DeliveryState::Failed];
    for (seconds, state) in (0..).zip(states) {
        keep_delivery(&app, &delivery("s1", seconds, state)).await;
    }
    let since = "2026-11-23T12:00:01Z";
    let dry = client.post(&recover, &json!({"since": since, "dry_run": true})).await.ok();
    assert_eq!(dry, json!({"status": "dry_run", "count": 2, "has_more": false, "next_cursor": null}));
    assert!(messages(&app, WorkQueue::Deliver).await.is_empty(), "nothing is sent");
    assert_eq!(kept(&app, &delivery("s1", 3, states[3])).await.state, DeliveryState::Failed);
    let done = client.post(&recover, &json!({"since": since})).await.ok();
    assert_eq!(json!([done["status"], done["count"]]), json!(["queued", 2]));
    let sent = messages(&app, WorkQueue::Deliver).await;
    assert_eq!(sent[0]["deliveries"].as_array().unwrap().len(), 2);
    assert_eq!(kept(&app, &delivery("s1", 3, states[3])).await.state, DeliveryState::Retrying);
    assert_eq!(kept(&app, &delivery("s1", 0, states[0])).await.state, DeliveryState::Failed, "it is older");
    assert_eq!(problems(&client.post(&recover, &json!({})).await), [("missing".to_owned(), json!(["body", "since"]))]);
    keep_delivery(&app, &delivery("s1", 9, DeliveryState::Failed)).await;
    client.patch(&path(&made), &json!({"enabled": false})).await.succeeds();
    assert_eq!(client.post(&recover, &json!({"since": since})).await.status, 409);
    assert_eq!(client.post(&recover, &json!({"since": since, "dry_run": true})).await.ok()["count"], 1);
}

#[tokio::test]
async fn everything_that_was_missed_is_recovered_in_any_order_or_by_streams() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let create = async |stream: &str, event_type: &str, organization: &str| {
        app.pass(1);
        let event = json!({"event_type": event_type, "stream_id": stream, "organization_id": organization});
        client.post(CREATE, &event).await.ok()
    };
    create("order:1", "order.placed", "org_1").await;
    let since = app.now().plus_micros(500_000).to_string();
    create("order:1", "order.paid", "org_1").await;
    create("order:2", "order.placed", "org_1").await;
    create("order:2", "user.created", "org_1").await;
    create("order:3", "order.placed", "org_2").await;
    create("order:1", "order.sent", "org_1").await;
    app.pass(3600);
    let all = json!({"since": since, "scope": "all"});

    make(&client, json!({"subscription_id": "s1", "organization_id": "org_1"})).await;
    let done = client.post(&format!("{SUBSCRIPTIONS}/s1/recover"), &all).await.ok();
    assert_eq!(json!([done["count"], done["has_more"]]), json!([3, false]));
    let sent = messages(&app, WorkQueue::Deliver).await;
    let places: Vec<Value> =
        sent[0]["deliveries"].as_array().unwrap().iter().map(|work| json!([work["stream_id"], work["commit"], work["resend"]])).collect();
    assert_eq!(places.len(), 3);
    for place in [json!(["order:1", 2, true]), json!(["order:2", 1, true]), json!(["order:1", 3, true])] {
        assert!(places.contains(&place), "{place} {places:?}");
    }

    make(&client, json!({"subscription_id": "s2", "organization_id": "org_1", "ordering": "stream"})).await;
    let stream: StreamRef = serde_json::from_value(json!({"organization": "org_1", "stream_id": "order:1"})).unwrap();
    let id = "s2".parse().unwrap();
    let lane = Lane { sent: Version::new(3), leased_until: None, waits_until: Some(app.now()), waits_since: None };
    assert!(app.app.stores.deliveries.save_lane(&id, &stream, &lane, Revision(0)).await.unwrap());
    let done = client.post(&format!("{SUBSCRIPTIONS}/s2/recover"), &all).await.ok();
    assert_eq!(done["count"], 3);
    let (lane, _) = app.app.stores.deliveries.lane(&id, &stream).await.unwrap();
    assert_eq!(lane, Some(Lane { sent: Version::new(1), ..Lane::default() }));
    let sent = messages(&app, WorkQueue::Deliver).await;
    let streams: Vec<Value> = sent.iter().map(|work| json!([work["kind"], work["stream_id"], work["through"]])).collect();
    assert_eq!(json!(streams), json!([["stream", "order:1", 3], ["stream", "order:2", 1]]));
    let definitions = app.app.stores.definitions.definitions(Freshness::Current).await.unwrap();
    assert!(definitions.subscription(&id).unwrap().active_since.to_string() == since, "what was recorded before is sent too");
}

#[tokio::test]
async fn a_test_says_what_the_receiver_says() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({"subscription_id": "s1", "enabled": false})).await;
    let test = format!("{}/test", path(&made));
    assert_snapshot!(client.post(&test, &json!({})).await);
    let url = ADDRESS.parse().unwrap();
    app.webhooks.next(&url, Ok(MemoryWebhooks::status(500)));
    app.webhooks.next(&url, Err(SendError::Unresolved));
    let failed = client.post_text(&test, Body::Empty).await.ok();
    assert_eq!(json!([failed["delivered"], failed["status_code"], failed["error"]]), json!([false, 500, null]));
    let failed = client.post(&test, &json!({})).await.ok();
    assert_eq!(json!([failed["delivered"], failed["status_code"], failed["error"]]), json!([false, null, "the host cannot be found"]));
    let sent = app.webhooks.sent();
    let body: Value = serde_json::from_str(&sent[0].body).unwrap();
    assert_eq!(json!([body["type"], body["data"]["subscription_id"]]), json!(["webhook.test", "s1"]));
    let id = |index: usize| sent[index].headers.iter().find(|(name, _)| name == "webhook-id").unwrap().1.clone();
    assert_ne!(id(0), id(1));
    let declared = client.post(SUBSCRIPTIONS, &json!({"event_types": ["a"]})).await.ok();
    assert_eq!(client.post(&format!("{}/test", path(&declared)), &json!({})).await.status, 409);
    let listed = client.get(&format!("{}/deliveries", path(&made))).await.ok();
    assert_eq!((&listed["deliveries"], &listed["last_success_at"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_bound_administrator_manages_the_subscriptions_of_its_organization_only() {
    let app = TestApp::in_memory();
    let platform = app.client().await;
    let bound = app.client_of("org_1").await;
    let own = make(&bound, json!({})).await;
    assert_eq!(own["organization_id"], "org_1");
    let foreign = make(&platform, json!({"organization_id": "org_2", "subscription_id": "foreign"})).await;
    let unbound = make(&platform, json!({"subscription_id": "unbound"})).await;
    assert_eq!(ids(&bound.get(SUBSCRIPTIONS).await.ok()), [own["subscription_id"].as_str().unwrap()]);
    assert_eq!(ids(&platform.get(SUBSCRIPTIONS).await.ok()).len(), 3);
    let unknown = bound.get(&format!("{SUBSCRIPTIONS}/nowhere")).await;
    for other in [&foreign, &unbound] {
        let failed = delivery(other["subscription_id"].as_str().unwrap(), 0, DeliveryState::Failed);
        keep_delivery(&app, &failed).await;
        for answer in [
            bound.get(&path(other)).await,
            bound.patch(&path(other), &json!({"enabled": false})).await,
            bound.delete(&path(other)).await,
            bound.post(&format!("{}/test", path(other)), &json!({})).await,
            bound.post(&format!("{}/rotate-secret", path(other)), &json!({})).await,
            bound.get(&format!("{}/deliveries", path(other))).await,
            bound.post(&format!("{}/deliveries/{}/resend", path(other), failed.id), &json!({})).await,
            bound.post(&format!("{}/recover", path(other)), &json!({"since": 0, "scope": "all"})).await,
        ] {
            assert_eq!(answer, unknown);
        }
        assert_eq!(kept(&app, &failed).await, failed);
    }
    assert_eq!(bound.post(SUBSCRIPTIONS, &json!({"event_types": ["a"], "organization_id": "org_2"})).await.status, 403);
    assert!(app.webhooks.sent().is_empty() && messages(&app, WorkQueue::Deliver).await.is_empty());
    for (client, status) in [(&app.anybody(), 401), (&app.client_with(&[shared::domain::access::Scope::Read], None).await, 403)] {
        assert_eq!(client.get(SUBSCRIPTIONS).await.status, status);
    }
}
