//! The contract of [`EventBus`].

#[cfg(feature = "eventbridge")]
pub mod fake_eventbridge;

use async_trait::async_trait;

use super::builders::noon;
use crate::ports::event_bus::{BusEntry, EventBus};

/// An empty bus, and a way to see what it took.
#[async_trait]
pub trait ObservedBus: Send + Sync {
    /// The bus.
    fn bus(&self) -> &dyn EventBus;

    /// Makes the bus refuse entries of this detail type.
    fn refuse(&self, detail_type: &str);

    /// The entries that it took, in the order in which it took them.
    async fn taken(&self) -> Vec<BusEntry>;
}

fn entry(detail_type: &str, detail: &str) -> BusEntry {
    let (source, detail) = ("event_service".to_owned(), detail.to_owned());
    BusEntry { bus: Some("orders".to_owned()), source, detail_type: detail_type.to_owned(), detail, at: noon() }
}

/// To the letter.
pub async fn an_entry_is_taken_as_it_was_put(bus: &dyn ObservedBus) {
    let entries = [entry("event.stored", "{\"text\":\"ü \\u0000 \\\" 🦀\"}"), entry("event.processed.failed", "{}")];
    bus.bus().put(&entries).await.unwrap();
    assert_eq!(bus.taken().await, entries);
}

/// However many they are, and however large.
pub async fn every_entry_of_a_call_is_taken(bus: &dyn ObservedBus) {
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(200 * 1024));
    let detail = |number: usize| if number % 8 == 3 { large.clone() } else { format!("{{\"number\":{number}}}") };
    let entries: Vec<BusEntry> = (0..53).map(|number| entry(&format!("type.{number}"), &detail(number))).collect();
    bus.bus().put(&entries).await.unwrap();
    let mut taken = bus.taken().await;
    taken.sort_by_key(|entry| entries.iter().position(|put| put.detail_type == entry.detail_type));
    assert!(taken == entries, "all are taken, each once");
}

/// Nothing to say is no error.
pub async fn no_entry_is_put_as_well(bus: &dyn ObservedBus) {
    bus.bus().put(&[]).await.unwrap();
    assert_eq!(bus.taken().await, []);
}

/// And all others are taken.
pub async fn an_entry_that_is_refused_is_named(bus: &dyn ObservedBus) {
    bus.refuse("bad");
    let entries: Vec<BusEntry> =
        (0..25).map(|number| if number % 12 == 1 { entry("bad", "{}") } else { entry(&format!("type.{number}"), "{}") }).collect();
    let error = bus.bus().put(&entries).await.unwrap_err();
    assert_eq!(error.failed, [1, 13]);
    assert!(!error.reason.is_empty());
    let taken = bus.taken().await;
    assert_eq!(taken.len(), 23);
    assert!(taken.iter().all(|entry| entry.detail_type != "bad"));
}

/// Every clause of the contract, for one adapter: an async function beside the call gives something that dereferences to an
/// [`ObservedBus`].
#[macro_export]
macro_rules! event_bus_contract {
    ($bus:ident) => {
        $crate::contract!(event_bus: $bus, [
            an_entry_is_taken_as_it_was_put,
            every_entry_of_a_call_is_taken,
            no_entry_is_put_as_well,
            an_entry_that_is_refused_is_named,
        ]);
    };
}
