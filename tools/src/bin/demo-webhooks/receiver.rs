//! The receiver: a process that checks the signature of what it gets, and tells who started it.

use std::io::{self, BufRead as _};
use std::net::Ipv4Addr;
use std::thread;

use serde::{Deserialize, Serialize};
use shared::domain::signature::{ID_HEADER, WebhookSecret};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tools::receiver::{Signature, Webhook};

use crate::DemoError;

/// A line of the receiver's output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// It can be called.
    Listening {
        /// At this port.
        port: u16,
    },
    /// It got something.
    Arrived(Arrival),
}

/// An event that has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Arrival {
    /// The time of day.
    pub(crate) at: String,
    /// The `webhook-id`, the same each time that the event is sent.
    pub(crate) delivery: String,
    /// Whether it came from the service.
    pub(crate) signature: Signature,
    /// The event.
    pub(crate) event: ReceivedEvent,
}

/// What the receiver looks at of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceivedEvent {
    /// Its id.
    pub(crate) event_id: String,
    /// Its type.
    pub(crate) event_type: String,
    /// Its stream.
    pub(crate) stream_id: String,
    /// Its number in the stream.
    pub(crate) stream_version: u64,
}

#[derive(Deserialize)]
struct Body {
    data: ReceivedEvent,
}

/// Receives until the standard input ends, whose first line is the secret.
pub(crate) async fn run(port: u16) -> Result<(), DemoError> {
    let secret = io::stdin().lock().lines().next().transpose()?.unwrap_or_default();
    let secret = WebhookSecret::from_text(secret).map_err(io::Error::other)?;
    let (end, ended) = oneshot::channel();
    thread::spawn(move || {
        // Whoever started this is gone when there is nothing more to read.
        while io::stdin().lock().lines().next().is_some_and(|line| line.is_ok()) {}
        end.send(()).unwrap_or_default();
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    tell(&Said::Listening { port: listener.local_addr()?.port() });
    let serving = tools::receiver::serve(listener, move |webhook| {
        if let Some(arrival) = arrival(&webhook, &secret) {
            tell(&Said::Arrived(arrival));
        }
    });
    tokio::select! {
        served = serving => Ok(served?),
        _ = ended => Ok(()),
    }
}

fn arrival(webhook: &Webhook, secret: &WebhookSecret) -> Option<Arrival> {
    let Body { data } = serde_json::from_slice(&webhook.body).ok()?;
    Some(Arrival {
        at: webhook.at.format("%H:%M:%S%.3f").to_string(),
        delivery: webhook.header(ID_HEADER)?.to_owned(),
        signature: webhook.signature(secret),
        event: data,
    })
}

fn tell(said: &Said) {
    // Texts and numbers can always be written.
    println!("{}", serde_json::to_string(said).unwrap_or_default());
}
