//! Places in a stream.

use serde::{Deserialize, Serialize};

/// The number of events in a stream up to and including one of them; 0 is the empty stream
/// (BR-STM-003, BR-STM-005).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The version of a stream without events.
    pub const EMPTY: Self = Self(0);

    /// The largest version: what twelve digits of a sort key hold.
    pub const MAX: Self = Self(999_999_999_999);

    /// The version with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version of the event after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The version `events` further on.
    #[must_use]
    pub const fn plus(self, events: usize) -> Self {
        Self(self.0 + events as u64)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a writer expects of a stream before its event is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExpectedVersion {
    /// Whatever is there: the default.
    #[default]
    Any,
    /// The stream has no event yet.
    None,
    /// The stream has at least one event.
    Exists,
    /// The stream is at exactly this version.
    Exactly(Version),
}

impl ExpectedVersion {
    /// Whether a stream at `actual` is what the writer expects.
    #[must_use]
    pub const fn allows(self, actual: Version) -> bool {
        match self {
            Self::Any => true,
            Self::None => actual.0 == 0,
            Self::Exists => actual.0 > 0,
            Self::Exactly(version) => version.0 == actual.0,
        }
    }
}

impl std::fmt::Display for ExpectedVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => formatter.write_str("any version"),
            Self::None => formatter.write_str("no events"),
            Self::Exists => formatter.write_str("at least one event"),
            Self::Exactly(version) => write!(formatter, "version {version}"),
        }
    }
}
