//! The processes that the demonstration starts. None outlives it, however it ends.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use shared::domain::signature::WebhookSecret;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::DemoError;
use crate::receiver::{Arrival, Said};

/// How long a process may take to start.
const STARTED_WITHIN: Duration = Duration::from_secs(30);
/// Where the service's complaints go.
const LOG: &str = "event-service.log";

/// A process, killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(program: &Path, command: &mut Command) -> Result<Self, DemoError> {
        let failed = |source| DemoError::NoProgram { program: program.display().to_string(), source };
        command.spawn().map(Self).map_err(failed)
    }

    /// What the process prints, line by line. Goes on reading when nobody listens, so that the process never waits.
    fn lines(&mut self) -> UnboundedReceiver<String> {
        let (sender, receiver) = unbounded_channel();
        if let Some(stdout) = self.0.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    sender.send(line).unwrap_or_default();
                }
            });
        }
        receiver
    }

    /// Ends the process as `kill -9` does, and waits for its end.
    fn kill(&mut self) {
        // It may have ended by itself.
        self.0.kill().unwrap_or_default();
        drop(self.0.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The service.
pub(crate) struct Service {
    /// Where it answers.
    pub(crate) url: String,
    _running: Running,
}

impl Service {
    /// Starts `program` at a free port. Whatever it keeps, it keeps in `folder`.
    pub(crate) async fn start(program: &Path, folder: &Path) -> Result<Self, DemoError> {
        let log = folder.join(LOG);
        let mut command = Command::new(program);
        // The settings of whoever watches do not matter.
        command.env_clear().env("TMPDIR", folder).current_dir(folder);
        command.args(["--memory", "--port", "0", "--data-dir"]).arg(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut running = Running::start(program, &mut command)?;
        let mut lines = running.lines();
        let told = async {
            while let Some(line) = lines.recv().await {
                if let Some(("URL", url)) = line.trim().split_once(' ') {
                    return Some(url.trim().to_owned());
                }
            }
            None
        };
        let too_long = |_| DemoError::TooLong { what: "starting the service", patience: STARTED_WITHIN };
        let Some(url) = timeout(STARTED_WITHIN, told).await.map_err(too_long)? else {
            return Err(DemoError::NotStarted(fs::read_to_string(&log)?.trim().to_owned()));
        };
        Ok(Self { url, _running: running })
    }
}

/// The receiver.
pub(crate) struct Receiver {
    /// The port that it listens at.
    pub(crate) port: u16,
    /// Its number among the processes of this machine.
    pub(crate) process: u32,
    running: Running,
    /// Closed with this process, which the receiver takes as its own end.
    _stdin: Option<ChildStdin>,
}

impl Receiver {
    /// Starts this program as a receiver: at `port`, or at a free one if that is 0. It tells `arrivals` what it gets.
    pub(crate) async fn start(port: u16, secret: &WebhookSecret, arrivals: UnboundedSender<Arrival>) -> Result<Self, DemoError> {
        let program = std::env::current_exe()?;
        let mut command = Command::new(&program);
        command.args(["--receiver", &port.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut running = Running::start(&program, &mut command)?;
        let mut stdin = running.0.stdin.take();
        if let Some(stdin) = &mut stdin {
            // Arguments can be seen by everybody on this machine.
            writeln!(stdin, "{}", secret.reveal())?;
        }
        let mut lines = running.lines();
        let too_long = |_| DemoError::TooLong { what: "starting the receiver", patience: STARTED_WITHIN };
        let first = timeout(STARTED_WITHIN, lines.recv()).await.map_err(too_long)?.ok_or(DemoError::NoReceiver)?;
        let Said::Listening { port } = serde_json::from_str(&first)? else { return Err(DemoError::NoReceiver) };
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                match serde_json::from_str(&line) {
                    Ok(Said::Arrived(arrival)) => arrivals.send(arrival).unwrap_or_default(),
                    // A line that was cut off by the kill.
                    Ok(Said::Listening { .. }) | Err(_) => {}
                }
            }
        });
        Ok(Self { port, process: running.0.id(), running, _stdin: stdin })
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.running.kill();
    }
}
