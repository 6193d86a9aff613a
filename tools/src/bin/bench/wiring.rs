//! The service, put together for a bench.

use std::sync::Arc;

use local::app::{App, Checking, Stores};
use shared::adapters::dynamodb::DynamoEvents;
use shared::adapters::embedded_queues::EmbeddedQueues;
use shared::commands::append::KnownHeads;
use shared::commands::check_schemas::SchemaGate;
use shared::domain::access::ApiKeySecret;
use shared::http::collect::settings::CollectSettings;
use shared::ports::clock::Clock;
use shared::ports::random::Random;
use shared::ports::timer::Timer;
use shared::ports::webhook_sender::WebhookSender;
use shared::queries::check_access::KeyCache;

/// What surrounds the service.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Tells the time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Waits.
    pub(crate) timer: Arc<dyn Timer>,
    /// Gives random bits.
    pub(crate) random: Arc<dyn Random>,
    /// Takes work for later.
    pub(crate) queues: EmbeddedQueues,
    /// Sends webhooks.
    pub(crate) webhooks: Arc<dyn WebhookSender>,
}

impl Surroundings {
    /// The service on this store, with one key.
    pub(crate) fn app(&self, events: &DynamoEvents, key: &ApiKeySecret) -> App {
        App {
            stores: Stores::on(events),
            gate: SchemaGate::default(),
            heads: KnownHeads::default(),
            queues: Arc::new(self.queues.clone()),
            webhooks: Arc::clone(&self.webhooks),
            tokens: None,
            clock: Arc::clone(&self.clock),
            timer: Arc::clone(&self.timer),
            random: Arc::clone(&self.random),
            cache: KeyCache::new(Some(key.digest())),
            access: Checking::On,
            collect: CollectSettings::default(),
            rudderstack: None,
            bridge: None,
            limits: None,
        }
    }
}
