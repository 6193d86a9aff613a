//! Every adapter, put through every clause of its port's contract; and the DynamoDB adapter held to
//! the in-memory one by random histories.

#![cfg(test)]

mod counting;
mod price;
mod queries;

mod memory {
    use shared::adapters::memory::{MemoryCounters, MemoryEvents, MemoryKeys};

    async fn events() -> Box<MemoryEvents> {
        Box::default()
    }

    async fn counters() -> Box<MemoryCounters> {
        Box::default()
    }

    async fn keys() -> Box<MemoryKeys> {
        Box::default()
    }

    shared::store_contracts!(events, counters, keys);
}

mod dynamodb {
    use event_service_tests::Store;

    async fn store() -> Store {
        Store::at_endpoint().await
    }

    shared::store_contracts!(store, store, store);
}
