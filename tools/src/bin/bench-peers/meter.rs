//! A DynamoDB that counts: it hands every call on, and adds up what DynamoDB says of it.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::net::TcpListener;
use tools::http_client::BoxError;

/// What calls used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// How many there were.
    pub(crate) calls: u32,
    /// How many of them were refused. DynamoDB bills a refused write like one that is done, and says nothing of its units.
    pub(crate) refused: u32,
    /// Read units.
    pub(crate) read_units: f64,
    /// Write units, those of indexes included.
    pub(crate) write_units: f64,
}

/// A DynamoDB that counts.
pub(crate) struct Meter {
    inner: Arc<Inner>,
    /// Where it is.
    pub(crate) endpoint: String,
}

struct Inner {
    client: Client<HttpConnector, Full<Bytes>>,
    behind: String,
    usage: Mutex<Usage>,
}

impl Meter {
    /// One in front of another.
    ///
    /// # Errors
    /// If there is no socket to be had.
    pub(crate) async fn before(behind: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let client = Client::builder(TokioExecutor::new()).build_http();
        let inner = Arc::new(Inner { client, behind: behind.to_owned(), usage: Mutex::default() });
        let router = Router::new().fallback(hand_on).with_state(inner.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(Self { inner, endpoint })
    }

    /// What was used since the last call of this.
    pub(crate) fn take(&self) -> Usage {
        std::mem::take(&mut self.inner.usage.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn hand_on(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    inner.hand_on(request).await.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}

/// Whether what an operation uses is written or read; neither if it is about tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    Read,
}

fn kind(headers: &HeaderMap) -> Option<Kind> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    match target.rsplit('.').next()? {
        "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" | "BatchWriteItem" => Some(Kind::Write),
        "GetItem" | "Query" | "Scan" | "BatchGetItem" | "TransactGetItems" => Some(Kind::Read),
        _ => None,
    }
}

impl Inner {
    async fn hand_on(&self, request: Request) -> Result<Response, BoxError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let kind = kind(&head.headers);
        let body = if kind.is_some() { asking_for_units(&body)? } else { body };
        let mut onward = hyper::Request::post(&self.behind);
        for (name, value) in head.headers.iter().filter(|(name, _)| **name != header::HOST && **name != header::CONTENT_LENGTH) {
            onward = onward.header(name, value);
        }
        let (head, body) = self.client.request(onward.body(Full::new(body))?).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        if let Some(kind) = kind {
            let units = if head.status.is_success() { units(&body)? } else { 0.0 };
            let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
            usage.calls += 1;
            usage.refused += u32::from(!head.status.is_success());
            match kind {
                Kind::Write => usage.write_units += units,
                Kind::Read => usage.read_units += units,
            }
        }
        Ok(Response::from_parts(head, Body::from(body)))
    }
}

fn asking_for_units(body: &[u8]) -> Result<Bytes, serde_json::Error> {
    let mut call: Value = serde_json::from_slice(body)?;
    call["ReturnConsumedCapacity"] = "TOTAL".into();
    Ok(serde_json::to_vec(&call)?.into())
}

fn units(answer: &[u8]) -> Result<f64, serde_json::Error> {
    let answer: Value = serde_json::from_slice(answer)?;
    let of = |capacity: &Value| capacity["CapacityUnits"].as_f64().unwrap_or_default();
    let capacity = &answer["ConsumedCapacity"];
    Ok(capacity.as_array().map_or_else(|| of(capacity), |tables| tables.iter().map(of).sum()))
}
