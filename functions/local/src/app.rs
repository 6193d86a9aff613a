//! All HTTP functions behind one door, the authorizer before them, as API Gateway has it on AWS.

use std::sync::Arc;

use lambda_http::{Body, Request, Response};
use manage_subscriptions::SubscriptionPorts;
use shared::commands::append::{AppendPorts, KnownHeads};
use shared::commands::manage_dead_letters::ManageDeadLettersPorts;
use shared::commands::manage_keys::ManageKeysPorts;
use shared::commands::manage_processors::ManageProcessorsPorts;
use shared::commands::manage_subscriptions::ManageSubscriptionsPorts;
use shared::commands::record_events::RecordEventsPorts;
use shared::commands::resend_deliveries::ResendDeliveriesPorts;
use shared::commands::send_webhook::SendWebhookPorts;
use shared::commands::test_subscription::TestSubscriptionPorts;
use shared::domain::access::{Caller, Scope};
use shared::http::caller::{authorizer_context, with_authorizer_context};
use shared::http::request::path;
use shared::http::respond::{Addressee, respond};
use shared::http::routes::{self, Access, Destination, Endpoint};
use shared::ports::clock::Clock;
use shared::ports::commit_log::CommitLog;
use shared::ports::counter_store::CounterStore;
use shared::ports::dead_letters::DeadLetters;
use shared::ports::definition_store::DefinitionStore;
use shared::ports::delivery_log::DeliveryLog;
use shared::ports::event_reader::EventReader;
use shared::ports::key_store::KeyStore;
use shared::ports::queue::QueueSender;
use shared::ports::random::Random;
use shared::ports::timer::Timer;
use shared::ports::token_verifier::TokenVerifier;
use shared::ports::webhook_sender::WebhookSender;
use shared::queries::check_access::{CheckAccessPorts, KeyCache};
use shared::queries::read_events::ReadEventsPorts;

/// The service, on whatever ports it is given.
pub struct App {
    /// Where events go.
    pub log: Arc<dyn CommitLog>,
    /// Where events are read.
    pub events: Arc<dyn EventReader>,
    /// Where API keys are kept.
    pub keys: Arc<dyn KeyStore>,
    /// Where processors and subscriptions are kept.
    pub definitions: Arc<dyn DefinitionStore>,
    /// Where deliveries are kept.
    pub deliveries: Arc<dyn DeliveryLog>,
    /// Where work that was given up is kept.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Knows how processors have done.
    pub counters: Arc<dyn CounterStore>,
    /// Takes work for later.
    pub queues: Arc<dyn QueueSender>,
    /// Sends webhooks.
    pub webhooks: Arc<dyn WebhookSender>,
    /// Checks tokens, if any are accepted.
    pub tokens: Option<Arc<dyn TokenVerifier>>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Waits.
    pub timer: Arc<dyn Timer>,
    /// Gives random bits.
    pub random: Arc<dyn Random>,
    /// Where streams were last seen to end.
    pub heads: KnownHeads,
    /// Keys seen lately.
    pub cache: KeyCache,
    /// Whether requests need a credential.
    pub access: Checking,
}

/// Whether requests need a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checking {
    /// They do.
    On,
    /// Everybody may do everything.
    Off,
}

impl App {
    /// Answers a request as the deployed service does: authorizer first, then the function.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let matched = match routes::find(request.method(), path(&request)) {
            Ok(Destination::Route(matched)) => matched,
            // Any function answers what concerns no function.
            Ok(Destination::Options(_)) => return read_events::handle(&self.reads(), request).await,
            Err(problem) => return respond(Addressee::of(&request), Err(problem)),
        };
        let request = match matched.route.access {
            Access::Public => request,
            Access::Scope(_) => self.authorized(request).await,
        };
        match matched.route.endpoint {
            Endpoint::RecordEvents(_) => {
                let append = AppendPorts { log: &*self.log, random: &*self.random, heads: &self.heads };
                record_events::handle(&RecordEventsPorts { append, clock: &*self.clock }, request).await
            }
            Endpoint::ReadEvents(_) => read_events::handle(&self.reads(), request).await,
            Endpoint::ManageSubscriptions(_) => manage_subscriptions::handle(&self.subscriptions(), request).await,
            Endpoint::ManageProcessors(_) => manage_processors::handle(&self.processors(), request).await,
            Endpoint::ManageDeadLetters(_) => manage_dead_letters::handle(&self.letters(), request).await,
            Endpoint::ManageKeys(_) => {
                let ports = ManageKeysPorts { keys: &*self.keys, clock: &*self.clock, random: &*self.random };
                manage_keys::handle(&ports, request).await
            }
        }
    }

    fn reads(&self) -> ReadEventsPorts<'_> {
        ReadEventsPorts { events: &*self.events, definitions: &*self.definitions, clock: &*self.clock }
    }

    /// What `manage-subscriptions` needs.
    #[must_use]
    pub fn subscriptions(&self) -> SubscriptionPorts<'_> {
        let (definitions, deliveries, webhooks) = (&*self.definitions, &*self.deliveries, &*self.webhooks);
        let (clock, random) = (&*self.clock, &*self.random);
        SubscriptionPorts {
            manage: ManageSubscriptionsPorts { definitions, deliveries, webhooks, clock, random },
            resend: ResendDeliveriesPorts { definitions, deliveries, events: &*self.events, queues: &*self.queues, clock },
            test: TestSubscriptionPorts { definitions, webhooks: SendWebhookPorts { sender: webhooks, clock }, random },
        }
    }

    /// What `manage-processors` needs.
    #[must_use]
    pub fn processors(&self) -> ManageProcessorsPorts<'_> {
        ManageProcessorsPorts {
            definitions: &*self.definitions,
            counters: &*self.counters,
            events: &*self.events,
            webhooks: &*self.webhooks,
            clock: &*self.clock,
            timer: &*self.timer,
            random: &*self.random,
        }
    }

    /// What `manage-dead-letters` needs.
    #[must_use]
    pub fn letters(&self) -> ManageDeadLettersPorts<'_> {
        ManageDeadLettersPorts {
            dead_letters: &*self.dead_letters,
            deliveries: &*self.deliveries,
            queues: &*self.queues,
            clock: &*self.clock,
            random: &*self.random,
        }
    }

    /// The request with what the authorizer would write of its caller.
    async fn authorized(&self, request: Request) -> Request {
        let checked = match self.access {
            Checking::Off => Ok(Caller { name: "anybody".to_owned(), scopes: Scope::ALL.to_vec(), organization: None }),
            Checking::On => {
                let ports = CheckAccessPorts { keys: &*self.keys, tokens: self.tokens.as_deref(), clock: &*self.clock, cache: &self.cache };
                authorize::check(&ports, request.headers()).await
            }
        };
        let fields = authorizer_context(checked.as_ref());
        with_authorizer_context(request, fields)
    }
}
