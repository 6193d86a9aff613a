//! What is sent: events of a kilobyte, as JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// An order of a kilobyte. `number` makes it another one; it goes to the stream of its user.
#[must_use]
pub fn order(user: &str, number: u64) -> Value {
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
#[must_use]
pub fn orders(user: &str, first: u64, count: u64) -> Vec<Value> {
    (first..first + count).map(|number| order(user, number)).collect()
}

/// The same event, at a time of its own.
#[must_use]
pub fn at(mut event: Value, moment: DateTime<Utc>) -> Value {
    event["timestamp"] = moment.to_rfc3339_opts(SecondsFormat::Micros, true).into();
    event
}

/// The same event with one more field.
#[must_use]
pub fn with(mut event: Value, field: &str, value: impl Into<Value>) -> Value {
    event[field] = value.into();
    event
}

/// What a page tells of one visit: half a kilobyte.
#[must_use]
pub fn view(visit: u64, number: u64, moment: DateTime<Utc>) -> Value {
    let page = format!("https://shop.example/p/{}", number * 7919 % 1_000_000);
    json!({
        "event_type": "product_view", "category": "page_view", "page_url": page, "session_id": format!("visit-{visit}"),
        "message_id": format!("5f0c6a51-3a51-4b0e-9d0e-{number:012x}"), "timestamp": moment.to_rfc3339_opts(SecondsFormat::Micros, true),
        "data": {"product_id": format!("{}", number * 7919 % 1_000_000), "price": 19.99, "list": "search results", "position": number % 20},
        "metadata": {"locale": "en-GB", "screen": "1920x1080", "campaign": "spring", "experiment": {"checkout": "b", "search": "a"}},
    })
}

/// The same as an analytics SDK sends it: a kilobyte.
#[must_use]
pub fn message(visit: u64, number: u64, moment: DateTime<Utc>) -> Value {
    let page = format!("/p/{}", number * 7919 % 1_000_000);
    json!({
        "type": "track", "event": "Product Viewed", "channel": "web", "anonymousId": format!("0b5e2a6c-55a1-4b0e-9d0e-{visit:012x}"),
        "userId": format!("sdk-{visit}"), "messageId": format!("6a1d7b62-4b62-4c1f-8e1f-{number:012x}"),
        "originalTimestamp": moment.to_rfc3339_opts(SecondsFormat::Micros, true), "sentAt": moment.to_rfc3339_opts(SecondsFormat::Micros, true),
        "properties": {"product_id": format!("{}", number * 7919 % 1_000_000), "price": 19.99, "list": "search results", "position": number % 20},
        "context": {
            "sessionId": 1_700_000_000 + visit, "locale": "en-GB", "timezone": "GMT+0000", "screen": {"width": 1920, "height": 1080, "density": 2},
            "library": {"name": "RudderLabs JavaScript SDK", "version": "3.34.1"}, "app": {"name": "shop", "version": "2.4.0"},
            "page": {"path": page, "referrer": "$direct", "title": "Shop", "url": format!("https://shop.example{page}")},
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        },
        "integrations": {"All": true},
    })
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
