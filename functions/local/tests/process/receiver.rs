//! A receiver of webhooks on a real socket.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// Takes webhooks until the test ends. At a path that begins with `/hang`, it reads and never answers.
pub(super) struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By path, the ids of events that were taken.
    taken: BTreeMap<String, BTreeSet<String>>,
    /// By path, how many requests are still to be refused.
    refused: BTreeMap<String, usize>,
    /// Connections that nobody answers.
    hanging: Vec<TcpStream>,
}

impl Receiver {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let state = Arc::clone(&receiver.state);
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&state);
                // A sender that was killed is no concern of the receiver's.
                thread::spawn(move || serve(&state, stream.unwrap()).unwrap_or_default());
            }
        });
        receiver
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Ends the next connections of this path without an answer.
    pub(super) fn refuse(&self, path: &str, requests: usize) {
        self.state.lock().unwrap().refused.insert(path.to_owned(), requests);
    }

    /// The ids of the events that were taken at this path.
    pub(super) fn taken(&self, path: &str) -> BTreeSet<String> {
        self.state.lock().unwrap().taken.get(path).cloned().unwrap_or_default()
    }

    /// How many requests wait for an answer that never comes.
    pub(super) fn hanging(&self) -> usize {
        self.state.lock().unwrap().hanging.len()
    }
}

/// Answers the requests of one connection.
fn serve(state: &Mutex<State>, stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        while line.trim_end() != "" {
            line.clear();
            stream.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        {
            let mut state = state.lock().unwrap();
            if path.starts_with("/hang") {
                state.hanging.push(stream.into_inner());
                return Ok(());
            }
            if let Some(left) = state.refused.get_mut(&path).filter(|left| **left > 0) {
                *left -= 1;
                return Ok(());
            }
            let body: Value = serde_json::from_slice(&body).unwrap();
            state.taken.entry(path).or_default().insert(body["data"]["event_id"].as_str().unwrap().to_owned());
        }
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
