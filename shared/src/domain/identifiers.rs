//! The short texts that name things outside this service: users, sessions, organizations.
//!
//! Each has a type of its own, so that a session can never be passed for a user.

use serde::{Deserialize, Serialize};

use super::timestamp::Timestamp;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Nothing, or only white space.
    #[error("must not be empty or blank")]
    Blank,
    /// More bytes of UTF-8 than the table's keys leave room for.
    #[error("must be at most {limit} bytes long")]
    TooLong {
        /// The most bytes that this identifier may have.
        limit: usize,
    },
    /// A control character, such as NUL or a line break.
    #[error("must not hold control characters")]
    Control,
}

/// Checks what every identifier promises: not blank, no control characters, at most `limit` bytes.
fn check(text: &str, limit: usize) -> Result<(), IdentifierError> {
    if text.trim().is_empty() {
        Err(IdentifierError::Blank)
    } else if text.len() > limit {
        Err(IdentifierError::TooLong { limit })
    } else if text.chars().any(char::is_control) {
        Err(IdentifierError::Control)
    } else {
        Ok(())
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $limit:literal) => {
        $(#[$doc])*
        ///
        #[doc = concat!("Invariant: not blank, no control characters, at most ", $limit, " bytes of UTF-8.")]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The most bytes of UTF-8 that this identifier may have.
            pub const MAX_BYTES: usize = $limit;

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdentifierError;

            fn try_from(text: String) -> Result<Self, IdentifierError> {
                check(&text, $limit)?;
                Ok(Self(text))
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdentifierError;

            fn from_str(text: &str) -> Result<Self, IdentifierError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(identifier: $name) -> Self {
                identifier.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

identifier!(
    /// What happened, such as `order.placed` (BR-EVT-002).
    EventType,
    1020
);
identifier!(
    /// The user that an event is about.
    UserId,
    512
);
identifier!(
    /// A visit to a browser or an app.
    SessionId,
    512
);
identifier!(
    /// A tenant: the unit that API keys and tokens are bound to.
    OrganizationId,
    128
);
identifier!(
    /// A device, of a user's or on its own.
    DeviceId,
    512
);
identifier!(
    /// Ties the events of one operation together across services.
    CorrelationId,
    512
);
identifier!(
    /// What a client sends in `Idempotency-Key`, to make a whole request repeatable.
    IdempotencyKey,
    255
);
identifier!(
    /// The schema version of an event's `data`, chosen by its producer.
    SchemaVersion,
    64
);
identifier!(
    /// What the sender of a message calls it: `messageId` in the SDKs of RudderStack and Segment.
    MessageId,
    255
);

identifier!(
    /// A processor's id.
    ProcessorId,
    128
);
identifier!(
    /// What a processor is called, in results and in domain events.
    ProcessorName,
    512
);
identifier!(
    /// A subscription's id (BR-SUB-001).
    SubscriptionId,
    128
);

identifier!(
    /// What a projection is called.
    ProjectionName,
    128
);
identifier!(
    /// The id of a projection's definition.
    ProjectionDefinitionId,
    64
);

identifier!(
    /// The id of a replay. Ids sort by time.
    ReplayId,
    64
);
identifier!(
    /// What somebody calls the receiver of a replay that is put on a bus.
    ReplayTargetName,
    64
);

impl ReplayId {
    /// A new id (RFC 9562, version 7).
    #[must_use]
    pub fn new(at: Timestamp, bits: [u8; 32]) -> Self {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&bits[..10]);
        let millis = u64::try_from(at.millis()).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid().hyphenated().to_string())
    }
}

impl ProjectionDefinitionId {
    /// A new id from random bits.
    #[must_use]
    pub fn from_random(bits: [u8; 32]) -> Self {
        Self(random_uuid(bits))
    }
}

impl ProcessorId {
    /// A new id from random bits.
    #[must_use]
    pub fn from_random(bits: [u8; 32]) -> Self {
        Self(random_uuid(bits))
    }
}

impl SubscriptionId {
    /// A new id from random bits.
    #[must_use]
    pub fn from_random(bits: [u8; 32]) -> Self {
        Self(random_uuid(bits))
    }
}

fn random_uuid(bits: [u8; 32]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&bits[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string()
}

impl Default for SchemaVersion {
    fn default() -> Self {
        Self("1.0.0".to_owned())
    }
}

impl EventType {
    /// The most characters that an event type may have.
    pub const MAX_CHARS: usize = 255;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_refused_when_blank_too_long_or_with_control_characters() {
        assert_eq!("  ".parse::<UserId>(), Err(IdentifierError::Blank));
        assert_eq!("a\0b".parse::<UserId>(), Err(IdentifierError::Control));
        assert_eq!("x".repeat(513).parse::<UserId>(), Err(IdentifierError::TooLong { limit: 512 }));
        assert_eq!("x".repeat(512).parse::<UserId>().map(|id| id.as_str().len()), Ok(512));
    }
}
