//! Webhooks, in memory and over real sockets.

mod receiver;

use std::sync::Arc;
use std::time::Duration;

use shared::adapters::webhook::HttpWebhooks;
use shared::domain::timestamp::Timestamp;
use shared::domain::webhook_url::{AllowedHosts, WebhookUrl};
use shared::ports::clock::Clock;
use shared::ports::webhook_sender::{SendError, WebhookAnswer, WebhookRequest, WebhookSender as _};
use shared::telemetry::Chain;
use shared::testing::builders::noon;

use receiver::{Receiver, Reply};

/// Longer than any receiver takes that answers at all.
const LONG: Duration = Duration::from_secs(30);
/// How long to wait for one that does not.
const SHORT: Duration = Duration::from_millis(200);

macro_rules! webhook_sender_contract {
    ($receivers:ident) => {
        shared::contract!(webhook_sender: $receivers, [
            any_status_is_an_answer,
            a_request_arrives_as_it_was_sent,
            the_body_of_an_answer_is_kept,
            a_wait_that_the_receiver_asks_for_is_told,
            silence_ends_in_a_timeout,
            a_connection_that_breaks_is_an_error,
            internal_hosts_are_refused,
            a_name_that_stands_for_nothing_is_not_found,
            vetting_sends_nothing,
        ]);
    };
}

mod memory {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use shared::adapters::memory::MemoryWebhooks;
    use shared::domain::webhook_url::{AllowedHosts, WebhookUrl};
    use shared::ports::webhook_sender::{SendError, WebhookAnswer, WebhookSender};
    use shared::testing::webhook_sender::{Behaviour, Received, Receivers};

    struct Scripted(MemoryWebhooks, AtomicUsize);

    #[async_trait]
    impl Receivers for Scripted {
        fn sender(&self) -> &dyn WebhookSender {
            &self.0
        }

        async fn receiver(&self, behaviour: Behaviour) -> WebhookUrl {
            let url = format!("http://localhost/{}", self.1.fetch_add(1, Ordering::Relaxed)).parse().unwrap();
            let answer = match behaviour {
                Behaviour::Answers { status, body, retry_after } => {
                    let retry_after = retry_after.map(Duration::from_secs);
                    Ok(WebhookAnswer { body, retry_after, ..MemoryWebhooks::status(status) })
                }
                Behaviour::IsSilent => Err(SendError::Timeout(super::SHORT)),
                Behaviour::HangsUp => Err(SendError::Connection("it hung up".into())),
            };
            self.0.next(&url, answer);
            url
        }

        fn received(&self) -> Vec<Received> {
            self.0.sent().into_iter().map(|request| Received { headers: request.headers, body: request.body }).collect()
        }
    }

    async fn receivers() -> Box<dyn Receivers> {
        Box::new(Scripted(MemoryWebhooks::new(AllowedHosts::default().with_loopback()), AtomicUsize::default()))
    }

    webhook_sender_contract!(receivers);
}

mod http {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use shared::adapters::webhook::HttpWebhooks;
    use shared::domain::webhook_url::{AllowedHosts, WebhookUrl};
    use shared::ports::webhook_sender::WebhookSender;
    use shared::testing::webhook_sender::{Behaviour, Received, Receivers};

    use super::receiver::{Receiver, Reply};

    struct Real {
        sender: HttpWebhooks,
        receivers: Mutex<Vec<Receiver>>,
    }

    #[async_trait]
    impl Receivers for Real {
        fn sender(&self) -> &dyn WebhookSender {
            &self.sender
        }

        async fn receiver(&self, behaviour: Behaviour) -> WebhookUrl {
            let reply = match behaviour {
                Behaviour::Answers { status, body, retry_after } => {
                    let retry_after = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
                    Reply::Text(format!("HTTP/1.1 {status} X\r\n{retry_after}Content-Length: {}\r\n\r\n{body}", body.len()))
                }
                Behaviour::IsSilent => Reply::Nothing,
                Behaviour::HangsUp => Reply::TextAndEnd(String::new()),
            };
            let receiver = Receiver::start(reply).await;
            let url = receiver.url("/");
            self.receivers.lock().unwrap().push(receiver);
            url
        }

        fn received(&self) -> Vec<Received> {
            self.receivers.lock().unwrap().iter().flat_map(Receiver::received).collect()
        }
    }

    async fn receivers() -> Box<dyn Receivers> {
        let sender = HttpWebhooks::new(AllowedHosts::default().with_loopback(), Arc::new(super::Noon));
        Box::new(Real { sender, receivers: Mutex::default() })
    }

    webhook_sender_contract!(receivers);
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        noon()
    }
}

/// A sender that may call what this list names.
fn sender_to(list: &str) -> HttpWebhooks {
    HttpWebhooks::new(list.parse().unwrap(), Arc::new(Noon))
}

/// A sender that may call this machine.
fn sender() -> HttpWebhooks {
    HttpWebhooks::new(AllowedHosts::default().with_loopback(), Arc::new(Noon))
}

fn request(url: WebhookUrl) -> WebhookRequest {
    WebhookRequest { url, headers: Vec::new(), body: r#"{"a":1}"#.to_owned(), timeout: LONG }
}

async fn send(url: WebhookUrl) -> Result<WebhookAnswer, SendError> {
    sender().send(&request(url)).await
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn ok() -> Reply {
    Reply::Text(OK.to_owned())
}

#[tokio::test]
async fn a_request_says_who_calls_and_what_it_brings_and_nothing_more() {
    let receiver = Receiver::start(ok()).await;
    send(receiver.url("/hook?token=1")).await.unwrap();
    let [got] = receiver.received().try_into().unwrap();
    let mut headers = got.headers;
    headers.sort();
    let expected = [
        ("accept", "*/*"),
        ("content-length", "7"),
        ("content-type", "application/json"),
        ("host", &format!("127.0.0.1:{}", receiver.url("/").port())),
        ("user-agent", &format!("event-service/{}", env!("CARGO_PKG_VERSION"))),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(receiver.targets(), ["POST /hook?token=1 HTTP/1.1"]);
}

#[tokio::test]
async fn a_request_is_framed_by_the_connection_whatever_its_headers_say() {
    let receiver = Receiver::start(ok()).await;
    let forged = [("Host", "internal"), ("content-length", "1"), ("Transfer-Encoding", "chunked"), ("Connection", "close"), ("X-A", "1")];
    let headers = forged.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    sender().send(&WebhookRequest { headers, ..request(receiver.url("/")) }).await.unwrap();
    let [got] = receiver.received().try_into().unwrap();
    assert_eq!(got.body, r#"{"a":1}"#);
    let has = |name: &str, value: &str| got.headers.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("x-a", "1") && has("content-length", "7"), "{:?}", got.headers);
    assert!(!has("host", "internal") && got.headers.iter().all(|(name, _)| name != "transfer-encoding" && name != "connection"));
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let elsewhere = Receiver::start(ok()).await;
    for location in [elsewhere.url("/").as_str(), "http://169.254.169.254/latest/meta-data/", "http://10.0.0.5/"] {
        for status in [301, 302, 303, 307, 308] {
            let reply = format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            let receiver = Receiver::start(Reply::Text(reply)).await;
            assert_eq!(send(receiver.url("/")).await.unwrap().status, status);
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn what_is_not_a_whole_answer_is_a_broken_connection() {
    for reply in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\0\u{1}\u{2}garbage\r\n\r\n",
        "HTTP/1.1 9 X\r\n\r\n",
    ] {
        let receiver = Receiver::start(Reply::TextAndEnd(reply.to_owned())).await;
        let error = send(receiver.url("/hook?token=geheim")).await.unwrap_err();
        assert!(matches!(error, SendError::Connection(_)), "{reply:?}: {error:?}");
        assert!(!format!("{} {error:?}", Chain(&error)).contains("geheim"), "{error:?}");
        assert_eq!(receiver.received().len(), 1, "{reply:?}: sent once");
    }
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_connection() {
    let receiver = Receiver::start(ok()).await;
    let url = receiver.url("/");
    receiver.stop().await;
    let error = send(url).await.unwrap_err();
    assert!(matches!(error, SendError::Connection(_)), "{error:?}");
}

#[tokio::test]
async fn a_receiver_that_drips_is_not_waited_for() {
    for start in ["HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "HTTP/1.1 200 OK\r\nX-A: "] {
        let receiver = Receiver::start(Reply::Drip(start.to_owned())).await;
        let error = sender().send(&WebhookRequest { timeout: SHORT, ..request(receiver.url("/")) }).await.unwrap_err();
        assert!(matches!(error, SendError::Timeout(SHORT)), "{error:?}");
        receiver.left().await;
    }
}

#[tokio::test]
async fn of_a_long_answer_the_start_is_kept_and_the_rest_is_not_read() {
    let long = format!("HTTP/1.1 500 X\r\nContent-Length: 10000000\r\n\r\n{}", "x".repeat(10_000_000));
    let endless = "HTTP/1.1 500 X\r\n\r\n";
    let chunked = "HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n10000000000\r\n";
    for reply in [Reply::Text(long), Reply::Endless(endless.to_owned()), Reply::Endless(chunked.to_owned())] {
        let receiver = Receiver::start(reply).await;
        let answer = send(receiver.url("/")).await.unwrap();
        assert_eq!((answer.status, answer.body), (500, "x".repeat(WebhookAnswer::KEPT_BYTES)));
        // It could go on only as long as somebody reads.
        receiver.left().await;
    }
}

#[tokio::test]
async fn a_head_without_end_is_not_read_on() {
    let receiver = Receiver::start(Reply::Endless("HTTP/1.1 200 OK\r\nX-A: ".to_owned())).await;
    let error = send(receiver.url("/")).await.unwrap_err();
    assert!(matches!(error, SendError::Connection(_)), "{error:?}");
    receiver.left().await;
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n";
    let receiver = Receiver::start(Reply::Text(format!("{reply}{}", "x".repeat(2000)))).await;
    let sender = sender();
    for _ in 0..5 {
        sender.send(&request(receiver.url("/"))).await.unwrap();
    }
    assert_eq!((receiver.connections(), receiver.received().len()), (1, 5));
}

#[tokio::test]
async fn a_date_in_retry_after_is_counted_from_now() {
    let at = noon().plus(Duration::from_secs(90)).to_chrono().format("%a, %d %b %Y %H:%M:%S GMT");
    let receiver = Receiver::start(Reply::Text(format!("HTTP/1.1 503 X\r\nRetry-After: {at}\r\nContent-Length: 0\r\n\r\n"))).await;
    assert_eq!(send(receiver.url("/")).await.unwrap().retry_after, Some(Duration::from_secs(90)));
}

/// Names are vetted where the connection is made, addresses before.
#[tokio::test]
async fn this_machine_is_called_only_by_who_may() {
    let receiver = Receiver::start(ok()).await;
    let port = receiver.url("/").port();
    let hosts = ["localhost", "LOCALHOST", "127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "127.0.0.1."];
    for host in hosts {
        let url: WebhookUrl = format!("http://{host}:{port}/").parse().unwrap();
        for strangers in [sender_to(""), sender_to("example.com"), sender_to("localhost:1, 127.0.0.1:1")] {
            let error = strangers.vet(&url).await.unwrap_err();
            assert!(matches!(error, SendError::Refused(_)), "{host}: {error:?}");
            let error = strangers.send(&request(url.clone())).await.unwrap_err();
            assert!(matches!(error, SendError::Refused(_)), "{host}: {error:?}");
        }
    }
    assert_eq!(receiver.connections(), 0);
    for host in hosts {
        let url: WebhookUrl = format!("http://{host}:{port}/").parse().unwrap();
        for friends in [sender(), sender_to(&format!("localhost:{port}, 127.0.0.1, [::ffff:127.0.0.1]:*"))] {
            friends.vet(&url).await.unwrap();
            assert_eq!(friends.send(&request(url.clone())).await.unwrap().status, 200, "{host}");
        }
    }
    assert_eq!(receiver.received().len(), 2 * hosts.len());
}

/// One port of a host is listed, and a connection to it is open: the other ports stay closed.
#[tokio::test]
async fn a_listed_port_opens_no_other() {
    let (listed, other) = (Receiver::start(ok()).await, Receiver::start(ok()).await);
    let (open, closed) = (listed.url("/").port(), other.url("/").port());
    let sender = sender_to(&format!("localhost:{open}"));
    for _ in 0..2 {
        sender.send(&request(format!("http://localhost:{open}/").parse().unwrap())).await.unwrap();
        let error = sender.send(&request(format!("http://localhost:{closed}/").parse().unwrap())).await.unwrap_err();
        assert!(matches!(error, SendError::Refused(_)), "{error:?}");
    }
    assert_eq!((listed.connections(), other.connections()), (1, 0));
}

#[tokio::test]
async fn https_speaks_tls_or_not_at_all() {
    let receiver = Receiver::start(ok()).await;
    let url: WebhookUrl = format!("https://localhost:{}/", receiver.url("/").port()).parse().unwrap();
    let error = sender().send(&request(url)).await.unwrap_err();
    assert!(matches!(error, SendError::Connection(_)), "{error:?}");
    receiver.left().await;
    assert_eq!(receiver.received(), [], "nothing is said in the clear");
}
