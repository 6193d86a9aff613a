//! The scenarios of the domain, from end to end on the embedded DynamoDB: an order is placed, and
//! an analyst reads the week.

use event_service_tests::Store;
use event_service_tests::app::{Client, TestApp};
use serde_json::{Value, json};
use shared::domain::access::Scope;

use super::{BATCH, CREATE, QUERY, STATISTICS, process_everything, types};

/// Scenario 2: an order service records that an order was placed.
#[tokio::test]
async fn a_placed_order_is_recorded_once_and_read_back_in_every_way() {
    let store = Store::open().await;
    let app = TestApp::on(&store);
    process_everything(&app).await;
    let service = app.client_with(&[Scope::Write], Some("shop")).await;
    let auditor = app.client_with(&[Scope::Read], Some("shop")).await;
    let order = json!({
        "event_type": "order.placed", "event_source": "backend", "event_category": "order", "user_id": "customer_1",
        "entity_type": "order", "entity_id": "1001", "expected_version": "none", "correlation_id": "checkout-7",
        "data": {"order_id": "1001", "items": [{"sku": "A-1", "quantity": 2}], "total": 50.0, "payment_method": "card"},
    });
    let placed = service.post_once("checkout-7", CREATE, &order).await;
    let event = placed.ok();
    assert_eq!(
        json!([event["status"], event["stream_id"], event["stream_version"], event["organization_id"], event["data"]["total"]]),
        json!(["pending", "order:1001", 1, "shop", 50.0])
    );

    // The order service never got the answer, and asks again; then it goes on.
    let again = service.post_once("checkout-7", CREATE, &order).await;
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&placed.text, Some("true")));
    assert_eq!(service.post(CREATE, &order).await.status, 409, "there is an order 1001 already");
    let (user, stream) = ("customer_1", "order:1001");
    let follows = json!([
        {"event_type": "payment.taken", "event_category": "payment", "user_id": user, "stream_id": stream, "expected_version": 1},
        {"event_type": "order.shipped", "event_category": "order", "user_id": user, "stream_id": stream, "expected_version": 2},
    ]);
    service.post(BATCH, &follows).await.succeeds();

    let id = event["event_id"].as_str().unwrap();
    assert_eq!(auditor.get(&format!("/api/v1/events/{id}")).await.ok(), event);
    let stream = auditor.get("/api/v1/events/stream/order:1001").await.ok();
    assert_eq!((types(&stream["events"]), &stream["version"]), (vec!["order.placed", "payment.taken", "order.shipped"], &json!(3)));
    let traced = auditor.post(QUERY, &json!({"correlation_id": "checkout-7"})).await.ok();
    assert_eq!(traced["events"], json!([event]));
    store.count().await;
    let statistics = auditor.get(&format!("{STATISTICS}?user_id=customer_1")).await.ok();
    assert_eq!(json!([statistics["total_events"], statistics["events_by_category"]]), json!([3, {"order": 2, "payment": 1}]));
}

/// The orders of a week, one every twelve minutes, among other things: 840 orders.
async fn a_week_of_orders(client: &Client<'_>) -> (u64, f64) {
    let (start, orders) = (1_795_435_200 - 7 * 24 * 3600, 7 * 24 * 5);
    let (mut count, mut revenue) = (0, 0.0);
    let mut events: Vec<Value> = Vec::new();
    for number in 0..orders {
        let total = f64::from(number % 90) + 5.5;
        let (timestamp, user) = (start + i64::from(number) * 720, format!("customer_{}", number % 37));
        count += 1;
        revenue += total;
        events.push(json!({
            "event_type": "order.placed", "event_category": "order", "user_id": user, "entity_type": "order",
            "entity_id": number.to_string(), "timestamp": timestamp, "data": {"order_id": number.to_string(), "total": total},
        }));
        if number % 4 == 0 {
            events.push(json!({
                "event_type": "page.viewed", "event_source": "frontend", "event_category": "page_view",
                "user_id": user, "timestamp": timestamp,
            }));
        }
    }
    // The week before is nobody's business.
    events.push(json!({"event_type": "order.placed", "event_category": "order", "timestamp": start - 1, "data": {"total": 1e6}}));
    for batch in events.chunks(100) {
        client.post(BATCH, &json!(batch)).await.succeeds();
    }
    (count, revenue)
}

/// Scenario 3: a dashboard makes the weekly sales report.
#[tokio::test]
async fn the_orders_of_a_week_are_read_with_their_exact_number_and_revenue() {
    let store = Store::open().await;
    let app = TestApp::on(&store);
    let client = app.client().await;
    let (count, revenue) = a_week_of_orders(&client).await;
    let week =
        json!({"event_type": "order.placed", "start_time": "2026-11-16T12:00:00Z", "end_time": "2026-11-23T12:00:00Z", "limit": 1000});
    // What happened on other days is found as soon as it is counted.
    store.count().await;
    let page = client.post(QUERY, &week).await.ok();
    assert_eq!(json!([page["total"], page["total_is_exact"], page["has_more"]]), json!([count, true, false]));
    let events = page["events"].as_array().unwrap();
    assert_eq!(events.len() as u64, count);
    let sum: f64 = events.iter().map(|event| event["data"]["total"].as_f64().unwrap()).sum();
    assert!((sum - revenue).abs() < 1e-6, "{sum} {revenue}");
    let times: Vec<&str> = events.iter().map(|event| event["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "newest first");

    // The same by pages, with a cursor and with offsets.
    let (mut by_cursor, mut by_offset, mut cursor) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let mut query = week.clone();
        query["limit"] = json!(250);
        query["cursor"] = cursor;
        let page = client.post(QUERY, &query).await.ok();
        by_cursor.extend(page["events"].as_array().unwrap().clone());
        query["cursor"] = Value::Null;
        query["offset"] = json!(by_offset.len());
        by_offset.extend(client.post(QUERY, &query).await.ok()["events"].as_array().unwrap().clone());
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!((by_cursor.len() as u64, &by_cursor), (count, &by_offset));
    assert_eq!(json!(by_cursor), client.post(QUERY, &week).await.ok()["events"]);

    let statistics = client.get(STATISTICS).await.ok();
    assert_eq!(
        json!([statistics["total_events"], statistics["events_by_type"], statistics["processed_events"], statistics["error_rate"]]),
        json!([count + count / 4 + 1, {"order.placed": count + 1, "page.viewed": count / 4}, count + count / 4 + 1, 0.0])
    );
    let one = client.post(QUERY, &json!({"event_type": "order.placed", "data": {"order_id": "400"}})).await.ok();
    assert_eq!((&one["total"], &one["events"][0]["stream_id"]), (&json!(1), &json!("order:400")));
}

/// An answer on DynamoDB is the answer that the memory adapters give, for every route.
#[tokio::test]
async fn both_adapters_give_the_same_answers() {
    let store = Store::open().await;
    let (memory, dynamo) = (TestApp::in_memory(), TestApp::on(&store));
    let mut answers = Vec::new();
    for app in [&memory, &dynamo] {
        let client = app.client().await;
        let mut seen = Vec::new();
        for (path, body) in [
            (CREATE, json!({"event_type": "a", "user_id": "u", "data": {"n": 1}, "timestamp": "2026-11-20"})),
            (super::PROCESSORS, json!({"processor_name": "p", "processor_type": "internal", "filters": {"event_type": "d"}})),
            (CREATE, json!({"event_type": "b", "event_id": super::CLIENT_ID})),
            (CREATE, json!({"event_type": "c", "event_id": super::CLIENT_ID})),
            (BATCH, json!([{"event_type": "a", "user_id": "u"}, {"event_type": "d", "organization_id": "o", "session_id": "s"}])),
            (BATCH, json!([{"event_type": "a", "user_id": "u", "expected_version": 7}])),
        ] {
            seen.push(client.post(path, &body).await);
        }
        store.count().await;
        for query in [
            json!({"user_id": "u", "limit": 1}),
            json!({"data": {"n": 1}}),
            json!({}),
            json!({"organization_id": "o", "status": "pending"}),
            json!({"status": "processed"}),
            json!({"status": "failed"}),
            json!({"session_id": "s", "start_time": "2026-11-23"}),
        ] {
            seen.push(client.post(QUERY, &query).await);
        }
        let id = seen[0].ok()["event_id"].as_str().unwrap().to_owned();
        for path in
            ["/health", STATISTICS, &format!("{STATISTICS}?user_id=u"), "/api/v1/events/stream/user:u", "/api/v1/events/stream/user:x"]
        {
            seen.push(client.get(path).await);
        }
        for id in [&id, super::CLIENT_ID, "0190f3a1-7e1b-8c3d-8e4f-5a6b7c8d9e0f"] {
            seen.push(client.get(&format!("/api/v1/events/{id}")).await);
        }
        answers.push(seen);
    }
    for (memory, dynamo) in answers[0].iter().zip(&answers[1]) {
        assert_eq!(memory, dynamo, "{memory}\n{dynamo}");
    }
}
