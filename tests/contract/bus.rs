//! Every bus, put through the contract: in memory, and the adapter of EventBridge against its protocol.

use async_trait::async_trait;
use shared::adapters::eventbridge::EventBridge;
use shared::adapters::memory::MemoryBus;
use shared::ports::event_bus::{BusEntry, EventBus};
use shared::testing::event_bus::ObservedBus;
use shared::testing::event_bus::fake_eventbridge::FakeEventBridge;

struct InMemory(MemoryBus);

#[async_trait]
impl ObservedBus for InMemory {
    fn bus(&self) -> &dyn EventBus {
        &self.0
    }

    fn refuse(&self, detail_type: &str) {
        self.0.refuse(detail_type);
    }

    async fn taken(&self) -> Vec<BusEntry> {
        self.0.entries_after(0).0
    }
}

struct Fake {
    service: FakeEventBridge,
    bus: EventBridge,
}

#[async_trait]
impl ObservedBus for Fake {
    fn bus(&self) -> &dyn EventBus {
        &self.bus
    }

    fn refuse(&self, detail_type: &str) {
        self.service.fail(detail_type, "MalformedDetail", usize::MAX);
    }

    async fn taken(&self) -> Vec<BusEntry> {
        self.service.taken()
    }
}

mod memory {
    use super::*;

    async fn bus() -> Box<InMemory> {
        Box::new(InMemory(MemoryBus::default()))
    }

    shared::event_bus_contract!(bus);
}

mod eventbridge {
    use super::*;

    async fn bus() -> Box<Fake> {
        let service = FakeEventBridge::default();
        let bus = EventBridge::new(service.client(), "own".to_owned());
        Box::new(Fake { service, bus })
    }

    shared::event_bus_contract!(bus);
}
