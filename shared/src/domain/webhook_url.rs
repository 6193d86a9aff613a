//! Addresses of webhooks, and which hosts may be called: nobody may use us to reach into our own network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, ParseError, Url};

/// Where a webhook goes.
///
/// `Display` and `Debug` leave out the query, where tokens are: they are for logs. [`WebhookUrl::as_str`] is the whole.
///
/// Invariant: an absolute `http` or `https` URL with a host, without user name, password or fragment, at most
/// [`WebhookUrl::MAX_BYTES`] long. Whether its host may be called is for [`AllowedHosts`] to say.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookUrl(Url);

/// Why a text is no address of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    /// Not an absolute URL.
    #[error("must be an absolute URL, such as https://example.com/webhooks")]
    Form,
    /// Neither `http` nor `https`.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// Nothing, or nothing that can be a host.
    #[error("must name a host")]
    Host,
    /// A user name or a password, which would show up wherever the address does.
    #[error("must not hold a user name or a password")]
    Credentials,
    /// Longer than any receiver needs.
    #[error("must be at most {} bytes long", WebhookUrl::MAX_BYTES)]
    TooLong,
}

impl WebhookUrl {
    /// The most bytes, as given and as written out.
    pub const MAX_BYTES: usize = 2048;

    /// The whole, as it is called: normalised, so that two ways to write one host read the same.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The URL in parts.
    #[must_use]
    pub const fn as_url(&self) -> &Url {
        &self.0
    }

    /// The host: a name in lower case and ASCII, an IPv4 address with four numbers, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The host's address, if it is one and not a name. Odd forms, such as `127.1`, have become the usual one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// The port, be it written or the scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// Whether it is called over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, WebhookUrlError> {
        if text.len() > Self::MAX_BYTES {
            return Err(WebhookUrlError::TooLong);
        }
        // The parser drops some of them silently: what is called would not be what was read by whoever approved it.
        if text.chars().any(char::is_control) {
            return Err(WebhookUrlError::Form);
        }
        let mut url =
            Url::parse(text).map_err(|error| if is_about_the_host(error) { WebhookUrlError::Host } else { WebhookUrlError::Form })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebhookUrlError::Scheme);
        }
        if url.host_str().is_none_or(|host| host.trim_end_matches('.').is_empty()) {
            return Err(WebhookUrlError::Host);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUrlError::Credentials);
        }
        url.set_fragment(None);
        if url.as_str().len() > Self::MAX_BYTES { Err(WebhookUrlError::TooLong) } else { Ok(Self(url)) }
    }
}

const fn is_about_the_host(error: ParseError) -> bool {
    matches!(
        error,
        ParseError::EmptyHost
            | ParseError::IdnaError
            | ParseError::InvalidDomainCharacter
            | ParseError::InvalidIpv4Address
            | ParseError::InvalidIpv6Address
    )
}

impl TryFrom<String> for WebhookUrl {
    type Error = WebhookUrlError;

    fn try_from(text: String) -> Result<Self, WebhookUrlError> {
        text.parse()
    }
}

impl From<WebhookUrl> for String {
    fn from(url: WebhookUrl) -> Self {
        url.0.into()
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.0.scheme(), self.host())?;
        if let Some(port) = self.0.port() {
            write!(formatter, ":{port}")?;
        }
        formatter.write_str(self.0.path())?;
        if self.0.query().is_some() { formatter.write_str("?…") } else { Ok(()) }
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WebhookUrl({self})")
    }
}

/// What an address stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// A host of the public Internet: the only kind that anybody may have called.
    Public,
    /// This machine.
    Loopback,
    /// A network of one organization.
    Private,
    /// A network of one provider, 100.64.0.0/10.
    CarrierGrade,
    /// A network of one organization, in IPv6.
    UniqueLocal,
    /// The cable that this machine hangs on.
    LinkLocal,
    /// Where a cloud tells a machine its credentials.
    Metadata,
    /// No host, or any: 0.0.0.0/8 and `::`.
    Unspecified,
    /// Everybody on this network.
    Broadcast,
    /// A group of hosts.
    Multicast,
    /// For examples in documents.
    Documentation,
    /// For measuring networks.
    Benchmarking,
    /// A tunnel or a translation that leads to an IPv4 address which cannot be vetted from here.
    Tunnel,
    /// Set aside by the registries, or not given out yet.
    Reserved,
}

impl AddressKind {
    /// Whether an operator may list a host of this kind as one to call. Credentials of the machine are never given away.
    #[must_use]
    pub const fn may_be_listed(self) -> bool {
        match self {
            Self::Public | Self::Loopback | Self::Private | Self::CarrierGrade | Self::UniqueLocal => true,
            Self::LinkLocal
            | Self::Metadata
            | Self::Unspecified
            | Self::Broadcast
            | Self::Multicast
            | Self::Documentation
            | Self::Benchmarking
            | Self::Tunnel
            | Self::Reserved => false,
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "an address of this machine",
            Self::Private | Self::UniqueLocal => "a private address",
            Self::CarrierGrade => "an address inside a provider's network",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a cloud's metadata service",
            Self::Unspecified => "an address of no host",
            Self::Broadcast => "a broadcast address",
            Self::Multicast => "a multicast address",
            Self::Documentation => "an address for documentation",
            Self::Benchmarking => "an address for benchmarks",
            Self::Tunnel => "an address that hides an IPv4 address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// What an address stands for, by the registries of IANA for special-purpose addresses.
#[must_use]
pub fn kind_of(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

const fn kind_of_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        // AWS, Azure and others; credentials of containers on ECS and EKS; Azure's wire server; Alibaba.
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] | [168, 63, 129, 16] | [100, 100, 100, 200] => AddressKind::Metadata,
        [0, ..] => AddressKind::Unspecified,
        [127, ..] => AddressKind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressKind::Private,
        [100, 64..=127, ..] => AddressKind::CarrierGrade,
        [169, 254, ..] => AddressKind::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressKind::Documentation,
        [198, 18..=19, ..] => AddressKind::Benchmarking,
        [224..=239, ..] => AddressKind::Multicast,
        [255, 255, 255, 255] => AddressKind::Broadcast,
        // Protocol assignments; the relays of 6to4; class E.
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

const fn kind_of_v6(address: Ipv6Addr) -> AddressKind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        // An IPv4 address by another name, and one behind the translator of a network without IPv4 (DNS64): it is what is called.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => kind_of_v4(embedded(high, low)),
        // IPv4-compatible; a network's own translator; Teredo; 6to4; ISATAP, in whatever network.
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] | [0x2002, ..] | [_, _, _, _, 0 | 0x200, 0x5efe, ..] => {
            AddressKind::Tunnel
        }
        // Besides its metadata service, AWS has its time and names there.
        [0xfd00, 0xec2, ..] => AddressKind::Metadata,
        [0xfc00..=0xfdff, ..] => AddressKind::UniqueLocal,
        [0xfe80..=0xfebf, ..] => AddressKind::LinkLocal,
        // Site-local, which some networks still have.
        [0xfec0..=0xfeff, ..] => AddressKind::Private,
        [0xff00..=0xffff, ..] => AddressKind::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressKind::Documentation,
        [0x2001, 2, 0, ..] => AddressKind::Benchmarking,
        // The rest of the protocol assignments.
        [0x2001, 0..=0x1ff, ..] => AddressKind::Reserved,
        // Nothing else is given out.
        [0x2000..=0x3fff, ..] => AddressKind::Public,
        _ => AddressKind::Reserved,
    }
}

const fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

/// A host may not be called. Says nothing of the address behind a name: that is our network's business.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the host {host} is {kind}{}",
    if kind.may_be_listed() { "; WEBHOOK_ALLOWED_HOSTS names internal hosts that may be called" } else { ", which is never called" }
)]
pub struct RefusedHost {
    /// The host, as the URL has it.
    pub host: String,
    /// What it stands for.
    pub kind: AddressKind,
}

/// The internal hosts that may be called, besides the whole Internet.
///
/// Written as a list such as `notification-service, *.internal, 10.1.2.3, localhost:*, [fd00::1]:8080`: hosts as URLs name
/// them, or `*.` and what they end in; with a port, only on that port. Empty lists no host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedHosts {
    listed: Vec<Listed>,
    others: Reach,
}

/// How far a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reach {
    /// To the public Internet.
    #[default]
    Public,
    /// And to this machine.
    Machine,
    /// And into our own network.
    Network,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    hosts: Hosts,
    /// Any port if none is given.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    One(Host),
    /// All that end in this, which begins with a dot.
    EndingIn(String),
}

/// A list of hosts cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowedHostsError {
    /// Not a host.
    #[error("holds {0:?}, which is neither a host, nor *. and the end of one, with or without a port")]
    Form(String),
    /// A host that is never called, listed or not.
    #[error("holds {0}, which is {1} and never called")]
    Never(String, AddressKind),
}

impl Reach {
    /// Whether an address is within reach, which `host` stands for or is.
    ///
    /// # Errors
    /// [`RefusedHost`] if it is not.
    pub fn admits(self, host: &str, address: IpAddr) -> Result<(), RefusedHost> {
        let kind = kind_of(address);
        let admitted = match self {
            Self::Public => kind == AddressKind::Public,
            Self::Machine => matches!(kind, AddressKind::Public | AddressKind::Loopback),
            Self::Network => kind.may_be_listed(),
        };
        if admitted { Ok(()) } else { Err(RefusedHost { host: host.to_owned(), kind }) }
    }
}

impl AllowedHosts {
    /// The same hosts, and whatever is on this machine: for a process that serves nobody but its owner.
    #[must_use]
    pub fn with_loopback(self) -> Self {
        Self { others: Reach::Machine, ..self }
    }

    /// How far a request to this URL may go.
    #[must_use]
    pub fn reach(&self, url: &WebhookUrl) -> Reach {
        if self.listed.iter().any(|listed| listed.holds(url)) { Reach::Network } else { self.others }
    }

    /// Whether the URL may be called at an address that its host stands for or is.
    ///
    /// # Errors
    /// [`RefusedHost`] if not.
    pub fn permits(&self, url: &WebhookUrl, address: IpAddr) -> Result<(), RefusedHost> {
        self.reach(url).admits(url.host(), address)
    }
}

impl Listed {
    fn holds(&self, url: &WebhookUrl) -> bool {
        let host = match (&self.hosts, url.as_url().host()) {
            (Hosts::One(Host::Domain(listed)), Some(Host::Domain(name))) => listed == without_dot(name),
            (Hosts::One(Host::Ipv4(listed)), Some(Host::Ipv4(address))) => *listed == address,
            (Hosts::One(Host::Ipv6(listed)), Some(Host::Ipv6(address))) => *listed == address,
            (Hosts::EndingIn(end), Some(Host::Domain(name))) => without_dot(name).strip_suffix(end).is_some_and(|start| !start.is_empty()),
            (Hosts::One(_) | Hosts::EndingIn(_), _) => false,
        };
        host && self.port.is_none_or(|port| port == url.port())
    }
}

/// A name without the dot that says that it is complete.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl FromStr for AllowedHosts {
    type Err = AllowedHostsError;

    fn from_str(text: &str) -> Result<Self, AllowedHostsError> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Self { listed: entries.map(str::parse).collect::<Result<_, _>>()?, others: Reach::default() })
    }
}

impl FromStr for Listed {
    type Err = AllowedHostsError;

    fn from_str(text: &str) -> Result<Self, AllowedHostsError> {
        let wrong = || AllowedHostsError::Form(text.to_owned());
        let (host, port) = split_port(text).ok_or_else(wrong)?;
        let (wildcard, host) = host.strip_prefix("*.").map_or((false, host), |end| (true, end));
        let host = match host.parse::<Ipv6Addr>() {
            Ok(address) => Host::Ipv6(address),
            Err(_) => Host::parse(host).map_err(|_| wrong())?,
        };
        let kind = match &host {
            Host::Domain(_) => AddressKind::Public,
            Host::Ipv4(address) => kind_of_v4(*address),
            Host::Ipv6(address) => kind_of_v6(*address),
        };
        if !kind.may_be_listed() {
            return Err(AllowedHostsError::Never(text.to_owned(), kind));
        }
        let hosts = match (wildcard, host) {
            (false, Host::Domain(name)) if is_name(&name) => Hosts::One(Host::Domain(without_dot(&name).to_owned())),
            (true, Host::Domain(name)) if is_name(&name) => Hosts::EndingIn(format!(".{}", without_dot(&name))),
            (false, host @ (Host::Ipv4(_) | Host::Ipv6(_))) => Hosts::One(host),
            (_, Host::Domain(_)) | (true, Host::Ipv4(_) | Host::Ipv6(_)) => return Err(wrong()),
        };
        Ok(Self { hosts, port })
    }
}

/// Whether every label has something in it and no asterisk, which URLs may have but nobody can mean.
fn is_name(name: &str) -> bool {
    without_dot(name).split('.').all(|label| !label.is_empty() && !label.contains('*'))
}

/// The host and the port, which is any if it is `*` or missing.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    // An IPv6 address without brackets has no port.
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    match text.rsplit_once(':').filter(|_| !text.ends_with(']')) {
        None => Some((text, None)),
        Some((host, "*")) => Some((host, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> WebhookUrl {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_an_absolute_http_url_with_a_host_and_without_credentials() {
        for (text, error) in [
            ("https://example.com/hook?token=1", None),
            ("http://notification-service/webhooks/events", None),
            ("HTTPS://EXAMPLE.COM", None),
            ("", Some(WebhookUrlError::Form)),
            ("/hook", Some(WebhookUrlError::Form)),
            ("example.com/hook", Some(WebhookUrlError::Form)),
            ("https://example.com/\nhook", Some(WebhookUrlError::Form)),
            ("https://exam\tple.com/", Some(WebhookUrlError::Form)),
            ("https://example.com:99999/", Some(WebhookUrlError::Form)),
            ("ftp://example.com/", Some(WebhookUrlError::Scheme)),
            ("file:///etc/passwd", Some(WebhookUrlError::Scheme)),
            ("gopher://127.0.0.1:6379/_", Some(WebhookUrlError::Scheme)),
            ("javascript:alert(1)", Some(WebhookUrlError::Scheme)),
            ("https://", Some(WebhookUrlError::Host)),
            ("https://:8080/", Some(WebhookUrlError::Host)),
            ("https://./", Some(WebhookUrlError::Host)),
            ("https://exam ple.com/", Some(WebhookUrlError::Host)),
            ("https://1.2.3.4.5/", Some(WebhookUrlError::Host)),
            ("https://256.1.1.1/", Some(WebhookUrlError::Host)),
            ("https://[fe80::1%25eth0]/", Some(WebhookUrlError::Host)),
            ("https://[fe80::1%eth0]/", Some(WebhookUrlError::Host)),
            ("https://user@example.com/", Some(WebhookUrlError::Credentials)),
            ("https://:secret@example.com/", Some(WebhookUrlError::Credentials)),
            ("https://example.com\\@127.0.0.1/", None),
        ] {
            assert_eq!(text.parse::<WebhookUrl>().err(), error, "{text:?}");
        }
        // What a browser would take for a path is a path here, too: the host is the one before it.
        assert_eq!(url("https://example.com\\@127.0.0.1/").host(), "example.com");
    }

    #[test]
    fn an_address_is_at_most_so_long_as_given_and_as_written_out() {
        let of = |bytes: usize, what: &str| format!("https://example.com/{}", what.repeat(bytes - 20)).parse::<WebhookUrl>();
        assert!(of(2048, "x").is_ok());
        assert_eq!(of(2049, "x"), Err(WebhookUrlError::TooLong));
        assert_eq!(of(1000, "é"), Err(WebhookUrlError::TooLong));
    }

    #[test]
    fn logs_show_neither_query_nor_fragment() {
        let url = url("https://Example.com:8443/hook?token=abc#part");
        assert_eq!(format!("{url} {url:?}"), "https://example.com:8443/hook?… WebhookUrl(https://example.com:8443/hook?…)");
        assert_eq!(url.as_str(), "https://example.com:8443/hook?token=abc");
        assert_eq!((url.host(), url.port(), url.is_https()), ("example.com", 8443, true));
    }

    #[test]
    fn every_way_to_write_an_ipv4_address_is_seen_as_that_address() {
        for text in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://127.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0x7F000001/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://127.0.0.1./",
            "http://127。0。0。1/",
            "http://１２７.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "http:127.0.0.1",
            "http:\\\\127.0.0.1\\",
        ] {
            assert_eq!(url(text).address(), Some(address("127.0.0.1")), "{text}");
            assert!(AllowedHosts::default().permits(&url(text), address("127.0.0.1")).is_err());
        }
        assert_eq!(url("http://[::ffff:127.0.0.1]/").address().map(kind_of), Some(AddressKind::Loopback));
        assert_eq!(url("http://[::FFFF:7F00:1]/").address().map(kind_of), Some(AddressKind::Loopback));
        assert_eq!(url("http://0/").address().map(kind_of), Some(AddressKind::Unspecified));
    }

    #[test]
    fn names_are_lower_case_and_ascii() {
        assert_eq!(url("https://EXAMPLE.com./").host(), "example.com.");
        assert_eq!(url("https://Bücher.example/").host(), "xn--bcher-kva.example");
        assert_eq!(url("https://ⓔⓧample.com/").host(), "example.com");
        assert_eq!(url("https://Ⓛocalhost/").host(), "localhost");
    }

    #[test]
    fn only_public_addresses_are_public() {
        for (text, kind) in [
            ("8.8.8.8", AddressKind::Public),
            ("1.1.1.1", AddressKind::Public),
            ("9.255.255.255", AddressKind::Public),
            ("11.0.0.0", AddressKind::Public),
            ("100.63.255.255", AddressKind::Public),
            ("100.128.0.0", AddressKind::Public),
            ("172.15.255.255", AddressKind::Public),
            ("172.32.0.0", AddressKind::Public),
            ("192.0.1.0", AddressKind::Public),
            ("198.17.255.255", AddressKind::Public),
            ("198.20.0.0", AddressKind::Public),
            ("223.255.255.255", AddressKind::Public),
            ("0.0.0.0", AddressKind::Unspecified),
            ("0.1.2.3", AddressKind::Unspecified),
            ("10.0.0.5", AddressKind::Private),
            ("172.16.0.1", AddressKind::Private),
            ("172.31.255.255", AddressKind::Private),
            ("192.168.1.1", AddressKind::Private),
            ("100.64.0.1", AddressKind::CarrierGrade),
            ("100.127.255.255", AddressKind::CarrierGrade),
            ("100.100.100.200", AddressKind::Metadata),
            ("127.255.255.254", AddressKind::Loopback),
            ("169.254.0.1", AddressKind::LinkLocal),
            ("169.254.169.254", AddressKind::Metadata),
            ("169.254.170.2", AddressKind::Metadata),
            ("168.63.129.16", AddressKind::Metadata),
            ("192.0.0.8", AddressKind::Reserved),
            ("192.0.2.1", AddressKind::Documentation),
            ("198.51.100.7", AddressKind::Documentation),
            ("203.0.113.7", AddressKind::Documentation),
            ("192.88.99.1", AddressKind::Reserved),
            ("198.18.0.1", AddressKind::Benchmarking),
            ("198.19.255.255", AddressKind::Benchmarking),
            ("224.0.0.1", AddressKind::Multicast),
            ("239.255.255.255", AddressKind::Multicast),
            ("240.0.0.1", AddressKind::Reserved),
            ("255.255.255.254", AddressKind::Reserved),
            ("255.255.255.255", AddressKind::Broadcast),
            ("2606:4700:4700::1111", AddressKind::Public),
            ("2a00:1450:4001::1", AddressKind::Public),
            ("2001:200::1", AddressKind::Public),
            ("::", AddressKind::Unspecified),
            ("::1", AddressKind::Loopback),
            ("::2", AddressKind::Tunnel),
            ("::127.0.0.1", AddressKind::Tunnel),
            ("::ffff:10.0.0.1", AddressKind::Private),
            ("::ffff:169.254.169.254", AddressKind::Metadata),
            ("::ffff:8.8.8.8", AddressKind::Public),
            ("::ffff:0:10.0.0.1", AddressKind::Reserved),
            ("64:ff9b::10.0.0.1", AddressKind::Private),
            ("64:ff9b::169.254.169.254", AddressKind::Metadata),
            ("64:ff9b::8.8.8.8", AddressKind::Public),
            ("64:ff9b:1::8.8.8.8", AddressKind::Tunnel),
            ("64:ff9b:0:0:0:1:808:808", AddressKind::Reserved),
            ("100::1", AddressKind::Reserved),
            ("2002:7f00:1::1", AddressKind::Tunnel),
            ("2002:808:808::1", AddressKind::Tunnel),
            ("2001::1", AddressKind::Tunnel),
            ("2001:2::1", AddressKind::Benchmarking),
            ("2001:10::1", AddressKind::Reserved),
            ("2001:20::1", AddressKind::Reserved),
            ("2001:db8::1", AddressKind::Documentation),
            ("3fff:fff::1", AddressKind::Documentation),
            ("2606:4700::5efe:10.0.0.1", AddressKind::Tunnel),
            ("2606:4700::200:5efe:a00:1", AddressKind::Tunnel),
            ("fe80::1", AddressKind::LinkLocal),
            ("febf::1", AddressKind::LinkLocal),
            ("fec0::1", AddressKind::Private),
            ("fc00::1", AddressKind::UniqueLocal),
            ("fd12:3456::1", AddressKind::UniqueLocal),
            ("fd00:ec2::254", AddressKind::Metadata),
            ("fd00:ec2::23", AddressKind::Metadata),
            ("ff02::1", AddressKind::Multicast),
            ("4000::1", AddressKind::Reserved),
            ("5f00::1", AddressKind::Reserved),
        ] {
            assert_eq!(kind_of(address(text)), kind, "{text}");
        }
    }

    #[test]
    fn a_refusal_names_the_host_and_what_can_be_done_but_not_the_address_behind_it() {
        let refusal = |text: &str, at: &str| AllowedHosts::default().permits(&url(text), address(at)).unwrap_err().to_string();
        assert_eq!(
            refusal("http://10.0.0.5/", "10.0.0.5"),
            "the host 10.0.0.5 is a private address; WEBHOOK_ALLOWED_HOSTS names internal hosts that may be called"
        );
        assert_eq!(
            refusal("http://db.example/", "10.0.0.5"),
            "the host db.example is a private address; WEBHOOK_ALLOWED_HOSTS names internal hosts that may be called"
        );
        assert_eq!(
            refusal("http://169.254.169.254/", "169.254.169.254"),
            "the host 169.254.169.254 is the address of a cloud's metadata service, which is never called"
        );
    }

    #[test]
    fn a_listed_host_may_be_internal_on_its_port_and_no_other_may() {
        let allowed: AllowedHosts =
            "notification-service, *.internal,10.1.2.3, localhost:*,,Api.Example:8080,[fd12::1]:99,fd12::2,Bücher.example".parse().unwrap();
        for (text, permitted) in [
            ("http://notification-service/webhooks", true),
            ("http://NOTIFICATION-SERVICE.:8080/", true),
            ("http://a.notification-service/", false),
            ("http://notification-service.example.com/", false),
            ("http://a.internal/", true),
            ("http://b.a.internal./", true),
            ("http://internal/", false),
            ("http://.internal/", false),
            ("http://ainternal/", false),
            ("http://10.1.2.3:5000/", true),
            ("http://0xa.66051/", true),
            ("http://10.1.2.4/", false),
            ("http://[::ffff:10.1.2.3]/", false),
            ("http://localhost:3000/", true),
            ("http://api.example:8080/", true),
            ("http://api.example/", false),
            ("https://api.example:8443/", false),
            ("http://[fd12::1]:99/", true),
            ("http://[fd12::1]/", false),
            ("http://[fd12::2]:1/", true),
            ("http://xn--bcher-kva.example/", true),
        ] {
            for internal in ["10.0.0.5", "127.0.0.1", "100.64.0.1", "fd12::1"] {
                assert_eq!(allowed.permits(&url(text), address(internal)).is_ok(), permitted, "{text} at {internal}");
            }
            // Listed or not: everybody may call the Internet, and nobody the machine's credentials.
            assert_eq!(allowed.permits(&url(text), address("8.8.8.8")), Ok(()), "{text}");
            for never in ["169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1", "fe80::1", "::ffff:169.254.169.254"] {
                assert!(allowed.permits(&url(text), address(never)).is_err(), "{text} at {never}");
            }
        }
    }

    #[test]
    fn loopback_is_allowed_to_the_process_that_says_so() {
        let allowed = AllowedHosts::default().with_loopback();
        for (at, permitted) in [("127.0.0.1", true), ("::1", true), ("8.8.8.8", true), ("10.0.0.1", false), ("0.0.0.0", false)] {
            assert_eq!(allowed.permits(&url("http://localhost:3000/"), address(at)).is_ok(), permitted, "{at}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_meant_is_refused() {
        for text in
            ["*", "*.", ".", "a..b", "http://a", "a:99999", "a:b", "a b", "*.10.0.0.1", "a*b", "*.*", "user@a", "[fd12::1", "a/b", "*.a,*"]
        {
            assert!(matches!(text.parse::<AllowedHosts>(), Err(AllowedHostsError::Form(_))), "{text}");
        }
        for text in ["169.254.169.254", "0.0.0.0", "0x0", "[fd00:ec2::254]:80", "::ffff:169.254.169.254"] {
            assert!(matches!(text.parse::<AllowedHosts>(), Err(AllowedHostsError::Never(_, _))), "{text}");
        }
        assert_eq!(" , ".parse::<AllowedHosts>(), Ok(AllowedHosts::default()));
    }

    proptest! {
        #[test]
        fn an_address_reads_back_as_it_was_written(
            scheme in "https?", host in "[a-zA-Z0-9.-]{1,30}|[0-9]{1,10}|0x[0-9a-f]{1,8}", rest in "(:[0-9]{1,5})?(/[^\\p{Cc}]{0,20})?",
        ) {
            if let Ok(parsed) = format!("{scheme}://{host}{rest}").parse::<WebhookUrl>() {
                prop_assert_eq!(parsed.as_str().parse(), Ok(parsed.clone()));
                prop_assert_eq!(WebhookUrl::try_from(String::from(parsed.clone())), Ok(parsed.clone()));
                prop_assert_eq!(serde_json::from_str::<WebhookUrl>(&serde_json::to_string(&parsed).unwrap()).unwrap(), parsed);
            }
        }

        /// The standard library knows a part of the registries, by other code.
        #[test]
        fn no_public_address_is_one_that_the_standard_library_knows_to_be_special(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            if kind_of(v4.into()) == AddressKind::Public {
                prop_assert!(!v4.is_private() && !v4.is_loopback() && !v4.is_link_local() && !v4.is_multicast());
                prop_assert!(!v4.is_broadcast() && !v4.is_documentation() && !v4.is_unspecified());
            }
        }

        #[test]
        fn an_ipv4_address_in_ipv6_is_never_more_public_than_it_is(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(kind_of(v4.to_ipv6_mapped().into()), kind_of(v4.into()));
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            prop_assert_eq!(kind_of(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low).into()), kind_of(v4.into()));
            for hidden in [Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1), Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low)] {
                prop_assert_ne!(kind_of(hidden.into()), AddressKind::Public);
            }
        }

        #[test]
        fn nothing_outside_of_global_unicast_is_public(bits: u128) {
            let v6 = Ipv6Addr::from_bits(bits);
            if kind_of(v6.into()) == AddressKind::Public {
                prop_assert_eq!(v6.segments()[0] >> 13, 1);
            }
        }

        /// However a number is written, what is vetted is what is called.
        #[test]
        fn a_number_for_a_host_is_an_address(bits: u32) {
            let expected = Some(IpAddr::V4(Ipv4Addr::from_bits(bits)));
            for text in [format!("http://{bits}/"), format!("http://{bits:#x}/"), format!("http://0{bits:o}/")] {
                prop_assert_eq!(url(&text).address(), expected);
            }
        }
    }
}
