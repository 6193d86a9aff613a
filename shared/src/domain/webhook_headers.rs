//! Headers that the owner of a webhook adds to its requests.

use std::fmt;

use super::signature::{BODY_SIGNATURE_HEADER, ID_HEADER, PREVIOUS_BODY_SIGNATURE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};

/// Headers besides those that the service and the connection set. Their values may be credentials: `Debug` shows names only.
///
/// Invariant: at most [`WebhookHeaders::MAX_COUNT`], each at most [`WebhookHeaders::MAX_BYTES`] long and valid in HTTP, none
/// twice, and none that says how the request is framed, where it goes or who signed it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WebhookHeaders(Vec<(String, String)>);

/// Why headers are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookHeadersError {
    /// Too many.
    #[error("must be at most {} headers", WebhookHeaders::MAX_COUNT)]
    TooMany,
    /// Not the name of a header.
    #[error("{0:?} is not the name of a header")]
    Name(String),
    /// The service or the connection sets it.
    #[error("{0} is set by the service and cannot be chosen")]
    Reserved(String),
    /// Characters that a header cannot carry. The value is not shown: it may be a secret.
    #[error("the value of {0} must be printable ASCII, without a space at either end")]
    Value(String),
    /// Too long.
    #[error("{0} must be at most {max} bytes long, name and value together", max = WebhookHeaders::MAX_BYTES)]
    TooLong(String),
    /// Given more than once.
    #[error("{0} is given more than once")]
    Twice(String),
}

/// What frames or routes a request, or belongs to one connection only (RFC 9110, 7.6.1).
const OF_THE_CONNECTION: [&str; 18] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// What says that a request is ours.
const OF_THE_SIGNATURE: [&str; 5] = [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER, BODY_SIGNATURE_HEADER, PREVIOUS_BODY_SIGNATURE_HEADER];

/// The type of every body. Owners may say it, too.
const JSON: &str = "application/json";

impl WebhookHeaders {
    /// The most headers.
    pub const MAX_COUNT: usize = 20;
    /// The most bytes of a header, name and value together.
    pub const MAX_BYTES: usize = 4096;

    /// Checks headers. A `Content-Type` of JSON says what is so anyway, and is left out.
    ///
    /// # Errors
    /// [`WebhookHeadersError`] names the first header that is refused.
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Result<Self, WebhookHeadersError> {
        let mut checked: Vec<(String, String)> = Vec::new();
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("content-type") && says_json(&value) {
                continue;
            }
            check(&name, &value)?;
            if checked.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
                return Err(WebhookHeadersError::Twice(name));
            }
            checked.push((name, value));
            if checked.len() > Self::MAX_COUNT {
                return Err(WebhookHeadersError::TooMany);
            }
        }
        Ok(Self(checked))
    }

    /// Names and values, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Whether the connection sets a header of this name, or the body decides it: nobody else may.
#[must_use]
pub fn is_of_the_connection(name: &str) -> bool {
    OF_THE_CONNECTION.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

fn check(name: &str, value: &str) -> Result<(), WebhookHeadersError> {
    if name.is_empty() || !name.bytes().all(is_token) {
        // Somebody else's text of any length: enough of it to find it again.
        return Err(WebhookHeadersError::Name(name.chars().take(100).collect()));
    }
    if name.len() + value.len() > WebhookHeaders::MAX_BYTES {
        return Err(WebhookHeadersError::TooLong(name.chars().take(100).collect()));
    }
    if is_of_the_connection(name) || OF_THE_SIGNATURE.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err(WebhookHeadersError::Reserved(name.to_owned()));
    }
    if value.trim() != value || !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(WebhookHeadersError::Value(name.to_owned()));
    }
    Ok(())
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn says_json(value: &str) -> bool {
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON))
}

impl fmt::Debug for WebhookHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(name: &str, value: &str) -> Result<WebhookHeaders, WebhookHeadersError> {
        WebhookHeaders::new([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn headers_that_frame_route_or_sign_a_request_cannot_be_chosen() {
        for name in OF_THE_CONNECTION.into_iter().chain(OF_THE_SIGNATURE) {
            for name in [name.to_owned(), name.to_ascii_uppercase()] {
                assert_eq!(of(&name, "1"), Err(WebhookHeadersError::Reserved(name)));
            }
        }
    }

    #[test]
    fn a_header_is_refused_by_name_when_http_cannot_carry_it() {
        for name in ["", "a b", "a:b", "a\r\nHost", "é", "a\0"] {
            assert_eq!(of(name, "1"), Err(WebhookHeadersError::Name(name.to_owned())));
        }
        for value in ["a\r\nHost: b", "a\nb", "\0", "é", " a", "a ", "\t"] {
            assert_eq!(of("X-A", value), Err(WebhookHeadersError::Value("X-A".to_owned())), "{value:?}");
        }
        assert_eq!(of("X-A", &"v".repeat(4094)), Err(WebhookHeadersError::TooLong("X-A".to_owned())));
        assert!(of("X-A", &"v".repeat(4093)).is_ok());
    }

    #[test]
    fn headers_are_counted_and_given_once() {
        let many = |count: usize| WebhookHeaders::new((0..count).map(|number| (format!("X-{number}"), "1".to_owned())));
        assert!(many(20).is_ok());
        assert_eq!(many(21), Err(WebhookHeadersError::TooMany));
        let twice = [("X-A".to_owned(), "1".to_owned()), ("x-a".to_owned(), "2".to_owned())];
        assert_eq!(WebhookHeaders::new(twice), Err(WebhookHeadersError::Twice("x-a".to_owned())));
    }

    #[test]
    fn the_type_of_the_body_may_be_said_but_not_changed() {
        assert_eq!(of("Content-Type", "application/json; charset=utf-8"), Ok(WebhookHeaders::default()));
        assert_eq!(of("content-type", "text/plain"), Err(WebhookHeadersError::Reserved("content-type".to_owned())));
    }

    #[test]
    fn debug_shows_no_values() {
        assert_eq!(format!("{:?}", of("Authorization", "Bearer abc").unwrap()), r#"{"Authorization"}"#);
    }

    proptest! {
        /// Whatever is accepted is what an HTTP library takes, and comes out as it went in.
        #[test]
        fn what_is_accepted_can_be_sent(name in "[!-~]{1,20}", value in "[ -~é\\n]{0,40}") {
            if let Ok(headers) = of(&name, &value)
                && let Some((name, value)) = headers.iter().next()
            {
                prop_assert!(http::HeaderName::from_bytes(name.as_bytes()).is_ok());
                prop_assert!(http::HeaderValue::from_str(value).is_ok());
            }
        }
    }
}
