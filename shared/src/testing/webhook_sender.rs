//! The contract of [`WebhookSender`].

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::webhook_url::WebhookUrl;
use crate::ports::webhook_sender::{SendError, WebhookRequest, WebhookSender};

/// Longer than any receiver takes that answers at all.
const LONG: Duration = Duration::from_secs(30);
/// How long to wait for one that does not.
const SHORT: Duration = Duration::from_millis(200);

/// A sender that may call this machine but no network of ours, and receivers on this machine.
#[async_trait]
pub trait Receivers: Send + Sync {
    /// The sender.
    fn sender(&self) -> &dyn WebhookSender;

    /// The address of a new receiver that treats every request alike.
    async fn receiver(&self, behaviour: Behaviour) -> WebhookUrl;

    /// What the receivers got, oldest first.
    fn received(&self) -> Vec<Received>;
}

/// What a receiver does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers.
    Answers {
        /// The status.
        status: u16,
        /// The body.
        body: String,
        /// The seconds in `Retry-After`.
        retry_after: Option<u64>,
    },
    /// Takes the request and never says anything.
    IsSilent,
    /// Takes the request and closes the connection.
    HangsUp,
}

impl Behaviour {
    /// Answers with this status and no body.
    #[must_use]
    pub const fn answers(status: u16) -> Self {
        Self::Answers { status, body: String::new(), retry_after: None }
    }
}

/// What a receiver got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

fn request(url: WebhookUrl) -> WebhookRequest {
    WebhookRequest { url, headers: Vec::new(), body: "{}".to_owned(), timeout: LONG }
}

/// Redirects are not followed.
pub async fn any_status_is_an_answer(receivers: &dyn Receivers) {
    for status in [200, 202, 204, 301, 302, 307, 400, 404, 410, 429, 500, 503] {
        let url = receivers.receiver(Behaviour::answers(status)).await;
        assert_eq!(receivers.sender().send(&request(url)).await.unwrap().status, status);
    }
    assert_eq!(receivers.received().len(), 12, "one request each");
}

/// To the letter.
pub async fn a_request_arrives_as_it_was_sent(receivers: &dyn Receivers) {
    let url = receivers.receiver(Behaviour::answers(200)).await;
    let headers = vec![("webhook-id".to_owned(), "evt_1".to_owned()), ("x-key".to_owned(), "a b".to_owned())];
    let body = format!("{{\"text\":\"ü \\u0000 🦀 {}\"}}", "x".repeat(200_000));
    receivers.sender().send(&WebhookRequest { headers: headers.clone(), body: body.clone(), ..request(url) }).await.unwrap();
    let [received] = receivers.received().try_into().unwrap();
    assert!(received.body == body, "the body is as it was");
    for header in headers {
        assert!(received.headers.contains(&header), "{header:?} in {:?}", received.headers);
    }
}

/// For the log.
pub async fn the_body_of_an_answer_is_kept(receivers: &dyn Receivers) {
    let answers = Behaviour::Answers { status: 422, body: "no such order: ü".to_owned(), retry_after: None };
    let url = receivers.receiver(answers).await;
    assert_eq!(receivers.sender().send(&request(url)).await.unwrap().body, "no such order: ü");
}

/// And no wait is made up.
pub async fn a_wait_that_the_receiver_asks_for_is_told(receivers: &dyn Receivers) {
    for retry_after in [Some(0), Some(30), None] {
        let url = receivers.receiver(Behaviour::Answers { status: 503, body: String::new(), retry_after }).await;
        assert_eq!(receivers.sender().send(&request(url)).await.unwrap().retry_after, retry_after.map(Duration::from_secs));
    }
}

/// Of the length that the request says.
pub async fn silence_ends_in_a_timeout(receivers: &dyn Receivers) {
    let url = receivers.receiver(Behaviour::IsSilent).await;
    let error = receivers.sender().send(&WebhookRequest { timeout: SHORT, ..request(url) }).await.unwrap_err();
    assert!(matches!(error, SendError::Timeout(SHORT)), "{error:?}");
}

/// And is not repeated here.
pub async fn a_connection_that_breaks_is_an_error(receivers: &dyn Receivers) {
    let url = receivers.receiver(Behaviour::HangsUp).await;
    let error = receivers.sender().send(&request(url)).await.unwrap_err();
    assert!(matches!(error, SendError::Connection(_)), "{error:?}");
    assert_eq!(receivers.received().len(), 1);
}

/// However the address is written, when asked and when sending.
pub async fn internal_hosts_are_refused(receivers: &dyn Receivers) {
    for text in [
        "http://10.0.0.5/",
        "http://0xa.5/",
        "http://167772165/",
        "https://192.168.1.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[::ffff:10.0.0.5]/",
        "http://[64:ff9b::10.0.0.5]/",
        "http://[2002:a00:5::]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
    ] {
        let url: WebhookUrl = text.parse().unwrap();
        let error = receivers.sender().vet(&url).await.unwrap_err();
        assert!(matches!(&error, SendError::Refused(refused) if refused.host == url.host()), "{text}: {error:?}");
        let error = receivers.sender().send(&request(url)).await.unwrap_err();
        assert!(matches!(error, SendError::Refused(_)), "{text}: {error:?}");
    }
    assert_eq!(receivers.received(), []);
}

/// Neither when asked nor when sending.
pub async fn a_name_that_stands_for_nothing_is_not_found(receivers: &dyn Receivers) {
    let url: WebhookUrl = "http://no-such-host.invalid/".parse().unwrap();
    let error = receivers.sender().vet(&url).await.unwrap_err();
    assert!(matches!(error, SendError::Unresolved), "{error:?}");
    let error = receivers.sender().send(&request(url)).await.unwrap_err();
    assert!(matches!(error, SendError::Unresolved), "{error:?}");
}

/// The receiver hears nothing of it.
pub async fn vetting_sends_nothing(receivers: &dyn Receivers) {
    let url = receivers.receiver(Behaviour::answers(200)).await;
    receivers.sender().vet(&url).await.unwrap();
    receivers.sender().vet(&"http://localhost/".parse().unwrap()).await.unwrap();
    assert_eq!(receivers.received(), []);
}
