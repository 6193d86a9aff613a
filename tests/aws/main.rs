//! The scenarios, over HTTP, against a deployment of `template.yaml`: its functions, policies, queues, stream and API.
//!
//! `make test-aws` deploys and runs them. They are no part of `cargo test`, which has no deployment.

#![cfg(test)]

mod deployment;
mod killed;
mod receiver;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::StreamExt as _;
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};
use shared::adapters::system::SystemClock;
use shared::config;
use shared::ports::clock::Clock as _;

use deployment::{Deployment, JWT_SECRET, eventually};
use receiver::Receiver;

const QUERY: &str = "/api/v1/events/query";
const SUBSCRIPTIONS: &str = "/api/v1/events/subscriptions";
const PROCESSORS: &str = "/api/v1/events/processors";
const DEAD_LETTERS: &str = "/api/v1/events/dead-letters";
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn order(stream: &str) -> Value {
    json!({"event_type": "order.placed", "event_category": "order", "stream_id": stream, "data": {"order_id": "42", "total": 50.0}})
}

/// Scenarios 2 and 3.
#[tokio::test]
async fn an_order_is_found_by_its_id_in_its_stream_and_by_a_query_as_soon_as_it_is_answered() {
    let deployment = Deployment::get();
    let organization = Deployment::fresh("org");
    let client = deployment.client_of(&organization).await;
    let created = client.create(&order("order:42")).await;
    let id = created["event_id"].as_str().unwrap();
    assert_eq!(json!([created["organization_id"], created["stream_version"]]), json!([organization, 1]));
    assert_eq!(client.get(&format!("/api/v1/events/{id}")).await.ok()["event_id"], id);
    assert_eq!(client.get("/api/v1/events/stream/order:42").await.ok()["events"][0]["event_id"], id);
    // A name with a slash takes more than one part of the path.
    client.create(&order("order:a/b")).await;
    assert_eq!(client.get("/api/v1/events/stream/order:a/b").await.ok()["version"], 1);
    let found = client.post(QUERY, &json!({"event_type": "order.placed", "data": {"total": 50.0}})).await.ok();
    assert_eq!(found["events"].as_array().unwrap().len(), 2);
}

/// BR-EVT-008.
#[tokio::test]
async fn a_batch_is_stored_whole_or_not_at_all() {
    let client = Deployment::get().client_of(&Deployment::fresh("org")).await;
    let refused = client.post("/api/v1/events/batch", &json!([order("order:1"), {"event_type": ""}])).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(client.get("/api/v1/events/stream/order:1").await.ok()["version"], 0);
    let streams = ["order:1", "order:2", "order:1"].map(order);
    let stored = client.post("/api/v1/events/batch", &json!(streams)).await.ok();
    let versions: Vec<_> = stored.as_array().unwrap().iter().map(|event| event["stream_version"].as_u64().unwrap()).collect();
    assert_eq!(versions, [1, 1, 2]);
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_carried_out_once() {
    let client = Deployment::get().client_of(&Deployment::fresh("org")).await;
    let key = [("idempotency-key", "checkout-42")];
    let first = client.send(Method::POST, "/api/v1/events/create", Some(&order("order:7")), &key).await;
    let again = client.send(Method::POST, "/api/v1/events/create", Some(&order("order:7")), &key).await;
    assert_eq!((first.ok(), again.headers["idempotency-replayed"].to_str().unwrap()), (again.ok(), "true"));
    assert_eq!(client.get("/api/v1/events/stream/order:7").await.ok()["version"], 1);
    let mut stale = order("order:7");
    stale["expected_version"] = json!(0);
    assert_eq!(client.post("/api/v1/events/create", &stale).await.status, 409);
}

/// Scenario 7, and BR-PRC-005, BR-PRC-006.
#[tokio::test]
async fn an_event_goes_through_the_stream_and_the_queue_to_its_processors_and_has_an_outcome() {
    let client = Deployment::get().client_of(&Deployment::fresh("org")).await;
    let receiver = Receiver::start();
    let derive = json!({"processor_name": "flag", "processor_type": "transform", "priority": 9, "filters": {"event_type": "order.placed"},
        "config": {"event_type": "order.flagged", "pick": ["order_id"]}});
    let send = json!({"processor_name": "crm", "processor_type": "webhook", "filters": {"event_type": "order.placed"},
        "config": {"url": receiver.url(), "secret": SECRET, "max_retries": 3, "backoff_seconds": [1]}});
    for processor in [&derive, &send] {
        client.post(PROCESSORS, processor).await.ok();
    }
    receiver.answers(&[503]);
    let created = client.create(&order("order:42")).await;
    let path = format!("/api/v1/events/{}", created["event_id"].as_str().unwrap());
    // A reader may not know yet, for two seconds, that there are processors: then an event looks as if there were nothing to do.
    client.until(&format!("{path}/results"), |results| results["results"].as_array().is_some_and(|results| results.len() == 3)).await;
    client.until(&path, |event| event["status"] == "processed").await;
    let results = client.get(&format!("{path}/results")).await.ok();
    let results: Vec<_> = results["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| (result["processor_name"].as_str().unwrap(), result["status"].as_str().unwrap()))
        .collect();
    assert_eq!(results, [("flag", "success"), ("crm", "retry"), ("crm", "success")]);
    let stream = client.get("/api/v1/events/stream/order:42").await.ok();
    assert_eq!(json!([stream["version"], stream["events"][1]["event_type"]]), json!([2, "order.flagged"]));
    assert!(receiver.received().iter().all(|request| request.is_signed_with(SECRET)));
    let shown = client.get(PROCESSORS).await;
    assert!(!shown.text.contains(SECRET), "{shown:?}");
}

/// BR-PRJ-001. BR-PRJ-002.
#[tokio::test]
async fn the_state_of_an_entity_is_read_as_it_is_and_as_it_was_by_rules_of_ones_own() {
    const ORDER: &str = "/api/v1/events/projections/order/42";
    let client = Deployment::get().client_of(&Deployment::fresh("org")).await;
    assert_eq!(client.get(ORDER).await.status, 404);
    for total in 1..=40 {
        let mut changed = order("order:42");
        changed["data"]["total"] = json!(total);
        client.create(&changed).await;
    }
    let rules = json!({"order.*": [{"increment": {"sum": "$data.total"}}]});
    let defined = client.post("/api/v1/events/projections", &json!({"name": "sum", "entity_type": "order", "rules": rules})).await.ok();
    for _ in 0..2 {
        let state = client.get(ORDER).await.ok();
        assert_eq!(json!([state["version"], state["state"]["total"]]), json!([40, 40]));
    }
    let by_name = format!("{ORDER}?name=sum");
    client.until(&by_name, |state| state["state"]["sum"] == 820).await;
    assert_eq!(client.get(&format!("{ORDER}?at_version=7")).await.ok()["state"]["total"], 7);
    assert_eq!(client.post(&format!("{ORDER}/rebuild"), &json!({})).await.ok()["version"], 40);
    let entity = json!({"entity_type": "order", "entity_id": "42", "rules": rules});
    assert_eq!(client.post("/api/v1/events/projections/dry-run", &entity).await.ok()["state"]["sum"], 820);
    let id = defined["definition_id"].as_str().unwrap();
    assert_eq!(client.send(Method::DELETE, &format!("/api/v1/events/projections/{id}"), None, &[]).await.status, 200);
}

/// What was written before a schema is read as the schema has it; what does not fit is refused.
#[tokio::test]
async fn events_are_held_to_schemas_and_older_ones_are_read_in_the_newest_version() {
    const SCHEMAS: &str = "/api/v1/events/schemas";
    let client = Deployment::get().client_of(&Deployment::fresh("org")).await;
    let id = client.create(&order("order:42")).await["event_id"].as_str().unwrap().to_owned();
    let upcast = json!({"from": "1.0.0", "steps": [{"rename": {"total": "amount"}}]});
    let schema = json!({"required": ["amount"]});
    let schema = json!({"event_type": "order.placed", "version": "2.0.0", "schema": schema, "upcast": upcast, "enforcement": "reject"});
    let registered = client.post(SCHEMAS, &schema).await.ok();
    assert_eq!(client.get(&format!("{SCHEMAS}/order.placed")).await.ok(), registered);
    assert_eq!(client.get(SCHEMAS).await.ok(), json!([registered]));
    client.until(&format!("/api/v1/events/{id}"), |event| event["data"]["amount"] == 50.0).await;
    client.until("/api/v1/events/projections/order/42", |found| found["state"]["amount"] == 50.0).await;
    let status = async || client.post("/api/v1/events/create", &order("order:43")).await.status;
    let is_refused = async || (status().await == 422).then_some(());
    eventually("an event that does not fit is refused", is_refused, async || "it is stored".to_owned()).await;
    assert_eq!(client.send(Method::DELETE, &format!("{SCHEMAS}/order.placed"), None, &[]).await.status, 200);
    assert_eq!(client.get(&format!("{SCHEMAS}/order.placed")).await.status, 404);
}

/// Scenario 4, and BR-STM-004.
#[tokio::test]
async fn a_stream_is_sent_again_to_one_subscriber_who_missed_it() {
    let client = Deployment::get().client_of(&Deployment::fresh("org")).await;
    for _ in 0..5 {
        client.create(&order("order:42")).await;
    }
    let receiver = Receiver::start();
    let subscription =
        json!({"subscriber_name": "late", "event_types": ["order.*"], "callback_url": receiver.url(), "webhook_secret": SECRET});
    client.post(SUBSCRIPTIONS, &subscription).await.ok();
    let mut asked = json!({"stream_id": "order:42", "from_version": 2, "target_service": "late", "dry_run": true});
    let preview = client.post("/api/v1/events/replay", &asked).await.ok();
    assert_eq!(json!([preview["events_count"], preview["events"][0]["stream_version"]]), json!([4, 2]));
    asked["dry_run"] = json!(false);
    let started = client.post("/api/v1/events/replay", &asked).await.ok();
    let path = format!("/api/v1/events/replay/{}", started["replay_id"].as_str().unwrap());
    let ended = client.until(&path, |replay| replay["status"] != "running").await;
    assert_eq!(json!([ended["status"], ended["replayed"], ended["failed"]]), json!(["completed", 4, 0]));
    let marked: Vec<Value> =
        receiver.received().iter().map(receiver::Received::json).filter(|body| body["replay_id"] == started["replay_id"]).collect();
    let versions: Vec<_> = marked.iter().map(|body| body["data"]["stream_version"].as_u64().unwrap()).collect();
    assert_eq!(versions, [2, 3, 4, 5]);
    assert!(receiver.received().iter().all(|request| request.is_signed_with(SECRET)));
}

/// Scenario 5, and BR-SUB-006.
#[tokio::test]
async fn a_subscriber_gets_events_signed_and_in_the_order_of_their_stream() {
    let client = Deployment::get().client_of(&Deployment::fresh("org")).await;
    let receiver = Receiver::start();
    let subscription = json!({"subscriber_name": "shop", "event_types": ["order.*"], "callback_url": receiver.url(), "webhook_secret": SECRET, "ordering": "stream"});
    client.post(SUBSCRIPTIONS, &subscription).await.ok();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(client.create(&order("order:42")).await["event_id"].clone());
    }
    client.create(&json!({"event_type": "user.created", "stream_id": "user:1"})).await;
    let requests = eventually(
        "deliveries",
        async || Some(receiver.received()).filter(|received| received.len() >= 5),
        async || format!("{:?}", receiver.received()),
    )
    .await;
    let mut got: Vec<Value> = requests.iter().map(|request| request.json()["data"]["event_id"].clone()).collect();
    got.dedup();
    assert_eq!(got, ids);
    for request in &requests {
        assert!(request.is_signed_with(SECRET), "{request:?}");
        assert!(!request.is_signed_with("whsec_b25lIG9mIG91ciBvd24gc2VjcmV0cyE="));
    }
}

/// BR-SUB-004.
#[tokio::test]
async fn a_delivery_that_fails_for_good_is_a_dead_letter_and_is_redriven() {
    let client = Deployment::get().client_of(&Deployment::fresh("org")).await;
    let receiver = Receiver::start();
    receiver.answers(&[503, 500]);
    let subscription = json!({"subscriber_name": "shop", "event_types": ["*"], "callback_url": receiver.url(), "webhook_secret": SECRET,
        "retry_policy": {"max_retries": 1, "backoff_seconds": [1]}});
    let subscription = client.post(SUBSCRIPTIONS, &subscription).await.ok();
    let created = client.create(&order("order:42")).await;
    let deliveries = format!("{SUBSCRIPTIONS}/{}/deliveries", subscription["subscription_id"].as_str().unwrap());
    let letter = eventually(
        "the dead letter",
        async || client.get(DEAD_LETTERS).await.ok()["dead_letters"].get(0).cloned(),
        async || format!("{:?}, of {:?}", client.get(&deliveries).await, receiver.received()),
    )
    .await;
    assert_eq!(
        json!([letter["event_id"], letter["subscription_id"], letter["queue"]]),
        json!([created["event_id"], subscription["subscription_id"], "deliver"])
    );
    client.post(&format!("{DEAD_LETTERS}/redrive"), &json!({"subscription_id": subscription["subscription_id"]})).await.ok();
    eventually(
        "the third attempt",
        async || Some(receiver.received()).filter(|received| received.len() == 3),
        async || format!("{:?}", receiver.received()),
    )
    .await;
    client.until(DEAD_LETTERS, |letters| letters["dead_letters"] == json!([])).await;
    let deliveries = client.get(&deliveries).await.ok();
    assert_eq!(deliveries["deliveries"][0]["event_id"], created["event_id"]);
}

/// Scenario 8.
#[tokio::test]
async fn statistics_count_every_event_once() {
    let client = Deployment::get().client_of(&Deployment::fresh("org")).await;
    client.post("/api/v1/events/batch", &json!(["order:1", "order:1", "order:2"].map(order))).await.ok();
    client.create(&json!({"event_type": "user.created", "event_category": "user_lifecycle", "user_id": "u1"})).await;
    let statistics = client.until("/api/v1/events/statistics", |statistics| statistics["total_events"] == 4).await;
    assert_eq!(statistics["events_by_type"], json!({"order.placed": 3, "user.created": 1}));
    assert_eq!(json!([statistics["processed_events"], statistics["pending_events"], statistics["events_today"]]), json!([4, 0, 4]));
    let found = client.post(QUERY, &json!({"event_type": "order.placed", "limit": 1})).await.ok();
    assert_eq!(json!([found["total"], found["has_more"]]), json!([3, true]));
}

#[tokio::test]
async fn every_domain_event_is_in_the_queue_for_others() {
    let deployment = Deployment::get();
    let created = deployment.admin().create(&order(&Deployment::fresh("order:domain"))).await;
    let (queues, url) = (Deployment::queues(), Deployment::queue_url("domain-events").await);
    let found = eventually(
        "event.stored",
        async || {
            let answer = queues.receive_message().queue_url(&url).max_number_of_messages(10).wait_time_seconds(1).send().await.unwrap();
            for message in answer.messages.unwrap_or_default() {
                let entry: Value = serde_json::from_str(&message.body.unwrap()).unwrap();
                queues.delete_message().queue_url(&url).receipt_handle(message.receipt_handle.unwrap()).send().await.unwrap();
                if entry["detail-type"] == "event.stored" && entry["detail"]["data"]["event_id"] == created["event_id"] {
                    return Some(entry);
                }
            }
            None
        },
        async || "other events".to_owned(),
    )
    .await;
    assert_eq!(json!([found["source"], found["detail"]["data"]["event_type"]]), json!(["event_service", "order.placed"]));
}

/// With the bucket, the policies and the function of the template.
#[tokio::test]
async fn events_that_happened_long_ago_move_to_the_bucket_and_are_read_from_there() {
    let deployment = Deployment::get();
    let client = deployment.client_of(&Deployment::fresh("org")).await;
    let mut ids = Vec::new();
    for minute in 0..3 {
        let mut old = order("order:1");
        old["timestamp"] = json!(format!("2024-05-06T07:0{minute}:00Z"));
        ids.push(client.create(&old).await["event_id"].as_str().unwrap().to_owned());
    }
    let path = "/api/v1/events/statistics";
    client.until(path, |statistics| statistics["total_events"] == 3).await;
    let archived = deployment.invoke("archive-events", &json!({"until": "2024-12-31T00:00:00Z"})).await;
    assert_eq!(archived["complete"], true, "{archived}");
    let statistics = client.until(path, |statistics| statistics["archived_events"] == 3).await;
    assert_eq!(json!([statistics["total_events"], statistics["processed_events"]]), json!([3, 0]));
    for id in &ids {
        let event = client.get(&format!("/api/v1/events/{id}")).await.ok();
        assert_eq!(json!([event["status"], event["data"]["order_id"]]), json!(["archived", "42"]));
    }
    // The stream goes on, and is read from both.
    client.create(&order("order:1")).await;
    let stream = client.get("/api/v1/events/stream/order:1").await.ok();
    let statuses: Vec<_> = stream["events"].as_array().unwrap().iter().map(|event| &event["status"]).collect();
    assert_eq!(json!([stream["version"], statuses]), json!([4, ["archived", "archived", "archived", "processed"]]));
    let state = client.get("/api/v1/events/projections/order/1").await.ok();
    assert_eq!(state["version"], 4);
    let asked = json!({"start_time": "2024-05-06T07:00:00Z", "end_time": "2024-05-06T08:00:00Z", "dry_run": true});
    assert_eq!(client.post("/api/v1/events/replay", &asked).await.ok()["events_count"], 3);
}

/// Where NATS is; nothing if the deployment has no bridge.
async fn nats() -> Option<jetstream::Context> {
    let url = config::optional("NATS_URL")?;
    Some(jetstream::new(async_nats::connect(url).await.unwrap()))
}

/// With the queue, the policies and the function of the template.
#[tokio::test]
async fn an_event_is_published_on_nats_and_a_message_from_there_becomes_an_event() {
    let deployment = Deployment::get();
    let health = |nats: &'static str| async move {
        Deployment::get().anybody().until("/health", |health| health["dependencies"]["nats"] == nats).await;
    };
    let Some(nats) = nats().await else { return health("not_configured").await };
    deployment.invoke("nats-bridge", &json!({})).await;
    health("healthy").await;
    let client = deployment.client_of(&Deployment::fresh("org")).await;
    let created = client.create(&order("order:1")).await;
    let id = created["event_id"].as_str().unwrap();
    let published = async |stream: &str, is_it: &dyn Fn(&Value) -> bool| {
        let find = async || {
            let consumer: PullConsumer = nats.get_stream(stream).await.ok()?.create_consumer(pull::Config::default()).await.ok()?;
            let mut messages = consumer.fetch().max_messages(10_000).messages().await.ok()?;
            while let Some(Ok(message)) = messages.next().await {
                let body: Value = serde_json::from_slice(&message.payload).unwrap();
                if is_it(&body) {
                    return Some((message.subject.to_string(), body));
                }
            }
            None
        };
        eventually("it is published", find, async || format!("{stream} has not {id}")).await
    };
    let (subject, event) = published("EVENTS", &|event| event["event_id"] == id).await;
    assert_eq!((subject.as_str(), &event["stream_id"]), ("events.backend.order.order.placed", &json!("order:1")));
    published("event-stream", &|told| told["type"] == "event.stored" && told["data"]["event_id"] == id).await;

    let user = Deployment::fresh("user");
    let message = json!({"id": user, "type": "task.done", "source": "tasks", "data": {"user_id": user}});
    nats.publish("events.ingest.task", message.to_string().into()).await.unwrap().await.unwrap();
    let taken = deployment.invoke("nats-bridge", &json!({})).await;
    assert_eq!(taken["rejected"], 0, "{taken}");
    let stream = deployment.admin().until(&format!("/api/v1/events/stream/user:{user}"), |stream| stream["version"] == 1).await;
    assert_eq!(stream["events"][0]["metadata"]["source_service"], "tasks");

    let asked = json!({"start_time": "2020-01-01T00:00:00Z", "end_time": "2100-01-01T00:00:00Z", "dry_run": true});
    let counted = deployment.admin().post("/api/v1/events/nats/republish", &asked).await.ok();
    assert!(counted["events_count"].as_u64() >= Some(2), "{counted}");
}

#[tokio::test]
async fn what_lies_in_a_dead_letter_queue_is_parked_by_the_sweep_and_can_be_forgotten() {
    let (deployment, mark) = (Deployment::get(), Deployment::fresh("nonsense"));
    let url = Deployment::queue_url("retry-dead-letters").await;
    Deployment::queues().send_message().queue_url(&url).message_body(&mark).send().await.unwrap();
    let admin = deployment.admin();
    let letters = admin
        .until(&format!("{DEAD_LETTERS}?queue=retry"), |letters| {
            letters["dead_letters"].as_array().is_some_and(|letters| !letters.is_empty())
        })
        .await;
    for letter in letters["dead_letters"].as_array().unwrap() {
        admin.delete(&format!("{DEAD_LETTERS}/{}", letter["dead_letter_id"].as_str().unwrap())).await.ok();
    }
}

#[tokio::test]
async fn a_route_is_open_to_whom_it_should_be_and_to_nobody_else() {
    let deployment = Deployment::get();
    let reader = json!({"name": "reader", "scopes": ["events:read"]});
    let reader = deployment.admin().post("/api/v1/keys", &reader).await.ok();
    let reader = deployment.presenting("x-api-key", reader["api_key"].as_str().unwrap());
    let event = order(&Deployment::fresh("order:access"));
    for (client, expected) in
        [(deployment.anybody(), 401), (deployment.presenting("x-api-key", "evk_0"), 401), (reader.clone(), 403), (deployment.admin(), 200)]
    {
        let answer = client.post("/api/v1/events/create", &event).await;
        assert_eq!(answer.status, expected, "{answer:?}");
        assert!(expected == 200 || answer.json()["detail"].is_string(), "{answer:?}");
    }
    for path in ["/health", "/api/v1/events/health", "/docs", "/openapi.json"] {
        assert_eq!(deployment.anybody().get(path).await.status, 200, "{path}");
    }
    assert_eq!(deployment.anybody().get("/health").await.json()["status"], "healthy");
    // A key is made, used, and revoked.
    let own = deployment.admin().post("/api/v1/keys", &json!({"name": "own", "scopes": ["events:read"]})).await.ok();
    let client = deployment.presenting("authorization", &format!("Bearer {}", own["api_key"].as_str().unwrap()));
    client.post(QUERY, &json!({"limit": 1})).await.ok();
    deployment.admin().delete(&format!("/api/v1/keys/{}", own["key_id"].as_str().unwrap())).await.ok();
    eventually(
        "the key is revoked",
        async || (client.post(QUERY, &json!({"limit": 1})).await.status == 401).then_some(()),
        async || "it works".to_owned(),
    )
    .await;
}

#[tokio::test]
async fn an_organization_sees_nothing_of_another_through_any_route() {
    let deployment = Deployment::get();
    let (own, other) = (deployment.client_of(&Deployment::fresh("own")).await, deployment.client_of(&Deployment::fresh("other")).await);
    let created = own.create(&order("order:42")).await;
    let id = created["event_id"].as_str().unwrap();
    assert_eq!(other.get(&format!("/api/v1/events/{id}")).await.status, 404);
    assert_eq!(other.get(&format!("/api/v1/events/{id}/results")).await.status, 404);
    assert_eq!(other.get("/api/v1/events/stream/order:42").await.ok()["version"], 0);
    assert_eq!(other.post(QUERY, &json!({})).await.ok()["events"], json!([]));
    assert_eq!(other.get("/api/v1/events/statistics").await.ok()["total_events"], 0);
    let subscription = own.post(SUBSCRIPTIONS, &json!({"event_types": ["*"], "subscriber_name": "own"})).await.ok();
    assert_eq!(other.get(SUBSCRIPTIONS).await.ok(), json!([]));
    assert_eq!(other.delete(&format!("{SUBSCRIPTIONS}/{}", subscription["subscription_id"].as_str().unwrap())).await.status, 404);
}

#[tokio::test]
async fn a_token_of_the_platform_is_taken_and_a_forged_one_is_not() {
    let deployment = Deployment::get();
    let secret = config::required(JWT_SECRET).unwrap();
    let token = |secret: &str| {
        let claims = json!({"iss": "isA_user", "sub": "user_1", "scope": "service", "exp": SystemClock.now().millis() / 1000 + 600});
        let [header, claims] = [json!({"alg": "HS256", "typ": "JWT"}), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), format!("{header}.{claims}").as_bytes());
        format!("Bearer {header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let statuses = async |token: String| deployment.presenting("authorization", &token).post(QUERY, &json!({"limit": 1})).await.status;
    assert_eq!(statuses(token(&secret)).await, 200);
    assert_eq!(statuses(token("another secret, of thirty-two by")).await, 401);
}

#[tokio::test]
async fn what_no_route_takes_is_answered_with_a_reason() {
    let admin = Deployment::get().admin();
    let unknown = admin.get("/api/v1/nothing").await;
    assert_eq!((unknown.status, unknown.json()["detail"].is_string()), (404, true), "{unknown:?}");
    let wrong = admin.delete("/api/v1/events/query").await;
    assert_eq!((wrong.status, wrong.headers["allow"].to_str().unwrap().contains("POST")), (405, true), "{wrong:?}");
}

/// Scenario 1, BR-FE-001.
#[tokio::test]
async fn a_page_sends_to_the_api_and_to_the_function_url_and_both_are_one_stream() {
    let deployment = Deployment::get();
    let session = Deployment::fresh("session");
    let event =
        |id: &str| json!({"event_type": "product_view", "session_id": session, "message_id": id, "timestamp": "2026-11-23T12:00:00Z"});
    let by_api = deployment.anybody().post("/api/v1/events/frontend", &event("1")).await.ok();
    let by_url = deployment.function_url().anybody();
    let again = by_url.post("/api/v1/events/frontend", &event("1")).await.ok();
    assert_eq!(json!([again["event_id"], again["duplicate"]]), json!([by_api["event_id"], true]));
    let batch = by_url.post("/api/v1/events/frontend/batch", &json!({"events": [event("2"), {}, event("3")]})).await.ok();
    assert_eq!(json!([batch["processed_count"], batch["rejected"][0]["index"]]), json!([2, 1]));
    let admin = deployment.admin();
    let stream = admin.get(&format!("/api/v1/events/stream/session:{session}")).await.ok();
    assert_eq!(stream["version"], 3);
    let rejected = admin.get("/api/v1/events/rejected").await.ok();
    let id = batch["rejected"][0]["rejected_event_id"].as_str().unwrap();
    assert!(rejected["rejected_events"].as_array().unwrap().iter().any(|event| event["rejected_event_id"] == id), "{rejected}");
    admin.post(&format!("/api/v1/events/rejected/{id}/retry"), &event("4")).await.ok();
    let picture = by_url.get("/api/v1/events/frontend/pixel.gif?event_type=opened").await;
    assert_eq!((picture.status, picture.headers["content-type"].to_str().unwrap()), (200, "image/gif"));
    let headers = [("origin", "https://shop.example"), ("access-control-request-method", "POST")];
    let preflight = by_url.send(Method::OPTIONS, "/api/v1/events/frontend", None, &headers).await;
    assert_eq!((preflight.status, preflight.headers["access-control-allow-origin"].to_str().unwrap()), (204, "*"));
}

/// Scenario 6.
#[tokio::test]
async fn messages_of_sdks_of_rudderstack_and_cloud_events_arrive_and_are_processed() {
    let deployment = Deployment::get();
    let organization = Deployment::fresh("org");
    let client = deployment.client_of(&organization).await;
    let key = json!({"name": "shop", "scopes": ["events:collect"], "organization_id": organization});
    let key = deployment.admin().post("/api/v1/keys", &key).await.ok();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{}:", key["api_key"].as_str().unwrap()));
    let sdk = deployment.presenting("authorization", &format!("Basic {basic}"));
    let derive = json!({"processor_name": "flag", "processor_type": "transform", "filters": {"event_type": "Order Completed"},
        "config": {"event_type": "order.flagged", "pick": ["order_id"]}});
    client.post(PROCESSORS, &derive).await.ok();
    let message = json!({"type": "track", "event": "Order Completed", "userId": "u1", "messageId": "m1", "properties": {"order_id": "42"}});
    let answer = sdk.post("/v1/batch", &json!({"batch": [message, message, {"type": "track"}]})).await.ok();
    assert_eq!(json!([answer["accepted"], answer["duplicates"], answer["rejected"][0]["index"]]), json!([2, 1, 2]));
    client.until("/api/v1/events/stream/user:u1", |stream| stream["version"] == 2).await;
    assert_eq!(deployment.anybody().post("/v1/track", &message).await.status, 401);
    let stranger = Deployment::fresh("user");
    let webhook = json!({"type": "page", "name": "Home", "userId": stranger, "messageId": stranger});
    for _ in 0..2 {
        deployment.anybody().post("/webhooks/rudderstack", &webhook).await.ok();
    }
    let stream = deployment.admin().get(&format!("/api/v1/events/stream/user:{stranger}")).await.ok();
    assert_eq!(json!([stream["version"], stream["events"][0]["event_category"]]), json!([1, "page_view"]));
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "subject": "order:7", "data": {"total": 1}});
    client.post("/api/v1/events/cloudevents", &event).await.ok();
    assert_eq!(client.get("/api/v1/events/stream/order:7").await.ok()["events"][0]["data"], json!({"total": 1}));
}
