//! S3's protocol on a socket of the test's own: a bucket in memory, which holds every request to its signature's form and to the digest of
//! its body, and fails when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use ring::digest::{SHA256, digest};
use shared::adapters::aws::Connection;
use shared::adapters::s3::S3Objects;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const BUCKET: &str = "bucket";

/// A bucket. It ends when it is dropped.
pub(super) struct StubS3 {
    endpoint: String,
    state: Arc<Mutex<Bucket>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Bytes>,
    failures: VecDeque<u16>,
    calls: usize,
}

impl Drop for StubS3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl StubS3 {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Bucket::default()));
        let app = axum::Router::new().fallback(answer).layer(axum::extract::DefaultBodyLimit::disable()).with_state(state.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { endpoint, state, serving }
    }

    /// A client of it.
    pub(super) fn objects(&self) -> S3Objects {
        S3Objects::new(Connection::local(&self.endpoint), BUCKET)
    }

    /// Answers the next requests with these.
    pub(super) fn fail(&self, statuses: &[u16]) {
        self.state.lock().unwrap().failures.extend(statuses);
    }

    /// How many requests there were.
    pub(super) fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

async fn answer(State(state): State<Arc<Mutex<Bucket>>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    let mut bucket = state.lock().unwrap();
    bucket.calls += 1;
    if let Some(status) = bucket.failures.pop_front() {
        return (StatusCode::from_u16(status).unwrap(), Bytes::from_static(b"as told"));
    }
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
    let scope = "/us-east-1/s3/aws4_request";
    let signed = header("authorization");
    if !signed.starts_with("AWS4-HMAC-SHA256 Credential=local/") || !signed.contains(scope) || !signed.contains("x-amz-content-sha256") {
        return (StatusCode::FORBIDDEN, Bytes::from(format!("signed {signed}")));
    }
    if header("x-amz-content-sha256") != hex(digest(&SHA256, &body).as_ref()) {
        return (StatusCode::BAD_REQUEST, Bytes::from_static(b"the body is not what was signed"));
    }
    let Some(key) = uri.path().strip_prefix(&format!("/{BUCKET}/")).map(|key| key.replace("%3D", "=")) else {
        return (StatusCode::NOT_FOUND, Bytes::from_static(b"NoSuchBucket"));
    };
    if method == Method::PUT {
        bucket.objects.insert(key, body);
        return (StatusCode::OK, Bytes::new());
    }
    let Some(object) = bucket.objects.get(&key) else { return (StatusCode::NOT_FOUND, Bytes::from_static(b"NoSuchKey")) };
    let range = header("range").strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let Some((from, to)) = range else { return (StatusCode::OK, object.clone()) };
    let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
    if from >= object.len() {
        return (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new());
    }
    // S3 gives what there is.
    (StatusCode::PARTIAL_CONTENT, object.slice(from..object.len().min(to + 1)))
}
