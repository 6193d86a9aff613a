//! `/api/v1/events/processors`: makes, lists, switches, tries and removes processors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use event_service_tests::StoppedClock;
use event_service_tests::app::{Client, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};
use shared::adapters::memory::{MemoryCounters, MemoryEvents, MemoryWebhooks};
use shared::adapters::system::SystemRandom;
use shared::commands::manage_processors::{ManageProcessorsPorts, Switch, create_processor, remove_processor, switch_processor};
use shared::domain::access::{Caller, Scope};
use shared::domain::definitions::Definitions;
use shared::domain::identifiers::SubscriptionId;
use shared::domain::processor::{Processor, ProcessorDraft};
use shared::domain::subscription::Subscription;
use shared::domain::timestamp::Timestamp;
use shared::ports::clock::Clock as _;
use shared::ports::definition_store::{DefinitionStore, Freshness};
use shared::ports::revision::Revision;
use shared::ports::store_error::StoreError;

use super::{CREATE, PROCESSORS, problems};

fn path(processor: &Value) -> String {
    format!("{PROCESSORS}/{}", processor["processor_id"].as_str().unwrap())
}

async fn make(client: &Client<'_>, more: Value) -> Value {
    let mut body = json!({"processor_name": "p", "processor_type": "internal"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post(PROCESSORS, &body).await.ok()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|processor| processor["processor_name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_processor_is_made_and_its_secrets_are_masked() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let body = json!({
        "processor_name": "salesforce_sync", "processor_type": "webhook", "priority": 5,
        "filters": {"event_type": "user.created", "event_category": "user_lifecycle"},
        "config": {
            "salesforce_url": "https://receiver.example/x?token=hidden", "api_key": "hidden", "secret": "hidden-secret", "max_retries": 3,
            "headers": {"X-Tenant": "hidden"},
        },
    });
    let made = client.post(PROCESSORS, &body).await;
    assert_snapshot!(made);
    for answer in [&made, &client.get(PROCESSORS).await, &client.get(&path(&made.ok())).await] {
        assert!(!answer.text.contains("hidden"), "{answer}");
    }
    let definitions = app.app.stores.definitions.definitions(Freshness::Current).await.unwrap();
    assert!(!format!("{definitions:?}").contains("hidden"));
}

#[tokio::test]
async fn processors_are_listed_highest_priority_first() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (name, priority) in [("low", -1), ("b", 5), ("high", 9), ("a", 5)] {
        make(&client, json!({"processor_name": name, "priority": priority, "enabled": name != "a"})).await;
    }
    assert_eq!(names(&client.get(PROCESSORS).await.ok()), ["high", "a", "b", "low"]);
}

#[tokio::test]
async fn the_same_name_again_redefines_and_masked_secrets_stay_what_they_are() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let config = json!({"url": "https://receiver.example/x", "secret": "hidden-secret"});
    let made = make(&client, json!({"processor_type": "webhook", "config": config})).await;
    app.pass(10);
    let unchanged = make(&client, json!({"processor_type": "webhook", "config": made["config"]})).await;
    assert_eq!(unchanged, made, "nothing was changed");
    let mut config = made["config"].clone();
    config["url"] = json!("https://receiver.example/y");
    let again = make(&client, json!({"processor_type": "webhook", "config": config, "priority": 3})).await;
    assert_eq!(
        json!([again["processor_id"], again["created_at"], again["priority"]]),
        json!([made["processor_id"], made["created_at"], 3])
    );
    assert_eq!(again["config"], json!({"url": "https://receiver.example/y", "secret": "********"}));
    let definitions = app.app.stores.definitions.definitions(Freshness::Current).await.unwrap();
    assert!(definitions.processors().next().unwrap().config.as_str().contains("hidden-secret"));
    let nothing =
        json!({"processor_name": "q", "processor_type": "webhook", "config": {"url": "https://receiver.example", "secret": "********"}});
    assert_eq!(problems(&client.post(PROCESSORS, &nothing).await), [("value_error".to_owned(), json!(["body", "config", "secret"]))]);
    assert_eq!(names(&client.get(PROCESSORS).await.ok()), ["p"]);
}

#[tokio::test]
async fn a_processor_is_switched_to_what_is_asked_for_or_over() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({})).await;
    let toggle = format!("{}/toggle", path(&made));
    for (query, enabled) in
        [("", false), ("", true), ("?enabled=true", true), ("?enabled=0", false), ("?enabled=false", false), ("?enabled=1", true)]
    {
        let answer = client.put(&format!("{toggle}{query}")).await.ok();
        assert_eq!(answer, json!({"status": "updated", "processor_id": made["processor_id"], "enabled": enabled}), "{query}");
        assert_eq!(client.get(&path(&made)).await.ok()["enabled"], enabled);
    }
    assert_eq!(
        problems(&client.put(&format!("{toggle}?enabled=perhaps")).await),
        [("bool_parsing".to_owned(), json!(["query", "enabled"]))]
    );
    assert_snapshot!(client.put(&format!("{PROCESSORS}/nowhere/toggle")).await);
}

#[tokio::test]
async fn a_removed_processor_is_gone_and_its_name_is_free() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = make(&client, json!({})).await;
    assert_eq!(client.delete(&path(&made)).await.ok(), json!({"status": "deleted", "processor_id": made["processor_id"]}));
    for answer in [client.get(&path(&made)).await, client.delete(&path(&made)).await, client.put(&format!("{}/toggle", path(&made))).await]
    {
        assert_eq!((answer.status.as_u16(), &answer.json()["detail"]), (404, &json!("Processor not found")));
    }
    assert_eq!(client.get(PROCESSORS).await.ok(), json!([]));
    assert_ne!(make(&client, json!({})).await["processor_id"], made["processor_id"]);
}

/// Results say which processor they are of by its name.
#[tokio::test]
async fn a_name_is_free_in_each_organization_but_not_beside_one_of_the_platforms() {
    let app = TestApp::in_memory();
    let (acme, other, platform) = (app.client_of("acme").await, app.client_of("other").await, app.client().await);
    for client in [&acme, &other] {
        make(client, json!({"processor_name": "theirs"})).await;
    }
    make(&platform, json!({"processor_name": "ours"})).await;
    for (client, name) in [(&platform, "theirs"), (&acme, "ours")] {
        let answer = client.post(PROCESSORS, &json!({"processor_name": name, "processor_type": "internal"})).await;
        assert_eq!(answer.status, 409, "{answer}");
    }
}

#[tokio::test]
async fn all_problems_of_a_processor_are_reported_together() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let body = json!({
        "processor_name": "", "processor_type": "webhook", "enabled": "x", "priority": "high", "filters": {"event_source": "x", "data": {"a": {"gt": "b"}}},
        "config": {"url": "nowhere", "secret": "hidden\u{7}", "max_retries": -1},
    });
    let answer = client.post(PROCESSORS, &body).await;
    assert!(!answer.text.contains("hidden"));
    assert_snapshot!(answer);
    for url in ["http://10.0.0.1/x", "http://localhost/x"] {
        let body = json!({"processor_name": "p", "processor_type": "webhook", "config": {"url": url}});
        assert_eq!(
            problems(&client.post(PROCESSORS, &body).await),
            [("value_error".to_owned(), json!(["body", "config", "url"]))],
            "{url}"
        );
    }
    let large = json!({"processor_name": "p", "processor_type": "internal", "config": {"x": "x".repeat(70_000)}});
    assert_eq!(client.post(PROCESSORS, &large).await.status, 413);
    assert_eq!(client.get(PROCESSORS).await.ok(), json!([]));
}

#[tokio::test]
async fn a_processor_is_tried_on_an_event_and_nothing_is_done() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let event = json!({"event_type": "order.placed", "stream_id": "order:1", "data": {"total": 5}});
    let early = client.post(CREATE, &event).await.ok();
    let filters = json!({"event_type": "order.*", "data": {"total": {"gte": 1}}});
    let config = json!({"event_type": "order.noted", "template": {"text": "{{ data.total }} EUR"}});
    let made = make(&client, json!({"processor_type": "transform", "filters": filters, "config": config})).await;
    let test = format!("{}/test", path(&made));
    assert_snapshot!(client.post(&test, &json!({"event": event})).await);
    let early = client.post(&test, &json!({"event_id": early["event_id"]})).await.ok();
    assert_eq!(json!([early["matches"], early["would_run"]]), json!([true, false]), "{early}");
    let late = client.post(CREATE, &event).await.ok();
    let late = client.post(&test, &json!({"event_id": late["event_id"]})).await.ok();
    assert_eq!(json!([late["matches"], late["would_run"], late["derived"]["stream_id"]]), json!([true, true, "order:1"]));
    let other = client.post(&test, &json!({"event": {"event_type": "user.created"}})).await.ok();
    assert_eq!(json!([other["matches"], other["would_run"], other["checks"][0]["matches"]]), json!([false, false, false]));
    assert!(other["error"].as_str().unwrap().contains("text"), "{other}");
    client.put(&format!("{}/toggle", path(&made))).await.succeeds();
    assert_eq!(client.post(&test, &json!({"event": event})).await.ok()["reason"], "The processor is switched off.");
    assert_eq!(client.post(&test, &json!({"event_id": super::CLIENT_ID})).await.json()["detail"], "Event not found");
    assert_eq!(client.get("/api/v1/events/stream/order:1").await.ok()["version"], 2);
}

#[tokio::test]
async fn a_bound_administrator_manages_the_processors_of_its_organization_only() {
    let app = TestApp::in_memory();
    let platform = app.client().await;
    let bound = app.client_of("org_1").await;
    let own = make(&bound, json!({})).await;
    assert_eq!(own["organization_id"], "org_1");
    let foreign = make(&platform, json!({"organization_id": "org_2"})).await;
    let unbound = make(&platform, json!({"processor_name": "everybody"})).await;
    assert_eq!(bound.get(PROCESSORS).await.ok(), json!([own]));
    assert_eq!(platform.get(PROCESSORS).await.ok().as_array().unwrap().len(), 3, "a name is unique within an organization");
    let unknown = bound.get(&format!("{PROCESSORS}/nowhere")).await;
    for other in [&foreign, &unbound] {
        for answer in [
            bound.get(&path(other)).await,
            bound.put(&format!("{}/toggle", path(other))).await,
            bound.post(&format!("{}/test", path(other)), &json!({"event": {"event_type": "a"}})).await,
            bound.delete(&path(other)).await,
        ] {
            assert_eq!(answer, unknown);
        }
        assert_eq!(platform.get(&path(other)).await.ok()["enabled"], true);
    }
    let event = platform.post(CREATE, &json!({"event_type": "a", "organization_id": "org_2"})).await.ok();
    let test = format!("{}/test", path(&own));
    assert_eq!(bound.post(&test, &json!({"event_id": event["event_id"]})).await.status, 404);
    assert_eq!(bound.post(&test, &json!({"event": {"event_type": "a", "organization_id": "org_2"}})).await.status, 403);
    let publish = json!({"processor_name": "q", "processor_type": "publish", "config": {"target": "eventbridge"}});
    assert_snapshot!(bound.post(PROCESSORS, &publish).await);
    platform.post(PROCESSORS, &publish).await.succeeds();
    assert_eq!(
        bound.post(PROCESSORS, &json!({"processor_name": "q", "processor_type": "internal", "organization_id": "org_2"})).await.status,
        403
    );
    assert_eq!(names(&bound.get(PROCESSORS).await.ok()), ["p"]);
}

/// Definitions that take their time to be saved.
struct SlowStore {
    kept: MemoryEvents,
    clock: Arc<StoppedClock>,
    /// How many milliseconds each save takes; those after take none.
    saves: Mutex<VecDeque<u64>>,
}

#[async_trait]
impl DefinitionStore for SlowStore {
    async fn definitions(&self, freshness: Freshness) -> Result<Arc<Definitions>, StoreError> {
        self.kept.definitions(freshness).await
    }

    async fn save_processor(&self, processor: &Processor, seen: Revision) -> Result<bool, StoreError> {
        let millis = self.saves.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or_default();
        self.clock.set(self.clock.now().plus(Duration::from_millis(millis)));
        self.kept.save_processor(processor, seen).await
    }

    async fn save_subscription(&self, subscription: &Subscription, seen: Revision) -> Result<bool, StoreError> {
        self.kept.save_subscription(subscription, seen).await
    }

    async fn remove_subscription(&self, id: &SubscriptionId, seen: Revision) -> Result<bool, StoreError> {
        self.kept.remove_subscription(id, seen).await
    }
}

/// What happens to a processor when saves take so long: when it was on, each until when, and when the answer came, in
/// milliseconds after noon.
async fn activations(saves: &[u64], changes: &[&str]) -> (Result<(), String>, Vec<(i64, Option<i64>)>, i64) {
    let clock = TestApp::stopped_clock();
    let noon = clock.now();
    let store = SlowStore { kept: MemoryEvents::default(), clock: clock.clone(), saves: Mutex::new(saves.iter().copied().collect()) };
    let (counters, webhooks) = (MemoryCounters::default(), MemoryWebhooks::default());
    let ports = ManageProcessorsPorts {
        definitions: &store,
        counters: &counters,
        events: &store.kept,
        webhooks: &webhooks,
        clock: &*clock,
        timer: &*clock,
        random: &SystemRandom,
    };
    let caller = Caller { name: "key:1".to_owned(), scopes: vec![Scope::Admin], organization: None };
    let draft = ProcessorDraft {
        name: "p".parse().unwrap(),
        kind: "internal".to_owned(),
        enabled: true,
        priority: 0,
        filters: serde_json::from_str("{}").unwrap(),
        config: serde_json::from_str("{}").unwrap(),
        retry_policy: serde_json::from_str("{}").unwrap(),
    };
    let mut result = Ok(());
    let mut id = None;
    for change in changes {
        let done = match (*change, &id) {
            ("create", _) => create_processor(&ports, &caller, None, draft.clone()).await.map(|made| id = Some(made.processor.id.clone())),
            ("off", Some(id)) => switch_processor(&ports, &caller, id, Switch::Off).await.map(|_| ()),
            ("over", Some(id)) => switch_processor(&ports, &caller, id, Switch::Over).await.map(|_| ()),
            ("remove", Some(id)) => remove_processor(&ports, &caller, id).await,
            (other, _) => panic!("{other}"),
        };
        result = done.map_err(|error| error.to_string());
    }
    let millis = |moment: Timestamp| moment.millis() - noon.millis();
    let definitions = store.definitions(Freshness::Current).await.unwrap();
    let processor = id.as_ref().and_then(|id| definitions.processor(id));
    let activations = processor.into_iter().flat_map(|processor| &processor.activations);
    let shown = activations.map(|activation| (millis(activation.from), activation.until.map(millis))).collect();
    (result, shown, millis(clock.now()))
}

/// So that nobody records an event at or after the moment from which on a change holds without finding it saved.
#[tokio::test]
async fn a_change_holds_from_a_moment_on_at_which_it_was_saved_and_is_answered_after_it() {
    for (saves, changes, expected, answered) in [
        (&[][..], &["create"][..], vec![(100, None)], 100),
        (&[99], &["create"], vec![(100, None)], 100),
        (&[100], &["create"], vec![(300, None)], 300),
        (&[150, 200], &["create"], vec![(750, None)], 750),
        (&[], &["create", "off"], vec![(100, Some(200))], 200),
        (&[0, 120], &["create", "over"], vec![(100, Some(420))], 420),
        (&[], &["create", "off", "off"], vec![(100, Some(200))], 200),
        (&[], &["create", "over", "over"], vec![(100, Some(200)), (300, None)], 300),
        (&[0, 500], &["create", "remove"], vec![(100, Some(800))], 800),
        (&[], &["create", "create"], vec![(100, None)], 100),
    ] {
        assert_eq!(activations(saves, changes).await, (Ok(()), expected, answered), "{saves:?} {changes:?}");
    }
    let (result, _, _) = activations(&[10_000; 5], &["create"]).await;
    assert_eq!(result, Err("the store failed".to_owned()), "after five saves it is given up");
}
