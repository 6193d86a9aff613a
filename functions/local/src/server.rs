//! HTTP on a socket, to and from what the functions take.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body as AxumBody;
use axum::extract::{ConnectInfo, Request as AxumRequest, State};
use axum::response::{IntoResponse, Response as AxumResponse};
use axum::routing::get;
use axum::{Extension, Router};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::http::header::CONTENT_TYPE;
use lambda_http::http::{HeaderMap, HeaderValue, Method};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt as _, Response};
use shared::http::problem::{Problem, ProblemKind};
use shared::http::request::MAX_BODY_BYTES;
use shared::http::respond::{Addressee, X_REQUEST_ID, is_simple, respond};
use shared::http::routes::{self, Destination};
use shared::ports::clock::Clock;
use shared::ports::random::Random;
use shared::ports::timer::Timer;
use tokio::net::TcpListener;
use tracing::Instrument as _;

use crate::background::Background;
use crate::metrics;

/// How long a connection may be open without a whole head of a request.
const HEAD_WITHIN: Duration = Duration::from_mins(1);
/// How long a body may take to arrive: as long as a request to API Gateway may take in all.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How long no connections are taken when there can be no more.
const WITHOUT_ROOM: Duration = Duration::from_millis(200);
/// How long requests under way have to come to their end when the process is to end.
const ENDED_WITHIN: Duration = Duration::from_secs(35);

/// Serves until `shutdown` is ready, and then until the requests under way are answered.
///
/// # Errors
/// If the socket takes no connections any more.
pub async fn serve(
    listener: TcpListener,
    background: Arc<Background>,
    trusted_proxies: usize,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let app = Arc::clone(&background.app);
    let router = Router::new().route("/metrics", get(metrics)).fallback(answer).with_state((background, trusted_proxies));
    let (told, ending) = tokio::sync::oneshot::channel();
    let shutdown = async move {
        shutdown.await;
        told.send(()).unwrap_or_default();
    };
    let serving = answer_connections(listener, router, (&*app.clock, &*app.timer), shutdown);
    // Whoever sends half a request holds nobody up for longer.
    let late = async {
        if ending.await.is_err() {
            std::future::pending::<()>().await;
        }
        app.timer.wait_until(app.clock.now().plus(ENDED_WITHIN)).await;
    };
    tokio::select! {
        served = serving => served,
        () = late => Ok(()),
    }
}

/// Takes connections until `shutdown` is ready, and then until the requests under way are answered. Pauses when no more can be open.
async fn answer_connections(
    listener: TcpListener,
    router: Router,
    (clock, timer): (&dyn Clock, &dyn Timer),
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let (open, mut shutdown) = (GracefulShutdown::new(), pin!(shutdown));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // A client that is gone already.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => continue,
                Err(error) if error.kind() == ErrorKind::InvalidInput => return Err(error),
                // Too many open files, say: that passes as connections end.
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken");
                    timer.wait_until(clock.now().plus(WITHOUT_ROOM)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        // Answers are small and complete.
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let service = TowerToHyperService::new(router.clone().layer(Extension(ConnectInfo(peer))));
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    open.shutdown().await;
    Ok(())
}

/// Where a request comes from: the peer, or who the outermost of the trusted proxies heard. What stands before that in the header
/// was written by the client.
fn source(peer: IpAddr, headers: &HeaderMap, trusted_proxies: usize) -> IpAddr {
    if trusted_proxies == 0 {
        return peer;
    }
    let hops = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    let heard = hops.len().checked_sub(trusted_proxies).and_then(|at| hops.get(at)).or_else(|| hops.first());
    heard.and_then(|text| address(text)).unwrap_or(peer)
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// The request with what API Gateway says of who sent it.
fn with_source(request: Request, source: IpAddr) -> Request {
    let mut context = ApiGatewayV2httpRequestContext::default();
    context.http.source_ip = Some(source.to_canonical().to_string());
    request.with_request_context(RequestContext::ApiGatewayV2(context))
}

/// What there is to measure, for whoever is on this machine.
async fn metrics(State((background, _)): State<(Arc<Background>, usize)>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], background.metrics.scrape(&background).await)
}

async fn answer(
    State((background, trusted_proxies)): State<(Arc<Background>, usize)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: AxumRequest,
) -> AxumResponse {
    let began = Instant::now();
    let function = function_of(request.method(), request.uri().path());
    let (mut head, body) = request.into_parts();
    // Whoever names no request, or not as a name is written, gets a name for it, by which its lines in the log are found.
    let given = head.headers.get(X_REQUEST_ID).filter(|id| is_simple(id)).cloned();
    let named = given.unwrap_or_else(|| new_request_id(&*background.app.random));
    head.headers.insert(X_REQUEST_ID, named.clone());
    let span = tracing::error_span!("request", request_id = String::from_utf8_lossy(named.as_bytes()).as_ref());
    let source = source(peer.ip(), &head.headers, trusted_proxies);
    // No more of a body is read than any route takes.
    let read = tokio::time::timeout(BODY_WITHIN, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    let read = read.unwrap_or_else(|_| Err("the body took too long".into()));
    let response = match read {
        Ok(body) => {
            let request = with_source(Request::from_parts(head, Body::from(body.to_bytes().to_vec())), source);
            background.app.answer(request).instrument(span).await
        }
        Err(error) => {
            let problem = if error.is::<LengthLimitError>() {
                Problem::new(ProblemKind::TooLarge, format!("the body has more than {MAX_BODY_BYTES} bytes"))
            } else {
                Problem::new(ProblemKind::Invalid, "the body did not arrive whole")
            };
            respond(Addressee::of(&Request::from_parts(head, Body::Empty)), Err(problem))
        }
    };
    background.metrics.answered(function, response.status().as_u16(), began.elapsed());
    to_axum(response)
}

fn new_request_id(random: &dyn Random) -> HeaderValue {
    HeaderValue::from_str(&format!("{:016x}", random.number())).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// The function that a request is for.
fn function_of(method: &Method, path: &str) -> &'static str {
    match routes::find(method, path) {
        Ok(Destination::Route(matched)) => matched.route.endpoint.function(),
        Ok(Destination::Options(_)) | Err(_) => "none",
    }
}

fn to_axum(response: Response<Body>) -> AxumResponse {
    response.map(|body| match body {
        Body::Text(text) => AxumBody::from(text),
        Body::Binary(bytes) => AxumBody::from(bytes),
        // The enum may grow; the handlers use none but these.
        Body::Empty | _ => AxumBody::empty(),
    })
}

#[cfg(test)]
mod tests {
    use shared::adapters::system::{SystemClock, SystemTimer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::{Notify, oneshot};

    use super::*;

    /// A server of `/`, which says where its peers are.
    struct Server {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        serving: tokio::task::JoinHandle<std::io::Result<()>>,
        /// A request has come, and is to be answered.
        asked: Arc<Notify>,
        answer: Arc<Notify>,
    }

    impl Server {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let notices = (Arc::clone(&asked), Arc::clone(&answer));
            let handler = async move |ConnectInfo(peer): ConnectInfo<SocketAddr>| {
                notices.0.notify_one();
                notices.1.notified().await;
                peer.to_string()
            };
            let router = Router::new().route("/", get(handler));
            let (stop, stopped) = oneshot::channel();
            let shutdown = async move { stopped.await.unwrap_or_default() };
            let serving = tokio::spawn(async move { answer_connections(listener, router, (&SystemClock, &SystemTimer), shutdown).await });
            Self { address, stop, serving, asked, answer }
        }
    }

    async fn rest_of(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await.unwrap_or_default();
        String::from_utf8(text).unwrap()
    }

    /// The clock jumps ahead whenever nobody does anything.
    #[tokio::test(start_paused = true)]
    async fn whoever_never_ends_a_head_is_hung_up_on() {
        let server = Server::start().await;
        for start in ["", "GET / HTTP/1.1\r\nhost: a\r\nx-slow: "] {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(start.as_bytes()).await.unwrap();
            let began = tokio::time::Instant::now();
            let answer = rest_of(&mut stream).await;
            assert!(!answer.contains(" 200 "), "{answer}");
            assert!(began.elapsed() >= HEAD_WITHIN && began.elapsed() < HEAD_WITHIN * 2, "{:?}", began.elapsed());
        }
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_before_the_end() {
        let server = Server::start().await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        server.asked.notified().await;
        server.stop.send(()).unwrap();
        // No more are taken, and this one is waited for.
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!server.serving.is_finished());
        server.answer.notify_one();
        let answer = rest_of(&mut stream).await;
        assert!(answer.contains(" 200 ") && answer.ends_with(&stream.local_addr().unwrap().to_string()), "{answer}");
        server.serving.await.unwrap().unwrap();
    }

    #[test]
    fn the_address_is_that_of_the_trusted_hop_only() {
        let peer: IpAddr = "10.0.0.9".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "6.6.6.6, 203.0.113.7".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.1".parse().unwrap());
        for (proxies, expected) in [(0, "10.0.0.9"), (1, "10.0.0.1"), (2, "203.0.113.7"), (3, "6.6.6.6"), (9, "6.6.6.6")] {
            assert_eq!(source(peer, &headers, proxies), expected.parse::<IpAddr>().unwrap(), "{proxies}");
        }
        assert_eq!(source(peer, &HeaderMap::new(), 1), peer);
        for (text, expected) in [("9.9.9.9:80", "9.9.9.9"), ("[2001:db8::1]:443", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1")] {
            assert_eq!(address(text), expected.parse().ok());
        }
        assert_eq!(address("unknown"), None);
    }
}
