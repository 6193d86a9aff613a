//! HTTP on a socket, to and from what the functions take.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{Request as AxumRequest, State};
use axum::response::Response as AxumResponse;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use lambda_http::{Body, Request, Response};
use shared::http::problem::{Problem, ProblemKind};
use shared::http::request::MAX_BODY_BYTES;
use shared::http::respond::{Addressee, respond};
use tokio::net::TcpListener;

use crate::app::App;

/// Serves until `shutdown` is ready, and then until the requests under way are answered.
///
/// # Errors
/// If the socket fails.
pub async fn serve(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let router = Router::new().fallback(answer).with_state(app);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn answer(State(app): State<Arc<App>>, request: AxumRequest) -> AxumResponse {
    let (head, body) = request.into_parts();
    // No more of a body is read than any route takes.
    let read = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let response = match read {
        Ok(body) => app.answer(Request::from_parts(head, Body::from(body.to_bytes().to_vec()))).await,
        Err(error) => {
            let problem = if error.is::<LengthLimitError>() {
                Problem::new(ProblemKind::TooLarge, format!("the body has more than {MAX_BODY_BYTES} bytes"))
            } else {
                Problem::new(ProblemKind::Invalid, "the body did not arrive whole")
            };
            respond(Addressee::of(&Request::from_parts(head, Body::Empty)), Err(problem))
        }
    };
    to_axum(response)
}

fn to_axum(response: Response<Body>) -> AxumResponse {
    response.map(|body| match body {
        Body::Text(text) => AxumBody::from(text),
        Body::Binary(bytes) => AxumBody::from(bytes),
        // The enum may grow; the handlers use none but these.
        Body::Empty | _ => AxumBody::empty(),
    })
}
