//! What is sent: events of a kilobyte, as JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// An order of a kilobyte. `number` makes it another one; it goes to the stream of its user.
pub(crate) fn order(user: &str, number: u64) -> Value {
    let line = |item: u64| {
        json!({
            "sku": format!("SKU-{:05}", (number * 31 + item * 977) % 100_000), "quantity": item % 3 + 1, "price": euros(1999 + item * 100),
            "name": format!("Article {item} of {number}"),
        })
    };
    let items: Vec<Value> = (0..11).map(line).collect();
    json!({
        "event_type": "order.placed", "event_category": "order", "user_id": user, "correlation_id": "c-1",
        "data": {
            "order_id": format!("ord_{number:08}"), "items": items, "total": 219.89, "payment_method": "card", "currency": "EUR",
        },
    })
}

/// Orders of one user.
pub(crate) fn orders(user: &str, first: u64, count: u64) -> Vec<Value> {
    (first..first + count).map(|number| order(user, number)).collect()
}

/// The same event, at a time of its own.
pub(crate) fn at(mut event: Value, moment: DateTime<Utc>) -> Value {
    event["timestamp"] = moment.to_rfc3339_opts(SecondsFormat::Micros, true).into();
    event
}

/// The same event with one more field.
pub(crate) fn with(mut event: Value, field: &str, value: impl Into<Value>) -> Value {
    event[field] = value.into();
    event
}

fn euros(cents: u64) -> Value {
    let number = format!("{}.{:02}", cents / 100, cents % 100);
    serde_json::from_str(&number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_a_kilobyte() {
        for number in [0, 7, 12_345, 999_999] {
            let body = serde_json::value::to_raw_value(&order("bench-user-17", number)).unwrap();
            let bytes = shared::http::draft::event_draft(&body).unwrap().bytes();
            assert!((900..=1100).contains(&bytes), "{bytes} bytes");
        }
    }
}
