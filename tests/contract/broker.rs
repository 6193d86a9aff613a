//! The message broker in memory, and NATS, put through the port's contract.

use async_trait::async_trait;
use shared::adapters::memory::MemoryBroker;
use shared::domain::bridge::{BridgeStream, IngestFeed};
use shared::ports::message_broker::{BrokerCheck as _, MessagePublisher, MessageSource};
use shared::testing::message_broker::ObservedBroker;

fn feed() -> IngestFeed {
    IngestFeed { stream: "INGEST_TEST".to_owned(), subject: "ingest.test.>".parse().unwrap() }
}

mod memory {
    use super::*;

    struct InMemory(MemoryBroker);

    #[async_trait]
    impl ObservedBroker for InMemory {
        fn publisher(&self) -> &dyn MessagePublisher {
            &self.0
        }

        fn source(&self) -> &dyn MessageSource {
            &self.0
        }

        async fn published(&self, stream: BridgeStream) -> Vec<(String, String, String)> {
            let published = self.0.published().into_iter().filter(|message| message.stream == stream);
            published.map(|message| (message.subject, message.id, message.body)).collect()
        }

        async fn send(&self, subject: &str, message_id: Option<&str>, body: &[u8]) {
            self.0.send(&feed(), subject, message_id, body);
        }

        async fn redeliver(&self) {
            self.0.redeliver();
        }
    }

    async fn broker() -> Box<dyn ObservedBroker> {
        Box::new(InMemory(MemoryBroker::with_feeds(vec![feed()])))
    }

    shared::message_broker_contract!(broker);
}

mod nats {
    use std::time::Duration;

    use async_nats::HeaderMap;
    use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
    use async_nats::jetstream::{self, Context, stream};
    use futures::StreamExt as _;
    use shared::adapters::nats::NatsBroker;
    use shared::adapters::nats::settings::{IngestFeeds, NatsSettings, NatsStreams};
    use shared::testing::message_broker::nats_server::NatsServer;

    use super::*;

    fn settings(server: &NatsServer) -> NatsSettings {
        let usual = NatsSettings::at(server.url().parse().unwrap());
        NatsSettings { feeds: IngestFeeds(vec![feed()]), ack_wait: Duration::from_secs(2), ..usual }
    }

    struct OnNats {
        broker: NatsBroker,
        context: Context,
        _server: NatsServer,
    }

    async fn broker() -> Box<dyn ObservedBroker> {
        let server = NatsServer::start();
        let others = async_nats::connect(server.url()).await.unwrap();
        let context = jetstream::new(others);
        let subjects = vec!["ingest.test.>".to_owned()];
        context.create_stream(stream::Config { name: feed().stream, subjects, ..stream::Config::default() }).await.unwrap();
        Box::new(OnNats { broker: NatsBroker::new(settings(&server)), context, _server: server })
    }

    #[async_trait]
    impl ObservedBroker for OnNats {
        fn publisher(&self) -> &dyn MessagePublisher {
            &self.broker
        }

        fn source(&self) -> &dyn MessageSource {
            &self.broker
        }

        async fn published(&self, stream: BridgeStream) -> Vec<(String, String, String)> {
            let streams = NatsStreams::default();
            let stream_on_nats = self.context.get_stream(streams.name(stream)).await.unwrap();
            let config = pull::Config { ack_policy: AckPolicy::None, ..pull::Config::default() };
            let consumer: PullConsumer = stream_on_nats.create_consumer(config).await.unwrap();
            let mut messages = consumer.fetch().max_messages(1000).messages().await.unwrap();
            let mut found = Vec::new();
            while let Some(message) = messages.next().await {
                let message = message.unwrap();
                let subject = message.subject.as_str();
                let subject = if stream == BridgeStream::Events { subject.strip_prefix("events.").unwrap() } else { subject };
                let id = message.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().to_string();
                found.push((subject.to_owned(), id, String::from_utf8(message.payload.to_vec()).unwrap()));
            }
            found
        }

        async fn send(&self, subject: &str, message_id: Option<&str>, body: &[u8]) {
            let mut headers = HeaderMap::new();
            if let Some(id) = message_id {
                headers.insert("Nats-Msg-Id", id);
            }
            let sent = self.context.publish_with_headers(subject.to_owned(), headers, body.to_vec().into()).await.unwrap();
            sent.await.unwrap();
        }

        /// It does so by itself.
        async fn redeliver(&self) {}
    }

    shared::message_broker_contract!(broker);

    /// A server that wants to know who comes, and what shows it.
    fn logins() -> Vec<(&'static str, NatsServer, String)> {
        let nkey = nkeys::KeyPair::new_user();
        let by_nkey = format!("authorization {{ users = [ {{ nkey: {} }} ] }}", nkey.public_key());
        vec![
            ("user", NatsServer::start_with("authorization { user: bridge, password: \"pa:ss\" }"), "bridge:pa:ss".to_owned()),
            ("token", NatsServer::start_with("authorization { token: s3cr3t }"), "s3cr3t".to_owned()),
            ("nkey", NatsServer::start_with(&by_nkey), nkey.seed().unwrap()),
        ]
    }

    #[tokio::test]
    async fn the_bridge_logs_in_as_the_operator_says_and_shows_no_secret_when_it_may_not() {
        for (way, server, credentials) in logins() {
            let wrong = NatsBroker::new(NatsSettings { credentials: "nobody:a-wrong-one".parse().ok(), ..settings(&server) });
            let error = wrong.check().await.unwrap_err().to_string();
            assert!(error.contains("cannot be reached") && !error.contains("a-wrong-one"), "{way}: {error}");
            let right = NatsBroker::new(NatsSettings { credentials: credentials.parse().ok(), ..settings(&server) });
            assert_eq!(right.check().await, Ok(()), "{way}");
            assert!(!format!("{right:?}").contains(&credentials), "{way}");
        }
    }
}
