//! What the words of a token's `scope` allow.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::access::Scope;

/// The words of tokens that the platform issues to itself. Only these may go without an organization.
const OF_THE_PLATFORM: [&str; 2] = ["admin", "service"];
/// The words of tokens that somebody's users and devices hold, whether or not the map names them.
const OF_A_TENANT: [&str; 2] = ["user", "device"];

/// Which rights each word of `scope` gives.
///
/// A word that the map names means what the map says, even if it is also the name of a right: with `admin=events:read`, the word
/// `admin` only lets read. Other words that name a right give that right; the rest give nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsMap(BTreeMap<String, BTreeSet<Scope>>);

impl RightsMap {
    /// Reads `word=right+right,word=right`. The result replaces the default map: a word that is left out gives nothing, and
    /// so does one with nothing after its `=`.
    ///
    /// # Errors
    /// [`RightsMapError`] names the part that cannot be read.
    pub fn parse(text: &str) -> Result<Self, RightsMapError> {
        let mut map = BTreeMap::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (word, rights) = entry.split_once('=').ok_or_else(|| RightsMapError::NoRights { entry: entry.to_owned() })?;
            let word = word.trim();
            if word.is_empty() || word.contains(char::is_whitespace) {
                return Err(RightsMapError::Word { entry: entry.to_owned() });
            }
            let rights = rights
                .split('+')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(|name| name.parse().map_err(|_| RightsMapError::UnknownRight { name: name.to_owned() }))
                .collect::<Result<_, _>>()?;
            if map.insert(word.to_owned(), rights).is_some() {
                return Err(RightsMapError::Twice { word: word.to_owned() });
            }
        }
        Ok(Self(map))
    }

    /// The rights that one word of `scope` gives.
    pub(super) fn of(&self, word: &str) -> BTreeSet<Scope> {
        self.0.get(word).cloned().unwrap_or_else(|| word.parse().into_iter().collect())
    }

    /// Whether tokens with this word belong to some organization, and must say to which.
    ///
    /// That is every word that the map names, but for those of the platform: a word that an operator adds is on the safe side
    /// of a mistake.
    pub(super) fn belongs_to_a_tenant(&self, word: &str) -> bool {
        OF_A_TENANT.contains(&word) || (self.0.contains_key(word) && !OF_THE_PLATFORM.contains(&word))
    }
}

impl Default for RightsMap {
    /// `admin` may do everything, `service` write and read, `device` write; `user` may do nothing, for users send their events
    /// through the services that they use.
    fn default() -> Self {
        let entry = |word: &str, rights: &[Scope]| (word.to_owned(), rights.iter().copied().collect());
        Self(BTreeMap::from([
            entry("admin", Scope::ALL),
            entry("service", &[Scope::Write, Scope::Read]),
            entry("device", &[Scope::Write]),
            entry("user", &[]),
        ]))
    }
}

/// Why a text is no map of rights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RightsMapError {
    /// An entry without `=`.
    #[error("{entry:?} does not have the form word=right+right")]
    NoRights {
        /// The entry.
        entry: String,
    },
    /// An entry whose word is empty or holds white space, which no word of `scope` does.
    #[error("{entry:?} does not start with a word")]
    Word {
        /// The entry.
        entry: String,
    },
    /// A right that does not exist.
    #[error("{name:?} is not a right")]
    UnknownRight {
        /// The name.
        name: String,
    },
    /// A word with two entries.
    #[error("{word:?} is there twice")]
    Twice {
        /// The word.
        word: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(map: &RightsMap, word: &str) -> Vec<Scope> {
        map.of(word).into_iter().collect()
    }

    #[test]
    fn the_default_map_can_be_written_down() {
        let text = "service=events:read+events:write, admin=admin+events:write+events:read+events:collect, device=events:write, user=";
        assert_eq!(RightsMap::parse(text), Ok(RightsMap::default()));
    }

    #[test]
    fn a_word_means_what_the_map_says_before_it_names_a_right() {
        let map = RightsMap::parse("admin=events:read").unwrap();
        assert_eq!(rights(&map, "admin"), [Scope::Read]);
        assert_eq!(rights(&map, "events:write"), [Scope::Write]);
        assert_eq!(rights(&map, "service"), []);
        assert_eq!(rights(&RightsMap::parse("").unwrap(), "admin"), [Scope::Admin]);
    }

    #[test]
    fn a_map_that_cannot_be_read_says_where() {
        for (text, error) in [
            ("service", RightsMapError::NoRights { entry: "service".into() }),
            ("=admin", RightsMapError::Word { entry: "=admin".into() }),
            ("a b=admin", RightsMapError::Word { entry: "a b=admin".into() }),
            ("service=write", RightsMapError::UnknownRight { name: "write".into() }),
            ("service=events:read,service=admin", RightsMapError::Twice { word: "service".into() }),
        ] {
            assert_eq!(RightsMap::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn only_the_words_of_the_platform_go_without_an_organization() {
        let map = RightsMap::parse("partner=events:read,admin=admin").unwrap();
        for (word, of_a_tenant) in
            [("partner", true), ("user", true), ("device", true), ("admin", false), ("service", false), ("openid", false)]
        {
            assert_eq!(map.belongs_to_a_tenant(word), of_a_tenant, "{word}");
        }
    }
}
