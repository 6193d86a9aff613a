//! All HTTP functions behind one door, the authorizer before them, as API Gateway has it on AWS.

use std::sync::Arc;

use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};
use manage_subscriptions::SubscriptionPorts;
use read_projections::ProjectionPorts;
use shared::adapters::dynamodb::DynamoEvents;
use shared::commands::append::{AppendPorts, KnownHeads};
use shared::commands::check_schemas::SchemaGate;
use shared::commands::collect_events::{CollectEventsPorts, StoreHeldPorts};
use shared::commands::manage_dead_letters::ManageDeadLettersPorts;
use shared::commands::manage_keys::ManageKeysPorts;
use shared::commands::manage_processors::ManageProcessorsPorts;
use shared::commands::manage_projections::ManageProjectionsPorts;
use shared::commands::manage_rejected_events::ManageRejectedEventsPorts;
use shared::commands::manage_replays::ManageReplaysPorts;
use shared::commands::manage_schemas::ManageSchemasPorts;
use shared::commands::manage_subscriptions::ManageSubscriptionsPorts;
use shared::commands::record_events::RecordEventsPorts;
use shared::commands::replay_batch::ReplayBatchPorts;
use shared::commands::resend_deliveries::ResendDeliveriesPorts;
use shared::commands::send_webhook::SendWebhookPorts;
use shared::commands::test_subscription::TestSubscriptionPorts;
use shared::domain::access::{Caller, Scope};
use shared::domain::bridge::Bridging;
use shared::domain::signature::WebhookSecret;
use shared::http::caller::{authorizer_context, with_authorizer_context};
use shared::http::collect::door::respond_to_page;
use shared::http::collect::pixel;
use shared::http::collect::read_event;
use shared::http::collect::settings::CollectSettings;
use shared::http::problem::Problem;
use shared::http::request::path;
use shared::http::respond::{Addressee, Answer, respond};
use shared::http::routes::{self, Access, Destination, Endpoint};
use shared::ports::bridge_status::BridgeStatusStore;
use shared::ports::clock::Clock;
use shared::ports::commit_log::CommitLog;
use shared::ports::counter_store::CounterStore;
use shared::ports::dead_letters::DeadLetters;
use shared::ports::definition_store::DefinitionStore;
use shared::ports::delivery_log::DeliveryLog;
use shared::ports::event_reader::EventReader;
use shared::ports::key_store::KeyStore;
use shared::ports::outcome_log::OutcomeLog;
use shared::ports::projection_store::{ProjectionDefinitionStore, ProjectionStore};
use shared::ports::queue::QueueSender;
use shared::ports::random::Random;
use shared::ports::rejected_events::RejectedEvents;
use shared::ports::replay_store::ReplayStore;
use shared::ports::schema_store::SchemaStore;
use shared::ports::stream_reader::StreamReader;
use shared::ports::timeline::Timeline;
use shared::ports::timer::Timer;
use shared::ports::token_verifier::TokenVerifier;
use shared::ports::webhook_sender::WebhookSender;
use shared::queries::check_access::{CheckAccessPorts, KeyCache};
use shared::queries::read_events::ReadEventsPorts;
use shared::queries::read_projection::{MOST_EVENTS, ReadProjectionPorts};

use crate::limits::RateLimits;

/// What keeps the state of a service.
pub struct Stores {
    /// Where events go.
    pub log: Arc<dyn CommitLog>,
    /// Where events are read.
    pub events: Arc<dyn EventReader>,
    /// Where API keys are kept.
    pub keys: Arc<dyn KeyStore>,
    /// Where streams are read commit by commit.
    pub streams: Arc<dyn StreamReader>,
    /// Where processors and subscriptions are kept, and where all that is defined is read.
    pub definitions: Arc<dyn DefinitionStore>,
    /// Where commits are read in the order of time.
    pub timeline: Arc<dyn Timeline>,
    /// Where outcomes are kept.
    pub outcomes: Arc<dyn OutcomeLog>,
    /// Where replays are kept.
    pub replays: Arc<dyn ReplayStore>,
    /// Where projections are kept that are defined.
    pub projections: Arc<dyn ProjectionDefinitionStore>,
    /// Where schemas are kept.
    pub schemas: Arc<dyn SchemaStore>,
    /// Where snapshots are kept.
    pub snapshots: Arc<dyn ProjectionStore>,
    /// Where deliveries are kept.
    pub deliveries: Arc<dyn DeliveryLog>,
    /// Where work that was given up is kept.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Where events are kept that cannot be read.
    pub rejected: Arc<dyn RejectedEvents>,
    /// Knows how processors have done.
    pub counters: Arc<dyn CounterStore>,
}

impl Stores {
    /// All of it on one table.
    #[must_use]
    pub fn on(events: &DynamoEvents) -> Self {
        let events = Arc::new(events.clone());
        Self {
            log: events.clone(),
            events: events.clone(),
            keys: events.clone(),
            streams: events.clone(),
            definitions: events.clone(),
            timeline: events.clone(),
            outcomes: events.clone(),
            replays: events.clone(),
            projections: events.clone(),
            schemas: events.clone(),
            snapshots: events.clone(),
            deliveries: events.clone(),
            dead_letters: events.clone(),
            rejected: events.clone(),
            counters: events,
        }
    }
}

/// The service, on whatever ports it is given.
pub struct App {
    /// What keeps its state.
    pub stores: Stores,
    /// What is known of schemas.
    pub gate: SchemaGate,
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
    /// What the operator has decided about collecting.
    pub collect: CollectSettings,
    /// What RudderStack shows, if it has to.
    pub rudderstack: Option<WebhookSecret>,
    /// Knows how the bridge to NATS is, if there is one.
    pub bridge: Option<Arc<dyn BridgeStatusStore>>,
    /// How much one sender may have collected.
    pub limits: Option<RateLimits>,
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
            // A browser's question before it sends is for who takes what it sends; any function answers what concerns no function.
            Ok(Destination::Options(options)) => {
                return match options.endpoint {
                    endpoint @ (Endpoint::CollectFrontend(_)
                    | Endpoint::ReceiveRudderstack
                    | Endpoint::ReceiveAnalytics(_)
                    | Endpoint::ReceiveCloudevents) => self.answer_at(endpoint, request).await,
                    Endpoint::RecordEvents(_)
                    | Endpoint::ReadEvents(_)
                    | Endpoint::ManageSubscriptions(_)
                    | Endpoint::ManageProcessors(_)
                    | Endpoint::ManageDeadLetters(_)
                    | Endpoint::ManageKeys(_)
                    | Endpoint::ManageRejectedEvents(_)
                    | Endpoint::ReadProjections(_)
                    | Endpoint::ReplayEvents(_)
                    | Endpoint::ManageSchemas(_) => read_events::handle(&self.reads(), request).await,
                };
            }
            Err(problem) => return respond(Addressee::of(&request), Err(problem)),
        };
        let request = match matched.route.access {
            Access::Public | Access::WriteKey | Access::SharedSecret => request,
            Access::Scope(_) => self.authorized(request).await,
        };
        self.answer_at(matched.route.endpoint, request).await
    }

    async fn answer_at(&self, endpoint: Endpoint, request: Request) -> Response<Body> {
        match endpoint {
            Endpoint::RecordEvents(_) => {
                record_events::handle(
                    &RecordEventsPorts {
                        append: self.append(),
                        clock: &*self.clock,
                        definitions: &*self.stores.definitions,
                        gate: &self.gate,
                    },
                    request,
                )
                .await
            }
            Endpoint::ReadEvents(_) => read_events::handle(&self.reads(), request).await,
            Endpoint::ManageSubscriptions(_) => manage_subscriptions::handle(&self.subscriptions(), request).await,
            Endpoint::ManageProcessors(_) => manage_processors::handle(&self.processors(), request).await,
            Endpoint::ManageDeadLetters(_) => manage_dead_letters::handle(&self.letters(), request).await,
            Endpoint::ManageKeys(_) => {
                let ports = ManageKeysPorts { keys: &*self.stores.keys, clock: &*self.clock, random: &*self.random };
                manage_keys::handle(&ports, request).await
            }
            Endpoint::CollectFrontend(_) => {
                let ports = collect_frontend::Ports { collect: self.collecting(), settings: &self.collect, bridge: self.bridge.as_deref() };
                self.limited(request, async |request| collect_frontend::handle(&ports, request).await).await
            }
            Endpoint::ReceiveRudderstack => {
                let secret = self.rudderstack.as_ref();
                let ports = receive_rudderstack::Ports { collect: self.collecting(), settings: &self.collect, secret };
                self.limited(request, async |request| receive_rudderstack::handle(&ports, request).await).await
            }
            Endpoint::ReceiveAnalytics(_) => {
                let access = CheckAccessPorts { keys: &*self.stores.keys, tokens: None, clock: &*self.clock, cache: &self.cache };
                let ports = receive_analytics::Ports { collect: self.collecting(), access, settings: &self.collect };
                self.limited(request, async |request| receive_analytics::handle(&ports, request).await).await
            }
            Endpoint::ReceiveCloudevents => {
                let ports = receive_cloudevents::Ports { collect: self.collecting(), settings: &self.collect };
                self.limited(request, async |request| receive_cloudevents::handle(&ports, request).await).await
            }
            Endpoint::ReadProjections(_) => read_projections::handle(&self.projecting(), request).await,
            Endpoint::ManageSchemas(_) => manage_schemas::handle(&self.registering(), request).await,
            Endpoint::ReplayEvents(_) => replay_events::handle(&self.replaying(), request).await,
            Endpoint::ManageRejectedEvents(_) => {
                let ports = ManageRejectedEventsPorts { collect: self.collecting(), read: read_event };
                manage_rejected_events::handle(&ports, request).await
            }
        }
    }

    /// Answers a request, unless its sender has sent too many.
    async fn limited(&self, request: Request, answer: impl AsyncFnOnce(Request) -> Response<Body>) -> Response<Body> {
        // What sends nothing is free.
        let sends = *request.method() == Method::POST || path(&request).contains("pixel");
        match self.limits.as_ref().filter(|_| sends).map_or(Ok(()), |limits| limits.check(&request)) {
            Ok(()) => answer(request).await,
            // A picture is a picture, whatever is wrong.
            Err(_) if *request.method() == Method::GET => respond_to_page(&request, &self.collect, Ok(Answer::gif(pixel::GIF))),
            Err(seconds) => respond_to_page(&request, &self.collect, Err(Problem::too_many_requests(seconds))),
        }
    }

    /// What adding events takes.
    #[must_use]
    pub fn append(&self) -> AppendPorts<'_> {
        AppendPorts { log: &*self.stores.log, random: &*self.random, heads: &self.heads }
    }

    /// What collectors need.
    #[must_use]
    pub fn collecting(&self) -> CollectEventsPorts<'_> {
        CollectEventsPorts {
            append: self.append(),
            rejected: &*self.stores.rejected,
            queues: &*self.queues,
            clock: &*self.clock,
            definitions: &*self.stores.definitions,
            gate: &self.gate,
        }
    }

    /// What `store-collected` needs.
    #[must_use]
    pub fn storing(&self) -> StoreHeldPorts<'_> {
        StoreHeldPorts { append: self.append(), rejected: &*self.stores.rejected, clock: &*self.clock }
    }

    fn reads(&self) -> ReadEventsPorts<'_> {
        ReadEventsPorts {
            events: &*self.stores.events,
            definitions: &*self.stores.definitions,
            clock: &*self.clock,
            bridge: self.bridge.as_deref(),
        }
    }

    /// What `read-projections` needs.
    #[must_use]
    pub fn projecting(&self) -> ProjectionPorts<'_> {
        let definitions = &*self.stores.definitions;
        ProjectionPorts {
            read: ReadProjectionPorts {
                streams: &*self.stores.streams,
                snapshots: &*self.stores.snapshots,
                definitions,
                most_events: MOST_EVENTS,
            },
            manage: ManageProjectionsPorts {
                definitions,
                projections: &*self.stores.projections,
                clock: &*self.clock,
                random: &*self.random,
            },
        }
    }

    /// What `manage-schemas` needs.
    #[must_use]
    pub fn registering(&self) -> ManageSchemasPorts<'_> {
        ManageSchemasPorts { definitions: &*self.stores.definitions, schemas: &*self.stores.schemas, clock: &*self.clock }
    }

    /// What finding the events of replays takes.
    #[must_use]
    pub fn replay_batches(&self) -> ReplayBatchPorts<'_> {
        ReplayBatchPorts {
            streams: &*self.stores.streams,
            timeline: &*self.stores.timeline,
            log: &*self.stores.log,
            outcomes: &*self.stores.outcomes,
            definitions: &*self.stores.definitions,
            clock: &*self.clock,
        }
    }

    /// Whether there is a bridge to NATS.
    #[must_use]
    pub fn bridging(&self) -> Bridging {
        if self.bridge.is_some() { Bridging::On } else { Bridging::Off }
    }

    /// What `replay-events` needs.
    #[must_use]
    pub fn replaying(&self) -> ManageReplaysPorts<'_> {
        let batch = self.replay_batches();
        ManageReplaysPorts {
            replays: &*self.stores.replays,
            batch,
            events: &*self.stores.events,
            queues: &*self.queues,
            random: &*self.random,
            bridging: self.bridging(),
        }
    }

    /// What `manage-subscriptions` needs.
    #[must_use]
    pub fn subscriptions(&self) -> SubscriptionPorts<'_> {
        let (definitions, deliveries, webhooks) = (&*self.stores.definitions, &*self.stores.deliveries, &*self.webhooks);
        let (clock, random) = (&*self.clock, &*self.random);
        SubscriptionPorts {
            manage: ManageSubscriptionsPorts { definitions, deliveries, webhooks, clock, random },
            resend: ResendDeliveriesPorts { definitions, deliveries, events: &*self.stores.events, queues: &*self.queues, clock },
            test: TestSubscriptionPorts { definitions, webhooks: SendWebhookPorts { sender: webhooks, clock }, random },
        }
    }

    /// What `manage-processors` needs.
    #[must_use]
    pub fn processors(&self) -> ManageProcessorsPorts<'_> {
        ManageProcessorsPorts {
            definitions: &*self.stores.definitions,
            counters: &*self.stores.counters,
            events: &*self.stores.events,
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
            dead_letters: &*self.stores.dead_letters,
            deliveries: &*self.stores.deliveries,
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
                let ports =
                    CheckAccessPorts { keys: &*self.stores.keys, tokens: self.tokens.as_deref(), clock: &*self.clock, cache: &self.cache };
                authorize::check(&ports, request.headers()).await
            }
        };
        let fields = authorizer_context(checked.as_ref());
        with_authorizer_context(request, fields)
    }
}
