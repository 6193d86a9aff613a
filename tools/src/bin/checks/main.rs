//! Checks that the compiler cannot make: `checks layers`, `checks purity`, `checks rules`.
//!
//! Each prints what it found, one line each, and fails if that was anything.

mod code;
mod layers;
mod purity;
mod rules;
mod secrets;
mod sources;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks that the compiler cannot make.
#[derive(Debug, Parser)]
struct Arguments {
    /// The repository's root.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."), hide_default_value = true)]
    root: PathBuf,
    #[command(subcommand)]
    check: Check,
}

#[derive(Debug, Subcommand)]
enum Check {
    /// Dependencies between modules and crates point inwards; no file is a catch-all; no secret is compared with `==`.
    Layers,
    /// `shared` without features builds, and without AWS, HTTP or a database.
    Purity,
    /// docs/rules.md and the tests say the same about every business rule.
    Rules {
        /// List the rules without a test instead.
        #[arg(long)]
        list: bool,
    },
}

/// Something that is not as it must be, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A check could not be made.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path} holds nothing to check")]
    NothingToCheck { path: String },
    #[error("`{command}` does not start: {source}")]
    NoStart { command: String, source: std::io::Error },
    #[error("`{command}` failed")]
    Failed { command: String },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                println!("{finding}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Vec<Finding>, CheckError> {
    let root = arguments.root.as_path();
    match arguments.check {
        Check::Layers => layers::check(root),
        Check::Purity => purity::check(root),
        Check::Rules { list: false } => rules::check(root),
        Check::Rules { list: true } => rules::list(root).map(|()| Vec::new()),
    }
}
