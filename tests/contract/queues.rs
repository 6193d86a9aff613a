//! The queues put through their contract: embedded in memory and in a file, and SQS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_service_tests::StoppedClock;
use shared::adapters::aws::Connection;
use shared::adapters::embedded_queues::{EmbeddedQueues, QueuesLocation};
use shared::adapters::sqs::{self, SqsQueues, provision};
use shared::adapters::system::SystemRandom;
use shared::config;
use shared::ports::clock::Clock as _;
use shared::ports::queue::{QueueReceiver, QueueSender};
use shared::ports::random::Random as _;
use shared::testing::builders::noon;
use shared::testing::queue::TimedQueues;
use shared::testing::queue::fake_sqs::FakeSqs;

/// Queues of a test's own.
struct Queues<Q> {
    ports: Q,
    time: Time,
    _folder: Option<TestFolder>,
}

/// What passes for the queues.
enum Time {
    /// This clock, when it is moved.
    Moved(Arc<StoppedClock>),
    /// Everybody's time.
    Real,
}

#[async_trait]
impl<Q: QueueSender + QueueReceiver> TimedQueues for Queues<Q> {
    fn sender(&self) -> &dyn QueueSender {
        &self.ports
    }

    fn receiver(&self) -> &dyn QueueReceiver {
        &self.ports
    }

    async fn pass(&self, time: Duration) {
        match &self.time {
            Time::Moved(clock) => clock.set(clock.now().plus_micros(i64::try_from(time.as_micros()).unwrap())),
            Time::Real => wait(time).await,
        }
    }
}

/// A little longer: the service's clock is not ours.
#[expect(clippy::disallowed_methods, reason = "nothing tells when a service's time is up")]
async fn wait(time: Duration) {
    tokio::time::sleep(time + Duration::from_millis(300)).await;
}

/// A folder that goes with the test.
struct TestFolder(PathBuf);

impl TestFolder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("queues-{:016x}", SystemRandom.number())))
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn embedded(location: QueuesLocation) -> (EmbeddedQueues, Time) {
    let clock = Arc::new(StoppedClock::new(noon()));
    (EmbeddedQueues::open(location, clock.clone()).unwrap(), Time::Moved(clock))
}

mod in_memory {
    use super::*;

    async fn queues() -> Box<Queues<EmbeddedQueues>> {
        let (queues, time) = embedded(QueuesLocation::Memory);
        Box::new(Queues { ports: queues, time, _folder: None })
    }

    shared::queue_contract!(queues);
}

mod in_a_file {
    use super::*;

    async fn queues() -> Box<Queues<EmbeddedQueues>> {
        let folder = TestFolder::new();
        let (queues, time) = embedded(QueuesLocation::Folder(folder.0.clone()));
        Box::new(Queues { ports: queues, time, _folder: Some(folder) })
    }

    shared::queue_contract!(queues);
}

/// At the endpoint that `AWS_ENDPOINT_URL` names; on embedded queues behind SQS's protocol if it names none.
mod on_sqs {
    use super::*;

    async fn queues() -> Box<Queues<SqsQueues>> {
        let Some(endpoint) = config::optional("AWS_ENDPOINT_URL") else {
            let (queues, time) = embedded(QueuesLocation::Memory);
            let fake = FakeSqs::new(queues);
            return Box::new(Queues { ports: SqsQueues::new(fake.client(), fake.urls()), time, _folder: None });
        };
        let client = sqs::connect(Connection::local(&endpoint));
        let urls = provision::create(&client, &format!("test-{:016x}", SystemRandom.number())).await.unwrap();
        Box::new(Queues { ports: SqsQueues::new(client, urls), time: Time::Real, _folder: None })
    }

    shared::queue_contract!(queues);
}
