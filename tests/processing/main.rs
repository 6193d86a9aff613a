//! What happens to events after they were stored: processing, delivery, retries, sweeps, and what others are told.
#![cfg(test)]

mod archiving;
mod bridge;
mod delivery;
mod domain_events;
mod interrupted;
mod ordered_delivery;
mod price;
mod processors;
mod replays;
mod sweeping;
