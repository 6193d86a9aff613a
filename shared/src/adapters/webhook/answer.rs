//! What is kept of an answer, whoever wrote it and however long it is.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::domain::timestamp::Timestamp;
use crate::ports::webhook_sender::WebhookAnswer;

/// How much of a body is read. A body that ends before leaves its connection good for the next request; a longer one costs it.
const MAX_READ: usize = 64 * 1024;
/// Beyond [`WebhookAnswer::KEPT_BYTES`], so that its last character is whole.
const SPARE: usize = 3;
/// The longest wait that a receiver may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// The start of a body.
#[derive(Default)]
pub(super) struct Start {
    kept: Vec<u8>,
    read: usize,
}

impl Start {
    /// Whether no more needs to be read.
    pub(super) const fn is_enough(&self) -> bool {
        self.read >= MAX_READ
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.read = self.read.saturating_add(chunk.len());
        let room = (WebhookAnswer::KEPT_BYTES + SPARE).saturating_sub(self.kept.len());
        self.kept.extend(chunk.iter().take(room));
    }

    /// The start as text that can be shown: what is no UTF-8 is marked, and control characters are spaces.
    pub(super) fn into_text(self) -> String {
        let mut text = String::new();
        for char in String::from_utf8_lossy(&self.kept).chars() {
            if text.len() + char.len_utf8() > WebhookAnswer::KEPT_BYTES {
                break;
            }
            text.push(if char.is_control() { ' ' } else { char });
        }
        text
    }
}

/// How long `Retry-After` asks to wait, at most [`MAX_RETRY_AFTER`]: seconds, or a date in any of the three forms of HTTP
/// (RFC 9110, 5.6.7). A date that has passed asks for no wait.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number are a long time.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        Timestamp::new(date(text)?).ok()?.since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn date(text: &str) -> Option<DateTime<Utc>> {
    let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(|date| date.and_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(chunks: &[&[u8]]) -> String {
        let mut start = Start::default();
        for chunk in chunks {
            start.push(chunk);
        }
        start.into_text()
    }

    #[test]
    fn what_is_kept_is_readable() {
        assert_eq!(text(&[b"so ", b"far"]), "so far");
        assert_eq!(text(&["caf\u{e9} \u{1f600}".as_bytes()]), "café 😀");
        assert_eq!(text(&[b"a\0b\x1b[31m\r\nc\x7f", "\u{85}".as_bytes()]), "a b [31m  c  ");
        assert_eq!(text(&[b"\xff\xfe\x00ok"]), "\u{fffd}\u{fffd} ok");
    }

    #[test]
    fn a_long_body_is_cut_between_characters() {
        assert_eq!(text(&[&[b'x'; 5000]]), "x".repeat(1024));
        assert_eq!(text(&[b"x", "é".repeat(5000).as_bytes()]), format!("x{}", "é".repeat(511)));
    }

    #[test]
    fn reading_ends() {
        let mut start = Start::default();
        start.push(&vec![0; MAX_READ - 1]);
        assert!(!start.is_enough());
        start.push(&[0]);
        assert!(start.is_enough());
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = Timestamp::parse("1994-11-06T08:49:00Z").unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("86401", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(37)),
            ("Sun Nov  6 08:49:37 1994", Some(37)),
            ("Sun, 06 Nov 1994 08:48:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_fits_and_shows_no_control_characters(bytes: Vec<u8>, times in 0..20_usize) {
            let text = text(&vec![bytes.as_slice(); times]);
            prop_assert!(text.len() <= WebhookAnswer::KEPT_BYTES && !text.chars().any(char::is_control));
        }

        #[test]
        fn a_receiver_cannot_ask_for_more_than_a_day(text in "[0-9A-Za-z :,-]{0,40}") {
            prop_assert!(retry_after(&text, Timestamp::MIN).is_none_or(|wait| wait <= MAX_RETRY_AFTER));
        }
    }
}
