//! A NATS server in a process of its own, with JetStream, on a free port and in a folder of its own.
//!
//! `scripts/setup nats` unpacks one into `.tools/`; `NATS_SERVER` names another.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is tried: somebody else may take a free port first.
const MOST_TRIES: usize = 5;

/// A server, killed when this is dropped.
pub struct NatsServer {
    child: Option<Child>,
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
}

impl NatsServer {
    /// A server that lets everybody in.
    ///
    /// # Panics
    /// If there is no program, or it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// A server with these lines in its configuration besides its own; `$folder` stands for its folder.
    ///
    /// # Panics
    /// If there is no program, or it does not start.
    #[must_use]
    pub fn start_with(configuration: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("server.conf");
        let text = configuration.replace("$folder", &folder.path().display().to_string());
        std::fs::write(&path, format!("{text}\n")).unwrap();
        let arguments = vec!["--config".to_owned(), path.display().to_string()];
        let mut server = Self { child: None, port: 0, folder, arguments };
        let mut said = String::new();
        for _ in 0..MOST_TRIES {
            server.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            match server.spawn() {
                Ok(()) => return server,
                Err(why) => said = why,
            }
        }
        panic!("nats-server does not start: {said}");
    }

    /// A folder for what belongs to it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Its host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it as `kill -9` does. Its folder stays.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again, with all that it had on its disk.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.spawn().unwrap();
    }

    /// Starts it again with an empty disk.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart_wiped(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.folder.path().join("data")).unwrap();
        self.spawn().unwrap();
    }

    /// Starts it, and waits until it answers. If it does not, the last line that it logged says why.
    fn spawn(&mut self) -> Result<(), String> {
        let mut command = Command::new(program());
        command.args(["--jetstream", "--addr", "127.0.0.1", "--port"]).arg(self.port.to_string());
        command.arg("--store_dir").arg(self.folder.path().join("data")).args(&self.arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // What it logs has to be read, or it stops when nobody does.
        let stderr = child.stderr.take();
        let said = std::thread::spawn(move || {
            let lines = stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines().map_while(Result::ok));
            lines.fold(String::new(), |_, line| line)
        });
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            if greets(self.port) {
                self.child = Some(child);
                return Ok(());
            }
            std::thread::yield_now();
        }
        child.kill().unwrap_or_default();
        child.wait().unwrap();
        Err(said.join().unwrap())
    }
}

/// Whether a NATS server answers at a port: it greets whoever comes.
fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok() && stream.read_exact(&mut greeting).is_ok() && &greeting == b"INFO"
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap_or_default();
            drop(child.wait());
        }
    }
}

/// The program to run.
#[expect(clippy::disallowed_methods, reason = "a test's own surroundings are no configuration of the service")]
fn program() -> PathBuf {
    if let Ok(named) = std::env::var("NATS_SERVER")
        && !named.is_empty()
    {
        return named.into();
    }
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/nats-server/usr/sbin/nats-server");
    if unpacked.exists() { unpacked } else { "nats-server".into() }
}
