//! Logs: one JSON line each, to standard output.

use std::error::Error;
use std::fmt;

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
    let builder = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => tracing::subscriber::set_global_default(builder.json().flatten_event(true).without_time().finish()),
        LogFormat::Text => tracing::subscriber::set_global_default(builder.with_ansi(false).finish()),
    };
    if started.is_err() {
        tracing::debug!("logging has been started before");
    }
}
