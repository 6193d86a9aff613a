//! Every adapter, put through every clause of its port's contract; and the DynamoDB adapter held to
//! the in-memory one by random histories.

#![cfg(test)]

mod archive;
mod broker;
mod bus;
mod counting;
mod definitions;
mod happenings;
mod price;
mod projections;
mod queries;
mod queues;
mod twice;
mod webhooks;

mod memory {
    use shared::adapters::memory::{
        MemoryBridgeStatus, MemoryCounters, MemoryDeadLetters, MemoryDeliveries, MemoryEvents, MemoryKeys, MemoryProjections,
        MemoryRejectedEvents, MemoryReplays,
    };

    async fn events() -> Box<MemoryEvents> {
        Box::default()
    }

    async fn counters() -> Box<MemoryCounters> {
        Box::default()
    }

    async fn keys() -> Box<MemoryKeys> {
        Box::default()
    }

    async fn deliveries() -> Box<MemoryDeliveries> {
        Box::default()
    }

    async fn dead_letters() -> Box<MemoryDeadLetters> {
        Box::default()
    }

    async fn rejected_events() -> Box<MemoryRejectedEvents> {
        Box::default()
    }

    async fn bridge_status() -> Box<MemoryBridgeStatus> {
        Box::default()
    }

    async fn snapshots() -> Box<MemoryProjections> {
        Box::default()
    }

    async fn replays() -> Box<MemoryReplays> {
        Box::default()
    }

    shared::store_contracts!(events, counters, keys, snapshots, replays);
    shared::delivery_contracts!(events, deliveries, dead_letters, rejected_events, bridge_status);
}

mod dynamodb {
    use event_service_tests::Store;

    async fn store() -> Store {
        Store::at_endpoint().await
    }

    shared::store_contracts!(store, store, store, store, store);
    shared::delivery_contracts!(store, store, store, store, store);
}
