use super::*;

use crate::domain::timestamp::Timestamp;
use crate::testing::event_bus::fake_eventbridge::FakeEventBridge;

fn entry(detail_type: &str, detail: &str) -> BusEntry {
    let (source, detail) = ("event_service".to_owned(), detail.to_owned());
    BusEntry { bus: None, source, detail_type: detail_type.to_owned(), detail, at: Timestamp::MIN }
}

/// An entry of so many bytes.
fn sized(size: usize) -> BusEntry {
    let around = bytes(&entry("large", "{\"text\":\"\"}"));
    entry("large", &format!("{{\"text\":\"{}\"}}", "x".repeat(size - around)))
}

fn fake() -> (FakeEventBridge, EventBridge) {
    let fake = FakeEventBridge::default();
    let bus = EventBridge::new(fake.client(), "own".to_owned());
    (fake, bus)
}

#[tokio::test]
async fn entries_are_packed_up_to_the_limits_of_a_call() {
    let (fake, bus) = fake();
    bus.put(&vec![entry("a", "{}"); 23]).await.unwrap();
    assert_eq!(fake.call_sizes(), [10, 10, 3]);

    let (fake, bus) = self::fake();
    let (half, whole) = (sized(MOST_BYTES / 2), sized(MOST_BYTES));
    bus.put(&[half.clone(), half.clone(), entry("a", "{}"), whole, half.clone(), entry("a", "{}")]).await.unwrap();
    assert_eq!(fake.call_sizes(), [2, 1, 1, 2]);
}

#[tokio::test]
async fn an_entry_that_no_call_can_hold_is_refused_without_one() {
    let (fake, bus) = fake();
    let error = bus.put(&[sized(MOST_BYTES + 1)]).await.unwrap_err();
    assert_eq!(error.failed, [0]);
    assert!(fake.call_sizes().is_empty());
}

#[tokio::test]
async fn what_the_service_leaves_out_is_put_again_alone() {
    let (fake, bus) = fake();
    fake.fail("busy", "ThrottlingException", 3);
    bus.put(&[entry("a", "{}"), entry("busy", "{}"), entry("b", "{}")]).await.unwrap();
    assert_eq!(fake.call_sizes(), [3, 1, 1, 1]);
    assert_eq!(fake.taken().len(), 3);
}

#[tokio::test]
async fn an_entry_that_is_left_out_again_and_again_is_given_up() {
    let (fake, bus) = fake();
    fake.fail("busy", "InternalFailure", 99);
    fake.fail("malformed", "MalformedDetail", 99);
    let error = bus.put(&[entry("busy", "{}"), entry("a", "{}"), entry("malformed", "{}")]).await.unwrap_err();
    assert_eq!(error.failed, [0, 2]);
    assert!(error.reason.starts_with("InternalFailure"), "{}", error.reason);
    assert_eq!(fake.call_sizes(), [3, 1, 1, 1], "what is the sender's fault is not put again");
    assert_eq!(fake.taken().len(), 1);
}

#[tokio::test]
async fn when_a_call_fails_all_entries_that_are_not_known_to_be_taken_are_named() {
    let (fake, bus) = fake();
    fake.refuse_calls_after(1);
    let error = bus.put(&vec![entry("a", "{}"); 100]).await.unwrap_err();
    assert_eq!(error.failed, (10..100).collect::<Vec<_>>());
    assert!(fake.call_sizes().len() <= 1 + CALLS_AT_ONCE * 4, "the rest is not tried: {:?}", fake.call_sizes());
}

#[tokio::test]
async fn an_entry_goes_to_the_bus_that_it_names() {
    let (fake, bus) = fake();
    bus.put(&[BusEntry { bus: Some("other".to_owned()), ..entry("a", "{}") }, entry("b", "{}")]).await.unwrap();
    let buses: Vec<_> = fake.taken().into_iter().map(|entry| entry.bus.unwrap()).collect();
    assert_eq!(buses, ["other", "own"]);
}
