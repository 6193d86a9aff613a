//! The contract of [`ProjectionStore`].

use super::builders::{client_id, large_event, noon, stream};
use crate::domain::json::JsonObject;
use crate::domain::projection::{Progress, RulesKey, Snapshot, SnapshotKey, Warning};
use crate::domain::version::Version;
use crate::ports::projection_store::{Kept, ProjectionStore};
use crate::ports::revision::Revision;

/// The key of an entity's snapshot by these rules.
#[must_use]
pub fn key(entity: &str, definition: Option<&str>, version: u32) -> SnapshotKey {
    let definition = definition.map(|id| id.parse().unwrap());
    let name = definition.as_ref().map_or("default", |_| "summary").parse().unwrap();
    SnapshotKey { stream: stream(entity), name, rules: RulesKey { definition, version, upcasters: if version == 1 { 0 } else { 0xabc } } }
}

/// A snapshot at this version.
#[must_use]
pub fn snapshot(version: u64) -> Snapshot {
    let warning = Warning {
        event_id: client_id(version),
        event_type: "order.placed".parse().unwrap(),
        stream_version: Version::new(1),
        reason: "the event has no data.total".to_owned(),
    };
    Snapshot {
        state: JsonObject::parse(&format!(r#"{{"n":123456789012345678901234567890,"text":"ü","v":{version}}}"#)).unwrap(),
        progress: Progress {
            version: Version::new(version),
            last_event_id: Some(client_id(version)),
            created_at: Some(noon()),
            updated_at: Some(noon()),
            skipped: 1,
            warnings: vec![warning],
        },
    }
}

async fn kept(store: &impl ProjectionStore, key: &SnapshotKey) -> Option<Snapshot> {
    store.snapshot(key).await.unwrap().0
}

/// Whatever the names hold, and however large the state is, if it is kept at all.
pub async fn a_snapshot_is_read_back_as_it_was_kept(store: &impl ProjectionStore) {
    for entity in ["order:1", "a%b#c/d/order:1/2:3#ü"] {
        let key = key(entity, None, 1);
        assert_eq!(store.snapshot(&key).await.unwrap(), (None, Revision(0)));
        assert_eq!(store.save_snapshot(&key, &snapshot(7), Revision(0)).await.unwrap(), Kept::Yes);
        assert_eq!(store.snapshot(&key).await.unwrap(), (Some(snapshot(7)), Revision(1)));
    }
    for bytes in [200_000, 900_000] {
        let (key, large) = (key("order:2", None, 1), Snapshot { state: large_event(bytes).details.data, ..snapshot(8) });
        let (before, seen) = store.snapshot(&key).await.unwrap();
        match store.save_snapshot(&key, &large, seen).await.unwrap() {
            Kept::Yes => assert_eq!(kept(store, &key).await, Some(large)),
            Kept::TooLarge => assert_eq!(kept(store, &key).await, before),
            Kept::Overtaken => panic!("nobody else has saved one"),
        }
    }
    assert!(kept(store, &key("order:2", None, 1)).await.is_some(), "200 KB are kept");
}

/// A lost race harms nothing.
pub async fn a_snapshot_is_kept_only_over_the_one_that_was_seen(store: &impl ProjectionStore) {
    let key = key("order:1", Some("d1"), 2);
    assert_eq!(store.save_snapshot(&key, &snapshot(1), Revision(3)).await.unwrap(), Kept::Overtaken);
    assert_eq!(kept(store, &key).await, None);
    assert_eq!(store.save_snapshot(&key, &snapshot(1), Revision(0)).await.unwrap(), Kept::Yes);
    assert_eq!(store.save_snapshot(&key, &snapshot(2), Revision(1)).await.unwrap(), Kept::Yes);
    for stale in [Revision(0), Revision(1)] {
        assert_eq!(store.save_snapshot(&key, &snapshot(3), stale).await.unwrap(), Kept::Overtaken);
    }
    assert_eq!(store.snapshot(&key).await.unwrap(), (Some(snapshot(2)), Revision(2)));
}

/// Each has its own.
pub async fn snapshots_of_entities_rules_and_versions_are_apart(store: &impl ProjectionStore) {
    let keys = [
        key("order:1", None, 1),
        key("order:1", None, 2),
        key("order:1", Some("d1"), 1),
        key("order:1", Some("d1"), 11),
        key("order:1", Some("d2"), 1),
        key("acme/order:1", None, 1),
        key("order:11", None, 1),
    ];
    for (version, key) in (1..).zip(&keys) {
        assert_eq!(store.save_snapshot(key, &snapshot(version), Revision(0)).await.unwrap(), Kept::Yes);
    }
    for (version, key) in (1..).zip(&keys) {
        assert_eq!(kept(store, key).await, Some(snapshot(version)));
    }
}

/// And may be kept again.
pub async fn a_snapshot_that_was_removed_is_gone(store: &impl ProjectionStore) {
    let (key, other) = (key("order:1", None, 1), key("order:1", Some("d1"), 1));
    for key in [&key, &other] {
        assert_eq!(store.save_snapshot(key, &snapshot(1), Revision(0)).await.unwrap(), Kept::Yes);
    }
    for _ in 0..2 {
        store.remove_snapshot(&key).await.unwrap();
    }
    assert_eq!((store.snapshot(&key).await.unwrap(), kept(store, &other).await), ((None, Revision(0)), Some(snapshot(1))));
    assert_eq!(store.save_snapshot(&key, &snapshot(2), Revision(0)).await.unwrap(), Kept::Yes);
}
