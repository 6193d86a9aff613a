//! The archive, put through its contracts: events in memory and on DynamoDB; objects in memory, in a folder and on S3. And what archiving
//! makes of them, however often it is killed.

mod killed;
mod stub_s3;

use std::ops::Deref;

use async_trait::async_trait;
use event_service_tests::Store;
use shared::adapters::aws::Connection;
use shared::adapters::folder::FolderObjects;
use shared::adapters::memory::{MemoryEvents, MemoryObjects};
use shared::adapters::s3::S3Objects;
use shared::adapters::system::SystemRandom;
use shared::config;
use shared::ports::object_store::{ObjectStore as _, ObjectStoreError};
use shared::ports::random::Random as _;
use shared::testing::archive_store::ArchivedStore;

use stub_s3::StubS3;

mod memory {
    use super::*;

    #[derive(Default)]
    struct Memory {
        events: MemoryEvents,
        objects: MemoryObjects,
    }

    #[async_trait(?Send)]
    impl ArchivedStore for Memory {
        type Events = MemoryEvents;

        fn events(&self) -> &MemoryEvents {
            &self.events
        }

        fn objects(&self) -> &dyn shared::ports::object_store::ObjectStore {
            &self.objects
        }

        async fn count(&self) {}
    }

    async fn archive() -> Box<Memory> {
        Box::default()
    }

    async fn objects() -> Box<MemoryObjects> {
        Box::default()
    }

    shared::archive_contracts!(archive, objects);
}

mod dynamodb {
    use super::*;
    use shared::adapters::dynamodb::DynamoEvents;

    struct Dynamo(Store);

    #[async_trait(?Send)]
    impl ArchivedStore for Dynamo {
        type Events = DynamoEvents;

        fn events(&self) -> &DynamoEvents {
            &self.0.events
        }

        fn objects(&self) -> &dyn shared::ports::object_store::ObjectStore {
            &*self.0.objects
        }

        async fn count(&self) {
            self.0.count().await;
        }
    }

    async fn archive() -> Box<Dynamo> {
        Box::new(Dynamo(Store::open().await))
    }

    /// Objects that end with the test.
    struct InFolder(FolderObjects, std::path::PathBuf);

    impl Deref for InFolder {
        type Target = FolderObjects;

        fn deref(&self) -> &FolderObjects {
            &self.0
        }
    }

    impl Drop for InFolder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.1).unwrap();
        }
    }

    async fn objects() -> InFolder {
        let folder = std::env::temp_dir().join(format!("archive-{:016x}", SystemRandom.number()));
        InFolder(FolderObjects::new(folder.clone()), folder)
    }

    shared::archive_contracts!(archive, objects);
}

/// At the endpoint that `AWS_ENDPOINT_URL` names; behind S3's protocol on a socket of the test's own if it names none.
mod s3 {
    use super::*;

    struct OnS3(S3Objects, #[expect(dead_code, reason = "it ends when it is dropped")] Option<StubS3>);

    impl Deref for OnS3 {
        type Target = S3Objects;

        fn deref(&self) -> &S3Objects {
            &self.0
        }
    }

    async fn objects() -> OnS3 {
        if let Some(endpoint) = config::optional("AWS_ENDPOINT_URL") {
            let bucket = format!("events-{:016x}", SystemRandom.number());
            let made = reqwest::Client::new().put(format!("{endpoint}/{bucket}")).send().await.unwrap();
            assert!(made.status().is_success(), "{made:?}");
            return OnS3(S3Objects::new(Connection::local(&endpoint), &bucket), None);
        }
        let stub = StubS3::start().await;
        OnS3(stub.objects(), Some(stub))
    }

    shared::object_contracts!(objects);

    #[tokio::test]
    async fn what_fails_for_a_moment_is_tried_again_and_what_is_refused_is_not() {
        let stub = StubS3::start().await;
        let (objects, key) = (stub.objects(), "a/b".parse().unwrap());
        stub.fail(&[503, 500]);
        objects.put(&key, vec![1, 2, 3]).await.unwrap();
        stub.fail(&[429, 503, 500]);
        assert_eq!(objects.get_range(&key, 1..3).await.unwrap(), Some(vec![2, 3]));
        assert_eq!(stub.calls(), 7);
        stub.fail(&[403]);
        let refused = objects.get(&key).await.unwrap_err();
        assert!(matches!(&refused, ObjectStoreError::Refused { status: 403, reason } if reason.contains("as told")), "{refused:?}");
        assert_eq!(stub.calls(), 8);
        stub.fail(&[503; 4]);
        assert!(matches!(objects.get(&key).await.unwrap_err(), ObjectStoreError::Unavailable(_)));
        assert_eq!(stub.calls(), 12);
    }
}
