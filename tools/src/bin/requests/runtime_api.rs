//! Lambda's runtime API: hands out events, one after the other, and takes the answers.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use hyper::body::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tools::http_client::BoxError;

/// An answer, and when it came.
pub(crate) type Answered = (Instant, Value);

/// A runtime API with so many events to hand out.
pub(crate) struct RuntimeApi {
    /// Where it is.
    pub(crate) address: SocketAddr,
    answers: UnboundedReceiver<Answered>,
}

struct Inner {
    events: Mutex<VecDeque<String>>,
    answered: UnboundedSender<Answered>,
}

impl RuntimeApi {
    /// One that hands out these events.
    ///
    /// # Errors
    /// If there is no socket to be had.
    pub(crate) async fn serve(events: &[Value]) -> std::io::Result<Self> {
        let (answered, answers) = unbounded_channel();
        let events = events.iter().map(ToString::to_string).collect();
        let inner = Arc::new(Inner { events: Mutex::new(events), answered });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(take))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(take))
            .with_state(inner);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(Self { address, answers })
    }

    /// The next answer.
    ///
    /// # Errors
    /// If it is none of those of an HTTP API with status 200.
    pub(crate) async fn answer(&mut self) -> Result<Answered, BoxError> {
        let (at, answer) = self.answers.recv().await.ok_or("the runtime API is gone")?;
        if answer["statusCode"] == 200 { Ok((at, answer)) } else { Err(format!("the function answers {answer}").into()) }
    }
}

async fn next(State(inner): State<Arc<Inner>>) -> Response {
    let event = inner.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    // Lambda lets functions wait for their next event.
    let Some(event) = event else { return std::future::pending().await };
    let deadline = tools::now() + chrono::TimeDelta::hours(1);
    let headers = [
        ("lambda-runtime-aws-request-id", "5f0c6a51-3a51-4b0e-9d0e-000000000001".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.timestamp_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:123456789012:function:f".to_owned()),
    ];
    (headers, event).into_response()
}

async fn take(State(inner): State<Arc<Inner>>, body: Bytes) -> StatusCode {
    let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
    // Nobody waits for more answers than were asked for.
    inner.answered.send((Instant::now(), answer)).unwrap_or_default();
    StatusCode::ACCEPTED
}
