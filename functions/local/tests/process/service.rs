//! A service in a process of its own, and a client without a library.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(super) const CREATE: &str = "/api/v1/events/create";
/// How long anything may take before a test gives up on it.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A service in a process of its own, killed when this is dropped.
pub(super) struct Service {
    pub(super) child: Child,
    pub(super) stdout: BufReader<ChildStdout>,
    pub(super) address: String,
    pub(super) key: String,
}

pub(super) fn command(data: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_event-service"));
    // The environment of whoever runs the tests does not matter.
    command.env_clear().current_dir(data).arg("--data-dir").arg(data.join("data")).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Service {
    pub(super) fn start(data: &Path, options: &[&str]) -> Self {
        Self::start_in(data, options, &[])
    }

    /// With these environment variables.
    pub(super) fn start_in(data: &Path, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command(data, &[&["--port", "0"], options].concat());
        let mut child = command.envs(environment.iter().copied()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (mut address, mut key) = (None, None);
        while address.is_none() || key.is_none() {
            let mut line = String::new();
            let length = stdout.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "the service did not start: {}", stderr(&mut child));
            match line.trim().split_once(' ').map(|(name, value)| (name, value.trim())) {
                Some(("URL", url)) => address = Some(url.strip_prefix("http://").unwrap().to_owned()),
                Some(("Key", text)) => key = Some(text.to_owned()),
                Some(_) | None => {}
            }
        }
        Self { child, stdout, address: address.unwrap(), key: key.unwrap() }
    }

    /// Sends a request with the development key.
    pub(super) fn send(&self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
        Connection::open(&self.address, Some(&self.key))?.send(method, path, body)
    }

    pub(super) fn get(&self, path: &str) -> Value {
        let (status, text) = self.send("GET", path, "").unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Kills the process as `kill -9` does.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends the signal that Ctrl-C sends.
    pub(super) fn interrupt(&self) {
        let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", self.child.id())]).status().unwrap();
        assert!(kill.success());
    }

    /// What is printed until the end, and how it ends.
    pub(super) fn wait(mut self) -> (String, String, ExitStatus) {
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).unwrap();
        let complaints = stderr(&mut self.child);
        (printed, complaints, self.child.wait().unwrap())
    }

    pub(super) fn port(&self) -> &str {
        self.address.rsplit_once(':').unwrap().1
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().unwrap_or_default();
        drop(self.child.wait());
    }
}

fn stderr(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut text).unwrap();
    }
    text
}

/// One connection, for one request after the other.
pub(super) struct Connection {
    pub(super) stream: BufReader<TcpStream>,
    host: String,
    key: Option<String>,
}

impl Connection {
    pub(super) fn open(address: &str, key: Option<&str>) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_owned(), key: key.map(str::to_owned) })
    }

    pub(super) fn head(&self, method: &str, path: &str, length: usize, more: &str) -> String {
        let key = self.key.as_deref().map_or_else(String::new, |key| format!("x-api-key: {key}\r\n"));
        format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n{key}content-length: {length}\r\n{more}\r\n", self.host)
    }

    pub(super) fn send(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
        let message = self.head(method, path, body.len(), "") + body;
        self.stream.get_mut().write_all(message.as_bytes())?;
        self.answer()
    }

    /// The status and body of the next answer. An error if the connection ends before it is whole.
    pub(super) fn answer(&mut self) -> std::io::Result<(u16, String)> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let mut length = 0;
        loop {
            let line = self.line()?.to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body).unwrap()))
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if line.ends_with('\n') { Ok(line.trim_end().to_owned()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Asks again and again until the answer is good.
pub(super) fn eventually(service: &Service, path: &str, good: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let answer = service.get(path);
        if good(&answer) {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{path} stays as it is: {answer}");
    }
}
