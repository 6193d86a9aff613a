//! The one connection to NATS: made when it is needed, asked whether it still works, and made anew when it does not.
//!
//! A function is frozen between its calls, for minutes: what looked like a connection before may be none now, and nobody has heard that it
//! ended. So one that has not shown lately that it works is asked first. And what waits in a broken connection is never sent by it later,
//! out of its order: it is dropped, and whoever waits for an answer tries again with another.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio::sync::Mutex;

use super::settings::{NatsCredentials, NatsSettings};
use crate::adapters::tls;
use crate::domain::bridge::IngestFeed;
use crate::ports::message_broker::BrokerError;

/// How long to wait for a server: for a connection, and for each answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is believed that a connection works that has shown it.
const BELIEVED_FOR: Duration = Duration::from_secs(5);
/// How long nobody tries again after a server could not be reached.
const PAUSE: Duration = Duration::from_secs(1);
/// How many messages may wait for the broker's word, of all groups together.
const MOST_IN_FLIGHT: usize = 256;

/// A connection that works, as far as is known. Clones are the same.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) consumers: Arc<Mutex<HashMap<IngestFeed, PullConsumer>>>,
    /// Whether it was made for this use.
    pub(super) is_new: bool,
    lost: Arc<AtomicBool>,
    proven_at: Arc<BlockingMutex<Instant>>,
}

impl Live {
    /// Notes that the server has answered.
    pub(super) fn proven(&self) {
        *self.proven_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) || self.client.connection_state() != async_nats::connection::State::Connected
    }

    fn is_believed(&self) -> bool {
        self.proven_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < BELIEVED_FOR
    }
}

/// The place of the connection.
pub(super) struct Connection(Mutex<State>);

enum State {
    /// None was made yet, or it was given up.
    None,
    /// It is there.
    Live(Box<Live>),
    /// The server could not be reached then.
    Failed(Instant, BrokerError),
}

impl Connection {
    pub(super) const fn new() -> Self {
        Self(Mutex::const_new(State::None))
    }

    /// The connection: the one that is there if it works, or a new one. `prepare` is asked of one that has to show that it works.
    pub(super) async fn live<F>(&self, settings: &NatsSettings, prepare: impl Fn(Live) -> F) -> Result<Live, BrokerError>
    where
        F: Future<Output = Result<(), BrokerError>> + Send,
    {
        let mut state = self.0.lock().await;
        match &*state {
            State::Live(live) if !live.is_lost() => {
                if live.is_believed() || prepare(Live::clone(live)).await.is_ok() {
                    live.proven();
                    return Ok(Live::clone(live));
                }
            }
            State::Failed(at, error) if at.elapsed() < PAUSE => return Err(error.clone()),
            State::None | State::Live(_) | State::Failed(..) => {}
        }
        *state = State::None;
        let made = match connect(settings).await {
            Ok(live) => prepare(live.clone()).await.map(|()| live),
            Err(error) => Err(error),
        };
        match made {
            Ok(live) => {
                *state = State::Live(Box::new(Live { is_new: false, ..live.clone() }));
                Ok(live)
            }
            Err(error) => {
                *state = State::Failed(Instant::now(), error.clone());
                Err(error)
            }
        }
    }

    /// Uses this connection no more, if it is still the one.
    pub(super) async fn give_up(&self, live: &Live) {
        live.lost.store(true, Ordering::Relaxed);
        let mut state = self.0.lock().await;
        if matches!(&*state, State::Live(current) if Arc::ptr_eq(&current.lost, &live.lost)) {
            *state = State::None;
        }
    }
}

async fn connect(settings: &NatsSettings) -> Result<Live, BrokerError> {
    let refuse = |error: &dyn std::fmt::Display| BrokerError(format!("{} cannot be reached: {error}", settings.servers));
    let servers: Vec<ServerAddr> =
        settings.servers.addresses().map(str::parse).collect::<Result<_, _>>().map_err(|error: std::io::Error| refuse(&error))?;
    let lost = Arc::new(AtomicBool::new(false));
    let hears = Arc::clone(&lost);
    let options = ConnectOptions::new()
        .name(&settings.own_name)
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        // One try, so that requests under way may still be answered; then it ends, and whoever needs one makes another.
        .max_reconnects(1)
        .event_callback(move |event| {
            if matches!(event, Event::Disconnected | Event::Closed | Event::LameDuckMode) {
                hears.store(true, Ordering::Relaxed);
            }
            std::future::ready(())
        });
    let options = match settings.credentials.clone().or_else(|| settings.servers.login()) {
        None => options,
        Some(NatsCredentials::User { user, password }) => options.user_and_password(user, password),
        Some(NatsCredentials::Token(token)) => options.token(token),
        Some(NatsCredentials::Nkey(seed)) => options.nkey(seed),
        Some(NatsCredentials::File(text)) => options.credentials(&text).map_err(|error| refuse(&error))?,
    };
    // Reading the system's certificates takes a while, and most servers in a private network want none.
    let tls = match &settings.certificates {
        Some(pem) => Some(tls::with_certificates(pem)),
        None if settings.servers.want_tls() => Some(tls::Roots::default().of_the_system()),
        None => None,
    };
    let options = match tls.transpose().map_err(|error| refuse(&error))? {
        Some(tls) => options.require_tls(true).tls_client_config(tls),
        None => options,
    };
    let client = options.connect(servers).await.map_err(|error| refuse(&error))?;
    let context = jetstream::ContextBuilder::new()
        .timeout(PATIENCE)
        .ack_timeout(PATIENCE)
        .max_ack_inflight(MOST_IN_FLIGHT)
        .backpressure_on_inflight(true)
        .build(client.clone());
    let proven_at = Arc::new(BlockingMutex::new(Instant::now()));
    Ok(Live { client, context, consumers: Arc::default(), is_new: true, lost, proven_at })
}
