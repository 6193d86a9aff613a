//! What an operator decides about collecting.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What an operator decides about collecting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectSettings {
    /// Whose pages may send events from a browser.
    pub origins: AllowedOrigins,
    /// What is kept of addresses.
    pub ip: IpPolicy,
    /// What becomes of events of those who ask not to be tracked.
    pub do_not_track: DoNotTrack,
    /// The most bytes of one event.
    pub most_event_bytes: usize,
    /// The most bytes of one request, unpacked.
    pub most_request_bytes: usize,
}

impl Default for CollectSettings {
    fn default() -> Self {
        Self {
            origins: AllowedOrigins::Any,
            ip: IpPolicy::Keep,
            do_not_track: DoNotTrack::Keep,
            most_event_bytes: 32 * 1024,
            most_request_bytes: 512 * 1024,
        }
    }
}

/// A word that is none of those that a setting knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {0}")]
pub struct UnknownWord(&'static str);

/// Whose pages may send events from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Everybody's.
    Any,
    /// Those of these origins, such as `https://shop.example`.
    Only(Vec<String>),
}

impl FromStr for AllowedOrigins {
    type Err = std::convert::Infallible;

    /// `*`, or origins with commas between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let origins: Vec<String> =
            text.split(',').map(|origin| origin.trim().trim_end_matches('/').to_owned()).filter(|origin| !origin.is_empty()).collect();
        Ok(if origins.is_empty() || origins.iter().any(|origin| origin == "*") { Self::Any } else { Self::Only(origins) })
    }
}

/// What is kept of the address that an event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpPolicy {
    /// All of it.
    Keep,
    /// The network: 24 bits of IPv4, 48 of IPv6.
    Truncate,
    /// Nothing.
    Drop,
}

impl FromStr for IpPolicy {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "keep" => Ok(Self::Keep),
            "truncate" => Ok(Self::Truncate),
            "drop" => Ok(Self::Drop),
            _ => Err(UnknownWord("keep, truncate and drop")),
        }
    }
}

impl IpPolicy {
    /// What is kept of an address.
    #[must_use]
    pub fn apply(self, ip: IpAddr) -> Option<IpAddr> {
        match self {
            Self::Keep => Some(ip),
            Self::Drop => None,
            Self::Truncate => Some(match ip.to_canonical() {
                IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8))),
                IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80))),
            }),
        }
    }
}

/// What becomes of events whose sender says `DNT: 1` or `Sec-GPC: 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoNotTrack {
    /// They are kept as others are, and say so.
    Keep,
    /// Nothing is kept of them that tells who it was.
    Anonymize,
    /// They are answered as others are, and not kept.
    Drop,
}

impl FromStr for DoNotTrack {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "keep" => Ok(Self::Keep),
            "anonymize" => Ok(Self::Anonymize),
            "drop" => Ok(Self::Drop),
            _ => Err(UnknownWord("keep, anonymize and drop")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_cut_or_dropped() {
        for (ip, cut) in [("203.0.113.77", "203.0.113.0"), ("::ffff:203.0.113.77", "203.0.113.0"), ("2001:db8:1:2:3::4", "2001:db8:1::")] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(IpPolicy::Keep.apply(ip), Some(ip));
            assert_eq!(IpPolicy::Truncate.apply(ip), cut.parse().ok());
            assert_eq!(IpPolicy::Drop.apply(ip), None);
        }
    }

    #[test]
    fn settings_are_words() {
        assert_eq!("truncate".parse(), Ok(IpPolicy::Truncate));
        assert_eq!("anonymize".parse(), Ok(DoNotTrack::Anonymize));
        assert!("x".parse::<IpPolicy>().is_err() && "x".parse::<DoNotTrack>().is_err());
        assert_eq!(
            "https://a.example/, https://b.example".parse(),
            Ok(AllowedOrigins::Only(vec!["https://a.example".to_owned(), "https://b.example".to_owned()]))
        );
        assert_eq!("https://a.example,*".parse(), Ok(AllowedOrigins::Any));
    }
}
