//! The orders that are placed.

use serde_json::{Value, json};

/// Whose orders they are: a stream each.
pub(crate) const STREAMS: [&str; 3] = ["customer:ada", "customer:grace", "customer:linus"];
/// From which total on an order is flagged.
pub(crate) const FLAGGED_FROM: u32 = 1000;

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// In which of the [`STREAMS`].
    pub(crate) stream: &'static str,
    /// Its number.
    pub(crate) number: u32,
    /// What it costs.
    pub(crate) total: u32,
}

impl Order {
    /// The event that says that it was placed.
    pub(crate) fn event(&self) -> Value {
        let data = json!({"order_id": self.number.to_string(), "total": self.total});
        json!({"event_type": "order.placed", "event_category": "order", "stream_id": self.stream, "data": data})
    }

    /// Whether the processor makes a second event of it.
    pub(crate) const fn is_flagged(&self) -> bool {
        self.total >= FLAGGED_FROM
    }
}

/// Orders of these totals, the streams taking turns, numbered from `first`.
pub(crate) fn orders(first: u32, totals: &[u32]) -> Vec<Order> {
    let numbered = (first..).zip(totals).zip(STREAMS.iter().cycle());
    numbered.map(|((number, total), stream)| Order { stream, number, total: *total }).collect()
}
