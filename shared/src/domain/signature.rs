//! Signatures of webhooks: Standard Webhooks, and a plain HMAC of the body for receivers without a library.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::timestamp::Timestamp;

/// Reads base64 as leniently as the official libraries do, for they must come to the same key.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// What a webhook's receiver shares with us, to tell our requests from others' (BR-SUB-006).
///
/// A text of the form `whsec_<base64>` stands for the bytes that it encodes, as Standard Webhooks has it; any other text is
/// the key itself. Its `Debug` shows nothing of it, and it has no serde: whoever stores it says so, by [`WebhookSecret::reveal`].
///
/// Invariant: [`WebhookSecret::MIN_BYTES`] to [`WebhookSecret::MAX_BYTES`] of UTF-8, no control characters, not blank.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret {
    text: String,
    key: Vec<u8>,
}

/// Why a text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookSecretError {
    /// Too short to keep anybody out.
    #[error("must be at least {} bytes long", WebhookSecret::MIN_BYTES)]
    TooShort,
    /// Longer than any key.
    #[error("must be at most {} bytes long", WebhookSecret::MAX_BYTES)]
    TooLong,
    /// Only white space, or a control character such as a line break: most likely pasted by mistake.
    #[error("must not be blank or hold control characters")]
    Characters,
}

impl WebhookSecret {
    /// What a secret starts with whose rest is base64.
    pub const PREFIX: &'static str = "whsec_";
    /// The shortest text. Clients bring secrets that they have had for long, so this is no measure of a good one.
    pub const MIN_BYTES: usize = 6;
    /// The longest text.
    pub const MAX_BYTES: usize = 512;
    /// How much of a secret's end [`WebhookSecret::masked`] shows, and of how long a text at least.
    const SHOWN: (usize, usize) = (4, 24);

    /// Reads a secret as a client or the store gives it.
    ///
    /// # Errors
    /// [`WebhookSecretError`] says what is wrong with it, and shows nothing of it.
    pub fn from_text(text: String) -> Result<Self, WebhookSecretError> {
        if text.len() < Self::MIN_BYTES {
            return Err(WebhookSecretError::TooShort);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(WebhookSecretError::TooLong);
        }
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(WebhookSecretError::Characters);
        }
        // What is not base64 after the prefix can be verified by no library, only by receivers that take the text itself.
        let decoded = text.strip_prefix(Self::PREFIX).and_then(|encoded| LENIENT.decode(encoded).ok());
        let key = decoded.filter(|key| !key.is_empty()).unwrap_or_else(|| text.clone().into_bytes());
        Ok(Self { text, key })
    }

    /// A new secret from 256 random bits.
    #[must_use]
    pub fn generate(random: [u8; 32]) -> Self {
        Self { text: format!("{}{}", Self::PREFIX, STANDARD.encode(random)), key: random.to_vec() }
    }

    /// The text as it was given, to store it or to show it once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Enough to tell one secret from another, such as `whsec_…4dQk`; of a short one, nothing but `…`.
    #[must_use]
    pub fn masked(&self) -> String {
        let (shown, of) = Self::SHOWN;
        let prefix = if self.text.starts_with(Self::PREFIX) { Self::PREFIX } else { "" };
        let tail: Vec<char> = self.text.trim_end_matches('=').chars().rev().take(shown).collect();
        if self.text.chars().count() < of {
            format!("{prefix}…")
        } else {
            format!("{prefix}…{}", tail.iter().rev().collect::<String>())
        }
    }

    /// HMAC-SHA256 of the parts, one after the other.
    fn mac(&self, parts: &[&str]) -> [u8; 32] {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        self.hmac(&parts).finalize().into_bytes().into()
    }

    fn hmac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebhookSecret(…)")
    }
}

/// Names the message; the same in every attempt.
pub const ID_HEADER: &str = "webhook-id";
/// When the attempt was made, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// `v1,<base64>` for each secret, separated by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// `sha256=<hex>` of the body, with the newest secret.
pub const BODY_SIGNATURE_HEADER: &str = "X-Event-Signature";
/// The same with the secret before, while a rotation's overlap lasts.
pub const PREVIOUS_BODY_SIGNATURE_HEADER: &str = "X-Event-Signature-Previous";

/// The headers that sign `body` with every one of `secrets`, newest first, as the message `id` sent at `at`.
///
/// Receivers accept a message if any signature fits the secret that they know: so while a rotation's overlap lasts, both the
/// one who has switched and the one who has not are served. Without secrets, the headers only name the message.
#[must_use]
pub fn signature_headers(secrets: &[&WebhookSecret], id: &str, at: Timestamp, body: &str) -> Vec<(String, String)> {
    let seconds = at.to_chrono().timestamp().to_string();
    let signatures: Vec<String> =
        secrets.iter().map(|secret| format!("v1,{}", STANDARD.encode(secret.mac(&[id, ".", &seconds, ".", body])))).collect();
    let mut headers = vec![(ID_HEADER.to_owned(), id.to_owned()), (TIMESTAMP_HEADER.to_owned(), seconds)];
    if !signatures.is_empty() {
        headers.push((SIGNATURE_HEADER.to_owned(), signatures.join(" ")));
    }
    for (name, secret) in [BODY_SIGNATURE_HEADER, PREVIOUS_BODY_SIGNATURE_HEADER].into_iter().zip(secrets) {
        headers.push((name.to_owned(), format!("sha256={}", hex(secret.mac(&[body])))));
    }
    headers
}

/// How old a message may be whose sender signs when it was sent, and how far ahead its clock may be.
const TOLERANCE_SECONDS: i64 = 5 * 60;

/// Whether `signature` is that of the body, in hex, with or without `sha256=`. Takes the same time whatever is wrong with it.
#[must_use]
pub fn verifies_body(secret: &WebhookSecret, signature: &str, body: &[u8]) -> bool {
    let digits = signature.trim().strip_prefix("sha256=").unwrap_or(signature.trim());
    from_hex(digits).is_some_and(|bytes| secret.hmac(&[body]).verify_slice(&bytes).is_ok())
}

/// Whether one of these signatures is that of Standard Webhooks, of a message that was sent within five minutes.
#[must_use]
pub fn verifies_standard(secret: &WebhookSecret, id: &str, timestamp: &str, signatures: &str, body: &[u8], now: Timestamp) -> bool {
    let Ok(sent_at) = timestamp.parse::<i64>() else { return false };
    let is_recent = now.second().saturating_sub(sent_at).saturating_abs() <= TOLERANCE_SECONDS;
    let signed: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let is_right = |signature: &str| {
        let bytes = signature.strip_prefix("v1,").and_then(|encoded| LENIENT.decode(encoded).ok());
        bytes.is_some_and(|bytes| secret.hmac(&signed).verify_slice(&bytes).is_ok())
    };
    is_recent && signatures.split(' ').any(is_right)
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;
    use standardwebhooks::Webhook;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the official library compares with the system's clock")]
    fn now() -> Timestamp {
        Timestamp::new(chrono::Utc::now()).unwrap()
    }

    fn secret(text: &str) -> WebhookSecret {
        WebhookSecret::from_text(text.to_owned()).unwrap()
    }

    fn header<'a>(headers: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
        headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    fn map(headers: &[(String, String)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())).collect()
    }

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn a_message_is_signed_as_the_specification_shows() {
        let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = r#"{"test": 2432232314}"#;
        let headers = signature_headers(&[&secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", seconds(1_614_265_330), body);
        assert_eq!(header(&headers, "webhook-id"), Some("msg_p5jXN8AQM9LWM0D4loKWxJek"));
        assert_eq!(header(&headers, "webhook-timestamp"), Some("1614265330"));
        assert_eq!(header(&headers, "webhook-signature"), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    /// RFC 4231, test case 2.
    #[test]
    fn the_plain_signature_is_the_hmac_of_the_body() {
        let key = WebhookSecret { text: "Jefe".to_owned(), key: b"Jefe".to_vec() };
        let headers = signature_headers(&[&key], "id", seconds(0), "what do ya want for nothing?");
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(header(&headers, "X-Event-Signature"), Some(expected));
        assert_eq!(header(&headers, "X-Event-Signature-Previous"), None);
    }

    /// BR-SUB-006.
    #[test]
    fn the_official_library_accepts_what_we_sign_and_nothing_else() {
        let now = now();
        for (ours, theirs) in [
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Webhook::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()),
            ("whsec_c2VjcmV0MTI", Webhook::from_bytes(b"secret12".to_vec()).unwrap()),
            ("secret123", Webhook::from_bytes(b"secret123".to_vec()).unwrap()),
            ("geheim, très", Webhook::from_bytes("geheim, très".as_bytes().to_vec()).unwrap()),
            ("whsec_not base64", Webhook::from_bytes(b"whsec_not base64".to_vec()).unwrap()),
        ] {
            let headers = map(&signature_headers(&[&secret(ours)], "evt_1", now, r#"{"a":1}"#));
            assert!(theirs.verify(br#"{"a":1}"#, &headers).is_ok(), "{ours}");
            assert!(theirs.verify(br#"{"a":2}"#, &headers).is_err(), "{ours}");
            assert!(Webhook::from_bytes(b"another".to_vec()).unwrap().verify(br#"{"a":1}"#, &headers).is_err(), "{ours}");
        }
    }

    /// BR-SUB-006.
    #[test]
    fn during_a_rotation_the_old_and_the_new_secret_both_verify() {
        let (new, old) = (WebhookSecret::generate([7; 32]), secret("secret123"));
        let headers = signature_headers(&[&new, &old], "evt_1", now(), "{}");
        let only = |secret| signature_headers(&[secret], "evt_1", now(), "{}");
        for key in [vec![7; 32], b"secret123".to_vec()] {
            assert!(Webhook::from_bytes(key).unwrap().verify(b"{}", &map(&headers)).is_ok());
        }
        assert_eq!(header(&headers, BODY_SIGNATURE_HEADER), header(&only(&new), BODY_SIGNATURE_HEADER));
        assert_eq!(header(&headers, PREVIOUS_BODY_SIGNATURE_HEADER), header(&only(&old), BODY_SIGNATURE_HEADER));
    }

    #[test]
    fn without_a_secret_the_headers_only_name_the_message() {
        let headers = signature_headers(&[], "evt_1", seconds(1), "{}");
        assert_eq!(headers, [("webhook-id".to_owned(), "evt_1".to_owned()), ("webhook-timestamp".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn a_secret_is_refused_when_it_is_too_short_too_long_blank_or_has_control_characters() {
        for (text, error) in [
            ("short".to_owned(), Some(WebhookSecretError::TooShort)),
            ("secret".to_owned(), None),
            ("x".repeat(512), None),
            ("x".repeat(513), Some(WebhookSecretError::TooLong)),
            (" ".repeat(8), Some(WebhookSecretError::Characters)),
            ("secret123\n".to_owned(), Some(WebhookSecretError::Characters)),
        ] {
            assert_eq!(WebhookSecret::from_text(text.clone()).err(), error, "{text}");
        }
    }

    #[test]
    fn a_secret_shows_its_end_at_most() {
        let made = WebhookSecret::generate([1; 32]);
        assert_eq!(format!("{made:?}"), "WebhookSecret(…)");
        assert_eq!(made.reveal(), "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
        for (text, masked) in
            [(made.reveal(), "whsec_…BAQE"), ("secret123", "…"), ("whsec_c2VjcmV0", "whsec_…"), ("a text of some length, say", "… say")]
        {
            assert_eq!(secret(text).masked(), masked);
        }
    }

    proptest! {
        #[test]
        fn any_message_is_signed_as_the_official_library_signs_it(
            random: [u8; 32], raw in "[^\\p{Cc}]{6,120}", id in "[a-zA-Z0-9_-]{1,60}", body in ".*", at in 0..4_000_000_000_i64,
        ) {
            prop_assume!(!raw.trim().is_empty() && !raw.starts_with(WebhookSecret::PREFIX));
            let made = WebhookSecret::generate(random);
            let given = secret(&raw);
            let headers = signature_headers(&[&made, &given], &id, seconds(at), &body);
            let theirs = [
                Webhook::new(made.reveal()).unwrap().sign(&id, at, body.as_bytes()).unwrap(),
                Webhook::from_bytes(raw.into_bytes()).unwrap().sign(&id, at, body.as_bytes()).unwrap(),
            ];
            let theirs = theirs.join(" ");
            prop_assert_eq!(header(&headers, SIGNATURE_HEADER), Some(theirs.as_str()));
        }

        #[test]
        fn a_secret_that_was_made_reads_back(random: [u8; 32]) {
            let made = WebhookSecret::generate(random);
            prop_assert_eq!(secret(made.reveal()), made);
        }
    }
}
