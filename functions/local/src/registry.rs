//! Tells Consul that the process is there, and that it goes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use shared::adapters::consul::{Consul, Registration};
use shared::http::routes::{Access, ROUTES};
use shared::ports::clock::Clock;
use shared::ports::timer::Timer;
use shared::telemetry::Chain;

/// What others look for.
pub const SERVICE: &str = "event_service";
/// How long to wait before an agent is asked again that did not answer.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How often a registration is repeated: an agent that was started anew knows nothing of it.
const REPEAT_AFTER: Duration = Duration::from_mins(1);
/// The most characters of a value that Consul keeps.
const MOST_CHARACTERS: usize = 512;

/// What is told of the service at an address.
#[must_use]
pub fn registration(address: SocketAddr) -> Registration {
    let url = format!("http://{address}");
    let public = ROUTES.iter().filter(|route| route.access == Access::Public).count();
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut meta: BTreeMap<String, String> = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("base_path", "/api/v1/events".to_owned()),
        ("health", "/health".to_owned()),
        ("openapi", "/openapi.json".to_owned()),
        ("route_count", ROUTES.len().to_string()),
        ("public_route_count", public.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    // As many values as it takes, because one holds so many characters.
    let mut parts: Vec<String> = vec![String::new()];
    for path in paths {
        match parts.last_mut() {
            Some(part) if part.len() + path.len() < MOST_CHARACTERS => {
                if !part.is_empty() {
                    part.push(',');
                }
                part.push_str(path);
            }
            Some(_) | None => parts.push(path.to_owned()),
        }
    }
    meta.extend((1..).zip(parts).map(|(number, part)| (format!("routes_{number}"), part)));
    Registration {
        id: format!("{SERVICE}-{}-{}", address.ip(), address.port()),
        name: SERVICE.to_owned(),
        address: address.ip().to_string(),
        port: address.port(),
        tags: ["v1", "events", "event-sourcing", "webhooks"].map(str::to_owned).into(),
        meta,
        health: format!("{url}/health"),
    }
}

/// Registers the service, and keeps it registered until this is dropped.
pub async fn keep(consul: &Consul, registration: &Registration, clock: &dyn Clock, timer: &dyn Timer) {
    let mut was_told = false;
    loop {
        let pause = match consul.register(registration).await {
            Ok(()) => {
                was_told = false;
                REPEAT_AFTER
            }
            Err(error) => {
                // Once is enough until it works again.
                if !was_told {
                    tracing::warn!(error = %Chain(&error), "the service is not registered; the agent is asked again");
                }
                was_told = true;
                AGAIN_AFTER
            }
        };
        timer.wait_until(clock.now().plus(pause)).await;
    }
}

/// Takes the registration back, if the agent hears it.
pub async fn leave(consul: &Consul, registration: &Registration) {
    if let Err(error) = consul.deregister(&registration.id).await {
        tracing::warn!(error = %Chain(&error), "the service stays registered until its check has failed for five minutes");
    }
}
