//! `/api/v1/events/dead-letters`: lists dead letters, sends them to their queues again, or forgets them.

use event_service_tests::app::TestApp;
use insta::assert_snapshot;
use serde_json::{Value, json};
use shared::domain::dead_letter::{DeadLetter, DeadLetterId};
use shared::domain::delivery::DeliveryState;
use shared::domain::queue::WorkQueue;
use shared::testing::builders;

use super::subscriptions::{delivery, keep_delivery, messages};
use super::{CLIENT_ID, DEAD_LETTERS, problems};

/// A letter of this id in a queue, of an organization.
pub(super) fn letter(id: &str, queue: WorkQueue, organization: Option<&str>) -> DeadLetter {
    let body = match queue {
        WorkQueue::Process => json!({"organization": organization, "stream_id": "order:1", "commits": [1]}),
        WorkQueue::Retry => {
            json!({"organization": organization, "stream_id": "order:1", "commit": 1, "index": 0, "processor_id": "p1", "attempt": 1})
        }
        WorkQueue::Deliver => {
            let delivery = delivery("s1", 0, DeliveryState::Failed);
            let mut work = json!({"delivery_id": delivery.id, "attempt": 4, "since": builders::noon()});
            work.as_object_mut().unwrap().extend(serde_json::to_value(&delivery.event).unwrap().as_object().unwrap().clone());
            json!({"kind": "events", "subscription_id": "s1", "deliveries": [work]})
        }
        WorkQueue::Replay => json!({"replay_id": "01a20846-fe00-7000-8000-000000000000", "ticket": 1}),
        WorkQueue::Nats => json!({"kind": "commits", "organization": organization, "stream_id": "order:1", "commits": [1]}),
        WorkQueue::Collect => json!({"events": {"stream": {"organization": organization, "stream_id": "order:1"}, "events": []}}),
    };
    DeadLetter {
        id: DeadLetterId(id.to_owned()),
        queue,
        organization: organization.map(|text| text.parse().unwrap()),
        subscription: (queue == WorkQueue::Deliver).then(|| "s1".parse().unwrap()),
        processor: (queue == WorkQueue::Retry).then(|| "p1".parse().unwrap()),
        event_id: CLIENT_ID.parse().ok(),
        reason: "the receiver answered 503".to_owned(),
        attempts: 8,
        body: body.to_string(),
        parked_at: builders::noon(),
    }
}

async fn app(letters: &[DeadLetter]) -> TestApp {
    let app = TestApp::in_memory();
    for letter in letters {
        app.app.stores.dead_letters.park(letter).await.unwrap();
    }
    app
}

fn ids(list: &Value) -> Vec<&str> {
    list["dead_letters"].as_array().unwrap().iter().map(|letter| letter["dead_letter_id"].as_str().unwrap()).collect()
}

fn one_of_each() -> [DeadLetter; 3] {
    [letter("1", WorkQueue::Process, None), letter("2", WorkQueue::Retry, None), letter("3", WorkQueue::Deliver, None)]
}

#[tokio::test]
async fn letters_are_listed_latest_first_and_in_pages() {
    let app = app(&one_of_each()).await;
    let client = app.client().await;
    assert_snapshot!(client.get(&format!("{DEAD_LETTERS}?limit=1")).await);
    for (query, expected) in [
        ("", &["3", "2", "1"][..]),
        ("?queue=retry", &["2"]),
        ("?subscription_id=s1", &["3"]),
        ("?processor_id=p1", &["2"]),
        ("?processor_id=other", &[]),
        (&format!("?event_id={CLIENT_ID}"), &["3", "2", "1"]),
        ("?limit=2&cursor=3", &["2", "1"]),
    ] {
        assert_eq!(ids(&client.get(&format!("{DEAD_LETTERS}{query}")).await.ok()), expected, "{query}");
    }
    assert_eq!(client.get(&format!("{DEAD_LETTERS}?queue=x&limit=0")).await.status, 422);
}

#[tokio::test]
async fn letters_are_sent_to_their_queues_and_then_removed() {
    let app = app(&one_of_each()).await;
    let client = app.client().await;
    let redrive = format!("{DEAD_LETTERS}/redrive");
    let failed = delivery("s1", 0, DeliveryState::Failed);
    keep_delivery(&app, &failed).await;
    let dry = client.post(&redrive, &json!({"all": true, "dry_run": true})).await.ok();
    assert_eq!(dry, json!({"status": "dry_run", "count": 3, "has_more": false}));
    for queue in WorkQueue::ALL {
        assert!(messages(&app, *queue).await.is_empty());
    }
    assert_eq!(
        client.post(&redrive, &json!({"queue": "process"})).await.ok(),
        json!({"status": "redriven", "count": 1, "has_more": false})
    );
    assert_eq!(ids(&client.get(DEAD_LETTERS).await.ok()), ["3", "2"]);
    assert_eq!(messages(&app, WorkQueue::Process).await.len(), 1);
    assert_eq!(client.post(&redrive, &json!({"dead_letter_id": "2"})).await.ok()["count"], 1);
    assert_eq!(messages(&app, WorkQueue::Retry).await[0]["attempt"], 1);
    assert_eq!(client.post(&redrive, &json!({"subscription_id": "s1"})).await.ok()["count"], 1);
    let sent = messages(&app, WorkQueue::Deliver).await;
    assert_eq!(json!([sent[0]["deliveries"][0]["attempt"], sent[0]["deliveries"][0]["resend"]]), json!([1, true]));
    let (reopened, _) = app.app.stores.deliveries.delivery(&failed.subscription, &failed.id).await.unwrap();
    assert_eq!(reopened.map(|delivery| (delivery.state, delivery.round)), Some((DeliveryState::Retrying, 0)));
    assert_eq!(client.get(DEAD_LETTERS).await.ok()["dead_letters"], json!([]));
    assert_eq!(client.post(&redrive, &json!({"all": true})).await.ok()["count"], 0);
}

#[tokio::test]
async fn a_redrive_says_what_it_is_about() {
    let app = app(&one_of_each()).await;
    let client = app.client().await;
    let redrive = format!("{DEAD_LETTERS}/redrive");
    for body in [json!({}), json!({"all": false}), json!({"dry_run": true})] {
        assert_eq!(problems(&client.post(&redrive, &body).await), [("value_error".to_owned(), json!(["body", "all"]))]);
    }
    assert_snapshot!(client.post(&redrive, &json!({"dead_letter_id": "nowhere"})).await);
    assert_eq!(ids(&client.get(DEAD_LETTERS).await.ok()).len(), 3);
}

#[tokio::test]
async fn a_letter_is_forgotten() {
    let app = app(&one_of_each()).await;
    let client = app.client().await;
    assert_eq!(client.delete(&format!("{DEAD_LETTERS}/2")).await.ok(), json!({"status": "deleted", "dead_letter_id": "2"}));
    assert_eq!(client.delete(&format!("{DEAD_LETTERS}/2")).await.status, 404);
    assert_eq!(ids(&client.get(DEAD_LETTERS).await.ok()), ["3", "1"]);
    assert!(messages(&app, WorkQueue::Retry).await.is_empty());
}

#[tokio::test]
async fn a_bound_administrator_sees_and_sends_the_letters_of_its_organization_only() {
    let letters =
        [letter("1", WorkQueue::Retry, Some("org_1")), letter("2", WorkQueue::Retry, Some("org_2")), letter("3", WorkQueue::Retry, None)];
    let app = app(&letters).await;
    let bound = app.client_of("org_1").await;
    assert_eq!(ids(&bound.get(DEAD_LETTERS).await.ok()), ["1"]);
    for id in ["2", "3"] {
        assert_eq!(bound.delete(&format!("{DEAD_LETTERS}/{id}")).await.status, 404);
        assert_eq!(bound.post(&format!("{DEAD_LETTERS}/redrive"), &json!({"dead_letter_id": id})).await.status, 404);
    }
    assert_eq!(bound.post(&format!("{DEAD_LETTERS}/redrive"), &json!({"all": true})).await.ok()["count"], 1);
    let sent = messages(&app, WorkQueue::Retry).await;
    assert_eq!((sent.len(), &sent[0]["organization"]), (1, &json!("org_1")));
    assert_eq!(ids(&app.client().await.get(DEAD_LETTERS).await.ok()), ["3", "2"]);
}
