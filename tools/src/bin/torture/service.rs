//! The service in a process of its own, which is killed and started again at the same port.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use local::dev_key;
use tools::http_client::HttpClient;

use crate::TortureError;

/// How long it may take until it answers, also after a kill.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is asked whether it answers.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The service: killed when this is dropped.
pub(crate) struct Service {
    program: PathBuf,
    folder: PathBuf,
    nats: String,
    port: u16,
    running: Option<Child>,
}

impl Service {
    /// A service that keeps everything in a folder, on a free port. It does not run yet.
    pub(crate) fn new(program: Option<PathBuf>, folder: &Path, nats: String) -> Result<Self, TortureError> {
        let program = program.map_or_else(tools::service_beside_this_program, Ok)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        Ok(Self { program, folder: folder.to_owned(), nats, port, running: None })
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn start(&mut self) -> Result<(), TortureError> {
        let mut command = Command::new(&self.program);
        command.env_clear().env("NATS_URL", &self.nats).env("LOG_LEVEL", "error").current_dir(&self.folder);
        command.args(["--port", &self.port.to_string(), "--data-dir"]).arg(&self.folder).args(["--collect-rate", "0"]);
        let log = File::options().create(true).append(true).open(self.folder.join("event-service.log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let failed = |source| TortureError::NoProgram { program: self.program.display().to_string(), source };
        self.running = Some(command.spawn().map_err(failed)?);
        let (anybody, began) = (HttpClient::new(&format!("http://{}", self.address()))?, Instant::now());
        while !anybody.get("/health").await.is_ok_and(|answer| answer.status == StatusCode::OK) {
            if began.elapsed() > PATIENCE {
                return Err(TortureError::TooLong { what: "the service's answer", patience: PATIENCE });
            }
            tools::rest(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// A client that may do everything.
    pub(crate) fn client(&self) -> Result<HttpClient, TortureError> {
        self.client_at(self.address())
    }

    /// The same, if the service is reached at another address.
    pub(crate) fn client_at(&self, address: SocketAddr) -> Result<HttpClient, TortureError> {
        let key = std::fs::read_to_string(self.folder.join(dev_key::FILE))?;
        Ok(HttpClient::new(&format!("http://{address}"))?.with_key(key.trim())?)
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            // It may have ended by itself.
            child.kill().unwrap_or_default();
            drop(child.wait());
        }
    }

    /// Lets nothing of it run for a while.
    pub(crate) async fn stop_for(&self, pause: Duration) -> Result<(), TortureError> {
        let Some(child) = &self.running else { return Ok(()) };
        for (signal, rest) in [("-STOP", pause), ("-CONT", Duration::ZERO)] {
            Command::new("kill").args([signal, &child.id().to_string()]).status()?;
            tools::rest(rest).await;
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}
