//! The contract of [`DeadLetters`].

use super::builders::{client_id, noon};
use crate::domain::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterId};
use crate::domain::queue::WorkQueue;
use crate::ports::dead_letters::DeadLetters;

/// A letter that was parked so many microseconds after noon.
#[must_use]
pub fn letter(number: u32) -> DeadLetter {
    let parked_at = noon().plus_micros(i64::from(number));
    let even = number.is_multiple_of(2);
    DeadLetter {
        id: DeadLetterId::of(parked_at, &format!("{number}")),
        queue: if even { WorkQueue::Deliver } else { WorkQueue::Retry },
        organization: even.then(|| "acme".parse().unwrap()),
        subscription: even.then(|| format!("s{}", number % 4).parse().unwrap()),
        processor: (!even).then(|| "p1".parse().unwrap()),
        event_id: Some(client_id(u64::from(number % 3))),
        reason: "the receiver answered 500".to_owned(),
        attempts: number,
        body: format!("{{\"text\":\"\\u0000 ü \\\" {number}\"}}"),
        parked_at,
    }
}

async fn park(letters: &impl DeadLetters, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        letters.park(&letter(number)).await.unwrap();
    }
}

/// All pages, each letter by its number.
async fn numbers(letters: &impl DeadLetters, filter: &DeadLetterFilter, most: usize) -> Vec<u32> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = letters.letters(filter, after.as_ref(), most).await.unwrap();
        assert!(page.len() <= most);
        found.extend(page.into_iter().map(|letter| letter.attempts));
        match next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// The message too, however large.
pub async fn a_letter_is_read_back_as_it_was_parked(letters: &impl DeadLetters) {
    let nothing = DeadLetter { organization: None, subscription: None, processor: None, event_id: None, ..letter(1) };
    let large = DeadLetter { body: "\"".repeat(256 * 1024), ..letter(2) };
    for letter in [&nothing, &large] {
        letters.park(letter).await.unwrap();
    }
    let (found, next) = letters.letters(&DeadLetterFilter::default(), None, 10).await.unwrap();
    assert!(found == [large, nothing] && next.is_none());
}

/// Who parks a letter may do so twice.
pub async fn a_letter_that_is_parked_twice_is_kept_once(letters: &impl DeadLetters) {
    park(letters, [1, 1]).await;
    assert_eq!(numbers(letters, &DeadLetterFilter::default(), 10).await, [1]);
}

/// In pages of any size, and each once.
pub async fn letters_are_listed_latest_first(letters: &impl DeadLetters) {
    park(letters, [3, 0, 6, 1, 5, 2, 4]).await;
    for most in [1, 3, 7, 100] {
        assert_eq!(numbers(letters, &DeadLetterFilter::default(), most).await, [6, 5, 4, 3, 2, 1, 0], "pages of {most}");
    }
    let (page, next) = letters.letters(&DeadLetterFilter::default(), None, 7).await.unwrap();
    assert_eq!((page.len(), next), (7, None), "the last page says so");
}

/// Every part that is given must fit.
pub async fn only_the_letters_that_match_are_listed(letters: &impl DeadLetters) {
    park(letters, 0..9).await;
    let any = DeadLetterFilter::default;
    for (filter, expected) in [
        (DeadLetterFilter { queue: Some(WorkQueue::Retry), ..any() }, &[7, 5, 3, 1][..]),
        (DeadLetterFilter { organization: Some("acme".parse().unwrap()), ..any() }, &[8, 6, 4, 2, 0]),
        (DeadLetterFilter { subscription: Some("s2".parse().unwrap()), ..any() }, &[6, 2]),
        (DeadLetterFilter { processor: Some("p1".parse().unwrap()), ..any() }, &[7, 5, 3, 1]),
        (DeadLetterFilter { event_id: Some(client_id(1)), ..any() }, &[7, 4, 1]),
        (DeadLetterFilter { event_id: Some(client_id(1)), queue: Some(WorkQueue::Deliver), ..any() }, &[4]),
        (DeadLetterFilter { id: Some(letter(4).id), ..any() }, &[4]),
        (DeadLetterFilter { id: Some(letter(4).id), queue: Some(WorkQueue::Retry), ..any() }, &[]),
        (DeadLetterFilter { id: Some(letter(44).id), ..any() }, &[]),
        (DeadLetterFilter { organization: Some("other".parse().unwrap()), ..any() }, &[]),
    ] {
        assert_eq!(numbers(letters, &filter, 2).await, expected, "{filter:?}");
    }
}

/// An id may be any text: clients bring them.
pub async fn a_letter_of_no_possible_id_is_not_found(letters: &impl DeadLetters) {
    park(letters, [1]).await;
    for text in [String::new(), " ".to_owned(), "x".repeat(5000), "ü".to_owned()] {
        let id = DeadLetterId(text);
        let filter = DeadLetterFilter { id: Some(id.clone()), ..DeadLetterFilter::default() };
        assert_eq!(letters.letters(&filter, None, 10).await.unwrap(), (vec![], None));
        letters.letters(&DeadLetterFilter::default(), Some(&id), 10).await.unwrap();
        letters.remove_letter(&id).await.unwrap();
    }
    assert_eq!(numbers(letters, &DeadLetterFilter::default(), 10).await, [1]);
}

/// At once, and once more is no error.
pub async fn a_removed_letter_is_gone(letters: &impl DeadLetters) {
    park(letters, [1, 2]).await;
    letters.remove_letter(&letter(1).id).await.unwrap();
    letters.remove_letter(&letter(1).id).await.unwrap();
    assert_eq!(numbers(letters, &DeadLetterFilter::default(), 10).await, [2]);
}
