//! The contract of [`DeliveryLog`].

use std::time::Duration;

use futures::future::join_all;

use super::builders::{delivery, noon};
use crate::domain::delivery::{Delivery, DeliveryAttempt, DeliveryId, DeliveryState, Lane};
use crate::domain::identifiers::SubscriptionId;
use crate::domain::subscription::Health;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::domain::work::StreamRef;
use crate::ports::delivery_log::{DeliveriesRequest, DeliveryLog};
use crate::ports::revision::Revision;

fn mine() -> SubscriptionId {
    "subscription-1".parse().unwrap()
}

fn others() -> SubscriptionId {
    "subscription-1#M#%".parse().unwrap()
}

fn seconds(seconds: u64) -> Timestamp {
    noon().plus(Duration::from_secs(seconds))
}

async fn save(log: &impl DeliveryLog, delivery: &Delivery) {
    let (_, seen) = log.delivery(&delivery.subscription, &delivery.id).await.unwrap();
    assert!(log.save_delivery(delivery, seen).await.unwrap());
}

fn request(limit: usize) -> DeliveriesRequest {
    DeliveriesRequest { subscription: mine(), state: None, since: None, after: None, limit }
}

/// All pages of a request.
async fn pages(log: &impl DeliveryLog, mut request: DeliveriesRequest) -> Vec<Vec<Delivery>> {
    let mut pages = Vec::new();
    loop {
        let page = log.deliveries(&request).await.unwrap();
        assert!(page.deliveries.len() <= request.limit);
        pages.push(page.deliveries);
        match page.next {
            Some(next) => request.after = Some(next),
            None => return pages,
        }
    }
}

async fn ids(log: &impl DeliveryLog, request: DeliveriesRequest) -> Vec<DeliveryId> {
    pages(log, request).await.into_iter().flatten().map(|delivery| delivery.id).collect()
}

/// Every attempt of it.
pub async fn a_delivery_is_read_back_as_it_was_saved(log: &impl DeliveryLog) {
    let mut saved = delivery(0);
    assert_eq!(log.delivery(&mine(), &saved.id).await.unwrap(), (None, Revision(0)));
    save(log, &saved).await;
    let attempt = DeliveryAttempt { at: seconds(9), status: None, ms: 15_000, response: None, error: Some("no answer".to_owned()) };
    saved.add(attempt, DeliveryState::Failed);
    save(log, &saved).await;
    let (found, revision) = log.delivery(&mine(), &saved.id).await.unwrap();
    assert_eq!(found, Some(saved.clone()));
    assert_ne!(revision, Revision(0));
    assert_eq!(log.delivery(&others(), &saved.id).await.unwrap(), (None, Revision(0)), "another subscription has its own");
}

/// Of two who read the same, one saves: of deliveries, of the health and of lanes.
pub async fn what_was_not_seen_is_not_saved_over(log: &impl DeliveryLog) {
    let delivery = delivery(0);
    assert!(log.save_delivery(&delivery, Revision(0)).await.unwrap());
    assert!(!log.save_delivery(&delivery, Revision(0)).await.unwrap());
    let (_, seen) = log.delivery(&mine(), &delivery.id).await.unwrap();
    assert!(log.save_delivery(&delivery, seen).await.unwrap());
    assert!(!log.save_delivery(&delivery, seen).await.unwrap());

    let health = Health::default().failed(noon());
    assert!(log.save_health(&mine(), &health, Revision(0)).await.unwrap());
    assert!(!log.save_health(&mine(), &Health::default(), Revision(0)).await.unwrap());
    let (found, seen) = log.health(&mine()).await.unwrap();
    assert_eq!(found, health);
    assert!(log.save_health(&mine(), &health, seen).await.unwrap());
    assert!(!log.save_health(&mine(), &Health::default(), seen).await.unwrap());

    let stream = &delivery.event.stream;
    let lane = Lane { sent: Version::new(3), leased_until: Some(noon()), waits_until: None, waits_since: None };
    assert!(log.save_lane(&mine(), stream, &lane, Revision(0)).await.unwrap());
    assert!(!log.save_lane(&mine(), stream, &Lane::default(), Revision(0)).await.unwrap());
    let (found, seen) = log.lane(&mine(), stream).await.unwrap();
    assert_eq!(found, Some(lane));
    assert!(log.save_lane(&mine(), stream, &lane, seen).await.unwrap());
    assert!(!log.save_lane(&mine(), stream, &Lane::default(), seen).await.unwrap());
}

/// Else two would send a stream at once.
pub async fn of_several_who_save_a_lane_at_once_one_does(log: &impl DeliveryLog) {
    let (subscription, stream) = (mine(), delivery(0).event.stream);
    let lane = Lane { sent: Version::EMPTY, leased_until: Some(seconds(120)), waits_until: None, waits_since: None };
    let saved = join_all((0..8).map(|_| log.save_lane(&subscription, &stream, &lane, Revision(0)))).await;
    assert_eq!(saved.iter().filter(|saved| matches!(saved, Ok(true))).count(), 1, "{saved:?}");
}

/// In pages of any size, and each once.
pub async fn deliveries_are_listed_latest_first(log: &impl DeliveryLog) {
    let saved: Vec<Delivery> = (0..7).map(delivery).collect();
    for index in [3, 0, 6, 1, 5, 2, 4] {
        save(log, &saved[index]).await;
    }
    save(log, &Delivery { subscription: others(), ..delivery(9) }).await;
    assert!(log.save_health(&mine(), &Health::default(), Revision(0)).await.unwrap());
    let latest_first: Vec<Delivery> = saved.into_iter().rev().collect();
    for limit in [1, 3, 7, 100] {
        let pages = pages(log, request(limit)).await;
        assert_eq!(pages.concat(), latest_first, "pages of {limit}");
    }
    let one = log.deliveries(&request(7)).await.unwrap();
    assert_eq!((one.deliveries.len(), one.next), (7, None), "the last page says so");
}

/// Together and apart.
pub async fn deliveries_are_listed_by_state_and_from_a_moment_on(log: &impl DeliveryLog) {
    let mut saved: Vec<Delivery> = (0..6).map(delivery).collect();
    for (delivery, state) in saved.iter_mut().zip([DeliveryState::Delivered, DeliveryState::Failed].into_iter().cycle()) {
        delivery.state = state;
        save(log, delivery).await;
    }
    let id = |index: usize| saved[index].id.clone();
    let failed = DeliveriesRequest { state: Some(DeliveryState::Failed), ..request(2) };
    assert_eq!(ids(log, failed.clone()).await, [id(5), id(3), id(1)]);
    let late = DeliveriesRequest { since: Some(seconds(3)), ..request(2) };
    assert_eq!(ids(log, late).await, [id(5), id(4), id(3)]);
    assert_eq!(ids(log, DeliveriesRequest { since: Some(seconds(2)), ..failed.clone() }).await, [id(5), id(3)]);
    assert_eq!(ids(log, DeliveriesRequest { state: Some(DeliveryState::Canceled), ..failed.clone() }).await, []);
    assert_eq!(ids(log, DeliveriesRequest { since: Some(seconds(99)), ..failed.clone() }).await, []);
    assert_eq!(ids(log, DeliveriesRequest { since: Some(seconds(5)), after: Some(id(2)), ..failed }).await, []);
}

/// The longest overdue first, whosesoever they are; those that wait for nothing are not due.
pub async fn deliveries_are_due_from_their_moment_on(log: &impl DeliveryLog) {
    let due = |number: u64, due_at: Option<u64>| Delivery { due_at: due_at.map(seconds), ..delivery(number) };
    let saved = [due(0, Some(30)), due(1, Some(10)), due(2, None), Delivery { subscription: others(), ..due(3, Some(20)) }];
    for delivery in &saved {
        save(log, delivery).await;
    }
    for (now, most, expected) in [(9, 10, &[][..]), (10, 10, &[1][..]), (29, 10, &[1, 3]), (30, 10, &[1, 3, 0]), (99, 2, &[1, 3])] {
        let found = log.due_deliveries(seconds(now), most).await.unwrap();
        let expected: Vec<&Delivery> = expected.iter().map(|index: &usize| &saved[*index]).collect();
        assert_eq!(found.iter().map(|(delivery, _)| delivery).collect::<Vec<_>>(), expected, "at {now}");
    }
    // Whoever takes one up saves it over the revision that came with it.
    let (mut first, seen) = log.due_deliveries(seconds(10), 1).await.unwrap().remove(0);
    first.due_at = None;
    assert!(log.save_delivery(&first, seen).await.unwrap());
    assert!(!log.save_delivery(&first, seen).await.unwrap());
    assert_eq!(log.due_deliveries(seconds(10), 10).await.unwrap(), []);
}

/// Revision 0.
pub async fn a_receiver_that_was_never_called_is_in_good_health(log: &impl DeliveryLog) {
    assert_eq!(log.health(&mine()).await.unwrap(), (Health::default(), Revision(0)));
    let health = Health { warned: true, open_until: Some(seconds(15)), ..Health::default().failed(noon()) };
    assert!(log.save_health(&mine(), &health, Revision(0)).await.unwrap());
    assert_eq!(log.health(&mine()).await.unwrap().0, health);
    assert_eq!(log.health(&others()).await.unwrap(), (Health::default(), Revision(0)));
}

/// Of the same name in two organizations, and to two subscriptions.
pub async fn every_stream_has_a_lane_of_its_own(log: &impl DeliveryLog) {
    let streams = [("", "a:1"), ("a", "b/c:1"), ("a/b", "c:1"), ("a%2Fb", "c:1"), ("acme", "a:1")].map(|(organization, stream)| {
        StreamRef { organization: (!organization.is_empty()).then(|| organization.parse().unwrap()), stream: stream.parse().unwrap() }
    });
    let lane = |sent: u64| Lane { sent: Version::new(sent), leased_until: None, waits_until: Some(noon()), waits_since: None };
    for (number, stream) in (1..).zip(&streams) {
        assert_eq!(log.lane(&mine(), stream).await.unwrap(), (None, Revision(0)));
        assert!(log.save_lane(&mine(), stream, &lane(number), Revision(0)).await.unwrap());
    }
    for (number, stream) in (1..).zip(&streams) {
        assert_eq!(log.lane(&mine(), stream).await.unwrap().0, Some(lane(number)), "{stream:?}");
        assert_eq!(log.lane(&others(), stream).await.unwrap(), (None, Revision(0)));
    }
}

/// And no more, until the next second.
pub async fn a_subscription_gets_its_quota_each_second(log: &impl DeliveryLog) {
    let (mine, others) = (mine(), others());
    let take = async |subscription, now, wanted| log.take_quota(subscription, now, wanted, 10).await.unwrap();
    assert_eq!(take(&mine, noon(), 0).await, 0);
    assert_eq!(take(&mine, noon(), 4).await, 4);
    assert_eq!(take(&mine, noon().plus_micros(999_999), 4).await, 4);
    assert_eq!(take(&mine, noon(), 4).await, 2);
    assert_eq!(take(&mine, noon(), 4).await, 0);
    assert_eq!(take(&others, noon(), 40).await, 10);
    assert_eq!(take(&mine, seconds(1), 40).await, 10);
    assert_eq!(log.take_quota(&mine, noon(), 5, 0).await.unwrap(), 0);
    assert_eq!(log.take_quota(&mine, noon(), 5, 12).await.unwrap(), 2, "the limit was raised");
    assert_eq!(log.take_quota(&mine, noon(), 5, 3).await.unwrap(), 0, "the limit was lowered");
}

/// However many ask.
pub async fn takers_at_once_get_no_more_than_the_quota(log: &impl DeliveryLog) {
    let subscription = mine();
    let taken = join_all((0..12).map(|_| log.take_quota(&subscription, noon(), 3, 20))).await;
    let taken: u32 = taken.into_iter().map(Result::unwrap).sum();
    assert!((1..=20).contains(&taken), "{taken}");
    let rest = log.take_quota(&subscription, noon(), 100, 20).await.unwrap();
    assert_eq!(taken + rest, 20, "what was not granted was not taken");
}
