//! HTTP on a socket, to and from what the functions take.

use std::future::{Future, IntoFuture as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{ConnectInfo, Request as AxumRequest, State};
use axum::response::{IntoResponse, Response as AxumResponse};
use axum::routing::get;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::http::header::CONTENT_TYPE;
use lambda_http::http::{HeaderMap, HeaderValue, Method};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt as _, Response};
use shared::http::problem::{Problem, ProblemKind};
use shared::http::request::MAX_BODY_BYTES;
use shared::http::respond::{Addressee, X_REQUEST_ID, is_simple, respond};
use shared::http::routes::{self, Destination};
use shared::ports::random::Random;
use tokio::net::TcpListener;
use tracing::Instrument as _;

use crate::background::Background;
use crate::metrics;

/// How long a body may take to arrive: as long as a request to API Gateway may take in all.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How long requests under way have to come to their end when the process is to end.
const ENDED_WITHIN: Duration = Duration::from_secs(35);

/// Serves until `shutdown` is ready, and then until the requests under way are answered.
///
/// # Errors
/// If the socket fails.
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
    let serving = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).with_graceful_shutdown(shutdown);
    // Whoever sends half a request holds nobody up for longer.
    let late = async {
        if ending.await.is_err() {
            std::future::pending::<()>().await;
        }
        app.timer.wait_until(app.clock.now().plus(ENDED_WITHIN)).await;
    };
    tokio::select! {
        served = serving.into_future() => served,
        () = late => Ok(()),
    }
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
    use super::*;

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
