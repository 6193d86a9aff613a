//! Logs: one JSON line each, to standard output.

use std::error::Error;
use std::fmt;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Shows an error with all of its causes, for the one place where it is logged.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The target of lines that processors write because their owners want them: shown at every level.
pub const PROCESSORS: &str = "processors";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON, for machines.
    Json,
    /// Words, for a terminal.
    Text,
}

/// Starts logging at this level. Later calls change nothing.
pub fn start(format: LogFormat, level: tracing::Level) {
    // The embedded store warns of every conditional write that finds its condition false.
    let targets =
        Targets::new().with_default(level).with_target("dynoxide", tracing::Level::ERROR).with_target(PROCESSORS, tracing::Level::INFO);
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(targets);
    let started = match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true).without_time()).try_init(),
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging has been started before");
    }
}
