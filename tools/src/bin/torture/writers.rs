//! Who records events: each until it is acknowledged, under an id of its own, so that it counts once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tools::http_client::{HttpClient, body};

/// How many streams there are.
const STREAMS: u64 = 40;
/// How many write at the same time.
const WRITERS: u64 = 8;
/// How long a writer waits before it tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// The ids of events, and the streams that they are in.
pub(crate) type Acknowledged = BTreeMap<String, String>;

/// They write until they are stopped.
pub(crate) struct Writers {
    tasks: JoinSet<()>,
    stopped: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
}

impl Writers {
    /// Has them write so many events a second, all together.
    pub(crate) fn start(client: HttpClient, rate: u32) -> Self {
        let (client, stopped, acknowledged) = (Arc::new(client), Arc::new(AtomicBool::new(false)), Arc::default());
        let (next, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        let pause = Duration::from_secs(1) * u32::try_from(WRITERS).unwrap_or(1) / rate.max(1);
        for _ in 0..WRITERS {
            let (client, stopped) = (Arc::clone(&client), Arc::clone(&stopped));
            let (next, acknowledged) = (Arc::clone(&next), Arc::clone(&acknowledged));
            tasks.spawn(async move {
                let mut ticks = interval(pause);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !stopped.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    write(&client, next.fetch_add(1, Ordering::Relaxed), &acknowledged).await;
                }
            });
        }
        Self { tasks, stopped, acknowledged }
    }

    /// How many events were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Lets each come to its end, and says what was acknowledged.
    pub(crate) async fn stop(mut self) -> Acknowledged {
        self.stopped.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Records an event, again and again until that is acknowledged.
async fn write(client: &HttpClient, number: u64, acknowledged: &Mutex<Acknowledged>) {
    let (id, stream) = (format!("00000000-0000-4000-8000-{number:012}"), format!("order:{}", number % STREAMS));
    let event = json!({"event_type": "order.changed", "event_id": id, "stream_id": stream, "data": {"number": number}});
    let Ok(event) = body(&event) else { return };
    loop {
        match client.post("/api/v1/events/create", event.clone()).await {
            Ok(answer) if answer.status == StatusCode::OK => break,
            Ok(_) | Err(_) => tools::rest(PAUSE).await,
        }
    }
    acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(id, stream);
}
