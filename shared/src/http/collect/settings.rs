//! What an operator decides about collecting.

use std::str::FromStr;

use crate::domain::collected_event::{IpPolicy, UnknownWord};

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

/// Whose pages may send events from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Everybody's.
    Any,
    /// Those of these origins, such as `https://shop.example`.
    Only(Vec<String>),
}

/// The text is no list of origins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be * or origins such as https://shop.example, with commas between them")]
pub struct NoOrigins;

impl FromStr for AllowedOrigins {
    type Err = NoOrigins;

    /// `*`, or origins with commas between them. Browsers write them in small letters.
    fn from_str(text: &str) -> Result<Self, NoOrigins> {
        let origins: Vec<String> = text.split(',').map(|origin| origin.trim().trim_end_matches('/').to_ascii_lowercase()).collect();
        if origins.iter().any(|origin| origin == "*") {
            return Ok(Self::Any);
        }
        let is_origin = |origin: &String| {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            origin == "null" || host.is_some_and(|host| !host.is_empty() && !host.contains(['/', ' ', '@']))
        };
        if origins.iter().all(is_origin) { Ok(Self::Only(origins)) } else { Err(NoOrigins) }
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

/// The most bytes of something: from a kilobyte to the most that a request of any kind may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MostBytes(pub usize);

/// The text is no such number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number of bytes from 1024 to {}", crate::http::request::MAX_BODY_BYTES)]
pub struct NoMostBytes;

impl FromStr for MostBytes {
    type Err = NoMostBytes;

    fn from_str(text: &str) -> Result<Self, NoMostBytes> {
        let bytes = text.parse().map_err(|_| NoMostBytes)?;
        if (1024..=crate::http::request::MAX_BODY_BYTES).contains(&bytes) { Ok(Self(bytes)) } else { Err(NoMostBytes) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

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
            "https://A.example/, https://b.example".parse(),
            Ok(AllowedOrigins::Only(vec!["https://a.example".to_owned(), "https://b.example".to_owned()]))
        );
        assert_eq!("https://a.example,*".parse(), Ok(AllowedOrigins::Any));
        for wrong in ["", "shop.example", "https://", "https://a.example/path", "https://a.example,,"] {
            assert_eq!(wrong.parse::<AllowedOrigins>(), Err(NoOrigins), "{wrong}");
        }
        assert_eq!("4096".parse(), Ok(MostBytes(4096)));
        for wrong in ["0", "1023", "x", "-1", "10000000"] {
            assert_eq!(wrong.parse::<MostBytes>(), Err(NoMostBytes), "{wrong}");
        }
    }
}
