//! What the service costs on AWS: reckons from `template.yaml`, measured units and list prices. Prints tables, or docs/cost.md.

mod bill;
mod deployment;
mod document;
mod inputs;
mod months;
mod report;
mod rest;
mod traffic;
mod yaml;

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::deployment::{Deployment, DeploymentError};

/// What the service costs on AWS, by template.yaml and list prices.
#[derive(Debug, Parser)]
struct Arguments {
    /// The template.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml"), hide_default_value = true)]
    template: PathBuf,
    /// Print docs/cost.md instead of tables.
    #[arg(long)]
    markdown: bool,
}

/// The costs cannot be reckoned.
#[derive(Debug, thiserror::Error)]
enum CostError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Template { path: PathBuf, source: DeploymentError },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        // Whoever has read enough closes the pipe.
        Ok(text) => match writeln!(std::io::stdout(), "{text}") {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                eprintln!("error: the answer cannot be written: {error}");
                ExitCode::FAILURE
            }
            Ok(()) | Err(_) => ExitCode::SUCCESS,
        },
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<String, CostError> {
    let path = &arguments.template;
    let text = fs::read_to_string(path).map_err(|source| CostError::Unreadable { path: path.clone(), source })?;
    let blocks = Deployment::read(&text)
        .and_then(|deployment| report::report(&deployment))
        .map_err(|source| CostError::Template { path: path.clone(), source })?;
    Ok(if arguments.markdown { document::markdown("What it costs", &blocks) } else { document::plain(&blocks) })
}
