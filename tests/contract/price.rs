//! What operations cost: calls and units, exactly. These numbers are the product's promise.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use event_service_tests::{StoppedClock, Store};
use futures::future::join_all;
use shared::adapters::dynamodb::Usage;
use shared::adapters::embedded_queues::{EmbeddedQueues, QueuesLocation};
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::append::{AppendPorts, AppendRequest, KnownHeads, append};
use shared::commands::archive_events::{ArchiveAfter, ArchiveEventsPorts, ArchiveRun, archive_events};
use shared::commands::check_schemas::SchemaGate;
use shared::commands::collect_events::{CollectEventsPorts, collect_events};
use shared::domain::access::Caller;
use shared::domain::collected_event::CollectedEvent;
use shared::domain::commit::Commit;
use shared::domain::delivery::Delivery;
use shared::domain::event::{EventDetails, EventDraft};
use shared::domain::json::JsonObject;
use shared::domain::message::Message;
use shared::domain::outcome::{EventOutcome, Outcome, ProcessingResult, ResultStatus};
use shared::domain::query::{EventFilter, EventQuery, PageSize, PageStart};
use shared::domain::status::EventStatus;
use shared::domain::version::{ExpectedVersion, Version};
use shared::ports::clock::Clock as _;
use shared::ports::definition_store::{DefinitionStore, Freshness};
use shared::ports::delivery_log::DeliveryLog;
use shared::ports::event_reader::{EventReader, StreamRequest};
use shared::ports::outcome_log::OutcomeLog;
use shared::ports::revision::Revision;
use shared::queries::read_projection::{MOST_EVENTS, Moment, ProjectionRequest, ReadProjectionPorts, WithHistory, read_projection};
use shared::testing::builders::{commit, delivery, details, event, noon, processor};
use shared::testing::outcome_log::concluded;

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
        trace: None,
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

/// The price of what does not compress: a promise of what it is at most.
#[tokio::test]
async fn a_kilobyte_of_noise_takes_four_write_units_alone_and_less_than_two_in_a_batch() {
    let (store, heads) = (Store::open().await, KnownHeads::default());
    let mut state = 42_u64;
    let mut noise = |number: usize| {
        let letter = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[usize::try_from(state >> 58).unwrap()])
        };
        let text: String = (0..980).map(letter).collect();
        let draft = kilobyte(None, number);
        let data = JsonObject::parse(&serde_json::json!({"noise": text}).to_string()).unwrap();
        EventDraft { details: EventDetails { data, ..draft.details.clone() }, ..draft }
    };
    cost(&store, &heads, vec![noise(0)]).await;
    let alone = cost(&store, &heads, vec![noise(1)]).await;
    assert_eq!((alone.calls, alone.write_units), (1, 4.0));
    let twenty = cost(&store, &heads, (0..20).map(&mut noise).collect()).await;
    assert_eq!(twenty.calls, 1);
    assert!((1.2..2.0).contains(&(twenty.write_units / 20.0)), "{} units each", twenty.write_units / 20.0);
}

/// Nobody is told to come back, and no call is in vain: DynamoDB bills refused writes as well.
#[tokio::test]
async fn many_writers_of_one_process_at_one_stream_take_a_call_each() {
    let (store, heads) = (Store::open().await, KnownHeads::default());
    cost(&store, &heads, vec![kilobyte(None, 0)]).await;
    let ports = AppendPorts { log: &store.events, random: &SystemRandom, heads: &heads };
    let writing = (1..=64).map(async |number| {
        let request = AppendRequest { drafts: vec![kilobyte(None, number)], key: None, now: noon() };
        append(&ports, &request).await.unwrap().events[0].stream_version.get()
    });
    let versions: Vec<u64> = join_all(writing).await;
    assert_eq!(versions, (2..=65).collect::<Vec<u64>>(), "in the order of coming");
    let used = store.meter.take();
    assert_eq!((used.calls, used.write_units), (64, 128.0), "{used:?}");
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

/// Reading a state that was read before takes two calls, however many events led to it; and what is little is not kept.
#[tokio::test]
async fn a_projection_is_two_calls_once_it_was_read() {
    let (store, heads) = (Store::open().await, KnownHeads::default());
    let caller = Caller { name: "test".to_owned(), scopes: Vec::new(), organization: None };
    let read = async |version: u64| {
        // What is defined is known already.
        store.events.definitions(Freshness::Recent).await.unwrap();
        store.meter.reset();
        let ports =
            ReadProjectionPorts { streams: &store.events, snapshots: &store.events, definitions: &store.events, most_events: MOST_EVENTS };
        let stream = "user:user_12345".parse().unwrap();
        let request = ProjectionRequest { stream, organization: None, name: None, moment: Moment::Now, history: WithHistory::No };
        let found = read_projection(&ports, &caller, &request).await.unwrap();
        assert_eq!(found.projection.progress().version.get(), version);
        store.meter.take()
    };
    for number in 0..10 {
        cost(&store, &heads, vec![kilobyte(None, number)]).await;
    }
    for _ in 0..2 {
        let few = read(10).await;
        assert_eq!((few.calls, few.write_units), (2, 0.0), "ten events are cheaper to read again than to keep");
        assert!(few.read_units <= 1.0 + 10.0 / 4.0 + 1.0, "{few:?}");
    }
    for number in 10..200 {
        cost(&store, &heads, vec![kilobyte(None, number)]).await;
    }
    let cold = read(200).await;
    assert_eq!(cold.calls, 3, "what is kept, the events, and what is kept from now on");
    assert!(cold.write_units <= 3.0, "{cold:?}");
    for _ in 0..2 {
        let warm = read(200).await;
        assert_eq!((warm.calls, warm.write_units, warm.read_units), (2, 0.0, 2.0));
    }
    cost(&store, &heads, vec![kilobyte(None, 200)]).await;
    assert_eq!(read(201).await.calls, 2);
}

/// What a page sends: half a kilobyte, and little of it new.
fn view(number: usize) -> CollectedEvent {
    let page =
        serde_json::json!({"product_id": format!("{}", number * 7919), "price": 19.99, "list": "search results", "position": number % 20});
    let metadata = serde_json::json!({
        "client_ip": "203.0.113.7", "message_id": format!("5f0c6a51-3a51-4b0e-9d0e-{number:012x}"), "page_url": format!("https://shop.example/p/{}", number * 7919),
        "referer": "https://shop.example/search?q=shoes", "received_at": "2026-11-23T12:00:00.000000Z",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    });
    let details = EventDetails {
        data: JsonObject::parse(&page.to_string()).unwrap(),
        metadata: JsonObject::parse(&metadata.to_string()).unwrap(),
        ..details(&serde_json::json!({"type": "product_view", "source": "frontend", "category": "page_view", "session": "s-9f2c"}))
    };
    let draft = EventDraft {
        event_id: None,
        organization: None,
        stream: None,
        expected_version: ExpectedVersion::Any,
        occurred_at: Some(noon()),
        trace: None,
        details,
    };
    let id = format!("5f0c6a51-3a51-4b0e-9d0e-{number:012x}").parse().unwrap();
    CollectedEvent { draft, message: Some(Message { id, sender: Some("s-9f2c".to_owned()), made_at: Some(noon()) }) }
}

async fn collecting(store: &Store, heads: &KnownHeads, events: Vec<CollectedEvent>) -> Usage {
    store.meter.reset();
    let clock = StoppedClock::new(noon());
    let queues = EmbeddedQueues::open(QueuesLocation::Memory, Arc::new(SystemClock)).unwrap();
    let append = AppendPorts { log: &store.events, random: &SystemRandom, heads };
    let gate = SchemaGate::default();
    let ports =
        CollectEventsPorts { append, rejected: &store.events, queues: &queues, clock: &clock, definitions: &store.events, gate: &gate };
    let count = events.len();
    assert_eq!(collect_events(&ports, events).await.unwrap().len(), count);
    store.meter.take()
}

#[tokio::test]
async fn a_batch_of_messages_of_one_session_is_stored_once_in_one_call_for_a_fraction_of_a_unit_each() {
    let (store, heads) = (Store::open().await, KnownHeads::default());
    collecting(&store, &heads, vec![view(0)]).await;
    let twenty = collecting(&store, &heads, (1..21).map(view).collect()).await;
    assert_eq!((twenty.calls, twenty.read_units), (1, 0.0));
    assert!(twenty.write_units / 20.0 <= 0.75, "{} units each", twenty.write_units / 20.0);
    // Again, and nothing is stored: one call says so.
    let again = collecting(&store, &heads, (1..21).map(view).collect()).await;
    assert_eq!(again.calls, 1);
    let alone = collecting(&store, &heads, vec![view(21)]).await;
    assert_eq!((alone.calls, alone.write_units), (1, 5.0));
    // What no message names needs no note.
    let unnamed = |number| CollectedEvent { message: None, ..view(number) };
    let plain = collecting(&store, &heads, (30..50).map(unnamed).collect()).await;
    assert_eq!(plain.calls, 1);
    assert!(plain.write_units / 20.0 <= 0.3, "{} units each", plain.write_units / 20.0);
}

#[tokio::test]
async fn an_event_is_got_by_its_id_in_one_call_beside_its_outcomes() {
    let (store, heads) = (Store::open().await, KnownHeads::default());
    let ports = AppendPorts { log: &store.events, random: &SystemRandom, heads: &heads };
    let appended = append(&ports, &AppendRequest { drafts: vec![kilobyte(None, 1)], key: None, now: noon() }).await.unwrap();
    store.definitions(Freshness::Recent).await.unwrap();
    store.meter.reset();
    assert!(store.event(appended.events[0].id, None).await.unwrap().is_some());
    let usage = store.meter.take();
    assert_eq!((usage.calls, usage.write_units), (2, 0.0));
    assert!(usage.read_units <= 2.0, "{usage:?}");
}

#[tokio::test]
async fn definitions_that_did_not_change_are_confirmed_in_one_call() {
    let store = Store::open().await;
    assert!(store.save_processor(&processor(&serde_json::json!({})), Revision(0)).await.unwrap());
    let other = store.another_process();
    store.meter.reset();
    other.definitions(Freshness::Current).await.unwrap();
    assert_eq!(store.meter.take().calls, 2, "the revision, and all definitions");
    other.definitions(Freshness::Current).await.unwrap();
    let confirmed = store.meter.take();
    assert_eq!((confirmed.calls, confirmed.read_units, confirmed.write_units), (1, 1.0, 0.0));
    other.definitions(Freshness::Recent).await.unwrap();
    assert_eq!(store.meter.take().calls, 0);
}

#[tokio::test]
async fn a_failed_delivery_takes_a_few_units() {
    let store = Store::open().await;
    let delivery = delivery(0);
    store.meter.reset();
    let (health, seen) = store.health(&delivery.subscription).await.unwrap();
    assert!(store.save_health(&delivery.subscription, &health.failed(noon()), seen).await.unwrap());
    let usage = store.meter.take();
    assert_eq!((usage.calls, usage.read_units, usage.write_units), (2, 1.0, 1.0), "the health");
    assert!(store.save_delivery(&Delivery { due_at: None, ..delivery.clone() }, Revision(0)).await.unwrap());
    let usage = store.meter.take();
    assert_eq!((usage.calls, usage.write_units), (1, 1.0), "the delivery");
    let (_, seen) = store.delivery(&delivery.subscription, &delivery.id).await.unwrap();
    store.meter.reset();
    assert!(store.save_delivery(&delivery, seen).await.unwrap());
    let usage = store.meter.take();
    assert_eq!((usage.calls, usage.write_units), (1, 2.0), "the delivery, and that it is due at some moment");
    assert_eq!(store.take_quota(&delivery.subscription, noon(), 10, 50).await.unwrap(), 10);
    let usage = store.meter.take();
    assert_eq!((usage.calls, usage.write_units), (1, 1.0), "a second's quota");
}

/// The results of one processor for each event of a commit.
fn done(commit: &Commit) -> Outcome {
    let result = |number: usize| ProcessingResult {
        processor: "send-confirmation".to_owned(),
        status: ResultStatus::Success,
        message: None,
        at: noon().plus_micros(i64::try_from(number * 20_011).unwrap()),
        ms: 7 + number as u64 * 31 % 50,
        attempt: 1,
    };
    let events = (0..commit.events.len()).map(|number| EventOutcome::of(vec![result(number)]));
    Outcome { commit: commit.id(), events: events.collect() }
}

#[tokio::test]
async fn what_became_of_a_commits_events_takes_one_write_unit() {
    let store = Store::open().await;
    for (name, events) in [("acme/order:ord_00001234", 1), ("acme/order:ord_00005678", 20)] {
        let commit = commit(name, 1, (0..events).map(|_| event("order.placed")).collect());
        for seen in 0..3 {
            store.meter.reset();
            assert!(store.save_outcome(&concluded(&commit), &done(&commit), Revision(seen)).await.unwrap());
            let usage = store.meter.take();
            assert_eq!((usage.calls, usage.write_units, usage.read_units), (1, 1.0, 0.0), "{events} events");
        }
    }
}

#[tokio::test]
async fn an_event_that_no_processor_is_given_is_processed_from_the_start_and_costs_no_write() {
    let (store, heads) = (Store::open().await, KnownHeads::default());
    let elsewhere = serde_json::json!({"organization": "acme"});
    assert!(store.save_processor(&processor(&elsewhere), Revision(0)).await.unwrap());
    let unknown = cost(&store, &heads, vec![kilobyte(None, 1)]).await;
    assert_eq!((unknown.calls, unknown.write_units), (2, 2.0), "where its stream ends, the event, and nothing else");
    let page = async || {
        let query = EventQuery { filter: EventFilter::default(), size: PageSize::default(), start: PageStart::Offset(0) };
        store.definitions(Freshness::Recent).await.unwrap();
        store.meter.reset();
        let page = store.query(&query, noon()).await.unwrap();
        (page.events.iter().map(|event| event.outcome.clone()).collect::<Vec<_>>(), store.meter.take())
    };
    let (outcomes, listed) = page().await;
    assert_eq!(outcomes, [EventOutcome::NOTHING_TO_DO]);
    let ours = serde_json::json!({"id": "processor-2", "name": "second"});
    assert!(store.save_processor(&processor(&ours), Revision(1)).await.unwrap());
    let (outcomes, looked_up) = page().await;
    assert_eq!(outcomes, [EventOutcome::PENDING]);
    assert_eq!(looked_up.calls, listed.calls + 1, "only events that a processor is given may have an outcome");
    assert_eq!((listed.write_units, looked_up.write_units), (0.0, 0.0));
}

/// Archiving is once: what it takes of the table, it gives back in storage. An event of a kilobyte in its user's stream takes a unit in the
/// table and one in the time index, as storing it did; and reading it then takes one part of an object.
#[tokio::test]
async fn an_archived_event_takes_two_write_units_and_leaves_two_fifths_of_its_bytes() {
    let (store, heads) = (Store::open().await, KnownHeads::default());
    for number in 0..50 {
        cost(&store, &heads, vec![kilobyte(None, number)]).await;
    }
    store.count().await;
    let before = bytes_of_commits(&store).await;
    store.meter.reset();
    let clock = StoppedClock::new(noon().plus(Duration::from_hours(24 * 40)));
    let ports = ArchiveEventsPorts { archive: &store.events, objects: &*store.objects, clock: &clock };
    let run = ArchiveRun::scheduled(ArchiveAfter::days(30).unwrap(), clock.now(), Duration::from_mins(10));
    let archived = archive_events(&ports, &run).await.unwrap();
    assert_eq!((archived.events, archived.objects), (50, 1));
    let used = store.meter.take();
    // Two more for how far it has come.
    assert_eq!((used.calls > 50, used.write_units), (true, 102.0), "{used:?}");
    let after = bytes_of_commits(&store).await;
    assert!(after * 5 < before * 2, "{before} bytes before, {after} after");
    let packed: usize = store.objects.all().values().map(Vec::len).sum();
    assert!(packed * 5 < before, "{packed} bytes in the archive");

    // Of a batch, a hundredth of an item stays for each event.
    let batch = Store::open().await;
    cost(&batch, &heads, (0..100).map(|number| kilobyte(Some("order:1"), number)).collect()).await;
    batch.count().await;
    let before = bytes_of_commits(&batch).await;
    batch.meter.reset();
    let ports = ArchiveEventsPorts { archive: &batch.events, objects: &*batch.objects, clock: &clock };
    assert_eq!(archive_events(&ports, &run).await.unwrap().events, 100);
    let units = batch.meter.take().write_units / 100.0;
    assert!(units <= 0.7, "{units} units each");
    let after = bytes_of_commits(&batch).await;
    assert!(after * 20 < before, "{before} bytes before, {after} after");

    let last = StreamRequest {
        stream: "user:user_12345".parse().unwrap(),
        organization: None,
        from: Version::new(50),
        to: Version::new(50),
        limit: 1,
    };
    let found = store.stream(&last).await.unwrap().events.pop().unwrap();
    assert_eq!(found.outcome.status, EventStatus::Archived);
    store.meter.reset();
    assert!(store.event(found.event.id, None).await.unwrap().is_some());
    let used = store.meter.take();
    assert!(used.calls <= 3 && used.read_units <= 3.0, "{used:?}");
}

/// The bytes that commits take in the table, keys and names included.
async fn bytes_of_commits(store: &Store) -> usize {
    let found = store.client.scan().table_name(&store.table).send().await.unwrap();
    let is_commit = |item: &&HashMap<String, AttributeValue>| item["pk"].as_s().unwrap().starts_with("S#");
    let size = |value: &AttributeValue| {
        let text = value.as_s().map(String::len).or_else(|_| value.as_b().map(|bytes| bytes.as_ref().len()));
        text.or_else(|_| value.as_n().map(|digits| digits.len() / 2 + 1)).unwrap()
    };
    found.items().iter().filter(is_commit).flatten().map(|(name, value)| name.len() + size(value)).sum()
}
