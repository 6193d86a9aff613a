//! The contract of [`ObjectStore`].

use crate::domain::archive::ObjectKey;
use crate::ports::object_store::{ObjectStore, ObjectStoreError};

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

/// Every byte of it, however many there are.
pub async fn an_object_is_read_back_as_it_was_put(objects: &dyn ObjectStore) {
    for (name, length) in [("events/date=2026-08-30/hour=12/a.jsonl.zst", 3_000_000), ("small", 1), ("empty", 0)] {
        let bytes: Vec<u8> = (0..length).map(|number: u32| number.to_le_bytes()[usize::from(number.is_multiple_of(3))]).collect();
        objects.put(&key(name), bytes.clone()).await.unwrap();
        assert!(objects.get(&key(name)).await.unwrap() == Some(bytes), "{name}");
    }
}

/// From its first byte to its last.
pub async fn a_part_of_an_object_is_read_by_its_range(objects: &dyn ObjectStore) {
    let bytes: Vec<u8> = (0..=255).collect();
    objects.put(&key("a/b"), bytes.clone()).await.unwrap();
    for (from, to) in [(0, 1), (0, 256), (100, 200), (255, 256)] {
        let part = objects.get_range(&key("a/b"), from..to).await.unwrap();
        let expected = &bytes[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
        assert_eq!(part.as_deref(), Some(expected), "{from}..{to}");
    }
}

/// What does not exist is no failure; what lies beyond an object's end is one.
pub async fn an_object_that_was_never_put_is_not_there(objects: &dyn ObjectStore) {
    objects.put(&key("a/b"), vec![1, 2, 3]).await.unwrap();
    for other in ["a/c", "b", "a/b.c"] {
        assert_eq!(objects.get(&key(other)).await.unwrap(), None);
        assert_eq!(objects.get_range(&key(other), 0..1).await.unwrap(), None);
    }
    for range in [2..5, 3..4] {
        assert!(matches!(objects.get_range(&key("a/b"), range).await, Err(ObjectStoreError::Refused { .. })), "asking again does not help");
    }
}

/// Whatever its size.
pub async fn an_object_takes_the_place_of_the_one_before(objects: &dyn ObjectStore) {
    for bytes in [vec![1; 100], vec![2; 10], vec![3; 200]] {
        objects.put(&key("a/b"), bytes.clone()).await.unwrap();
        assert_eq!(objects.get(&key("a/b")).await.unwrap(), Some(bytes));
    }
}
