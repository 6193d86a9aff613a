//! Sweeps: what is lost is found.

use std::time::Duration;

use event_service_tests::receivers::Reaction;
use event_service_tests::world::World;
use serde_json::json;
use shared::commands::sweep::{SweepReach, Swept};
use shared::domain::queue::{Outgoing, Queue, WorkQueue};
use shared::ports::queue::{QueueReceiver as _, QueueSender as _};
use shared::queries::measure_service::{DaysCompared, MeasureServicePorts, compare_days, measure_service};

use crate::delivery::{URL, create, subscribe};

/// Throws away all that is in a queue, as a queue that was purged.
async fn purge(world: &World, queue: WorkQueue) -> usize {
    let source = Queue::Work(queue);
    let mut purged = 0;
    loop {
        world.app.clock.set(world.app.now().plus(Duration::from_mins(16)));
        let received = world.background.queues.receive(&source, 10, Duration::from_hours(1)).await.unwrap();
        if received.is_empty() {
            return purged;
        }
        for message in received {
            world.background.queues.remove(&source, &message.receipt).await.unwrap();
            purged += 1;
        }
    }
}

async fn process(world: &World) {
    let client = world.app.client().await;
    let body = json!({"processor_name": "p", "processor_type": "webhook", "config": {"url": "https://p.test/", "max_retries": 3, "backoff_seconds": [10]}});
    client.post("/api/v1/events/processors", &body).await.succeeds();
}

#[tokio::test]
async fn an_event_whose_message_was_lost_is_dispatched_again() {
    let world = World::open().await;
    let client = world.app.client().await;
    process(&world).await;
    create(&client, json!({"event_type": "a"})).await;
    world.dispatch().await;
    world.store.count().await;
    assert_eq!(purge(&world, WorkQueue::Process).await, 1);
    assert_eq!(world.sweep(SweepReach::DAY).await, Swept { dispatched: 1, ..Swept::default() });
    world.settle().await;
    assert_eq!(world.receivers.taken("https://p.test/").len(), 1);
}

#[tokio::test]
async fn a_repetition_whose_message_was_lost_is_asked_for_again() {
    let world = World::open().await;
    let client = world.app.client().await;
    process(&world).await;
    world.receivers.next("https://p.test/", [Reaction::Answer(500)]);
    create(&client, json!({"event_type": "a"})).await;
    world.settle().await;
    assert_eq!(purge(&world, WorkQueue::Retry).await, 1);
    assert_eq!(world.sweep(SweepReach::USUAL).await, Swept { repeated: 1, ..Swept::default() });
    world.settle().await;
    assert_eq!(world.receivers.taken("https://p.test/").len(), 1);
}

#[tokio::test]
async fn a_message_that_nobody_can_deal_with_is_parked_where_a_person_sees_it() {
    let world = World::open().await;
    let client = world.app.client().await;
    let poison = Outgoing::now("no work at all".to_owned());
    world.background.queues.send(&Queue::Work(WorkQueue::Deliver), &[poison]).await.unwrap();
    for _ in 0..6 {
        world.work(WorkQueue::Deliver).await;
        world.app.clock.set(world.app.now().plus(Duration::from_mins(4)));
    }
    assert_eq!(world.sweep(SweepReach::USUAL).await, Swept { parked: 1, ..Swept::default() });
    let letters = client.get("/api/v1/events/dead-letters").await.ok();
    assert_eq!((letters["dead_letters"][0]["queue"].as_str(), letters["dead_letters"][0]["attempts"].as_u64()), (Some("deliver"), Some(5)));
}

#[tokio::test]
async fn a_sweep_that_finds_nothing_asks_for_nothing() {
    let world = World::open().await;
    let client = world.app.client().await;
    process(&world).await;
    subscribe(&client, json!({})).await;
    for _ in 0..10 {
        create(&client, json!({"event_type": "a"})).await;
    }
    world.pass(Duration::from_mins(1)).await;
    for reach in [SweepReach::USUAL, SweepReach::DAY, SweepReach::START] {
        assert_eq!(world.sweep(reach).await, Swept::default());
    }
    assert_eq!((world.receivers.taken(URL).len(), world.receivers.taken("https://p.test/").len()), (10, 10));
}

/// Scenario 8.
#[tokio::test]
async fn today_is_compared_with_yesterday_until_the_same_hour() {
    let world = World::open().await;
    let client = world.app.client().await;
    let counted = world.app.now();
    let hours_ago = |hours: i64| counted.plus_micros(-hours * 3_600_000_000).to_string();
    // The clock stands at noon: one event two hours ago, three of the same hour yesterday, and some that do not count.
    for (hours, events) in [(0, 5), (2, 1), (26, 3), (23, 7)] {
        for _ in 0..events {
            create(&client, json!({"event_type": "a", "timestamp": hours_ago(hours)})).await;
        }
    }
    world.store.count().await;
    let ports = MeasureServicePorts { events: &world.store.events, counters: &world.store.events, clock: &*world.app.clock };
    assert_eq!(compare_days(&ports).await.unwrap(), DaysCompared { today: 1, yesterday: 3 });
    let statistics = measure_service(&ports).await.unwrap();
    assert_eq!(statistics.total(), 16);
}
