//! A receiver of webhooks on a socket of its own, which need not behave.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::domain::webhook_url::WebhookUrl;
use shared::testing::webhook_sender::Received;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a receiver says to every request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// This, and waits for the next request.
    Text(String),
    /// This, and closes the connection.
    TextAndEnd(String),
    /// Nothing, and keeps the connection open.
    Nothing,
    /// This, and then a byte every few milliseconds for ever.
    Drip(String),
    /// This, and then bytes as fast as they are taken, for ever.
    Endless(String),
}

/// A receiver. It ends when it is dropped.
pub(super) struct Receiver {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    /// How many connections have ended.
    ended: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    targets: Vec<String>,
    received: Vec<Received>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Receiver {
    pub(super) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (ending, ended) = watch::channel(0);
        let accepting = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((connection, _)) = listener.accept().await {
                    seen.lock().unwrap().connections += 1;
                    let (seen, reply, ending) = (Arc::clone(&seen), reply.clone(), ending.clone());
                    tokio::spawn(async move {
                        // Whether it ends by their doing or by ours, it ends.
                        serve(connection, &reply, &seen).await.unwrap_or_default();
                        ending.send_modify(|ended| *ended += 1);
                    });
                }
            }
        });
        Self { port, seen, ended, accepting }
    }

    pub(super) fn url(&self, path: &str) -> WebhookUrl {
        format!("http://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.seen.lock().unwrap().received.clone()
    }

    /// The first lines of the requests.
    pub(super) fn targets(&self) -> Vec<String> {
        self.seen.lock().unwrap().targets.clone()
    }

    /// Returns once a connection has ended.
    pub(super) async fn left(&self) {
        self.ended.clone().wait_for(|ended| *ended > 0).await.unwrap();
    }

    /// Ends it, and returns once nobody listens any more.
    pub(super) async fn stop(mut self) {
        self.accepting.abort();
        assert!((&mut self.accepting).await.unwrap_err().is_cancelled());
    }
}

async fn serve(connection: TcpStream, reply: &Reply, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let (target, received) = read_request(&mut connection).await?;
        {
            let mut seen = seen.lock().unwrap();
            seen.targets.push(target);
            seen.received.push(received);
        }
        match reply {
            Reply::Text(text) => connection.write_all(text.as_bytes()).await?,
            Reply::TextAndEnd(text) => {
                connection.write_all(text.as_bytes()).await?;
                return connection.shutdown().await;
            }
            // Their closing it ends it.
            Reply::Nothing => return connection.read_u8().await.map(|_| ()),
            Reply::Drip(text) => {
                connection.write_all(text.as_bytes()).await?;
                let mut ticks = tokio::time::interval(Duration::from_millis(10));
                loop {
                    ticks.tick().await;
                    connection.write_all(b"x").await?;
                }
            }
            Reply::Endless(text) => {
                connection.write_all(text.as_bytes()).await?;
                loop {
                    connection.write_all(&[b'x'; 16 * 1024]).await?;
                }
            }
        }
    }
}

async fn read_request(connection: &mut BufReader<TcpStream>) -> std::io::Result<(String, Received)> {
    let mut head = vec![connection.read_u8().await?];
    if !head[0].is_ascii_uppercase() {
        return Err(std::io::Error::other("not HTTP, but TLS perhaps"));
    }
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let target = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    Ok((target, Received { headers, body: String::from_utf8(body).unwrap() }))
}
