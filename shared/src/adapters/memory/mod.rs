//! Every port in memory, the obvious way: the oracle that the other adapters are held to.

mod events;
mod stores;

pub use events::MemoryEvents;
pub use stores::{MemoryCounters, MemoryKeys};
