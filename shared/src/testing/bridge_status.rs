//! The contract of [`BridgeStatusStore`].

use super::builders::noon;
use crate::ports::bridge_status::{BridgeStatus, BridgeStatusStore};

/// The last word counts.
pub async fn the_status_is_what_was_found_last(store: &dyn BridgeStatusStore) {
    assert_eq!(store.bridge_status().await.unwrap(), None);
    for connected in [true, false] {
        let status = BridgeStatus { checked_at: noon(), connected };
        store.save_bridge_status(&status).await.unwrap();
        assert_eq!(store.bridge_status().await.unwrap(), Some(status));
    }
}
