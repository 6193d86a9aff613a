//! The contract of [`KeyStore`].

use super::builders::noon;
use crate::domain::access::{ApiKey, ApiKeySecret, Scope};
use crate::ports::key_store::KeyStore;

fn key(number: u8) -> ApiKey {
    ApiKey {
        digest: ApiKeySecret::from_random([number; 32]).digest(),
        name: format!("key {number}"),
        scopes: vec![Scope::Write, Scope::Admin],
        organization: number.is_multiple_of(2).then(|| "acme".parse().unwrap()),
        created_at: noon().plus_micros(i64::from(number)),
        expires_at: Some(noon()),
    }
}

/// And by no other.
pub async fn a_key_is_found_by_the_digest_of_its_secret(store: &impl KeyStore) {
    store.put_key(&key(1)).await.unwrap();
    assert_eq!(store.key(&key(1).digest).await.unwrap(), Some(key(1)));
    assert_eq!(store.key(&key(2).digest).await.unwrap(), None);
}

/// At once.
pub async fn a_removed_key_is_gone(store: &impl KeyStore) {
    store.put_key(&key(1)).await.unwrap();
    assert!(store.remove_key(key(1).digest.key_id()).await.unwrap());
    assert!(!store.remove_key(key(1).digest.key_id()).await.unwrap());
    assert_eq!(store.key(&key(1).digest).await.unwrap(), None);
}

/// With all that they are.
pub async fn keys_are_listed_oldest_first(store: &impl KeyStore) {
    for number in [3, 1, 2] {
        store.put_key(&key(number)).await.unwrap();
    }
    assert_eq!(store.keys().await.unwrap(), [key(1), key(2), key(3)]);
}
