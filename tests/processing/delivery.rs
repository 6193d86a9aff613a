//! Deliveries to subscriptions: matching, signing, retries, circuits, dead letters.

use std::time::Duration;

use event_service_tests::app::Client;
use event_service_tests::receivers::{Delivered, Reaction};
use event_service_tests::world::World;
use serde_json::{Value, json};
use shared::commands::sweep::SweepReach;
use shared::domain::signature::{WebhookSecret, signature_headers};
use shared::domain::timestamp::Timestamp;

pub(crate) const URL: &str = "https://shop.test/hooks";

/// Subscribes `URL` to everything, or as `more` says.
pub(crate) async fn subscribe(client: &Client<'_>, more: Value) -> String {
    let mut body = json!({"subscriber_name": "shop", "event_types": ["*"], "callback_url": URL, "webhook_secret": "secret123"});
    for (member, value) in more.as_object().unwrap() {
        body[member] = value.clone();
    }
    client.post("/api/v1/events/subscriptions", &body).await.ok()["subscription_id"].as_str().unwrap().to_owned()
}

pub(crate) async fn create(client: &Client<'_>, event: Value) -> String {
    client.post("/api/v1/events/create", &event).await.ok()["event_id"].as_str().unwrap().to_owned()
}

/// Checks a signature as a receiver does that knows the secret.
fn is_signed_with(request: &Delivered, secret: &str) -> bool {
    let secret = WebhookSecret::from_text(secret.to_owned()).unwrap();
    let seconds: i64 = request.header("webhook-timestamp").parse().unwrap();
    let at = Timestamp::from_micros(seconds * 1_000_000).unwrap();
    let expected = signature_headers(&[&secret], request.header("webhook-id"), at, &request.body);
    let expected = expected.iter().find(|(name, _)| name == "webhook-signature").map(|(_, value)| value.clone()).unwrap();
    request.header("webhook-signature").split(' ').any(|signature| signature == expected)
}

async fn deliveries(client: &Client<'_>, subscription: &str) -> Vec<Value> {
    let answer = client.get(&format!("/api/v1/events/subscriptions/{subscription}/deliveries")).await.ok();
    answer["deliveries"].as_array().unwrap().clone()
}

/// Scenario 5.
#[tokio::test]
async fn a_subscriber_gets_what_it_subscribed_to_as_get_answers_it_and_signed() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"event_types": ["user.created", "order.*"], "event_sources": ["backend"]})).await;
    let id = create(&client, json!({"event_type": "user.created", "user_id": "u1", "data": {"n": 12_345_678_901_234_567_890_u64}})).await;
    create(&client, json!({"event_type": "user.deleted"})).await;
    create(&client, json!({"event_type": "order.placed", "event_source": "frontend"})).await;
    world.settle().await;
    let [request] = &world.receivers.requests(URL)[..] else { panic!("one request") };
    let event = client.get(&format!("/api/v1/events/{id}")).await.ok();
    assert_eq!(request.json(), json!({"type": "user.created", "timestamp": event["timestamp"], "data": event}));
    assert!(request.body.contains("12345678901234567890"));
    assert!(is_signed_with(request, "secret123"));
    assert!(!is_signed_with(request, "another secret"));
    assert!(request.header("x-event-signature").starts_with("sha256="));
}

/// BR-SUB-004.
#[tokio::test]
async fn a_delivery_is_tried_again_after_5xx_429_408_a_timeout_and_a_broken_connection_under_the_same_id() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({"retry_policy": {"backoff_seconds": [10], "max_retries": 8}})).await;
    let failures =
        [Reaction::Answer(500), Reaction::Answer(503), Reaction::Answer(429), Reaction::Answer(408), Reaction::Hang, Reaction::Refuse];
    world.receivers.next(URL, failures.clone());
    create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_mins(5)).await;
    let requests = world.receivers.requests(URL);
    assert_eq!(requests.len(), failures.len() + 1);
    let ids: std::collections::HashSet<&str> = requests.iter().map(|request| request.header("webhook-id")).collect();
    let times: std::collections::HashSet<&str> = requests.iter().map(|request| request.header("webhook-timestamp")).collect();
    assert_eq!((ids.len(), times.len()), (1, requests.len()));
    assert!(requests.iter().all(|request| is_signed_with(request, "secret123")));
    let log = deliveries(&client, &subscription).await;
    assert_eq!((log.len(), log[0]["status"].as_str(), log[0]["attempt_count"].as_u64()), (1, Some("delivered"), Some(7)));
    let statuses: Vec<&Value> = log[0]["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["status_code"]).collect();
    assert_eq!(json!(statuses), json!([500, 503, 429, 408, null, null, 200]));
}

/// BR-SUB-004.
#[tokio::test]
async fn a_receiver_that_says_that_the_request_is_wrong_is_not_asked_again() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({})).await;
    for status in [400, 401, 404, 422, 302] {
        world.receivers.next(URL, [Reaction::Answer(status)]);
        create(&client, json!({"event_type": format!("answered.{status}")})).await;
        world.pass(Duration::from_mins(20)).await;
    }
    assert_eq!(world.receivers.requests(URL).len(), 5);
    let log = deliveries(&client, &subscription).await;
    assert!(log.len() == 5 && log.iter().all(|delivery| delivery["status"] == "failed"), "{log:?}");
    let letters = client.get("/api/v1/events/dead-letters").await.ok();
    assert_eq!(letters["dead_letters"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn waits_of_hours_are_kept_in_the_table_and_found_by_the_sweep() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({})).await;
    world.receivers.next(URL, std::iter::repeat_n(Reaction::Answer(503), 7));
    create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_hours(40)).await;
    let at: Vec<f64> = world
        .receivers
        .requests(URL)
        .iter()
        .map(|request| f64::from(u32::try_from(request.at.millis() / 1000 - 1_795_435_200).unwrap()))
        .collect();
    let waits: Vec<f64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, a tenth more or less, and up to five minutes until a sweep comes by.
    for (wait, planned) in waits.iter().zip([5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0]) {
        assert!(*wait >= planned * 0.89 - 1.0 && *wait <= planned * 1.11 + 301.0, "{waits:?}");
    }
    assert_eq!(waits.len(), 7);
}

#[tokio::test]
async fn a_receiver_that_asks_to_be_left_alone_is_left_alone_but_not_for_ever() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"retry_policy": {"backoff_seconds": [1, 1]}})).await;
    world.receivers.next(URL, [Reaction::AnswerAndRest(503, 120), Reaction::AnswerAndRest(429, 1_000_000)]);
    create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_hours(3)).await;
    let at: Vec<i64> = world.receivers.requests(URL).iter().map(|request| request.at.millis() / 1000).collect();
    assert_eq!(at.len(), 3);
    assert!((120..=121).contains(&(at[1] - at[0])), "{at:?}");
    assert!((3600..=3901).contains(&(at[2] - at[1])), "{at:?}");
}

#[tokio::test]
async fn a_delivery_that_failed_for_good_is_parked_and_can_be_sent_again() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({"retry_policy": {"backoff_seconds": [1, 1]}})).await;
    world.receivers.always(URL, Reaction::Answer(500));
    let event = create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(world.receivers.requests(URL).len(), 3);
    let letters = client.get("/api/v1/events/dead-letters?queue=deliver").await.ok();
    let letter = &letters["dead_letters"][0];
    assert_eq!((letter["event_id"].as_str(), letter["attempts"].as_u64()), (Some(event.as_str()), Some(3)));
    assert_eq!(letter["reason"], "the receiver answered 500");

    world.receivers.always(URL, Reaction::Answer(200));
    let delivery = deliveries(&client, &subscription).await[0]["delivery_id"].as_str().unwrap().to_owned();
    client.post(&format!("/api/v1/events/subscriptions/{subscription}/deliveries/{delivery}/resend"), &json!({})).await.succeeds();
    world.settle().await;
    assert_eq!(world.receivers.taken(URL).len(), 1);
    assert_eq!(deliveries(&client, &subscription).await[0]["status"], "delivered");
}

#[tokio::test]
async fn dead_letters_are_redriven_by_filter_and_a_dry_run_only_counts() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({"retry_policy": {"max_retries": 0}})).await;
    world.receivers.always(URL, Reaction::Answer(500));
    for number in 0..5 {
        create(&client, json!({"event_type": format!("a.{number}")})).await;
    }
    world.settle().await;
    world.receivers.always(URL, Reaction::Answer(200));
    // Let the circuit close, if five failures have opened it.
    world.pass(Duration::from_mins(6)).await;
    let redrive = async |body: Value| client.post("/api/v1/events/dead-letters/redrive", &body).await.ok();
    assert_eq!(redrive(json!({"subscription_id": "another"})).await["count"], 0);
    assert_eq!(redrive(json!({"subscription_id": subscription, "dry_run": true})).await["count"], 5);
    world.settle().await;
    assert_eq!(world.receivers.taken(URL).len(), 0);
    assert_eq!(redrive(json!({"subscription_id": subscription})).await["count"], 5);
    world.settle().await;
    assert_eq!(world.receivers.taken(URL).len(), 5);
    assert_eq!(client.get("/api/v1/events/dead-letters").await.ok()["dead_letters"], json!([]));
}

/// BR-SUB-005.
#[tokio::test]
async fn disabling_or_deleting_stops_delivery_at_once_also_of_what_is_queued() {
    let world = World::open().await;
    let client = world.app.client().await;
    for stop in ["patch", "delete"] {
        let url = format!("https://{stop}.test/");
        let policy = json!({"backoff_seconds": [60], "max_retries": 5});
        let subscription = subscribe(&client, json!({"subscriber_name": stop, "callback_url": url, "retry_policy": policy})).await;
        world.receivers.next(&url, [Reaction::Answer(500)]);
        create(&client, json!({"event_type": "a"})).await;
        world.settle().await;
        create(&client, json!({"event_type": "b"})).await;
        world.dispatch().await;
        let path = format!("/api/v1/events/subscriptions/{subscription}");
        match stop {
            "patch" => client.patch(&path, &json!({"enabled": false})).await.succeeds(),
            _ => client.delete(&path).await.succeeds(),
        }
        let before = world.receivers.requests(&url).len();
        world.pass(Duration::from_hours(1)).await;
        assert_eq!(world.receivers.requests(&url).len(), before, "{stop}");
    }
}

#[tokio::test]
async fn events_of_the_time_while_a_subscription_was_disabled_are_not_sent_unless_they_are_recovered() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({})).await;
    let path = format!("/api/v1/events/subscriptions/{subscription}");
    create(&client, json!({"event_type": "before"})).await;
    world.pass(Duration::from_mins(1)).await;
    let since = world.app.now().to_string();
    client.patch(&path, &json!({"enabled": false})).await.succeeds();
    world.pass(Duration::from_mins(1)).await;
    create(&client, json!({"event_type": "meanwhile"})).await;
    world.pass(Duration::from_mins(1)).await;
    client.patch(&path, &json!({"enabled": true})).await.succeeds();
    create(&client, json!({"event_type": "after"})).await;
    world.settle().await;
    let types =
        || world.receivers.taken(URL).iter().map(|request| request.event("event_type").as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(types(), ["before", "after"]);
    let recover = async |dry_run: bool| {
        client.post(&format!("{path}/recover"), &json!({"since": since, "scope": "all", "dry_run": dry_run})).await.ok()
    };
    assert_eq!(recover(true).await["count"], 2);
    assert_eq!(types().len(), 2);
    assert_eq!(recover(false).await["count"], 2);
    world.settle().await;
    let mut recovered = types();
    recovered.sort();
    assert_eq!(recovered, ["after", "after", "before", "meanwhile"]);
}

#[tokio::test]
async fn a_receiver_that_is_gone_disables_its_subscription_and_the_bus_is_told() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({})).await;
    world.receivers.always(URL, Reaction::Answer(410));
    create(&client, json!({"event_type": "a"})).await;
    world.settle().await;
    create(&client, json!({"event_type": "b"})).await;
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.receivers.requests(URL).len(), 1);
    let answer = client.get(&format!("/api/v1/events/subscriptions/{subscription}")).await.ok();
    assert_eq!((answer["enabled"].as_bool(), answer["disabled_reason"].as_str()), (Some(false), Some("gone")));
    let told = world.told("event.subscription.disabled");
    assert_eq!((told.len(), told[0]["data"]["reason"].as_str()), (1, Some("gone")));
}

#[tokio::test]
async fn ten_failures_in_a_row_open_the_circuit_and_one_probe_closes_it() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({})).await;
    world.receivers.always(URL, Reaction::Refuse);
    for number in 0..40 {
        create(&client, json!({"event_type": "a", "stream_id": format!("s:{number}")})).await;
    }
    world.settle().await;
    // What a message has under way when the circuit opens is still sent.
    let tried = world.receivers.requests(URL).len();
    assert!((10..=30).contains(&tried), "{tried}");
    world.pass(Duration::from_secs(14)).await;
    assert!(world.receivers.requests(URL).len() <= tried);
    world.receivers.always(URL, Reaction::Answer(200));
    world.pass(Duration::from_hours(2)).await;
    let taken: std::collections::HashSet<String> =
        world.receivers.taken(URL).iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert_eq!((taken.len(), world.receivers.taken(URL).len()), (40, 40));
}

#[tokio::test]
async fn five_days_of_nothing_but_failures_disable_a_subscription_after_a_warning_on_the_fourth() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({})).await;
    let path = format!("/api/v1/events/subscriptions/{subscription}");
    world.receivers.always(URL, Reaction::Hang);
    let began = world.app.now();
    let mut disabled_after = None;
    for hour in 0..140_u64 {
        if hour % 6 == 0 {
            create(&client, json!({"event_type": "a"})).await;
        }
        world.pass(Duration::from_hours(1)).await;
        if client.get(&path).await.ok()["enabled"] == false {
            disabled_after = Some(hour);
            break;
        }
    }
    assert!(disabled_after.is_some_and(|hours| (119..=127).contains(&hours)), "{disabled_after:?}");
    assert_eq!(client.get(&path).await.ok()["disabled_reason"], "failing");
    assert_eq!(world.told("event.subscription.disabled").len(), 1);
    let warned = world.told("event.subscription.failing");
    assert_eq!(warned.len(), 1);
    let at = Timestamp::parse(warned[0]["timestamp"].as_str().unwrap()).unwrap();
    assert!((96..=104).contains(&(at.since(began).unwrap().as_secs() / 3600)), "{at}");

    // Enabled again, it starts clean.
    world.receivers.always(URL, Reaction::Answer(200));
    client.patch(&path, &json!({"enabled": true})).await.succeeds();
    let health = client.get(&path).await.ok();
    assert_eq!((health["disabled_reason"].clone(), health["health"]["consecutive_failures"].as_u64()), (Value::Null, Some(0)));
    create(&client, json!({"event_type": "again"})).await;
    world.settle().await;
    assert_eq!(world.receivers.taken(URL).len(), 1);
}

#[tokio::test]
async fn a_rate_limit_holds_however_many_work_on_the_queue() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"rate_limit": 7})).await;
    let events: Vec<Value> = (0..60).map(|number| json!({"event_type": "a", "stream_id": format!("s:{number}")})).collect();
    client.post("/api/v1/events/batch", &json!(events)).await.succeeds();
    world.pass(Duration::from_mins(2)).await;
    let mut seconds: std::collections::BTreeMap<i64, usize> = std::collections::BTreeMap::new();
    for request in world.receivers.taken(URL) {
        *seconds.entry(request.at.millis() / 1000).or_default() += 1;
    }
    assert_eq!(seconds.values().sum::<usize>(), 60);
    assert!(seconds.values().all(|count| *count <= 7), "{seconds:?}");
}

/// BR-SUB-006.
#[tokio::test]
async fn while_a_rotation_lasts_both_secrets_sign_and_then_only_the_new_one() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({})).await;
    let rotate = format!("/api/v1/events/subscriptions/{subscription}/rotate-secret");
    let secret = client.post(&rotate, &json!({"overlap_seconds": 3600})).await.ok()["webhook_secret"].as_str().unwrap().to_owned();
    for (minutes, old) in [(0, true), (59, true), (2, false)] {
        world.pass(Duration::from_mins(minutes)).await;
        create(&client, json!({"event_type": "a"})).await;
        world.settle().await;
        let request = world.receivers.requests(URL).pop().unwrap();
        assert!(is_signed_with(&request, &secret));
        assert_eq!(is_signed_with(&request, "secret123"), old, "{minutes}");
    }
}

#[tokio::test]
async fn a_subscription_of_an_organization_gets_that_organizations_events_only() {
    let world = World::open().await;
    let (acme, other, platform) = (world.app.client_of("acme").await, world.app.client_of("other").await, world.app.client().await);
    subscribe(&acme, json!({"callback_url": "https://acme.test/"})).await;
    subscribe(&platform, json!({"callback_url": "https://platform.test/"})).await;
    create(&acme, json!({"event_type": "a"})).await;
    create(&other, json!({"event_type": "b"})).await;
    create(&platform, json!({"event_type": "c"})).await;
    world.settle().await;
    let types = |url: &str| {
        let mut types: Vec<String> =
            world.receivers.taken(url).iter().map(|request| request.event("event_type").as_str().unwrap().to_owned()).collect();
        types.sort();
        types
    };
    assert_eq!(types("https://acme.test/"), ["a"]);
    assert_eq!(types("https://platform.test/"), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_delivery_that_goes_well_costs_no_write_but_the_time_of_the_last_success_once_a_minute() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({})).await;
    for _ in 0..2 {
        create(&client, json!({"event_type": "a"})).await;
    }
    world.dispatch().await;
    let _ = world.store.meter.take();
    world.work(shared::domain::queue::WorkQueue::Deliver).await;
    let used = world.store.meter.take();
    assert!((used.write_units - 1.0).abs() < f64::EPSILON, "{used:?}");
    assert_eq!(deliveries(&client, &subscription).await, Vec::<Value>::new());
    let answer = client.get(&format!("/api/v1/events/subscriptions/{subscription}/deliveries")).await.ok();
    assert!(answer["last_success_at"].is_string());
}

#[tokio::test]
async fn a_subscription_that_wants_it_has_every_delivery_in_its_log() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({"delivery_log": "all"})).await;
    create(&client, json!({"event_type": "a"})).await;
    world.settle().await;
    let log = deliveries(&client, &subscription).await;
    assert_eq!(
        (log.len(), log[0]["status"].as_str(), log[0]["attempts"][0]["response"].as_str()),
        (1, Some("delivered"), Some("status 200"))
    );
}

#[tokio::test]
async fn a_process_that_starts_finds_what_was_never_dispatched() {
    let world = World::open().await;
    let client = world.app.client().await;
    let body = json!({"processor_name": "p", "processor_type": "webhook", "config": {"url": "https://p.test/"}});
    client.post("/api/v1/events/processors", &body).await.succeeds();
    for number in 0..5 {
        create(&client, json!({"event_type": "a", "stream_id": format!("s:{}", number % 2)})).await;
    }
    // The table's stream is lost, and with it what it would have brought.
    world.store.count().await;
    let swept = world.sweep(SweepReach::START).await;
    assert_eq!(swept.dispatched, 5);
    world.work(shared::domain::queue::WorkQueue::Process).await;
    assert_eq!(world.receivers.taken("https://p.test/").len(), 5);
    assert_eq!(world.sweep(SweepReach::START).await.dispatched, 0);
}

#[tokio::test]
async fn a_dead_letter_is_its_owners_whosever_event_it_is_about() {
    let world = World::open().await;
    let (acme, platform) = (world.app.client_of("acme").await, world.app.client().await);
    let policy = json!({"max_retries": 0});
    subscribe(&platform, json!({"callback_url": "https://platform.test/", "retry_policy": policy})).await;
    subscribe(&acme, json!({"callback_url": "https://acme.test/", "retry_policy": policy})).await;
    let processor = json!({"processor_name": "p", "processor_type": "webhook", "config": {"url": "https://p.test/", "max_retries": 0}});
    platform.post("/api/v1/events/processors", &processor).await.succeeds();
    for url in ["https://platform.test/", "https://acme.test/", "https://p.test/"] {
        world.receivers.always(url, Reaction::Answer(500));
    }
    create(&acme, json!({"event_type": "a"})).await;
    world.settle().await;
    let letters =
        async |client: &Client<'_>| client.get("/api/v1/events/dead-letters").await.ok()["dead_letters"].as_array().unwrap().len();
    assert_eq!((letters(&acme).await, letters(&platform).await), (1, 3));
    let before = world.receivers.count();
    assert_eq!(acme.post("/api/v1/events/dead-letters/redrive", &json!({"all": true})).await.ok()["count"], 1);
    world.settle().await;
    assert_eq!(world.receivers.count(), before + 1);
}

#[tokio::test]
async fn what_the_platforms_processors_say_is_not_shown_to_an_organization_nor_sent_to_its_subscriptions() {
    let world = World::open().await;
    let (acme, platform) = (world.app.client_of("acme").await, world.app.client().await);
    subscribe(&acme, json!({"retry_policy": {"backoff_seconds": [60]}})).await;
    let processor =
        json!({"processor_name": "fraud-check", "processor_type": "webhook", "config": {"url": "https://p.test/", "max_retries": 0}});
    platform.post("/api/v1/events/processors", &processor).await.succeeds();
    world.receivers.always("https://p.test/", Reaction::Answer(500));
    world.receivers.next(URL, [Reaction::Answer(500)]);
    let id = create(&acme, json!({"event_type": "a"})).await;
    world.pass(Duration::from_mins(2)).await;
    let path = format!("/api/v1/events/{id}");
    for path in [path.clone(), format!("{path}/results"), "/api/v1/events/stream/organization:acme".to_owned()] {
        let (shown, hidden) = (platform.get(&path).await.ok().to_string(), acme.get(&path).await.ok().to_string());
        assert!(shown.contains("fraud-check") && !hidden.contains("fraud-check") && !hidden.contains("500"), "{hidden}");
    }
    let sent = world.receivers.taken(URL).pop().unwrap();
    assert!(!sent.body.contains("fraud-check") && !sent.body.contains("status 500"), "{}", sent.body);
    assert_eq!(sent.event("status"), "failed");
}

#[tokio::test]
async fn a_delivery_that_was_given_up_and_then_sent_leaves_no_dead_letter() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({"retry_policy": {"max_retries": 0}})).await;
    world.receivers.next(URL, [Reaction::Answer(500), Reaction::Answer(500)]);
    create(&client, json!({"event_type": "a"})).await;
    world.settle().await;
    let delivery = deliveries(&client, &subscription).await[0]["delivery_id"].as_str().unwrap().to_owned();
    for letters in [1, 0] {
        client.post(&format!("/api/v1/events/subscriptions/{subscription}/deliveries/{delivery}/resend"), &json!({})).await.succeeds();
        world.settle().await;
        assert_eq!(client.get("/api/v1/events/dead-letters").await.ok()["dead_letters"].as_array().unwrap().len(), letters);
    }
    assert_eq!(deliveries(&client, &subscription).await[0]["status"], "delivered");
}
