//! Connections that can be cut.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A port that leads to another one, until it is cut: then every connection through it ends, and new ones are taken again.
pub(crate) struct Cable {
    address: SocketAddr,
    cuts: watch::Sender<u32>,
    _carrying: JoinSet<()>,
}

impl Cable {
    /// One that leads there.
    ///
    /// # Errors
    /// If there is no socket to be had.
    pub(crate) async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (cuts, cut) = watch::channel(0);
        let mut carrying = JoinSet::new();
        carrying.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(carry(near, target, cut.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, cuts, _carrying: carrying })
    }

    /// Where it begins.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection, in the middle of whatever it carries.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr, mut cut: watch::Receiver<u32>) {
    cut.mark_unchanged();
    let carried = async {
        let mut far = TcpStream::connect(target).await?;
        copy_bidirectional(&mut near, &mut far).await
    };
    // However it ends, both sides are closed then.
    tokio::select! {
        _ = carried => {}
        _ = cut.changed() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_carried_ends_with_a_cut_and_the_next_connection_is_carried_again() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let cable = Cable::to(listener.local_addr().unwrap()).await.unwrap();
        for _ in 0..2 {
            let mut near = TcpStream::connect(cable.address()).await.unwrap();
            near.write_all(b"a").await.unwrap();
            let (mut far, _) = listener.accept().await.unwrap();
            assert_eq!(far.read_u8().await.unwrap(), b'a');
            cable.cut();
            for end in [&mut near, &mut far] {
                let read = tokio::time::timeout(Duration::from_secs(10), end.read_u8()).await;
                assert!(read.expect("it ends").is_err(), "nothing comes any more");
            }
        }
    }
}
