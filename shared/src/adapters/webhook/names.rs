//! Names of hosts, resolved to addresses that may be called.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::domain::webhook_url::{Reach, RefusedHost};
use crate::ports::webhook_sender::SendError;

/// Who knows what names stand for.
#[async_trait]
pub(super) trait Names: Send + Sync {
    /// The addresses of a name, with port 0.
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver.
pub(super) struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.collect())
    }
}

/// A resolver that gives vetted addresses only.
pub(super) struct VettedNames {
    names: Arc<dyn Names>,
    reach: Reach,
}

/// Why a name has no address to call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameError {
    #[error(transparent)]
    Refused(#[from] RefusedHost),
    #[error("the name has no address")]
    Unresolved,
}

impl NameError {
    /// The error of ours that made a request fail, if it was one.
    pub(super) fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref::<Self>().cloned())
    }
}

impl From<NameError> for SendError {
    fn from(error: NameError) -> Self {
        match error {
            NameError::Refused(refused) => Self::Refused(refused),
            NameError::Unresolved => Self::Unresolved,
        }
    }
}

impl VettedNames {
    pub(super) const fn new(names: Arc<dyn Names>, reach: Reach) -> Self {
        Self { names, reach }
    }
}

impl Resolve for VettedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, reach) = (Arc::clone(&self.names), self.reach);
        Box::pin(async move {
            let addresses = resolve(&*names, name.as_str(), reach).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The addresses that a name stands for, with port 0. A single one out of reach spoils all: a name of an honest receiver has
/// none, and which one is called would be chance.
pub(super) async fn resolve(names: &dyn Names, name: &str, reach: Reach) -> Result<Vec<SocketAddr>, NameError> {
    // A resolver that does not know a name and one that does not answer are the same to whoever owns the name.
    let addresses = names.addresses(name).await.map_err(|_| NameError::Unresolved)?;
    if addresses.is_empty() {
        return Err(NameError::Unresolved);
    }
    for address in &addresses {
        reach.admits(name, address.ip())?;
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_for_this_machine_is_resolved_only_within_reach() {
        assert!(matches!(resolve(&SystemNames, "localhost", Reach::Public).await, Err(NameError::Refused(_))));
        for reach in [Reach::Machine, Reach::Network] {
            assert!(resolve(&SystemNames, "localhost", reach).await.unwrap().iter().all(|address| address.ip().is_loopback()));
        }
        assert_eq!(resolve(&SystemNames, "no-such-host.invalid", Reach::Network).await, Err(NameError::Unresolved));
    }
}
