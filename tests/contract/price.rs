//! What operations cost: calls and units, exactly. These numbers are the product's promise.

use event_service_tests::Store;
use shared::adapters::dynamodb::Usage;
use shared::adapters::system::SystemRandom;
use shared::commands::append::{AppendPorts, AppendRequest, KnownHeads, append};
use shared::domain::event::{EventDetails, EventDraft};
use shared::domain::json::JsonObject;
use shared::domain::version::ExpectedVersion;
use shared::ports::event_reader::EventReader;
use shared::testing::builders::{details, noon};

/// An event of a kilobyte, like an order.
fn kilobyte(stream: Option<&str>, number: usize) -> EventDraft {
    let items: Vec<serde_json::Value> =
        (0..11).map(|item| serde_json::json!({"sku": format!("SKU-{:05}", number * 31 + item * 977), "quantity": item % 3 + 1, "price": 19.99 + f64::from(u32::try_from(item).unwrap()), "name": format!("Article {item} of {number}")})).collect();
    let data = serde_json::json!({"order_id": format!("ord_{number:08}"), "items": items, "total": 219.89, "payment_method": "card", "currency": "EUR"});
    let details = EventDetails {
        data: JsonObject::parse(&data.to_string()).unwrap(),
        ..details(&serde_json::json!({"type": "order.placed", "category": "order", "user": "user_12345", "correlation": "c-1"}))
    };
    let draft = EventDraft {
        event_id: None,
        organization: None,
        stream: stream.map(|stream| stream.parse().unwrap()),
        expected_version: ExpectedVersion::Any,
        occurred_at: None,
        details,
    };
    assert!((900..=1100).contains(&draft.bytes()), "{} bytes", draft.bytes());
    draft
}

async fn cost(store: &Store, heads: &KnownHeads, drafts: Vec<EventDraft>) -> Usage {
    store.meter.reset();
    let ports = AppendPorts { log: &store.events, random: &SystemRandom, heads };
    append(&ports, &AppendRequest { drafts, key: None, now: noon() }).await.unwrap();
    store.meter.take()
}

#[tokio::test]
async fn a_kilobyte_event_in_its_users_stream_takes_two_write_units_and_one_call() {
    let (store, heads) = (Store::open().await, KnownHeads::default());
    let first = cost(&store, &heads, vec![kilobyte(None, 1)]).await;
    assert_eq!((first.calls, first.write_units), (2, 2.0), "the head is not known: {first:?}");
    let second = cost(&store, &heads, vec![kilobyte(None, 2)]).await;
    assert_eq!((second.calls, second.write_units, second.read_units), (1, 2.0, 0.0));
    // In another entity's stream, the event is found by its user through an index of its own.
    let foreign = cost(&store, &heads, vec![kilobyte(Some("order:1"), 3)]).await;
    assert_eq!((foreign.calls, foreign.write_units), (2, 3.0));
}

#[tokio::test]
async fn batches_in_one_stream_take_a_fraction_of_a_unit_for_each_event() {
    let (store, heads) = (Store::open().await, KnownHeads::default());
    cost(&store, &heads, vec![kilobyte(None, 0)]).await;
    let twenty = cost(&store, &heads, (0..20).map(|number| kilobyte(None, number)).collect()).await;
    assert_eq!(twenty.calls, 1);
    assert!(twenty.write_units / 20.0 <= 0.6, "{} units each", twenty.write_units / 20.0);
    let hundred = cost(&store, &heads, (0..100).map(|number| kilobyte(None, number)).collect()).await;
    assert_eq!(hundred.calls, 1);
    assert!(hundred.write_units / 100.0 <= 0.6, "{} units each", hundred.write_units / 100.0);
}

#[tokio::test]
async fn an_event_is_got_by_its_id_in_one_call_beside_its_outcomes() {
    let (store, heads) = (Store::open().await, KnownHeads::default());
    let ports = AppendPorts { log: &store.events, random: &SystemRandom, heads: &heads };
    let appended = append(&ports, &AppendRequest { drafts: vec![kilobyte(None, 1)], key: None, now: noon() }).await.unwrap();
    store.meter.reset();
    assert!(store.event(appended.events[0].id, None).await.unwrap().is_some());
    let usage = store.meter.take();
    assert_eq!((usage.calls, usage.write_units), (2, 0.0));
    assert!(usage.read_units <= 2.0, "{usage:?}");
}
