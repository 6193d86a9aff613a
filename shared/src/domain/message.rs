//! Messages: what makes an event count once whose sender knows nothing of this service, but names what it sends.
//!
//! A message is noted in a page of the ledger, in the same write that stores its event. The page follows from the message
//! alone, so that a message that is sent again, in whatever batch, meets its own note. Pages stay small: one holds what one
//! sender made in one minute, and once it is full, each further message has a page of its own.

use serde::{Deserialize, Serialize};

use super::event::BodyDigest;
use super::event_id::EventId;
use super::identifiers::{MessageId, OrganizationId};
use super::timestamp::Timestamp;

/// What the sender says that tells a message from every other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Message {
    /// What the sender calls it.
    pub id: MessageId,
    /// Who made it: a user, a visitor or a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// When the sender made it, by the sender's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
}

impl Message {
    /// A message that nobody else sends.
    #[must_use]
    pub const fn alone(id: MessageId) -> Self {
        Self { id, sender: None, made_at: None }
    }

    /// What stands for the message in a page: 72 bits of a hash of its id.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(BodyDigest::of(self.id.as_str().as_bytes()).0 >> 56)
    }

    /// The page that the message is noted in.
    #[must_use]
    pub fn page(&self, organization: Option<&OrganizationId>) -> LedgerPage {
        match (&self.sender, self.made_at) {
            (Some(sender), Some(made_at)) => {
                LedgerPage::named(organization, &format!("s\0{sender}\0{}", made_at.micros().div_euclid(60_000_000)))
            }
            (Some(_) | None, _) => self.own_page(organization),
        }
    }

    /// The page that the message has for itself, once the one that it would share is full.
    #[must_use]
    pub fn own_page(&self, organization: Option<&OrganizationId>) -> LedgerPage {
        LedgerPage::named(organization, &format!("m\0{}", self.id))
    }
}

/// Stands for a message in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u128);

/// Names a page of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerPage {
    /// Whose messages: organizations do not see each other's.
    pub organization: Option<OrganizationId>,
    /// A hash of what the messages have in common.
    pub name: u128,
}

impl LedgerPage {
    /// From how many messages on a page takes no more, since its item is read and written whole. Whether it is full must not depend on
    /// how many are to be noted: a message that was sent with others and is sent again alone must find the same.
    pub const FULL: u32 = 400;

    fn named(organization: Option<&OrganizationId>, name: &str) -> Self {
        Self { organization: organization.cloned(), name: BodyDigest::of(name.as_bytes()).0 }
    }
}

/// A message that is noted, and the event that it became.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerNote {
    /// Where.
    pub page: LedgerPage,
    /// Which message.
    pub mark: Mark,
    /// The id of its event.
    pub event: EventId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, sender: Option<&str>, made_at: Option<&str>) -> Message {
        Message { id: id.parse().unwrap(), sender: sender.map(str::to_owned), made_at: made_at.map(|text| Timestamp::parse(text).unwrap()) }
    }

    #[test]
    fn what_one_sender_makes_in_a_minute_shares_a_page_and_nothing_else_does() {
        let first = message("a", Some("u1"), Some("2026-11-23T12:00:01Z"));
        assert_eq!(first.page(None), message("b", Some("u1"), Some("2026-11-23T12:00:59.9Z")).page(None));
        for other in [
            message("a", Some("u1"), Some("2026-11-23T12:01:00Z")),
            message("a", Some("u2"), Some("2026-11-23T12:00:01Z")),
            message("a", Some("u1"), None),
            message("a", None, Some("2026-11-23T12:00:01Z")),
        ] {
            assert_ne!(first.page(None), other.page(None), "{other:?}");
        }
        assert_ne!(first.page(None), first.page("org".parse().ok().as_ref()));
        assert_ne!(first.page(None), first.own_page(None));
        assert_ne!(first.mark(), message("b", None, None).mark());
    }
}
