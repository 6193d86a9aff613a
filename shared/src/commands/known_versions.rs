//! How far streams have come, as far as this process knows.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::domain::stream_id::StreamKey;
use crate::domain::version::Version;

/// For each of the streams that were last used, the highest version that was seen. What is forgotten, or out of date, costs its
/// user a call and nothing else.
pub(super) struct KnownVersions(Mutex<LruCache<StreamKey, Version>>);

impl KnownVersions {
    /// Nothing is known yet; so many streams are remembered.
    pub(super) fn of(streams: NonZeroUsize) -> Self {
        Self(Mutex::new(LruCache::new(streams)))
    }

    fn streams(&self) -> MutexGuard<'_, LruCache<StreamKey, Version>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, stream: &StreamKey) -> Option<Version> {
        self.streams().get(stream).copied()
    }

    pub(super) fn forget(&self, stream: &StreamKey) {
        self.streams().pop(stream);
    }

    pub(super) fn saw(&self, stream: &StreamKey, version: Version) {
        let mut streams = self.streams();
        let newest = streams.peek(stream).map_or(version, |before| version.max(*before));
        streams.put(stream.clone(), newest);
    }
}
