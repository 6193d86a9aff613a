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
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use futures::StreamExt as _;
    use serde_json::{Value, json};
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

    /// A token of NATS: what `signer` says of `subject`.
    fn jwt(signer: &nkeys::KeyPair, subject: &nkeys::KeyPair, claims: &Value) -> String {
        let encode = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
        let claims =
            json!({"jti": "0", "iat": 0, "iss": signer.public_key(), "sub": subject.public_key(), "name": "bridge", "nats": claims});
        let head = encode(json!({"typ": "JWT", "alg": "ed25519-nkey"}).to_string().as_bytes());
        let claimed = format!("{head}.{}", encode(claims.to_string().as_bytes()));
        let signature = signer.sign(claimed.as_bytes()).unwrap();
        format!("{claimed}.{}", encode(&signature))
    }

    /// A server whose operator says who may come, and a credentials file of one who may, as `nsc` writes it.
    fn with_an_operator() -> (NatsServer, String) {
        let (operator, account, user) = (nkeys::KeyPair::new_operator(), nkeys::KeyPair::new_account(), nkeys::KeyPair::new_user());
        let system = nkeys::KeyPair::new_account();
        let limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1});
        let of_operator = jwt(&operator, &operator, &json!({"type": "operator", "version": 2}));
        let of_account = jwt(&operator, &account, &json!({"type": "account", "version": 2, "limits": limits}));
        let of_system = jwt(&operator, &system, &json!({"type": "account", "version": 2}));
        let of_user = jwt(&account, &user, &json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}));
        let (account, system) = (account.public_key(), system.public_key());
        let server = NatsServer::start_with(&format!(
            "operator: {of_operator}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{ {account}: {of_account}, {system}: {of_system} }}"
        ));
        let seed = user.seed().unwrap();
        let file = format!(
            "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        (server, file)
    }

    /// A server that wants to know who comes, and what shows it.
    fn logins() -> Vec<(&'static str, NatsServer, String)> {
        let nkey = nkeys::KeyPair::new_user();
        let by_nkey = format!("authorization {{ users = [ {{ nkey: {} }} ] }}", nkey.public_key());
        let ((server, file), (other_server, on_one_line)) = (with_an_operator(), with_an_operator());
        vec![
            ("credentials file", server, file),
            ("credentials file on one line", other_server, on_one_line.replace('\n', "\\n")),
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
    #[tokio::test]
    async fn a_login_may_stand_in_the_address_and_the_settings_go_before_it() {
        let by_user = NatsServer::start_with("authorization { user: bridge, password: \"p@s:s\" }");
        let by_token = NatsServer::start_with("authorization { token: s3cr3t }");
        for (server, login) in [(&by_user, "bridge:p%40s%3As"), (&by_token, "s3cr3t")] {
            let address = format!("nats://{login}@{}", server.address());
            let at = |credentials: Option<&str>| {
                let credentials = credentials.map(|text| text.parse().unwrap());
                NatsBroker::new(NatsSettings { servers: address.parse().unwrap(), credentials, ..settings(server) })
            };
            assert_eq!(at(None).check().await, Ok(()), "{login}");
            assert!(at(Some("nobody:nothing")).check().await.is_err(), "{login}");
        }
    }

    #[tokio::test]
    async fn a_message_of_a_stream_that_was_made_anew_is_another_one_at_the_same_number() {
        let server = NatsServer::start();
        let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let broker = NatsBroker::new(settings(&server));
        let mut places = Vec::new();
        for _ in 0..2 {
            let subjects = vec!["ingest.test.>".to_owned()];
            context.create_stream(stream::Config { name: feed().stream, subjects, ..stream::Config::default() }).await.unwrap();
            context.publish("ingest.test.a", "{}".into()).await.unwrap().await.unwrap();
            // The consumer went with the stream: a request to it fails, and the next one makes another.
            let found = match broker.fetch(&feed(), 10, Duration::from_secs(5)).await {
                Ok(found) => found,
                Err(_) => broker.fetch(&feed(), 10, Duration::from_secs(5)).await.unwrap(),
            };
            let [message] = &found[..] else { panic!("one message") };
            places.push(message.place.clone());
            context.delete_stream(feed().stream).await.unwrap();
        }
        assert!(places.iter().all(|place| place.starts_with("INGEST_TEST:1@")), "{places:?}");
        assert_ne!(places[0], places[1]);
    }

    #[tokio::test]
    async fn a_feed_whose_stream_is_not_there_says_what_to_do() {
        let server = NatsServer::start();
        let error = NatsBroker::new(settings(&server)).fetch(&feed(), 1, Duration::ZERO).await.unwrap_err().to_string();
        assert!(error.contains("there is no stream INGEST_TEST: make it, or take it out of NATS_INGEST"), "{error}");
    }

    #[tokio::test]
    async fn a_server_is_spoken_to_through_tls_if_its_certificate_is_trusted_and_not_at_all_otherwise() {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let files = tempfile::TempDir::new().unwrap();
        let (certificate, key) = (files.path().join("certificate.pem"), files.path().join("key.pem"));
        std::fs::write(&certificate, own.cert.pem()).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        let server = NatsServer::start_with(&format!("tls {{ cert_file: {:?}, key_file: {:?} }}", certificate.display(), key.display()));
        for scheme in ["nats", "tls"] {
            let address = format!("{scheme}://{}", server.address());
            let broker = |certificates: Option<String>| {
                NatsBroker::new(NatsSettings { servers: address.parse().unwrap(), certificates, ..settings(&server) })
            };
            assert_eq!(broker(Some(own.cert.pem())).check().await, Ok(()), "{address}");
            for wrong in [None, Some(other.cert.pem()), Some("-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n".to_owned())] {
                let error = broker(wrong.clone()).check().await.unwrap_err().to_string();
                assert!(error.contains("cannot be reached"), "{address} {wrong:?}: {error}");
            }
        }
        // And one that does not speak it is not spoken to without it.
        let plain = NatsServer::start();
        let broker = NatsBroker::new(NatsSettings { certificates: Some(own.cert.pem()), ..settings(&plain) });
        assert!(broker.check().await.is_err());
    }
}
