//! Shows how webhooks arrive, also after their receiver was gone: `make demo-webhooks`.
//!
//! It starts the service and a receiver as processes of their own, kills the receiver while orders are placed, starts it again,
//! and looks whether every event of every stream has arrived in its order. It ends by itself, and leaves nothing behind.

mod children;
mod orders;
mod receiver;
mod screen;
mod story;
mod tally;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hyper::StatusCode;
use tools::http_client::{HttpError, SetupError};

use screen::Screen;

/// What a shell says of a process that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Show how webhooks arrive, also after their receiver was gone.
#[derive(Debug, Parser)]
#[command(name = "demo-webhooks")]
struct Arguments {
    /// Do not wait for somebody to read along.
    #[arg(long)]
    hurry: bool,
    /// The service to start [default: event-service, beside this program].
    #[arg(long)]
    service: Option<PathBuf>,
    /// Be the receiver at this port, as the demonstration starts it.
    #[arg(long, hide = true)]
    receiver: Option<u16>,
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("{program} cannot be started: `make demo-webhooks` builds it")]
    NoProgram { program: String, source: io::Error },
    #[error("the service ended before it answered: {0}")]
    NotStarted(String),
    #[error("the receiver ended before it listened")]
    NoReceiver,
    #[error("a file or a socket of the demonstration failed")]
    Machine(#[from] io::Error),
    #[error("{what} took longer than {} s", .patience.as_secs())]
    TooLong { what: &'static str, patience: Duration },
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{path} was answered with {status}: {detail}")]
    Refused { path: String, status: StatusCode, detail: String },
    #[error("what the service or the receiver said was not understood")]
    Json(#[from] serde_json::Error),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(port) = arguments.receiver {
        return ended(receiver::run(port).await.map(|()| true));
    }
    let mut screen = Screen::stdout(if arguments.hurry { Duration::ZERO } else { screen::PAUSE });
    // Whichever comes first: what the story has started is stopped when the story is dropped.
    tokio::select! {
        told = story::tell(arguments.service, &mut screen) => ended(told),
        () = interrupted() => ExitCode::from(INTERRUPTED),
    }
}

fn ended(told: Result<bool, DemoError>) -> ExitCode {
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", shared::telemetry::Chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Waits for Ctrl-C or a request to terminate; forever, if they cannot be heard.
async fn interrupted() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
