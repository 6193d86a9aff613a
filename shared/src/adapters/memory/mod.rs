//! Every port in memory, the obvious way: the oracle that the other adapters are held to.

mod broker;
mod bus;
mod dead_letters;
mod deliveries;
mod events;
mod objects;
mod projections;
mod rejected_events;
mod replays;
mod stores;
mod webhooks;

pub use broker::{MemoryBridgeStatus, MemoryBroker};
pub use bus::MemoryBus;
pub use dead_letters::MemoryDeadLetters;
pub use deliveries::MemoryDeliveries;
pub use events::MemoryEvents;
pub use objects::MemoryObjects;
pub use projections::MemoryProjections;
pub use rejected_events::MemoryRejectedEvents;
pub use replays::MemoryReplays;
pub use stores::{MemoryCounters, MemoryKeys};
pub use webhooks::MemoryWebhooks;
