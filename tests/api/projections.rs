//! `/api/v1/events/projections`.

use event_service_tests::app::{Client, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};
use shared::domain::access::Scope;
use shared::ports::revision::Revision;
use shared::testing::projection_store::{key, snapshot};

use super::{BATCH, CREATE, PROJECTIONS, problems};

const ORDER: &str = "/api/v1/events/projections/order/1";

/// Three events of `order:1`, a minute apart.
async fn record(app: &TestApp, client: &Client<'_>) {
    for (event_type, data) in [
        ("order.placed", json!({"total": 50, "customer": {"name": "Ada", "mail": "ada@x.example"}})),
        ("order.changed", json!({"customer": {"mail": null}, "total": 60})),
        ("order.paid", json!({"paid": true})),
    ] {
        client.post(CREATE, &json!({"event_type": event_type, "stream_id": "order:1", "data": data})).await.succeeds();
        app.pass(60);
    }
}

fn summary() -> Value {
    json!({
        "name": "summary", "entity_type": "order",
        "rules": {"order.placed": [{"set": {"total": "$data.total"}}], "*": [{"count": "events"}]},
    })
}

async fn define(client: &Client<'_>, body: &Value) -> Value {
    client.post(PROJECTIONS, body).await.ok()
}

/// BR-PRJ-001. BR-PRJ-003. BR-PRJ-004. Scenario 4: what an entity is, of all its events.
#[tokio::test]
async fn every_entity_has_a_projection_that_is_always_current() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&app, &client).await;
    assert_snapshot!(client.get(ORDER).await);
    client.post(CREATE, &json!({"event_type": "order.sent", "stream_id": "order:1", "data": {"carrier": "snail"}})).await.succeeds();
    let now = client.get(ORDER).await.ok();
    let stream = client.get("/api/v1/events/stream/order:1").await.ok();
    assert_eq!(json!([now["version"], now["state"]["carrier"]]), json!([4, "snail"]));
    assert_eq!(now["last_event_id"], stream["events"][3]["event_id"]);
}

/// Point-in-time reconstruction.
#[tokio::test]
async fn a_state_is_shown_as_it_was_with_the_changes_that_led_there() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&app, &client).await;
    assert_snapshot!(client.get(&format!("{ORDER}?at_version=2&include=history")).await);
    for (query, version) in [
        ("?at_version=3", 3),
        ("?at_time=2026-11-23T12:01:00Z", 2),
        ("?at_time=2026-11-23T12:00:59.999Z", 1),
        ("?at_time=2030-01-01", 3),
        ("?include=history", 3),
    ] {
        assert_eq!(client.get(&format!("{ORDER}{query}")).await.ok()["version"], version, "{query}");
    }
    for (query, says) in [
        ("?at_version=4", "Projection not found: the entity has not come so far: it is at version 3"),
        ("?at_time=2026-11-23T11:59:59Z", "Projection not found: the entity had no event then"),
    ] {
        let answer = client.get(&format!("{ORDER}{query}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["detail"]), (404, &json!(says)));
    }
}

#[tokio::test]
async fn an_entity_without_an_event_has_no_projection() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&app, &client).await;
    for path in ["order/2", "user/1", "order/1?name=unknown", "order/2?at_version=1", "order/2?at_time=2030-01-01"] {
        let answer = client.get(&format!("{PROJECTIONS}/{path}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["detail"]), (404, &json!("Projection not found")), "{path}");
    }
    for (path, place) in [
        ("a:b/1", json!(["path", "entity_type"])),
        ("order/%20", json!(["path", "entity_id"])),
        ("order/1?at_version=0", json!(["query", "at_version"])),
    ] {
        assert_eq!(problems(&client.get(&format!("{PROJECTIONS}/{path}")).await)[0].1, place);
    }
}

/// BR-PRJ-005.
#[tokio::test]
async fn an_entity_has_as_many_projections_as_are_defined() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&app, &client).await;
    let defined = define(&client, &summary()).await;
    assert_snapshot!(serde_json::to_string_pretty(&defined).unwrap());
    define(&client, &json!({"name": "paid", "entity_type": "order", "rules": {"order.paid": [{"set": {"at": "$timestamp"}}]}})).await;
    let by_name = |name: &str| format!("{ORDER}?name={name}");
    assert_eq!(client.get(&by_name("summary")).await.ok()["state"], json!({"events": 3, "total": 50}));
    assert_eq!(client.get(&by_name("paid")).await.ok()["state"], json!({"at": "2026-11-23T12:02:00.000000Z"}));
    let id = async |path: &str| client.get(path).await.ok()["projection_id"].clone();
    assert_ne!(id(ORDER).await, id(&by_name("paid")).await);
    let names = |list: &Value| list.as_array().unwrap().iter().map(|found| found["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&client.get(PROJECTIONS).await.ok()), ["paid", "summary"]);
    let one = format!("{PROJECTIONS}/{}", defined["definition_id"].as_str().unwrap());
    assert_eq!(client.get(&one).await.ok(), defined);
    assert_eq!(client.delete(&one).await.ok(), json!({"status": "deleted", "definition_id": defined["definition_id"]}));
    for gone in [client.get(&one).await, client.delete(&one).await, client.get(&by_name("summary")).await] {
        assert_eq!(gone.status, 404, "{gone}");
    }
    assert_eq!(names(&client.get(PROJECTIONS).await.ok()), ["paid"]);
}

#[tokio::test]
async fn the_same_name_again_gives_a_projection_other_rules() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&app, &client).await;
    let first = define(&client, &summary()).await;
    app.pass(60);
    assert_eq!(define(&client, &summary()).await, first, "the same rules are no new version");
    let mut other = summary();
    other["rules"] = json!({"*": [{"count": "n"}]});
    let second = define(&client, &other).await;
    assert_eq!(
        json!([second["definition_id"], second["rules_version"], second["created_at"]]),
        json!([first["definition_id"], 2, first["created_at"]])
    );
    assert_ne!(second["updated_at"], first["updated_at"]);
    let found = client.get(&format!("{ORDER}?name=summary")).await.ok();
    assert_eq!(json!([found["state"], found["rules_version"]]), json!([{"n": 3}, 2]));
}

/// BR-PRJ-002. Whatever was kept.
#[tokio::test]
async fn a_projection_is_rebuilt_from_its_events() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&app, &client).await;
    let right = client.get(ORDER).await.ok();
    // Somebody has damaged what is kept.
    app.app.stores.snapshots.save_snapshot(&key("order:1", None, 1), &snapshot(3), Revision(0)).await.unwrap();
    assert_ne!(client.get(ORDER).await.ok()["state"], right["state"]);
    assert_eq!(client.post_text(&format!("{ORDER}/rebuild"), "").await.ok(), right);
    assert_eq!(client.get(ORDER).await.ok(), right);
    assert_eq!(client.post_text(&format!("{PROJECTIONS}/order/2/rebuild"), "").await.status, 404);
}

#[tokio::test]
async fn an_event_that_a_rule_cannot_be_applied_to_is_skipped_and_named() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&app, &client).await;
    let rules = json!({"order.*": [{"increment": {"sum": "$data.total"}}]});
    define(&client, &json!({"name": "sum", "entity_type": "order", "rules": rules})).await;
    let found = client.get(&format!("{ORDER}?name=sum")).await.ok();
    assert_eq!(json!([found["state"], found["version"], found["skipped"]]), json!([{"sum": 110}, 3, 1]));
    assert_eq!(found["warnings"][0]["reason"], "the event has no data.total");
    assert_eq!(found["warnings"][0]["event_id"], found["last_event_id"]);
}

#[tokio::test]
async fn rules_are_tried_on_an_entity_and_nothing_is_kept() {
    let app = TestApp::in_memory();
    let client = app.client_with(&[Scope::Read, Scope::Write], None).await;
    record(&app, &client).await;
    let mut body = summary();
    body["entity_id"] = json!("1");
    let found = client.post(&format!("{PROJECTIONS}/dry-run"), &body).await.ok();
    assert_eq!(json!([found["state"], found["version"]]), json!([{"events": 3, "total": 50}, 3]));
    assert_eq!(client.get(PROJECTIONS).await.ok(), json!([]));
    body["entity_id"] = json!("2");
    assert_eq!(client.post(&format!("{PROJECTIONS}/dry-run"), &body).await.status, 404);
    body["rules"] = json!({"x": [{"set": {"a": "$nothing"}}]});
    assert_snapshot!(client.post(&format!("{PROJECTIONS}/dry-run"), &body).await);
}

#[tokio::test]
async fn a_definition_that_cannot_be_understood_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    assert_snapshot!(client.post(PROJECTIONS, &json!({"name": "default", "rules": {"order.*": [{"set": {"a..b": 1}}, 7]}})).await);
    assert_eq!(client.get(PROJECTIONS).await.ok(), json!([]));
}

/// Each organization sees its own entities, by its own rules or the platform's.
#[tokio::test]
async fn an_entity_is_its_organizations() {
    let app = TestApp::in_memory();
    let (platform, acme, other) = (app.client().await, app.client_of("acme").await, app.client_of("other").await);
    acme.post(CREATE, &json!({"event_type": "a", "stream_id": "order:1", "data": {"whose": "acme"}})).await.succeeds();
    assert_eq!(other.get(ORDER).await.status, 404);
    assert_eq!(other.get(&format!("{ORDER}?organization_id=acme")).await.status, 403);
    let alone = platform.get(ORDER).await.ok();
    assert_eq!(json!([alone["state"]["whose"], alone["organization_id"]]), json!(["acme", "acme"]), "the only one of this name");
    other.post(CREATE, &json!({"event_type": "a", "stream_id": "order:1", "data": {"whose": "other"}})).await.succeeds();
    let ambiguous = platform.get(ORDER).await;
    assert_eq!(ambiguous.status, 409, "{ambiguous}");
    assert_eq!(platform.get(&format!("{ORDER}?organization_id=other")).await.ok()["state"]["whose"], "other");
    platform.post(CREATE, &json!({"event_type": "a", "stream_id": "order:1", "data": {"whose": "nobody"}})).await.succeeds();
    assert_eq!(platform.get(ORDER).await.ok()["state"]["whose"], "nobody");
    for (client, whose) in [(&acme, "acme"), (&other, "other")] {
        assert_eq!(client.get(ORDER).await.ok()["state"]["whose"], whose);
    }
}

#[tokio::test]
async fn an_organizations_rules_are_for_its_own_entities() {
    let app = TestApp::in_memory();
    let (platform, acme, other) = (app.client().await, app.client_of("acme").await, app.client_of("other").await);
    for client in [&acme, &other] {
        client
            .post(BATCH, &json!([{"event_type": "a", "stream_id": "order:1"}, {"event_type": "b", "stream_id": "order:1"}]))
            .await
            .succeeds();
    }
    let counting = |path: &str| json!({"name": "summary", "entity_type": "order", "rules": {"*": [{"count": path}]}});
    let of_all = define(&platform, &counting("all")).await;
    let own = define(&acme, &counting("own")).await;
    assert_eq!(json!([of_all["organization_id"], own["organization_id"]]), json!([null, "acme"]));
    let by_name = format!("{ORDER}?name=summary");
    assert_eq!(acme.get(&by_name).await.ok()["state"], json!({"own": 2}));
    assert_eq!(other.get(&by_name).await.ok()["state"], json!({"all": 2}));
    let shown = async |client: &Client<'_>| client.get(PROJECTIONS).await.ok().as_array().unwrap().len();
    assert_eq!((shown(&platform).await, shown(&acme).await, shown(&other).await), (2, 2, 1));
    let at = |definition: &Value| format!("{PROJECTIONS}/{}", definition["definition_id"].as_str().unwrap());
    assert_eq!(other.get(&at(&own)).await.status, 404);
    for (client, definition) in [(&other, &own), (&acme, &of_all)] {
        assert_eq!(client.delete(&at(definition)).await.status, 404, "it is not theirs to remove");
    }
    assert_eq!(
        acme.post(PROJECTIONS, &{
            let mut foreign = counting("x");
            foreign["organization_id"] = json!("other");
            foreign
        })
        .await
        .status,
        403
    );
    acme.delete(&at(&own)).await.succeeds();
    assert_eq!(acme.get(&by_name).await.ok()["state"], json!({"all": 2}));
}

#[tokio::test]
async fn reading_needs_the_right_to_read_and_defining_that_of_an_admin() {
    let app = TestApp::in_memory();
    let (reader, writer) = (app.client_with(&[Scope::Read], None).await, app.client_with(&[Scope::Write], None).await);
    assert_eq!(reader.get(ORDER).await.status, 404);
    assert_eq!(writer.get(ORDER).await.status, 403);
    assert_eq!(reader.post(PROJECTIONS, &summary()).await.status, 403);
    assert_eq!(reader.post_text(&format!("{ORDER}/rebuild"), "").await.status, 403);
    assert_eq!(reader.delete(&format!("{PROJECTIONS}/x")).await.status, 403);
    assert_eq!(app.anybody().get(ORDER).await.status, 401);
}
